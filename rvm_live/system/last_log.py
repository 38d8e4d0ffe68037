"""What the last run of the program told, kept for whoever asks why: in ``last.log`` beside what can be made again.

Each line is appended by itself, so a process that is killed has told all it could. Passwords in addresses are left
out. Where nothing can be written nothing is kept, and nobody is told: the run itself matters more.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from pathlib import Path

from rvm_live.system.folders import cache_folder

__all__ = ["LastLog", "note", "path", "read"]

_LARGEST = 1_000_000
_BEFORE = "before.log"
_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")


def path() -> Path:
    """Where it lies; it need not be there."""
    return cache_folder() / "last.log"


def read(*, before: bool = False) -> str:
    """What stands there, or of the run before that; empty where there is nothing."""
    file = path()
    try:
        return (file.with_name(_BEFORE) if before else file).read_text("utf-8", errors="replace")
    except OSError:
        return ""


def note(text: str) -> None:
    """Write a line there and nowhere else, where a log is kept in this run."""
    log = logging.getLogger("rvm_live")
    for handler in log.handlers:
        if isinstance(handler, LastLog):
            handler.handle(log.makeRecord(log.name, logging.INFO, "", 0, text, (), None))


class LastLog(logging.Handler):
    """Begins the file anew with its first record; that of the run before is ``before.log`` then."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._written = 0
        self._file = path()

    def emit(self, record: logging.LogRecord) -> None:
        if self._written > _LARGEST:
            return
        try:
            line = " ".join(_CREDENTIALS.sub("", self.format(record)).splitlines()) + "\n"
            if not self._written:
                self._begin()
            with self._file.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(line)
            self._written += len(line)
        except (OSError, ValueError):
            self._written = _LARGEST + 1

    def _begin(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):
            self._file.replace(self._file.with_name(_BEFORE))
        self._file.touch(mode=0o600)
