"""Device handling of the torch engines: choice, name, and CUDA streams."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rvm_live.core import transfer
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EngineError, SettingsError, UnavailableError, words_of
from rvm_live.core.frames import Matte
from rvm_live.system.cpu_info import cpu_name

__all__ = [
    "Lane",
    "choose_device",
    "choose_precision",
    "device_name",
    "downsample_ratio",
    "free_cache",
    "limit_memory",
]

_log = logging.getLogger("rvm_live")

_LOWEST_SIDE = 16


def choose_device(asked: str) -> torch.device:
    """Choose the device.

    Args:
        asked: ``auto`` (CUDA, then MPS, then the CPU), ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.

    Raises:
        UnavailableError: it is not available; says why.
    """
    if asked == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if asked.startswith(("intel-gpu", "npu")):
        raise UnavailableError(
            f"device {asked} only works with --engine openvino: choose auto, cpu, mps, cuda or cuda:N"
        )
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
        UnavailableError: bfloat16 or int8 was asked for.
    """
    if asked == "bf16":
        raise UnavailableError("precision bf16 only works with --engine openvino on a CPU that has it: choose auto")
    if asked == "int8":
        raise UnavailableError("precision int8 only works with --engine openvino on a CPU: choose auto")
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
        EngineError: the ratio leaves nothing of the frame.
    """
    if asked is None:
        # The rule of 512, but a very long strip keeps enough of its short side for the network's deepest level.
        return min(max(512 / max(width, height), _LOWEST_SIDE / min(width, height)), 1.0)
    if min(width, height) * asked < 1:
        raise EngineError(f"downsample ratio {asked:g} is too small for a {width}x{height} frame: choose a larger one")
    return asked


def free_cache(device: str) -> None:
    """Give GPU memory that torch caches back to other programs. Never raises: after a CUDA error
    every call fails with that same error, which was reported already.

    Args:
        device: torch device string; nothing is kept but on CUDA and MPS.
    """
    try:
        if device.startswith("cuda"):
            torch.cuda.empty_cache()
        elif device.startswith("mps"):
            torch.mps.empty_cache()
    except RuntimeError as error:
        _log.debug("the memory of %s cannot be freed: %s", device, words_of(error))


def limit_memory(limit: int, asked: str) -> str | None:
    """Limit torch's share of a GPU's memory for this process.

    Args:
        limit: bytes.
        asked: device as in :func:`choose_device`.

    Returns:
        Why the limit has no effect; None if it has.

    Raises:
        UnavailableError: the device is not there.
    """
    device = choose_device(asked)
    if device.type != "cuda":
        return f"--memory-limit is for GPU memory: on {device.type} it has no effect"
    total = torch.cuda.get_device_properties(device).total_memory
    if limit >= total:
        return f"--memory-limit is more than the {total / 1e9:.1f} GB of {device_name(device)}: it has no effect"
    torch.cuda.set_per_process_memory_fraction(limit / total, device)
    return None


class Lane:
    """An engine's own CUDA streams: one for the way up, one for the work. On other devices it does nothing.

    Args:
        device: where the engine works.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.lands = device.type == "mps"
        self.stream: Any = None
        if device.type == "cuda":
            self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            self._uplink = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._before: Any = None

    @contextmanager
    def work(self) -> Iterator[None]:
        """A context in which kernels go to the lane, with autograd off."""
        with torch.inference_mode(), torch.cuda.stream(self.stream):
            yield

    def begin(self) -> Any:
        """An event that marks the start of a frame; None without CUDA."""
        if self.stream is None:
            return None
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(self._uplink)
        return event

    def upload(self, image: NDArray[np.uint8]) -> torch.Tensor:
        """Bring a picture up, while the lane may still be at work on the one before."""
        if self.stream is None:
            return transfer.upload(image, self._device)
        with torch.cuda.stream(self._uplink):
            tensor = transfer.upload(image, self._device)
        self.stream.wait_stream(self._uplink)
        tensor.record_stream(self.stream)
        return tensor

    def hand_over(self, begun: Any) -> tuple[Any, Callable[[], int] | None]:
        """End a frame that :meth:`begin` began, without waiting for it.

        Waits for the frame before instead (for its event alone, never for the device): so the GPU always has the next
        frame at hand when it is done with one, and never more than that.

        Returns:
            The event that is done when the frame is, and a function that waits for it and tells how many nanoseconds
            the frame took since its beginning; None and None without CUDA.
        """
        if self.stream is None:
            return None, None
        ready = torch.cuda.Event(enable_timing=True, blocking=True)  # type: ignore[no-untyped-call]
        ready.record(self.stream)
        before, self._before = self._before, ready
        if before is not None:
            before.synchronize()

        def elapsed_ns() -> int:
            ready.synchronize()
            return int(begun.elapsed_time(ready) * 1e6)

        return ready, elapsed_ns

    def told(self, flag: torch.Tensor) -> torch.Tensor:
        """Start copying a flag of the present frame to main memory; it is there once the lane has reached that
        point."""
        return flag.to("cpu", non_blocking=self.stream is not None)

    def landed(self, mattes: list[Matte]) -> list[Matte]:
        """The mattes; on MPS brought to main memory: only one thread may use MPS, and otherwise only the launch of the
        work would be measured."""
        if not self.lands:
            return mattes
        hosts = [matte.host() for matte in mattes]
        now_ns = SYSTEM_CLOCK.now_ns()
        return [
            replace(
                matte,
                alpha=host.alpha,
                foreground=None if matte.foreground is None else host.colour,
                image=None,
                finished_ns=now_ns,
            )
            for matte, host in zip(mattes, hosts, strict=True)
        ]

    def finish(self) -> Any:
        """Wait until the lane's work so far is done; its event, or None without CUDA."""
        if self.stream is None:
            return None
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(self.stream)
        event.synchronize()
        return event
