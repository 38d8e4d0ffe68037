"""Protects the machine from heat during a stress test."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.system import gpu

__all__ = ["Guard", "temperature"]

_LOOK_NS = 1_000_000_000
_NEAR = 3.0
_COOLED = 5.0
_TOO_HOT = 5.0
_PATIENCE_S = 60.0
_SLICE_S = 0.5


def temperature(device: str) -> float | None:
    """Degrees Celsius of the GPU, or of the hottest part of the CPU; None if unknown."""
    if device.startswith("cuda"):
        reading = gpu.read(gpu.card(device))
        return None if reading is None or reading.temperature is None else float(reading.temperature)
    import psutil  # type: ignore[import-untyped]

    sensors = getattr(psutil, "sensors_temperatures", None)
    if sensors is None:
        return None
    parts = [each.current for name, group in sensors().items() for each in group if "gpu" not in name.lower()]
    return max((value for value in parts if 0 < value < 150), default=None)


class Guard:
    """Called between two pieces of work: continues, slows down, or ends the test.

    From 3 degrees below the limit on, a fifth of the time is spent waiting. At the limit the work pauses until it has
    cooled by 5. Where that does not happen within a minute, or 5 above the limit are reached, the test is over.

    Args:
        limit: degrees Celsius.
        read: tells the temperature, or None.
        stopped: ends every wait.
        clock: monotonic time.

    Attributes:
        hottest: degrees so far; None if unknown.
        paused_s: seconds spent waiting.
        reason: why the test is over; empty while it is not.
    """

    def __init__(
        self,
        limit: float,
        read: Callable[[], float | None],
        stopped: threading.Event,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.limit = limit
        self.hottest: float | None = None
        self.paused_s = 0.0
        self.reason = ""
        self._read, self._stopped, self._clock = read, stopped, clock
        self._next_ns = 0

    def may_go_on(self) -> bool:
        """Whether to do the next piece of work; waits where it is hot."""
        if self.reason or self._stopped.is_set():
            return False
        now_ns = self._clock.now_ns()
        if now_ns < self._next_ns:
            return True
        self._next_ns = now_ns + _LOOK_NS
        degrees = self._look()
        if degrees is None or degrees < self.limit - _NEAR:
            return True
        if degrees < self.limit:
            self._wait(0.25)
            return not self._stopped.is_set()
        return self._cooled(degrees)

    def _look(self) -> float | None:
        degrees = self._read()
        if degrees is not None:
            self.hottest = degrees if self.hottest is None else max(self.hottest, degrees)
        return degrees

    def _cooled(self, degrees: float) -> bool:
        waited = 0.0
        now: float | None = degrees
        while now is not None and now > self.limit - _COOLED:
            if now >= self.limit + _TOO_HOT:
                self.reason = f"stopped at {now:.0f} degrees, the limit is {self.limit:.0f}"
                return False
            if waited >= _PATIENCE_S:
                self.reason = f"stopped: it did not cool below {self.limit - _COOLED:.0f} degrees within a minute"
                return False
            if self._stopped.is_set():
                return False
            self._wait(_SLICE_S)
            waited += _SLICE_S
            now = self._look()
        return True

    def _wait(self, seconds: float) -> None:
        self._clock.sleep(seconds)
        self.paused_s += seconds
