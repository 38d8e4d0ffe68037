"""The two steps at full size, around the network at low resolution: shrinking the picture, and applying the linear
model to it. Here in plain torch, for every device; ``fused.py`` has the same as one kernel each for NVIDIA GPUs."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from rvm_live.network.network import shrink

__all__ = ["FullSize", "PlainFullSize", "SlopeAndOffset", "quantised"]

SlopeAndOffset = tuple[Tensor, Tensor]
"""Slope and offset (1, 4, h, w), float32, for blue, green, red and alpha: the foreground is ``slope * picture +
offset`` channel by channel, alpha ``slope * mean(picture) + offset``, all in 0-1, to be clamped."""


class FullSize(Protocol):
    """Both steps; ``picture`` is whatever ``shrunk`` prepared for ``applied``."""

    def shrunk(self, image: Tensor, ratio: float) -> tuple[Tensor, Any]:
        """uint8 (H, W, 3) BGR -> float32 (1, 3, h, w) RGB in 0-1 at ``floor(side * ratio)``, and the picture."""

    def applied(self, picture: Any, model: SlopeAndOffset, *, foreground: bool) -> tuple[Tensor, Tensor | None]:
        """Alpha uint8 (H, W); the foreground uint8 (H, W, 3) BGR, or None if it is not asked for."""


class PlainFullSize:
    """Both steps in torch's own operations."""

    def shrunk(self, image: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
        """See :class:`FullSize`. The picture is float32 (1, 4, H, W): blue, green, red and room for their mean."""
        height, width = image.shape[:2]
        picture = torch.empty((1, 4, height, width), device=image.device)
        colour = picture[:, :3]
        colour.copy_(image.permute(2, 0, 1)[None]).div_(255)
        small = shrink(colour, ratio) if ratio != 1.0 else colour
        return small.flip(1), picture

    def applied(self, picture: Tensor, model: SlopeAndOffset, *, foreground: bool) -> tuple[Tensor, Tensor | None]:
        """See :class:`FullSize`."""
        first = 0 if foreground else 3
        size = list(picture.shape[2:])
        both = torch.cat([part[:, first:] for part in model], dim=1)
        if list(both.shape[2:]) != size:
            both = functional.interpolate(both, size, mode="bilinear", align_corners=False)
        slope, offset = both.chunk(2, dim=1)
        torch.mean(picture[:, :3], dim=1, keepdim=True, out=picture[:, 3:])
        result = quantised(offset.addcmul(slope, picture[:, first:]))[0]
        return result[-1], result[:3].permute(1, 2, 0).contiguous() if foreground else None


def quantised(values: Tensor) -> Tensor:
    """Floating point in 0-1 -> uint8, clamped and rounded; overwrites ``values``."""
    return values.mul_(255).add_(0.5).clamp_(0, 255).to(torch.uint8)
