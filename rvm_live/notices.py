"""Everything the user must be told besides the picture: fallbacks above all (invariant 7).

One list, written by any stage, read by the overlay and the final report; each notice is logged as it comes.
"""

from __future__ import annotations

import logging
import threading

__all__ = ["Notices"]

_log = logging.getLogger("rvm_live")


class Notices:
    """A thread-safe list of one-line notices."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fallbacks: list[str] = []

    def fallback(self, text: str) -> None:
        """Tell that something else runs than what was asked for. Repeats of the same text are told once."""
        with self._lock:
            if text in self._fallbacks:
                return
            self._fallbacks.append(text)
        _log.warning("%s", text)

    def again(self, text: str) -> None:
        """Tell something that may happen more than once: it comes anew to the end of the list each time."""
        with self._lock:
            if text in self._fallbacks:
                self._fallbacks.remove(text)
            self._fallbacks.append(text)
        _log.warning("%s", text)

    def info(self, text: str) -> None:
        """Tell something that is no fallback."""
        _log.info("%s", text)

    @property
    def fallbacks(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._fallbacks)
