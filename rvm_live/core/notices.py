"""Everything the user must be told besides the picture: fallbacks above all (invariant 7).

One list, written by any stage, read by the overlay and the final report; each notice is logged as it comes.
"""

from __future__ import annotations

import logging
import threading

__all__ = ["Notice", "Notices"]

_log = logging.getLogger("rvm_live.core.notices")


class Notice(str):
    """One line and its running number: the same words may come again."""

    telling = 0


class Notices:
    """A thread-safe list of one-line notices."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fallbacks: list[str] = []
        self._messages: list[Notice] = []
        self._tellings = 0
        self._remarks: list[str] = []

    def fallback(self, text: str) -> None:
        """Report that something else runs than what was asked for. The same text is reported once."""
        with self._lock:
            if text in self._fallbacks:
                return
            self._fallbacks.append(text)
            self._show(text)
        _log.warning("%s", text)

    def again(self, text: str) -> None:
        """Report something that may happen more than once: each time it is added at the end of the list."""
        with self._lock:
            if text in self._fallbacks:
                self._fallbacks.remove(text)
            self._fallbacks.append(text)
            self._show(text)
        _log.warning("%s", text)

    def news(self, text: str) -> None:
        """Report, on the picture and in the log, something that is not a fallback, such as that a stream is back."""
        with self._lock:
            self._show(text)
        _log.warning("%s", text)

    def remark(self, text: str) -> None:
        """Log, once and at level info, something that runs as asked for."""
        with self._lock:
            if text in self._remarks:
                return
            self._remarks.append(text)
        _log.info("%s", text)

    def _show(self, text: str) -> None:
        if text in self._messages:
            self._messages.remove(Notice(text))
        self._messages.append(notice := Notice(text))
        self._tellings = notice.telling = self._tellings + 1

    @property
    def messages(self) -> tuple[Notice, ...]:
        """The messages shown on the picture, newest last: fallbacks and news."""
        with self._lock:
            return tuple(self._messages)

    @property
    def remarks(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._remarks)

    @property
    def fallbacks(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._fallbacks)
