"""The inputs and outputs of an ONNX file, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rvm_live.core.errors import WeightsError
from rvm_live.weights.catalog import PINNED
from rvm_live.weights.files import file_bytes, sha256_of

__all__ = ["OnnxFile", "State", "check_file", "read_signature"]

_DTYPES: dict[str, type[np.floating[Any]]] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_PRECISIONS: dict[type[np.floating[Any]], str] = {np.float32: "fp32", np.float16: "fp16"}
_EXPECTED = "expected src, states such as r1i and perhaps downsample_ratio; pha, r1o and perhaps fgr"


@dataclass(frozen=True)
class State:
    """A recurrent state.

    Attributes:
        taken: name of the input.
        given: name of the output that becomes the input for the next frame.
        shape: of the zeros that start a video; (1, 1, 1, 1) where the file leaves it open.
    """

    taken: str
    given: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class OnnxFile:
    """The inputs and outputs of a file.

    Attributes:
        model: network by the file's own account, else the file's name.
        dtype: of the picture, the states and the results.
        size: width and height of the frames it takes, or None for any.
        states: in the file's order.
        takes_ratio: it has an input ``downsample_ratio``.
        gives_foreground: it has an output ``fgr``.
        ratio: at which it works, if it says so; else 1.
    """

    model: str
    dtype: type[np.floating[Any]]
    size: tuple[int, int] | None
    states: tuple[State, ...]
    takes_ratio: bool
    gives_foreground: bool
    ratio: float

    @property
    def precision(self) -> str:
        return _PRECISIONS[self.dtype]


def check_file(path: Path) -> None:
    """Refuse what is certainly no ONNX file, or not the one whose name it has, in words that help.

    Raises:
        WeightsError: it is another file.
    """
    try:
        if path.is_dir():
            raise WeightsError(f"model {path} is a folder: name an .onnx file")
        with path.open("rb") as file:
            head = file.read(64)
    except FileNotFoundError:
        raise WeightsError(f"model {path} does not exist") from None
    except OSError as error:
        raise WeightsError(f"model {path} cannot be read: {error.strerror or error}") from error
    if not head:
        raise WeightsError(f"model {path} is empty (0 bytes)")
    if head[:2] == b"PK" or path.suffix.lower() in (".pth", ".safetensors"):
        raise WeightsError(
            f"model {path} is a checkpoint or TorchScript, not an ONNX file: make one with "
            "`rvm-live export --format onnx`, or leave --engine out"
        )
    expected = PINNED.get(path.name)
    actual = None if expected is None else sha256_of(file_bytes(path))
    if actual != expected:
        raise WeightsError(
            f"model {path} has the name of the authors' file, but is another one: SHA-256 expected {expected}, "
            f"actual {actual}; fetch it again, or give a file of your own another name"
        )


def read_signature(path: Path, inputs: list[Any], outputs: list[Any], facts: Mapping[str, str]) -> OnnxFile:
    """Sort a file's inputs and outputs.

    Args:
        path: the file, named in messages.
        inputs: with ``name``, ``type`` and ``shape``, as ONNX Runtime describes them.
        outputs: likewise.
        facts: the file's metadata.

    Raises:
        WeightsError: it is not a matting network as RVM's files are; says what it has instead.
    """
    taken, given = {each.name: each for each in inputs}, {each.name: each for each in outputs}
    src, pha = taken.pop("src", None), given.pop("pha", None)
    has = f"it takes {', '.join(each.name for each in inputs)} and gives {', '.join(each.name for each in outputs)}"
    unfit = f"model {path} does not fit: {has}; {_EXPECTED}"
    if src is None or pha is None:
        raise WeightsError(unfit)
    ratio, foreground = taken.pop("downsample_ratio", None), given.pop("fgr", None)
    pairs = {name: name.removesuffix("i") + "o" for name in taken if name.endswith("i")}
    if len(pairs) != len(taken) or set(pairs.values()) != set(given):
        raise WeightsError(unfit)
    dtype = _DTYPES.get(src.type)
    kinds = {each.type for each in (*taken.values(), *given.values(), pha, foreground or pha)}
    if dtype is None or kinds != {src.type}:
        told = ", ".join(sorted({src.type, *kinds}))
        raise WeightsError(f"model {path} computes in {told}: it must use float or float16 throughout")
    if ratio is not None and ratio.type != "tensor(float)":
        raise WeightsError(f"model {path} takes downsample_ratio as {ratio.type}: it must be tensor(float)")
    return OnnxFile(
        model=facts.get("model") or path.name,
        dtype=dtype,
        size=_size(path, src.shape),
        states=tuple(State(name, pairs[name], _start(each.shape)) for name, each in taken.items()),
        takes_ratio=ratio is not None,
        gives_foreground=foreground is not None,
        ratio=_number(facts.get("downsample_ratio")),
    )


def _size(path: Path, shape: list[Any]) -> tuple[int, int] | None:
    fixed = [isinstance(each, int) for each in shape]
    if len(shape) != 4 or (fixed[0] and shape[0] != 1) or (fixed[1] and shape[1] != 3) or fixed[2] != fixed[3]:
        raise WeightsError(f"model {path} takes pictures of shape {shape}: expected [1, 3, H, W]")
    return (shape[3], shape[2]) if fixed[2] else None


def _start(shape: list[Any]) -> tuple[int, ...]:
    if all(isinstance(each, int) for each in shape):
        return tuple(shape)
    return (1,) * len(shape)


def _number(text: str | None) -> float:
    try:
        ratio = float(text or 1)
    except ValueError:
        return 1.0
    return ratio if 0 < ratio <= 1 else 1.0
