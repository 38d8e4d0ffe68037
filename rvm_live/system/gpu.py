"""Load, memory and temperature of the GPU, read through NVML (the NVIDIA Management Library); only this module uses it.

A card is read only if it does the work: one that is read every second does not go to sleep, which empties a
laptop's battery for nothing.

Nothing here raises if there is no NVIDIA GPU, driver or library: :func:`read` then returns None and
:func:`why_not` tells the reason.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from rvm_live.core.clock import SYSTEM_CLOCK, Clock

__all__ = ["Card", "GpuReading", "GpuSampler", "card", "read", "rest", "why_not"]

_log = logging.getLogger("rvm_live.system.gpu")

Card = int | str | None
"""NVML's index, or the card's UUID; None: no card that NVML knows does the work, and none is looked at."""

RETRY_SECONDS = 5.0
"""After a failure NVML is left alone for this long."""


@dataclass(frozen=True)
class GpuReading:
    """One moment of one GPU. None: this card or driver does not report it.

    Attributes:
        name: e.g. ``NVIDIA GeForce RTX 4070``.
        driver: version of the driver.
        utilisation: share of the last sample period in which a kernel ran, percent.
        memory_used: bytes, by all programs.
        memory_total: bytes.
        temperature: degrees Celsius.
        power: watts.
        clock: graphics clock, MHz.
        memory_clock: memory clock, MHz.
    """

    name: str
    driver: str | None = None
    utilisation: int | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    temperature: int | None = None
    power: float | None = None
    clock: int | None = None
    memory_clock: int | None = None


class _Nvml:
    """The library, loaded and initialised at most once until it fails."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._nvml: Any = None
        self._failed_ns: int | None = None
        self._reason: str | None = None
        self._driver: str | None = None
        self._handles: dict[int | str, Any] = {}

    def read(self, device: Card) -> GpuReading | None:
        with self._lock:
            if device is None or not self._ready():
                return None
            try:
                return self._read(device)
            except Exception as error:
                self._fail(f"NVML failed: {error}")
                return None

    def rest(self) -> None:
        with self._lock:
            if self._nvml is not None:
                self._close()

    def why_not(self, device: Card) -> str | None:
        if device is None:
            return "no NVIDIA GPU is in use"
        if self.read(device) is not None:
            return None
        with self._lock:
            return self._reason

    def _ready(self) -> bool:
        if self._nvml is not None:
            return True
        now = self._clock.now_ns()
        if self._failed_ns is not None and now - self._failed_ns < RETRY_SECONDS * 1e9:
            return False
        try:
            import pynvml
        except ImportError as error:
            self._fail(f"the Python package nvidia-ml-py cannot be imported: {error}")
            return False
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            self._fail(_explain(pynvml, error))
            return False
        except Exception as error:  # another or a damaged library under NVML's name
            self._fail(f"NVML does not start: {error}")
            return False
        self._nvml, self._reason, self._failed_ns = pynvml, None, None
        self._driver = self._ask(lambda: _text(pynvml.nvmlSystemGetDriverVersion()))
        return True

    def _close(self) -> None:
        if self._nvml is not None:
            with suppress(Exception):
                self._nvml.nvmlShutdown()
        self._nvml = None
        self._handles.clear()

    def _fail(self, reason: str) -> None:
        self._close()
        self._reason, self._failed_ns = reason, self._clock.now_ns()
        _log.debug("the GPU cannot be monitored: %s", reason)

    def _ask(self, question: Callable[[], Any]) -> Any:
        """The answer, or None if the card or driver has none."""
        nvml = self._nvml
        try:
            return question()
        except nvml.NVMLError as error:
            if error.value in (nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_UNINITIALIZED):
                raise
            return None

    def _read(self, device: int | str) -> GpuReading:
        nvml, ask = self._nvml, self._ask
        handle = self._handles.get(device)
        if handle is None:
            handle = self._handles[device] = self._found(device)
        memory = ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        milliwatts = ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        return GpuReading(
            name=ask(lambda: _text(nvml.nvmlDeviceGetName(handle))) or "NVIDIA GPU",
            driver=self._driver,
            utilisation=ask(lambda: int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)),
            memory_used=None if memory is None else int(memory.used),
            memory_total=None if memory is None else int(memory.total),
            temperature=ask(lambda: int(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))),
            power=None if milliwatts is None else milliwatts / 1000,
            clock=ask(lambda: int(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_GRAPHICS))),
            memory_clock=ask(lambda: int(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM))),
        )

    def _found(self, device: int | str) -> Any:
        nvml = self._nvml
        if isinstance(device, int):
            return nvml.nvmlDeviceGetHandleByIndex(device)
        if device.startswith(("GPU-", "MIG-")):
            return nvml.nvmlDeviceGetHandleByUUID(device)
        try:
            return nvml.nvmlDeviceGetHandleByUUID(f"GPU-{device}")
        except nvml.NVMLError:  # torch omits the prefix: then it is a part of a card
            return nvml.nvmlDeviceGetHandleByUUID(f"MIG-{device}")


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _explain(nvml: Any, error: Any) -> str:
    if error.value == nvml.NVML_ERROR_LIBRARY_NOT_FOUND:
        return "no NVIDIA driver is installed (the NVML library is not there)"
    if error.value == nvml.NVML_ERROR_DRIVER_NOT_LOADED:
        return "the NVIDIA driver is installed but not loaded"
    return f"NVML does not start: {error}"


