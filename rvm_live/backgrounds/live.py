"""Another camera, or a stream, behind the person."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Background, Plate
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.backgrounds.cycle import PLAIN
from rvm_live.backgrounds.fit import check_fit, fit_image
from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import BackgroundError, EndOfSource, QueueClosed, SourceUnavailableError, words_of
from rvm_live.core.settings import SourceSettings
from rvm_live.core.worker import Worker
from rvm_live.sources.base import Source, without_credentials
from rvm_live.sources.camera.camera import Camera, CameraSource, find_camera, list_cameras
from rvm_live.sources.factory import open_source
from rvm_live.sources.reconnecting import Make, ReconnectingSource

__all__ = ["LiveBackground"]

_STALE_NS = 500_000_000
_STALEST_NS = 3_000_000_000
_REST_NS = 5_000_000_000
_CLOSE_S = 3.0
_AGAIN_S = 1.0


class _Picture(NamedTuple):
    """A picture as it came, and scaled to the frame."""

    image: NDArray[np.uint8]
    fitted: NDArray[np.uint8]


class LiveBackground(Background):
    """What another camera or a stream shows now.

    It is opened, read and scaled on its own thread; compositing takes the newest picture and never waits
    for one. When it is lost, its last picture stays for half a second (of a slow one for three of its intervals), then
    a plain colour is shown until it is back; both are reported. When it is not shown for five seconds, the device is
    free for others.

    Args:
        source: a camera's number or name, or a URL.
        fit: one of :data:`~rvm_live.backgrounds.fit.FITS`.
        camera: it is a camera.
        clock: monotonic time.
        make: makes a source from settings, without opening it.

    Raises:
        SettingsError: unknown ``fit``, or a bad URL.
        BackgroundError: there is no such camera.

    Attributes:
        camera: which camera it is; None for a stream.
    """

    def __init__(
        self,
        source: str,
        fit: str = "cover",
        *,
        camera: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        make: Make = open_source,
    ) -> None:
        self.settings = SourceSettings(source, fps=30.0, loop=True, wait=True)
        self.fit = check_fit(fit)
        self.camera = _known(source) if camera else None
        self.label = str(self.camera) if self.camera else f"stream {without_credentials(source)}"
        self._clock, self._make = clock, make
        self._plain = ColorBackground(PLAIN)
        self._feed: _Feed | None = None
        self._image: NDArray[np.uint8] | None = None
        self._plate: Plate | None = None
        self._taken_ns = 0
        self._longest_ns = _STALE_NS
        self._version = 0

    @property
    def words(self) -> str:
        """The specification that names it in a later run."""
        camera = self.camera
        return f"{self.settings.source if camera is None else f'camera:{camera.name or camera.index}'}?fit={self.fit}"

    def films(self, settings: SourceSettings) -> bool:
        """Whether this is the same camera or stream as the source in the settings, or the first choice of ``auto``."""
        if self.camera is None:
            return settings.source == self.settings.source
        if settings.source == "auto":
            other = next(iter(list_cameras()), None)
        else:
            try:
                source = open_source(settings)
                other = find_camera(source.wanted) if isinstance(source, CameraSource) else None
            except SourceUnavailableError:  # opening the source will report this
                return False
        return other is not None and other.index == self.camera.index

    def open(self) -> None:
        if self.exact:
            raise BackgroundError(f"{self.label} is live, but files need a background that can be repeated: use a file")
        self._feed = _Feed(self, self._clock, self._make)

    def layer(self, width: int, height: int, now_ns: int) -> Plate:
        feed = self._feed
        if feed is None:
            raise BackgroundError(f"{self.label} is not open")
        picture = feed.newest((width, height))
        if picture is not None:
            if self._plate is not None:
                self._longest_ns = min(max(_STALE_NS, 3 * (now_ns - self._taken_ns)), _STALEST_NS)
            self._image, self._taken_ns = picture.image, now_ns
            self._show(picture.fitted)
        elif self._plate is not None and now_ns - self._taken_ns > self._longest_ns:
            self._plate = self._image = None
            self._longest_ns = _STALE_NS
        if self._plate is None or self._image is None:
            return self._plain.layer(width, height, now_ns)
        if self._plate.image.shape[:2] != (height, width):
            self._show(fit_image(self._image, width, height, self.fit, self.pixel))
        return self._plate

    def close(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.stop()
        self._plate = self._image = None
        self._plain.close()

    def tell(self, text: str, *, back: bool = False) -> None:
        """Report what happened to it; called on its thread."""
        if self.notices is not None:
            (self.notices.news if back else self.notices.again)(f"background: {text}")

    def _show(self, image: NDArray[np.uint8]) -> None:
        self._version += 1
        self._plate = Plate(image, self._version)


class _Feed:
    """Reads on its own thread, as long as pictures are asked for."""

    def __init__(self, background: LiveBackground, clock: Clock, make: Make) -> None:
        self._background, self._clock, self._make = background, clock, make
        self._size = (0, 0)
        self._asked = threading.Event()
        self._asked_ns = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._source: Source | None = None
        self._worker: Worker[_Picture] = Worker("background", self._run, gives=True)
        self._worker.start()

    def newest(self, size: tuple[int, int]) -> _Picture | None:
        """The newest picture since the last call, if any; for frames of that size, (width, height).

        Raises:
            BackgroundError: its thread has ended.
        """
        self._size, self._asked_ns = size, self._clock.now_ns()
        self._asked.set()
        try:
            picture = self._worker.queue.get(timeout=0)
        except TimeoutError:
            return None
        except QueueClosed as closed:
            reason = words_of(closed.error) if closed.error else "its thread ended"
            raise BackgroundError(reason) from closed.error
        fits = picture.fitted.shape[:2] == (size[1], size[0])
        return picture if fits else _Picture(picture.image, self._fitted(picture.image))

    def stop(self) -> None:
        with self._lock:
            self._stopped.set()
            source = self._source
        self._worker.queue.cancel()
        self._asked.set()
        if source is not None:
            source.release()
        self._worker.join(_CLOSE_S)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._asked.wait()
            told: list[str] = []
            source = ReconnectingSource(
                self._background.settings, self._make, self._teller(told), self._clock, self._teller(told, back=True)
            )
            with self._lock:
                if self._stopped.is_set():
                    return
                self._source = source
            try:
                self._read(source, told)
            except EndOfSource:
                self._stopped.wait(_AGAIN_S)  # a film that has ended begins again after this wait
            finally:
                source.release()

    def _read(self, source: Source, told: list[str]) -> None:
        info = source.open()
        if told:
            self._background.tell(f"{info.label} is available", back=True)
        while True:
            grab = source.read()
            if self._clock.now_ns() - self._asked_ns > _REST_NS:
                break
            self._worker.queue.put(_Picture(grab.image, self._fitted(grab.image)))
        self._asked.clear()
        with suppress(TimeoutError):  # drop the unused picture: it will be old when one is asked for again
            self._worker.queue.get(timeout=0)

    def _fitted(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        return fit_image(image, *self._size, self._background.fit, self._background.pixel)

    def _teller(self, told: list[str], *, back: bool = False) -> Callable[[str], None]:
        def tell(text: str) -> None:
            told.append(text)
            self._background.tell(text, back=back)

        return tell


def _known(spec: str) -> Camera:
    """The camera of that name.

    Raises:
        BackgroundError: there is none; the message lists the others.
    """
    try:
        return find_camera(spec)
    except SourceUnavailableError:
        there = ", ".join(str(each) for each in list_cameras()) or "no camera at all"
        raise BackgroundError(f"there is no camera {spec!r}: this machine has {there}") from None
