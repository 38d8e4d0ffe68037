"""Pictures scaled into a box."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["fit_inside", "size_inside"]


def size_inside(width: int, height: int, box: tuple[int | None, int | None]) -> tuple[int, int]:
    """The size of a picture scaled to fit a box, aspect ratio kept, both sides even.

    Args:
        width: of the picture, pixels.
        height: of the picture, pixels.
        box: width and height of the box; None leaves that side free, both None leave the size alone.
    """
    scales = [limit / side for limit, side in zip(box, (width, height), strict=True) if limit is not None]
    if not scales:
        return width, height
    scale = min(scales)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def fit_inside(image: NDArray[np.uint8], box: tuple[int | None, int | None]) -> NDArray[np.uint8]:
    """Scale uint8 (H, W, 3) as :func:`size_inside` says; the same array where nothing changes."""
    height, width = image.shape[:2]
    size = size_inside(width, height, box)
    if size == (width, height):
        return image
    smaller = size[0] < width
    scaled: NDArray[np.uint8] = cv2.resize(image, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    return scaled
