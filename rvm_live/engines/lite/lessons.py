"""Training data for one user: the labelled recording as it is, and the person in front of other places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes

__all__ = ["Lessons", "Recorder", "Recording", "painted_out"]

Random = np.random.Generator

_NONE = 8
"""Alpha below this counts as nobody."""
_AS_IS, _MOVED, _ELSEWHERE = 0.5, 0.2, 0.15
"""Shares of the drawn sequences: moments as recorded, the person moved within the room, the person in front of another
place; the rest are empty rooms."""


class Recording(NamedTuple):
    """Moments of one camera, one after another, at the size that the network works at.

    Attributes:
        pictures: uint8 (N, h, w, 3) BGR.
        foreground: the person's own colours, likewise.
        alpha: uint8 (N, h, w).
    """

    pictures: Bytes
    foreground: Bytes
    alpha: Bytes

    def part(self, first: int, behind: int) -> Recording:
        """The moments from ``first`` up to, but without, ``behind``."""
        return Recording(*(each[first:behind] for each in self))


class Recorder:
    """Gathers moments.

    Args:
        low: width and height the network works at (:func:`rvm_live.engines.lite.engine.trained_size`).
    """

    def __init__(self, low: tuple[int, int]) -> None:
        self._low = low
        self._moments: list[tuple[Bytes, Bytes, Bytes]] = []

    def __len__(self) -> int:
        return len(self._moments)

    def add(self, picture: Bytes, foreground: Bytes, alpha: Bytes) -> None:
        """Take in a moment of any size: uint8 (H, W, 3) BGR twice, uint8 (H, W)."""
        picture, foreground, alpha = (self.shrunk(each) for each in (picture, foreground, alpha))
        self._moments.append((picture, foreground, alpha))

    def shrunk(self, picture: Bytes) -> Bytes:
        """A picture at the size that the network works at, as the engine shrinks it."""
        return np.asarray(cv2.resize(picture, self._low, interpolation=cv2.INTER_AREA))

    def recording(self) -> Recording:
        """All of it; there must be something."""
        return Recording(*(np.stack(each) for each in zip(*self._moments, strict=True)))


def painted_out(recording: Recording, most: int = 60) -> Bytes:
    """The room without the person, uint8 (h, w, 3): each pixel's median over moments at which no person covers it;
    pixels that are never visible are filled from around them (Telea 2004, as OpenCV has it)."""
    chosen = np.linspace(0, len(recording.alpha) - 1, min(most, len(recording.alpha))).astype(int)
    pictures = recording.pictures[chosen].astype(np.float32)
    near = np.stack([cv2.dilate(each, np.ones((5, 5), np.uint8)) for each in recording.alpha[chosen]])
    pictures[near >= _NONE] = np.nan
    unseen = np.isnan(pictures[..., 0]).all(0)
    pictures[:, unseen] = 0
    room = np.nanmedian(pictures, 0).astype(np.uint8)
    return np.asarray(cv2.inpaint(room, unseen.astype(np.uint8), 5, cv2.INPAINT_TELEA))


class Lessons:
    """Draws sequences without end.

    Args:
        recording: labelled moments of the user.
        places: other places, uint8 (H, W, 3) BGR of any size.
        empty: pictures of the room with nobody in it, uint8 (h, w, 3) of the recording's size.
        random: source of chance.
    """

    def __init__(
        self, recording: Recording, places: Sequence[Bytes], random: Random, empty: Sequence[Bytes] = ()
    ) -> None:
        self._recording, self._random = recording, random
        self._places = list(places)
        self._rooms = [*empty, painted_out(recording)]
        self._height, self._width = recording.alpha.shape[1:]

    def elsewhere(self, time: int) -> tuple[Bytes, Bytes]:
        """The person before another place: as :meth:`draw`."""
        return self._composed(self._elsewhere(), time)

    def nobody(self, time: int) -> tuple[Bytes, Bytes]:
        """Another place without people: as :meth:`draw`."""
        return self._filmed([self._elsewhere()] * time, np.zeros((time, self._height, self._width), np.uint8))

    def draw(self, time: int) -> tuple[Bytes, Bytes]:
        """One sequence: pictures uint8 (time, h, w, 3) BGR and alpha uint8 (time, h, w)."""
        chance = self._random.random()
        if chance < _AS_IS:
            return self._as_is(time)
        if chance < _AS_IS + _MOVED:
            return self._composed(self._room(), time)
        if chance < _AS_IS + _MOVED + _ELSEWHERE:
            return self.elsewhere(time)
        return self._filmed([self._room()] * time, np.zeros((time, self._height, self._width), np.uint8))

    def _moments(self, time: int) -> slice:
        first = int(self._random.integers(max(1, len(self._recording.alpha) - time + 1)))
        return slice(first, first + time)

    def _as_is(self, time: int) -> tuple[Bytes, Bytes]:
        random, moments = self._random, self._moments(time)
        pictures, alpha = list(self._recording.pictures[moments]), list(self._recording.alpha[moments])
        if random.random() < 0.5:  # enlarged a little, so that the network cannot learn pixels by their position
            way = self._way(random.uniform(1.0, 1.2), random.random(), random.random())
            pictures, alpha = (
                [self._warped(each, way) for each in pictures],
                [self._warped(each, way) for each in alpha],
            )
        return self._filmed(pictures, np.stack(alpha))

    def _way(self, scale: float, x: float, y: float) -> NDArray[np.float32]:
        """A random enlargement or reduction, with the shares of the difference in size at each side."""
        spare = self._width * (1 - scale) * x, self._height * (1 - scale) * y
        return np.array([[scale, 0, spare[0]], [0, scale, spare[1]]], np.float32)

    def _warped(self, picture: Bytes, way: NDArray[np.float32], border: int = cv2.BORDER_REFLECT) -> Bytes:
        return np.asarray(cv2.warpAffine(picture, way, (self._width, self._height), borderMode=border))

    def _room(self) -> Bytes:
        """The user's own, as if the camera had been moved a little."""
        random = self._random
        room = self._rooms[int(random.integers(len(self._rooms)))]
        if random.random() < 0.3:
            return room
        return self._warped(room, self._way(random.uniform(1.0, 1.25), random.random(), random.random()))

    def _elsewhere(self) -> Bytes:
        random = self._random
        place = self._places[int(random.integers(len(self._places)))] if self._places else self._rooms[0]
        height, width = place.shape[:2]
        side = min(width / self._width, height / self._height) * random.uniform(0.5, 1.0)
        across, down = max(1, int(side * self._width)), max(1, int(side * self._height))
        x, y = int(random.integers(width - across + 1)), int(random.integers(height - down + 1))
        cut = cv2.resize(place[y : y + down, x : x + across], (self._width, self._height), interpolation=cv2.INTER_AREA)
        if random.random() < 0.3:
            cut = cut[..., random.permutation(3)]
        return np.ascontiguousarray(cut[:, ::-1] if random.random() < 0.5 else cut)

    def _composed(self, place: Bytes, time: int) -> tuple[Bytes, Bytes]:
        """The person in front of a place: as large as recorded or smaller, at the same position or a little aside."""
        random, moments = self._random, self._moments(time)
        way = self._way(random.uniform(0.75, 1.15), random.uniform(-0.2, 1.2), 1.0)
        light = self._light(0.5)
        pictures, whole = [], []
        for colours, alpha in zip(self._recording.foreground[moments], self._recording.alpha[moments], strict=True):
            front, alpha = self._warped(colours, way), self._warped(alpha, way, cv2.BORDER_CONSTANT)
            weight = cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGR)
            front = cv2.multiply(cv2.LUT(front, light), weight, scale=1 / 255)
            pictures.append(cv2.add(front, cv2.multiply(place, 255 - weight, scale=1 / 255)))
            whole.append(alpha)
        return self._filmed(pictures, np.stack(whole))

    def _light(self, strength: float) -> Bytes:
        """Table of gain, gamma and tint for each colour: uint8 (256, 1, 3)."""
        random = self._random
        gamma = 2 ** (strength * random.uniform(-0.6, 0.6))
        gain = 2 ** (strength * random.uniform(-0.5, 0.4)) * (1 + strength * random.uniform(-0.12, 0.12, 3))
        curve = 255 * (np.arange(256)[:, None] / 255) ** gamma * gain
        return np.clip(curve, 0, 255).astype(np.uint8)[:, None]

    def _filmed(self, pictures: Sequence[Bytes], alpha: Bytes) -> tuple[Bytes, Bytes]:
        """The sequence in other light; half of all sequences are mirrored."""
        random = self._random
        light = self._light(0.6)
        noise = random.uniform(0, 4) if random.random() < 0.5 else 0.0
        made = []
        for each in pictures:
            each = cv2.LUT(each, light)
            if noise:
                grain = random.integers(-128, 128, each.shape, np.int16)
                each = cv2.addWeighted(each, 1.0, grain, noise / 74, 0.0, dtype=cv2.CV_8U)
            made.append(each)
        shown = np.stack(made)
        if random.random() < 0.5:
            shown, alpha = shown[:, :, ::-1], alpha[:, :, ::-1]
        return np.ascontiguousarray(shown), np.ascontiguousarray(alpha)
