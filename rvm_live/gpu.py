"""What the GPU is doing, read through NVML (the NVIDIA Management Library); the only module that touches it.

Nothing here raises where there is no NVIDIA GPU, no driver or no library: :func:`read` then gives None and
:func:`why_not` tells the reason.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from rvm_live.clock import SYSTEM_CLOCK, Clock

__all__ = ["GpuReading", "GpuSampler", "read", "why_not"]

_log = logging.getLogger("rvm_live.gpu")

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

    def read(self, device: int | str) -> GpuReading | None:
        with self._lock:
            if not self._ready():
                return None
            try:
                return self._read(device)
            except Exception as error:
                self._fail(f"NVML failed: {error}")
                return None

    def why_not(self, device: int | str) -> str | None:
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
        except Exception as error:  # a foreign or damaged library under NVML's name
            self._fail(f"NVML does not start: {error}")
            return False
        self._nvml, self._reason, self._failed_ns = pynvml, None, None
        self._driver = self._ask(lambda: _text(pynvml.nvmlSystemGetDriverVersion()))
        return True

    def _fail(self, reason: str) -> None:
        if self._nvml is not None:
            with suppress(Exception):
                self._nvml.nvmlShutdown()
        self._nvml, self._reason, self._failed_ns = None, reason, self._clock.now_ns()
        self._handles.clear()
        _log.debug("no GPU readings: %s", reason)

    def _ask(self, question: Callable[[], Any]) -> Any:
        """The answer, or None where the card or driver has none."""
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
            if isinstance(device, int):
                handle = nvml.nvmlDeviceGetHandleByIndex(device)
            else:
                uuid = device if device.startswith(("GPU-", "MIG-")) else f"GPU-{device}"
                handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
            self._handles[device] = handle
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


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _explain(nvml: Any, error: Any) -> str:
    if error.value == nvml.NVML_ERROR_LIBRARY_NOT_FOUND:
        return "no NVIDIA driver is installed (the NVML library is not there)"
    if error.value == nvml.NVML_ERROR_DRIVER_NOT_LOADED:
        return "the NVIDIA driver is installed but not loaded"
    return f"NVML does not start: {error}"


_nvml = _Nvml()


def read(device: int | str = 0) -> GpuReading | None:
    """Read one GPU; costs a few driver calls (milliseconds at worst), so not for every frame.

    Args:
        device: NVML's index, or the card's UUID. CUDA may count differently from NVML (``CUDA_VISIBLE_DEVICES``,
            fastest first): for the card torch uses, pass ``str(torch.cuda.get_device_properties(i).uuid)``.

    Returns:
        None where nothing can be read; :func:`why_not` tells the reason.
    """
    return _nvml.read(device)


def why_not(device: int | str = 0) -> str | None:
    """One line telling why nothing can be read, or None if it can."""
    return _nvml.why_not(device)


class GpuSampler:
    """Reads a GPU once a second in the background, so that the overlay never waits for a driver.

    Args:
        device: as for :func:`read`.
        interval: seconds between readings, at least 1 in use.
        reader: what reads; replaced in tests.
    """

    def __init__(
        self, device: int | str = 0, *, interval: float = 1.0, reader: Callable[[int | str], GpuReading | None] = read
    ) -> None:
        self._device = device
        self._interval = interval
        self._reader = reader
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._latest: GpuReading | None = None

    @property
    def latest(self) -> GpuReading | None:
        """The newest reading; None where there is none (yet)."""
        return self._latest

    def start(self) -> bool:
        """Take a first reading and go on in the background; without NVML no thread is started.

        Returns:
            Whether readings will come.
        """
        if self._thread is not None:
            return True
        self._latest = self._reader(self._device)
        if self._latest is None:
            return False
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="rvm-gpu", daemon=True)
        self._thread.start()
        return True

    def stop(self) -> None:
        """End the background thread; the last reading goes."""
        thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None:
            thread.join(5.0)  # a driver that hangs must not hang us: the thread is a daemon
        self._latest = None

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            self._latest = self._reader(self._device)
