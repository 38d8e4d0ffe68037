"""Person and background as light: tables from the levels of sRGB to light and back, and the blend through them.

The curve is sRGB's (IEC 61966-2-1). The way back to levels is a table indexed by the light's leading bits, and a bound
for each level that decides the rest, so that every light becomes exactly the nearest level.

The NumPy code here runs without the kernels; theirs is in :mod:`rvm_live.finishing.light_lines`.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes, Floats

__all__ = ["BOUNDS", "DECODED", "FIRST", "NO_LIGHT", "STEPS", "Light", "coloured", "decoded", "encoded", "over_linear"]

STEPS = 4096
"""Steps of the table; any two bounds are further apart than a step."""


def decoded(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear light, 0 to 1, of levels 0 to 255, integers or not."""
    value = np.asarray(levels, np.float64) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


DECODED: Floats = decoded(np.arange(256.0)).astype(np.float32)
"""Linear light of every level, float32 (256,)."""
BOUNDS: Floats = np.append(decoded(np.arange(0.5, 255.0)), np.inf).astype(np.float32)
"""Upper bound of the light of each level, float32 (256,)."""
FIRST: Bytes = np.searchsorted(BOUNDS, np.arange(STEPS + 1, dtype=np.float32) / STEPS, side="right").astype(np.uint8)
"""Level of the light at each step, uint8 (STEPS + 1,)."""


def encoded(light: Floats) -> Bytes:
    """The levels nearest to this light, uint8; light brighter than white becomes white."""
    light = np.clip(light, 0, 1)
    level = FIRST[(light * np.float32(STEPS)).astype(np.int32)]
    return np.asarray(level + (light >= BOUNDS[level]), np.uint8)


class Light(NamedTuple):
    """How a person is put into the light of a background.

    Attributes:
        linear: blend in linear light.
        table: level of the person's colour -> level in its place, uint8 (3, 256) for B, G and R; None: as it is.
        rim: how much of the glow lies over the person, of 255, uint8 (H, W); None: nothing.
        glow: the background's light, blurred, as levels, uint8 (H, W, 3); used only with a rim.
    """

    linear: bool = False
    table: Bytes | None = None
    rim: Bytes | None = None
    glow: Bytes | None = None


NO_LIGHT = Light()


def coloured(colour: Bytes, alpha: Bytes, light: Light) -> Bytes:
    """The person's colours in the light of the background, uint8 (H, W, 3), where alpha is not 0.

    Over the rim it is ``F + r L (1 - F)``, in light: light is added, and what is white stays so.

    Args:
        colour: of the person, uint8 (H, W, 3).
        alpha: uint8 (H, W).
        light: of the background.
    """
    if light.table is not None:
        colour = np.asarray(cv2.LUT(colour, np.ascontiguousarray(light.table.T).reshape(1, 256, 3)))
    if light.rim is None or light.glow is None:
        return colour
    at = np.flatnonzero(np.minimum(light.rim, alpha))
    front = DECODED[colour.reshape(-1, 3)[at]]
    share = light.rim.reshape(-1)[at, None].astype(np.float32) * np.float32(1 / 255)
    made = np.array(colour, order="C")
    made.reshape(-1, 3)[at] = encoded(front + share * DECODED[light.glow.reshape(-1, 3)[at]] * (1 - front))
    return made


def over_linear(colour: Bytes, alpha: Bytes, plate: Bytes) -> Bytes:
    """``a F + (1 - a) B`` of light, uint8 (H, W, 3).

    Args:
        colour: of the person, uint8 (H, W, 3).
        alpha: uint8 (H, W).
        plate: what is behind, uint8 (H, W, 3).
    """
    result: Bytes = np.array(plate, order="C")
    cv2.copyTo(colour, cv2.threshold(alpha, 254, 255, cv2.THRESH_BINARY)[1], result)
    at = np.flatnonzero((alpha > 0) & (alpha < 255))
    share = alpha.reshape(-1)[at, None].astype(np.float32) * np.float32(1 / 255)
    front, behind = DECODED[colour.reshape(-1, 3)[at]], DECODED[plate.reshape(-1, 3)[at]]
    result.reshape(-1, 3)[at] = encoded(behind + (front - behind) * share)
    return result
