"""Finds what is in one picture of a room and not in the other, and whether a camera still sees that room."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes, Floats

__all__ = ["RoomWatch", "things_in"]

_APART = 9.0
"""Distance in CIE L*a*b* from which on a pixel shows something else; lightness counts half, because shadows are not
things."""
_LEAST = 0.0006
_SIDE = 320
_EVERY, _TIMES = 15, 3
"""Frames from one check to the next, and how many equal checks in a row decide."""
_FITS, _CLOSER = 0.45, 0.06
_SEEN = 0.08
_FLAT = 1.5
_AS_IT_WAS, _MOVED, _TAKEN = "", "the camera has moved", "the things are no longer where they were"
_FOUND = (_AS_IT_WAS, _MOVED, _TAKEN)


def things_in(empty: Bytes, things: Bytes) -> Bytes:
    """The mask of what is in the second picture alone.

    Brightness and white of the second are brought to those of the first before; what is left after small spots are
    taken away is made whole, its holes filled, and its edge softened by two pixels.

    Args:
        empty: uint8 (H, W, 3) BGR.
        things: likewise.

    Returns:
        uint8 (H, W), 0 to 255.
    """
    height, width = empty.shape[:2]
    one, other = (cv2.GaussianBlur(each, (5, 5), 0) for each in (empty, things))
    distance = _distance(one, _as_bright(other, one))
    mask = (distance > _APART).astype(np.uint8)
    reach = max(3, round(max(height, width) / 200)) | 1
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2))
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    whole = np.zeros_like(mask)
    large = [each for each in outlines if cv2.contourArea(each) >= _LEAST * mask.size]
    cv2.drawContours(whole, large, -1, 255, -1)
    return np.asarray(cv2.GaussianBlur(whole, (5, 5), 0), np.uint8)


def _as_bright(picture: Bytes, other: Bytes) -> Bytes:
    """A picture with the exposure and white of another one of the same place."""
    ratios = (other.astype(np.float32) + 1) / (picture.astype(np.float32) + 1)
    gains = np.median(ratios[::4, ::4].reshape(-1, 3), axis=0)
    return np.asarray(np.clip(picture * gains, 0, 255), np.uint8)


def _distance(one: Bytes, other: Bytes) -> Floats:
    apart = np.abs(cv2.cvtColor(one, cv2.COLOR_BGR2LAB).astype(np.float32) - cv2.cvtColor(other, cv2.COLOR_BGR2LAB))
    return np.asarray(np.sqrt((0.5 * apart[..., 0] * 100 / 255) ** 2 + apart[..., 1] ** 2 + apart[..., 2] ** 2))


class RoomWatch:
    """Tells whether frames still show the room that was taken, from where no person is.

    Args:
        empty: the room alone, uint8 (H, W, 3) BGR.
        things: with the things.
        mask: of the things, uint8 (H, W).
    """

    def __init__(self, empty: Bytes, things: Bytes, mask: Bytes) -> None:
        height, width = empty.shape[:2]
        scale = min(1.0, _SIDE / max(height, width))
        self._size = max(1, round(width * scale)), max(1, round(height * scale))
        self._empty, self._things = self._small(empty), self._small(things)
        self._mask = self._small(mask) > 127
        self._detail = _detail(self._things)
        self._looks: deque[str] = deque(maxlen=_TIMES)
        self._frames = 0
        self.trouble = ""
        """Why the things cannot be where they were; empty where they are."""

    def _small(self, picture: Bytes) -> Bytes:
        return np.asarray(cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA), np.uint8)

    def begin(self) -> None:
        """Start a new scene: its first check decides."""
        self._looks.clear()
        self._frames = 0

    @property
    def memory(self) -> Floats:
        """What is remembered of the frames so far, float32 (n), for :meth:`remember`."""
        return np.array([self._frames % _EVERY, *map(_FOUND.index, (self.trouble, *self._looks))], np.float32)

    def remember(self, memory: Floats) -> None:
        """Restore a state from :attr:`memory`."""
        self._frames, trouble, *looks = map(int, memory) if len(memory) else (0, 0)
        self.trouble = _FOUND[trouble]
        self._looks.clear()
        self._looks.extend(_FOUND[each] for each in looks)

    def look(self, image: Bytes, alpha: Bytes) -> None:
        """Take in a frame, uint8 (H, W, 3) BGR, and the person's alpha, uint8 (h, w) of any size."""
        self._frames += 1
        if self._frames % _EVERY != 1:
            return
        small = self._small(image)
        person = cv2.dilate(self._small(alpha), np.ones((9, 9), np.uint8)) > 8
        found = self._compared(small, ~person)
        if found is None:
            return
        self._looks.append(found)
        if len(self._looks) == 1:  # until the pictures are known to fit this room, nothing of it is shown
            self.trouble = found
        if len(self._looks) == _TIMES and len(set(self._looks)) == 1:
            self.trouble = found

    def _compared(self, small: Bytes, free: NDArray[np.bool_]) -> str | None:
        """What is wrong; None where too little is seen to tell."""
        inner = np.zeros_like(free)
        inner[4:-4, 4:-4] = True
        around = free & inner & ~self._mask
        detail = _detail(small)
        if np.count_nonzero(around) < _SEEN * around.size or self._detail[around].std() < _FLAT:
            return None
        steps = [(x, y) for y in (-2, -1, 0, 1, 2) for x in (-2, -1, 0, 1, 2)]
        fits = {step: _alike(np.roll(detail, step[::-1], (0, 1))[around], self._detail[around]) for step in steps}
        if fits[0, 0] < _FITS or max(fits.values()) > fits[0, 0] + _CLOSER:
            return _MOVED
        things = free & self._mask
        if np.count_nonzero(things) >= 0.3 * np.count_nonzero(self._mask):
            # The light may have changed: the change is measured around the things.
            gains = (self._things[around].mean(axis=0) + 1) / (small[around].mean(axis=0) + 1)
            now = np.asarray(np.clip(small * gains, 0, 255), np.uint8)
            off, on = (_distance(now, each)[things].mean() for each in (self._empty, self._things))
            if off < 0.6 * on:
                return _TAKEN
        return _AS_IT_WAS


def _detail(picture: Bytes) -> Floats:
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.8) - cv2.GaussianBlur(grey, (0, 0), 4), np.float32)


def _alike(one: Floats, other: Floats) -> float:
    """Pearson's coefficient."""
    one, other = one - one.mean(), other - other.mean()
    return float((one * other).sum() / max(float(np.sqrt((one**2).sum() * (other**2).sum())), 1e-6))
