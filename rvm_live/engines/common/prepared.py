"""Slowly made things, one per size: made at once, or in the background."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from rvm_live.core.beside import beside
from rvm_live.core.errors import words_of

__all__ = ["Prepared"]

_log = logging.getLogger("rvm_live")

Key = TypeVar("Key", bound=Hashable)
Made = TypeVar("Made")


class Prepared(Generic[Key, Made]):
    """Compiled or captured networks by key, each made when it is first needed.

    Used on the matting thread. A failure is reported once and not tried again at every frame.

    Args:
        make: key -> network; may be slow.
        name: of the thread, behind ``rvm-``.
        beside: make those that :meth:`ready` is asked for on a thread of their own, one at a time.
        most: at most so many are kept; the least recently used is dropped. None: all.
    """

    def __init__(self, make: Callable[[Key], Made], name: str, *, beside: bool = True, most: int | None = None) -> None:
        self._make, self._name, self._beside, self._most = make, name, beside, most
        self._lock = threading.Lock()
        self._made: dict[Key, Made] = {}
        self._failed: set[Key] = set()
        self._making: Future[None] | None = None

    def __contains__(self, key: Key) -> bool:
        """Whether :meth:`now` would answer at once."""
        return key in self._made

    def now(self, key: Key) -> Made:
        """The network for ``key``, made on the calling thread if it is not there yet; raises what ``make``
        raises."""
        with self._lock:
            known = self._made.get(key)
        made = self._make(key) if known is None else known
        with self._lock:
            self._made.pop(key, None)
            self._made[key] = made
            while self._most is not None and len(self._made) > self._most:
                del self._made[next(iter(self._made))]
        return made

    def ready(self, key: Key) -> bool:
        """Whether :meth:`now` would answer at once; if not, it is being made from now on."""
        if key in self._made:
            return True
        if not self._beside:
            self.now(key)
            return True
        if (self._making is None or self._making.done()) and key not in self._failed:
            self._making = beside(self._name, lambda: self._try(key))
        return False

    def failed(self, key: Key) -> bool:
        """Whether it could not be made."""
        return key in self._failed

    def keep(self, wanted: Callable[[Key], bool]) -> None:
        """Free networks that are no longer needed."""
        self.join()
        self._made = {key: made for key, made in self._made.items() if wanted(key)}
        self._failed.clear()  # there may be enough memory again

    def close(self) -> None:
        """Wait for the thread and free everything."""
        self.keep(lambda key: False)

    def join(self) -> None:
        """Wait until nothing is being made."""
        if self._making is not None:
            wait([self._making])

    def _try(self, key: Key) -> None:
        try:
            self.now(key)
        except Exception as error:  # whatever the error is, trying again at every frame would not help
            self._failed.add(key)
            _log.warning("the network keeps its size, because another size cannot be prepared: %s", words_of(error))
