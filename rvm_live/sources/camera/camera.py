"""Cameras, through ``cv2.VideoCapture``."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import cv2

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import SourceLostError, SourceUnavailableError
from rvm_live.core.registry import SOURCES
from rvm_live.core.settings import SourceSettings
from rvm_live.sources.base import Grab, Source, SourceInfo
from rvm_live.sources.camera import permission
from rvm_live.sources.camera.capture import OPEN_LIMIT_S, Capture

__all__ = ["Camera", "CameraSource", "backends", "find_camera", "known_by_name", "list_cameras", "unlisted_cameras"]

WIDTH, HEIGHT = 1280, 720
_FIRST_FRAME_S = 5.0
_FAILURES = 3
_BLACK = 10
_BLIND_INDEXES = range(4)
_STABLE = ("/dev/v4l/by-id", "/dev/v4l/by-path")
"""Folders of udev's names; two equal cameras share one name in by-id, and the other one is then identified by its USB
port."""
_INTERFACE = re.compile(r"#\{[0-9a-f-]{36}\}.*")

_BACKENDS: dict[str, tuple[int, ...]] = {
    "linux": (cv2.CAP_V4L2,),
    # DirectShow opens fast and obeys the pixel format; Media Foundation also takes cameras that DirectShow does not
    # know.
    "win32": (cv2.CAP_DSHOW, cv2.CAP_MSMF),
    "darwin": (cv2.CAP_AVFOUNDATION,),
}


@dataclass(frozen=True)
class Camera:
    """A camera that the system knows.

    Attributes:
        index: the number people call it by.
        name: its maker's name for it, empty if unknown.
        path: device path, empty if unknown.
        routes: OpenCV's back ends that know it, best first, each with the number that it has there; empty: ``index``
            in the first of :func:`backends`.
    """

    index: int
    name: str = ""
    path: str = ""
    routes: tuple[tuple[int, int], ...] = ()

    @property
    def id(self) -> str:
        """Its identity at any USB port, or at least at this one: udev's name for it on Linux, Windows' device without
        its interface, AVFoundation's unique ID; empty if unknown."""
        if not self.path.startswith("/dev/"):
            return _device(self.path)
        place = os.path.realpath(self.path)
        for folder in _STABLE:
            with suppress(OSError):
                for link in sorted(os.listdir(folder)):
                    if os.path.realpath(os.path.join(folder, link)) == place:
                        return link
        return ""

    def __str__(self) -> str:
        return f"camera {self.index}" + (f" ({self.name})" if self.name else "")


def backends() -> tuple[int, ...]:
    """OpenCV back ends for cameras on this system, best first."""
    return _BACKENDS.get(sys.platform, (cv2.CAP_ANY,))


def list_cameras() -> list[Camera]:
    """Every camera the system knows, by index; empty if none is found or listing fails."""
    return _listed() or []


def unlisted_cameras() -> list[Camera]:
    """The first few numbers if the system cannot list its cameras; empty if it can."""
    return [_blind(index) for index in _BLIND_INDEXES] if _listed() is None else []


def _blind(index: int) -> Camera:
    """A camera by number only: any back end may have one there."""
    return Camera(index, routes=tuple((backend, index) for backend in backends()))


def _listed() -> list[Camera] | None:
    """The cameras that any back end knows, each once; None if no back end can list them."""
    each = [found for backend in backends() if (found := _known_to(backend)) is not None]
    if not each:
        return None
    cameras, *others = each
    for found in others:
        cameras = _joined(cameras, found)
    return cameras


def _known_to(backend: int) -> list[Camera] | None:
    """The cameras of one back end by its own numbers; None if it cannot list them."""
    try:
        from cv2_enumerate_cameras import enumerate_cameras

        found = enumerate_cameras(backend)
    except Exception:  # OpenCV's back ends may raise anything
        return None
    cameras = {
        each.index: Camera(each.index, each.name or "", each.path or "", ((backend, each.index),)) for each in found
    }
    return [cameras[index] for index in sorted(cameras)]


def _joined(first: list[Camera], second: list[Camera]) -> list[Camera]:
    """The cameras of two back ends: those that both know keep their number, those that only the second knows come after
    them."""
    cameras = list(first)
    for other in second:
        place = next((place for place, camera in enumerate(cameras) if _same(camera, other, first, second)), None)
        if place is None:
            number = max((camera.index for camera in cameras), default=-1) + 1
            cameras.append(replace(other, index=number))
        else:
            cameras[place] = replace(cameras[place], routes=cameras[place].routes + other.routes)
    return cameras


def _same(one: Camera, other: Camera, ones: list[Camera], others: list[Camera]) -> bool:
    """Whether both are the same device: by path, or without one by a unique name."""
    if one.path and other.path:
        return _device(one.path) == _device(other.path)
    names = [camera.name for camera in ones], [camera.name for camera in others]
    return bool(one.name) and one.name == other.name and all(each.count(one.name) == 1 for each in names)


