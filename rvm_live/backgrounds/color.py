"""One colour."""

from __future__ import annotations

import numpy as np

from rvm_live.backgrounds.base import Background, Plate
from rvm_live.core.colors import parse_color

__all__ = ["ColorBackground"]


class ColorBackground(Background):
    """One colour, everywhere.

    Args:
        color: as :func:`rvm_live.core.colors.parse_color` reads it.

    Raises:
        SettingsError: it is not a colour.
    """

    def __init__(self, color: str) -> None:
        self.bgr = parse_color(color)
        blue, green, red = self.bgr
        self.label = f"color #{red:02x}{green:02x}{blue:02x}"
        self._plate: Plate | None = None

    def layer(self, width: int, height: int, now_ns: int) -> Plate:
        plate = self._plate
        if plate is None or plate.image.shape[:2] != (height, width):
            image = np.empty((height, width, 3), np.uint8)
            image[:] = self.bgr
            plate = self._plate = Plate(image, version=0)
        return plate

    def close(self) -> None:
        self._plate = None
