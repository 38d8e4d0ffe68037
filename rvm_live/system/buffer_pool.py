"""Arrays that are reused once nothing refers to them.

A large new array costs a page fault for every 4 KiB when it is first written, which at 1280x720 takes longer than what
is computed into it: the C library gives such memory back to the system with every ``free``.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BufferPool"]


class BufferPool:
    """Hands out uint8 arrays of one shape, and takes each back once it and all its views are gone.

    May be used from any thread; the arrays may travel to others.

    Args:
        shape: of the arrays.
        most: arrays kept for another use; more than that are freed.
    """

    def __init__(self, shape: tuple[int, ...], most: int = 8) -> None:
        self.shape = shape
        self._free: deque[NDArray[np.uint8]] = deque(maxlen=most)
        self._lent: dict[int, tuple[weakref.ref[Any], NDArray[np.uint8]]] = {}

    def take(self) -> NDArray[np.uint8]:
        """A C-contiguous array with arbitrary content."""
        try:
            memory = self._free.pop()
        except IndexError:
            memory = np.empty(int(np.prod(self.shape)), np.uint8)
        # NumPy gives every view this array as its base, because the memory below it is no array: it lives as long as
        # any view.
        whole = np.frombuffer(memory.data, np.uint8)
        watched = weakref.ref(whole, self._back)
        self._lent[id(watched)] = (watched, memory)
        return whole.reshape(self.shape)

    def _back(self, gone: weakref.ref[Any]) -> None:
        self._free.append(self._lent.pop(id(gone))[1])
