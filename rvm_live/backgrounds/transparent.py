"""No background at all: the result keeps its alpha; a screen shows a checkerboard."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Background, Clear

__all__ = ["TransparentBackground", "checkerboard"]

_LIGHT, _DARK = 204, 153


class TransparentBackground(Background):
    """The result keeps its alpha; a window shows a checkerboard behind it."""

    label = "transparent"

    def layer(self, width: int, height: int, now_ns: int) -> Clear:
        return Clear()


@lru_cache(maxsize=2)
def checkerboard(width: int, height: int) -> NDArray[np.uint8]:
    """The usual sign for transparency, uint8 (H, W, 3) BGR; shared, read-only."""
    cell = max(6, min(width, height) // 40)
    odd = (np.arange(height)[:, None] // cell + np.arange(width)[None, :] // cell) % 2
    grey = np.where(odd, _DARK, _LIGHT).astype(np.uint8)
    board: NDArray[np.uint8] = np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2))
    board.flags.writeable = False
    return board
