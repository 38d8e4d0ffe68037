"""The named, bounded queue that joins two stages.

Concurrency rules:

* one lock guards everything; ``put`` and ``get`` may be called from any thread;
* closing is a flag, never a sentinel inside the queue, so it cannot be dropped, reordered or lost;
* ``close()`` lets the reader take what is already in the queue, then ``get`` raises :class:`QueueClosed`
  carrying the error; ``cancel()`` throws the content away as well, for a reader that is leaving;
* the first ``close``/``cancel`` decides the error; later ones change nothing but may still empty the queue.
"""

from __future__ import annotations

import threading
from collections import deque
from enum import Enum
from typing import Generic, TypeVar

from rvm_live.core.errors import QueueClosed

__all__ = ["FrameQueue", "Overflow"]

T = TypeVar("T")


class Overflow(Enum):
    """What ``put`` does when the queue is full."""

    DROP_OLDEST = "drop-oldest"
    """Live video: the newest frame wins; the oldest is dropped and counted."""
    BLOCK = "block"
    """Files: wait for room; nothing is ever dropped."""


class FrameQueue(Generic[T]):
    """A bounded first-in-first-out queue between two stages.

    Args:
        name: what the drops are counted under in reports.
        maxsize: most items held, at least 1.
        policy: what happens when it is full.

    Raises:
        ValueError: ``maxsize`` is below 1.
    """

    def __init__(self, name: str, maxsize: int, policy: Overflow) -> None:
        if maxsize < 1:
            raise ValueError(f"queue {name!r}: maxsize must be at least 1, got {maxsize}")
        self.name = name
        self.maxsize = maxsize
        self.policy = policy
        self._items: deque[T] = deque()
        self._lock = threading.Lock()
        self._not_empty = threading.Condition(self._lock)
        self._not_full = threading.Condition(self._lock)
        self._closed = False
        self._error: BaseException | None = None
        self._dropped = 0

    def put(self, item: T) -> None:
        """Add an item.

        Raises:
            QueueClosed: the queue is closed, or was closed while waiting for room.
        """
        with self._lock:
            if self.policy is Overflow.BLOCK:
                while len(self._items) >= self.maxsize and not self._closed:
                    self._not_full.wait()
            if self._closed:
                raise QueueClosed(self.name, self._error)
            if len(self._items) >= self.maxsize:
                self._items.popleft()
                self._dropped += 1
            self._items.append(item)
            self._not_empty.notify()

    def get(self, timeout: float | None = None) -> T:
        """Take the oldest item, waiting for one.

        Args:
            timeout: seconds to wait; None waits until an item comes or the queue is closed.

        Raises:
            TimeoutError: nothing arrived in time.
            QueueClosed: the queue is closed and empty.
        """
        with self._lock:
            if not self._not_empty.wait_for(lambda: self._items or self._closed, timeout):
                raise TimeoutError(f"queue {self.name!r}: nothing in {timeout} s")
            if not self._items:
                raise QueueClosed(self.name, self._error)
            item = self._items.popleft()
            self._not_full.notify()
            return item

    def count_drop(self) -> None:
        """Count a frame that the reader took and then discarded as stale."""
        with self._lock:
            self._dropped += 1

    def close(self, error: BaseException | None = None) -> None:
        """Refuse new items; the reader may still take what is held, then learns of ``error``."""
        with self._lock:
            self._close(error)

    def cancel(self, error: BaseException | None = None) -> int:
        """Close and throw away what is held: the reader has left, or does not want it.

        Returns:
            How many items that were; they are not counted as dropped.
        """
        with self._lock:
            count = len(self._items)
            self._items.clear()
            self._close(error)
            return count

    def _close(self, error: BaseException | None) -> None:
        if not self._closed:
            self._closed = True
            self._error = error
        self._not_empty.notify_all()
        self._not_full.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def error(self) -> BaseException | None:
        return self._error

    @property
    def dropped(self) -> int:
        """Frames dropped so far: overflow, and stale ones counted by the reader."""
        return self._dropped

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"FrameQueue({self.name!r}, {len(self._items)}/{self.maxsize}, {self.policy.value}, {state})"
