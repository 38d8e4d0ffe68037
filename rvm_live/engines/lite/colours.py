"""The person's own colours at the edge, where the camera's pixels contain some of the room.

Blur fusion (Forte and Germer 2021, *Approximate Fast Foreground Colour Estimation*, doi 10.1109/ICIP42928.2021.9506164)
finds a foreground F and a background B around every pixel of the small picture. A pixel I of the full picture is a
mixture ``alpha * F + (1 - alpha) * B``, so ``F = I + (1 - alpha) * (F - B)``: only the difference F - B, which is
smooth, comes from the small picture; every detail comes from the full one.
"""

from __future__ import annotations

import cv2
import numpy as np

from rvm_live.core.arrays import Bytes, Floats
from rvm_live.engines.common.dirty_rectangles import changed, enlarged
from rvm_live.system.buffer_pool import BufferPool

__all__ = ["Unmixer", "contrast"]

_REACHES = (9.0, 9.0, 1.6)
"""How far each blur reaches, in per cent of the small picture's longer side. The authors take 90 pixels, then 6; a
second wide one takes out what the first, which begins with the picture itself, leaves of the room."""
_LEAST = np.float32(1e-4)
_BLACK, _WHITE = 3, 252


def contrast(picture: Bytes, alpha: Floats) -> Floats:
    """How far the person's colour is from the room's around each pixel: F - B, float32, grey levels.

    It is smooth, so it is worked out at half the size, which costs a third and is no worse.

    Args:
        picture: uint8 (h, w, 3) BGR.
        alpha: (h, w) in 0-1.

    Returns:
        (h / 2, w / 2, 3), sides of 1 pixel at least.
    """
    size = (max(1, picture.shape[1] // 2), max(1, picture.shape[0] // 2))
    picture, alpha = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (picture, alpha))
    image = picture.astype(np.float32)
    share = cv2.merge([alpha] * 3)
    front = back = image
    for percent in _REACHES:
        side = 2 * max(1, round(max(picture.shape) * percent / 100)) + 1
        front, back = _fused(image, front, back, share, side)
    return np.asarray(front - back)


def _fused(image: Floats, front: Floats, back: Floats, share: Floats, side: int) -> tuple[Floats, Floats]:
    def box(values: Floats) -> Floats:
        return np.asarray(cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT))

    weight = box(share)
    front = box(front * share) / (weight + _LEAST)
    back = box(back * (1 - share)) / (1 - weight + _LEAST)
    front = front + share * (image - share * front - (1 - share) * back)
    return np.clip(front, 0, 255), back


class Unmixer:
    """Removes the room's colour from the person's edge, for one full size.

    Args:
        width: of the pictures.
        height: likewise.
    """

    def __init__(self, width: int, height: int) -> None:
        self._foregrounds = BufferPool((height, width, 3))

    def apply(self, image: Bytes, alpha: Bytes, difference: Floats) -> Bytes:
        """The foreground, uint8 (H, W, 3) BGR; where alpha is full it is the picture itself.

        Args:
            image: uint8 (H, W, 3) BGR.
            alpha: uint8 (H, W).
            difference: from :func:`contrast`, of any smaller size.
        """
        foreground = self._foregrounds.take()
        np.copyto(foreground, image)
        for part in changed(cv2.inRange(alpha, _BLACK, _WHITE)):
            rest = cv2.cvtColor(cv2.bitwise_not(alpha[part]), cv2.COLOR_GRAY2BGR)
            large = enlarged(difference, alpha.shape, *part)
            change = cv2.multiply(large, rest, scale=1 / 255, dtype=cv2.CV_32F)
            cv2.add(image[part], change, dst=foreground[part], dtype=cv2.CV_8U)
        return foreground