def _device(path: str) -> str:
    """A Windows device path without the interface class at its end, which differs between back ends."""
    return _INTERFACE.sub("", path.casefold())


def known_by_name(spec: str, cameras: list[Camera]) -> Camera | None:
    """The camera with this id or name, else the first whose name contains ``spec``, ignoring case; None if
    none does."""
    wanted = spec.casefold()
    if known := next((camera for camera in cameras if wanted and camera.id.casefold() == wanted), None):
        return known
    called = [camera for camera in cameras if wanted in camera.name.casefold()]
    return next((camera for camera in called if camera.name.casefold() == wanted), next(iter(called), None))


def find_camera(spec: str) -> Camera:
    """The camera of a number, an id, or a name or part of one, ignoring case.

    Raises:
        SourceUnavailableError: no name fits; the message lists the cameras there are.
    """
    cameras = list_cameras()
    if spec.isdecimal():
        number = int(spec)
        blind = _blind(number) if not cameras and unlisted_cameras() else Camera(number)
        return next((camera for camera in cameras if camera.index == number), blind)
    found = known_by_name(spec, cameras)
    if found is not None:
        return found
    there = "; plug-ins add ".join([_told(cameras), *filter(None, [", ".join(SOURCES.plugins())])])
    raise SourceUnavailableError(f"there is no camera, file or URL {spec!r}; this machine has {there}")


def _told(cameras: list[Camera]) -> str:
    """The cameras in words."""
    return ", ".join(str(camera) for camera in cameras) or "no camera at all"


class CameraSource(Source):
    """A camera, asked for a size, a rate and a pixel format; what it really gives is read back.

    Args:
        settings: ``source`` is a number or part of a name.
        clock: monotonic time, for the frames' stamps.
    """

    def __init__(self, settings: SourceSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        self._settings = settings
        self._clock = clock
        self._capture = Capture(clock)
        self._first: Grab | None = None
        self.camera: Camera | None = None

    @property
    def wanted(self) -> str:
        """The number or name that it was made with."""
        return self._settings.source

    @property
    def capture(self) -> Capture:
        """The device, for probing its properties."""
        return self._capture

    def prepare(self, ended: Callable[[], bool] = lambda: False) -> None:
        if list_cameras():
            permission.ask(ended)

    def open(self) -> SourceInfo:
        self.camera = find_camera(self._settings.source)
        self._capture.label = str(self.camera)
        self.trouble = "waiting for permission to use cameras"
        if refused := permission.ask(lambda: self._capture.guard.released):
            self._capture.guard.check()
            raise SourceUnavailableError(refused)
        self.trouble = ""
        try:
            opened = self._opened(self.camera)
        except TimeoutError:
            raise SourceUnavailableError(
                f"{self.camera} did not open in {OPEN_LIMIT_S:g} s: plug it in again, or close other programs "
                "that use it"
            ) from None
        if not opened:
            raise SourceUnavailableError(f"{self.camera} cannot be opened: {_why_not(self.camera)}")
        self._first = self._first_frame(self.camera)
        height, width = self._first.image.shape[:2]
        return SourceInfo(
            label=str(self.camera),
            kind="camera",
            width=width,
            height=height,
            fps=self._capture.fps(),
            live=True,
            identity=self.camera.id or self.camera.name or str(self.camera),
        )

    def _opened(self, camera: Camera) -> bool:
        # The driver keeps its own number of buffers: with only one (CAP_PROP_BUFFERSIZE 1), V4L cannot store a picture
        # while the last one is decoded, and the rate halves. The capture thread empties all buffers all the time.
        wanted = {
            # The pixel format comes first: the available sizes and rates depend on it.
            cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*self._settings.fourcc)),
            cv2.CAP_PROP_FRAME_WIDTH: float(self._settings.width or WIDTH),
            cv2.CAP_PROP_FRAME_HEIGHT: float(self._settings.height or HEIGHT),
            cv2.CAP_PROP_FPS: self._settings.fps,
        }
        for backend, number in camera.routes or tuple((backend, camera.index) for backend in backends()[:1]):
            if self._capture.open(number, backend, wanted):
                return True
            # Some drivers refuse to open with values they cannot meet; set them one by one instead.
            if self._capture.open(number, backend, {}):
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
            elif grab.image.max() < _BLACK:
                # Many cameras begin with a few black pictures; one whose cover is closed gives nothing else.
                what = "only black pictures (is its cover closed?)"
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
        raise SourceLostError(
            f"{self.camera} stopped delivering pictures: is it unplugged, or used by another program?"
        )

    def release(self) -> None:
        self._first = None
        self._capture.release()


def _why_not(camera: Camera) -> str:
    if camera.path and os.path.exists(camera.path) and not os.access(camera.path, os.R_OK | os.W_OK):
        return f"you have no permission to use {camera.path}: run `sudo usermod -aG video $USER`, then log in again"
    return "it is missing, used by another program, or not permitted"
