"""Alpha and the person's colours in front of a screen of known colour, in 8 bits."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes, Floats
from rvm_live.core.frames import LEAST_ALPHA
from rvm_live.engines.chroma.screen import Key
from rvm_live.engines.common.dirty_rectangles import changed
from rvm_live.system.buffer_pool import BufferPool

__all__ = ["Keyer"]

_ZERO, _ONE = 80, 120
"""In 8 bits: the value for no chroma of the screen's hue, and the difference from it for as much as the screen has.
Colours opposite to the screen's have room below, parts lit more than the median above."""
_ACROSS = 3**-0.5
"""Weight with which chroma of another hue is subtracted from the screen's: for a green screen this gives green minus
the larger of red and blue (Vlahos, US patent 4,100,569)."""
_UNIT = 48
_LEAST_NOISE, _MOST_NOISE, _DEVIATIONS = (0.10, 0.15), (0.25, 0.45), 5.0
"""Limits of two tolerances: a pixel with less than the first share of the screen is all person, one that lacks less
than the second share is all screen. They allow for smear of codecs, folds, and this many deviations of the noise."""
_GRID, _SPARSE = 24, 4
"""Side of the squares for which the screen's light is stored, pixels; and the step between the pixels that tell where
the person is."""
_LEAST_LIGHT = 0.35
_FURTHER = (3, 9, 33, 129, 513, 2049)
"""Sides of the squares around a place from which the light behind the person is taken: the smallest that contains some
visible screen."""
_EVERY, _RATE = 8, np.float32(0.8)
"""Every so many pictures the stored light is updated with this weight of the visible light: light flickers and
changes."""
_BAND, _REACH = 0.008, 0.025
"""Shares of the longer side: the distance from the screen within which a pixel may contain some of it, and the distance
from which on the person's colours are used."""
_OPPOSITE = 0.8
"""Share of the person's own hue that is used: all of it would make grey cloth beside a face partly transparent."""
_SPILL, _SURE = 10, 191


