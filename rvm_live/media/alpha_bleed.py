"""Colours transparent pixels, so that a lossy codec keeps the person's edge clean.

A transparent pixel has no colour (it is zero, so that nothing of the room hides there). A codec that halves the
colour's resolution or transforms blocks of pixels mixes that black into the visible edge: a dark fringe. So the
person's own colour is carried outward over a few pixels first.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["bleed"]

_REDUCE = 4
_REACH = 5  # box width at the reduced size; two boxes in a row reach 16 pixels at full size


def bleed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Extend the colour of visible pixels into transparent ones.

    Where alpha is zero, colour becomes ``G * (a F) / (G * a)`` with a smoothing G: normalised convolution (Knutsson
    and Westin 1993), so that transparent pixels have no weight. Alpha and every visible pixel stay as they are.

    Args:
        image: uint8 (H, W, 4) BGRA with straight alpha.

    Returns:
        New uint8 (H, W, 4); colour is zero beyond the reach of the smoothing.
    """
    height, width = image.shape[:2]
    colour = cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)
    alpha = cv2.extractChannel(image, 3)
    weighted = cv2.multiply(colour, cv2.merge([alpha] * 3), scale=1 / 255)
    size = (max(1, width // _REDUCE), max(1, height // _REDUCE))
    top = cv2.resize(weighted, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    bottom = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    # A thin hair almost vanishes at the reduced size, but must still count: hence no threshold on alpha.
    for _ in range(2):
        top = cv2.blur(top, (_REACH, _REACH))
        bottom = cv2.blur(bottom, (_REACH, _REACH))
    spread = top * (255.0 / np.maximum(bottom, 1e-3))[:, :, None]
    spread[bottom < 0.05] = 0
    around = cv2.resize(np.clip(spread + 0.5, 0, 255).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    hidden = (alpha == 0).astype(np.uint8)
    cv2.copyTo(around, hidden, colour)
    filled: NDArray[np.uint8] = cv2.merge([*cv2.split(colour), alpha])
    return filled
