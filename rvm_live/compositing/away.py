"""What is shown while nobody may be seen: only the background, or a picture instead. Neither has camera pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Background, Clear, Layer, Plate
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.backgrounds.cycle import PLAIN
from rvm_live.core.clock import Clock
from rvm_live.core.errors import words_of
from rvm_live.core.notices import Notices

__all__ = ["Away", "background_picture", "unseen"]


class Away:
    """The picture instead of the background; opened when it is first needed. If it fails, this is reported once.

    Args:
        background: the picture, or None.
        notices: told where it fails.
        clock: for one that moves.
    """

    def __init__(self, background: Background | None, notices: Notices, clock: Clock) -> None:
        self._background, self._notices, self._clock = background, notices, clock
        self._opened = False

    def picture(self, width: int, height: int) -> NDArray[np.uint8] | None:
        """The picture, uint8 (H, W, 3) BGR; None if there is none, or it has failed."""
        if self._background is None:
            return None
        try:
            if not self._opened:
                self._background.open()
                self._opened = True
            layer = self._background.layer(width, height, self._clock.now_ns())
            return np.array(layer.image) if isinstance(layer, Plate) else None
        except Exception as error:  # whatever the error is, the real room must not be shown
            self._background = None
            self._notices.fallback(f"the away picture failed ({words_of(error)}): only the background is shown")
            return None

    def close(self) -> None:
        """Close what was opened."""
        if self._background is not None and self._opened:
            self._background.close()


def unseen(layer: Layer | None, width: int, height: int) -> NDArray[np.uint8]:
    """The composite while nobody may be seen: only the background; for transparency an empty picture, (H, W, 4)."""
    if isinstance(layer, Clear):
        return np.zeros((height, width, 4), np.uint8)
    return background_picture(layer, width, height)


def background_picture(layer: Layer | None, width: int, height: int) -> NDArray[np.uint8]:
    """A layer without a person, uint8 (H, W, 3) BGR: a checkerboard if it is clear, a plain colour for a blur."""
    if isinstance(layer, Clear):
        from rvm_live.backgrounds.transparent import checkerboard

        return np.array(checkerboard(width, height))
    if not isinstance(layer, Plate):
        return ColorBackground(PLAIN).layer(width, height, 0).image
    if layer.image.shape[:2] == (height, width):
        return np.array(layer.image)
    from rvm_live.backgrounds.fit import fit_image

    return fit_image(layer.image, width, height)
