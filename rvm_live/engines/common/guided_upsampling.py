"""The full-size part of a step on a CPU: a low-resolution linear model brought to the picture's size and applied."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from rvm_live.core.arrays import Bytes, Floats
from rvm_live.finishing.estimate import Found
from rvm_live.system.buffer_pool import BufferPool

__all__ = ["GuidedUpsampler"]

_BAND = 80
"""Lines worked on at a time at 1280 pixels a line: what they need stays in the processor's cache."""


class GuidedUpsampler:
    """Applies models of one size to pictures of one size, in memory it keeps.

    The picture is processed in bands. Each is enlarged with one more unit of lines above and below, so that the seams
    are those of the whole: a unit is the fewest lines that are a whole number at both sizes.

    Args:
        full: width and height of the pictures.
        low: width and height of the models.
    """

    def __init__(self, full: tuple[int, int], low: tuple[int, int]) -> None:
        (self._width, height), self._same = full, full == low
        self._units = math.gcd(height, low[1])
        self._low_lines, self._full_lines = low[1] // self._units, height // self._units
        self._step = max(1, round(_BAND * 1280 / self._width / self._full_lines))
        most = min(self._step + 2, self._units) * self._full_lines
        planes = (most, self._width)
        self._sum = np.empty(planes, np.uint16)
        self._grey = [np.empty(planes, np.float32) for _ in range(3)]
        self._colour: list[Floats] = []
        self._lock = threading.Lock()
        self._alphas = BufferPool((height, self._width))
        self._foregrounds = BufferPool((height, self._width, 3))

    def apply(self, image: Bytes, model: Sequence[Floats]) -> tuple[Bytes, Bytes | None]:
        """Alpha and, where the model has one, foreground.

        Args:
            image: uint8 (H, W, 3) BGR.
            model: slope and offset of alpha, (h, w); then, or not, slope and offset of the foreground, (h, w, 3) BGR;
                float32, see :class:`~rvm_live.engines.rvm.openvino.trace.LinearModel`.

        Returns:
            Alpha uint8 (H, W) and foreground uint8 (H, W, 3) BGR or None.
        """
        found = Found(*model)
        alpha = self.alpha(image, found)
        return alpha, None if found.colour_slope is None else self.colour(image, alpha, found)

    def alpha(self, image: Bytes, found: Found) -> Bytes:
        """Alpha, uint8 (H, W), of a picture uint8 (H, W, 3) BGR and its model."""
        alpha = self._alphas.take()
        with self._lock:
            for first, last, lines in self._bands():
                part = image[lines]
                slope, offset = self._enlarged((found.slope, found.offset), self._grey, first, last)
                colours, total, product = cv2.split(part), self._sum[: len(part)], self._grey[2][: len(part)]
                cv2.add(colours[0], colours[1], dst=total, dtype=cv2.CV_16U)
                cv2.add(total, colours[2], dst=total, dtype=cv2.CV_16U)
                cv2.multiply(slope, total, dst=product, scale=1 / 3, dtype=cv2.CV_32F)
                cv2.add(product, offset, dst=alpha[lines], dtype=cv2.CV_8U)
        return alpha

    def colour(self, image: Bytes, alpha: Bytes, found: Found) -> Bytes:
        """The person's colours, uint8 (H, W, 3) BGR, wherever that is; of a model that has them."""
        foreground = self._foregrounds.take()
        with self._lock:
            if not self._colour:
                self._colour = [np.empty((*self._grey[0].shape, 3), np.float32) for _ in range(3)]
            for first, last, lines in self._bands():
                slope, offset = self._enlarged(_colours(found), self._colour, first, last)
                product = self._colour[2][: len(slope)]
                cv2.multiply(slope, image[lines], dst=product, dtype=cv2.CV_32F)
                cv2.add(product, offset, dst=foreground[lines], dtype=cv2.CV_8U)
        return foreground

    def _bands(self) -> Iterator[tuple[int, int, slice]]:
        for first in range(0, self._units, self._step):
            last = min(first + self._step, self._units)
            yield first, last, slice(first * self._full_lines, last * self._full_lines)

    def _enlarged(self, parts: Sequence[Floats], scratch: list[Floats], first: int, last: int) -> list[Floats]:
        """The units from ``first`` to ``last`` of each of ``parts`` at full size."""
        if self._same:
            return [part[first * self._full_lines : last * self._full_lines] for part in parts]
        above, below = max(first - 1, 0), min(last + 1, self._units)
        low = slice(above * self._low_lines, below * self._low_lines)
        count = (below - above) * self._full_lines
        cut = slice((first - above) * self._full_lines, (last - above) * self._full_lines)
        enlarged = []
        for part, memory in zip(parts, scratch, strict=False):
            into = memory[:count]
            cv2.resize(part[low], (self._width, count), dst=into, interpolation=cv2.INTER_LINEAR)
            enlarged.append(into[cut])
        return enlarged


def _colours(found: Found) -> tuple[Floats, Floats]:
    assert found.colour_slope is not None and found.colour_offset is not None
    return found.colour_slope, found.colour_offset
