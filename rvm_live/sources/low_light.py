"""Dark pictures made brighter and less noisy, before anything looks at them: the network and the viewer see the same.

Two steps, only while it is dark:

* **noise**: each pixel is averaged with those before it, ``o = p + k (c - p)``, the less of the new one the less has
  moved there (recursive temporal filter, gated by motion). What moves by more than the noise is the new picture alone.
* **brightness**: in linear light ``y = g x / (1 + (g - 1) x)``: the gain g in the shadows, at most 4, none in the
  lights, so that nothing is cut off. It is the g that brings the picture's lights to a given level, and follows within
  seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.controls import Control, choice
from rvm_live.core.look import LOW_LIGHT
from rvm_live.core.stillness import same_picture
from rvm_live.finishing.light import decoded, encoded
from rvm_live.sources.base import Grab, Source, SourceInfo

__all__ = ["MOST_GAIN", "LowLight", "LowLightSource"]

MOST_GAIN = 4.0
ENOUGH = 125
"""A picture whose lights (the level that its brightest tenth reaches) are at least this grey level is bright enough,
and stays as it is. The mean would take a bright person in front of a dark wall for a dark picture, and brightening
would harm that."""
WANTED = 150
_LIGHTS = 0.9
_FOLLOW_S = 1.5
_GAP_S = 1.0
_OFF = 1.03
_LEAST = 0.25
"""Weight of the new picture where nothing moved: noise is reduced to 0.38 of what it was."""
_EVERY = 4
_STEPS = 4095
_NONE = np.empty(0, np.uint8)


class LowLight:
    """Processes pictures one after another; for one thread, except for the attributes.

    Attributes:
        on: may be changed by any thread.
        gain: in the shadows now; 1.0: the picture is as it came.
        most: the largest gain so far.
    """

    def __init__(self, on: bool = False) -> None:
        self.on = on
        self.gain = self.most = 1.0
        self._given: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None
        self._before: NDArray[np.uint8] | None = None
        self._small: NDArray[np.float32] | None = None
        self._noise = 1.0
        self._seen_ns: int | None = None
        self._table: tuple[float, NDArray[np.uint8]] = (1.0, np.arange(256, dtype=np.uint8))

    def control(self) -> Control:
        """``low_light``, ``auto`` or ``off``."""

        def apply(name: str) -> None:
            self.on = name == "auto"

        text = "make dark pictures brighter and less noisy"
        return choice("low_light", lambda: LOW_LIGHT[self.on], apply, LOW_LIGHT, text)

    def __call__(self, image: NDArray[np.uint8], captured_ns: int) -> NDArray[np.uint8]:
        """The picture to be matted and shown; ``image`` itself if it is bright enough, or this is off.

        Args:
            image: uint8 (H, W, 3) BGR; not written to.
            captured_ns: monotonic time of the grab.
        """
        if not self.on:
            self._seen_ns, self.gain, self._given = None, 1.0, None
            return image
        if self._given is None or not same_picture(self._given[0], image):
            self._given = image, self._made(image, captured_ns)
        return self._given[1]

    @property
    def memory(self) -> list[NDArray[Any]]:
        """The state that the next picture depends on, for :meth:`remember`."""
        seen = [] if self._seen_ns is None else [self._seen_ns]
        given, made = (None, None) if self._given is None else self._given
        pictures = (given, None if made is given else made, self._before, self._small)
        numbers = [np.array([self.gain, self.most, self._noise]), np.array(seen, np.int64)]
        return [*numbers, *(_NONE if each is None else each for each in pictures)]

    def remember(self, memory: Sequence[NDArray[Any]]) -> None:
        """Restore a state from :attr:`memory`."""
        (self.gain, self.most, self._noise), seen = (each.tolist() for each in memory[:2])
        given, made, before, small = (each if each.size else None for each in memory[2:])
        self._seen_ns = seen[0] if seen else None
        self._given = None if given is None else (given, given if made is None else made)
        self._before, self._small = before, small

    def _made(self, image: NDArray[np.uint8], captured_ns: int) -> NDArray[np.uint8]:
        passed = math.inf if self._seen_ns is None else (captured_ns - self._seen_ns) / 1e9
        self._seen_ns = captured_ns
        self._follow(image, passed)
        if self.gain < _OFF:
            self._before = self._small = None
            return image
        self.most = max(self.most, self.gain)
        if passed > _GAP_S or self._before is None or self._before.shape != image.shape:
            self._before = self._small = None
        calm = self._calmed(image)
        gain = round(self.gain, 2)
        if self._table[0] != gain:
            self._table = (gain, _curve(gain))
        lifted: NDArray[np.uint8] = cv2.LUT(calm, self._table[1])
        return lifted

    def _follow(self, image: NDArray[np.uint8], passed: float) -> None:
        """Set the gain to what the picture needs, within seconds; at once at the beginning and after a gap."""
        levels = np.bincount(image[::_EVERY, ::_EVERY, 1].ravel(), minlength=256)
        wanted = _gain_for(levels)
        share = 1.0 if passed > _GAP_S else 1 - math.exp(-passed / _FOLLOW_S)
        self.gain *= (wanted / self.gain) ** share

    def _calmed(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = image.shape[:2]
        size = (max(width // _EVERY, 1), max(height // _EVERY, 1))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
        before, small_before = self._before, self._small
        if before is None or small_before is None:
            self._before, self._small = image, grey
            return image
        moved = cv2.absdiff(grey, small_before)
        # Most of a picture does not move: the difference there is noise.
        self._noise += 0.2 * (max(float(np.median(moved)), 0.3) - self._noise)
        moved = cv2.blur(cv2.dilate(moved, np.ones((3, 3), np.uint8)), (3, 3))
        limit = 5 * self._noise
        share = np.clip((moved - limit) / limit, _LEAST, 1)
        self._small = small_before + share * (grey - small_before)
        share = cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR)
        calm: NDArray[np.uint8] = cv2.blendLinear(image, before, share, 1 - share)
        self._before = calm
        return calm


class LowLightSource(Source):
    """Delivers another source's pictures, brighter and less noisy when it is dark.

    Args:
        source: the other source.
        low_light: the processing, a :class:`LowLight` or a stand-in.
    """

    def __init__(self, source: Source, low_light: Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]) -> None:
        self._source, self._low_light = source, low_light
        self.on_demand = source.on_demand

    @property
    def trouble(self) -> str:  # type: ignore[override]
        return self._source.trouble

    def go_on(self, before: Source) -> None:
        self._source.go_on(before)

    def prepare(self, ended: Callable[[], bool] = lambda: False) -> None:
        self._source.prepare(ended)

    def open(self) -> SourceInfo:
        return self._source.open()

    def read(self) -> Grab:
        grab = self._source.read()
        image = self._low_light(grab.image, grab.captured_ns if grab.media_ns is None else grab.media_ns)
        return grab if image is grab.image else replace(grab, image=image)

    def release(self) -> None:
        self._source.release()


def _gain_for(levels: NDArray[np.int64]) -> float:
    """The gain that brings the lights to the wanted level.

    Args:
        levels: how many pixels have each, (256,).
    """
    lights = int(np.searchsorted(np.cumsum(levels), _LIGHTS * levels.sum()))
    if lights >= ENOUGH:
        return 1.0
    now, wanted = decoded(np.array([max(lights, 1.0), WANTED]))
    return float(min(wanted * (1 - now) / (now * (1 - wanted)), MOST_GAIN))


def _curve(gain: float) -> NDArray[np.uint8]:
    """Level -> level, uint8 (256,)."""
    light = decoded(np.arange(256.0))
    return encoded((gain * light / (1 + (gain - 1) * light)).astype(np.float32))
