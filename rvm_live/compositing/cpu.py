"""Compositing on the CPU: in one pass if its kernels are ready, else with OpenCV in 8 bits, the reference."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Blur, Clear, Layer, Plate
from rvm_live.compositing.base import Compositor
from rvm_live.compositing.common import GREY, PRIOR, ROUND_UP, BlurPlan, check_layer, plan_blur
from rvm_live.compositing.lens import LEVEL_STEPS, LEVELS, LIGHT, STRETCH
from rvm_live.compositing.lighting import Lighting
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import CompositorError, told_as
from rvm_live.core.frames import Matte
from rvm_live.finishing import one_pass
from rvm_live.finishing.compiled import kernels
from rvm_live.finishing.light import NO_LIGHT, Light, coloured, over_linear

__all__ = ["CpuCompositor", "Scratch", "blurred"]

_MOST_THREADS = 2
"""A pass takes a millisecond or two; more threads gain nothing."""
GREY_PRIOR = np.float32(GREY * PRIOR)


class Scratch:
    """Working memory for one frame size, so that a frame allocates nothing but its result."""

    def __init__(self, height: int, width: int) -> None:
        self.size = (height, width)
        self.alpha = np.empty((height, width, 3), np.uint8)
        self.rest = np.empty_like(self.alpha)
        self.behind = np.empty_like(self.alpha)
        self.bgra = np.empty((height, width, 4), np.uint8)
        self._plan: BlurPlan | None = None
        self.colour = np.empty(0, np.uint16)
        self.weight = np.empty(0, np.uint16)
        self.enlarged = np.empty(0, np.uint8)
        self.half = np.empty(0, np.uint16)

    def prepare(self, plan: BlurPlan) -> None:
        """Set ``colour`` (h, w, 3), ``weight`` (h, w), ``enlarged`` and ``half`` to the plan's padded size, zero."""
        if self._plan is not plan:
            self._plan = plan
            size = (plan.padded_height, plan.padded_width)
            self.colour = np.zeros((*size, 3), np.uint16)
            self.weight = np.zeros(size, np.uint16)
            self.enlarged = np.zeros((*size, 3), np.uint8)
            self.half = np.zeros((size[0] // 2, size[1] // 2, 4), np.uint16)


class CpuCompositor(Compositor):
    """Blends in integers: ``round(a F / 255) + round((255 - a) B / 255)``, at most 1 off the exact value.

    ``python -m benchmarks compositors`` measures its times. Every other back end is compared to this one.

    Once the kernels of :mod:`rvm_live.finishing` are ready, they do all the work, from the engine's low-resolution
    result to the finished picture, within one grey level of OpenCV's result. Until then, and if they fail, OpenCV does
    it.
    """

    name = "cpu"
    lights = True
    """It supports light wrap, matching and linear blending."""

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(device)
        self._scratch: Scratch | None = None
        self._workers = one_pass.NOBODY_ELSE

    def open(self) -> None:
        """Start compiling the kernels; this back end always works."""
        kernels.begin()
        many = min(cv2.getNumThreads(), _MOST_THREADS)  # OpenCV's thread count, which the program has set
        if many > 1:
            pool = ThreadPoolExecutor(many - 1, "rvm-compositing")
            self._workers = one_pass.Workers(pool, many)

    @property
    def remark(self) -> str:
        told = kernels.why_not and not kernels.failed and not kernels.unwanted
        return f"compositing with OpenCV: {kernels.why_not}" if told else ""

    @property
    def trouble(self) -> str:
        return f"compositing continues with OpenCV: {kernels.why_not}" if kernels.failed else ""

    def composite(
        self, matte: Matte, layer: Layer, *, source_foreground: bool = False, lighting: Lighting | None = None
    ) -> Bytes:
        """As for every compositor; ``lighting`` is the background's light, if a look asks for it."""
        check_layer(layer, matte.frame)
        matte.check()
        made = self._in_one_pass(matte, layer, source_foreground, lighting)
        if made is not None:
            return made
        with told_as(CompositorError, "OpenCV failed", of=cv2.error):
            return self._composite(matte, layer, source_foreground, lighting)

    def close(self) -> None:
        self._scratch = None
        workers, self._workers = self._workers, one_pass.NOBODY_ELSE
        if workers.pool is not None:
            workers.pool.shutdown()

    def _in_one_pass(self, matte: Matte, layer: Layer, source: bool, lighting: Lighting | None) -> Bytes | None:
        """The picture made by the kernels; None if they are not ready, or fail."""
        if kernels.module is None:
            return None
        if isinstance(layer, Blur):
            alpha = matte.host().alpha
            plate: Bytes | None = blurred(matte.frame.image, alpha, layer, self._fitting(*alpha.shape))
        else:
            plate = layer.image if isinstance(layer, Plate) else None
        kind = one_pass.STRAIGHT if plate is None else one_pass.OVER
        light = _light(matte, layer, plate, lighting)
        if matte.deferred is not None:
            try:
                return matte.deferred.made(kind, plate, self._workers, source=source, light=light)
            except Exception:
                matte.host()  # raises MatteError if the engine's result cannot be used
                raise
        host = matte.host()
        colour = matte.frame.image if source else host.colour
        return one_pass.made_of(colour, host.alpha, kind, plate, None, self._workers, light)

    def _fitting(self, height: int, width: int) -> Scratch:
        if self._scratch is None or self._scratch.size != (height, width):
            self._scratch = Scratch(height, width)
        return self._scratch

    def _composite(self, matte: Matte, layer: Layer, source_foreground: bool, lighting: Lighting | None) -> Bytes:
        host = matte.host()
        colour = matte.frame.image if source_foreground else host.colour
        scratch = self._fitting(*host.alpha.shape)
        if isinstance(layer, Clear):
            return _cut_out(colour, host.alpha, scratch)
        cv2.merge((host.alpha, host.alpha, host.alpha), scratch.alpha)
        cv2.bitwise_not(scratch.alpha, scratch.rest)
        plate = blurred(matte.frame.image, host.alpha, layer, scratch) if isinstance(layer, Blur) else layer.image
        light = _light(matte, layer, plate, lighting)
        colour = coloured(colour, host.alpha, light)
        if light.linear:
            return over_linear(colour, host.alpha, plate)
        result = np.empty_like(scratch.alpha)
        cv2.multiply(colour, scratch.alpha, result, 1 / 255)
        cv2.multiply(plate, scratch.rest, scratch.behind, 1 / 255)
        cv2.add(result, scratch.behind, result)
        return result


def _light(matte: Matte, layer: Layer, plate: Bytes | None, lighting: Lighting | None) -> Light:
    if lighting is None or plate is None:
        return NO_LIGHT
    return lighting.light(plate, layer if isinstance(layer, Plate) else None, lambda: matte.host().alpha)


def _cut_out(colour: Bytes, alpha: Bytes, scratch: Scratch) -> Bytes:
    cv2.cvtColor(colour, cv2.COLOR_BGR2BGRA, scratch.bgra)
    cv2.insertChannel(alpha, scratch.bgra, 3)
    result = np.zeros_like(scratch.bgra)
    # Where alpha is 0 the colour must be 0 too: the room must not hide in transparent pixels.
    cv2.copyTo(scratch.bgra, alpha, result)
    return result


def blurred(image: Bytes, alpha: Bytes, layer: Blur, scratch: Scratch) -> Bytes:
    """The frame's surroundings without the person, uint8 (H, W, 3); steps as in :mod:`rvm_live.compositing.common`.

    Args:
        image: uint8 (H, W, 3) BGR.
        alpha: uint8 (H, W).
        layer: strength and kind of the blur.
        scratch: of that size; what is returned may lie in it.
    """
    height, width = scratch.size
    plan = plan_blur(width, height, layer.strength, layer.lens)
    scratch.prepare(plan)
    if plan.levels and one_pass.weighed(image, alpha, scratch.half):
        both = _halved(scratch.half, plan.coarse - 1).astype(np.float32)
        colour, weight = both[..., :3], both[..., 3]
    else:
        colour, weight = (_halved(part, plan.coarse).astype(np.float32) for part in _weighed(image, alpha, scratch))
    if plan.disc is not None:
        return _enlarged(_through_lens(colour, weight, plan), plan, scratch)
    colour_sum = _smoothed(colour, plan) + GREY_PRIOR
    weight_sum = _smoothed(weight, plan) + np.float32(PRIOR)
    share = np.float32(255) / weight_sum
    np.multiply(colour_sum, cv2.merge((share, share, share)), out=colour_sum)
    # convertScaleAbs rounds to the nearest integer and saturates.
    small: Bytes = cv2.convertScaleAbs(colour_sum, alpha=1.0, beta=ROUND_UP - 0.5)
    return _enlarged(small, plan, scratch)


def _through_lens(colour: NDArray[np.float32], weight: NDArray[np.float32], plan: BlurPlan) -> Bytes:
    """The blur of :mod:`rvm_live.compositing.lens`, uint8 of the plan's size."""
    share = np.float32(255) / np.maximum(weight, np.float32(1))
    shares = cv2.merge((share, share, share))  # cv2.merge is three times as fast as NumPy's broadcasting
    lamps = cv2.LUT(cv2.convertScaleAbs(np.multiply(colour, shares, out=shares)), LIGHT)
    light = cv2.merge([*(cv2.multiply(each, weight) for each in cv2.split(lamps)), weight])
    for _ in range(plan.levels - plan.coarse):
        light = cv2.resize(light, (light.shape[1] // 2, light.shape[0] // 2), interpolation=cv2.INTER_AREA)
    # For a large disc OpenCV convolves by Fourier transform, which leaves small values of either sign where there
    # should be 0.
    light = np.maximum(cv2.filter2D(light, -1, plan.disc, borderType=cv2.BORDER_CONSTANT), 0)
    mean = (light[..., :3] + LIGHT[128] * np.float32(PRIOR)) / (light[..., 3:] + np.float32(PRIOR))
    mean *= np.float32(LEVEL_STEPS) / (1 + np.float32(STRETCH) * mean)
    found: Bytes = LEVELS[(mean + np.float32(0.5)).clip(0, LEVEL_STEPS).astype(np.uint16)]
    return found


def _enlarged(small: Bytes, plan: BlurPlan, scratch: Scratch) -> Bytes:
    if not plan.levels:
        return small
    height, width = scratch.size
    # Other back ends can reproduce the rounding of the exact variant only.
    size = (plan.padded_width, plan.padded_height)
    cv2.resize(small, size, scratch.enlarged, interpolation=cv2.INTER_LINEAR_EXACT)
    return scratch.enlarged[:height, :width]


def _weighed(image: Bytes, alpha: Bytes, scratch: Scratch) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    height, width = scratch.size
    cv2.bitwise_not(cv2.merge((alpha, alpha, alpha)), scratch.rest)
    # NumPy, not cv2.multiply: for 16-bit results that computes in floating point and takes six times as long.
    np.multiply(image, scratch.rest, out=scratch.colour[:height, :width], dtype=np.uint16)
    np.multiply(cv2.bitwise_not(alpha), 255, out=scratch.weight[:height, :width], dtype=np.uint16)
    return scratch.colour, scratch.weight


def _smoothed(values: NDArray[np.float32], plan: BlurPlan) -> NDArray[np.float32]:
    smoothed: NDArray[np.float32] = cv2.sepFilter2D(
        values, -1, plan.kernel, plan.kernel, borderType=cv2.BORDER_CONSTANT
    )
    return smoothed


def _halved(values: NDArray[np.uint16], levels: int) -> NDArray[Any]:
    for _ in range(levels):
        size = (values.shape[1] // 2, values.shape[0] // 2)
        values = cv2.resize(values, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], *values.shape[2:])
    return values
