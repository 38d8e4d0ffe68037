"""The colour of the screen behind the person: found in a picture, or given."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rvm_live.core.arrays import Bytes, Floats

__all__ = ["Key", "find_key"]

_SIDE = 160
"""Longer side of the picture that is searched, pixels."""
_LEAST_CHROMA = 24.0
"""Least length of a screen's chroma, grey levels: a wall has less."""
_HUE_WIDTH = np.deg2rad(22)
_LEAST_OF_BORDER = 0.55
"""Least share of the picture's upper border that a screen fills."""
_LEAST_HUE, _MOST_HUE = np.deg2rad(-45), np.deg2rad(150)
"""Range of hues of screens' cloth and paint, from a yellowish green to a violet blue: angle of :func:`_plane`, where
green is 0 and blue two thirds of pi."""


@dataclass(frozen=True)
class Key:
    """A screen's colour.

    Attributes:
        bgr: 0-255.
        name: ``green``, ``blue``, or ``#rrggbb``.
    """

    bgr: tuple[int, int, int]
    name: str

    @property
    def axes(self) -> Floats:
        """(3, 3): what a BGR colour is multiplied with to tell how much of the screen's chroma it has (1: as much as
        the screen), how much of the chroma across (in the same unit, signed), and its grey."""
        colour = np.array(self.bgr, np.float64)
        along = colour - colour.mean()
        length = max(float(np.linalg.norm(along)), 1.0)
        across = np.cross(along / length, np.full(3, 3**-0.5))
        return np.array([along / length**2, across / length, np.full(3, 1 / 3)], np.float32)

    @classmethod
    def told(cls, bgr: tuple[int, int, int]) -> Key | None:
        """The key for a given colour; None if it is grey, which cannot be told from a person."""
        blue, green, red = bgr
        strong = float(np.linalg.norm(np.array(bgr) - np.mean(bgr))) >= _LEAST_CHROMA
        return cls(bgr, f"#{red:02x}{green:02x}{blue:02x}") if strong else None


def find_key(picture: Bytes) -> Key | None:
    """The colour of a green or blue screen, if one fills most of the picture's upper border.

    Args:
        picture: uint8 (H, W, 3) BGR.

    Returns:
        The median of the pixels of its hue; None if there is no such screen.
    """
    scale = min(1.0, _SIDE / max(picture.shape[:2]))
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    hue, length = _plane(small)
    border = np.zeros(hue.shape, np.bool_)
    rows, columns = -(-hue.shape[0] // 6), -(-hue.shape[1] // 8)
    border[:rows] = True
    border[: hue.shape[0] * 2 // 3, :columns] = border[: hue.shape[0] * 2 // 3, -columns:] = True
    strong = (length > _LEAST_CHROMA) & (length > 0.18 * small.max(2))
    seen = strong & border & (hue > _LEAST_HUE) & (hue < _MOST_HUE)
    if seen.sum() < _LEAST_OF_BORDER * border.sum():
        return None
    middle = float(np.median(hue[seen]))
    near = seen & (np.abs(hue - middle) < _HUE_WIDTH)
    if near.sum() < _LEAST_OF_BORDER * border.sum():
        return None
    blue, green, red = (round(float(value)) for value in np.median(small[near], axis=0))
    return Key((blue, green, red), "green" if middle < np.pi / 3 else "blue")


def _plane(picture: Bytes) -> tuple[Floats, Floats]:
    """Hue, radians (0: green, 2 pi / 3: blue), and length of each pixel's chroma, grey levels."""
    blue, green, red = cv2.split(picture.astype(np.float32))
    x, y = (2 * green - blue - red) * np.float32(6**-0.5), (blue - red) * np.float32(2**-0.5)
    return np.asarray(np.arctan2(y, x)), np.asarray(np.hypot(x, y))
