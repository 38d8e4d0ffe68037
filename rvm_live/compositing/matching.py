"""Adapts the person's colour and light to the background.

After Reinhard, Ashikhmin, Gooch and Shirley (2001, *Color transfer between images*): mean and deviation of the one
become those of the other. Here of luminance alone, which is exposure and contrast; for colour what is matched is the
light that falls on both, by grey world (Buchsbaum 1980) in which greyer places count more, so that a forest makes
nobody green and a green screen nobody magenta. All of it is one affine step in linear light for each channel
(von Kries): ``F' = g (p + k (F - p))`` with gains ``g``, contrast ``k``, and the person's middle luminance ``p``.

It is bounded, and what the bounds leave is held back where skin would suffer: its colour turns by a few degrees at
most, and it gets neither lighter nor darker than skin is in good pictures. Estimates are taken of small pictures, a few
times a second, and followed over seconds; small differences are ignored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Layer, Plate
from rvm_live.compositing.common import Plates
from rvm_live.core import transfer
from rvm_live.core.arrays import Bytes
from rvm_live.core.frames import Matte
from rvm_live.finishing.light import DECODED, encoded

__all__ = ["Affine", "Matcher", "Measured", "affine", "measured", "table_of"]

Exact = NDArray[np.float64]

LUMA = np.array([0.0722, 0.7152, 0.2126])
"""Luminance of light, B, G and R (BT.709)."""
_SIDE = 64
"""Longer side of the small pictures, pixels."""
_SURE = 250
"""Alpha from which on a pixel of the small picture belongs to the person."""
_FEWEST = 12
"""Least number of pixels of the small picture for measuring a person or skin."""
_DARKEST = 2.0**-8
_FLAT = 0.05
"""Deviation, in stops, below which a picture has no light to match: a plain colour."""
_EVERY_NS = 200_000_000
_SECONDS = 1.5
"""Time constant with which estimates are followed."""
_DEAD = 0.04
"""Differences in stops below this are ignored."""
_LONG_NS = 2_000_000_000
"""After a gap longer than this, measuring starts anew."""
_STOPS = (-0.8, 0.6)
_GAIN = math.log2(1.25)
"""Limit of the colour gain, in stops, up and down."""
_CONTRAST = (0.85, 1.15)
_TURN = math.radians(4.0)
"""Limit of the change of hue of skin, radians."""
_SKIN = (0.1, 0.38)
"""Range of linear luminance of skin, levels 89 to 166: matching does not move skin out of it, nor further away from
it."""
_GREY = 0.05
"""Share of grey light from which on the colour of the light counts as known."""


class Measured(NamedTuple):
    """Measurements of a picture, or of a part of it.

    Attributes:
        light: colour of the light, log2 of B, G and R, whose sum is 0.
        known: confidence in it, 0 to 1.
        mean: log2 of the mean of luminance.
        middle: mean of log2 of luminance.
        deviation: standard deviation of log2 of luminance.
    """

    light: Exact
    known: float
    mean: float
    middle: float
    deviation: float


class Affine(NamedTuple):
    """``F' = gain F + offset`` of light, each (3,) for B, G and R."""

    gain: Exact
    offset: Exact


@dataclass(frozen=True)
class _Person:
    """The person as it is followed; skin: its mean light, (3,), or None."""

    of: Measured
    skin: Exact | None

    def towards(self, seen: _Person, past_ns: int) -> _Person:
        """One step towards the present measurement; skin that is no longer seen is remembered."""
        skin = self.skin if seen.skin is None else seen.skin
        if skin is not None and self.skin is not None:
            skin = np.exp2(_towards(np.log2(self.skin), np.log2(skin), past_ns))
        return _Person(_followed(self.of, seen.of, past_ns), skin)


def measured(light: Exact) -> Measured:
    """Measure pixels of light, (n, 3) BGR, 0 to 1."""
    luminance = np.maximum(light @ LUMA, _DARKEST)
    logs = np.log2(luminance)
    most = np.maximum(light.max(axis=1), _DARKEST)
    grey = luminance * (light.min(axis=1) / most) ** 4
    colour = np.maximum(grey @ light / max(float(grey.sum()), 1e-12), 1e-6)
    known = min(float(grey.sum() / luminance.sum()) / _GREY, 1.0)
    logged = np.log2(colour)
    return Measured(
        logged - logged.mean(), known, math.log2(float(luminance.mean())), float(logs.mean()), float(logs.std())
    )


