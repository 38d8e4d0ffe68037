"""Opens one source, reads it for a while and reports how that went."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvm_live.apps.hwtest.report import Mode, SourceReport
from rvm_live.apps.hwtest.rhythm import Rhythm, rhythm_of
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EndOfSource, SourceLostError, SourceUnavailableError
from rvm_live.core.settings import SourceSettings
from rvm_live.media.facts import picture_track
from rvm_live.media.ffmpeg import code_of, open_any
from rvm_live.sources.base import Grab, Source, SourceInfo
from rvm_live.sources.stream import UrlSource

__all__ = ["Glimpse", "Probe", "Watch"]

_SETTLE_NS = 300_000_000
_OPEN_LIMIT_S = 30.0
_READ_LIMIT_S = 5.0
_KEEP = 12
_BACKENDS = {"video": "FFmpeg (PyAV)", "url": "FFmpeg (PyAV)", "image": "OpenCV", "demo": "drawn"}


@dataclass(frozen=True)
class Glimpse:
    """The newest frame of a running measurement.

    Attributes:
        image: uint8 (H, W, 3) BGR.
        number: frames so far, from 1.
        captured_ns: monotonic time of the grab.
        since_first_ns: time since the first frame.
        fps: rate over the last second or so.
    """

    image: NDArray[np.uint8]
    number: int
    captured_ns: int
    since_first_ns: int
    fps: float


Watch = Callable[[Glimpse | None], bool]
"""Called on the main thread with the newest frame (None: nothing new); True ends the measurement."""


class Probe:
    """One measurement of one source, on a thread of its own, so that nothing that is shown holds up the counting.

    Args:
        source: fresh; opened, read and released here.
        settings: what was asked of it.
        seconds: to measure after the first moments; None: until ``watch`` says so.
        watch: shows what comes, or None.
        known: modes measured before; if the source delivers one of them, its rhythm is taken from here.
    """

    def __init__(
        self,
        source: Source,
        settings: SourceSettings,
        seconds: float | None,
        *,
        watch: Watch | None = None,
        known: Mapping[Mode, Rhythm] | None = None,
    ) -> None:
        self._source = source
        self._settings = settings
        self._seconds = seconds
        self._watch = watch
        self._known = known or {}
        self._clock = SYSTEM_CLOCK
        self._stop = threading.Event()
        self._news = threading.Event()
        self._error: BaseException | None = None
        self._ended: str | None = None
        self._info: SourceInfo | None = None
        self._mode: Mode | None = None
        self._open_s = 0.0
        self._backend = ""
        self._controls: dict[str, float] = {}
        self._latest: Grab | None = None
        self._all: list[int] = []
        self._stamps: list[int] = []
        self._repeated = 0
        self.pictures: list[NDArray[np.uint8]] = []
        """A few of the frames, for whatever needs real ones later."""

    def run(self) -> SourceReport:
        """Measure.

        Raises:
            SourceUnavailableError: it cannot be opened or delivers nothing.
            SourceLostError: it opened and then delivered nothing.
        """
        self._source.prepare()
        thread = threading.Thread(target=self._read, name="rvm-hwtest", daemon=True)
        thread.start()
        try:
            self._attend(thread)
        finally:
            self._stop.set()
            self._source.release()
            thread.join(_READ_LIMIT_S)
        if self._error is not None:
            raise self._error
        known = None if self._mode is None else self._known.get(self._mode)
        if self._info is None or self._mode is None or not (self._all or known):
            raise SourceUnavailableError(f"{self._name()} delivered no picture: choose another source with --source")
        return SourceReport(
            label=self._info.label,
            kind=self._info.kind,
            backend=self._backend,
            requested=self._requested() if self._info.kind == "camera" else None,
            actual=self._mode,
            open_s=self._open_s,
            rhythm=known or rhythm_of(self._stamps, self._repeated),
            controls=self._controls,
            ended=self._ended,
        )

    def _name(self) -> str:
        return self._info.label if self._info is not None else self._settings.source

    def _requested(self) -> Mode:
        from rvm_live.sources.camera.camera import HEIGHT, WIDTH

        asked = self._settings
        return Mode(asked.width or WIDTH, asked.height or HEIGHT, asked.fps, asked.fourcc)

    # ------------------------------------------------------------------------------------------- the main thread

    def _attend(self, thread: threading.Thread) -> None:
        """Wait for the reader, show what comes, and give up on a source that hangs."""
        moved_ns, seen = self._clock.now_ns(), 0
        while thread.is_alive():
            self._news.wait(0.01 if self._watch else 0.1)
            self._news.clear()
            count = len(self._all)
            if self._watch is not None and self._watch(self._glimpse(count) if count > seen else None):
                return
            if count > seen:
                seen, moved_ns = count, self._clock.now_ns()
            limit = _OPEN_LIMIT_S if self._info is None else _READ_LIMIT_S
            if (self._clock.now_ns() - moved_ns) / 1e9 > limit:
                raise SourceLostError(f"{self._name()} hangs: no picture for {limit:g} s")

    def _glimpse(self, count: int) -> Glimpse | None:
        grab = self._latest
        if grab is None:
            return None
        recent = self._all[max(0, count - 31) : count]
        span = recent[-1] - recent[0]
        fps = (len(recent) - 1) * 1e9 / span if span > 0 else 0.0
        return Glimpse(grab.image, count, grab.captured_ns, grab.captured_ns - self._all[0], fps)

    # ----------------------------------------------------------------------------------------- the reader's thread

    def _read(self) -> None:
        try:
            self._open()
            if self._mode in self._known:
                return
            while not self._stop.is_set() and self._take(self._source.read()):
                pass
        except EndOfSource:
            if not self._stop.is_set():
                self._ended = "the source has ended"
        except SourceLostError as error:
            if self._all:  # it delivered pictures: that it then stopped is a finding, not a failure
                self._ended = str(error)
            else:
                self._error = error
        except BaseException as error:
            self._error = error
        finally:
            self._news.set()

    def _open(self) -> None:
        began_ns = self._clock.now_ns()
        info = self._source.open()
        self._open_s = (self._clock.now_ns() - began_ns) / 1e9
        capture = getattr(self._source, "capture", None)
        fourcc, self._backend = "", _BACKENDS.get(info.kind, "")
        if capture is not None:
            fourcc, self._backend = capture.fourcc(), capture.backend
            if info.kind == "camera":
                self._controls = _controls(capture)
        elif info.kind == "video":
            fourcc = _codec(self._settings.source)
        elif isinstance(self._source, UrlSource):
            fourcc = self._source.codec  # read from the open source: some servers accept only one connection
        self._mode = Mode(info.width, info.height, info.fps, fourcc)
        self._info = info

    def _take(self, grab: Grab) -> bool:
        """Count a frame; whether to go on."""
        before, self._latest = self._latest, grab
        self._all.append(grab.captured_ns)
        self._news.set()
        if grab.captured_ns - self._all[0] < _SETTLE_NS:
            return True  # buffers are emptied and the exposure settles: this time does not count for the source's rate
        self._repeated += bool(self._stamps) and before is not None and _same(before.image, grab.image)
        self._stamps.append(grab.captured_ns)
        if len(self.pictures) < _KEEP:
            self.pictures.append(grab.image)
        return self._seconds is None or grab.captured_ns - self._stamps[0] < self._seconds * 1e9


def _same(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> bool:
    """Whether two pictures are equal, decided early for most that are not."""
    if one.shape != two.shape or not np.array_equal(one[::32], two[::32]):
        return False
    return bool(np.array_equal(one, two))


def _controls(capture: Any) -> dict[str, float]:
    """Settings of a camera, in its driver's units; what reads as -1 is not readable."""
    import cv2

    properties = {
        "brightness": cv2.CAP_PROP_BRIGHTNESS,
        "contrast": cv2.CAP_PROP_CONTRAST,
        "exposure": cv2.CAP_PROP_EXPOSURE,
        "gain": cv2.CAP_PROP_GAIN,
        "focus": cv2.CAP_PROP_FOCUS,
    }
    values = {name: float(capture.get(what)) for name, what in properties.items()}
    return {name: value for name, value in values.items() if value != -1}


def _codec(target: str) -> str:
    """The code of a file's video format, such as ``avc1``; empty if unknown."""
    with suppress(Exception), open_any(target) as container:  # only a detail: it may fail
        return code_of(picture_track(container))
    return ""
