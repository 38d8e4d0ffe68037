"""The control of what is done to dark pictures."""

from __future__ import annotations

from rvm_live.core.controls import Control, choice
from rvm_live.core.look import LOW_LIGHT
from rvm_live.sources.low_light import LowLight

__all__ = ["low_light_control"]


def low_light_control(low_light: LowLight) -> Control:
    """``low_light``, ``auto`` or ``off``."""

    def apply(name: str) -> None:
        low_light.on = name == "auto"

    text = "dark pictures are made brighter and less noisy"
    return choice("low_light", lambda: LOW_LIGHT[low_light.on], apply, LOW_LIGHT, text)
