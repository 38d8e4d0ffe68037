"""The part of the picture that the network has to see: where the person is, and where one may appear."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np

from rvm_live.core.arrays import Bytes, Floats
from rvm_live.engines.focus.region import Region, around, whole

__all__ = ["MARGIN", "SETTLE", "PersonBox"]

SETTLE = 8
"""Frames at the beginning that are seen as a whole: parts of a person that a network misses there it may miss for
good."""
MARGIN = 10
"""Margin around the person, pixels."""
_SPARE = 3
"""The box changes once the person is nearer to one of its sides than this, pixels."""
_PATIENCE = 30
"""The box shrinks once a smaller one has been enough for so many frames."""
_SMALLER = 0.85
"""The box shrinks only to this share of its area, or less."""
_HELD = 20
"""Number of frames for which an area outside the box that has moved is included."""
_THUMB = 160
"""Longer side of the picture on which motion is looked for."""
_MOVED = 14
"""Grey levels by which a pixel must leave the range of the pixels around it to count as motion, not noise."""
_AGO = 3
"""Frames between compared pictures: enough to notice people who come in slowly."""
_LEAST_MOVED, _LEAST_OUTSIDE = 12, 6
"""Least number of moving pixels of the thumbnail, in all and outside the box."""
_CAMERA = 0.06
"""If more than this share of the picture moves outside the box, the camera itself moves."""
_PERSON = 40
"""Grey level of alpha from which on a pixel counts as person."""
_LEAST_PERSON = 5e-4
"""Share of the picture below which a region is a speck, not a person."""
_CLOSING = np.ones((5, 5), np.uint8)
_AROUND = np.ones((3, 3), np.uint8)


class PersonBox:
    """The box to look at next, from the alpha found so far and from what moves in the picture.

    The rules, each of which prevents one way of losing a person: the whole picture for the first :data:`SETTLE` frames
    and wherever nobody is seen; the box grows at once and shrinks late; what moves outside of it joins it in the same
    frame, so that who walks in is never lost; where nearly everything moves, it is the camera, and anybody may come
    into the picture anywhere.

    Args:
        size: width and height of the small picture.

    Attributes:
        region: the box, in pixels of the small picture.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        scale = min(1.0, _THUMB / max(size))
        self._thumb = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        self._scale = scale
        self.reset()

    def reset(self) -> None:
        """Start anew with the whole picture."""
        self.region = whole(self._size)
        self._frames = self._tight = self._hold = 0
        self._person: Region | None = None
        self._outside: Region | None = None
        self._past: deque[Bytes] = deque(maxlen=_AGO)

    def look(self, grey: Bytes) -> Region:
        """The box for a frame, before the network has seen it.

        Args:
            grey: brightness of the small picture, uint8 (h, w).
        """
        thumb = cv2.resize(grey, self._thumb, interpolation=cv2.INTER_AREA)
        panned, moving = self._motion(thumb, self._past[0]) if self._past else (False, None)
        self._past.append(thumb)
        self._frames += 1
        if moving is not None:
            self._outside, self._hold = moving.joined(self._outside), _HELD
        elif self._hold > 0:
            self._hold -= 1
        else:
            self._outside = None
        if self._frames <= SETTLE:
            return self.region
        if self._person is None or panned:
            self.region, self._tight = whole(self._size), 0
            return self.region
        wanted = self._person.joined(self._outside)
        target = around(wanted, MARGIN, self._size)
        self._tight = self._tight + 1 if target.area < _SMALLER * self.region.area else 0
        settled = self._frames == SETTLE + 1
        if not self.region.holds(wanted, _SPARE, self._size) or self._tight >= (1 if settled else _PATIENCE):
            self.region, self._tight = target, 0
        return self.region

    def found(self, alpha: Floats) -> None:
        """Store what the network found.

        Args:
            alpha: of the box, float32 (h, w), grey levels 0-255; may be beyond.
        """
        mask = np.asarray(alpha > _PERSON, np.uint8)
        least = max(4, _LEAST_PERSON * self._size[0] * self._size[1])
        self._person = None
        for x, y, width, height, area in _parts(mask):
            if area >= least:
                left, top = x + self.region.left, y + self.region.top
                self._person = Region(left, top, left + width, top + height).joined(self._person)

    def _motion(self, now: Bytes, before: Bytes) -> tuple[bool, Region | None]:
        """Whether the camera moves, and what of the rest moves outside of the box.

        A pixel has moved if it lies outside the range of the pixels around it before: edges that shift by less than a
        pixel, because the camera is not quite still, do not count.
        """
        brighter, darker = cv2.subtract(now, cv2.dilate(before, _AROUND)), cv2.subtract(cv2.erode(before, _AROUND), now)
        moving = cv2.threshold(cv2.max(brighter, darker), _MOVED, 1, cv2.THRESH_BINARY)[1]
        if self._person is None or not moving.any():
            return False, None
        moving = cv2.morphologyEx(moving, cv2.MORPH_CLOSE, _CLOSING)
        # Look only where the present box and the box of the person alone overlap: a larger box would count what moved
        # before.
        own = around(self._person, MARGIN, self._size)
        first = max(own.left, self.region.left), max(own.top, self.region.top)
        both = (*first, min(own.right, self.region.right), own.bottom)
        left, top, right, bottom = (round(side * self._scale) for side in both)
        outside = moving.copy()
        outside[top:bottom, left:right] = 0
        count = cv2.countNonZero(outside)
        if count == 0:
            return False, None
        if count > _CAMERA * outside.size:
            return True, None
        found: Region | None = None
        for x, y, width, height, area in _parts(moving):
            window = slice(y, y + height), slice(x, x + width)
            if area >= _LEAST_MOVED and cv2.countNonZero(outside[window]) > _LEAST_OUTSIDE:
                sides = (int(side / self._scale) for side in (x, y, x + width, y + height))
                found = Region(*sides).joined(found)
        return False, found

    @property
    def memory(self) -> list[Floats]:
        """The whole remembered state."""
        nobody = (-1, -1, -1, -1)
        numbers = [*self.region, *(self._person or nobody), *(self._outside or nobody)]
        thumbs = np.array(self._past, np.float32).reshape(-1, *self._thumb[::-1])
        return [np.array([*numbers, self._frames, self._tight, self._hold], np.float32), thumbs]

    def remember(self, memory: Sequence[Floats]) -> None:
        """Restore a state from :attr:`memory`."""
        numbers = [int(each) for each in memory[0]]
        regions = [Region(*numbers[at : at + 4]) for at in (0, 4, 8)]
        self.region = regions[0]
        self._person, self._outside = (each if each.left >= 0 else None for each in regions[1:])
        self._frames, self._tight, self._hold = numbers[12:]
        self._past = deque(memory[1].astype(np.uint8), _AGO)


def _parts(mask: Bytes) -> list[tuple[int, int, int, int, int]]:
    """Left, top, width, height and area of each connected part."""
    return [tuple(int(each) for each in row) for row in cv2.connectedComponentsWithStats(mask)[2][1:]]  # type: ignore[misc]
