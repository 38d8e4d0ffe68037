"""Time codes of pictures: hours, minutes, seconds and frames, counted as SMPTE ST 12-1 has it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Timecode", "true_rate"]

_FORM = re.compile(r"([0-9]{1,2}):([0-5][0-9]):([0-5][0-9])([:;.])([0-9]{2,3})", re.ASCII)
_NEAR = Fraction(1, 500)
_DAY = 24


@dataclass(frozen=True)
class Timecode:
    """One time code.

    Attributes:
        hours: from 0 to 99; those that are written roll over at 24.
        minutes: from 0 to 59.
        seconds: likewise.
        frames: of the second, from 0.
        drop: the first two numbers of every minute but each tenth are left out (at 60 pictures a second the first
            four), so that 29.97 pictures a second keep to the clock.
    """

    hours: int
    minutes: int
    seconds: int
    frames: int
    drop: bool = False

    @classmethod
    def parse(cls, text: str) -> Timecode | None:
        """``HH:MM:SS:FF``, or ``HH:MM:SS;FF`` with dropped numbers; None where it is no time code."""
        found = _FORM.fullmatch(text)
        if found is None or found[4] == ".":
            return None
        return cls(int(found[1]), int(found[2]), int(found[3]), int(found[5]), drop=found[4] == ";")

    def __str__(self) -> str:
        sign = ";" if self.drop else ":"
        return f"{self.hours:02d}:{self.minutes:02d}:{self.seconds:02d}{sign}{self.frames:02d}"

    def count(self, nominal: int) -> int:
        """How many pictures come before it from 00:00:00:00 on.

        Args:
            nominal: whole pictures a second, at least 1: 30 for 29.97.

        Raises:
            ValueError: there is no such time code at this rate; the message says why.
        """
        if self.frames >= nominal:
            raise ValueError(f"a second has {nominal} frames, counted from 00")
        minutes = self.hours * 60 + self.minutes
        whole = (minutes * 60 + self.seconds) * nominal + self.frames
        if not self.drop:
            return whole
        if nominal % 30:
            raise ValueError(f"a time code with ; skips numbers, which {nominal} frames a second do not need: write :")
        dropped = nominal // 15
        if self.seconds == 0 and self.frames < dropped and self.minutes % 10:
            raise ValueError("this number is skipped there")
        return whole - dropped * (minutes - minutes // 10)

    @classmethod
    def of(cls, count: int, nominal: int, *, drop: bool) -> Timecode:
        """The time code of a picture; after 24 hours it begins anew.

        Args:
            count: pictures before it, at least 0.
            nominal: whole pictures a second.
            drop: as the attribute; ignored at rates that drop no numbers.
        """
        drop = drop and nominal % 30 == 0
        if drop:
            dropped, minute = nominal // 15, 60 * nominal
            ten = 10 * minute - 9 * dropped
            tens, rest = divmod(count, ten)
            count += 9 * dropped * tens
            if rest >= minute:
                count += dropped * (1 + (rest - minute) // (minute - dropped))
        seconds, frames = divmod(count, nominal)
        return cls(seconds // 3600 % _DAY, seconds // 60 % 60, seconds % 60, frames, drop)


def true_rate(rate: Fraction) -> tuple[int, Fraction]:
    """The whole number of pictures that a second has in time codes, and how many there are in fact.

    Args:
        rate: nominal pictures a second, above 0. 29.97 counts 30. If it is not near an integer, the rate varies, and
            time codes follow the clock.
    """
    nominal = max(1, round(rate))
    return nominal, rate if abs(rate - nominal) <= nominal * _NEAR else Fraction(nominal)
