"""A camera or stream that is opened again when it stops delivering, for as long as it takes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import EndOfSource, SourceError, SourceLostError, SourceUnavailableError
from rvm_live.core.settings import SourceSettings
from rvm_live.sources.auto import AutoSource
from rvm_live.sources.base import Grab, Source, SourceInfo
from rvm_live.sources.camera.camera import Camera, CameraSource, list_cameras

__all__ = ["ReconnectingSource", "same_camera"]

_WAITS_S = (0.2, 0.5, 1.0, 2.0, 4.0)
_SLICE_S = 0.05
_FROZEN_NS = 5_000_000_000

Make = Callable[[SourceSettings, Clock], Source]


class ReconnectingSource(Source):
    """Delivers a live source's pictures. When it is lost, it is opened again: after 0.2 s, then less and less often,
    finally every 4 s, without end. A camera is found by its device path and name, because its number may change.

    Failing to open the first time is an error, unless ``wait`` is set; so is the loss of a file or of the
    demo.

    Args:
        settings: what was asked for.
        make: makes a source from settings, without opening it.
        tell: called when it is lost, on the capture thread.
        tell_back: called when it is back; None: ``tell``.
        clock: monotonic time.

    Attributes:
        trouble: why nothing comes at the moment, for display; empty while something does.
        lost: how often it was lost.
    """

    def __init__(
        self,
        settings: SourceSettings,
        make: Make,
        tell: Callable[[str], None] = lambda text: None,
        clock: Clock = SYSTEM_CLOCK,
        tell_back: Callable[[str], None] | None = None,
    ) -> None:
        self._trouble = ""
        self.lost = 0
        self._settings, self._make, self._tell, self._clock = settings, make, tell, clock
        self._tell_back = tell_back or tell
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._inner: Source | None = None
        self._info: SourceInfo | None = None
        self._camera: Camera | None = None
        self._before: Source | None = None
        self._restarted = False
        self._same: tuple[int, int] | None = None
        self._frozen_told = False
        self._asking = make(settings, clock)  # never opened: it only tells what is known before opening
        self.on_demand = self._asking.on_demand

    @property
    def trouble(self) -> str:  # type: ignore[override]
        inner = self._inner
        return self._trouble or ("" if inner is None else inner.trouble)

    def prepare(self, ended: Callable[[], bool] = lambda: False) -> None:
        self._asking.prepare(ended)

    def open(self) -> SourceInfo:
        try:
            return self._open(self._settings)
        except SourceUnavailableError as error:
            if not self._settings.wait or self.on_demand or self._released.is_set():
                raise
            self._drop()
            self._trouble = f"{error}; waiting for it"
            self._tell(self._trouble)
        info = self._open_again()
        self._trouble, self._restarted = "", False
        return info

    def _open(self, settings: SourceSettings) -> SourceInfo:
        source = self._make(settings, self._clock)
        if self._before is not None:
            source.go_on(self._before)
        with self._lock:
            if self._released.is_set():
                raise EndOfSource
            self._inner = source
        info = source.open()
        self._camera = _camera_of(source) or self._camera
        self._info = info
        return info

    def read(self) -> Grab:
        while True:
            source = self._inner
            if source is None:
                info = self._open_again()
                self._tell_back(f"{info.label} is back")
                continue
            try:
                grab = source.read()
            except SourceLostError as error:
                if self._info is None or not self._info.live or self._released.is_set():
                    raise
                self._lose(source, error)
                continue
            self._trouble = ""
            self._look(grab)
            if self._restarted:
                self._restarted = False
                return replace(grab, restarted=True)
            return grab

    def release(self) -> None:
        with self._lock:
            self._released.set()
            source, self._inner = self._inner, None
        if source is not None:
            source.release()

    def _lose(self, source: Source, error: SourceLostError) -> None:
        self.lost += 1
        self._trouble = f"{error}; trying again"
        self._tell(f"{error}; trying again until it is back")
        with self._lock:
            mine, self._inner = self._inner, None
        if mine is not None:
            source.release()
        self._before = source

    def _drop(self) -> None:
        """Release a source that did not open."""
        with self._lock:
            failed, self._inner = self._inner, None
        if failed is not None:
            failed.release()

    def _open_again(self) -> SourceInfo:
        """Try until it is open.

        Raises:
            EndOfSource: released meanwhile.
        """
        attempt = 0
        while True:
            self._wait(_WAITS_S[min(attempt, len(_WAITS_S) - 1)])
            attempt += 1
            try:
                info = self._open(self._wanted())
            except SourceError:
                self._drop()
                continue
            self._restarted = True
            return info

    def _wanted(self) -> SourceSettings:
        if self._camera is None:
            return self._settings
        return replace(self._settings, source=str(same_camera(self._camera, list_cameras()).index))

    def _wait(self, seconds: float) -> None:
        until_ns = self._clock.now_ns() + round(seconds * 1e9)
        while self._clock.now_ns() < until_ns:
            if self._released.is_set():
                raise EndOfSource
            self._clock.sleep(_SLICE_S)

    def _look(self, grab: Grab) -> None:
        """Report a camera that repeats the same picture; noise makes real pictures differ."""
        if self._info is None or not self._info.live:
            return
        print_ = hash(grab.image[::16, ::16].tobytes())
        if self._same is None or self._same[0] != print_:
            self._same = (print_, grab.captured_ns)
        elif grab.captured_ns - self._same[1] > _FROZEN_NS and not self._frozen_told:
            self._frozen_told = True
            self._tell(f"{self._info.label} has shown the same picture for 5 s: perhaps it hangs")


def same_camera(camera: Camera, there: list[Camera]) -> Camera:
    """Where a camera is now: by its device path and name, else by its name, else where it was."""
    named = [other for other in there if camera.name and other.name == camera.name]
    exact = [other for other in named if camera.path and other.path == camera.path]
    return next(iter(exact or named), camera)


def _camera_of(source: Source) -> Camera | None:
    if isinstance(source, AutoSource):
        return None if source.chosen is None else _camera_of(source.chosen)
    return source.camera if isinstance(source, CameraSource) else None
