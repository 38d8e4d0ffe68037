"""Video files, through PyAV."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from rvm_live.clock import SYSTEM_CLOCK, Clock
from rvm_live.colour import bgr_of
from rvm_live.errors import EndOfSource, SourceLostError, SourceUnavailableError
from rvm_live.libav import open_any
from rvm_live.settings import SourceSettings
from rvm_live.sources.base import Grab, Source, SourceInfo, without_credentials
from rvm_live.sources.deinterlace import Deinterlacer
from rvm_live.sources.guard import ReleaseGuard
from rvm_live.sources.hardware import open_decoding
from rvm_live.sources.scaling import fit_inside

__all__ = ["VideoFileSource", "picture_of"]

_log = logging.getLogger("rvm_live.sources")

_LATE_NS = 100_000_000
_GIVE_UP_NS = 500_000_000


class VideoFileSource(Source):
    """A file that plays as a camera would, or as fast as it is read.

    In real time a frame is handed out when it is due by its own time stamp. A reader that falls more than a tenth of
    a second behind gets the frame that is due now, and those in between are skipped, as a camera would; where even
    decoding cannot keep up, the file plays slower. Rotation flags are obeyed, interlaced pictures made whole, damaged
    packets passed over.

    Args:
        settings: ``source`` is the path (or the URL of a file); a given width or height scales the pictures.
        clock: stamps and paces.
        skip: frames at the beginning that are decoded and not handed out.
        hardware: decode on a GPU where one can.

    Attributes:
        decoder: what decodes, once open: the codec's name, and the kind of hardware or ``software``.
    """

    on_demand = True

    def __init__(
        self, settings: SourceSettings, clock: Clock = SYSTEM_CLOCK, *, skip: int = 0, hardware: bool = False
    ) -> None:
        self.decoder = ""
        self._skip, self._hardware = skip, hardware
        self._settings = settings
        self._name = without_credentials(settings.source)
        self._clock = clock
        self._guard = ReleaseGuard(self._free)
        self._container: Any = None
        self._frames: Iterator[Any] = iter(())
        self._first: Any = None
        self._first_s = Fraction(0)
        self._anchor: tuple[int, int] | None = None  # (clock, media) of a frame that was on time
        self._period_ns = round(1e9 / 30)
        self._last_media_ns: int | None = None

    def open(self) -> SourceInfo:
        with self._guard:
            self._start()
            first = self._first
            stream = self._container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
            fps = float(rate) if rate else 0.0
            if fps > 0:
                self._period_ns = round(1e9 / fps)
            try:
                height, width = self._picture(first).shape[:2]
            except SourceLostError as error:
                raise SourceUnavailableError(str(error)) from error
            return SourceInfo(
                label=f"file {_file_name(self._name)}",
                kind="video",
                width=width,
                height=height,
                fps=fps,
                live=False,
                frame_count=None if self._settings.loop else (stream.frames or None),
            )

    def read(self) -> Grab:
        with self._guard:
            while self._skip:
                self._guard.check()
                self._next()
                self._skip -= 1
            captured_ns = self._clock.now_ns()
            frame, media_ns = self._next()
            if self._settings.realtime:
                frame, media_ns = self._when_due(frame, media_ns)
                captured_ns = self._clock.now_ns()
            return Grab(self._picture(frame), captured_ns, media_ns)

    def release(self) -> None:
        self._guard.release()

    def _when_due(self, frame: Any, media_ns: int) -> tuple[Any, int]:
        """Wait for the frame's time, or skip to the one that is due now."""
        began_ns = self._clock.now_ns()
        if self._anchor is None:
            self._anchor = (began_ns, media_ns)
        while True:
            now_ns = self._clock.now_ns()
            due_ns = self._anchor[0] + media_ns - self._anchor[1]
            if now_ns <= due_ns + _LATE_NS:
                self._guard.wait_until(due_ns, self._clock)
                return frame, media_ns
            if now_ns - began_ns > _GIVE_UP_NS:
                self._anchor = (now_ns, media_ns)
                return frame, media_ns
            frame, media_ns = self._next()

    def _next(self) -> tuple[Any, int]:
        """The next decoded frame and its position in the file, nanoseconds from its first."""
        frame = self._first
        self._first = None
        while frame is None:
            frame = next(self._frames, None)
            if frame is None:
                self._end()
                frame, self._first = self._first, None
        if frame.pts is None:  # raw streams carry no stamps: count frames instead
            media_ns = 0 if self._last_media_ns is None else self._last_media_ns + self._period_ns
        else:
            media_ns = round((frame.pts * frame.time_base - self._first_s) * 1_000_000_000)
        self._last_media_ns = media_ns
        return frame, media_ns

    def _end(self) -> None:
        """Start over, or end."""
        if not self._settings.loop:
            raise EndOfSource
        last_ns = self._last_media_ns or 0
        self._free()
        try:
            self._start()
        except SourceUnavailableError as error:
            raise SourceLostError(f"{self._name} cannot be played again: {error}") from error
        if self._anchor is not None:
            self._anchor = (self._anchor[0] + last_ns - self._anchor[1] + self._period_ns, 0)

    def _start(self) -> None:
        target = self._settings.source
        if "://" not in target:
            _check_readable(Path(target))
        self._last_media_ns = None
        kind, reason = "software", ""
        try:
            if self._hardware:
                self._container, kind, reason = open_decoding(target)
            else:
                self._container = open_any(target, metadata_errors="ignore")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceUnavailableError(f"{self._name} is not a video that can be read: {_words(error)}") from error
        if not self._container.streams.video:
            what = "sound only" if self._container.streams.audio else "neither picture nor sound"
            raise SourceUnavailableError(f"{self._name} holds no picture: {what}")
        stream = self._container.streams.video[0]
        if stream.codec_context is None:
            raise SourceUnavailableError(f"{self._name} holds no picture that can be decoded: its codec is not known")
        self.decoder = f"{stream.codec_context.name}, {kind}{f' ({reason})' if reason else ''}"
        if kind == "software":
            stream.thread_type = "AUTO"
        self._frames = self._decode(stream)
        self._first = next(self._frames, None)
        if self._first is None:
            raise SourceUnavailableError(f"{self._name} holds no picture that can be decoded: damaged, or cut short")
        first = self._first
        self._first_s = Fraction(0) if first.pts is None else first.pts * first.time_base

    def _decode(self, stream: Any) -> Iterator[Any]:
        """Every frame that decodes; damaged packets are passed over, a file that breaks off ends there."""
        damaged = 0
        whole = Deinterlacer()
        packets = self._container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                _log.warning("%s breaks off: %s", self._name, _words(error))
                packet = None
            if packet is None:
                break
            try:
                for frame in packet.decode():
                    yield from whole.push(frame)
            except av.error.FFmpegError as error:
                damaged += 1
                if damaged == 1:
                    _log.warning("%s has damaged packets, which are passed over: %s", self._name, _words(error))
        try:
            yield from whole.flush()
        except av.error.FFmpegError as error:
            _log.warning("%s: its last interlaced picture cannot be made whole: %s", self._name, _words(error))

    def _picture(self, frame: Any) -> NDArray[np.uint8]:
        try:
            image = picture_of(frame, exact=not self._settings.realtime)
        except (av.error.FFmpegError, ValueError) as error:  # pixels of a kind that FFmpeg cannot convert
            raise SourceLostError(f"{self._name} holds a picture that cannot be converted: {_words(error)}") from error
        return fit_inside(image, (self._settings.width, self._settings.height))

    def _free(self) -> None:
        self._frames = iter(())
        if self._container is not None:
            self._container.close()
            self._container = None


def picture_of(frame: Any, *, exact: bool = True) -> NDArray[np.uint8]:
    """A PyAV video frame as uint8 (H, W, 3) BGR, upright; ``exact`` as in :func:`~rvm_live.colour.bgr_of`."""
    image = bgr_of(frame, exact=exact)
    turns = round(frame.rotation / 90) % 4  # counterclockwise, as np.rot90
    return np.ascontiguousarray(np.rot90(image, turns) if turns else image)


def _check_readable(path: Path) -> None:
    if path.is_dir():
        raise SourceUnavailableError(f"{path} is a folder: name one video or image file in it")
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise SourceUnavailableError(f"{path} is empty")
    except OSError as error:
        raise SourceUnavailableError(f"cannot read {path}: {error.strerror or error}") from error


def _file_name(target: str) -> str:
    return Path(target.partition("?")[0] if "://" in target else target).name


def _words(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split())
