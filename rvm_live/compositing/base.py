"""The contract of a compositor.

The composite of foreground F and background B under alpha a is ``a F + (1 - a) B`` (Porter and Duff 1984, *over*),
computed per pixel and channel on 8-bit values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Layer
from rvm_live.core.frames import Matte

__all__ = ["Compositor"]


class Compositor(ABC):
    """Puts a matte over a background layer; the result is in host memory.

    Who calls what: construction is cheap. ``open``, ``composite`` and ``close`` are called by the compositing thread
    alone; ``open`` once before use, ``close`` exactly once. ``composite`` may block on the device's own stream,
    never on the whole device.

    Class attributes:
        name: the name users choose it by.
    """

    name: str

    def __init__(self, device: str = "cpu") -> None:
        """Args:
        device: torch device on which the engine's mattes lie.
        """
        self.device = device

    @abstractmethod
    def open(self) -> None:
        """Get ready.

        Raises:
            UnavailableError: it cannot work here; the message is the reason, one line.
        """

    @abstractmethod
    def composite(self, matte: Matte, layer: Layer, *, source_foreground: bool = False) -> NDArray[np.uint8]:
        """Put ``matte`` over ``layer``.

        Args:
            matte: what the engine made, (H, W).
            layer: the background; a :class:`~rvm_live.backgrounds.base.Plate` is already (H, W).
            source_foreground: take the colour from the camera's own pixels instead of the estimated foreground.

        Returns:
            New uint8 (H, W, 3) BGR; for a :class:`~rvm_live.backgrounds.base.Clear` layer uint8 (H, W, 4) BGRA, alpha
            straight, colour zero wherever alpha is zero. Alpha is that of the matte's ``host()`` or ``tensor()``.

        Raises:
            MatteError: the matte cannot be read, or does not fit its frame.
            CompositorError: it failed; the caller falls back to the next back end.
        """

    @property
    def remark(self) -> str:
        """A line for the log about how it works now; empty: none."""
        return ""

    @property
    def trouble(self) -> str:
        """What it does differently after a failure, one line; empty: nothing."""
        return ""

    def close(self) -> None:  # noqa: B027 - optional hook
        """Free what ``open`` took."""
