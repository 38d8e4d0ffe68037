"""Places without people, as steps of a scene: stored or painted, furnished, drifting, out of focus."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes
from training.augment import Light, Shade, outline
from training.backgrounds import HEIGHT, WIDTH
from training.painting import paint
from training.people import People
from training.scene import (
    Cut,
    Fill,
    Filter,
    Lit,
    Over,
    Portrait,
    Put,
    Sample,
    Scene,
    Shaded,
    Split,
    Step,
    View,
    gaussian,
)
from training.things import Things

__all__ = ["Places"]

Random = np.random.Generator
Numbers = NDArray[np.float64]

_FRESH = 0.1
"""Share of places that are painted on the spot, and never seen again."""


class Places:
    """Draws random places.

    Args:
        cache: folder with ``backgrounds/`` and ``things.npy``.
        split: ``training`` or ``development``; only the first has things.
        people: people whose outlines some decoys take.
        strength: strength of changes of light.
    """

    def __init__(self, cache: Path, split: str, people: People, strength: float) -> None:
        self._stored: Bytes = np.load(cache / "backgrounds" / f"{split}.npy", mmap_mode="r")
        self._things = Things(cache / "things.npy" if split == "training" else Path())
        self._people, self._strength = people, strength
        self._fresh = _FRESH if split == "training" else 0.0

    def picture(self, kind: str, number: int) -> Bytes:
        """A stored ``place``, uint8 (3, 288, 448), or ``thing``, uint8 (4, 128, 128)."""
        picture = self._things.picture(number) if kind == "thing" else self._stored[number]
        return np.stack(cv2.split(np.ascontiguousarray(picture)))

    def draw(self, random: Random, width: int, height: int, time: int, *, furnished: bool = False) -> list[Step]:
        """A background, still or moving, sometimes made of two halves, sometimes covered with things."""
        steps: list[Step] = [Sample(self.drift(random, width, height, time), "below")]
        if random.random() < 0.2:
            steps.append(Sample(self.drift(random, width, height, time)))
            cells = (random.random((4, 6)) > 0.5).astype(np.uint8) * 255
            steps.append(Split(cells, smooth=random.random() < 0.5))
        if furnished and len(self._things):
            for _ in range(int(random.integers(2, 14))):
                steps += self._put(random, width, height, 0.6)
        steps.append(Lit(Light.drawn(random, self._strength * 0.9), "below"))
        if random.random() < 0.3:
            steps.append(Filter(*[gaussian(random.uniform(0.5, 5))] * 2))
        return steps

    def drift(self, random: Random, width: int, height: int, time: int) -> View:
        """A crop that moves slowly over a picture."""
        if random.random() < self._fresh:
            picture: tuple[str, int, int] | Bytes = paint(random, WIDTH, HEIGHT)
        else:
            picture = ("place", int(random.integers(len(self._stored))), 0)
        order = (0, 1, 2)
        if self._fresh and random.random() < 0.2:
            order = tuple(int(each) for each in random.permutation(3))  # type: ignore[assignment]
        moving = random.random() < 0.4
        side = random.uniform(0.45, 1.0)
        ends = []
        for _ in range(2 if moving else 1):
            w = min(WIDTH, HEIGHT * width / height) * side
            x, y = random.uniform(0, WIDTH - w), random.uniform(0, max(0.0, HEIGHT - w * height / width))
            ends.append(np.array([x, y, w]))
            side = min(1.0, side * random.uniform(0.9, 1.1))
        if moving:  # a few per cent of the picture per frame
            span = ends[1] - ends[0]
            ends[1] = ends[0] + span * min(1.0, random.uniform(0, 0.05) * time * width / (np.abs(span).max() + 1))
        flip = random.random() < 0.5
        matrices = []
        for number in range(time if moving else 1):
            x, y, w = ends[0] + (ends[-1] - ends[0]) * (number / max(1, time - 1))
            scale = w / width
            matrices.append([[-scale if flip else scale, 0, x + (w if flip else 0)], [0, scale, y], [0, 0, 1]])
        return View((picture,), np.array(matrices, np.float64), "reflection", order=order)

    def decoyed(self, random: Random, width: int, height: int) -> list[Step]:
        """Put decoys into the place: things as large as a person, some with a person's outline, that are not people."""
        steps: list[Step] = []
        for _ in range(int(random.integers(1, 4))):
            if len(self._things) and random.random() < 0.4:
                steps += self._put(random, width, height, 1.2)
                continue
            kind = random.random()
            if kind < 0.2:
                steps += self._portrayed(random, width, height, statue=kind < 0.07)
                continue
            if kind < 0.4:
                steps += _built(random, width, height)
                continue
            if kind < 0.52:
                steps.append(Sample(self._people.cut_out(random, width, height, 1).view))
            else:
                across, down = random.uniform(0.12, 0.7) * width, random.uniform(0.2, 1.0) * height
                x, y = random.uniform(0, width), random.uniform(0.3, 1.1) * height
                shape = outline(random, x, y, across, down)
                if kind < 0.7:  # a roof, a mountain, a lampshade
                    top = random.uniform(0, 0.6) * across
                    corners = [(x - across / 2, y + down), (x - top / 2, y - down / 2)]
                    corners += [(x + top / 2, y - down / 2), (x + across / 2, y + down)]
                    shape = np.array(corners).astype(np.int32)
                steps.append(Cut(shape))
            light, view = Light.drawn(random, 1.5), self.drift(random, width, height, 1)
            if random.random() < 0.3:
                steps.append(Fill(random.integers(0, 256, 3).astype(np.float64)))
            else:
                steps += [Sample(view), Lit(light)]
            if random.random() < 0.6:
                steps.append(Shaded(Shade.drawn(random)))
            steps.append(Over())
        return steps

    def _portrayed(self, random: Random, width: int, height: int, *, statue: bool) -> list[Step]:
        """A statue of one material, or a picture of somebody on the wall."""
        somebody = Sample(self._people.cut_out(random, width, height, 1, far=statue).view)
        if statue:
            share, level = random.uniform(0.3, 0.7), int(random.integers(40, 160))
            tint = np.array(random.uniform(0.6, 1.0, 3) if random.random() < 0.5 else (0.95, 1.0, 1.0))
            worn = np.clip(np.rint(np.arange(256) * share + 0.6 * level), 0, 255)
            grey = np.array([[0.114, 0.587, 0.299]] * 3, np.float32)
            return [somebody, Lit(Light(grey, (worn[:, None] * tint).astype(np.uint8))), Over()]
        room = self.drift(random, width, height, 1)
        steps = (Sample(room, "below"), Lit(Light.drawn(random, 1.0), "below"), somebody, Over())
        across = round(width * random.uniform(0.1, 0.4))
        down = max(4, round(across * height / width * random.uniform(0.8, 1.6)))
        x, y = int(random.uniform(-0.3, 1) * width), int(random.uniform(-0.3, 0.7) * height)
        light, colour = Light.drawn(random, 1.0), random.integers(0, 256, 3).astype(np.float64)
        box = x, y, across, down
        picture = Portrait(Scene(steps, width, height, 1), box, light, colour, int(random.integers(1, 6)))
        return [picture, Over()]

    def _put(self, random: Random, width: int, height: int, largest: float) -> list[Step]:
        """Put a thing into all frames of a place."""
        return [Put(self._things.draw(random, width, height, largest))]


