"""One call made on a thread of its own, and its result."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

__all__ = ["beside", "settle"]

T = TypeVar("T")


def beside(name: str, function: Callable[[], T], *, daemon: bool = False) -> Future[T]:
    """Call ``function`` on a new thread named ``rvm-NAME``.

    ``concurrent.futures`` has executors for that, but an executor's threads are joined when the program ends, and
    cannot be daemons.

    Args:
        name: of the thread.
        function: called once.
        daemon: a call that never returns does not keep the program from ending.

    Returns:
        A future of the result. ``future.result()`` waits, and raises what ``function`` raised.
    """
    future: Future[T] = Future()
    threading.Thread(target=settle, args=(future, function), name=f"rvm-{name}", daemon=daemon).start()
    return future


def settle(future: Future[T], function: Callable[[], T]) -> None:
    """Call ``function`` on this thread, and put its result or error into ``future``."""
    try:
        future.set_result(function())
    except BaseException as error:  # raised again when the result is asked for
        future.set_exception(error)
