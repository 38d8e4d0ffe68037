"""The room behind the demo's person: drawn, softly out of focus, and never quite still."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Scenery"]

_MARGIN = 0.06
_LIGHTS = 9
_LIGHT_STEPS = 128
"""Steps between day and evening, one grey level each."""


class Scenery:
    """A room that drifts as if the camera were hand-held, while daylight turns to evening and back.

    Args:
        width: of the pictures, pixels.
        height: of the pictures, pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        large = (round(width * (1 + 2 * _MARGIN)), round(height * (1 + 2 * _MARGIN)))
        focus = max(1.0, min(width, height) / 240)
        self._day = _finish(_room(*large, evening=False), focus, seed=1)
        self._evening = _finish(_room(*large, evening=True), focus, seed=2)
        self._now, self._step = self._day.copy(), 0
        glows = _glow(max(8, min(width, height) // 7))
        self._glows = [np.ascontiguousarray(glows[..., colour]) for colour in range(glows.shape[3])]
        rng = np.random.default_rng(3)
        self._noise = np.clip(rng.normal(3, 1.2, (height + 64, width + 64, 1)), 0, 6).astype(np.uint8).repeat(3, axis=2)

    def at(self, seconds: float) -> NDArray[np.uint8]:
        """The room at a moment: new uint8 (H, W, 3) BGR."""
        width, height = self._size
        self._light(round((0.5 - 0.5 * np.cos(seconds * 2 * np.pi / 24)) * _LIGHT_STEPS))
        x = round((self._day.shape[1] - width) * (0.5 + 0.45 * np.sin(seconds * 0.31)))
        y = round((self._day.shape[0] - height) * (0.5 + 0.45 * np.sin(seconds * 0.23 + 1)))
        window = np.s_[y : y + height, x : x + width]
        scene: NDArray[np.uint8] = self._now[window].copy()
        self._draw_lights(scene, seconds)
        return scene

    def _light(self, step: int) -> None:
        """Daylight, evening or between: it turns so slowly that most frames find it as it was."""
        if step != self._step:
            evening = step / _LIGHT_STEPS
            cv2.addWeighted(self._day, 1 - evening, self._evening, evening, 0, dst=self._now)
            self._step = step

    def grain(self, picture: NDArray[np.uint8], number: int) -> None:
        """Add a sensor's noise, in place; it differs from frame to frame."""
        height, width = picture.shape[:2]
        x, y = number * 37 % 64, number * 23 % 64
        cv2.add(picture, self._noise[y : y + height, x : x + width], dst=picture)

    def _draw_lights(self, scene: NDArray[np.uint8], seconds: float) -> None:
        """Coloured lights that wander slowly across the wall."""
        height, width = scene.shape[:2]
        side = self._glows[0].shape[0]
        for light in range(_LIGHTS):
            phase = light * 2.4
            x = round((0.5 + 0.55 * np.sin(seconds * (0.11 + 0.013 * light) + phase)) * width - side / 2)
            y = round((0.30 + 0.28 * np.sin(seconds * (0.17 + 0.011 * light) + phase * 1.7)) * height - side / 2)
            left, top, right, bottom = max(x, 0), max(y, 0), min(x + side, width), min(y + side, height)
            if left >= right or top >= bottom:
                continue
            spot = scene[top:bottom, left:right]
            glow = self._glows[light % len(self._glows)]
            cv2.add(spot, glow[top - y : bottom - y, left - x : right - x], dst=spot)


def _room(width: int, height: int, *, evening: bool) -> NDArray[np.float32]:
    """Wall, window, shelf with books, plant and lamp; float32 (H, W, 3) BGR."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    u, v = x / width, y / height
    wall = np.array([92, 84, 78] if evening else [176, 184, 186], np.float32)
    light = 0.72 + 0.34 * np.exp(-(((u - (0.82 if evening else 0.12)) / 0.45) ** 2) - ((v - 0.3) / 0.6) ** 2)
    picture: NDArray[np.float32] = wall * light[..., None]

    def box(left: float, top: float, right: float, bottom: float, colour: tuple[int, int, int]) -> None:
        corners = (round(left * width), round(top * height)), (round(right * width), round(bottom * height))
        cv2.rectangle(picture, *corners, colour, -1)

    dim = 0.45 if evening else 1.0

    def shade(blue: int, green: int, red: int) -> tuple[int, int, int]:
        return round(blue * dim), round(green * dim), round(red * dim)

    # The window, with the sky in it and a frame around it.
    box(0.03, 0.07, 0.27, 0.62, shade(208, 214, 220))
    sky = (96, 52, 40) if evening else (246, 222, 190)
    for column in (0.045, 0.155):
        box(column, 0.10, column + 0.10, 0.59, sky)
    # Two shelves with books.
    rng = np.random.default_rng(7)
    for shelf in (0.28, 0.56):
        box(0.66, shelf, 0.98, shelf + 0.022, shade(58, 84, 122))
        at = 0.675
        while at < 0.95:
            thick, tall = rng.uniform(0.010, 0.024), rng.uniform(0.12, 0.19)
            colour = shade(*(int(c) for c in rng.choice(_BOOKS)))
            if rng.random() > 0.12:
                box(at, shelf - tall, at + thick, shelf, colour)
            at += thick + 0.002
    # A plant in a pot, and a lamp that is lit in the evening.
    for angle in np.linspace(-1.25, 1.25, 13):
        root = (round(0.355 * width), round(0.86 * height))
        tip = (root[0] + np.sin(angle) * 0.10 * width, root[1] - (0.16 + 0.18 * np.cos(angle)) * height)
        middle = ((root[0] + tip[0]) / 2, (root[1] + tip[1]) / 2)
        axes = (round(np.hypot(tip[0] - root[0], tip[1] - root[1]) / 2), max(2, round(0.012 * width)))
        turn = np.degrees(np.arctan2(tip[1] - root[1], tip[0] - root[0]))
        leaf = shade(52, 118 + int(30 * np.cos(angle * 3)), 62)
        cv2.ellipse(picture, (round(middle[0]), round(middle[1])), axes, turn, 0, 360, leaf, -1)
    box(0.325, 0.85, 0.385, 1.0, shade(70, 96, 150))
    if evening:
        glow = np.exp(-(((u - 0.58) / 0.20) ** 2) - ((v - 0.24) / 0.30) ** 2)
        picture += glow[..., None] * np.array([50, 105, 150], np.float32)
    cv2.ellipse(
        picture,
        (round(0.58 * width), round(0.24 * height)),
        (round(0.035 * width), round(0.05 * height)),
        0,
        0,
        360,
        (150, 215, 250) if evening else (196, 204, 208),
        -1,
    )
    return picture


_BOOKS = [(60, 60, 150), (140, 96, 50), (66, 120, 70), (70, 140, 190), (120, 70, 110), (196, 196, 190), (50, 50, 60)]


def _finish(picture: NDArray[np.float32], focus: float, *, seed: int) -> NDArray[np.uint8]:
    """Out of focus, and with a dither against banding."""
    soft = cv2.GaussianBlur(picture, (0, 0), focus)
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, soft.shape)
    finished: NDArray[np.uint8] = np.clip(soft + noise, 0, 249).astype(np.uint8)
    return finished


def _glow(side: int) -> NDArray[np.uint8]:
    """Soft discs in four colours, uint8 (side, side, 3, 4), to be added to a picture."""
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    radius = np.hypot(*np.meshgrid(axis, axis))
    disc = np.clip((1 - radius) / 0.25, 0, 1) * (0.75 + 0.25 * np.clip(radius, 0, 1))
    colours = np.array([(38, 26, 10), (10, 26, 40), (30, 10, 30), (14, 36, 16)], np.float32)
    discs: NDArray[np.uint8] = (disc[..., None, None] * colours.T[None, None]).astype(np.uint8)
    return discs
