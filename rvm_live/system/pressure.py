"""Whether other programs wait for the CPU: computed from its load without this process and the processes it has
started, and on Linux by its pressure stall information (https://docs.kernel.org/accounting/psi.html)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rvm_live.core.clock import SYSTEM_CLOCK, Clock

__all__ = ["CpuTimes", "Pressure", "cpu_times"]

OTHERS = 0.2
"""Cores that other programs use at least before they count: a call takes as much, a desktop at rest a tenth of it."""
IDLE = 0.15
"""Largest idle share of the processor at which others wait."""
WAITING = 0.25
"""Least share of the time in which something waits for a core, if the system reports it."""
_EVERY_NS = 1_000_000_000
_STALLS = Path("/proc/pressure/cpu")


@dataclass(frozen=True)
class CpuTimes:
    """Seconds so far; each counter has its own start.

    Attributes:
        busy: of all cores together, by all programs; time that a hypervisor gave to others counts.
        idle: likewise.
        own: of these, by this process and all its descendants; process ID -> seconds.
        stalled: in which something waited for a core; None if the system does not say.
    """

    busy: float
    idle: float
    own: Mapping[int, float]
    stalled: float | None


def cpu_times(stalls: Path = _STALLS) -> CpuTimes:
    """Read the system's counters."""
    import psutil  # type: ignore[import-untyped]

    times = psutil.cpu_times()._asdict()
    idle = times["idle"] + times.get("iowait", 0.0)
    # Guest time is already part of user time.
    busy = sum(seconds for name, seconds in times.items() if name not in ("idle", "iowait", "guest", "guest_nice"))
    return CpuTimes(busy, idle, _own(), _stalled(stalls))


def _own() -> dict[int, float]:
    """Times of this process and its descendants; an ended process counts for its parent, except on Windows."""
    import psutil

    own = {os.getpid(): sum(os.times()[:4])}
    with suppress(psutil.Error, OSError):
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error, OSError):  # the process has ended, or belongs to another user
                own[child.pid] = sum(child.cpu_times()[:4])
    return own


def _stalled(stalls: Path) -> float | None:
    try:
        first = stalls.read_text().split("\n", 1)[0]
        kind, total = first.split()[0], first.rpartition("total=")[2]
        return int(total) / 1e6 if kind == "some" else None
    except (OSError, ValueError, IndexError):
        return None


class Pressure:
    """Whether other programs wait for the CPU now. May be called for every frame; it reads the counters once a second.

    They wait if they use the CPU (:data:`OTHERS`), almost nothing is idle (:data:`IDLE`), and, if the system
    knows, something waits (:data:`WAITING`). This process and its children (which compile the kernels, or
    send a stream) may use the whole CPU.

    Args:
        read: the counters.
        clock: monotonic time.
    """

    def __init__(self, read: Callable[[], CpuTimes] = cpu_times, clock: Clock = SYSTEM_CLOCK) -> None:
        self._read, self._clock = read, clock
        self._before: tuple[int, CpuTimes] | None = None
        self._pressed = False

    def __call__(self) -> bool:
        now_ns = self._clock.now_ns()
        if self._before is not None and now_ns - self._before[0] < _EVERY_NS:
            return self._pressed
        now = self._read()
        if self._before is not None:
            self._pressed = self._between(self._before[1], now, (now_ns - self._before[0]) / 1e9)
        self._before = now_ns, now
        return self._pressed

    @staticmethod
    def _between(before: CpuTimes, now: CpuTimes, seconds: float) -> bool:
        busy, idle = now.busy - before.busy, now.idle - before.idle
        if before.own.keys() - now.own.keys():
            return False  # one process has ended: its last time is unknown
        others = busy - sum(taken - before.own.get(number, 0.0) for number, taken in now.own.items())
        if busy + idle <= 0 or others < OTHERS * seconds or idle > IDLE * (busy + idle):
            return False
        if now.stalled is None or before.stalled is None:
            return True
        return now.stalled - before.stalled >= WAITING * seconds
