"""Work only while somebody watches: what is seen by nobody is neither captured nor matted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.frames import Composite
from rvm_live.sinks.base import Sink

__all__ = ["OnDemand"]

_PATIENT_NS = 3_000_000_000
"""So long nobody has to watch: programs open a camera, look at it and open it again."""


class OnDemand(Sink):
    """Looks after the sinks, from the thread of the run, and lets the source rest while every one is unwatched.

    Args:
        sinks: told apart by :attr:`~rvm_live.sinks.base.Sink.watched`; one that does not know counts as watched.
        rest: told True when the last watcher has been gone for three seconds, and False at once when there is one.
        clock: monotonic time.
    """

    runs_on = "run"
    aside = True

    def __init__(self, sinks: Sequence[Sink], rest: Callable[[bool], None], clock: Clock = SYSTEM_CLOCK) -> None:
        self._sinks, self._rest, self._clock = sinks, rest, clock
        self._seen_ns: int | None = None
        self._resting = False

    def open(self) -> None:
        """Nothing to get ready."""

    def write(self, composite: Composite) -> None:
        self.idle()

    def idle(self) -> None:
        now_ns = self._clock.now_ns()
        watched = any(getattr(sink, "watched", None) is not False for sink in self._sinks)
        if watched or self._seen_ns is None:
            self._seen_ns = now_ns
        resting = not watched and now_ns - self._seen_ns >= _PATIENT_NS
        if resting != self._resting:
            self._resting = resting
            self._rest(resting)

    def close(self, *, failed: bool) -> None:
        """Nothing to finish."""
