"""The person's own surroundings, blurred."""

from __future__ import annotations

import math

from rvm_live.backgrounds.base import Background, Blur
from rvm_live.core.errors import SettingsError

__all__ = ["DEFAULT_STRENGTH", "BlurBackground"]

DEFAULT_STRENGTH = 25.0
WEAKEST, STRONGEST = 1.0, 100.0


class BlurBackground(Background):
    """The room behind the person out of focus; the person does not bleed into it.

    Args:
        strength: standard deviation in pixels at 720 lines, 1 to 100.
        lens: like a camera lens, with lamps as round spots; no detail shows better than through the Gaussian.

    Raises:
        SettingsError: the strength is out of range; so is zero, which would show the room.
    """

    def __init__(self, strength: float = DEFAULT_STRENGTH, lens: bool = False) -> None:
        if not math.isfinite(strength) or not WEAKEST <= strength <= STRONGEST:
            raise SettingsError(f"blur strength {strength:g} is out of range: it must be between 1 and 100")
        self.label = f"blur {'lens ' if lens else ''}{strength:g}"
        self._layer = Blur(float(strength), lens)

    def layer(self, width: int, height: int, now_ns: int) -> Blur:
        return self._layer
