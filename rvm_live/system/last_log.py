"""The log of the last run, kept in ``last.log`` in the cache folder to explain failures.

Each line is appended at once, so that a killed process loses nothing. Passwords in URLs are left
out. If nothing can be written, there is no log and no message: the run itself matters more.
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
    """Path of the log; it need not exist."""
    return cache_folder() / "last.log"


def read(*, before: bool = False) -> str:
    """Text of the log, or of the run before; empty if there is none."""
    file = path()
    try:
        return (file.with_name(_BEFORE) if before else file).read_text("utf-8", errors="replace")
    except OSError:
        return ""


def note(text: str) -> None:
    """Write a line to this log only, if this run keeps one."""
    log = logging.getLogger("rvm_live")
    for handler in log.handlers:
        if isinstance(handler, LastLog):
            handler.handle(log.makeRecord(log.name, logging.INFO, "", 0, text, (), None))


class LastLog(logging.Handler):
    """Starts a new file with its first record; the previous one becomes ``before.log``."""

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
