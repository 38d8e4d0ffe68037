"""Light of a composite: how person and background are blended, and how much of the background's light is
put over the edge.

Light wrap: a bright background shines around the edge of a person in front of it. The light added to a pixel of the
person is the blurred light of the background, weighted by how near the edge is: ``255 - blurred alpha``, which is 0
inside the person and largest where alpha is small. Where the frame cuts the person off there is no edge.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from rvm_live.backgrounds.base import Plate
from rvm_live.compositing.common import Plates
from rvm_live.core.arrays import Bytes
from rvm_live.core.look import Look
from rvm_live.finishing.light import DECODED, Light, encoded

__all__ = ["GLOW", "REDUCE_ALPHA", "REDUCE_GLOW", "RIM", "Glows", "Lighting", "glow_of", "rim_of"]

RIM = 1 / 90
"""Standard deviation of the blur of alpha for the rim, in heights of the picture."""
GLOW = 1 / 30
"""The same for the background."""
REDUCE_ALPHA, REDUCE_GLOW = 4, 8
"""Factors by which alpha and the background are reduced before they are blurred."""

Glows = Plates[Bytes]
"""The light of backgrounds that do not change, computed once."""


class Lighting:
    """The light of one background for one frame; for the compositing thread.

    Args:
        look: the wanted look.
        glows: of earlier frames.
        table: the person's new levels, uint8 (3, 256), or None.
    """

    def __init__(self, look: Look, glows: Glows, table: Bytes | None = None) -> None:
        self.look, self._glows, self.table = look, glows, table

    @property
    def key(self) -> tuple[Look, bytes | None]:
        """A key; equal for the same light."""
        return self.look, None if self.table is None else self.table.tobytes()

    def light(self, plate: Bytes, layer: Plate | None, alpha: Callable[[], Bytes]) -> Light:
        """The light.

        Args:
            plate: the background, uint8 (H, W, 3).
            layer: the layer, if it is a picture that may come again.
            alpha: returns the person's alpha, uint8 (H, W); called only if it is needed.
        """
        linear, share = self.look.blend == "linear", self.look.light_wrap / 100
        if not share:
            return Light(linear, self.table)
        glow = glow_of(plate) if layer is None else self._glows.get(layer, lambda gone: glow_of(plate))
        return Light(linear, self.table, rim_of(alpha(), share), glow)


def rim_of(alpha: Bytes, share: float) -> Bytes:
    """Weight of the glow at each pixel, 0 to 255, uint8 (H, W).

    Args:
        alpha: uint8 (H, W).
        share: strength of the glow, 0 to 1.
    """
    height, width = alpha.shape
    small = _smaller(alpha, REDUCE_ALPHA)
    sigma = height * RIM / REDUCE_ALPHA
    small = cv2.GaussianBlur(small, (0, 0), max(sigma, 0.3), borderType=cv2.BORDER_REPLICATE)
    around = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.LUT(around, np.rint((255 - np.arange(256)) * share).astype(np.uint8)))


def glow_of(plate: Bytes) -> Bytes:
    """The light of a picture, blurred as light, uint8 (H, W, 3), as levels again."""
    height, width = plate.shape[:2]
    light = DECODED[_smaller(plate, REDUCE_GLOW)]
    sigma = max(height * GLOW / REDUCE_GLOW, 0.3)
    light = cv2.GaussianBlur(light, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(encoded(light), (width, height), interpolation=cv2.INTER_LINEAR))


def _smaller(picture: Bytes, by: int) -> Bytes:
    height, width = picture.shape[:2]
    size = (max(1, width // by), max(1, height // by))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
