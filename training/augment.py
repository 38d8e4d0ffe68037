"""Changes to pictures, and the shapes of occluders: their random parameters, and OpenCV code that applies them.

OpenCV changes single pictures here; ``training/tensors.py`` does the same to whole sequences.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes

__all__ = ["Light", "Shade", "attached", "outline"]

Random = np.random.Generator


class Light(NamedTuple):
    """A change of colours, the same for every frame of a sequence.

    Args:
        mix: float32 (3, 3): each new channel as a weighted sum of the old ones.
        curve: what each level is mapped to after that: uint8 (256,), or (256, 3) if the channels differ.
    """

    mix: NDArray[np.float32]
    curve: Bytes

    @staticmethod
    def drawn(random: Random, strength: float = 1.0) -> Light:
        """Random mixing, gain, gamma and offset; ``strength`` 1 is a strong change."""
        grey = np.full((3, 3), 1 / 3)
        saturation = 1 + strength * random.uniform(-0.7, 0.5)
        if random.random() < 0.06 * strength:
            saturation = 0.0
        mix = saturation * np.eye(3) + (1 - saturation) * grey
        mix += strength * random.normal(0, 0.04, (3, 3))
        gain = 2 ** (strength * random.uniform(-0.6, 0.5)) * (1 + strength * random.uniform(-0.15, 0.15, 3))
        gamma = 2 ** (strength * random.uniform(-0.7, 0.7))
        contrast, offset = 1 + strength * random.uniform(-0.3, 0.2), strength * random.uniform(-25, 25)
        curve = (255 * (np.arange(256) / 255) ** gamma - 128) * contrast + 128 + offset
        return Light((mix * gain[:, None]).astype(np.float32), np.clip(curve, 0, 255).astype(np.uint8))

    def __call__(self, picture: Bytes) -> Bytes:
        curve = self.curve if self.curve.ndim == 1 else self.curve[None]
        return np.asarray(cv2.LUT(cv2.transform(picture, self.mix), curve))


class Shade(NamedTuple):
    """Light from one side: brighter on one side of the picture, darker on the other.

    Args:
        field: brightness on a coarse grid: uint8 (2, 3).
        lift: factor for the whole picture.
    """

    field: Bytes
    lift: float

    @staticmethod
    def drawn(random: Random) -> Shade:
        """Random light from one side."""
        field = (255 * random.uniform(0.35, 1.0, (2, 3))).astype(np.uint8)
        return Shade(field, float(random.uniform(1.0, 1.5)))

    def __call__(self, picture: Bytes) -> Bytes:
        height, width = picture.shape[:2]
        field = cv2.cvtColor(cv2.resize(self.field, (width, height), interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2BGR)
        return np.asarray(cv2.multiply(picture, field, scale=self.lift / 255))


def outline(random: Random, x: float, y: float, across: float, down: float) -> NDArray[np.int32]:
    """Corners of a box, a disc or a ragged shape around a point."""
    kind = random.integers(3)
    if kind == 0:
        box = ((float(x), float(y)), (float(across), float(down)), float(random.uniform(-30, 30)))
        return np.asarray(cv2.boxPoints(box)).astype(np.int32)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    reach = np.ones(24) if kind == 1 else random.uniform(0.5, 1.0, 24)
    points = [x + reach * across / 2 * np.cos(angles), y + reach * down / 2 * np.sin(angles)]
    return np.stack(points, -1).astype(np.int32)


def attached(random: Random, alpha: Bytes) -> list[NDArray[np.int32]]:
    """Outlines of something worn or held: headphones around the head, or a thing at the person's edge."""
    ys, xs = np.nonzero(alpha > 128)
    if len(ys) < 50:
        return []
    if random.random() < 0.4:
        top = int(ys.min())
        width = np.array([np.count_nonzero(row > 128) for row in alpha[top : top + max(8, alpha.shape[0] // 2)]])
        line = top + min(len(width) - 1, max(4, int(0.35 * np.argmax(width > 0.9 * width.max()))))
        across = np.nonzero(alpha[line] > 128)[0]
        if len(across) > 4:
            left, right = float(across.min()), float(across.max())
            size = (right - left) * random.uniform(0.15, 0.35)
            tall = size * random.uniform(1.2, 2.2)
            ears = [outline(random, x, line, size, tall) for x in (left, right)]
            arc = cv2.ellipse2Poly(
                (int((left + right) / 2), line),
                (int((right - left) / 2 + size / 4), max(1, int((line - top) * random.uniform(1.0, 1.15)))),
                0,
                180,
                360,
                10,
            )
            inner = arc + np.array([0, max(2, int(size / 3))])
            return [*ears, np.concatenate([arc, inner[::-1]]).astype(np.int32)]
    where = int(random.integers(len(ys)))
    short = min(alpha.shape)
    across, down = random.uniform(0.05, 0.3, 2) * short
    return [outline(random, float(xs[where]), float(ys[where]), float(across), float(down))]
