"""Paints imaginary places: rooms, shelves, screens, windows, foliage, text, patterns, noise; uint8 (h, w, 3) BGR."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes

__all__ = ["PAINTERS", "paint", "shelves"]

Random = np.random.Generator
Colour = tuple[int, int, int]


def _colour(random: Random, low: int = 0, high: int = 256, strength: float = 1.0) -> Colour:
    """A random colour; ``strength`` 0 is grey."""
    grey = random.uniform(low, high)
    values = grey + strength * random.uniform(-90, 90, 3)
    return tuple(int(v) for v in np.clip(values, low, high - 1))  # type: ignore[return-value]


def _noise(random: Random, width: int, height: int, cells: float) -> NDArray[np.float32]:
    """Smooth noise in 0-1, with about ``cells`` bumps per side."""
    grid = (max(2, int(cells * height / width) + 1), max(2, int(cells) + 1))
    small = random.random(grid, np.float32)
    return np.asarray(np.clip(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1))


def _gradient(random: Random, width: int, height: int) -> Bytes:
    """A gradient of two to four colours, in any direction or around a point."""
    angle = random.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    if random.random() < 0.6:
        t = (x / width - 0.5) * np.cos(angle) + (y / height - 0.5) * np.sin(angle) + 0.5
    else:
        t = np.hypot(x / width - random.random(), y / height - random.random())
    count = int(random.integers(2, 5))
    strength = random.uniform(0, 1)
    colours = np.array([_colour(random, strength=strength) for _ in range(count)], np.float32)
    t = np.clip(t, 0, 1) * (count - 1)
    channels = [np.interp(t, np.arange(count), colours[:, c]) for c in range(3)]
    return np.stack(channels, -1).astype(np.uint8)


def _wall(random: Random, width: int, height: int) -> Bytes:
    """A plain wall under uneven light."""
    base = np.full((height, width, 3), _colour(random, 40, 250, random.uniform(0, 0.6)), np.float32)
    light = 0.6 + 0.6 * _noise(random, width, height, random.uniform(1, 3))[..., None]
    grain = random.normal(0, random.uniform(0, 6), (height, width, 1))
    return np.clip(base * light + grain, 0, 255).astype(np.uint8)


def _clouds(random: Random, width: int, height: int) -> Bytes:
    """Coloured noise of several octaves."""
    total = np.zeros((height, width, 3), np.float32)
    cells, weight = random.uniform(2, 8), 1.0
    for _ in range(5):
        layer = np.dstack([_noise(random, width, height, cells) for _ in range(3)])
        if random.random() < 0.6:
            layer = np.asarray(layer[..., :1] * np.array(_colour(random, 40), np.float32) / 200, np.float32)
        total += layer * np.float32(weight)
        cells, weight = cells * 2, weight * random.uniform(0.4, 0.9)
    total -= total.min()
    return np.asarray(total / total.max() * random.uniform(120, 255), np.uint8)


def _polygon(random: Random, x: float, y: float, radius: float, corners: int) -> NDArray[np.int32]:
    angles = np.sort(random.uniform(0, 2 * np.pi, corners))
    reach = radius * random.uniform(0.5, 1.2, corners)
    return np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], -1).astype(np.int32)


def _leaves(random: Random, width: int, height: int) -> Bytes:
    """Shapes that overlap each other, with sizes as in nature (the dead leaves model)."""
    picture = _gradient(random, width, height)
    strength, few = random.uniform(0.1, 1), random.random() < 0.5
    palette = [_colour(random, strength=strength) for _ in range(6)]
    for radius in np.sort(np.clip(random.pareto(1.5, int(random.integers(60, 500))) * 8 + 4, 4, 140))[::-1]:
        x, y = random.uniform(0, width), random.uniform(0, height)
        colour = palette[int(random.integers(6))] if few else _colour(random, strength=strength)
        kind = random.integers(3)
        if kind == 0:
            cv2.circle(picture, (int(x), int(y)), int(radius), colour, -1, cv2.LINE_AA)
        elif kind == 1:
            axes = (int(radius), int(radius * random.uniform(0.2, 0.9)) + 1)
            cv2.ellipse(picture, (int(x), int(y)), axes, random.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
        else:
            cv2.fillPoly(picture, [_polygon(random, x, y, radius, int(random.integers(3, 8)))], colour, cv2.LINE_AA)
    return picture


def _foliage(random: Random, width: int, height: int) -> Bytes:
    """Thousands of leaves of one plant, darker towards the back."""
    picture = np.full((height, width, 3), _colour(random, 0, 80, 0.3), np.uint8)
    hue = random.integers(20, 90) if random.random() < 0.8 else random.integers(0, 180)
    for number in range(int(random.integers(300, 1400))):
        depth = number / 1400
        hsv = np.array(
            [[[(hue + random.integers(-12, 12)) % 180, random.integers(60, 220), 40 + 180 * depth]]], np.uint8
        )
        colour = tuple(int(c) for c in cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0])
        centre = (int(random.integers(width)), int(random.integers(height)))
        long = int(random.uniform(4, 26))
        axes = (long, max(1, int(long * random.uniform(0.15, 0.5))))
        cv2.ellipse(picture, centre, axes, random.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
    return picture


def _bokeh(random: Random, width: int, height: int) -> Bytes:
    """Discs of light, out of focus."""
    picture = (_gradient(random, width, height) * random.uniform(0.1, 0.6)).astype(np.uint8)
    for _ in range(int(random.integers(20, 120))):
        disc = np.zeros_like(picture)
        centre = (int(random.integers(width)), int(random.integers(height)))
        cv2.circle(disc, centre, int(random.uniform(4, 30)), _colour(random, 40, 200), -1, cv2.LINE_AA)
        picture = cv2.add(picture, disc)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), random.uniform(0.5, 3)))


def _stripes(random: Random, width: int, height: int) -> Bytes:
    """Curtains, blinds, planks, tiles, bricks."""
    picture = _wall(random, width, height)
    a, b = _colour(random, strength=0.5), _colour(random, strength=0.5)
    step, phase = random.uniform(4, 50), random.uniform(0, 50)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = random.choice([0.0, np.pi / 2, random.uniform(0, np.pi)])
    along = x * np.cos(angle) + y * np.sin(angle)
    wave = 0.5 + 0.5 * np.sin((along + phase) * 2 * np.pi / step)
    if random.random() < 0.5:
        wave = (wave > random.uniform(0.1, 0.9)).astype(np.float32)
    if random.random() < 0.4:  # also in the other direction: tiles
        across = 0.5 + 0.5 * np.sin((y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / (step * random.uniform(1, 3)))
        wave = np.maximum(wave, (across > 0.85).astype(np.float32))
    mix = wave[..., None] * np.array(a, np.float32) + (1 - wave[..., None]) * np.array(b, np.float32)
    return np.asarray(cv2.addWeighted(picture, 0.4, mix.astype(np.uint8), 0.6, 0))


def shelves(random: Random, width: int, height: int) -> Bytes:
    """Shelves with books, boxes and small things."""
    picture = np.full((height, width, 3), _colour(random, 10, 200, 0.4), np.uint8)
    board, strength = _colour(random, 20, 240, 0.3), random.uniform(0.1, 1)
    y = -random.uniform(0, 40)
    while y < height:
        tall = random.uniform(30, 90)
        x = -random.uniform(0, 20)
        while x < width:
            thick = random.uniform(3, 16)
            if random.random() < 0.82:
                up = tall * random.uniform(0.55, 0.95)
                colour = _colour(random, strength=strength)
                top, bottom = (int(x), int(y + tall - up)), (int(x + thick), int(y + tall))
                cv2.rectangle(picture, top, bottom, colour, -1)
                cv2.line(picture, (bottom[0], top[1]), bottom, tuple(c // 2 for c in colour), 1)
                if random.random() < 0.5:
                    middle = int(y + tall - up * 0.6)
                    cv2.line(picture, (top[0] + 1, middle), (bottom[0] - 1, middle), _colour(random), 2)
            elif random.random() < 0.5:
                radius = int(random.uniform(5, 14))
                cv2.circle(picture, (int(x + radius), int(y + tall - radius)), radius, _colour(random), -1, cv2.LINE_AA)
                thick = radius * 2
            x += thick + (random.uniform(4, 30) if random.random() < 0.08 else 0)
        cv2.rectangle(picture, (0, int(y + tall)), (width, int(y + tall + random.uniform(2, 7))), board, -1)
        y += tall + 6
    return picture


def _write(random: Random, picture: Bytes, lines: int, x: float, y: float, scale: float, colour: Colour) -> None:
    for number in range(lines):
        letters = "".join(chr(int(c)) for c in random.integers(33, 126, int(random.integers(4, 30))))
        where = (int(x), int(y + number * 28 * scale))
        cv2.putText(picture, letters, where, int(random.integers(0, 8)), scale, colour, 1, cv2.LINE_AA)


def _text(random: Random, width: int, height: int) -> Bytes:
    """A page, a poster, a wall of writing."""
    picture = _gradient(random, width, height) if random.random() < 0.4 else _wall(random, width, height)
    for _ in range(int(random.integers(3, 14))):
        scale = random.uniform(0.25, 2.5)
        x, y = random.uniform(-20, width * 0.7), random.uniform(0, height)
        _write(random, picture, int(random.integers(1, 8)), x, y, scale, _colour(random))
    return picture


def _screens(random: Random, width: int, height: int) -> Bytes:
    """Monitors and windows of a desktop."""
    picture = _wall(random, width, height)
    for _ in range(int(random.integers(1, 5))):
        w, h = int(random.uniform(60, width * 0.7)), int(random.uniform(40, height * 0.7))
        x, y = int(random.uniform(-20, width - 40)), int(random.uniform(-20, height - 40))
        cv2.rectangle(picture, (x - 4, y - 4), (x + w + 4, y + h + 4), _colour(random, 0, 90, 0.1), -1)
        inner = _PLAIN[int(random.integers(len(_PLAIN)))](random, w, h)
        _write(random, inner, int(random.integers(0, 10)), 6, 14, random.uniform(0.25, 0.6), _colour(random))
        _paste(picture, inner, x, y)
    return picture


def _paste(picture: Bytes, part: Bytes, x: int, y: int) -> None:
    height, width = picture.shape[:2]
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + part.shape[1], width), min(y + part.shape[0], height)
    if right > left and bottom > top:
        picture[top:bottom, left:right] = part[top - y : bottom - y, left - x : right - x]


def _room(random: Random, width: int, height: int) -> Bytes:
    """Wall, floor, window or door, pictures, furniture, a lamp, a plant."""
    picture = _wall(random, width, height)
    floor = int(height * random.uniform(0.6, 1.05))
    _paste(picture, _stripes(random, width, max(1, height - floor)), 0, floor)
    for _ in range(int(random.integers(1, 9))):
        kind = random.integers(6)
        w, h = int(random.uniform(24, width * 0.4)), int(random.uniform(24, height * 0.6))
        x, y = int(random.uniform(-20, width)), int(random.uniform(-10, height * 0.7))
        if kind <= 1:  # a picture or a window, framed
            frame = int(random.uniform(1, 8))
            cv2.rectangle(picture, (x - frame, y - frame), (x + w + frame, y + h + frame), _colour(random), -1)
            painter = _PLAIN[int(random.integers(len(_PLAIN)))]
            _paste(picture, painter(random, w, h), x, y)
            if random.random() < 0.5:
                cv2.line(picture, (x + w // 2, y), (x + w // 2, y + h), _colour(random), frame)
                cv2.line(picture, (x, y + h // 2), (x + w, y + h // 2), _colour(random), frame)
        elif kind == 2:  # furniture
            y = max(y, floor - h)
            colour = _colour(random, 10, 230, 0.5)
            cv2.rectangle(picture, (x, y), (x + w, y + h), colour, -1)
            for _ in range(int(random.integers(0, 5))):
                line = int(random.uniform(y, y + h))
                cv2.line(picture, (x, line), (x + w, line), tuple(c * 2 // 3 for c in colour), 1)
        elif kind == 3:  # a lamp, a ball, the back of a chair: not every round thing is a head
            axes = (int(random.uniform(8, 50)), int(random.uniform(8, 60)))
            cv2.ellipse(picture, (x, y), axes, 0, 0, 360, _colour(random), -1, cv2.LINE_AA)
            cv2.line(picture, (x, y + axes[1]), (x, height), _colour(random, 0, 200, 0.3), int(random.integers(1, 8)))
        elif kind == 4:  # a plant
            plant = _foliage(random, w, h)
            mask = np.zeros((h, w), np.uint8)
            cv2.fillPoly(mask, [_polygon(random, w / 2, h / 2, min(w, h) / 2, 14)], 255)
            mask[random.random((h, w)) < 0.1] = 0
            whole = picture.copy()
            _paste(whole, plant, x, y)
            wide = np.zeros((height, width, 1), np.uint8)
            _paste(wide, mask[..., None], x, y)
            picture = np.where(wide > 127, whole, picture)
        else:
            _paste(picture, shelves(random, w, h), x, y)
    return picture


_PLAIN: tuple[Callable[[Random, int, int], Bytes], ...] = (_gradient, _wall, _clouds, _stripes, _leaves, _text)
PAINTERS: dict[str, Callable[[Random, int, int], Bytes]] = {
    "gradient": _gradient,
    "wall": _wall,
    "clouds": _clouds,
    "leaves": _leaves,
    "foliage": _foliage,
    "bokeh": _bokeh,
    "stripes": _stripes,
    "shelves": shelves,
    "text": _text,
    "screens": _screens,
    "room": _room,
}
_WEIGHTS = {"room": 5.0, "shelves": 2.0, "screens": 2.0, "leaves": 2.0, "foliage": 1.5, "clouds": 1.5}


def paint(random: Random, width: int, height: int) -> Bytes:
    """Paint one of these places, now and then out of focus."""
    weights = np.array([_WEIGHTS.get(name, 1.0) for name in PAINTERS])
    name = random.choice(list(PAINTERS), p=weights / weights.sum())
    picture = PAINTERS[name](random, width, height)
    if random.random() < 0.4:
        picture = cv2.GaussianBlur(picture, (0, 0), random.uniform(0.5, 6))
    return picture
