"""Training samples: people in front of new places, framed as by a webcam, as sequences of frames.

``scene`` draws what a sample shows; all randomness is there. ``training/frames.py`` computes it on a CPU,
``training/render.py`` on a GPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes
from training.augment import Light, Shade, attached, outline
from training.beside import beside
from training.frames import Frames
from training.people import Layer, People
from training.places import Places
from training.scene import (
    SHEET,
    Alike,
    Coarse,
    Dress,
    Filter,
    Hide,
    Hold,
    Jpeg,
    Lit,
    Noise,
    Over,
    Sample,
    Scene,
    Shaded,
    Shadow,
    Step,
    gaussian,
)

__all__ = ["Mixture", "Sampler", "Sequence"]

Random = np.random.Generator

_KERNELS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)


class Sequence(NamedTuple):
    """Pictures uint8 (T, h, w, 3) BGR and alpha uint8 (T, h, w)."""

    pictures: Bytes
    alpha: Bytes


class Mixture(NamedTuple):
    """Shares of each kind of sample, and probabilities of what may happen in a composite."""

    plain: float = 0.15
    empty: float = 0.08
    second: float = 0.22
    crowd: float = 0.0
    dressed: float = 0.4
    held: float = 0.12
    hidden: float = 0.08
    decoys: float = 0.5
    furnished: float = 0.3
    shadow: float = 0.25
    relit: float = 0.3
    alike: float = 0.08
    beside: float = 0.0
    shrunk: float = 0.35
    strength: float = 1.0


class Sampler:
    """Draws random scenes, and computes sequences from them.

    Args:
        cache: folder that ``training.cache`` and ``training.backgrounds`` filled.
        split: ``training`` or ``development``.
        seed: of all random choices.
        mixture: shares and probabilities of what is drawn.
        device: where sequences are computed.
    """

    def __init__(self, cache: Path, split: str, seed: int, mixture: Mixture | None = None, device: str = "cpu") -> None:
        self._random = np.random.default_rng(seed)
        self._mixture = mixture or Mixture()
        self._people = People(cache / "people" / split)
        self._places = Places(cache, split, self._people, self._mixture.strength)
        self._frames = Frames(self.picture)

    def begin(self, *seed: int) -> Random:
        """Restart the random generator from a seed, and return it."""
        self._random = np.random.default_rng(seed)
        return self._random

    def draw(self, width: int, height: int, time: int) -> Sequence:
        """One sequence of ``time`` frames, computed by OpenCV."""
        return Sequence(*self._frames(self.scene(width, height, time)))

    def scene(self, width: int, height: int, time: int) -> Scene:
        """What a sequence of ``time`` frames shows. Some are made larger and then shrunk by one of several kernels, as
        cameras do."""
        random = self._random
        if random.random() >= self._mixture.shrunk:
            return Scene(tuple(self._steps(width, height, time)), width, height, time)
        scale = random.uniform(1.2, 1.6)
        across, down = round(width * scale), round(height * scale)
        steps = tuple(self._steps(across, down, time))
        return Scene(steps, across, down, time, (width, height, int(random.choice(_KERNELS))))

    def picture(self, kind: str, number: int, frame: int) -> Bytes:
        """The picture that a scene's view names: uint8 (3, h, w) BGR or (4, h, w) with alpha."""
        if kind in ("place", "thing"):
            return self._places.picture(kind, number)
        return self._people.picture(kind, number, frame)

    def _steps(self, width: int, height: int, time: int) -> list[Step]:
        random, mixture, size = self._random, self._mixture, (width, height)
        chance = random.random()
        if chance < mixture.plain:
            layer = self._people.plain(random, *size, time)
            steps: list[Step] = [Sample(layer.view, "below")]
            return steps + _camera(random, 0.7 * mixture.strength, width, height, time)
        steps = self._places.draw(random, *size, time, furnished=random.random() < mixture.furnished)
        if random.random() < mixture.decoys:
            steps += self._places.decoyed(random, *size)
        if chance >= mixture.plain + mixture.empty:
            crowd = 0
            if mixture.crowd and random.random() < mixture.crowd:
                crowd = int(random.integers(2, 7))
            while crowd > 0 or random.random() < mixture.second:  # somebody behind the nearest person
                aside = random.uniform(-0.45, 0.45) if crowd > 0 else 0.0
                far = random.random() < (0.75 if crowd > 0 else 0.5)
                steps += self._person(*size, time, far=far, aside=aside)[0]
                steps += self._before(*size)
                crowd -= 1
            somebody, layer, light, held = self._person(*size, time)
            steps += somebody
            while mixture.beside and random.random() < mixture.beside:
                first = self._first(layer, light, held, *size)
                thing = beside(random, first)
                steps += [thing] if thing is not None else []
            if random.random() < mixture.alike:
                off = random.normal(0, 8, 3)
                steps.append(Alike(off, random.uniform(0.5, 0.9)))
            steps += self._before(*size)
            if random.random() < mixture.hidden:
                steps.append(self._hidden(*size))
        return steps + _camera(random, mixture.strength, width, height, time)

    def _person(
        self, width: int, height: int, time: int, *, far: bool = False, aside: float = 0.0
    ) -> tuple[list[Step], Layer, Light, list[NDArray[np.int32]]]:
        """A person in other light and other clothes, perhaps with something in the hand; returns the person, the light
        on them, and the outline of what they hold."""
        random, mixture = self._random, self._mixture
        layer = self._people.cut_out(random, width, height, time, far=far, aside=aside)
        light = Light.drawn(random, mixture.strength)
        steps: list[Step] = [Sample(layer.view), Lit(light)]
        if random.random() < mixture.relit:
            steps.append(Shaded(Shade.drawn(random)))
        if layer.shoulders is not None and random.random() < mixture.dressed:
            other = Light.drawn(random, 2.0)
            pattern = self._places.drift(random, width, height, 1) if random.random() < 0.6 else None
            steps.append(Dress(other, pattern, layer.shoulders))
        shapes: list[NDArray[np.int32]] = []
        if random.random() < mixture.held:
            shapes = attached(random, self._people.first(layer.view, width, height)[..., 3])
            view = self._places.drift(random, width, height, 1)
            fill = view if random.random() < 0.5 else random.integers(0, 256, 3).astype(np.float64)
            steps.append(Hold(tuple(shapes), fill))
        return steps, layer, light, shapes

    def _first(self, layer: Layer, light: Light, held: list[NDArray[np.int32]], width: int, height: int) -> Bytes:
        """A person's first frame, uint8 (h, w, 4), in the given light, with the outline of what they hold."""
        first = self._people.first(layer.view, width, height)
        alpha = np.ascontiguousarray(first[..., 3])
        for shape in held:
            cv2.fillPoly(alpha, [shape], 255, cv2.LINE_AA)
        return np.dstack([light(np.ascontiguousarray(first[..., :3])), alpha])

    def _before(self, width: int, height: int) -> list[Step]:
        """Put a person in front of a place, perhaps with a shadow on it."""
        random = self._random
        dark = random.uniform(0.2, 0.7) if random.random() < self._mixture.shadow else 0.0
        shift = random.uniform(-0.1, 0.1) * width, random.uniform(-0.03, 0.1) * height
        spread = random.uniform(2, 12)
        return [*([Shadow(shift, spread, dark)] if dark else []), Over(person=True)]

    def _hidden(self, width: int, height: int) -> Hide:
        """An occluder in front of everybody: a table, a screen's edge or a microphone. It is not a person."""
        random = self._random
        across, down = random.uniform(0.05, 0.9) * width, random.uniform(0.1, 0.5) * height
        shape = outline(random, random.uniform(0, width), height, across, down)
        return Hide(shape, self._places.drift(random, width, height, 1))


