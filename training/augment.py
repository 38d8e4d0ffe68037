"""Changes to pictures, on uint8, quick enough for tens of frames a second on one core."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes

__all__ = ["Camera", "Light", "attached", "outline", "shaded"]

Random = np.random.Generator

_NOISE: list[NDArray[np.int16]] = []


def _noise(random: Random, height: int, width: int) -> NDArray[np.int16]:
    """Normal noise of deviation 64, cut from a sheet that is made once."""
    if not _NOISE:
        sheet = np.random.default_rng(5).normal(0, 64, (720, 1024, 3)).astype(np.int16)
        _NOISE.extend([sheet, cv2.GaussianBlur(sheet, (0, 0), 0.8) * 2])
    sheet = _NOISE[int(random.integers(2))]
    y, x = int(random.integers(0, 720 - height)), int(random.integers(0, 1024 - width))
    return sheet[y : y + height, x : x + width]


class Light:
    """A change of colours, the same for every frame of a sequence: mixing, gain, gamma, offset.

    Args:
        random: source of chance.
        strength: 1 for a strong change.
    """

    def __init__(self, random: Random, strength: float = 1.0) -> None:
        grey = np.full((3, 3), 1 / 3)
        saturation = 1 + strength * random.uniform(-0.7, 0.5)
        if random.random() < 0.06 * strength:
            saturation = 0.0
        mix = saturation * np.eye(3) + (1 - saturation) * grey
        mix += strength * random.normal(0, 0.04, (3, 3))
        gain = 2 ** (strength * random.uniform(-0.6, 0.5)) * (1 + strength * random.uniform(-0.15, 0.15, 3))
        self._mix = (mix * gain[:, None]).astype(np.float32)
        gamma = 2 ** (strength * random.uniform(-0.7, 0.7))
        contrast, offset = 1 + strength * random.uniform(-0.3, 0.2), strength * random.uniform(-25, 25)
        curve = 255 * (np.arange(256) / 255) ** gamma
        self._curve = np.clip((curve - 128) * contrast + 128 + offset, 0, 255).astype(np.uint8)

    def __call__(self, picture: Bytes) -> Bytes:
        return np.asarray(cv2.LUT(cv2.transform(picture, self._mix), self._curve))


def shaded(random: Random, height: int, width: int) -> Callable[[Bytes], Bytes]:
    """Light from one side: brighter here, darker there."""
    small = (255 * random.uniform(0.35, 1.0, (2, 3))).astype(np.uint8)
    field = cv2.cvtColor(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2BGR)
    lift = random.uniform(1.0, 1.5) / 255
    return lambda picture: np.asarray(cv2.multiply(picture, field, scale=lift))


class Camera:
    """What a camera and its stream do to a picture: exposure, white balance, blur, noise, JPEG."""

    def __init__(self, random: Random, strength: float = 1.0) -> None:
        self._random = random
        self._light = Light(random, 0.5 * strength) if random.random() < 0.8 else None
        self._blur = random.uniform(0.3, 1.2) if random.random() < 0.3 else 0.0
        self._motion = int(random.integers(3, 8)) if random.random() < 0.04 else 0
        self._noise = random.uniform(0, 1) ** 2 * 14 * strength if random.random() < 0.6 else 0.0
        self._quality = int(random.integers(25, 95)) if random.random() < 0.3 else 0
        self._coarse = random.uniform(0.4, 0.9) if random.random() < 0.12 else 0.0

    def __call__(self, picture: Bytes) -> Bytes:
        height, width = picture.shape[:2]
        if self._light is not None:
            picture = self._light(picture)
        if self._blur:
            picture = cv2.GaussianBlur(picture, (0, 0), self._blur)
        if self._motion:
            picture = cv2.blur(picture, (self._motion, 1))
        if self._coarse:
            small = cv2.resize(picture, None, fx=self._coarse, fy=self._coarse, interpolation=cv2.INTER_LINEAR)
            picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
        if self._noise:
            noise = _noise(self._random, height, width)
            picture = cv2.addWeighted(picture, 1.0, noise, self._noise / 64, 0.0, dtype=cv2.CV_8U)
        if self._quality:
            data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, self._quality])[1]
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
        return np.asarray(picture)


def outline(random: Random, x: float, y: float, across: float, down: float) -> NDArray[np.int32]:
    """Corners of a box, a disc or a ragged thing around a point."""
    kind = random.integers(3)
    if kind == 0:
        box = ((float(x), float(y)), (float(across), float(down)), float(random.uniform(-30, 30)))
        return np.asarray(cv2.boxPoints(box)).astype(np.int32)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    reach = np.ones(24) if kind == 1 else random.uniform(0.5, 1.0, 24)
    points = [x + reach * across / 2 * np.cos(angles), y + reach * down / 2 * np.sin(angles)]
    return np.stack(points, -1).astype(np.int32)


def attached(random: Random, alpha: Bytes) -> list[NDArray[np.int32]]:
    """Outlines of something worn or held: headphones about the head, or a thing at the person's edge."""
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
