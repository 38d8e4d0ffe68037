"""Holding a steady rate without drift and without delay."""

from __future__ import annotations

from collections import deque

__all__ = ["Pacer"]

CLOSE = 1.02
"""A source at most this many times as quick as the limit keeps all its frames: one left out now and then is seen as a
stutter."""
_MEASURED = 120
_LEAST_MEASURED = 16
_GAP_NS = 1_000_000_000


class Pacer:
    """Says which frames of a live source go through, so that the rate never passes a limit by more than 2 %.

    Asked at the grab, before any work is done: what goes through waits nowhere, and what does not costs nothing.

    The virtual-scheduling form of the generic cell rate algorithm (ITU-T I.371): a theoretical arrival time moves on by
    exactly one period per frame, so the long-run rate is exact and errors do not add up. A frame may come half an
    interval of the source early or late without moving it: the frame nearest to the time goes through. A slower source
    keeps every frame, and no time is saved up for a burst.

    Args:
        fps: frames per second at most, above 0.
    """

    def __init__(self, fps: float) -> None:
        if fps <= 0:
            raise ValueError(f"fps must be above 0, got {fps}")
        self.period_ns = 1e9 / fps
        self._due_ns: float | None = None
        self._stamps: deque[int] = deque(maxlen=_MEASURED + 1)

    def lets_through(self, captured_ns: int) -> bool:
        """Whether the frame grabbed at ``captured_ns`` goes through; to be asked once for every frame of the source."""
        if self._stamps and captured_ns - self._stamps[-1] > _GAP_NS:
            self._stamps.clear()  # it was away: that says nothing of its rhythm
            self._due_ns = None
        self._stamps.append(captured_ns)
        interval_ns = self._interval_ns()
        if self._due_ns is None or interval_ns * CLOSE >= self.period_ns:
            self._due_ns = captured_ns + self.period_ns
            return True
        slack_ns = min(interval_ns or self.period_ns, self.period_ns) / 2
        if captured_ns < self._due_ns - slack_ns:
            return False
        self._due_ns = max(self._due_ns, captured_ns - slack_ns) + self.period_ns
        return True

    def _interval_ns(self) -> float:
        """Time between two frames of the source of late; 0 while there are too few to tell.

        The longer mean of two halves: a frame that comes late, with the next on its heels, makes but one of them short.
        """
        last = len(self._stamps) - 1
        if last < _LEAST_MEASURED:
            return 0.0
        middle = last // 2
        first, half, end = self._stamps[0], self._stamps[middle], self._stamps[last]
        return max((half - first) / middle, (end - half) / (last - middle))
