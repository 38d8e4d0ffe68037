"""As :mod:`rvm_live.compositing.reframing`, where mattes lie on a device: nothing comes down but a few cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rvm_live.compositing.following import Box, Placement, people_in
from rvm_live.core import transfer
from rvm_live.core.frames import Frame, Matte

__all__ = ["Finder", "reframed_on_device"]

_CELLS = 64


class Finder:
    """Finds people in mattes on a device without waiting for it: what is found is that of the frame before."""

    def __init__(self) -> None:
        self._coming: tuple[Tensor, Any] | None = None
        self._box: Box | None = None

    def __call__(self, matte: Matte) -> Box | None:
        alpha = matte.tensor(matte.alpha.device).alpha
        height, width = alpha.shape
        cells = functional.interpolate(
            alpha[None, None].float(), size=(max(1, round(_CELLS * height / width)), _CELLS), mode="area"
        )[0, 0].to(torch.uint8)
        if self._coming is not None:
            there, event = self._coming
            if event is None or event.query():
                self._box, self._coming = people_in(np.array(there.numpy())), None
        if self._coming is None:
            if cells.device.type == "cuda":
                host = torch.empty(cells.shape, dtype=torch.uint8, pin_memory=True)
                host.copy_(cells, non_blocking=True)
                self._coming = host, transfer.mark(cells.device)
            else:
                self._coming = cells.cpu(), None
        return self._box


@torch.inference_mode()
def reframed_on_device(matte: Matte, frame: Frame, placement: Placement, *, source_foreground: bool) -> Matte:
    """The matte where ``placement`` puts it, on its own device, in its current stream.

    Args:
        matte: of a frame (H, W).
        frame: that one, moved.
        placement: of the frame under the picture.
        source_foreground: take the frame's own colours.
    """
    device = matte.alpha.device
    there = matte.tensor(device)
    height, width = there.alpha.shape
    alpha = there.alpha[..., None].float()
    colour = there.image if source_foreground else there.colour
    planes = torch.cat((colour.float() * (alpha / 255), alpha, there.image.float()), dim=-1).permute(2, 0, 1)[None]
    scale, x, y = placement
    theta = torch.tensor([[[1 / scale, 0, 2 * x - 1], [0, 1 / scale, 2 * y - 1]]], device=device)
    grid = functional.affine_grid(theta, [1, 1, height, width], align_corners=False)
    moved = functional.grid_sample(planes, grid, mode="bilinear", padding_mode="border", align_corners=False)
    inside = (grid[0].abs() <= 1).all(dim=-1, keepdim=True)
    moved = moved[0].permute(1, 2, 0) * inside
    share = moved[..., 3:4]
    whole = torch.where(share > 0.5, moved[..., :3] * (255 / share.clamp(min=0.5)), 0.0)
    soft, own, image = (each.round().clamp(0, 255).to(torch.uint8) for each in (share[..., 0], whole, moved[..., 4:]))
    ready, times = transfer.mark(device), (matte.started_ns, matte.finished_ns, matte.elapsed_ns)
    return Matte(frame, soft, own.contiguous(), image.contiguous(), ready, *times)
