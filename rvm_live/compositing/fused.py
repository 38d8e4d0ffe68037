"""The blend as one Triton kernel, in integers: 8 bits in, 8 bits out, no intermediate memory."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["BLOCK", "blend_kernel", "blended", "why_wrong"]

BLOCK = 1024


@triton.jit
def blend_kernel(colour, alpha, plate, result, size, BLOCK: tl.constexpr):
    """``result = round(a F / 255) + round((255 - a) B / 255)``, value by value of pictures (H, W, 3).

    ``(n + 127) // 255`` is n / 255 rounded to nearest: 255 is odd, so there is no half.
    """
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = index < size
    share = tl.load(alpha + index // 3, mask=inside, other=0).to(tl.int32)
    front = tl.load(colour + index, mask=inside, other=0).to(tl.int32)
    back = tl.load(plate + index, mask=inside, other=0).to(tl.int32)
    value = (share * front + 127) // 255 + ((255 - share) * back + 127) // 255
    tl.store(result + index, value.to(tl.uint8), mask=inside)


def blended(colour: Tensor, alpha: Tensor, plate: Tensor) -> Tensor:
    """The composite.

    Args:
        colour: of the person, uint8 (H, W, 3).
        alpha: uint8 (H, W).
        plate: what is behind, (H, W, 3), uint8 or floating point with whole values 0 to 255.

    Returns:
        uint8 (H, W, 3).
    """
    result = torch.empty_like(colour, memory_format=torch.contiguous_format)
    size = result.numel()
    blocks = (-(-size // BLOCK),)
    blend_kernel[blocks](colour.contiguous(), alpha.contiguous(), plate.contiguous(), result, size, BLOCK=BLOCK)
    return result


def why_wrong(device: Any) -> str | None:
    """Test the kernel on every alpha: None if it is exact, else what is wrong."""
    alpha = torch.arange(256, device=device).to(torch.uint8).reshape(16, 16)
    colour = torch.arange(768, device=device).mul(37).remainder(256).to(torch.uint8).reshape(16, 16, 3)
    plate = colour.flip(0).contiguous()
    share = alpha[..., None].double() / 255
    expected = (colour * share).round() + (plate * (1 - share)).round()
    for behind in (plate, plate.float()):
        levels = int((blended(colour, alpha, behind).double() - expected).abs().max())
        if levels:
            return f"the blend differs by {levels} grey levels"
    return None
