"""The program's icon: a person, cut out of a room on the left and standing before nothing on the right."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["draw_icon"]

_ROOM, _PERSON = (122, 157, 42), (250, 248, 246)  # BGR
_CELL = 8  # cells of the checkerboard across the icon
_SCALE = 4  # drawn larger and averaged, for smooth edges


def draw_icon(side: int = 64) -> NDArray[np.uint8]:
    """Draw the icon, uint8 (side, side, 4) BGRA with straight alpha."""
    size = side * _SCALE
    cells = np.arange(size) * _CELL // size
    board = np.where((cells[:, None] + cells[None, :]) % 2, 205, 160).astype(np.uint8)
    picture = cv2.merge([board] * 3)
    picture[:, : size // 2] = _ROOM
    cv2.circle(picture, (size // 2, size * 37 // 100), size * 17 // 100, _PERSON, -1)
    cv2.ellipse(picture, (size // 2, size * 98 // 100), (size * 33 // 100, size * 38 // 100), 0, 180, 360, _PERSON, -1)
    shape = np.zeros((size, size), np.uint8)
    edge = size * 18 // 100
    cv2.rectangle(shape, (edge, 0), (size - edge, size), 255, -1)
    cv2.rectangle(shape, (0, edge), (size, size - edge), 255, -1)
    for x in (edge, size - 1 - edge):
        for y in (edge, size - 1 - edge):
            cv2.circle(shape, (x, y), edge, 255, -1)
    whole = cv2.merge([*cv2.split(picture), shape])
    icon: NDArray[np.uint8] = cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA)
    return icon