def affine(person: Measured, skin: Exact | None, behind: Measured, share: float) -> Affine:
    """The affine step that adapts a person to a background.

    Args:
        person: measured of it; its light of all of the frame.
        skin: mean light of its skin, (3,) BGR; None: none is seen.
        behind: measured of the background.
        share: how far, 0 to 1.
    """
    colour = share * min(person.known, behind.known) * (behind.light - person.light)
    colour = np.clip(colour, -_GAIN, _GAIN)
    pivot = 2.0**person.middle
    if skin is not None:
        colour = colour * _held(skin, colour)
    colour = colour - math.log2(float(np.exp2(colour) @ LUMA))  # normalised, so that grey keeps its luminance
    stops = float(np.clip(share * (behind.mean - person.mean), *_STOPS))
    if skin is not None:
        now = math.log2(max(float(skin @ LUMA), _DARKEST))
        least, most = (math.log2(each) - now for each in _SKIN)
        stops = min(max(stops, min(least, 0.0)), max(most, 0.0))
    contrast = 1 + share * (float(np.clip(behind.deviation / max(person.deviation, _FLAT), *_CONTRAST)) - 1)
    gain = np.exp2(colour + stops)
    return Affine(gain * contrast, gain * pivot * (1 - contrast))


def table_of(step: Affine) -> Bytes:
    """Level -> level, uint8 (3, 256) for B, G and R."""
    light = step.gain[:, None] * DECODED[None].astype(np.float64) + step.offset[:, None]
    return encoded(light.astype(np.float32))


def _held(skin: Exact, colour: Exact) -> float:
    """The part of a colour change that skin allows, 0 to 1."""

    def turned(part: float) -> float:
        other = skin * np.exp2(part * colour)
        cosine = float(skin @ other / max(float(np.linalg.norm(skin) * np.linalg.norm(other)), 1e-12))
        return math.acos(min(cosine, 1.0))

    least, most = 0.0, 1.0
    if turned(most) <= _TURN:
        return 1.0
    for _ in range(12):
        middle = (least + most) / 2
        least, most = (middle, most) if turned(middle) <= _TURN else (least, middle)
    return least


class Matcher:
    """Follows a person and the backgrounds behind it; for the compositing thread."""

    def __init__(self) -> None:
        self._person: _Person | None = None
        self._behind: dict[str, tuple[str, Measured]] = {}
        self._still: Plates[Measured] = Plates()
        self._looked_behind: dict[str, tuple[str, int, Measured]] = {}
        self._seen: _Person | None = None
        self._epoch, self._looked_ns, self._moment_ns = -1, 0, 0
        self._followed_ns: dict[str, int] = {}

    def table(self, matte: Matte, layer: Layer, output: str, name: str, moment_ns: int, share: float) -> Bytes | None:
        """The person's levels as they are to be over a background, uint8 (3, 256); None: as they are.

        Args:
            matte: of this frame, not yet moved.
            layer: the background.
            output: which picture it is for; each is followed by itself.
            name: of the background; another one is met at once, not over seconds.
            moment_ns: of this frame.
            share: how far the person is drawn towards it, 0 to 1.

        Raises:
            MatteError: the matte cannot be read.
        """
        if not isinstance(layer, Plate):
            return None  # a blurred room has the light of the room itself
        self._look(matte, moment_ns)
        now = self._seen_behind(layer, output, name, moment_ns)
        if self._person is None or now.deviation < _FLAT:
            return None
        past = moment_ns - self._followed_ns.get(output, moment_ns)  # 0 when the same frame is asked for again
        self._followed_ns[output] = moment_ns
        before = self._behind.get(output)
        follow = before is not None and before[0] == name and 0 <= past <= _LONG_NS
        now = _followed(before[1], now, past) if follow and before is not None else now
        self._behind[output] = name, now
        return table_of(affine(self._person.of, self._person.skin, now, share))

    def _seen_behind(self, layer: Plate, output: str, name: str, moment_ns: int) -> Measured:
        """Measure the background from time to time, and a new one at once."""
        before = self._looked_behind.get(output)
        if before is None or before[0] != name or not 0 < moment_ns - before[1] < _EVERY_NS:
            now = self._still.get(layer, lambda gone: measured(_light_of(layer.image)))
            before = self._looked_behind[output] = name, moment_ns, now
        return before[2]

    def _look(self, matte: Matte, moment_ns: int) -> None:
        """Measure the person from time to time, and follow it."""
        past, self._moment_ns = moment_ns - self._moment_ns, moment_ns
        anew = matte.frame.epoch != self._epoch or self._person is None or not 0 <= past <= _LONG_NS
        if anew or moment_ns - self._looked_ns >= _EVERY_NS:
            seen = _person_in(matte)
            self._looked_ns = moment_ns
            if seen is not None:
                self._seen, self._epoch = seen, matte.frame.epoch
                self._person = seen if anew else self._person
        if self._person is not None and self._seen is not None:
            self._person = self._person.towards(self._seen, past)


