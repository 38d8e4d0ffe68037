"""Numbered pictures as the frames of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from rvm_live.core.errors import EndOfSource, SourceLostError, SourceUnavailableError
from rvm_live.core.settings import SourceSettings
from rvm_live.sources.base import Grab, Source, SourceInfo
from rvm_live.sources.release_guard import ReleaseGuard
from rvm_live.sources.video.video import VideoFileSource

__all__ = ["NumberedSource"]


class NumberedSource(Source):
    """One picture file after the other, each read as a film of one frame is.

    Args:
        pictures: at least one, in order.
        rate: frames per second.
        skip: pictures at the beginning that are passed over, all but the first unread.
        square: as for :class:`~rvm_live.sources.video.video.VideoFileSource`.

    Attributes:
        decoder: what decodes, once open.
        end_ns: when the last picture that was read ends, nanoseconds from the first.
    """

    on_demand = True

    def __init__(self, pictures: Sequence[Path], rate: Fraction, *, skip: int = 0, square: bool = False) -> None:
        self.decoder = ""
        self.end_ns = 0
        self._pictures, self._rate, self._square = pictures, rate, square
        self._next = skip
        self._guard = ReleaseGuard(lambda: None)

    def open(self) -> SourceInfo:
        with self._guard:
            first, info = self._read(0)
            height, width = first.image.shape[:2]
            return SourceInfo(
                label=f"pictures {self._pictures[0].name} to {self._pictures[-1].name}",
                kind="image",
                width=width,
                height=height,
                fps=float(self._rate),
                live=False,
                frame_count=len(self._pictures),
                notes=info.notes,
            )

    def read(self) -> Grab:
        with self._guard:
            number = self._next
            if number >= len(self._pictures):
                raise EndOfSource
            try:
                grab, _ = self._read(number)
            except SourceUnavailableError as error:
                raise SourceLostError(str(error)) from error
            self._next += 1
            start_ns, self.end_ns = self._time_ns(number), self._time_ns(number + 1)
            return Grab(grab.image, grab.captured_ns, start_ns, duration_ns=self.end_ns - start_ns)

    def release(self) -> None:
        self._guard.release()

    def _read(self, number: int) -> tuple[Grab, SourceInfo]:
        film = VideoFileSource(SourceSettings(str(self._pictures[number]), realtime=False), square=self._square)
        try:
            info = film.open()
            self.decoder = film.decoder
            return film.read(), info
        finally:
            film.release()

    def _time_ns(self, number: int) -> int:
        return round(number * 1_000_000_000 / self._rate)
