"""Crops and scales mattes in one step before they are composed; outside the frame there is no person.

Colour is interpolated with alpha as its weight, so that no colour of the room comes in at the person's edge.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from rvm_live.compositing.following import WHOLE, Box, Follower, Placement, coarse, people_in, within
from rvm_live.core.arrays import Bytes
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.framing import Framing

__all__ = ["Reframer", "reframed"]


class Reframer:
    """Moves every matte to its place in the picture; for the compositing thread.

    Args:
        framing: what is asked for, by whoever may change it.
        source_foreground: the camera's own colours are composed, not those of the matte.
    """

    def __init__(self, framing: Framing, *, source_foreground: bool = False) -> None:
        self._follower = Follower(framing)
        self._framing, self._source_foreground = framing, source_foreground
        self._moved = False
        self._finder: Any = None
        self._last: dict[bool, tuple[Matte, Placement, Matte]] = {}
        self._now: dict[bool, Matte] = {}
        self._placement = WHOLE
        self._matte: Matte

    def look(self, matte: Matte, moment_ns: int) -> None:
        """Take the matte of this moment."""
        self._now = {}
        if self._framing.plain and not self._moved:
            self._placement = WHOLE
        else:
            box = self._people(matte) if self._framing.follow else None
            self._placement = self._follower.placement(box, matte.frame.epoch, moment_ns)
            self._moved = self._placement != WHOLE
        self._matte = matte

    def rest(self, matte: Matte) -> None:
        """Leave the matte of this moment where it is in the frame."""
        self._matte, self._placement, self._now = matte, WHOLE, {}

    def matte(self, *, inside: bool) -> Matte:
        """The matte of this moment in its place.

        Args:
            inside: the room is seen: the picture stays within the frame.
        """
        made = self._now.get(inside)
        if made is None:
            made = self._now[inside] = self._made(within(self._placement) if inside else self._placement, inside)
        return made

    def _made(self, placement: Placement, inside: bool) -> Matte:
        matte = self._matte
        if placement == WHOLE:
            self._last.pop(inside, None)
            return matte
        before = self._last.get(inside)
        if before is not None and before[1] == placement and matte.same_as(before[0]):
            made = before[2].again(_Reframed.again(before[2].frame, matte.frame))
        else:
            made = reframed(matte, placement, source_foreground=self._source_foreground)
        self._last[inside] = matte, placement, made
        return made

    def _people(self, matte: Matte) -> Box | None:
        if _on_host(matte):
            return people_in(coarse(matte.host().alpha))
        if self._finder is None:
            from rvm_live.compositing.reframing_torch import Finder

            self._finder = Finder()
        return self._finder(matte)  # type: ignore[no-any-return]


def reframed(matte: Matte, placement: Placement, *, source_foreground: bool = False) -> Matte:
    """The matte where ``placement`` puts it, with colours of its own: those that are to be composed.

    Args:
        matte: of a frame (H, W).
        placement: of the frame under the picture.
        source_foreground: take the frame's own colours.

    Raises:
        MatteError: it cannot be read, or does not fit its frame.
    """
    frame = _Reframed.of(matte.frame, placement)
    if not _on_host(matte):
        from rvm_live.compositing.reframing_torch import reframed_on_device

        return reframed_on_device(matte, frame, placement, source_foreground=source_foreground)
    host = matte.host()
    alpha, colour = _moved(host.alpha, matte.frame.image if source_foreground else host.colour, placement)
    return replace(matte, frame=frame, alpha=alpha, foreground=colour, image=None, ready=None)


def _on_host(matte: Matte) -> bool:
    return isinstance(matte.alpha, np.ndarray) or matte.alpha.device.type == "cpu"


def _moved(alpha: Bytes, colour: Bytes, placement: Placement) -> tuple[Bytes, Bytes]:
    """Alpha and colour, uint8 (H, W) and (H, W, 3), new; of the person's surroundings nothing is touched."""
    moved_alpha, moved_colour = np.zeros_like(alpha), np.zeros_like(colour)
    height, width = alpha.shape
    x, y, wide, high = cv2.boundingRect(alpha)
    # One more pixel on each side, if the frame has one: there alpha falls to 0.
    left, top, right, bottom = max(x - 1, 0), max(y - 1, 0), min(x + wide + 1, width), min(y + high + 1, height)
    warp = _Warp(placement, (width, height), (left, top, right, bottom))
    if not wide or not warp.seen:
        return moved_alpha, moved_colour
    share = alpha[warp.part]
    weighted = cv2.multiply(colour[warp.part], cv2.merge((share, share, share)), scale=1 / 255)
    whole, soft = warp(weighted, share)
    moved_alpha[warp.to] = soft
    # OpenCV defines division by 0 as 0.
    moved_colour[warp.to] = cv2.divide(whole, cv2.merge((soft, soft, soft)), scale=255)
    return moved_alpha, moved_colour