_nvml = _Nvml()


def card(device: str) -> Card:
    """NVML's card for a torch device. CUDA counts the cards visible to it, the fastest first; NVML counts all.

    Args:
        device: ``cuda:N``, or as it was asked for: for ``cuda``, and for ``auto`` once this process uses CUDA, the card
            is the one that torch takes.
    """
    kind, _, number = device.partition(":")
    torch = sys.modules.get("torch")
    if kind not in ("cuda", "auto") or (kind == "auto" and (torch is None or not torch.cuda.is_initialized())):
        return None
    torch = torch or import_module("torch")
    if torch.cuda.is_available():
        known = torch.cuda.get_device_properties(int(number) if number else torch.cuda.current_device())
        if hasattr(known, "uuid"):  # since torch 2.5
            return str(known.uuid)
    # With several cards of different speed this order is a guess.
    visible = [each.strip() for each in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if each.strip()]
    index = int(number or 0)
    named = visible[index] if index < len(visible) else str(index)
    return int(named) if named.isdecimal() else named


def rest() -> None:
    """Close the library until the next reading: while it is open, a card may not sleep."""
    _nvml.rest()


def read(device: Card = 0) -> GpuReading | None:
    """Read one GPU; costs a few driver calls (milliseconds at worst), so not for every frame.

    Args:
        device: for the one that torch uses, :func:`card` tells.

    Returns:
        None if nothing can be read; :func:`why_not` gives the reason.
    """
    return _nvml.read(device)


def why_not(device: Card = 0) -> str | None:
    """One line telling why nothing can be read, or None if it can."""
    return _nvml.why_not(device)


class GpuSampler:
    """Reads a GPU once a second in the background, so that the overlay never waits for a driver.

    Args:
        which: called before every reading, because the card may change; the library is closed while it returns None.
        interval: seconds between readings, at least 1 in use.
        reader: what reads; replaced in tests.
    """

    def __init__(
        self,
        which: Callable[[], Card] = lambda: 0,
        *,
        interval: float = 1.0,
        reader: Callable[[Card], GpuReading | None] = read,
    ) -> None:
        self._which = which
        self._interval = interval
        self._reader = reader
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._latest: GpuReading | None = None

    @property
    def latest(self) -> GpuReading | None:
        """The newest reading; None if there is none (yet)."""
        return self._latest

    def start(self) -> None:
        """Take a first reading and continue in the background."""
        if self._thread is None:
            self._take()
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="rvm-gpu", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the background thread; the last reading is dropped."""
        thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None:
            thread.join(5.0)  # a driver that hangs must not block us: the thread is a daemon
        self._latest = None

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            self._take()

    def _take(self) -> None:
        which = self._which()
        if which is None:
            rest()
        self._latest = None if which is None else self._reader(which)