class Keyer:
    """Keys one size of picture.

    A pixel's share of the screen is its chroma of the screen's hue, minus that of other hues, divided by the screen's
    chroma there: the light on a screen is never even. The light is learnt where the screen is seen, and continued
    behind the person.

    Args:
        key: the screen's colour.
        width: of the pictures.
        height: likewise.
    """

    def __init__(self, key: Key, width: int, height: int) -> None:
        self.key = key
        self._axes = np.c_[key.axes * [[_ONE], [_ONE], [1]], [_ZERO, 128, 0]].astype(np.float32)
        self._size = (width, height)
        self._grid, self._few = ((-(-width // step), -(-height // step)) for step in (_GRID, _SPARSE))
        near, far = (max(1, round(max(self._few) * part)) * 2 + 1 for part in (_BAND, _REACH))
        self._near, self._far = np.ones((near, near), np.uint8), (far, far)
        self._light: Floats | None = None
        self._colour: Floats | None = None
        self._light_few = np.ones(self._few[::-1], np.float32)
        self._screen = np.empty((0, 0, 3), np.uint8)
        self._ramp = (0.0, 0.0)
        self._frames = 0
        self._alphas, self._foregrounds = BufferPool((height, width)), BufferPool((height, width, 3))

    def apply(self, image: Bytes, *, colours: bool) -> tuple[Bytes, Bytes | None]:
        """Key a picture.

        Args:
            image: uint8 (H, W, 3) BGR.
            colours: also return the person's colours.

        Returns:
            Alpha, uint8 (H, W), and the foreground, uint8 (H, W, 3) BGR straight, without the screen's light on it;
            None if it is not wanted.
        """
        along, across, _ = cv2.split(cv2.transform(image, self._axes))
        chroma = cv2.addWeighted(along, 1.0, cv2.absdiff(across, np.array([128.0])), -_ACROSS, 0)
        if self._frames % _EVERY == 0:
            self._learn(image, chroma)
        self._frames += 1
        zero, gain = self._scale(chroma)
        share = cv2.multiply(cv2.subtract(chroma, zero), gain, scale=1 / _UNIT)
        slope, offset = self._ramp
        alpha = np.asarray(cv2.addWeighted(share, slope, share, 0, offset, dst=self._alphas.take()))
        return alpha, self._despilled(image, share, alpha) if colours else None

    def _scale(self, chroma: Bytes) -> tuple[Bytes, Bytes]:
        """For each pixel, the chroma of a share of 0, and the factor that makes the rest 255 for a share of 1.

        Next to the screen the share is measured between the screen's chroma and the person's: otherwise a face whose
        hue is opposite to the screen's would keep a rim of it.
        """
        few = cv2.resize(chroma, self._few, interpolation=cv2.INTER_NEAREST).astype(np.float32)
        few = (few - _ZERO) / _ONE
        plain = few / self._light_few
        band = cv2.dilate((plain > 0.5).astype(np.uint8), self._near)
        person = ((plain < 0.05) & (band == 0)).astype(np.float32)
        weight, total = (cv2.blur(each, self._far) for each in (person, few * person))
        own = np.clip(total / np.maximum(weight, 1e-3) * _OPPOSITE, -_ZERO / _ONE, 0)
        own[(weight < 0.02) | (band == 0)] = 0
        gain = 255 / _ONE / (self._light_few - own) * _UNIT
        zero, gain = (cv2.resize(_bytes(each), self._size) for each in (_ZERO + _ONE * own, gain))
        return np.asarray(zero), np.asarray(gain)

    def _learn(self, image: Bytes, chroma: Bytes) -> None:
        """The screen's light and colour, from where it is seen."""
        small = cv2.resize(chroma, self._grid, interpolation=cv2.INTER_AREA).astype(np.float32)
        small = (small - _ZERO) / _ONE
        colour = cv2.resize(image, self._grid, interpolation=cv2.INTER_AREA).astype(np.float32)
        expected = np.float32(1) if self._light is None else self._light
        seen = (np.abs(small / expected - 1) < (0.5 if self._light is None else 0.25)).astype(np.float32)
        seen = cv2.erode(seen, np.ones((3, 3), np.uint8))  # not at the person's border, where a cell may hold some hair
        if seen.mean() < 0.02:
            seen, small = np.ones_like(seen), np.ones_like(small)
            colour = np.broadcast_to(np.array(self.key.bgr, np.float32), colour.shape)
        light, tone = _spread(small, seen), _spread(colour, seen)
        if self._light is None or self._colour is None:
            self._light, self._colour = light, tone
        else:
            self._light += _RATE * (light - self._light)
            self._colour += _RATE * (tone - self._colour)
        self._light_few = np.maximum(cv2.resize(self._light, self._few), np.float32(_LEAST_LIGHT))
        self._screen = np.asarray(cv2.resize(_bytes(self._colour), self._size))
        some = cv2.resize(chroma, self._few, interpolation=cv2.INTER_NEAREST).astype(np.float32)
        some = (some - _ZERO) / _ONE / self._light_few
        some = some[some > 0.65]
        noise = _DEVIATIONS * float(some.std()) if some.size else 0.0
        least, lacking = np.clip(noise, _LEAST_NOISE, _MOST_NOISE)
        self._ramp = -1 / (1 - lacking - least), 255 * (1 - lacking) / (1 - lacking - least)

    def _despilled(self, image: Bytes, share: Bytes, alpha: Bytes) -> Bytes:
        """The picture less the screen's share of each pixel: ``F = (I - share * S) / (1 - share)``."""
        foreground = self._foregrounds.take()
        np.copyto(foreground, image)
        for part in changed(cv2.bitwise_and(cv2.inRange(share, _SPILL, 255), cv2.inRange(alpha, LEAST_ALPHA, 255))):
            held = cv2.cvtColor(cv2.min(share[part], np.array([float(_SURE)])), cv2.COLOR_GRAY2BGR)
            rest = cv2.subtract(image[part], cv2.multiply(self._screen[part], held, scale=1 / 255))
            cv2.divide(rest, cv2.bitwise_not(held), dst=foreground[part], scale=255)
        return foreground


def _spread(values: Floats, seen: Floats) -> Floats:
    """The visible values; elsewhere the mean of visible values near by."""
    weight = seen if values.ndim == 2 else cv2.merge([seen] * values.shape[2])
    known, result = weight > 0, values
    for side in _FURTHER:
        near, share = (cv2.blur(each, (side, side)) for each in (values * weight, weight))
        result = np.where(known, result, near / np.maximum(share, 1e-6))
        known = known | (share > 0.02)
    return np.asarray(result, np.float32)


def _bytes(values: NDArray[np.floating[Any]]) -> Bytes:
    return np.asarray(np.clip(values + 0.5, 0, 255), np.uint8)