class _Warp:
    """Crop and scale in one step.

    Args:
        placement: of the frame under the picture.
        size: width and height of both, pixels.
        box: left, top, right and bottom of what is taken of the frame.

    Attributes:
        part: what is taken.
        to: where it goes: the pixels whose middle is inside.
        seen: any of it is in the picture.
    """

    def __init__(self, placement: Placement, size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
        left, top, right, bottom = box
        scale, middle = placement.scale, (placement.x, placement.y)
        move = [(0.5 - scale * at) * length for at, length in zip(middle, size, strict=True)]
        ends = [
            [min(max(math.ceil(scale * edge + move[axis] - 0.5), 0), size[axis]) for edge in edges]
            for axis, edges in enumerate(((left, right), (top, bottom)))
        ]
        (first, last), (upper, lower) = ends
        self.part, self.to = np.s_[top:bottom, left:right], np.s_[upper:lower, first:last]
        self.seen = last > first and lower > upper
        self._size = last - first, lower - upper
        # Pixel centres lie half a pixel inside.
        x = scale * left + move[0] - first + (scale - 1) / 2
        y = scale * top + move[1] - upper + (scale - 1) / 2
        self._matrix = np.array([[scale, 0, x], [0, scale, y]])

    def __call__(self, colour: Bytes, alpha: Bytes | None = None) -> tuple[Bytes, Bytes]:
        """Colour, uint8 (h, w, 3), and alpha, uint8 (h, w), as they go into the picture."""
        packed = cv2.cvtColor(
            colour, cv2.COLOR_BGR2BGRA
        )  # OpenCV warps four channels in less than half the time of three
        if alpha is not None:
            cv2.insertChannel(alpha, packed, 3)
        moved = cv2.warpAffine(
            packed, self._matrix, self._size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(cv2.cvtColor(moved, cv2.COLOR_BGRA2BGR), np.uint8), cv2.extractChannel(moved, 3)


class _Reframed(Frame):
    """A frame whose picture is moved when it is first read; outside its edges it is black."""

    @staticmethod
    def of(frame: Frame, placement: Placement) -> Frame:
        width, height = frame.width, frame.height

        def make() -> Bytes:
            moved = np.zeros((height, width, 3), np.uint8)
            warp = _Warp(placement, (width, height), (0, 0, width, height))
            if warp.seen:
                moved[warp.to] = warp(frame.image)[0]
            return moved

        return _Reframed._made(frame, _Once(make), (width, height), placement)

    @staticmethod
    def again(moved: Frame, frame: Frame) -> Frame:
        """What was made of the same picture before, for this frame."""
        return _Reframed._made(frame, *(moved.__dict__[name] for name in ("_once", "_size", "_placement")))

    @staticmethod
    def _made(frame: Frame, once: _Once, size: tuple[int, int], placement: Placement) -> Frame:
        made = object.__new__(_Reframed)
        made.__dict__.update({name: value for name, value in vars(frame).items() if name != "image"})
        made.__dict__.update(_once=once, _size=size, _placement=placement)
        return made

    def at(self, x: float, y: float) -> tuple[float, float]:
        placement: Placement = self.__dict__["_placement"]
        return placement.x + (x - 0.5) / placement.scale, placement.y + (y - 0.5) / placement.scale

    @cached_property
    def image(self) -> Bytes:
        return self.__dict__["_once"].picture  # type: ignore[no-any-return]

    @property
    def width(self) -> int:
        return int(self.__dict__["_size"][0])

    @property
    def height(self) -> int:
        return int(self.__dict__["_size"][1])


class _Once:
    """A picture that is made when it is first needed."""

    def __init__(self, make: Callable[[], Bytes]) -> None:
        self._make = make

    @cached_property
    def picture(self) -> Bytes:
        return self._make()
