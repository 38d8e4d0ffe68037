"""The background that a caller names with each picture; it stays open as long as it is the same."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Background, Layer, Plate
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import SettingsError
from rvm_live.core.frames import check_picture

__all__ = ["Backdrop"]


class Backdrop:
    """Opens the named background, and closes it when another is named. For one thread at a time."""

    def __init__(self) -> None:
        self._spec = ""
        self._open: Background | None = None
        self._began_ns = 0

    def layer(self, wanted: str | os.PathLike[str] | NDArray[Any], width: int, height: int) -> Layer:
        """The background's layer now.

        Args:
            wanted: as :func:`~rvm_live.backgrounds.parse.parse` reads it, or uint8 (h, w, 3) BGR.
            width: of the frame, pixels.
            height: of the frame, pixels.

        Raises:
            SettingsError: it is not as described.
            BackgroundError: it cannot be read.
        """
        from rvm_live.backgrounds.fit import fit_image  # imported only now: it needs OpenCV
        from rvm_live.backgrounds.parse import parse_one

        if isinstance(wanted, np.ndarray):
            return Plate(fit_image(check_picture(wanted, "the background"), width, height), 0)
        if not isinstance(wanted, str | os.PathLike):
            raise SettingsError(f"the background is of type {type(wanted).__name__}: give its name or a numpy array")
        spec = os.fspath(wanted)
        if self._open is None or spec != self._spec:
            background = parse_one(spec)
            self.close()
            background.exact = True
            self._spec, self._open, self._began_ns = spec, background, SYSTEM_CLOCK.now_ns()
            background.open()
        return self._open.layer(width, height, SYSTEM_CLOCK.now_ns() - self._began_ns)

    def close(self) -> None:
        """Free files and threads; a later call of :meth:`layer` opens anew."""
        background, self._open = self._open, None
        if background is not None:
            background.close()
