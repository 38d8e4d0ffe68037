"""The contract of a device that a virtual camera sends its pictures to."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import UnavailableError

__all__ = ["CameraDevice", "CameraUnavailableError"]


class CameraUnavailableError(UnavailableError):
    """A device cannot be used at present.

    Attributes:
        why: one line.
        mend: what to do, one line; empty if unknown.
    """

    def __init__(self, why: str, mend: str = "") -> None:
        super().__init__(f"{why}: {mend}" if mend else why)
        self.why, self.mend = why, mend


class CameraDevice(ABC):
    """A camera device for other programs. Used on one thread; may be opened again after ``close``.

    Class attributes:
        clear: it takes pictures with alpha.
    """

    clear: bool = False

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name in messages; once open, the device's own name."""

    @abstractmethod
    def open(self, width: int, height: int, fps: float) -> None:
        """Announce the camera.

        Args:
            width: of the pictures to come, pixels, even.
            height: of the pictures to come, pixels, even.
            fps: how many come a second.

        Raises:
            CameraUnavailableError: it cannot work on this machine as it is.
        """

    @abstractmethod
    def send(self, picture: NDArray[np.uint8]) -> bool:
        """Send one picture; never waits.

        Args:
            picture: uint8 (height * 3 / 2, width) I420, BT.601 of limited range; or (height, width, 4) BGRA with
                straight alpha where the device is :attr:`clear`.

        Returns:
            Whether there was room for it; otherwise it is dropped.

        Raises:
            SinkError: the camera was lost; it may be opened again.
        """

    @property
    def trouble(self) -> str:
        """Why the camera was lost; empty while it works."""
        return ""

    @property
    def watched(self) -> bool | None:
        """Whether any program takes the pictures; None if unknown."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Remove the camera. May be called if ``open`` failed."""
