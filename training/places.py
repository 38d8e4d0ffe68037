"""Places without people, as sequences of frames: stored or painted, furnished, drifting, out of focus."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from rvm_live.core.arrays import Bytes
from training.augment import Light, outline, shaded
from training.backgrounds import HEIGHT, WIDTH
from training.painting import paint
from training.people import People
from training.things import Things

__all__ = ["Places"]

Random = np.random.Generator

_FRESH = 0.1
"""Share of places that are painted on the spot, and never seen again."""


class Places:
    """Draws places.

    Args:
        cache: folder with ``backgrounds/`` and ``things.npy``.
        split: ``training`` or ``development``; only the first has things.
        people: whose outlines some decoys have.
        random: source of chance.
        strength: of changes of light.
    """

    def __init__(self, cache: Path, split: str, people: People, random: Random, strength: float) -> None:
        self._stored: Bytes = np.load(cache / "backgrounds" / f"{split}.npy", mmap_mode="r")
        self._things = Things(cache / "things.npy" if split == "training" else Path())
        self._people, self._random, self._strength = people, random, strength
        self._fresh = _FRESH if split == "training" else 0.0

    def draw(self, width: int, height: int, time: int, *, furnished: bool = False) -> list[Bytes]:
        """A background, still or moving, sometimes of two halves, sometimes with things all over it."""
        random = self._random
        places = [self.drift(width, height, time)]
        if random.random() < 0.2:
            places.append(self.drift(width, height, time))
            small = (random.random((4, 6)) > 0.5).astype(np.uint8) * 255
            how = cv2.INTER_CUBIC if random.random() < 0.5 else cv2.INTER_NEAREST
            mask = cv2.resize(small, (width, height), interpolation=how)[..., None] > 127
            places = [[np.where(mask, a, b) for a, b in zip(*places, strict=True)]]
        if furnished and len(self._things):
            for _ in range(int(random.integers(2, 14))):
                places[0] = self._put(places[0], 0.6)
        light = Light(random, self._strength * 0.9)
        blur = random.uniform(0.5, 5) if random.random() < 0.3 else 0.0
        done = [light(each) for each in places[0]]
        return [cv2.GaussianBlur(each, (0, 0), blur) if blur else each for each in done]

    def drift(self, width: int, height: int, time: int) -> list[Bytes]:
        """A window that wanders over a picture."""
        random = self._random
        if random.random() < self._fresh:
            picture = paint(random, WIDTH, HEIGHT)
        else:
            picture = self._stored[int(random.integers(len(self._stored)))]
        if self._fresh and random.random() < 0.2:
            picture = np.ascontiguousarray(picture[..., random.permutation(3)])
        full_height, full_width = picture.shape[:2]
        moving = random.random() < 0.4
        side = random.uniform(0.45, 1.0)
        ends = []
        for _ in range(2 if moving else 1):
            w = min(full_width, full_height * width / height) * side
            x, y = random.uniform(0, full_width - w), random.uniform(0, max(0.0, full_height - w * height / width))
            ends.append(np.array([x, y, w]))
            side = min(1.0, side * random.uniform(0.9, 1.1))
        if moving:  # a few per cent of the picture a frame
            span = ends[1] - ends[0]
            ends[1] = ends[0] + span * min(1.0, random.uniform(0, 0.05) * time * width / (np.abs(span).max() + 1))
        flip = random.random() < 0.5
        frames: list[Bytes] = []
        for number in range(time):
            if number and not moving:
                frames.append(frames[0])
                continue
            x, y, w = ends[0] + (ends[-1] - ends[0]) * (number / max(1, time - 1))
            scale = w / width
            matrix = np.array([[-scale if flip else scale, 0, x + (w if flip else 0)], [0, scale, y]])
            how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            frames.append(cv2.warpAffine(picture, matrix, (width, height), flags=how, borderMode=cv2.BORDER_REFLECT))
        return frames

    def decoyed(self, place: list[Bytes]) -> list[Bytes]:
        """Things that stand out of the place, as large as a person, some in a person's outline: they are none."""
        random = self._random
        height, width = place[0].shape[:2]
        for _ in range(int(random.integers(1, 4))):
            if len(self._things) and random.random() < 0.4:
                place = self._put(place, 1.2)
                continue
            mask = np.zeros((height, width), np.uint8)
            kind = random.random()
            if kind < 0.2:
                place = self._portrayed(place, statue=kind < 0.07)
                continue
            if kind < 0.4:
                place = self._built(place)
                continue
            if kind < 0.52:
                mask = self._people.cut_out(random, width, height, 1).alpha[0]
            else:
                across, down = random.uniform(0.12, 0.7) * width, random.uniform(0.2, 1.0) * height
                x, y = random.uniform(0, width), random.uniform(0.3, 1.1) * height
                shape = outline(random, x, y, across, down)
                if kind < 0.7:  # a roof, a mountain, a lamp's shade
                    top = random.uniform(0, 0.6) * across
                    corners = [(x - across / 2, y + down), (x - top / 2, y - down / 2)]
                    corners += [(x + top / 2, y - down / 2), (x + across / 2, y + down)]
                    shape = np.array(corners).astype(np.int32)
                cv2.fillPoly(mask, [shape], 255, cv2.LINE_AA)
            light = Light(random, 1.5)
            fill = light(self.drift(width, height, 1)[0])
            if random.random() < 0.3:
                fill = np.full_like(fill, random.integers(0, 256, 3))
            if random.random() < 0.6:
                fill = shaded(random, height, width)(fill)
            weight = cv2.cvtColor(mask, cv2.COLOR_GRAY2BGR)
            front = cv2.multiply(fill, weight, scale=1 / 255)
            place = [cv2.add(front, cv2.multiply(each, 255 - weight, scale=1 / 255)) for each in place]
        return place

    def _built(self, place: list[Bytes]) -> list[Bytes]:
        """A tower or a house's corner: one or two walls full of windows that run towards a point above."""
        random = self._random
        height, width = place[0].shape[:2]
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
                np.array([(0, 0), (96, 0), (96, 128), (0, 128)], np.float32), np.array(corners, np.float32)
            )
            fill = cv2.warpPerspective(shaded(random, 128, 96)(wall), matrix, (width, height))
            mask = cv2.warpPerspective(np.full((128, 96), 255, np.uint8), matrix, (width, height))
            weight = cv2.cvtColor(mask, cv2.COLOR_GRAY2BGR)
            place = [cv2.add(fill, cv2.multiply(each, 255 - weight, scale=1 / 255)) for each in place]
            if random.random() < 0.3:
                break
        return place

    def _portrayed(self, place: list[Bytes], *, statue: bool) -> list[Bytes]:
        """A statue, all of one material, or somebody's picture on the wall."""
        random = self._random
        height, width = place[0].shape[:2]
        layer = self._people.cut_out(random, width, height, 1, far=statue)
        if statue:
            grey = cv2.cvtColor(layer.colours[0], cv2.COLOR_BGR2GRAY)
            worn = cv2.addWeighted(grey, random.uniform(0.3, 0.7), np.full_like(grey, random.integers(40, 160)), 0.6, 0)
            tint = np.array(random.uniform(0.6, 1.0, 3) if random.random() < 0.5 else (0.95, 1.0, 1.0))
            fill, mask = (worn[..., None] * tint).astype(np.uint8), layer.alpha[0]
        else:
            room = self.drift(width, height, 1)[0]
            weight = cv2.cvtColor(layer.alpha[0], cv2.COLOR_GRAY2BGR)
            picture = cv2.add(
                cv2.multiply(layer.colours[0], weight, scale=1 / 255),
                cv2.multiply(Light(random, 1.0)(room), 255 - weight, scale=1 / 255),
            )
            across = round(width * random.uniform(0.1, 0.4))
            down = max(4, round(across * height / width * random.uniform(0.8, 1.6)))
            x, y = int(random.uniform(-0.3, 1) * width), int(random.uniform(-0.3, 0.7) * height)
            shift = np.array([[across / width, 0, x], [0, down / height, y]])
            fill = cv2.warpAffine(Light(random, 1.0)(picture), shift, (width, height), flags=cv2.INTER_AREA)
            mask = np.zeros((height, width), np.uint8)
            cv2.rectangle(mask, (x, y), (x + across - 1, y + down - 1), 255, -1)
            colour = [int(value) for value in random.integers(0, 256, 3)]
            cv2.rectangle(fill, (x, y), (x + across - 1, y + down - 1), colour, int(random.integers(1, 6)))
        weight = cv2.cvtColor(mask, cv2.COLOR_GRAY2BGR)
        front = cv2.multiply(fill, weight, scale=1 / 255)
        return [cv2.add(front, cv2.multiply(each, 255 - weight, scale=1 / 255)) for each in place]

    def _put(self, place: list[Bytes], largest: float) -> list[Bytes]:
        """A thing before all frames of a place."""
        height, width = place[0].shape[:2]
        front, alpha = self._things.draw(self._random, width, height, largest)
        free = cv2.cvtColor(255 - alpha, cv2.COLOR_GRAY2BGR)
        made: list[Bytes] = []
        for number, each in enumerate(place):
            if number and each is place[number - 1]:
                made.append(made[-1])
            else:
                made.append(np.asarray(cv2.add(front, cv2.multiply(each, free, scale=1 / 255))))
        return made
