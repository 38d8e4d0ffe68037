"""A user's own TorchScript model as an engine."""

from __future__ import annotations

import io
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from rvm_live.core import transfer
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EngineError, WeightsError, told_as, words_of
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo
from rvm_live.engines.common.device import (
    Lane,
    choose_device,
    choose_precision,
    device_name,
    downsample_ratio,
    free_cache,
)
from rvm_live.engines.common.ladder import choose_side, median_ms, ratio_of
from rvm_live.engines.focus.motion_gate import StillGate
from rvm_live.system.folders import at_home
from rvm_live.weights.files import file_bytes

__all__ = ["TorchScriptEngine"]

_WARM_UP_FRAMES = 3  # TorchScript profiles the first two runs and compiles for the third
_PRECISIONS = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16", torch.float64: "fp64"}


class TorchScriptEngine(Engine):
    """Runs a TorchScript file (``settings.weights``) that estimates alpha.

    What ``forward`` may take, in this order, decided by its schema:

    1. ``src``: (1, 3, H, W), RGB in 0-1, in the precision of the model's own parameters.
    2. Any number of further tensor arguments: recurrent states. At the start of a sequence an optional one gets
       None, one that is not optional gets zeros of shape (1, 1, 1, 1), as the official ONNX files do. Afterwards
       each gets what the model returned for it.
    3. An argument called ``downsample_ratio``, a number or a tensor: the ratio from the settings, else the
       published rule. A model without it sees the whole frame and may shrink it as it likes.
    4. Arguments with defaults, which are left alone.

    What it may return, with S recurrent states: S + 1 tensors are alpha and the states; S + 2 are foreground,
    alpha and the states (as the official RVM TorchScript files return them). A single tensor is alpha. Alpha is
    floating point, (1, 1, h, w), (1, h, w) or (h, w), in 0-1; foreground is (1, 3, h, w) or (3, h, w), RGB in 0-1.
    Values outside are clamped. If h x w is not the frame's size, both are scaled to it bilinearly.
    """

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        name = "" if settings.weights is None else settings.weights.name
        self._info = EngineInfo("torchscript", name, settings.device, "", settings.precision)
        self._model: Any = None
        self._states: list[Tensor | None] | None = None
        self._size: tuple[int, int] | None = None
        self._ratio = 1.0
        self._side: int | None = None
        self._gate = StillGate() if settings.keep_up and settings.gate_wanted else None
        self._last: tuple[Tensor, Tensor | None] | None = None

    def open(self) -> EngineInfo:
        if self.settings.weights is None:
            raise WeightsError("--engine torchscript needs a model: name it with --weights MODEL.pt")
        path = at_home(self.settings.weights)
        self._device = choose_device(self.settings.device)
        model = _load(path, self._device)
        if self.settings.precision != "auto":
            choose_precision(self.settings.precision, self._device)
            model = model.to(torch.float16 if self.settings.precision == "fp16" else torch.float32)
        floating = [p.dtype for p in (*model.parameters(), *model.buffers()) if p.is_floating_point()]
        self._dtype = floating[0] if floating else torch.float32
        self._read_schema(path, model)
        self._lane = Lane(self._device)
        self._model = model
        precision = _PRECISIONS.get(self._dtype, str(self._dtype))
        self._info = EngineInfo("torchscript", path.name, str(self._device), device_name(self._device), precision)
        return self._info

    def _read_schema(self, path: Path, model: Any) -> None:
        """Sort the arguments of ``forward`` into picture, states and ratio."""
        arguments = list(model.forward.schema.arguments)[1:]
        if not arguments or not str(arguments[0].type).startswith("Tensor"):
            raise WeightsError(f"model {path} is not usable: forward must take the picture, a tensor, as its first")
        self._optional: list[bool] = []
        self._names: list[str] = []
        self._ratio_kind = ""
        for argument in arguments[1:]:
            kind = str(argument.type)
            if argument.name == "downsample_ratio":
                self._ratio_kind = "tensor" if "Tensor" in kind else "number"
            elif kind in ("Tensor", "Optional[Tensor]"):
                self._optional.append(kind != "Tensor")
                self._names.append(argument.name)
            elif not argument.has_default_value():
                raise WeightsError(
                    f"model {path} is not usable: forward wants {argument.name!r} ({kind}), which rvm-live "
                    "cannot give it"
                )

    @property
    def info(self) -> EngineInfo:
        return self._info if self._gate is None else replace(self._info, focus=self._gate.words)

    def prepare(self, width: int, height: int) -> None:
        """Run the model on a black picture: that decides whether its results can be used, and lets it optimise itself.

        Raises:
            EngineError: the model fails, or returns something else than described above.
        """
        try:
            if self._ratio_kind and self.settings.keep_up and self.settings.downsample_ratio is None:
                self._side = choose_side(width, height, lambda side: self._taken_ms(width, height, side))
                self._size = None
            for _ in range(_WARM_UP_FRAMES):
                self._blank(width, height)
        finally:
            self.reset()

    def _taken_ms(self, width: int, height: int, side: int) -> float:
        """Time of a frame for a longer side of the network's picture, milliseconds."""
        self._side, self._size = side, None
        return median_ms(lambda: self._blank(width, height))

    def _blank(self, width: int, height: int) -> None:
        self._guarded(lambda: torch.zeros((height, width, 3), dtype=torch.uint8, device=self._device))

    def reset(self) -> None:
        self._states = self._last = None
        if self._gate is not None:
            self._gate.reset()

    def matte(self, frame: Frame) -> Matte:
        started_ns = SYSTEM_CLOCK.now_ns()
        if self._size != (frame.width, frame.height):
            self.reset()
        found = self._last if self._gate is not None and self._gate.still(frame.image) else None
        image, alpha, foreground, ready = self._guarded(lambda: transfer.upload(frame.image, self._device), found)
        self._last = alpha, foreground
        stamps = started_ns, SYSTEM_CLOCK.now_ns()
        matte = Matte(frame, alpha, foreground, image, ready, *stamps, spared=found is not None)
        return self._lane.landed([matte])[0]

    def close(self) -> None:
        self._model = None
        self._states = self._last = None
        free_cache(self._info.device)

    def _guarded(
        self, picture: Any, found: tuple[Tensor, Tensor | None] | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None, Any]:
        """Estimate on the lane, or take what was ``found`` already; whatever the model throws becomes one line."""
        if self._model is None:
            raise EngineError("the engine is not open")
        try:
            with self._lane.work():
                image: Tensor = picture()
                alpha, foreground = self._estimate(image) if found is None else found
                return image, alpha, foreground, self._lane.finish()
        except EngineError:
            self.reset()
            raise
        except Exception as error:  # a scripted model may raise anything
            self.reset()
            raise EngineError(f"model {self._info.model} failed on {self._device}: {words_of(error)}") from error

    def _estimate(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        """uint8 (H, W, 3) BGR -> alpha (H, W) and foreground (H, W, 3) BGR, float32 in 0-1, or None."""
        height, width = int(image.shape[0]), int(image.shape[1])
        if self._size != (width, height):
            self.reset()
            self._size = (width, height)
            if self._ratio_kind:
                asked = self.settings.downsample_ratio
                asked = asked if self._side is None else ratio_of(self._side, width, height)
                self._ratio = downsample_ratio(asked, width, height)
            self._info = self._info.at_ratio(self._ratio)
        src = image.permute(2, 0, 1)[None].flip(1).to(self._dtype, memory_format=torch.contiguous_format).div_(255)
        keywords: dict[str, Any] = dict(zip(self._names, self._states or self._start(), strict=True))
        if self._ratio_kind:
            number = self._ratio_kind == "number"
            keywords["downsample_ratio"] = (
                self._ratio if number else torch.tensor([self._ratio], dtype=torch.float32, device=self._device)
            )
        foreground, alpha, self._states = self._sort(self._model(src, **keywords))
        if not torch.isfinite(alpha.sum(dtype=torch.float32)):
            raise EngineError(f"model {self._info.model} returns NaN or infinite values on {self._device}")
        alpha = _fitted(alpha.reshape(1, 1, *alpha.shape[-2:]), height, width)
        if foreground is None:
            return alpha[0, 0], None
        foreground = _fitted(foreground.reshape(1, 3, *foreground.shape[-2:]), height, width)
        return alpha[0, 0], foreground[0].flip(0).permute(1, 2, 0)

    def _start(self) -> list[Tensor | None]:
        zero = torch.zeros((1, 1, 1, 1), dtype=self._dtype, device=self._device)
        return [None if optional else zero for optional in self._optional]

    def _sort(self, returned: Any) -> tuple[Tensor | None, Tensor, list[Tensor | None]]:
        """What the model returned -> foreground or None, alpha, states."""
        outputs = [returned] if isinstance(returned, Tensor) else returned
        if not isinstance(outputs, (tuple, list)) or not all(isinstance(output, Tensor) for output in outputs):
            kind = type(returned).__name__
            raise EngineError(f"model {self._info.model} returns a {kind}: it must return a tensor or several tensors")
        count, states = len(outputs), len(self._names)
        if count not in (states + 1, states + 2):
            raise EngineError(
                f"model {self._info.model} takes {states} recurrent states and returns {count} tensors: "
                f"expected {states + 1} (alpha, states) or {states + 2} (foreground, alpha, states)"
            )
        foreground = outputs[0] if count == states + 2 else None
        alpha = outputs[count - states - 1]
        self._check(alpha, "alpha", ((1, 1), (1,), ()))
        if foreground is not None:
            self._check(foreground, "foreground", ((1, 3), (3,)))
        return foreground, alpha, list(outputs[count - states :])

    def _check(self, tensor: Tensor, what: str, leading: tuple[tuple[int, ...], ...]) -> None:
        if tuple(tensor.shape[:-2]) not in leading or tensor.dim() < 2 or 0 in tensor.shape:
            shapes = " or ".join(str([*lead, "H", "W"]).replace("'", "") for lead in leading)
            raise EngineError(
                f"model {self._info.model} returns {what} of shape {list(tensor.shape)}: expected {shapes}"
            )
        if not tensor.is_floating_point():
            raise EngineError(f"model {self._info.model} returns {what} as {tensor.dtype}: expected floating point")


def _fitted(tensor: Tensor, height: int, width: int) -> Tensor:
    tensor = tensor.float()
    if tuple(tensor.shape[-2:]) != (height, width):
        tensor = functional.interpolate(tensor, (height, width), mode="bilinear", align_corners=False)
    return tensor.clamp(0, 1)


def _load(path: Path, device: torch.device) -> Any:
    """Read a TorchScript file.

    Raises:
        WeightsError: it is not a TorchScript file.
    """
    data = file_bytes(path)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        what = "truncated or damaged" if data[:2] == b"PK" else "not a TorchScript model"
        raise WeightsError(f"model {path} is {what}: save one with torch.jit.save") from error
    if not any("/code/" in name for name in names):
        hint = "a checkpoint: run it with --engine rvm" if any(n.endswith("data.pkl") for n in names) else "an archive"
        raise WeightsError(f"model {path} is not a TorchScript model but {hint}")
    unreadable = told_as(WeightsError, f"model {path} cannot be read as TorchScript", of=(RuntimeError, ValueError))
    with unreadable, warnings.catch_warnings():
        # Deprecated for making new models; here models that people already have are read.
        for kind in (DeprecationWarning, FutureWarning):  # which of the two depends on the version of torch
            warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated", category=kind)
        return torch.jit.load(io.BytesIO(data), map_location=device).eval()  # type: ignore[no-untyped-call]
