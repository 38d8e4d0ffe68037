"""An exported file against the network it was made from, in the runtime it is for."""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from rvm_live.engines.common.cpu_runtime import onnx_options, openvino_options
from rvm_live.engines.common.fixed_network import INPUTS, OUTPUTS, Shape
from rvm_live.engines.common.ladder import state_shapes
from rvm_live.engines.onnx.providers import runtime
from rvm_live.network.network import MattingNetwork
from rvm_live.system.telemetry_off import import_quietly
from rvm_live.weights import LoadedWeights

__all__ = ["FRAMES", "TOLERANCES", "Difference", "differences", "moving_picture"]

FRAMES = 5
"""How many frames of a moving picture are compared, states fed back."""

Run = Callable[[NDArray[np.float32], Sequence[NDArray[Any]]], list[NDArray[Any]]]


@dataclass(frozen=True)
class Difference:
    """How far a file's results are from the plain network's, the worst of all frames.

    Attributes:
        alpha: mean absolute difference, alpha being 0-1.
        foreground: likewise.
        states: likewise; the states lie between -1 and 1.
    """

    alpha: float
    foreground: float
    states: float

    def within(self, limit: Difference) -> bool:
        """Whether nothing is further off than ``limit``; what is not a number is."""
        return self.alpha <= limit.alpha and self.foreground <= limit.foreground and self.states <= limit.states

    def __str__(self) -> str:
        return f"alpha {self.alpha:.1e}, foreground {self.foreground:.1e}, states {self.states:.1e}"


TOLERANCES = {False: Difference(1e-4, 1e-4, 1e-4), True: Difference(2e-3, 4e-3, 1e-2)}
"""half precision -> what is let pass."""


def differences(
    form: str, files: Mapping[str, bytes], weights: LoadedWeights, shape: Shape, frames: int = FRAMES
) -> Difference:
    """Run the file and the plain network side by side.

    Args:
        form: ``onnx``, ``openvino`` or ``torchscript``.
        files: suffix -> content.
        weights: the checkpoint the file was made from.
        shape: what it was made for.
        frames: how many frames of a moving picture.
    """
    network = MattingNetwork(weights.variant, weights.refiner).eval().requires_grad_(False)
    network.load_state_dict(weights.state_dict, strict=True)
    run = {"onnx": _onnx, "openvino": _openvino, "torchscript": _torchscript}[form](files)
    dtype = np.float16 if shape.half and form != "openvino" else np.float32
    theirs: Sequence[NDArray[Any]] = [np.zeros(each, dtype) for each in state_shapes(weights.variant, *shape.low)]
    states: tuple[torch.Tensor | None, ...] = (None,) * 4
    worst = np.zeros(3)
    for picture in moving_picture(shape.width, shape.height, frames):
        src = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], dtype=np.float32) / 255
        with torch.inference_mode():
            fgr, pha, *new = network(torch.from_numpy(src), *states, downsample_ratio=shape.ratio)
        states = tuple(new)
        found = run(src.astype(dtype), theirs)
        theirs = found[2:]
        apart = [_apart(pha, found[1]), _apart(fgr, found[0]), max(map(_apart, new, theirs))]
        worst = np.maximum(worst, apart)  # np.maximum keeps NaN
    return Difference(*(float(value) for value in worst))


def _apart(ours: torch.Tensor, theirs: NDArray[Any]) -> float:
    if tuple(ours.shape) != theirs.shape:
        return float("inf")
    return float(np.abs(ours.numpy() - theirs.astype(np.float32)).mean(dtype=np.float64))


def moving_picture(width: int, height: int, count: int) -> Iterator[NDArray[np.uint8]]:
    """A figure that walks through a textured room: uint8 (height, width, 3) RGB, the same on every machine."""
    random = np.random.default_rng(7)
    small = random.uniform(30, 220, (9, 16, 3)).astype(np.float32)
    room = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    side = min(width, height)
    for number in range(count):
        picture = room.copy()
        x, y = round(width * (0.4 + 0.03 * number)), round(height * 0.4)
        cv2.ellipse(picture, (x, height), (side * 2 // 5, side * 2 // 5), 0, 180, 360, (40, 60, 120), cv2.FILLED)
        cv2.ellipse(picture, (x, y), (max(side // 7, 1), max(side // 5, 1)), 0, 0, 360, (205, 160, 135), cv2.FILLED)
        picture += random.normal(0, 4, (height, width, 1)).astype(np.float32)
        yield np.clip(picture, 0, 255).astype(np.uint8)


def _onnx(files: Mapping[str, bytes]) -> Run:
    ort = runtime()
    session = ort.InferenceSession(files[".onnx"], onnx_options(ort), providers=["CPUExecutionProvider"])

    def run(src: NDArray[np.float32], states: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        return list(session.run(list(OUTPUTS), dict(zip(INPUTS, (src, *states), strict=True))))

    return run


def _openvino(files: Mapping[str, bytes]) -> Run:
    openvino = import_quietly("openvino")

    core = openvino.Core()
    with tempfile.TemporaryDirectory(prefix="rvm-live-") as scratch:
        for suffix, content in files.items():
            (Path(scratch) / f"model{suffix}").write_bytes(content)
        model = core.read_model(Path(scratch) / "model.xml")
        compiled = core.compile_model(model, "CPU", {**openvino_options("f32", cached=False), "ENABLE_MMAP": False})

    def run(src: NDArray[np.float32], states: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        found = compiled(dict(zip(INPUTS, (src, *states), strict=True)))
        return [found[name].copy() for name in OUTPUTS]

    return run


def _torchscript(files: Mapping[str, bytes]) -> Run:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, in several warnings
        module = torch.jit.load(io.BytesIO(files[".torchscript"]), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    # The weights were rounded to half precision; compute in single, because most CPUs take seconds a frame in half.
    module = module.float()

    def run(src: NDArray[np.float32], states: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        # Without the optimisation, which compiles for seconds before the second frame.
        with torch.inference_mode(), torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return [found.numpy() for found in module(*(torch.from_numpy(each).float() for each in (src, *states)))]

    return run
