"""Makes calls that may never return, without waiting for them for ever."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from rvm_live.core.beside import settle

__all__ = ["DriverThread"]

T = TypeVar("T")

_SLICE_S = 0.05
_JOIN_S = 0.5


class DriverThread:
    """Makes calls into a driver on its own thread, one after the other.

    A camera's driver may take 20 s to open it, or never deliver a picture, and such a call cannot be interrupted. Here
    the caller gives up, and the thread ends when the call returns. It is a daemon, so a driver that never returns does
    not keep the process from ending either.

    Args:
        name: of the thread, behind ``rvm-``.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"rvm-{name}", daemon=True)
        self._started = False
        self._last: Future[Any] | None = None

    def call(self, function: Callable[[], T], check: Callable[[], None], limit_s: float) -> T:
        """Wait for what ``function`` returns, or raise what it raises.

        Args:
            function: called on the other thread.
            check: called here about twenty times a second while waiting; what it raises ends the wait.
            limit_s: seconds to wait at most.

        Raises:
            TimeoutError: it took longer, or an earlier call has not returned yet.
        """
        if self._last is not None and not self._last.done():
            raise TimeoutError("an earlier call has not returned")
        if not self._started:
            self._started = True
            self._thread.start()
        future: Future[T] = Future()
        self._last = future
        self._calls.put((future, function))
        until = time.monotonic() + limit_s
        while not wait([future], _SLICE_S).done:
            check()
            if time.monotonic() >= until:
                raise TimeoutError(f"no answer in {limit_s:g} s")
        return future.result()

    def end(self) -> None:
        """End the thread: at once if it is idle, else when its call returns. May be called by any thread."""
        self._calls.put(None)
        if self._started and (self._last is None or self._last.done()):
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            settle(*call)