def _person_in(matte: Matte) -> _Person | None:
    image = matte.frame.image
    size = _small(image)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    sure = _alpha_of(matte, size) >= _SURE
    if sure.sum() < _FEWEST:
        return None
    light = DECODED[small].astype(np.float64)
    person = measured(light[sure])
    whole = measured(light.reshape(-1, 3))
    tone = cv2.cvtColor(small, cv2.COLOR_BGR2YCrCb)
    # Range of skin in chroma, at any lightness: Chai and Ngan 1999.
    skin = sure & cv2.inRange(tone, (40, 133, 77), (255, 173, 127)).astype(bool)
    person = person._replace(light=whole.light, known=whole.known)
    if skin.sum() < _FEWEST:
        return _Person(person, None)
    bright = light[skin]
    luminance = bright @ LUMA
    bright = bright[luminance >= np.median(luminance)]  # the darker half may be hair, whose chroma can be that of skin
    return _Person(person, np.maximum(bright.mean(axis=0), 1e-4))


def _alpha_of(matte: Matte, size: tuple[int, int]) -> Bytes:
    """Alpha at a small size, uint8 (h, w); from a device that alone comes down."""
    if matte.deferred is not None or isinstance(matte.alpha, np.ndarray) or matte.alpha.device.type == "cpu":
        return np.asarray(cv2.resize(matte.host().alpha, size, interpolation=cv2.INTER_AREA))
    return _brought_down(matte, size)


def _brought_down(matte: Matte, size: tuple[int, int]) -> Bytes:
    import torch

    alpha: torch.Tensor = matte.alpha
    if alpha.device.type == "cuda":
        stream = torch.cuda.current_stream(alpha.device)
        if matte.ready is not None:
            stream.wait_event(matte.ready)
        alpha.record_stream(stream)
    values = alpha.float() if alpha.dtype == torch.uint8 else alpha.float() * 255
    small = torch.nn.functional.interpolate(values[None, None], size[::-1], mode="area")[0, 0]
    return transfer.download(small.round().clamp(0, 255).to(torch.uint8))


def _light_of(image: Bytes) -> Exact:
    small: Bytes = cv2.resize(image, _small(image), interpolation=cv2.INTER_AREA)
    return DECODED[small].astype(np.float64).reshape(-1, 3)


def _small(image: Bytes) -> tuple[int, int]:
    height, width = image.shape[:2]
    scale = min(_SIDE / max(height, width), 1.0)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _followed(before: Measured, now: Measured, past_ns: int) -> Measured:
    return Measured(
        _towards(before.light, now.light, past_ns),
        float(_towards(np.array([before.known]), np.array([now.known]), past_ns)[0]),
        *(float(each) for each in _towards(np.array(before[2:]), np.array(now[2:]), past_ns)),
    )


def _towards(before: Exact, now: Exact, past_ns: int) -> Exact:
    """One step towards the target; no step if it is near already."""
    if float(np.abs(now - before).max()) < _DEAD:
        return before
    return before + (now - before) * (1 - math.exp(-past_ns / 1e9 / _SECONDS))
