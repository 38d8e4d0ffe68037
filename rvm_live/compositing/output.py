"""An additional picture made from every matte, for example for a virtual camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Background
from rvm_live.backgrounds.transparent import TransparentBackground
from rvm_live.core.errors import SettingsError
from rvm_live.core.validation import check_choice
from rvm_live.finishing import one_pass

__all__ = ["BGR", "Output", "Pixels", "in_pixels"]

Pixels: TypeAlias = Literal["bgr", "nv12", "i420"]
BGR: Pixels = "bgr"


def _always() -> bool:
    return True


@dataclass(frozen=True)
class Output:
    """The background and the pixel format of an additional picture.

    Attributes:
        background: opened and closed by the composer; None: whatever the composer shows at the moment.
        pixels: ``bgr``: uint8 (H, W, 3), or (H, W, 4) BGRA over a transparent background. ``nv12`` and ``i420``: uint8
            (H * 3 / 2, W), BT.601 of limited range, odd sides rounded up; they hold no alpha, so over a background that
            becomes transparent they show a plain colour.
        wanted: called for every matte, on the compositing thread: whether anybody sees it. A picture that
            nobody sees is not made.

    Raises:
        SettingsError: the pixel format is unknown, or cannot be transparent.
    """

    background: Background | None = None
    pixels: Pixels = BGR
    wanted: Callable[[], bool] = _always

    def __post_init__(self) -> None:
        check_choice("pixels", self.pixels, get_args(Pixels))
        if self.pixels != BGR and isinstance(self.background, TransparentBackground):
            raise SettingsError(f"{self.pixels} has no alpha: choose bgr, or another background")


def in_pixels(image: NDArray[np.uint8], pixels: Pixels) -> NDArray[np.uint8]:
    """A picture uint8 (H, W, 3) BGR in the pixels of an output."""
    if pixels == BGR:
        return image
    made = one_pass.yuv_of(image, pixels)
    if made is not None:
        return made
    from rvm_live.media.colour import yuv_of  # imported only now: it needs PyAV

    return yuv_of(image, pixels)
