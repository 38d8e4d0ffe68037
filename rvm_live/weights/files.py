"""Reads one file of weights and says, in one line, what is wrong with any other file. Never runs code from a file."""

from __future__ import annotations

import hashlib
import io
import pickle
import warnings
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvm_live.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SUFFIXES", "LoadedWeights", "file_bytes", "read", "sha256_of"]

SUFFIXES = (".pth", ".safetensors")
_LARGEST = 1 << 30
_SAFETENSORS_HEADER_LIMIT = 100_000_000


@dataclass(frozen=True, repr=False)
class LoadedWeights:
    """A checkpoint that fits a :class:`~rvm_live.engines.rvm.network.MattingNetwork` strictly.

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
        WeightsError: it is missing, a folder, unreadable, empty, or far too large.
    """
    try:
        if path.is_dir():
            raise WeightsError(f"weights {path} is a folder, not a file")
        if path.stat().st_size > _LARGEST:
            raise WeightsError(f"weights {path} is over 1 GiB, so it is no RobustVideoMatting checkpoint")
        data = path.read_bytes()
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
    tensors = _read_safetensors(path, data) if _is_safetensors(data) else _read_pickle(path, data)
    variant, refiner = _identify(path, tensors)
    _check_shapes(path, tensors, variant, refiner)
    return LoadedWeights(_as_float32(path, tensors), variant, refiner, sha256_of(data), path)


def _foreign(data: bytes) -> str | None:
    """What a file that is certainly no checkpoint is, in words."""
    head = data[:2048].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page (a download that ended on an error or login page?)"
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


def _is_safetensors(data: bytes) -> bool:
    length = int.from_bytes(data[:8], "little")
    return len(data) > 8 and data[8:9] == b"{" and 2 <= length <= _SAFETENSORS_HEADER_LIMIT


def _read_safetensors(path: Path, data: bytes) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return dict(load(data))
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(f"weights {path} is a truncated or damaged safetensors file") from error


def _read_pickle(path: Path, data: bytes) -> dict[str, Any]:
    import torch

    if data[:2] == b"PK":
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                names = archive.namelist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise WeightsError(f"weights {path} is a truncated or damaged checkpoint") from error
        if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
            raise WeightsError(
                f"weights {path} is a TorchScript model, not a checkpoint: run it with --engine torchscript"
            )
        if not any(name.endswith("data.pkl") for name in names):
            raise WeightsError(f"weights {path} is a zip archive, not a RobustVideoMatting checkpoint")
    damaged = f"weights {path} is not a checkpoint, or a truncated or damaged one"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of foreign pickles; what is wrong is told below
            loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error):  # the opcode by which a pickle names code
            raise WeightsError(
                f"weights {path} holds pickled code beside tensors; it was not run, and the file is not used"
            ) from error
        if data[:1] == b"\x80":
            raise WeightsError(f"weights {path} is a Python pickle, not a checkpoint; nothing in it was run") from error
        raise WeightsError(damaged) from error
    except Exception as error:  # torch answers damage with nearly every type there is
        raise WeightsError(damaged) from error
    if not isinstance(loaded, dict) or not loaded:
        raise WeightsError(f"weights {path} holds a {type(loaded).__name__}, not a state dict")
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise WeightsError(f"weights {path} is no state dict: its entry {name!r} is a {type(value).__name__}")
    return loaded


def _identify(path: Path, tensors: dict[str, Any]) -> tuple[str, str]:
    if "backbone.features.0.0.weight" in tensors:
        variant = "mobilenetv3"
    elif "backbone.layer1.0.conv1.weight" in tensors:
        variant = "resnet50"
    else:
        variant = ""
    if not variant or "decoder.decode4.gru.ih.0.weight" not in tensors:
        some = min(tensors)
        raise WeightsError(
            f"weights {path} holds another network ({len(tensors)} tensors, such as {some!r}), not RobustVideoMatting"
        )
    deep = any(name.startswith("refiner.") for name in tensors)
    return variant, "deep_guided_filter" if deep else "fast_guided_filter"


@lru_cache(maxsize=4)
def _shapes(variant: str, refiner: str) -> dict[str, tuple[int, ...]]:
    import torch

    from rvm_live.engines.rvm.network import MattingNetwork

    with torch.device("meta"):
        network = MattingNetwork(variant, refiner)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _check_shapes(path: Path, tensors: dict[str, Any], variant: str, refiner: str) -> None:
    wanted = _shapes(variant, refiner)
    what = f"weights {path} looks like RobustVideoMatting {variant}, but"
    for name, shape in wanted.items():
        if name not in tensors:
            more = len(wanted.keys() - tensors.keys()) - 1
            raise WeightsError(f"{what} lacks {name!r}" + (f" and {more} more tensors" if more else ""))
        if tuple(tensors[name].shape) != shape:
            raise WeightsError(f"{what} {name!r} has shape {list(tensors[name].shape)} instead of {list(shape)}")
    extra = sorted(tensors.keys() - wanted.keys())
    if extra:
        raise WeightsError(f"{what} holds tensors that are not its own, such as {extra[0]!r}")


def _as_float32(path: Path, tensors: dict[str, Any]) -> dict[str, Any]:
    import torch

    converted: dict[str, Any] = {}
    for name, tensor in tensors.items():
        counter = name.endswith("num_batches_tracked")
        if not counter and not tensor.is_floating_point():
            dtype = str(tensor.dtype).removeprefix("torch.")
            raise WeightsError(f"weights {path} is not usable: {name!r} holds {dtype}, not floating-point values")
        value = tensor.to(torch.int64 if counter else torch.float32)
        if not counter and not bool(torch.isfinite(value).all()):
            raise WeightsError(f"weights {path} is not usable: {name!r} holds values that are not finite")
        converted[name] = value
    return converted
