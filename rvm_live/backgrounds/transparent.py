"""No background at all: the result keeps its alpha."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Background, Clear

__all__ = ["TransparentBackground", "checkerboard"]

_LIGHT, _DARK = 102, 76


class TransparentBackground(Background):
    """The result keeps its alpha; a window shows a checkerboard behind it."""

    label = "transparent"

    def layer(self, width: int, height: int, now_ns: int) -> Clear:
        return Clear()


@lru_cache(maxsize=4)
def checkerboard(width: int, height: int, square: int = 16) -> NDArray[np.uint8]:
    """What transparency looks like in a window: uint8 (height, width, 3) BGR, read-only, in two greys.

    Args:
        width: pixels.
        height: pixels.
        square: side of a square, pixels.
    """
    rows, columns = np.arange(height) // square, np.arange(width) // square
    light = (rows[:, None] + columns[None, :]) % 2 == 0
    board = np.repeat(np.where(light, _LIGHT, _DARK).astype(np.uint8)[..., None], 3, axis=2)
    board.flags.writeable = False
    return board
