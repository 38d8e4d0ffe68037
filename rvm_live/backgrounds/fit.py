"""How a picture of one shape fills a frame of another."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.validation import check_choice

__all__ = ["FITS", "check_fit", "fit_image", "placed"]

FITS = ("cover", "contain", "stretch")
"""``cover`` fills the frame and cuts what sticks out, ``contain`` shows all of the picture on black, ``stretch``
distorts it."""


def check_fit(fit: str) -> str:
    """Return ``fit``.

    Raises:
        SettingsError: it is not one of :data:`FITS`.
    """
    check_choice("fit", fit, FITS)
    return fit


def placed(size: tuple[int, int], frame: tuple[int, int], fit: str, pixel: Fraction = Fraction(1)) -> tuple[int, int]:
    """The size to which a picture is scaled before it is centred in the frame; all (width, height), pixels.

    ``pixel`` is the width of the frame's pixels for their height; the picture's are square.
    """
    if fit == "stretch":
        return frame
    ratios = (float(frame[0] * pixel / size[0]), frame[1] / size[1])
    scale = max(ratios) if fit == "cover" else min(ratios)
    scaled = [max(round(size[0] * scale / float(pixel)), 1), max(round(size[1] * scale), 1)]
    # The side that set the scale must match exactly, whatever the rounding gives.
    side = ratios.index(scale)
    scaled[side] = frame[side]
    return scaled[0], scaled[1]


def fit_image(
    image: NDArray[np.uint8], width: int, height: int, fit: str = "cover", pixel: Fraction = Fraction(1)
) -> NDArray[np.uint8]:
    """Scale a picture into a frame.

    Args:
        image: uint8 (h, w, 3).
        width: of the frame, pixels.
        height: of the frame, pixels.
        fit: one of :data:`FITS`.
        pixel: width of the frame's pixels for their height; the picture's are square.

    Returns:
        uint8 (height, width, 3), C-contiguous, never ``image`` itself.
    """
    size = placed((image.shape[1], image.shape[0]), (width, height), fit, pixel)
    if size != (image.shape[1], image.shape[0]):
        smaller = size[0] < image.shape[1] or size[1] < image.shape[0]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    result = np.zeros((height, width, 3), np.uint8)
    from_x, to_x, columns = _centred(size[0], width)
    from_y, to_y, rows = _centred(size[1], height)
    result[to_y : to_y + rows, to_x : to_x + columns] = image[from_y : from_y + rows, from_x : from_x + columns]
    return result


def _centred(length: int, space: int) -> tuple[int, int, int]:
    """First sample taken, first place filled, and how many, to centre ``length`` samples in ``space`` places."""
    return max(length - space, 0) // 2, max(space - length, 0) // 2, min(length, space)
