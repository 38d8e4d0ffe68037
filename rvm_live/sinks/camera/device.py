"""The contract of what a virtual camera hands its pictures to."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import UnavailableError

__all__ = ["CameraDevice", "CameraUnavailableError"]


class CameraUnavailableError(UnavailableError):
    """A device cannot be used as things are.

    Attributes:
        why: one line.
        mend: the one thing to do, one line; empty where nothing is known.
    """

    def __init__(self, why: str, mend: str = "") -> None:
        super().__init__(f"{why}: {mend}" if mend else why)
        self.why, self.mend = why, mend


class CameraDevice(ABC):
    """One way to other programs. All of it is called on one thread; a device may be opened again after ``close``.

    Class attributes:
        clear: it takes pictures with alpha.
    """

    clear: bool = False

    @property
    @abstractmethod
    def name(self) -> str:
        """How it is told, once open with the name that the device has."""

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
        """Hand over one picture; waits for nobody.

        Args:
            picture: uint8 (height * 3 / 2, width) I420, BT.601 of limited range; or (height, width, 4) BGRA with
                straight alpha where the device is :attr:`clear`.

        Returns:
            Whether there was room for it; else it is left out.

        Raises:
            SinkError: the camera is gone; it may be opened again.
        """

    @property
    def trouble(self) -> str:
        """Why the camera is gone; empty while it is there."""
        return ""

    @property
    def watched(self) -> bool | None:
        """Whether anybody takes the pictures; None where that cannot be seen."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Take the camera away. May be called where ``open`` failed."""
