"""Computes a picture that does not change only once.

A picture that equals the one before, byte for byte, is passed on as that same array: by this later stages recognise it.
In live video its matte is used again, and if the background stands still as well, so is the composite. All
of them go on at the source's rate, with stamps of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rvm_live.core.arrays import Bytes
from rvm_live.core.frames import Frame, Matte

__all__ = ["LastComposite", "LastMatte", "LastPicture", "same_picture"]


class LastPicture:
    """The picture that was captured last; for the capture thread alone."""

    def __init__(self) -> None:
        self._grabbed: Bytes | None = None
        self._mirrored = False
        self._picture: Bytes | None = None

    def known(self, grabbed: Bytes, mirrored: bool) -> Bytes | None:
        """The settled array for a source's array that was seen before; None for a new one."""
        return self._picture if grabbed is self._grabbed and mirrored == self._mirrored else None

    def settled(self, grabbed: Bytes, mirrored: bool, picture: Bytes) -> Bytes:
        """The array to pass on for ``picture``: itself, or the previous one if they are equal."""
        before = self._picture
        if before is None or not same_picture(before, picture):
            before = picture
        self._grabbed, self._mirrored, self._picture = grabbed, mirrored, before
        return before


class LastMatte:
    """The newest matte; ``forget`` may be called from any thread, the rest is for the matting thread."""

    def __init__(self) -> None:
        self._matte: Matte | None = None

    def again(self, frame: Frame) -> Matte | None:
        """The last matte for a later frame of the same picture and epoch, as long as it may be used again; else None.
        Nothing is converted again."""
        matte = self._matte
        if matte is None or frame.image is not matte.frame.image or frame.epoch != matte.frame.epoch:
            return None
        return matte.again(frame) if matte.lasting is None or matte.lasting() else None

    def remember(self, matte: Matte) -> None:
        self._matte = matte

    def forget(self) -> None:
        """Forget the matte, because it turned out bad."""
        self._matte = None


@dataclass(frozen=True, repr=False, eq=False)
class LastComposite:
    """The last composite, and what it was made of.

    Attributes:
        matte: the person.
        behind: what makes the rest of the picture; equal where nothing of that has changed.
        image: uint8 (H, W, 3 or 4).
    """

    matte: Matte
    behind: object
    image: Bytes

    def shows(self, matte: Matte, behind: object) -> bool:
        """Whether composing these would give the last composite again."""
        return behind == self.behind and matte.same_as(self.matte)


def same_picture(one: Bytes, other: Bytes) -> bool:
    """Whether two pictures are equal, byte for byte."""
    # A coarse grid decides nearly every case in microseconds; only pictures alike on it are compared in full.
    if one.shape != other.shape or not np.array_equal(one[::16, ::16], other[::16, ::16]):
        return False
    return one is other or np.array_equal(one, other)
