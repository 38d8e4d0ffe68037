"""Parts of a film: from where to where, as people and editing programs write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rvm_live.core.errors import SettingsError
from rvm_live.media.timecode import Timecode

__all__ = ["Mark", "Span"]

_FRAMES = re.compile(r"([0-9]{1,9})f?", re.ASCII)
_SECONDS = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)s", re.ASCII)
_CLOCK = re.compile(r"(?:([0-9]{1,2}):)?([0-9]{1,2}):([0-5]?[0-9](?:\.[0-9]{1,9})?)", re.ASCII)
_HALF_DAY = 12
_HOW = "write a frame (250 or 250f), seconds (10.5s), a time (00:00:10.500) or a time code (00:00:10:12)"


@dataclass(frozen=True)
class Mark:
    """One position in a film; exactly one of these is set.

    Attributes:
        frame: decoded pictures before it.
        seconds: on the film's clock, which begins at 0.
        code: counted from the film's own time code, where it has one, else from 00:00:00:00.
    """

    frame: int | None = None
    seconds: Fraction | None = None
    code: Timecode | None = None

    @classmethod
    def parse(cls, text: str, what: str) -> Mark:
        """Read a place.

        Args:
            text: as people write it.
            what: what the place is, for the message.

        Raises:
            SettingsError: it is not one.
        """
        plain = text.strip()
        if found := _FRAMES.fullmatch(plain):
            return cls(frame=int(found[1]))
        if found := _SECONDS.fullmatch(plain):
            return cls(seconds=Fraction(found[1]))
        if (code := Timecode.parse(plain)) is not None:
            return cls(code=code)
        found = _CLOCK.fullmatch(plain)
        if found is None or (found[1] and int(found[2]) > 59):
            raise SettingsError(f"{what} {text[:60]!r} cannot be read: {_HOW}")
        hours, minutes, seconds = found.groups()
        return cls(seconds=int(hours or 0) * 3600 + int(minutes) * 60 + Fraction(seconds))

    def __str__(self) -> str:
        if self.frame is not None:
            return f"{self.frame}f"
        return f"{float(self.seconds):.9g}s" if self.seconds is not None else str(self.code)

    def before(self, other: Mark) -> bool | None:
        """Whether it comes before another one; None where only the film tells."""
        if self.frame is not None and other.frame is not None:
            return self.frame < other.frame
        if self.seconds is not None and other.seconds is not None:
            return self.seconds < other.seconds
        if self.code is not None and other.code is not None and self.code.drop == other.code.drop:
            ours, theirs = ((c.hours, c.minutes, c.seconds, c.frames) for c in (self.code, other.code))
            midnight = self.code.hours - other.code.hours >= _HALF_DAY  # midnight lies between them
            return None if midnight else ours < theirs
        return None


@dataclass(frozen=True)
class Span:
    """A part of a film.

    Attributes:
        start: where it begins; None: where the film does.
        end: of the first picture after it; None: it goes on to the film's end.
        name: its name; empty: it gets a number.
    """

    start: Mark | None = None
    end: Mark | None = None
    name: str = ""

    @classmethod
    def of(cls, start: str | None, end: str | None, name: str = "", place: str = "") -> Span:
        """Read both ends.

        Args:
            start: as :meth:`Mark.parse` takes it; None or empty: the film's beginning.
            end: likewise; None or empty: the film's end.
            name: see the attribute.
            place: where it stands, before a message.

        Raises:
            SettingsError: an end cannot be read, or is not after the start.
        """
        first = Mark.parse(start, f"{place}the start") if start else None
        last = Mark.parse(end, f"{place}the end") if end else None
        if last is not None and (first or Mark(**_zero_like(last))).before(last) is False:
            raise SettingsError(f"{place}the end {last} must be after the start {first or 'of the film'}")
        return cls(first, last, name)

    def __str__(self) -> str:
        return f"from {self.start or 'the beginning'} to {self.end or 'the end'}"


def _zero_like(mark: Mark) -> dict[str, Any]:
    return {"frame": 0} if mark.frame is not None else {"seconds": Fraction(0)} if mark.seconds is not None else {}
