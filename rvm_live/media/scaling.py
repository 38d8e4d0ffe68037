"""Pictures scaled into boxes."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes

__all__ = ["Box", "fit", "fit_inside", "scale_to", "size_inside"]


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


class Box(NamedTuple):
    """A rectangle in pixels."""

    x: int
    y: int
    width: int
    height: int


def fit(width: int, height: int, into: Box) -> Box:
    """The largest box of the shape ``width`` x ``height`` in the middle of ``into``; at least 1 pixel each way."""
    scale = min(into.width / width, into.height / height)
    fitted_width = min(max(1, round(width * scale)), into.width)
    fitted_height = min(max(1, round(height * scale)), into.height)
    return Box(
        into.x + (into.width - fitted_width) // 2,
        into.y + (into.height - fitted_height) // 2,
        fitted_width,
        fitted_height,
    )


def scale_to(image: Bytes, width: int, height: int) -> Bytes:
    """``image`` (any number of channels) in another size; itself where it has that size.

    Area averaging is slow except at whole factors: halves come first, then bilinear within a factor of two.
    """
    while image.shape[1] >= 2 * width and image.shape[0] >= 2 * height:
        even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
        image = cv2.resize(even, (even.shape[1] // 2, even.shape[0] // 2), interpolation=cv2.INTER_AREA)
    if image.shape[:2] == (height, width):
        return image
    scaled: Bytes = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return scaled
