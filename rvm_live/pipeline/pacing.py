"""Holding a steady rate without drift."""

from __future__ import annotations

__all__ = ["Pacer"]


class Pacer:
    """Says when the next picture may be shown so that the rate never passes a limit.

    The virtual-scheduling form of the generic cell rate algorithm (ITU-T I.371): a theoretical arrival time moves on by
    exactly one period per picture, so the long-run rate is exact and errors do not add up; a picture may come up
    to half a period early, so that a source of the very same rate with some jitter passes without waiting; and
    a slower source never waits, and cannot save up time for a burst.

    Args:
        fps: pictures per second at most, above 0.
    """

    def __init__(self, fps: float) -> None:
        if fps <= 0:
            raise ValueError(f"fps must be above 0, got {fps}")
        self.period_ns = 1e9 / fps
        self._due_ns: float | None = None

    def wait_ns(self, now_ns: int) -> int:
        """Nanoseconds until a picture may be shown; 0 if it may be now."""
        if self._due_ns is None:
            return 0
        return max(0, round(self._due_ns - self.period_ns / 2 - now_ns))

    def shown(self, now_ns: int) -> None:
        """A picture was shown at ``now_ns``."""
        due = float(now_ns) if self._due_ns is None else max(self._due_ns, float(now_ns))
        self._due_ns = due + self.period_ns
