"""Shared by all compositors: checks of their input, and the numbers of the blurred background.

The blur of :class:`~rvm_live.backgrounds.base.Blur` (a lens's: :mod:`rvm_live.compositing.lens`) is worked out at
reduced resolution, in integers up to the Gaussian, so that back ends agree to the last bit there:

1. ``[(255 - a) S, 255 (255 - a)]`` per pixel, four channels of 16 bits, zero beyond the frame's edge;
2. halved ``levels`` times by the rounded mean of 2 x 2 pixels, ``(p + q + r + s + 2) >> 2``;
3. Gaussian with zeros beyond the edge, then ``255 numerator / denominator``, which is normalised convolution
   (Knutsson and Westin 1993): neither the person nor what lies beyond the picture's edge has any weight;
4. rounded to 8 bits and enlarged bilinearly by ``2 ** levels``.

Deep inside the person step 3 would divide 0 by 0; a trace of mid-grey makes it fade to grey instead. No visible pixel
gets any of it: a pixel that is not wholly the person's has a weight of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Layer, Plate
from rvm_live.compositing.lens import disc
from rvm_live.core.arrays import Floats
from rvm_live.core.errors import CompositorError
from rvm_live.core.frames import Frame, Matte

__all__ = ["GREY", "PRIOR", "ROUND_UP", "BlurPlan", "Plates", "check_layer", "made_up", "plan_blur"]

PRIOR = 1e-3
"""Weight of mid-grey; a pixel that is wholly the room's has the weight 255 * 255."""
GREY = 128 / 255
ROUND_UP = 0.5 + 1 / 512
"""Added before truncation. The excess over a half takes exact halves, common in flat pictures, out of the reach
of floating-point noise, so that all back ends round them alike."""

_LARGEST_LEVELS = 7  # up to here bilinear weights are multiples of 1/256, which 8-bit fixed point represents exactly
_REFERENCE_HEIGHT = 720
_PLATES = 4

T = TypeVar("T")


@dataclass(frozen=True, repr=False, eq=False)
class BlurPlan:
    """How to blur one size of frame.

    Attributes:
        levels: how often the frame is halved.
        width: of the reduced frame, pixels: the frame's, divided by ``2 ** levels`` and rounded up.
        height: likewise.
        kernel: float32 (2 r + 1,), a Gaussian at the reduced resolution; sums to 1; r is at most 12.
        disc: float32 (2 q + 1, 2 q + 1), used instead for a lens, else None.
    """

    levels: int
    width: int
    height: int
    kernel: NDArray[np.float32]
    disc: NDArray[np.float32] | None = None

    @property
    def coarse(self) -> int:
        """How often it is halved in integers: for a lens only once, and after that in linear light."""
        return self.levels if self.disc is None else min(self.levels, 1)

    @property
    def factor(self) -> int:
        return 1 << self.levels

    @property
    def padded_width(self) -> int:
        return self.width << self.levels

    @property
    def padded_height(self) -> int:
        return self.height << self.levels


@lru_cache(maxsize=32)
def plan_blur(width: int, height: int, strength: float, lens: bool = False) -> BlurPlan:
    """Choose the reduced resolution and the Gaussian for a frame, or the disc.

    Args:
        width: of the frame, pixels.
        height: of the frame, pixels.
        strength: standard deviation in pixels at 720 lines.
        lens: it is a lens's blur.
    """
    sigma = max(strength, 0.0) * height / _REFERENCE_HEIGHT
    # Two to four reduced pixels of standard deviation: enough to hide the grid, few enough to be cheap.
    levels = min(max(int(math.log2(sigma / 2)), 1), _LARGEST_LEVELS) if sigma >= 1 else 0
    factor = 1 << levels
    # A mean over a cell adds (factor^2 - 1)/12 to the variance; bilinear enlargement adds factor^2/6 on average.
    gained = (factor**2 - 1) / 12 + (factor**2 / 6 if levels else 0.0)
    reduced = math.sqrt(max(sigma**2 - gained, 0.0)) / factor
    radius = min(math.ceil(3 * reduced), 12)
    offsets = np.arange(-radius, radius + 1, dtype=np.float64)
    kernel = np.exp(-0.5 * (offsets / max(reduced, 1e-3)) ** 2)
    kernel32 = (kernel / kernel.sum()).astype(np.float32)
    return BlurPlan(levels, -(-width // factor), -(-height // factor), kernel32, disc(reduced) if lens else None)


class Plates(Generic[T]):
    """The plates last uploaded to a device, so that a background that stands still is uploaded once; several, because a
    matte may be put over several backgrounds."""

    def __init__(self) -> None:
        self._kept: dict[Plate, T] = {}

    def get(self, plate: Plate, upload: Callable[[T | None], T]) -> T:
        """The plate on the device; ``upload`` brings it there, and gets the memory of a plate that is dropped, for
        reuse."""
        known = self._kept.pop(plate, None)
        if known is None:
            gone = self._kept.pop(next(iter(self._kept))) if len(self._kept) >= _PLATES else None
            known = upload(gone)
        self._kept[plate] = known
        return known

    def clear(self) -> None:
        """Free them."""
        self._kept.clear()


def on_clamped(kernel: NDArray[np.float64], length: int) -> Floats:
    """The (length, length) matrix that convolves with a kernel; the border is continued."""
    matrix, at = np.zeros((length, length), np.float32), np.arange(length)
    for place, share in enumerate(kernel):
        np.add.at(matrix, (at, np.clip(at + place - len(kernel) // 2, 0, length - 1)), np.float32(share))
    return matrix


def check_layer(layer: Layer, frame: Frame) -> None:
    """Refuse a layer that cannot be put behind a frame.

    Raises:
        CompositorError: the frame is empty, or the plate is not of its size, or not what it must be.
    """
    size = (frame.height, frame.width)
    if 0 in size:
        raise CompositorError(f"frame {frame.seq} is empty: {frame.width}x{frame.height}")
    if isinstance(layer, Plate) and (layer.image.shape != (*size, 3) or layer.image.dtype != np.uint8):
        raise CompositorError(
            f"the background is {layer.image.dtype} {layer.image.shape}, the frame needs uint8 {(*size, 3)}"
        )


def made_up(width: int, height: int, device: str) -> Matte:
    """A test matte with every alpha, on the engine's device."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 1] = np.linspace(0, 255, width, dtype=np.uint8)
    alpha = np.ascontiguousarray(image[..., 1])
    frame = Frame(image, seq=0, epoch=0, captured_ns=0)
    if device == "cpu":
        return Matte(frame, alpha, image)
    from rvm_live.core import transfer

    placed = transfer.upload(image, device)
    return Matte(frame, transfer.upload(alpha, device), placed, placed, transfer.mark(placed.device))
