"""Samples to learn from: people before new places, in the framing of a webcam, as sequences of uint8 frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from rvm_live.core.arrays import Bytes
from training.augment import Camera, Light, attached, outline, shaded
from training.beside import beside
from training.people import Layer, People
from training.places import Places

__all__ = ["Mixture", "Sampler", "Sequence"]

Random = np.random.Generator

_KERNELS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)


class Sequence(NamedTuple):
    """Pictures uint8 (T, h, w, 3) BGR and alpha uint8 (T, h, w)."""

    pictures: Bytes
    alpha: Bytes


class Mixture(NamedTuple):
    """Shares of the diet, and the odds of what may happen in a composite."""

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
    """Draws sequences.

    Args:
        cache: folder that ``training.cache`` and ``training.backgrounds`` filled.
        split: ``training`` or ``development``.
        seed: of all chance; another worker takes another.
        mixture: what to draw.
    """

    def __init__(self, cache: Path, split: str, seed: int, mixture: Mixture | None = None) -> None:
        self._random = np.random.default_rng(seed)
        self._mixture = mixture or Mixture()
        self._people = People(cache / "people" / split)
        self._places = Places(cache, split, self._people, self._random, self._mixture.strength)

    def draw(self, width: int, height: int, time: int) -> Sequence:
        """One sequence of ``time`` frames, some of them made larger and shrunk by one kernel or another, as what
        cameras send is."""
        random = self._random
        if random.random() >= self._mixture.shrunk:
            return self._drawn(width, height, time)
        scale = random.uniform(1.2, 1.6)
        large = self._drawn(round(width * scale), round(height * scale), time)
        kernel = int(random.choice(_KERNELS))
        pictures = np.stack([cv2.resize(each, (width, height), interpolation=kernel) for each in large.pictures])
        alpha = [cv2.resize(each, (width, height), interpolation=cv2.INTER_AREA) for each in large.alpha]
        return Sequence(pictures, np.stack(alpha))

    def _drawn(self, width: int, height: int, time: int) -> Sequence:
        random, mixture = self._random, self._mixture
        chance = random.random()
        if chance < mixture.plain:
            layer = self._people.plain(random, width, height, time)
            camera = Camera(random, 0.7 * mixture.strength)
            return Sequence(np.stack([camera(each) for each in layer.colours]), np.stack(layer.alpha))
        place = self._places.draw(width, height, time, furnished=random.random() < mixture.furnished)
        alpha = [np.zeros((height, width), np.uint8)] * time
        if random.random() < mixture.decoys:
            place = self._places.decoyed(place)
        if chance >= mixture.plain + mixture.empty:
            crowd = 0
            if mixture.crowd and random.random() < mixture.crowd:
                crowd = int(random.integers(2, 7))
            while crowd > 0 or random.random() < mixture.second:  # behind the nearest
                aside = random.uniform(-0.45, 0.45) if crowd > 0 else 0.0
                other = self._person(
                    width, height, time, far=random.random() < (0.75 if crowd > 0 else 0.5), aside=aside
                )
                place, alpha = self._before(place, alpha, other)
                crowd -= 1
            layer = self._person(width, height, time)
            while mixture.beside and random.random() < mixture.beside:
                place, hidden = beside(random, place, layer.colours[0], layer.alpha[0])
                alpha = [cv2.multiply(each, 255 - hidden, scale=1 / 255) for each in alpha]
            if random.random() < mixture.alike:
                place = self._alike(place, layer)
            place, alpha = self._before(place, alpha, layer)
            if random.random() < mixture.hidden:
                place, alpha = self._hidden(place, alpha)
        camera = Camera(random, mixture.strength)
        return Sequence(np.stack([camera(each) for each in place]), np.stack(alpha))

    def _alike(self, place: list[Bytes], layer: Layer) -> list[Bytes]:
        """A place nearly of the colour of somebody's clothes: white sleeves before a white wall."""
        lower = slice(layer.alpha[0].shape[0] // 2, None)
        colour = cv2.mean(layer.colours[0][lower], layer.alpha[0][lower])[:3]
        colour = np.clip(np.array(colour) + self._random.normal(0, 8, 3), 0, 255).astype(np.uint8)
        share = self._random.uniform(0.5, 0.9)
        return [cv2.addWeighted(each, 1 - share, np.full_like(each, colour), share, 0) for each in place]

    def _person(self, width: int, height: int, time: int, *, far: bool = False, aside: float = 0.0) -> Layer:
        """Somebody, in other light and other clothes, perhaps with something in the hand."""
        random, mixture = self._random, self._mixture
        layer = self._people.cut_out(random, width, height, time, far=far, aside=aside)
        changes: list[Callable[[Bytes], Bytes]] = [Light(random, mixture.strength)]
        if random.random() < mixture.relit:
            changes.append(shaded(random, height, width))
        colours = layer.colours
        for change in changes:
            colours = [change(each) for each in colours]
        if layer.shoulders is not None and random.random() < mixture.dressed:
            colours = self._dressed(colours, layer.shoulders)
        alpha = layer.alpha
        if random.random() < mixture.held:
            shapes = attached(random, alpha[0])
            texture = self._places.drift(width, height, 1)[0]
            mask = np.zeros((height, width), np.uint8)
            for shape in shapes:
                cv2.fillPoly(mask, [shape], 255, cv2.LINE_AA)
            weight = mask[..., None] > 127
            fill = texture if random.random() < 0.5 else np.full_like(texture, random.integers(0, 256, 3))
            colours = [np.where(weight, fill, each) for each in colours]
            alpha = [np.maximum(each, mask) for each in alpha]
        return Layer(colours, alpha, layer.shoulders)

    def _dressed(self, colours: list[Bytes], shoulders: float) -> list[Bytes]:
        """Other colours or a pattern below the shoulders, folds kept."""
        random = self._random
        height, width = colours[0].shape[:2]
        light = Light(random, 2.0)
        pattern = self._places.drift(width, height, 1)[0] if random.random() < 0.6 else None
        rows = np.clip((np.arange(height) - shoulders * height) / (0.04 * height + 1), 0, 1).astype(np.float32)
        weight = (rows * 255).astype(np.uint8)[:, None, None].repeat(width, 1).repeat(3, 2)
        done = []
        for each in colours:
            other = light(each)
            if pattern is not None:
                other = cv2.multiply(other, pattern, scale=1 / 140)
            mixed = cv2.add(cv2.multiply(other, weight, scale=1 / 255), cv2.multiply(each, 255 - weight, scale=1 / 255))
            done.append(mixed)
        return done

    def _before(self, place: list[Bytes], alpha: list[Bytes], layer: Layer) -> tuple[list[Bytes], list[Bytes]]:
        """Put a person before a place."""
        random = self._random
        shadow = random.uniform(0.2, 0.7) if random.random() < self._mixture.shadow else 0.0
        height, width = alpha[0].shape
        shift = np.array([[1, 0, random.uniform(-0.1, 0.1) * width], [0, 1, random.uniform(-0.03, 0.1) * height]])
        spread = random.uniform(2, 12)
        pictures, whole = [], []
        for below, old, colours, new in zip(place, alpha, layer.colours, layer.alpha, strict=True):
            if shadow:
                soft = cv2.GaussianBlur(cv2.warpAffine(new, shift, (width, height)), (0, 0), spread)
                dark = cv2.cvtColor(cv2.convertScaleAbs(soft, alpha=-shadow, beta=0), cv2.COLOR_GRAY2BGR)
                below = cv2.subtract(below, cv2.multiply(below, dark, scale=1 / 255))
            weight = cv2.cvtColor(new, cv2.COLOR_GRAY2BGR)
            front = cv2.multiply(colours, weight, scale=1 / 255)
            pictures.append(cv2.add(front, cv2.multiply(below, 255 - weight, scale=1 / 255)))
            whole.append(cv2.add(new, cv2.multiply(old, 255 - new, scale=1 / 255)))
        return pictures, whole

    def _hidden(self, place: list[Bytes], alpha: list[Bytes]) -> tuple[list[Bytes], list[Bytes]]:
        """A table, a screen's edge, a microphone in front of everybody: it is no person."""
        random = self._random
        height, width = alpha[0].shape
        across, down = random.uniform(0.05, 0.9) * width, random.uniform(0.1, 0.5) * height
        shape = outline(random, random.uniform(0, width), height, across, down)
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [shape], 255, cv2.LINE_AA)
        fill = self._places.drift(width, height, 1)[0]
        free = 255 - mask
        pictures = [np.where(mask[..., None] > 127, fill, each) for each in place]
        return pictures, [cv2.multiply(each, free, scale=1 / 255) for each in alpha]
