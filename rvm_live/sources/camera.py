"""Cameras, through ``cv2.VideoCapture``."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

import cv2

from rvm_live.clock import SYSTEM_CLOCK, Clock
from rvm_live.errors import SourceLostError, SourceUnavailableError
from rvm_live.settings import SourceSettings
from rvm_live.sources.base import Grab, Source, SourceInfo
from rvm_live.sources.capture import OPEN_LIMIT_S, Capture

__all__ = ["Camera", "CameraSource", "backends", "find_camera", "list_cameras", "unlisted_cameras"]

WIDTH, HEIGHT = 1280, 720
_FIRST_FRAME_S = 5.0
_FAILURES = 3
_BLACK = 10
_BLIND_INDEXES = range(4)

_BACKENDS: dict[str, tuple[int, ...]] = {
    "linux": (cv2.CAP_V4L2,),
    # DirectShow opens quickly and obeys the pixel format; Media Foundation takes cameras it does not know.
    "win32": (cv2.CAP_DSHOW, cv2.CAP_MSMF),
    "darwin": (cv2.CAP_AVFOUNDATION,),
}


@dataclass(frozen=True)
class Camera:
    """A camera that the system knows.

    Attributes:
        index: number to open it by.
        name: what its maker calls it, empty if unknown.
        path: device path, empty if unknown.
    """

    index: int
    name: str = ""
    path: str = ""

    def __str__(self) -> str:
        return f"camera {self.index}" + (f" ({self.name})" if self.name else "")


def backends() -> tuple[int, ...]:
    """OpenCV back ends for cameras on this system, best first."""
    return _BACKENDS.get(sys.platform, (cv2.CAP_ANY,))


def list_cameras() -> list[Camera]:
    """Every camera the system knows, by index; empty where none is found or listing fails."""
    return _listed() or []


def unlisted_cameras() -> list[Camera]:
    """The first few numbers where the system cannot tell which cameras there are; empty where it can."""
    return [Camera(index) for index in _BLIND_INDEXES] if _listed() is None else []


def _listed() -> list[Camera] | None:
    try:
        from cv2_enumerate_cameras import enumerate_cameras

        found = enumerate_cameras(backends()[0])
    except Exception:  # its back ends raise whatever their system libraries do
        return None
    cameras = {camera.index: Camera(camera.index, camera.name or "", camera.path or "") for camera in found}
    return [cameras[index] for index in sorted(cameras)]


def find_camera(spec: str) -> Camera:
    """The camera of a number, or the first whose name contains ``spec``, in any case.

    Raises:
        SourceUnavailableError: no name fits; the message lists the cameras there are.
    """
    cameras = list_cameras()
    if spec.isdecimal():
        return next((camera for camera in cameras if camera.index == int(spec)), Camera(int(spec)))
    wanted = spec.casefold()
    for camera in cameras:
        if wanted in camera.name.casefold():
            return camera
    there = ", ".join(str(camera) for camera in cameras) or "no camera at all"
    raise SourceUnavailableError(f"no camera, file or URL is called {spec!r}; this machine has {there}")


class CameraSource(Source):
    """A camera, asked for a size, a rate and a pixel format; what it really gives is read back.

    Args:
        settings: ``source`` is a number or part of a name.
        clock: stamps frames.
    """

    def __init__(self, settings: SourceSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        self._settings = settings
        self._clock = clock
        self._capture = Capture(clock)
        self._first: Grab | None = None
        self.camera: Camera | None = None

    @property
    def capture(self) -> Capture:
        """The device, for probing its properties."""
        return self._capture

    def open(self) -> SourceInfo:
        self.camera = find_camera(self._settings.source)
        self._capture.label = str(self.camera)
        try:
            opened = self._opened(self.camera)
        except TimeoutError:
            raise SourceUnavailableError(
                f"{self.camera} did not open in {OPEN_LIMIT_S:g} s: plug it in again, or close what else uses it"
            ) from None
        if not opened:
            raise SourceUnavailableError(f"{self.camera} cannot be opened: {_why_not(self.camera)}")
        self._first = self._first_frame(self.camera)
        height, width = self._first.image.shape[:2]
        return SourceInfo(
            label=str(self.camera), kind="camera", width=width, height=height, fps=self._capture.fps(), live=True
        )

    def _opened(self, camera: Camera) -> bool:
        # The driver keeps its own number of buffers: with one alone (CAP_PROP_BUFFERSIZE 1) V4L has nowhere to put a
        # picture while the last is being decoded, and the rate halves. The capture thread empties them all the time.
        wanted = {
            # The pixel format comes first: it decides which sizes and rates there are.
            cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*self._settings.fourcc)),
            cv2.CAP_PROP_FRAME_WIDTH: float(self._settings.width or WIDTH),
            cv2.CAP_PROP_FRAME_HEIGHT: float(self._settings.height or HEIGHT),
            cv2.CAP_PROP_FPS: self._settings.fps,
        }
        for backend in backends():
            if self._capture.open(camera.index, backend, wanted):
                return True
            # Some drivers refuse to open with parameters they cannot meet; ask them one by one instead.
            if self._capture.open(camera.index, backend, {}):
                for what, value in wanted.items():
                    self._capture.set(what, value)
                return True
        return False

    def _first_frame(self, camera: Camera) -> Grab:
        began = self._clock.now_ns()
        what = "no picture"
        while (self._clock.now_ns() - began) / 1e9 < _FIRST_FRAME_S:
            grab = self._capture.grab()
            if grab is None:
                self._clock.sleep(0.02)
            elif grab.image.max() < _BLACK:  # many begin with a few; one whose cover is closed goes on with them
                what = "black pictures only (is its cover closed?)"
            else:
                return grab
        raise SourceUnavailableError(f"{camera} opened, but delivered {what} in {_FIRST_FRAME_S:g} s")

    def read(self) -> Grab:
        first, self._first = self._first, None
        if first is not None and (self._clock.now_ns() - first.captured_ns) < 100_000_000:
            return first
        for _ in range(_FAILURES):
            grab = self._capture.grab()
            if grab is not None:
                return grab
        self._capture.guard.check()
        raise SourceLostError(f"{self.camera} stopped delivering pictures: is it unplugged, or used elsewhere?")

    def release(self) -> None:
        self._first = None
        self._capture.release()


def _why_not(camera: Camera) -> str:
    if camera.path and os.path.exists(camera.path) and not os.access(camera.path, os.R_OK | os.W_OK):
        return f"you may not use {camera.path} (on Linux, cameras are for members of the group video)"
    return "it is not there, in use by another program, or not permitted"
