"""What the shipped backgrounds are painted with: colour, gradients, noise, lights, skylines and leaves.

Colours are RGB from 0 to 1 in linear light.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

WIDTH, HEIGHT = 1920, 1080
STRIDE = 44  # pixels along a branch from leaf to leaf


def grid(width: int = WIDTH, height: int = HEIGHT) -> tuple[Array, Array]:
    """Coordinates of all pixels: x from 0 to the aspect ratio, y from 0 (top) to 1."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x / height, y / height


def rgb(code: str) -> Array:
    """An sRGB hex code as linear light."""
    value = np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)], np.float32) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


def mix(a: Array, b: Array, t: Array) -> Array:
    """From ``a`` to ``b``; ``t`` is a map over the picture, or already has a colour axis."""
    weight = t[..., None] if t.ndim == 2 else t
    return a + (b - a) * weight


def ramp(t: Array, stops: list[tuple[float, str]]) -> Array:
    """A colour gradient over ``t``, linear light, without a kink at the stops."""
    places = np.array([place for place, _ in stops])
    colours = np.stack([rgb(code) for _, code in stops])
    fine = np.linspace(places[0], places[-1], 1024)
    table = np.stack([np.interp(fine, places, colours[:, i]) for i in range(3)], axis=-1)
    table = (
        cv2.GaussianBlur(table, (1, 0), sigmaX=0.1, sigmaY=35, borderType=cv2.BORDER_REPLICATE)
        if len(stops) > 2
        else table
    )
    return np.stack([np.interp(t, fine, table[:, i]) for i in range(3)], axis=-1).astype(np.float32)


def step(low: float, high: float, t: Array) -> Array:
    """0 below ``low``, 1 above ``high``, smooth between (``low`` may be the larger one)."""
    s = np.clip((t - low) / (high - low), 0, 1)
    return s * s * (3 - 2 * s)


def soften(image: Array, sigma: float) -> Array:
    """Gaussian blur; ``sigma`` in pixels."""
    return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)


def noise(
    rng: np.random.Generator, cells: float, octaves: int, width: int = WIDTH, height: int = HEIGHT, stretch: float = 1
) -> Array:
    """Smooth fractal noise, mean 0, about -1 to 1; ``cells`` per picture height at the coarsest octave."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        rows = max(round(cells * 2**octave), 2)
        columns = max(round(rows * width / height / stretch), 2)
        coarse = rng.standard_normal((rows + 2, columns + 2)).astype(np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * 0.5**octave
    return total / 2


def srgb(linear: Array) -> Array:
    """Linear light to sRGB, 0 to 1; light above 0.8 is rolled off rather than clipped."""
    over = np.maximum(linear - 0.8, 0)
    linear = np.clip(np.minimum(linear, 0.8) + 0.2 * (1 - np.exp(-over / 0.2)), 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055).astype(np.float32)


def vignette(x: Array, y: Array, strength: float) -> Array:
    """Darkening towards the corners, as a factor."""
    centre = x[0, -1] / 2
    return 1 - strength * step(0.35, 1.25, np.hypot((x - centre) * 0.85, y - 0.48))


def disc(canvas: Array, cx: float, cy: float, radius: float, colour: Array, rim: float, squeeze: float = 0) -> None:
    """Add one out-of-focus light, in pixels; towards the edge of the picture the lens squeezes it to a cat's eye."""
    height, width = canvas.shape[:2]
    reach = int(radius + 4)
    left, right = max(int(cx) - reach, 0), min(int(cx) + reach + 1, width)
    top, bottom = max(int(cy) - reach, 0), min(int(cy) + reach + 1, height)
    if left >= right or top >= bottom:
        return
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    x, y = x - cx, y - cy
    distance = np.hypot(x, y)
    if squeeze:
        away = np.array([cx - width / 2, cy - height / 2]) / width
        shift = away * radius * 1.5 * squeeze
        distance = np.maximum(distance, np.hypot(x + shift[0], y + shift[1]))
    edge = max(radius * 0.035, 1.2)
    inside = step(radius + edge, radius - edge, distance)
    shape = inside * (1 - rim + rim * step(radius * 0.55, radius, distance))
    canvas[top:bottom, left:right] += shape[..., None] * colour


def ridge(rng: np.random.Generator, width: int, roughness: float, octaves: int, cells: float) -> Array:
    """A skyline: height over the picture's width, mean 0."""
    line = np.zeros(width, np.float32)
    for octave in range(octaves):
        count = max(round(cells * 2**octave), 2)
        coarse = rng.standard_normal(count + 3).astype(np.float32)
        line += cv2.resize(coarse[None, :], (width, 1), interpolation=cv2.INTER_CUBIC)[0] * roughness**octave
    return line


def leaf(centre: Array, angle: float, length: float, breadth: float) -> NDArray[np.int32]:
    """The outline of a pointed, slightly bent leaf that starts at ``centre``; 1/16 pixels for cv2."""
    t = np.linspace(0, 1, 24)
    half = breadth * np.sin(np.pi * t**0.8) ** 1.15
    bend = 0.10 * length * t**2
    points = np.concatenate([np.stack([t * length, bend + half], 1), np.stack([t * length, bend - half], 1)[::-1]])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.round((points @ turn + centre) * 16).astype(np.int32)


def frond(
    mask: NDArray[np.uint8], rng: np.random.Generator, x: float, y: float, angle: float, length: float, plump: float
) -> None:
    """One branch with leaves on both sides, drawn in white."""
    place, heading = np.array([x, y]), angle
    curl = rng.uniform(-0.9, 0.9) / length
    count = int(length / STRIDE)
    for index in range(count):
        part = index / count
        size = length * 0.34 * (1 - 0.62 * part) * rng.uniform(0.85, 1.12) * min(1, 0.45 + part * 2.4)
        for side in (-1, 1):
            outline = leaf(place, heading + side * (1.02 - 0.45 * part) + rng.normal(0, 0.07), size, size * plump)
            cv2.fillPoly(mask, [outline], 255, cv2.LINE_AA, 4)
        following = place + STRIDE * np.array([np.cos(heading), np.sin(heading)])
        ends = [tuple(np.round(p * 16).astype(int).tolist()) for p in (place, following)]
        cv2.line(mask, ends[0], ends[1], 255, max(int(7 * (1 - part)), 2), cv2.LINE_AA, 4)
        place, heading = following, heading + curl * STRIDE
    cv2.fillPoly(mask, [leaf(place, heading, length * 0.12, length * 0.12 * plump)], 255, cv2.LINE_AA, 4)


def waves(rng: np.random.Generator, x: Array, phase: float, low: float, high: float, count: int) -> Array:
    """A curve over ``x`` that moves and is back where it was when ``phase`` has gone from 0 to 1; about -1 to 1."""
    total = np.zeros_like(x)
    for _ in range(count):
        frequency, start = rng.uniform(low, high), rng.uniform(0, 2 * np.pi)
        sway = 0.8 * np.sin(2 * np.pi * (phase + rng.uniform()))
        total += np.sin(frequency * x + start + sway)
    return total / np.sqrt(count)
