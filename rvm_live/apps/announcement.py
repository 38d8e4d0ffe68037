"""What a run tells with its first picture."""

from __future__ import annotations

from collections.abc import Callable

from rvm_live.core.frames import Composite
from rvm_live.sinks.base import Sink

__all__ = ["Announcement"]


class Announcement(Sink):
    """Tells with the first picture how the run goes on: by then whatever was asked for has been looked at."""

    runs_on = "run"
    aside = True

    def __init__(self, lines: Callable[[], list[str]], tell: Callable[[str], None]) -> None:
        self._lines: Callable[[], list[str]] | None = lines
        self._tell = tell

    def open(self) -> None:
        """Nothing to get ready."""

    def write(self, composite: Composite) -> None:
        lines, self._lines = self._lines, None
        for line in lines() if lines is not None else ():
            self._tell(line)

    def close(self, *, failed: bool) -> None:
        """Nothing to finish."""