def _built(random: Random, width: int, height: int) -> list[Step]:
    """A tower or a house's corner: one or two walls full of windows that converge towards a point above."""
    steps: list[Step] = []
    x, top = random.uniform(0, 1) * width, random.uniform(-0.1, 0.6) * height
    lean = random.uniform(-0.15, 0.15) * width
    for side in (-1, 1):
        across, drop = side * random.uniform(0.08, 0.5) * width, random.uniform(0.1, 0.6) * height
        wall = np.full((128, 96, 3), random.integers(0, 256, 3), np.uint8)
        glass = tuple(int(value) for value in random.integers(0, 256, 3))
        step, gap = random.integers(5, 24, 2), random.uniform(0.2, 0.7, 2)
        for y in range(0, 128, int(step[0])):
            for column in range(0, 96, int(step[1])):
                corner = (column + int(gap[1] * step[1]), y + int(gap[0] * step[0]))
                cv2.rectangle(wall, (column, y), corner, glass, -1)
        corners = [
            (x, top),
            (x + across, top + drop),
            (x + 1.3 * across + lean, height * 1.05),
            (x + lean, height * 1.1),
        ]
        matrix = cv2.getPerspectiveTransform(
            np.array(corners, np.float32), np.array([(0, 0), (96, 0), (96, 128), (0, 128)], np.float32)
        )
        seen = np.dstack([Shade.drawn(random)(wall), np.full((128, 96), 255, np.uint8)])
        steps.append(Put(View((seen,), matrix[None], "zeros")))
        if random.random() < 0.3:
            break
    return steps
