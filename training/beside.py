"""Paints things that stand close to a person and touch the outline, but are not part of the person: plants, lamps,
discs of light, books, pictures on the wall, backs of chairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes
from training.augment import Light, Shade
from training.painting import paint, shelves
from training.scene import Beside

__all__ = ["KINDS", "beside", "put"]

Random = np.random.Generator
Point = tuple[float, float]

_UPPER = 0.65
"""Share of what stands beside the upper 0.45 of the person: their head, mostly."""
_FINE = 16
"""Sixteenths of a pixel, by which corners are given to OpenCV (``shift=4``)."""


def _bright(random: Random) -> NDArray[np.float64]:
    """Colour of a light, BGR in 0-1: warm, or any."""
    warm = np.array([random.uniform(0.2, 0.8), random.uniform(0.55, 0.95), 1.0])
    return warm if random.random() < 0.6 else np.asarray(random.uniform(0.3, 1.0, 3))


def _polygon(like: Bytes, corners: list[Point]) -> Bytes:
    """A mask of ``like``'s size, 255 within the polygon."""
    mask = np.zeros_like(like)
    cv2.fillPoly(mask, [np.round(np.array(corners) * _FINE).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask


class _Layer(NamedTuple):
    """What is painted: colours uint8 (h, w, 3) BGR; opacity uint8 (h, w); light that is added to what is behind, uint8
    (h, w, 3); and one colour of the person, (3,)."""

    colours: Bytes
    mask: Bytes
    glow: Bytes
    own: Bytes

    def fill(self, part: Bytes, colour: NDArray[np.float64]) -> None:
        """Paint ``part`` (h, w) in one colour."""
        self.colours[part > 0] = np.clip(colour, 0, 255).astype(np.uint8)
        np.maximum(self.mask, part, out=self.mask)

    def paste(self, picture: Bytes, left: int, top: int) -> None:
        """Paste a picture, as far as it fits."""
        height, width = self.mask.shape
        x, y = max(left, 0), max(top, 0)
        right, bottom = min(left + picture.shape[1], width), min(top + picture.shape[0], height)
        if right > x and bottom > y:
            self.colours[y:bottom, x:right] = picture[y - top : bottom - top, x - left : right - left]
            self.mask[y:bottom, x:right] = 255


def _plant(random: Random, layer: _Layer, at: Point, size: float) -> None:
    """Blades that fan out from one root, perhaps in a pot."""
    root = at[0], at[1] + size / 2
    spread, wide = random.uniform(0.5, 1.5), random.uniform(0.02, 0.12)
    leaf = np.array([random.uniform(10, 110), random.uniform(70, 210), random.uniform(10, 120)])
    if random.random() < 0.15:
        leaf = random.uniform(20, 230, 3)
    for angle in np.linspace(-spread, spread, int(random.integers(5, 26))) + random.normal(0, 0.06):
        long = size * random.uniform(0.7, 1.1) * (0.55 + 0.45 * np.cos(angle))
        middle = root[0] + np.sin(angle) * long / 2, root[1] - np.cos(angle) * long / 2
        blade = np.zeros_like(layer.mask)
        axes = (float(max(1.0, size * wide)), float(long))
        cv2.ellipse(blade, (middle, axes, float(np.degrees(angle))), 255, -1, cv2.LINE_AA)
        layer.fill(blade, leaf * random.uniform(0.6, 1.25))
    if random.random() < 0.6:
        half, deep = size * random.uniform(0.1, 0.3), size * random.uniform(0.2, 0.6)
        foot = half * random.uniform(0.6, 1.0)
        corners = [(root[0] - half, root[1]), (root[0] + half, root[1])]
        corners += [(root[0] + foot, root[1] + deep), (root[0] - foot, root[1] + deep)]
        layer.fill(_polygon(layer.mask, corners), random.uniform(20, 230, 3))


def _lamp(random: Random, layer: _Layer, at: Point, size: float) -> None:
    """A shade, a bulb or a ball on a stem, and its glow on the wall."""
    height, width = layer.mask.shape
    colour = _bright(random)
    if random.random() < 0.8:
        y, x = np.ogrid[0:height, 0:width]
        reach = size * random.uniform(0.7, 3.0)
        glow = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / reach**2)
        layer.glow[:] = (glow[..., None] * colour * random.uniform(20, 160)).astype(np.uint8)
    half = size * random.uniform(0.2, 0.5)
    if random.random() < 0.7:
        across = max(1.0, size * random.uniform(0.01, 0.08))
        down = height if random.random() < 0.7 else 0
        corners = [(at[0] - across, at[1]), (at[0] + across, at[1]), (at[0] + across, down), (at[0] - across, down)]
        layer.fill(_polygon(layer.mask, corners), random.uniform(0, 220, 3))
    if random.random() < 0.5:
        shade = np.zeros_like(layer.mask)
        cv2.ellipse(shade, (at, (2 * half, 2 * half * random.uniform(0.6, 1.5)), 0.0), 255, -1, cv2.LINE_AA)
    else:
        top, tall = half * random.uniform(0.3, 1.0), half * random.uniform(0.6, 1.6)
        corners = [(at[0] - top, at[1] - tall), (at[0] + top, at[1] - tall)]
        corners += [(at[0] + half, at[1] + tall), (at[0] - half, at[1] + tall)]
        shade = _polygon(layer.mask, corners)
    layer.fill(shade, colour * random.uniform(120, 290))


def _discs(random: Random, layer: _Layer, at: Point, size: float) -> None:
    """Lights out of focus: translucent discs, brighter at the rim."""
    height, width = layer.mask.shape
    y, x = np.ogrid[0:height, 0:width]
    for _ in range(int(random.integers(1, 5))):
        reach = size * random.uniform(0.15, 0.5)
        centre = np.array(at) + random.normal(0, 0.4, 2) * size
        radius = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / reach
        rim = random.uniform(0.0, 0.5)
        disc = np.clip((1 - radius) / random.uniform(0.1, 0.5), 0, 1) * (1 - rim + rim * np.clip(radius, 0, 1))
        cv2.add(layer.glow, (disc[..., None] * _bright(random) * random.uniform(15, 130)).astype(np.uint8), layer.glow)


def _sides(random: Random, at: Point, size: float) -> tuple[int, int, int, int]:
    """Left, top, width, height of a box."""
    across, down = (max(6, int(size * random.uniform(0.5, 1.6))) for _ in range(2))
    return int(at[0] - across / 2), int(at[1] - down / 2), across, down


def _frame(random: Random, layer: _Layer, at: Point, size: float) -> None:
    """A framed picture, a window or a screen."""
    left, top, across, down = _sides(random, at, size)
    picture = np.ascontiguousarray(paint(random, max(across, 128), max(down, 96))[:down, :across])
    edge = [int(value) for value in random.integers(0, 256, 3)]
    cv2.rectangle(picture, (0, 0), (across - 1, down - 1), edge, int(random.integers(1, 7)))
    layer.paste(picture, left, top)


def _shelf(random: Random, layer: _Layer, at: Point, size: float) -> None:
    """Books on boards."""
    left, top, across, down = _sides(random, at, 1.4 * size)
    layer.paste(shelves(random, max(across, 48), max(down, 48))[:down, :across], left, top)


def _round(random: Random, layer: _Layer, at: Point, size: float) -> None:
    """A ball, a vase, a cushion or a chair's back in one colour, now and then that of the person's hair or clothes."""
    colour = layer.own.astype(np.float64) if random.random() < 0.4 else random.uniform(0, 256, 3)
    axes = float(size * random.uniform(0.3, 1.0)), float(size * random.uniform(0.3, 1.0))
    box = (at, axes, float(random.uniform(-20, 20)))
    part = np.zeros_like(layer.mask)
    if random.random() < 0.6:
        cv2.ellipse(part, box, 255, -1, cv2.LINE_AA)
    else:
        part = _polygon(layer.mask, [(float(x), float(y)) for x, y in cv2.boxPoints(box)])
    layer.fill(part, colour)
    if random.random() < 0.6:
        layer.colours[:] = Shade.drawn(random)(layer.colours)


KINDS: dict[str, tuple[Callable[[Random, _Layer, Point, float], None], float]]
KINDS = {"plant": (_plant, 0.22), "lamp": (_lamp, 0.2), "discs": (_discs, 0.24)}
KINDS |= {"frame": (_frame, 0.14), "shelf": (_shelf, 0.1), "round": (_round, 0.1)}
"""What there is, and how often."""


def _touching(random: Random, alpha: Bytes) -> tuple[int, int] | None:
    """A point (x, y) on the person's outline, more often on the upper part; None where there is no outline."""
    solid = (alpha > 128).astype(np.uint8)
    ys, xs = np.nonzero(cv2.dilate(solid, np.ones((3, 3), np.uint8)) != solid)
    if not len(ys):
        return None
    if random.random() < _UPPER:
        upper = ys <= ys.min() + 0.45 * (ys.max() - ys.min())
        ys, xs = ys[upper], xs[upper]
    number = int(random.integers(len(ys)))
    return int(xs[number]), int(ys[number])


def put(random: Random, size: tuple[int, int], at: Point, own: Bytes, kind: str | None = None) -> Beside:
    """Paint one of these things around a point.

    Args:
        random: random generator.
        size: of the frame, height and width.
        at: x and y of roughly the thing's middle, pixels.
        own: a colour of the person that some things take, uint8 (3,) BGR.
        kind: one of :data:`KINDS`; None: any.
    """
    height, width = size
    if kind is None:
        odds = np.array([share for _, share in KINDS.values()])
        kind = str(random.choice(list(KINDS), p=odds / odds.sum()))
    long = min(height, width) * random.uniform(0.15, 0.9)
    x, y = (float(each) for each in np.array(at) + random.normal(0, 0.3, 2) * long)
    hidden = np.zeros((height, width), np.uint8)
    layer = _Layer(np.zeros((height, width, 3), np.uint8), hidden, np.zeros((height, width, 3), np.uint8), own)
    KINDS[kind][0](random, layer, (x, y), long)
    front, glow = Light.drawn(random, 0.6)(layer.colours), layer.glow
    front = cv2.multiply(front, cv2.cvtColor(hidden, cv2.COLOR_GRAY2BGR), scale=1 / 255)
    if random.random() < 0.5:
        blur = random.uniform(0.4, min(height, width) / 80)
        front, hidden, glow = (np.asarray(cv2.GaussianBlur(each, (0, 0), blur)) for each in (front, hidden, glow))
    return Beside(np.asarray(front), hidden, glow)


def beside(random: Random, person: Bytes) -> Beside | None:
    """One of these things beside a person who is composited in front of it afterwards; None where nobody is visible.

    Args:
        random: random generator.
        person: the person's first frame, uint8 (h, w, 4) BGR and alpha.
    """
    point = _touching(random, person[..., 3])
    if point is None:
        return None
    return put(random, person.shape[:2], point, person[min(point[1] + 2, len(person) - 1), point[0], :3])
