"""A thread with a queue, used by every thread that writes or decodes ahead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from rvm_live.core.errors import QueueClosed
from rvm_live.core.queues import FrameQueue, Overflow

__all__ = ["Worker"]

T = TypeVar("T")


class Worker(Generic[T]):
    """Runs ``work`` on a thread of its own, ``rvm-NAME``, which takes items from :attr:`queue` or puts them there.

    When ``work`` ends, the queue is closed, with the error if there was one: the other end learns of it
    there. No error dies in the thread; it stays in :attr:`error`.

    Args:
        name: of the thread and the queue.
        work: takes :meth:`items` to the last, or puts into :attr:`queue` until that is closed.
        maxsize: most items that wait, 1 for a mailbox.
        policy: ``DROP_OLDEST`` for items that may be lost, ``BLOCK`` for others.
        gives: ``work`` fills the queue: what is in it at the end may still be taken. Otherwise it is thrown away.

    Attributes:
        queue: closed by its user at the end: ``close`` if the waiting items should still be processed, ``cancel`` if
            not.
        error: what ended ``work``; None if it ended normally.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], None],
        *,
        maxsize: int = 1,
        policy: Overflow = Overflow.DROP_OLDEST,
        gives: bool = False,
    ) -> None:
        self.queue: FrameQueue[T] = FrameQueue(name, maxsize, policy)
        self.error: BaseException | None = None
        self._work, self._gives = work, gives
        self._thread = threading.Thread(target=self._run, name=f"rvm-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until the thread has ended (returns at once if it was never started); returns whether it has."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def items(self, idle: Callable[[], object] = lambda: None, every_s: float | None = None) -> Iterator[T]:
        """Yield items until the queue is closed and empty.

        Args:
            idle: called after each ``every_s`` seconds in which nothing came.
            every_s: None: waits for as long as it takes.
        """
        while True:
            try:
                item = self.queue.get(every_s)
            except TimeoutError:
                idle()
                continue
            except QueueClosed:
                return
            yield item

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # passed on to the other end of the queue
            left = self._gives and isinstance(error, QueueClosed)  # the consumer has closed the queue: no error
            self.error = None if left else error
        if self._gives:
            self.queue.close(self.error)
        else:
            self.queue.cancel(self.error)
