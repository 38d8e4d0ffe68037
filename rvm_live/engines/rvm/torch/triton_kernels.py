"""The two steps at full size as one Triton kernel each: every pixel is read once and written once, in 8 bits.

Torch's own operations pass over a dozen full-size planes in single precision instead; on a GPU, where the network at
low resolution takes well under a millisecond, those would be most of the frame. Triton comes with torch's CUDA builds
for Linux; where it is missing, or its kernels do not give the plain result, ``fullsize.py`` does the work.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from rvm_live.engines.rvm.torch.full_size import PlainFullSize, SlopeAndOffset

__all__ = ["BLOCK", "FusedFullSize", "apply_kernel", "shrink_kernel", "why_wrong"]

BLOCK = 512


@triton.jit
def shrink_kernel(image, small, width, height, low_width, low_height, step, BLOCK: tl.constexpr):
    """uint8 (H, W, 3) BGR -> float32 (3, h, w) RGB in 0-1, bilinear at ``step`` full-size pixels a pixel."""
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = index < low_width * low_height
    # Pixel centres as torch places them: x' = (x + 0.5) * step - 0.5, never left of the first pixel.
    x = tl.maximum(((index % low_width).to(tl.float32) + 0.5) * step - 0.5, 0.0)
    y = tl.maximum(((index // low_width).to(tl.float32) + 0.5) * step - 0.5, 0.0)
    left = tl.minimum(x.to(tl.int32), width - 1)
    upper = tl.minimum(y.to(tl.int32), height - 1)
    right = tl.minimum(left + 1, width - 1)
    lower = tl.minimum(upper + 1, height - 1)
    u = x - left.to(tl.float32)
    v = y - upper.to(tl.float32)
    for channel in tl.static_range(3):
        a = tl.load(image + (upper * width + left) * 3 + channel, mask=inside, other=0).to(tl.float32)
        b = tl.load(image + (upper * width + right) * 3 + channel, mask=inside, other=0).to(tl.float32)
        c = tl.load(image + (lower * width + left) * 3 + channel, mask=inside, other=0).to(tl.float32)
        d = tl.load(image + (lower * width + right) * 3 + channel, mask=inside, other=0).to(tl.float32)
        value = ((a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v) / 255.0
        tl.store(small + (2 - channel) * low_width * low_height + index, value, mask=inside)


@triton.jit
def _between(plane, upper, lower, left, right, u, v, inside):
    a = tl.load(plane + upper + left, mask=inside, other=0.0)
    b = tl.load(plane + upper + right, mask=inside, other=0.0)
    c = tl.load(plane + lower + left, mask=inside, other=0.0)
    d = tl.load(plane + lower + right, mask=inside, other=0.0)
    return (a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v


@triton.jit
def _byte(value):
    return tl.minimum(tl.maximum(value * 255.0 + 0.5, 0.0), 255.0).to(tl.uint8)


@triton.jit
def apply_kernel(
    image, slope, offset, alpha, foreground, width, height, low_width, low_height, step_x, step_y,
    FOREGROUND: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Linear model (4, h, w) and picture uint8 (H, W, 3) BGR -> alpha uint8 (H, W), foreground uint8 (H, W, 3)."""
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = index < width * height
    x = tl.maximum(((index % width).to(tl.float32) + 0.5) * step_x - 0.5, 0.0)
    y = tl.maximum(((index // width).to(tl.float32) + 0.5) * step_y - 0.5, 0.0)
    left = tl.minimum(x.to(tl.int32), low_width - 1)
    top = tl.minimum(y.to(tl.int32), low_height - 1)
    right = tl.minimum(left + 1, low_width - 1)
    upper = top * low_width
    lower = tl.minimum(top + 1, low_height - 1) * low_width
    u = x - left.to(tl.float32)
    v = y - top.to(tl.float32)
    plane = low_width * low_height
    blue = tl.load(image + index * 3, mask=inside, other=0).to(tl.float32) / 255.0
    green = tl.load(image + index * 3 + 1, mask=inside, other=0).to(tl.float32) / 255.0
    red = tl.load(image + index * 3 + 2, mask=inside, other=0).to(tl.float32) / 255.0
    mean = (blue + green + red) / 3.0
    a = _between(slope + 3 * plane, upper, lower, left, right, u, v, inside)
    b = _between(offset + 3 * plane, upper, lower, left, right, u, v, inside)
    tl.store(alpha + index, _byte(a * mean + b), mask=inside)
    if FOREGROUND:
        a = _between(slope, upper, lower, left, right, u, v, inside)
        b = _between(offset, upper, lower, left, right, u, v, inside)
        tl.store(foreground + index * 3, _byte(a * blue + b), mask=inside)
        a = _between(slope + plane, upper, lower, left, right, u, v, inside)
        b = _between(offset + plane, upper, lower, left, right, u, v, inside)
        tl.store(foreground + index * 3 + 1, _byte(a * green + b), mask=inside)
        a = _between(slope + 2 * plane, upper, lower, left, right, u, v, inside)
        b = _between(offset + 2 * plane, upper, lower, left, right, u, v, inside)
        tl.store(foreground + index * 3 + 2, _byte(a * red + b), mask=inside)


class FusedFullSize:
    """Both steps in one kernel each; see :class:`~rvm_live.engines.rvm.torch.full_size.FullSize`."""

    def shrunk(self, image: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
        """The picture is the image itself."""
        height, width = image.shape[:2]
        low_height, low_width = int(height * ratio), int(width * ratio)
        small = torch.empty((1, 3, low_height, low_width), device=image.device)
        shrink_kernel[_blocks(low_height * low_width)](
            image, small, width, height, low_width, low_height, 1.0 / ratio, BLOCK=BLOCK
        )
        return small, image

    def applied(self, picture: Tensor, model: SlopeAndOffset, *, foreground: bool) -> tuple[Tensor, Tensor | None]:
        """``picture`` as :meth:`shrunk` returned it."""
        height, width = picture.shape[:2]
        slope, offset = (part.contiguous() for part in model)
        low_height, low_width = slope.shape[2:]
        alpha = torch.empty((height, width), dtype=torch.uint8, device=picture.device)
        colour = torch.empty_like(picture) if foreground else alpha
        apply_kernel[_blocks(height * width)](
            picture, slope, offset, alpha, colour, width, height, low_width, low_height,
            low_width / width, low_height / height, FOREGROUND=foreground, BLOCK=BLOCK,
        )  # fmt: skip
        return alpha, colour if foreground else None


def _blocks(pixels: int) -> tuple[int]:
    return (-(-pixels // BLOCK),)


def why_wrong(device: Any) -> str | None:
    """Try both kernels on a small picture: None if they give what torch's operations give, else what is wrong."""
    image = torch.arange(40 * 64 * 3, device=device).mul(7).remainder(256).to(torch.uint8).reshape(40, 64, 3)
    plain, fused = PlainFullSize(), FusedFullSize()
    (small, picture), (ours, same) = plain.shrunk(image, 0.3), fused.shrunk(image, 0.3)
    wrong = float((small - ours).abs().max())
    if wrong > 1e-3:
        return f"the shrunken picture differs by {wrong:.3g}"
    model = (torch.stack([small[0, 0]] * 4)[None] - 0.3, torch.stack([small[0, 1]] * 4)[None] * 0.5)
    for expected, found in zip(
        plain.applied(picture, model, foreground=True), fused.applied(same, model, foreground=True), strict=True
    ):
        if expected is None or found is None:
            return "a result is missing"
        levels = int((expected.int() - found.int()).abs().max())
        if levels > 1:
            return f"the matte differs by {levels} grey levels"
    return None
