"""A virtual camera's device that keeps the pictures it is given."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import SinkError
from rvm_live.sinks.camera.device import CameraDevice, CameraUnavailableError

__all__ = ["KeptCamera"]


class KeptCamera(CameraDevice):
    """A device that opens unless told otherwise, and has readers or not, as told.

    Attributes:
        sent: the pictures that were sent, as they came.
        calls: ``open`` and ``close``, in order.
    """

    name = "kept"
    watched: bool | None = True
    trouble = ""

    def __init__(self, *, clear: bool = False, refusal: str = "") -> None:
        self.clear, self.refusal = clear, refusal
        self.sent: list[NDArray[np.uint8]] = []
        self.calls: list[str] = []
        self.error, self.full = "", False
        self.size = (0, 0)

    def open(self, width: int, height: int, fps: float) -> None:
        self.calls.append("open")
        if self.refusal:
            raise CameraUnavailableError(self.refusal)
        self.size, self.fps = (width, height), fps

    def send(self, picture: NDArray[np.uint8]) -> bool:
        if self.error:
            raise SinkError(self.error)
        if self.full:
            return False
        self.sent.append(picture)
        return True

    def close(self) -> None:
        self.calls.append("close")

    def picture(self, index: int = -1) -> NDArray[np.uint8]:
        """A picture that was sent, uint8 (H, W, 3) BGR, or as it came if it has alpha."""
        made = self.sent[index]
        return made if self.clear else np.asarray(cv2.cvtColor(made, cv2.COLOR_YUV2BGR_I420), np.uint8)
