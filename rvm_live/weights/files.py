"""Reads one file of weights and says, in one line, what is wrong with any other file. Never runs code from a file."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rvm_live.core.errors import WeightsError
from rvm_live.weights.checkpoint import Entry, Unfit, inspect, shortened

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SUFFIXES", "LoadedWeights", "file_bytes", "read", "sha256_of"]

SUFFIXES = (".pth", ".safetensors")
_LARGEST = 1 << 30
_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True, repr=False)
class LoadedWeights:
    """A checkpoint that fits a :class:`~rvm_live.network.network.MattingNetwork` strictly.

    Attributes:
        state_dict: name -> tensor on the CPU, float32 (counters int64).
        variant: ``mobilenetv3`` or ``resnet50``.
        refiner: ``deep_guided_filter`` or ``fast_guided_filter``.
        sha256: of the file, hexadecimal.
        path: the file.
    """

    state_dict: dict[str, Tensor]
    variant: str
    refiner: str
    sha256: str
    path: Path

    def __repr__(self) -> str:
        return f"LoadedWeights({self.variant}, {self.refiner}, {self.path.name}, {self.sha256[:12]})"


def file_bytes(path: Path) -> bytes:
    """The whole file.

    Raises:
        WeightsError: it is missing, no regular file, unreadable, empty, or far too large.
    """
    try:
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            raise WeightsError(f"weights {path} is a folder, not a file")
        if not stat.S_ISREG(about.st_mode):  # it may have no end, or block
            raise WeightsError(f"weights {path} is a device or a pipe, not a file")
        if about.st_size > _LARGEST:
            raise WeightsError(f"weights {path} is over 1 GiB, so it is not a RobustVideoMatting checkpoint")
        with path.open("rb") as file:
            data = file.read(about.st_size)
    except FileNotFoundError:
        raise WeightsError(f"weights {path} does not exist") from None
    except OSError as error:
        raise WeightsError(f"weights {path} cannot be read: {error.strerror or error}") from error
    if not data:
        raise WeightsError(f"weights {path} is empty (0 bytes)")
    return data


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read(path: Path, data: bytes | None = None) -> LoadedWeights:
    """Load a ``.pth`` or ``.safetensors`` file; variant and refiner are read off its names and shapes.

    Args:
        path: the file, named in messages.
        data: its content, if already read.

    Raises:
        WeightsError: it is anything else than a whole RobustVideoMatting checkpoint; says what it is.
    """
    if data is None:
        data = file_bytes(path)
    foreign = _foreign(data)
    if foreign:
        raise WeightsError(f"weights {path} is {foreign}, not a RobustVideoMatting checkpoint")
    try:
        entries = inspect(data)
        variant, refiner = _identify(path, entries)
        _check_shapes(path, entries, variant, refiner)
        _check_types(path, entries)
        state_dict = _as_float32(path, entries)
    except Unfit as error:
        raise WeightsError(f"weights {path} {error}") from error
    return LoadedWeights(state_dict, variant, refiner, sha256_of(data), path)


def _foreign(data: bytes) -> str | None:
    """What kind of file this is, in words, if it is certainly not a checkpoint."""
    head = data[:2048].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page (perhaps an error or login page was downloaded)"
    if head.startswith((b"<?xml", b"<")):
        return "an XML document"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer (run `git lfs pull`)"
    if data[:4] == b"PK\x03\x04":
        return None
    if data[:1] == b"\x08" and (b"onnx" in data[:64] or b"pytorch" in data[:64]):
        return "an ONNX model"
    if data[:2] == b"\x1f\x8b":
        return "a gzip archive"
    if b"\0" not in head and all(byte >= 9 for byte in head):
        return "a text file"
    return None


def _identify(path: Path, tensors: Mapping[str, Entry]) -> tuple[str, str]:
    if "backbone.features.0.0.weight" in tensors:
        variant = "mobilenetv3"
    elif "backbone.layer1.0.conv1.weight" in tensors:
        variant = "resnet50"
    else:
        variant = ""
    if not variant or "decoder.decode4.gru.ih.0.weight" not in tensors:
        some = shortened(min(tensors))
        raise WeightsError(
            f"weights {path} contain another network ({len(tensors)} tensors, such as {some}), not RobustVideoMatting"
        )
    deep = any(name.startswith("refiner.") for name in tensors)
    return variant, "deep_guided_filter" if deep else "fast_guided_filter"


@lru_cache(maxsize=4)
def _shapes(variant: str, refiner: str) -> dict[str, tuple[int, ...]]:
    import torch

    from rvm_live.network.network import MattingNetwork

    with torch.device("meta"):
        network = MattingNetwork(variant, refiner)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _check_shapes(path: Path, tensors: Mapping[str, Entry], variant: str, refiner: str) -> None:
    wanted = _shapes(variant, refiner)
    what = f"weights {path} looks like RobustVideoMatting {variant}, but"
    for name, shape in wanted.items():
        if name not in tensors:
            more = len(wanted.keys() - tensors.keys()) - 1
            raise WeightsError(f"{what} does not contain {name!r}" + (f" and {more} more tensors" if more else ""))
        if tensors[name].shape != shape:
            raise WeightsError(f"{what} {name!r} has shape {list(tensors[name].shape)} instead of {list(shape)}")
    extra = sorted(tensors.keys() - wanted.keys())
    if extra:
        raise WeightsError(f"{what} contains unknown tensors, such as {shortened(extra[0])}")


def _check_types(path: Path, tensors: Mapping[str, Entry]) -> None:
    for name, entry in tensors.items():
        counts = name.endswith(_COUNTER) and "int" in entry.dtype
        if entry.dtype not in _FLOATS and not counts:
            raise WeightsError(
                f"weights {path} is not usable: {name!r} contains {entry.dtype}, not floating-point values"
            )


def _as_float32(path: Path, entries: Mapping[str, Entry]) -> dict[str, Tensor]:
    import torch

    converted: dict[str, Tensor] = {}
    for name, entry in entries.items():
        counter = name.endswith(_COUNTER)
        value = entry.read().to(torch.int64 if counter else torch.float32)
        if not counter and not bool(torch.isfinite(value).all()):
            raise WeightsError(f"weights {path} is not usable: {name!r} contains NaN or infinite values")
        converted[name] = value
    return converted
