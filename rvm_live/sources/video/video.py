"""Video files, through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import EndOfSource, SourceLostError, SourceUnavailableError, told_as, words_of
from rvm_live.core.settings import SourceSettings
from rvm_live.media.colour import bgr_of
from rvm_live.media.facts import UnreadableVideo, brought_to, facts_of_frame
from rvm_live.media.ffmpeg import open_any
from rvm_live.media.reading import Reading
from rvm_live.media.scaling import fit_inside
from rvm_live.media.timeline import Timed
from rvm_live.media.tone_mapping import kind_of
from rvm_live.sources.base import Grab, Source, SourceInfo, without_credentials
from rvm_live.sources.release_guard import ReleaseGuard
from rvm_live.sources.video.hardware import open_decoding

__all__ = ["VideoFileSource"]

_LATE_NS = 100_000_000
_GIVE_UP_NS = 500_000_000


class VideoFileSource(Source):
    """A file that plays as a camera would, or as fast as it is read.

    In real time a frame is handed out when it is due by its own time stamp. A reader that falls more than a tenth of
    a second behind gets the frame that is due now, and those in between are skipped, as a camera would; where even
    decoding cannot keep up, the file plays slower. Pictures are brought upright, interlaced ones made whole, damaged
    packets passed over.

    Args:
        settings: ``source`` is the path (or the URL of a file); a given width or height scales the pictures.
        clock: monotonic time.
        skip: frames at the beginning that are decoded and not handed out.
        hardware: decode on a GPU where one can.
        square: pictures are scaled so that their pixels are square, for those who show them as they are. If not, all
            have pixels of the shape that the first one's have.

    Attributes:
        decoder: what decodes, once open: the codec's name, and the kind of hardware or ``software``.
        end_ns: when the last frame that was read ends, nanoseconds on the file's clock.
    """

    on_demand = True

    def __init__(
        self,
        settings: SourceSettings,
        clock: Clock = SYSTEM_CLOCK,
        *,
        skip: int = 0,
        hardware: bool = False,
        square: bool = False,
    ) -> None:
        self.decoder = ""
        self.end_ns = 0
        self._skip, self._hardware = skip, hardware
        self._settings = settings
        self._name = without_credentials(settings.source)
        self._clock = clock
        self._guard = ReleaseGuard(self._free)
        self._reading: Reading | None = None
        self._pictures: Iterator[Timed] = iter(())
        self._first: Timed | None = None
        self._anchor: tuple[int, int] | None = None  # (clock, media) times of a frame that came on time
        self._pixel = Fraction(1) if square else None

    def open(self) -> SourceInfo:
        with self._guard:
            first = self._start()
            reading = self._opened
            wide = kind_of(first.frame)
            try:
                height, width = self._picture(first.frame).shape[:2]
            except SourceLostError as error:
                raise SourceUnavailableError(str(error)) from error
            return SourceInfo(
                label=f"file {_file_name(self._name)}",
                kind="video",
                width=width,
                height=height,
                fps=float(reading.rate or 0),
                live=False,
                frame_count=None if self._settings.loop else (reading.stream.frames or None),
                notes=() if wide is None else (f"{_file_name(self._name)} is {wide}",),
            )

    def read(self) -> Grab:
        with self._guard:
            while self._skip:
                self._guard.check()
                self._next()
                self._skip -= 1
            captured_ns = self._clock.now_ns()
            shown = self._next()
            if self._settings.realtime:
                shown = self._when_due(shown)
                captured_ns = self._clock.now_ns()
            return Grab(
                self._picture(shown.frame), captured_ns, shown.start_ns, duration_ns=shown.end_ns - shown.start_ns
            )

    def release(self) -> None:
        self._guard.release()

    @property
    def _opened(self) -> Reading:
        if self._reading is None:
            raise EndOfSource
        return self._reading

    def _when_due(self, shown: Timed) -> Timed:
        """Wait for the frame's time, or skip to the one that is due now."""
        began_ns = self._clock.now_ns()
        if self._anchor is None:
            self._anchor = (began_ns, shown.start_ns)
        while True:
            now_ns = self._clock.now_ns()
            due_ns = self._anchor[0] + shown.start_ns - self._anchor[1]
            if now_ns <= due_ns + _LATE_NS:
                self._guard.wait_until(due_ns, self._clock)
                return shown
            if now_ns - began_ns > _GIVE_UP_NS:
                self._anchor = (now_ns, shown.start_ns)
                return shown
            shown = self._next()

    def _next(self) -> Timed:
        """The next decoded frame."""
        shown, self._first = self._first or next(self._pictures, None), None
        if shown is None:
            shown = self._again()
        self.end_ns = shown.end_ns
        return shown

    def _again(self) -> Timed:
        """Start over, or end, both when the last frame has been seen for as long as it lasts."""
        if self._anchor is not None:
            end_ns = self._anchor[0] + self.end_ns - self._anchor[1]
            if not self._settings.loop:
                self._guard.wait_until(end_ns, self._clock)
        if not self._settings.loop:
            raise EndOfSource
        self._free()
        try:
            first = self._start()
        except SourceUnavailableError as error:
            raise SourceLostError(f"{self._name} cannot be played again: {error}") from error
        self._first = None
        if self._anchor is not None:
            self._anchor = (end_ns, first.start_ns)
        return first

    def _start(self) -> Timed:
        target = self._settings.source
        if "://" not in target:
            _check_readable(Path(target))
        decoding = ["software", ""]

        def opened() -> Any:
            if not self._hardware:
                return open_any(target)
            container, *decoding[:] = open_decoding(target)
            return container

        try:
            self._reading = Reading(opened, self._name, thorough=not self._settings.realtime)
            self._pictures = self._reading.pictures()
            self._first = first = next(self._pictures)
        except UnreadableVideo as error:
            raise SourceUnavailableError(f"{self._name} {error}") from error
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceUnavailableError(f"{self._name} is not a video that can be read: {words_of(error)}") from error
        kind, reason = decoding
        codec = self._reading.stream.codec_context.name
        self.decoder = f"{codec}, {kind}{f' ({reason})' if reason else ''}"
        return first

    def _picture(self, frame: Any) -> NDArray[np.uint8]:
        facts = facts_of_frame(frame, None if self._reading is None else self._reading.stream)
        if self._pixel is None:
            self._pixel = facts.pixel
        words = f"{self._name} contains a picture that cannot be converted"
        with told_as(SourceLostError, words, of=(av.error.FFmpegError, ValueError)):
            # ValueError: an unknown pixel format.
            image = brought_to(bgr_of(frame, exact=not self._settings.realtime), facts, self._pixel)
        return fit_inside(image, (self._settings.width, self._settings.height))

    def _free(self) -> None:
        self._pictures = iter(())
        if self._reading is not None:
            self._reading.close()
            self._reading = None


def _check_readable(path: Path) -> None:
    if path.is_dir():
        raise SourceUnavailableError(f"{path} is a folder: name one video or image file in it")
    with told_as(SourceUnavailableError, f"cannot read {path}"), path.open("rb") as file:
        if not file.read(1):
            raise SourceUnavailableError(f"{path} is empty")


def _file_name(target: str) -> str:
    return Path(target.partition("?")[0] if "://" in target else target).name
