"""What every torch engine needs from a device: choosing it, naming it, and a CUDA stream of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from rvm_live.engines.host import cpu_name
from rvm_live.errors import EngineError, SettingsError, UnavailableError

__all__ = ["Lane", "choose_device", "choose_precision", "device_name", "downsample_ratio", "one_line"]

_LOWEST_SIDE = 16


def choose_device(asked: str) -> torch.device:
    """The device to work on.

    Args:
        asked: ``auto`` (CUDA, then MPS, then the CPU), ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.

    Raises:
        UnavailableError: it is not there; says why.
    """
    if asked == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(asked)
    if device.type == "cuda":
        if torch.version.cuda is None and torch.version.hip is None:
            raise UnavailableError(f"device {asked} is not available: this torch ({torch.__version__}) has no CUDA")
        if not torch.cuda.is_available():
            raise UnavailableError(f"device {asked} is not available: torch finds no CUDA device or driver")
        count = torch.cuda.device_count()
        if device.index is not None and device.index >= count:
            there = "the only one is cuda:0" if count == 1 else f"there are cuda:0 to cuda:{count - 1}"
            raise UnavailableError(f"device {asked} is not available: {there}")
        return torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UnavailableError("device mps is not available: it needs a Mac with Apple silicon and its build of torch")
    return device


def choose_precision(asked: str, device: torch.device) -> str:
    """``fp16`` or ``fp32``. ``auto`` takes half precision where the GPU is fast at it (compute capability 7).

    Raises:
        SettingsError: half precision was asked of the CPU.
        UnavailableError: bfloat16 was asked for.
    """
    if asked == "bf16":
        raise UnavailableError("precision bf16 belongs to --engine openvino on a CPU that has it: choose auto")
    if asked == "fp16" and device.type == "cpu":
        raise SettingsError("precision fp16 needs a GPU, but the engine runs on the cpu: choose fp32 or auto")
    if asked != "auto":
        return asked
    fast = device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 7
    return "fp16" if fast else "fp32"


def device_name(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    if device.type == "mps":
        return "Apple GPU"
    return cpu_name()


def downsample_ratio(asked: float | None, width: int, height: int) -> float:
    """The ratio to work at: as asked, else the published rule ``min(512 / max(H, W), 1)``.

    Raises:
        EngineError: as asked, nothing would be left of the frame.
    """
    if asked is None:
        # The rule, but a very long strip keeps enough of its short side for the deepest level.
        return min(max(512 / max(width, height), _LOWEST_SIDE / min(width, height)), 1.0)
    if min(width, height) * asked < 1:
        raise EngineError(f"downsample ratio {asked:g} leaves nothing of a {width}x{height} frame: choose a larger one")
    return asked


def one_line(error: BaseException) -> str:
    """The gist of a third party's error: its type and the first line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # TorchScript wraps the reason in a traceback of its own and puts it last.
    gist = lines[-1] if lines and "torchscript" in lines[0].lower() else (lines[0] if lines else "")
    kind = type(error).__name__
    gist = gist.removeprefix(f"{kind}: ")[:300]
    return f"{kind}: {gist}" if gist else kind


class Lane:
    """An engine's own CUDA stream; on other devices it does nothing.

    Args:
        device: where the engine works.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream: Any = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    @contextmanager
    def work(self) -> Iterator[None]:
        """Kernels launched inside go to the lane, with autograd off."""
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            yield

    def finish(self) -> Any:
        """Wait until the lane's work so far is done; its event, or None without CUDA.

        Waiting here (for this event alone, never for the device) keeps the matting thread from queueing frames
        faster than the GPU does them, and makes the time stamps those of the work and not of its launch.
        """
        if self._stream is None:
            return None
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(self._stream)
        event.synchronize()
        return event
