"""The network only sees a rectangle of the picture; outside it there is no person."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import SettingsError
from rvm_live.core.frames import Frame, Matte
from rvm_live.engines.base import Engine
from rvm_live.engines.delegating import DelegatingEngine

__all__ = ["Region", "RegionEngine"]

_FORM = re.compile(r"\s*([0-9]{1,5})\s*,\s*([0-9]{1,5})\s*,\s*([0-9]{1,5})\s*,\s*([0-9]{1,5})\s*", re.ASCII)
_LEAST = 32


@dataclass(frozen=True)
class Region:
    """A rectangle, pixels of the upright picture.

    Attributes:
        x: its left edge.
        y: its upper edge.
        width: at least 32.
        height: likewise.
    """

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> Region:
        """Read ``X,Y,W,H``.

        Raises:
            SettingsError: it cannot be read, or is too small.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise SettingsError(
                f"the region {text[:60]!r} cannot be read: write X,Y,W,H in pixels, such as 320,0,640,720"
            )
        region = cls(*map(int, found.groups()))
        if min(region.width, region.height) < _LEAST:
            raise SettingsError(f"the region {region} is too small: each side must have at least {_LEAST} pixels")
        return region

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.width},{self.height}"

    def check(self, width: int, height: int, name: str) -> None:
        """Refuse a picture that does not contain it.

        Raises:
            SettingsError: it reaches outside.
        """
        if self.x + self.width > width or self.y + self.height > height:
            raise SettingsError(f"the region {self} is not inside {name}, which is {width}x{height}")

    def within(self, size: tuple[int, int], width: int, height: int) -> tuple[slice, slice]:
        """Rows and columns in a picture of some size, where the region is of one of another ``size``."""
        (x, right), (y, bottom) = (
            (round(first * now / of), round((first + length) * now / of))
            for first, length, now, of in ((self.x, self.width, width, size[0]), (self.y, self.height, height, size[1]))
        )
        return slice(y, max(bottom, y + 1)), slice(x, max(right, x + 1))


class RegionEngine(DelegatingEngine):
    """Gives only the rectangle to another engine; alpha is 0 outside it. Mattes come back in host memory.

    Args:
        inner: does the work.
        region: the rectangle.
        size: width and height of the pictures that it is of; in others it lies in proportion.
    """

    def __init__(self, inner: Engine, region: Region, size: tuple[int, int]) -> None:
        super().__init__(inner)
        self._region, self._size = region, size
        self._last: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None

    def prepare(self, width: int, height: int) -> None:
        rows, columns = self._region.within(self._size, width, height)
        self._inner.prepare(columns.stop - columns.start, rows.stop - rows.start)

    def matte(self, frame: Frame) -> Matte:
        return self.matte_chunk((frame,))[0]

    def matte_chunk(self, frames: Sequence[Frame]) -> list[Matte]:
        mattes = self._inner.matte_chunk([replace(frame, image=self._cut(frame)) for frame in frames])
        return [self._whole(frame, matte) for frame, matte in zip(frames, mattes, strict=True)]

    def _cut(self, frame: Frame) -> NDArray[np.uint8]:
        """The rectangle; for an unchanged picture the same array again, by which engines recognise it."""
        if self._last is None or self._last[0] is not frame.image:
            place = self._region.within(self._size, frame.width, frame.height)
            self._last = (frame.image, np.ascontiguousarray(frame.image[place]))
        return self._last[1]

    def _whole(self, frame: Frame, matte: Matte) -> Matte:
        place, host = self._region.within(self._size, frame.width, frame.height), matte.host()
        alpha, colour = np.zeros((frame.height, frame.width), np.uint8), frame.image.copy()
        alpha[place], colour[place] = host.alpha, host.colour
        return Matte(frame, alpha, colour, started_ns=matte.started_ns, finished_ns=matte.done_ns)