def _camera(random: Random, strength: float, width: int, height: int, time: int) -> list[Step]:
    """What a camera and its stream do to a picture: exposure, white balance, blur, noise, JPEG."""
    steps: list[Step] = []
    if random.random() < 0.8:
        steps.append(Lit(Light.drawn(random, 0.5 * strength), "below"))
    if random.random() < 0.3:
        steps.append(Filter(*[gaussian(random.uniform(0.3, 1.2))] * 2))
    if random.random() < 0.04:
        shaken = int(random.integers(3, 8))
        across = np.ones(shaken | 1) / shaken
        across[shaken:] = 0
        steps.append(Filter(across, np.ones(1)))
    deviation = random.uniform(0, 1) ** 2 * 14 * strength if random.random() < 0.6 else 0.0
    quality = int(random.integers(25, 95)) if random.random() < 0.3 else 0
    if random.random() < 0.12:
        coarse = random.uniform(0.4, 0.9)
        steps.append(Coarse((round(width * coarse), round(height * coarse))))
    if deviation:
        places = [
            tuple(int(random.integers(0, n)) for n in (2, SHEET[0] - height, SHEET[1] - width)) for _ in range(time)
        ]
        steps.append(Noise(tuple(places), deviation))  # type: ignore[arg-type]
    if quality:
        steps.append(Jpeg(quality))
    return steps
