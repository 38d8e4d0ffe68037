"""Finds a part of a film, and delivers its frames on their own clock."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av.error

from rvm_live.apps.batch.media import Facts
from rvm_live.apps.batch.spans import Mark, Span
from rvm_live.core.errors import EndOfSource, SettingsError, SourceUnavailableError, words_of
from rvm_live.media.facts import UnreadableVideo
from rvm_live.media.ffmpeg import open_file
from rvm_live.media.reading import Reading
from rvm_live.media.timecode import Timecode, true_rate
from rvm_live.sources.base import Grab, Source, SourceInfo
from rvm_live.sources.video.numbered import NumberedSource
from rvm_live.sources.video.video import VideoFileSource

__all__ = ["PartSource", "Place", "Times", "locate"]

_NEAR_NS = 50_000_000
_HALF_MS = 500_000
"""Tolerance, nanoseconds: people and programs write rounded milliseconds."""


@dataclass(frozen=True)
class Place:
    """Which pictures of a film a span is.

    Attributes:
        first: number of the first, from 0.
        start_ns: when it is to be seen on the film's clock, nanoseconds.
        until_frame: number of the first after it, or None.
        until_ns: pictures that begin at this time or later are after it, or None.
    """

    first: int
    start_ns: int
    until_frame: int | None = None
    until_ns: int | None = None

    def holds(self, number: int, start_ns: int) -> bool:
        """Whether a picture at or after the start is in it."""
        if self.until_frame is not None and number >= self.until_frame:
            return False
        return self.until_ns is None or start_ns < self.until_ns

    @property
    def open_end(self) -> bool:
        return self.until_frame is None and self.until_ns is None

    def frames(self, rate: Fraction) -> int | None:
        """About how many pictures it has; None where the film's end decides."""
        if self.until_frame is not None:
            return self.until_frame - self.first
        return None if self.until_ns is None else max(1, round((self.until_ns - self.start_ns) * rate / 10**9))


class Times:
    """When each picture of a film is to be seen, nanoseconds on its clock; decoded as far as needed so far.

    Args:
        source: the film, or the first of a row of pictures.
        pictures: that row; empty: it is a film.
        rate: of a row, pictures a second.

    Raises:
        SourceUnavailableError: while it is gone through: the film cannot be read.
    """

    def __init__(self, source: Path, pictures: Sequence[Path], rate: Fraction) -> None:
        self.source = source
        row = (round(number * 10**9 / rate) for number in range(len(pictures)))
        self._known: list[int] = []
        self._coming = row if pictures else self._decoded()

    def __iter__(self) -> Iterator[int]:
        number = 0
        while True:
            if number == len(self._known):
                time_ns = next(self._coming, None)
                if time_ns is None:
                    return
                self._known.append(time_ns)
            yield self._known[number]
            number += 1

    def close(self) -> None:
        """Leave the film."""
        self._coming.close()

    def _decoded(self) -> Generator[int, None, None]:
        source = self.source
        try:
            reading = Reading(lambda: open_file(source), str(source), thorough=True)
            with closing(reading):
                for shown in reading.pictures():
                    yield shown.start_ns
        except UnreadableVideo as error:
            raise SourceUnavailableError(f"{source} {error}") from error
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceUnavailableError(f"{source} is not a video that can be read: {words_of(error)}") from error


def locate(span: Span, times: Times, facts: Facts) -> Place:
    """Find a span in a film, which is decoded up to its start for that.

    Args:
        span: what is looked for.
        times: of the film's pictures.
        facts: of the film.

    Raises:
        SettingsError: it does not lie in this film.
        SourceUnavailableError: the film cannot be read.
    """
    source, until_frame, until_ns = times.source, None, None
    if span.end is not None:
        until_frame, until_ns = span.end.frame, _time_ns(span.end, "end", source, facts)
    wanted = Mark(frame=0) if span.start is None else span.start
    time_ns = _time_ns(wanted, "start", source, facts)
    count = 0
    for number, start_ns in enumerate(times):
        count += 1
        if number == wanted.frame or (time_ns is not None and start_ns >= time_ns):
            place = Place(number, start_ns, until_frame, until_ns)
            if not place.holds(number, start_ns):
                raise SettingsError(f"{source.name} contains no frame {span}")
            return place
    raise SettingsError(f"the start {wanted} is after the end of {source.name}, which has {count} frames")


def _time_ns(mark: Mark, what: str, source: Path, facts: Facts) -> int | None:
    """Time from which on pictures are at or after a mark, nanoseconds; None if the mark is a frame number."""
    if mark.seconds is not None:
        return round(mark.seconds * 10**9) - _HALF_MS
    if mark.code is None:
        return None
    nominal, rate = true_rate(facts.rate)
    own = facts.timecode
    if own is not None and own.drop != mark.code.drop:
        raise SettingsError(
            f"the {what} {mark.code} is of another kind than those of {source.name}, which begins at {own}: "
            f"write {';' if own.drop else ':'} before the frames"
        )
    try:
        count = mark.code.count(nominal) - (own.count(nominal) if own is not None else 0)
    except ValueError as error:
        raise SettingsError(f"the {what} {mark.code} does not exist in {source.name}: {error}") from error
    day = Timecode(24, 0, 0, 0, mark.code.drop).count(nominal)
    if count < 0 and facts.seconds is not None and count + day <= facts.seconds * rate:
        count += day  # the file begins before midnight
    if count < 0:
        raise SettingsError(f"the {what} {mark.code} is before the start of {source.name}, at {own}")
    return round((count - Fraction(1, 2)) / rate * 10**9)


class PartSource(Source):
    """A film from one of its frames on, as far as the part goes; 0 is when the part begins.

    Args:
        inner: the film, from frame ``first`` on.
        place: the part.
        first: number of the frame that comes first, counted from the film's first.

    Attributes:
        end_ns: when the last frame that was read ends, nanoseconds on the part's clock.
        notes: that the film ends before the part does.
    """

    on_demand = True

    def __init__(self, inner: VideoFileSource | NumberedSource, place: Place, first: int) -> None:
        self._inner, self._place, self._number = inner, place, first
        self.end_ns = 0
        self.notes: list[str] = []

    @property
    def decoder(self) -> str:
        """What decodes, once it is open."""
        return self._inner.decoder

    def open(self) -> SourceInfo:
        return replace(self._inner.open(), frame_count=None)

    def read(self) -> Grab:
        place = self._place
        try:
            grab = self._inner.read()
        except EndOfSource:
            end_ns = self.end_ns + place.start_ns
            if place.holds(self._number, end_ns + _NEAR_NS):
                self.notes += (
                    []
                    if place.open_end
                    else [
                        f"the film ends after {float(Fraction(end_ns, 10**9)):.3f} s, earlier than the end that "
                        "was asked for"
                    ]
                )
            raise
        start_ns = grab.media_ns or 0
        if not place.holds(self._number, start_ns):
            raise EndOfSource
        self._number += 1
        self.end_ns = start_ns + (grab.duration_ns or 0) - place.start_ns
        return replace(grab, media_ns=max(0, start_ns - place.start_ns))

    def release(self) -> None:
        self._inner.release()
