"""The light of a background where the matte lies: what :mod:`rvm_live.compositing.lighting` and
:mod:`rvm_live.finishing.light` do on the processor.

The blend and the table are theirs to the last bit; rim and glow, which OpenCV rounds on the way, within a level, which
is a hundredth of white's light at most.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch

from rvm_live.backgrounds.base import Layer, Plate
from rvm_live.compositing.common import Plates, on_clamped
from rvm_live.compositing.lighting import GLOW, REDUCE_ALPHA, REDUCE_GLOW, RIM, Lighting
from rvm_live.core import transfer
from rvm_live.core.arrays import Bytes
from rvm_live.finishing.light import BOUNDS, DECODED, FIRST, STEPS

__all__ = ["TorchLight", "smoother"]

Tensor = torch.Tensor


class TorchLight:
    """Puts people into the light of backgrounds, on one device.

    Args:
        device: where mattes and backgrounds lie.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._decoded, self._bounds, self._first = (
            torch.from_numpy(each).to(device) for each in (DECODED, BOUNDS, FIRST)
        )
        self._glows: Plates[Tensor] = Plates()
        self._table: tuple[bytes, Tensor] = (b"", torch.empty(0))

    def coloured(self, colour: Tensor, alpha: Tensor, behind: Tensor, layer: Layer, lighting: Lighting) -> Tensor:
        """The person's colours in the light of the background, uint8 (H, W, 3).

        Args:
            colour: of the person, uint8 (H, W, 3).
            alpha: uint8 (H, W).
            behind: the background, (H, W, 3), whole values 0 to 255.
            layer: what it is of.
            lighting: what is asked for.
        """
        if lighting.table is not None:
            table = self._uploaded(lighting.table)
            colour = torch.stack([table[c][colour[..., c].long()] for c in range(3)], dim=-1)
        share = lighting.look.light_wrap / 100
        if not share:
            return colour
        glow = self._glow(behind, layer)
        rim = self._rim(alpha, share)[..., None] / 255
        own = self._decoded[colour.long()]
        return self._encoded(own + rim * self._decoded[glow.long()] * (1 - own))

    def over(self, colour: Tensor, alpha: Tensor, behind: Tensor) -> Tensor:
        """``a F + (1 - a) B`` of light, uint8 (H, W, 3)."""
        back = self._decoded[behind.long()]
        return self._encoded(back + (self._decoded[colour.long()] - back) * (alpha[..., None].float() * (1 / 255)))

    def _encoded(self, light: Tensor) -> Tensor:
        light = light.clamp(0, 1)
        level = self._first[(light * STEPS).long()]
        return level + (light >= self._bounds[level.long()]).to(torch.uint8)

    def _uploaded(self, table: Bytes) -> Tensor:
        key = table.tobytes()
        if self._table[0] != key:
            self._table = key, transfer.upload(table, self._device)
        return self._table[1]

    def _rim(self, alpha: Tensor, share: float) -> Tensor:
        """How much of the glow lies over each pixel, of 255, float (H, W)."""
        height, width = alpha.shape
        small = _smaller(alpha[..., None], REDUCE_ALPHA).round_()
        small = self._smoothed(small, height * RIM / REDUCE_ALPHA, 6).round_()
        return ((255 - _enlarged(small, height, width)[..., 0]) * share).round_()

    def _glow(self, behind: Tensor, layer: Layer) -> Tensor:
        def made() -> Tensor:
            height, width = behind.shape[:2]
            small = self._decoded[_smaller(behind, REDUCE_GLOW).round_().long()]
            light = self._encoded(self._smoothed(small, height * GLOW / REDUCE_GLOW, 8))
            return _enlarged(light.float(), height, width).to(torch.uint8)

        return self._glows.get(layer, lambda gone: made()) if isinstance(layer, Plate) else made()

    def _smoothed(self, values: Tensor, sigma: float, wide: int) -> Tensor:
        """A Gaussian by two matrix products, which are exact on every device; the border is continued.

        Args:
            values: float (h, w, n).
            sigma: standard deviation.
            wide: width of the kernel in standard deviations; OpenCV's is 6 for bytes and 8 for floating point.
        """
        rows, columns = (smoother(max(sigma, 0.3), length, self._device, wide) for length in values.shape[:2])
        flat = rows @ values.reshape(values.shape[0], -1)
        return torch.einsum("xw,ywc->yxc", columns, flat.reshape(values.shape))


@lru_cache(maxsize=16)
def smoother(sigma: float, length: int, device: torch.device, wide: int = 6) -> Tensor:
    """A Gaussian along one side, as a matrix, float32 (length, length); the border is continued.

    Args:
        sigma: standard deviation, pixels.
        length: of the side, pixels.
        device: where the matrix is to lie.
        wide: width of the kernel in standard deviations; OpenCV's is 6 for bytes and 8 for floating point.
    """
    kernel = cv2.getGaussianKernel(round(wide * sigma + 1) | 1, sigma)[:, 0]
    return torch.from_numpy(on_clamped(kernel, length)).to(device)


def _smaller(picture: Tensor, by: int) -> Tensor:
    """The mean over areas, float (h, w, n), as ``cv2.INTER_AREA``."""
    height, width, many = picture.shape
    values = picture.float()
    if not (height % by or width % by):
        return values.reshape(height // by, by, width // by, by, many).mean(dim=(1, 3))
    rows, columns = (_areas(length, max(1, length // by), picture.device) for length in (height, width))
    flat = rows @ values.reshape(height, -1)
    return torch.einsum("xw,ywc->yxc", columns, flat.reshape(-1, width, many))


@lru_cache(maxsize=8)
def _areas(full: int, low: int, device: torch.device) -> Tensor:
    """Weight of each pixel in each of ``low`` equal parts of a line, (low, full)."""
    edges, at = np.arange(low + 1) * (full / low), np.arange(full)
    inside = np.minimum(at + 1, edges[1:, None]) - np.maximum(at, edges[:-1, None])
    return torch.from_numpy((np.maximum(inside, 0) * (low / full)).astype(np.float32)).to(device)


def _enlarged(picture: Tensor, height: int, width: int) -> Tensor:
    """Whole values, float (H, W, n)."""
    planes = picture.permute(2, 0, 1)[None]
    large = torch.nn.functional.interpolate(planes, (height, width), mode="bilinear", align_corners=False)
    return large[0].permute(1, 2, 0).round_()
