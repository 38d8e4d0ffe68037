"""How long a picture may be shown: no person may stay frozen on the screen after a failure."""

from __future__ import annotations

from rvm_live.core.clock import Clock

__all__ = ["StaleTimeout"]

STALE_NS = 500_000_000
_STALEST_NS = 3_000_000_000
_INTERVALS = 3


class StaleTimeout:
    """Half a second; if pictures come less often than six times a second, three of their intervals, three seconds at
    most: a source that is slow by nature is not taken for one that has failed.

    Args:
        clock: monotonic time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shown_ns: int | None = None
        self._longest_ns = STALE_NS

    def shown(self) -> None:
        """A new picture is on the screen."""
        now_ns = self._clock.now_ns()
        if self._shown_ns is not None:
            self._longest_ns = min(max(STALE_NS, _INTERVALS * (now_ns - self._shown_ns)), _STALEST_NS)
        self._shown_ns = now_ns

    @property
    def over(self) -> bool:
        """Whether the last one has been shown for too long; forgets it then."""
        if self._shown_ns is None or self._clock.now_ns() - self._shown_ns <= self._longest_ns:
            return False
        self._shown_ns, self._longest_ns = None, STALE_NS
        return True
