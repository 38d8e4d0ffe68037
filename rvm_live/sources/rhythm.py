"""Timing of a stream's pictures: how long a silence means a loss, and when to show pictures that come in bursts."""

from __future__ import annotations

from collections import deque

__all__ = ["Playout", "Rhythm"]

_MEMORY_NS = 60_000_000_000
_TIMES = 3
_ENOUGH = 3
FRESH_NS = 10_000_000
"""A picture that had to be waited for this long is new; one that comes sooner was waiting in a buffer."""
_LATE_NS = 100_000_000
_GIVE_UP_NS = 500_000_000
_LEAP_NS = 10_000_000_000
_WAITED_NS = 50_000_000


class Rhythm:
    """How long a stream may be silent: three times as long as it was within the last minute.

    Args:
        opening_ns: how long it took until the first picture was there, the only known time at first.
        least_s: a shorter silence is never a loss.
        most_s: a longer one always is.
    """

    def __init__(self, opening_ns: int, least_s: float, most_s: float) -> None:
        self._opening_ns, self._least_s, self._most_s = opening_ns, least_s, most_s
        self._longest: deque[tuple[int, int]] = deque()  # (time, wait); each wait is shorter than the one before
        self._fresh = 0

    def waited(self, now_ns: int, wait_ns: int) -> None:
        """A picture has come.

        Args:
            now_ns: monotonic time.
            wait_ns: how long it was waited for.
        """
        self._fresh += wait_ns >= FRESH_NS
        while self._longest and self._longest[-1][1] <= wait_ns:
            self._longest.pop()
        self._longest.append((now_ns, wait_ns))
        while self._longest[0][0] < now_ns - _MEMORY_NS:
            self._longest.popleft()

    @property
    def limit_s(self) -> float:
        """Seconds without a picture after which the stream is lost."""
        longest_ns = self._longest[0][1] if self._longest else 0
        if self._fresh < _ENOUGH:
            longest_ns = max(longest_ns, self._opening_ns)
        return min(max(self._least_s, _TIMES * longest_ns / 1e9), self._most_s)


class Playout:
    """Shows pictures that come in bursts, a segment at a time, at the pace of their time stamps.

    If the network makes a picture late, all later ones are delayed as much; if the reader does, pictures are skipped,
    as with a camera. A jump in the stamps starts a new count.
    """

    def __init__(self) -> None:
        self._anchor: tuple[int, int] | None = None  # (clock, media) times of a picture that came on time
        self._late_since_ns: int | None = None

    def due_ns(self, now_ns: int, media_ns: int, wait_ns: int) -> int | None:
        """When to show a picture, monotonic nanoseconds; None: skip it.

        Args:
            now_ns: monotonic time.
            media_ns: its time stamp.
            wait_ns: how long the network was waited for.
        """
        due_ns = now_ns if self._anchor is None else self._anchor[0] + media_ns - self._anchor[1]
        if now_ns > due_ns + _LATE_NS:
            if self._late_since_ns is None:
                self._late_since_ns = now_ns
            if wait_ns < _WAITED_NS and now_ns - self._late_since_ns < _GIVE_UP_NS:
                return None
            due_ns = now_ns
        elif due_ns > now_ns + _LEAP_NS:
            due_ns = now_ns
        self._late_since_ns = None
        self._anchor = (due_ns, media_ns)
        return due_ns
