"""A real person moving, for machines without a camera: the same pictures on every machine, and a known alpha."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import SourceUnavailableError
from rvm_live.core.settings import SourceSettings
from rvm_live.sources.base import Grab, Source, SourceInfo
from rvm_live.sources.demo.portrait import BOTTOM, Portrait, load_portrait
from rvm_live.sources.demo.scenery import Scenery
from rvm_live.sources.release_guard import ReleaseGuard

__all__ = ["DemoSource"]

WIDTH, HEIGHT = 1280, 720
_SPARE_ROWS = 22
"""Rows of the portrait kept below the picture, so that its cut never shows when the person bobs."""
_BAND = 64
"""Height of a band that is drawn at once, rows."""


class DemoSource(Source):
    """An astronaut in a room, swaying, nodding and leaning in, at any size and rate, without end.

    Args:
        settings: ``width``, ``height`` (1280x720 where None) and ``fps``; motion depends on time, not on the rate.
        clock: monotonic time.
    """

    on_demand = True

    def __init__(self, settings: SourceSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        self._width = settings.width or WIDTH
        self._height = settings.height or HEIGHT
        self._fps = settings.fps
        self._realtime = settings.realtime
        self._clock = clock
        self._guard = ReleaseGuard(lambda: None)
        self._number = 0
        self._anchor: tuple[int, int] | None = None
        self._scenery: Scenery | None = None

    def open(self) -> SourceInfo:
        portrait = load_portrait()
        self._scenery = Scenery(self._width, self._height)
        self._prepare(portrait)
        return SourceInfo(
            label="demo",
            kind="demo",
            width=self._width,
            height=self._height,
            fps=self._fps,
            live=False,
        )

    def _prepare(self, portrait: Portrait) -> None:
        """Scale the person once to the size they mostly have, so that each frame only shifts and turns a little."""
        visible = BOTTOM - _SPARE_ROWS - portrait.top
        across = portrait.right - portrait.left
        self._scale = min(0.86 * self._height / visible, 0.92 * self._width / across)
        cut = np.s_[max(0, portrait.top - 8) :, max(0, portrait.left - 8) : portrait.right + 8]
        alpha, colour = portrait.alpha[cut], portrait.colour[cut]
        size = (max(2, round(alpha.shape[1] * self._scale)), max(2, round(alpha.shape[0] * self._scale)))
        how = cv2.INTER_CUBIC if self._scale > 1 else cv2.INTER_AREA
        large = np.clip(cv2.resize(alpha, size, interpolation=how), 0, 1)
        tint = np.clip(cv2.resize(colour, size, interpolation=how), 0, 249)
        # Premultiplied: shifting and rotating then keep colour and alpha together, and blending is one product.
        self._person = np.dstack([tint * large[..., None], large * 255]).round().astype(np.uint8)
        self._firsts, self._lasts = _extents(self._person[..., 3])

    def frame_at(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Draw one frame; needs ``open``.

        Args:
            number: of the frame, from 0.

        Returns:
            The picture, uint8 (H, W, 3) BGR, and its true alpha, uint8 (H, W).
        """
        alpha = np.zeros((self._height, self._width), np.uint8)
        return self._drawn(number, alpha), alpha

    def _drawn(self, number: int, alpha: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """The picture; its true alpha goes into ``alpha``, zeros (H, W), if it is wanted."""
        if self._scenery is None:
            raise SourceUnavailableError("the demo was not opened")
        seconds = number / self._fps
        picture = self._scenery.at(seconds)
        matrix, box = self._placement(seconds)
        for left, top, right, bottom in self._bands(matrix, box):
            shifted = matrix.copy()
            shifted[:, 2] -= (left, top)
            person = cv2.warpAffine(self._person, shifted, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
            inside = cv2.extractChannel(person, 3)
            outside = cv2.cvtColor(cv2.bitwise_not(inside), cv2.COLOR_GRAY2BGR)
            spot = picture[top:bottom, left:right]
            behind = cv2.multiply(spot, outside, scale=1 / 255)
            cv2.add(behind, cv2.cvtColor(person, cv2.COLOR_BGRA2BGR), dst=spot)
            if alpha is not None:
                alpha[top:bottom, left:right] = inside
        self._scenery.grain(picture, number)
        return picture

    def _placement(self, seconds: float) -> tuple[NDArray[np.float64], tuple[int, int, int, int]]:
        """Where the person is: affine matrix from their picture to the frame, and the box it fills there."""
        height, width = self._person.shape[:2]
        # Incommensurable periods: the motion does not repeat itself visibly.
        zoom = 1.03 + 0.03 * np.sin(seconds * 0.53)
        turn = np.radians(1.6 * np.sin(seconds * 0.71) + 0.5 * np.sin(seconds * 2.3))
        x = self._width * (0.5 + 0.07 * np.sin(seconds * 0.47) + 0.015 * np.sin(seconds * 1.9))
        y = self._height + _SPARE_ROWS * self._scale * (1 - 0.25 * np.sin(seconds * 1.1))
        cos, sin = zoom * np.cos(turn), zoom * np.sin(turn)
        # Moves the middle of the portrait's lower edge to (x, y).
        matrix = np.array(
            [
                [cos, -sin, x - cos * width / 2 + sin * height],
                [sin, cos, y - sin * width / 2 - cos * height],
            ]
        )
        corners = matrix @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
        left, top = np.floor(corners.min(axis=1)).astype(int)
        right, bottom = np.ceil(corners.max(axis=1)).astype(int) + 1
        box = (max(0, int(left)), max(0, int(top)), min(self._width, int(right)), min(self._height, int(bottom)))
        return matrix, box

    def _bands(
        self, matrix: NDArray[np.float64], box: tuple[int, int, int, int]
    ) -> Iterator[tuple[int, int, int, int]]:
        """The box in bands as wide as the person is there: beside a head there is nothing to draw."""
        left, top, right, bottom = box
        along_x, from_y, by_x = matrix[0].tolist()  # where a column of the person lies in the picture
        # Where a row of the picture lies in the person.
        to_x, to_y, start = cv2.invertAffineTransform(matrix)[1].tolist()
        for begins in range(top, bottom, _BAND):
            ends = min(begins + _BAND, bottom)
            first = int(min(to_x * left, to_x * right) + to_y * begins + start) - 2
            last = int(max(to_x * left, to_x * right) + to_y * ends + start) + 3
            rows = slice(max(first, 0), max(last, 0))
            low, high = min(self._firsts[rows], default=1), max(self._lasts[rows], default=-1)
            if low > high:
                continue
            edge = min(from_y * first, from_y * last), max(from_y * first, from_y * last)
            begin = max(left, int(along_x * low + edge[0] + by_x) - 2)
            end = min(right, int(along_x * high + edge[1] + by_x) + 3)
            if begin < end:
                yield begin, begins, end, ends

    def read(self) -> Grab:
        with self._guard:
            number = self._number
            if self._realtime:
                number = self._when_due(number)
            self._number = number + 1
            captured_ns = self._clock.now_ns()
            picture = self._drawn(number)
            return Grab(picture, captured_ns, None if self._realtime else round(number * 1e9 / self._fps))

    def _when_due(self, number: int) -> int:
        """Wait for the next frame's time; one that was missed is skipped, as a camera would."""
        period_ns = 1e9 / self._fps
        now_ns = self._clock.now_ns()
        if self._anchor is None:
            self._anchor = (now_ns, number)
        began_ns, first = self._anchor
        number = max(number, first + int((now_ns - began_ns) // period_ns))
        self._guard.wait_until(began_ns + round((number - first) * period_ns), self._clock)
        return number

    def release(self) -> None:
        self._guard.release()


def _extents(alpha: NDArray[np.uint8]) -> tuple[list[int], list[int]]:
    """First and last column of each row with something in it; the last before the first where there is nothing."""
    found = alpha > 0
    width, some = alpha.shape[1], found.any(axis=1)
    first = np.where(some, found.argmax(axis=1), width)
    last = np.where(some, width - 1 - found[:, ::-1].argmax(axis=1), -1)
    return first.tolist(), last.tolist()
