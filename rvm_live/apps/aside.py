"""What the thread of a live run does besides showing pictures."""

from __future__ import annotations

from collections.abc import Callable

from rvm_live.core.clock import Clock
from rvm_live.core.frames import Composite
from rvm_live.sinks.base import Sink

__all__ = ["Aside"]

_LOOK_NS = 200_000_000


class Aside(Sink):
    """Reports with the first picture how the run continues: by then all settings have been checked. Also looks
    now and then for controls that have changed by themselves."""

    runs_on = "run"
    aside = True

    def __init__(
        self, lines: Callable[[], list[str]], tell: Callable[[str], None], look: Callable[[], None], clock: Clock
    ) -> None:
        self._lines: Callable[[], list[str]] | None = lines
        self._tell, self._look, self._clock = tell, look, clock
        self._looked_ns = 0

    def open(self) -> None:
        """Does nothing."""

    def write(self, composite: Composite) -> None:
        lines, self._lines = self._lines, None
        for line in lines() if lines is not None else ():
            self._tell(line)
        self.idle()

    def idle(self) -> None:
        now_ns = self._clock.now_ns()
        if self._lines is None and now_ns - self._looked_ns >= _LOOK_NS:
            # Earlier than that nothing has been chosen yet.
            self._looked_ns = now_ns
            self._look()

    def close(self, *, failed: bool) -> None:
        """Does nothing."""
