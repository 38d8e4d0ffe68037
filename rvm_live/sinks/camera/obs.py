"""Cameras of other programs, through pyvirtualcam: OBS's on Windows and macOS, UnityCapture on Windows.

pyvirtualcam is under GPL-2.0: it is not part of this program, and only imported when such a camera is asked for.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import SinkError, words_of
from rvm_live.sinks.camera.device import CameraDevice, CameraUnavailableError
from rvm_live.system.installed import adding

__all__ = ["ObsCamera", "UnityCamera", "library"]

_MEND = {
    "win32": "install OBS Studio from obsproject.com (it includes the camera)",
    "darwin": "install OBS Studio 30 or newer, start it once, press Start Virtual Camera and allow its extension",
}


def library() -> Any:
    """pyvirtualcam.

    Raises:
        CameraUnavailableError: it is not installed, or does not work here.
    """
    try:
        return importlib.import_module("pyvirtualcam")
    except ImportError as error:
        if getattr(error, "name", "") == "pyvirtualcam":
            raise CameraUnavailableError("pyvirtualcam is not installed", adding("camera")) from error
        raise CameraUnavailableError(f"pyvirtualcam cannot be loaded ({words_of(error)})", adding("camera")) from error


class ObsCamera(CameraDevice):
    """A camera through pyvirtualcam.

    Args:
        backend: its name there; empty: whichever works.
        device: name of the device; empty: the first.
    """

    pixels = "I420"

    def __init__(self, backend: str = "", device: str = "") -> None:
        self._backend, self._device = backend, device
        self._camera: Any = None

    @property
    def name(self) -> str:
        return str(self._camera.device) if self._camera is not None else self._device or self._backend or "OBS"

    def open(self, width: int, height: int, fps: float) -> None:
        module = library()
        if self._backend and self._backend not in getattr(module.camera, "BACKENDS", {self._backend: None}):
            raise CameraUnavailableError(f"there is no {self._backend} camera on this system")
        try:
            self._camera = module.Camera(
                width,
                height,
                fps,
                fmt=getattr(module.PixelFormat, self.pixels),
                device=self._device or None,
                backend=self._backend or None,
            )
        except Exception as error:  # a back end may raise anything, mostly RuntimeError
            told = " ".join(str(error).split()) or words_of(error)  # back ends write one line each: join them
            why = f"the camera {self.name} cannot be used ({told})"
            raise CameraUnavailableError(why, _MEND.get(sys.platform, "")) from error

    def send(self, picture: NDArray[np.uint8]) -> bool:
        if self._camera is None:
            raise SinkError(f"the camera {self.name} is closed")
        try:
            self._camera.send(self._formed(picture))
        except Exception as error:
            raise SinkError(f"the camera {self.name} was removed ({words_of(error)})") from error
        return True

    def _formed(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return picture

    def close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()


class UnityCamera(ObsCamera):
    """UnityCapture, which has real transparency."""

    pixels = "RGBA"
    clear = True

    def __init__(self, device: str = "") -> None:
        super().__init__("unitycapture", device)

    def _formed(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA), np.uint8)
