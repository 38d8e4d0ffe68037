"""The matte's edge where the matte lies: what :mod:`rvm_live.compositing.edge` does on the processor.

Of the whole picture, not of a box around somebody: colours may be spread from a little further away.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from rvm_live.compositing.edge import AROUND, BOX, FAR_IN, FULL_HUE, HUE, NOBODY, REACH, RIM, SURE
from rvm_live.compositing.lighting_torch import smoother
from rvm_live.core.arrays import Bytes
from rvm_live.core.frames import LEAST_ALPHA, Matte
from rvm_live.core.look import Look
from rvm_live.finishing.one_pass import CELL, LEAST_SUM

__all__ = ["edged_on_device"]

Tensor = torch.Tensor


@torch.inference_mode()
def edged_on_device(matte: Matte, look: Look, *, source_foreground: bool = False) -> Matte:
    """The matte with another edge, on its device; as :func:`rvm_live.compositing.edge.edged`."""
    device = matte.alpha.device
    known = matte.tensor(device)
    colour = known.image if source_foreground else known.colour
    before, image = known.alpha, known.image
    outwards = look.grow - look.shrink
    alpha = _softened(_moved(before.float(), outwards), look.soften)
    alpha = torch.where(alpha < LEAST_ALPHA, 0, alpha)
    if look.despill:
        colour = _despilled(colour, before, image, RIM * before.shape[0])
    margin = math.ceil(max(outwards, 0)) + math.ceil(2 * look.soften) + 2
    colour, alpha = _own(colour, before.float(), alpha, margin)
    ready: Any = None
    if device.type == "cuda":
        ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
        ready.record(torch.cuda.current_stream(device))
    return replace(matte, alpha=alpha.to(torch.uint8), foreground=colour, image=image, ready=ready)


def _moved(alpha: Tensor, outwards: float) -> Tensor:
    """Alpha, float (H, W) of whole values, with its edge moved outwards by a number of pixels; inwards if negative."""
    whole, part = math.floor(abs(outwards)), abs(outwards) % 1
    values = alpha if outwards > 0 else 255 - alpha
    made = _grown(values, whole)
    if part:
        made = (made * (1 - part) + _grown(values, whole + 1) * part).round()
    return made if outwards > 0 else 255 - made


def _grown(alpha: Tensor, pixels: int) -> Tensor:
    square = round(pixels * (math.sqrt(2) - 1))
    made = alpha[None, None]
    if square:
        made = torch.nn.functional.max_pool2d(made, 2 * square + 1, 1, square)
    for _ in range(pixels - square):
        across = torch.nn.functional.max_pool2d(made, (1, 3), 1, (0, 1))
        made = torch.maximum(across, torch.nn.functional.max_pool2d(made, (3, 1), 1, (1, 0)))
    return made[0, 0]


def _softened(alpha: Tensor, pixels: float) -> Tensor:
    if not pixels:
        return alpha
    return _gauss(alpha, pixels / 2).round()


def _gauss(alpha: Tensor, sigma: float) -> Tensor:
    rows, columns = (smoother(sigma, length, alpha.device) for length in alpha.shape)
    return rows @ alpha @ columns.T


def _carried(colour: Tensor, weight: Tensor, reach: float) -> Tensor:
    """Colours, and what they are carried by, of cells, float (4, h, w)."""
    weighted = torch.cat((colour.permute(2, 0, 1).float() * (weight / 255), weight[None]))
    down, right = -weight.shape[0] % CELL, -weight.shape[1] % CELL
    sums = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(weighted, (0, right, 0, down))[None], CELL)
    side = BOX // 2
    for _ in range(1 + math.ceil(reach / REACH)):
        mode = "reflect" if min(sums.shape[2:]) > side else "replicate"
        sums = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(sums, (side,) * 4, mode=mode), BOX, 1)
    sums = sums[0]
    there = sums[3:]
    colours = torch.where(there < LEAST_SUM, 0, sums[:3] * (255 / there.clamp(min=LEAST_SUM)))
    return torch.cat((colours, there))


def _full(cells: Tensor, height: int, width: int) -> Tensor:
    """Values of cells, (n, h, w), interpolated at every pixel, (H, W, n)."""
    large = torch.nn.functional.interpolate(cells[None], scale_factor=CELL, mode="bilinear", align_corners=False)
    return large[0, :, :height, :width].permute(1, 2, 0)


def _table(table: Bytes, alpha: Tensor) -> Tensor:
    return _there(table.tobytes(), alpha.device)[alpha.long()]


@lru_cache(maxsize=8)
def _there(table: bytes, device: torch.device) -> Tensor:
    return torch.from_numpy(np.frombuffer(table, np.uint8).astype(np.float32)).to(device)


def _own(colour: Tensor, before: Tensor, alpha: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Colours for where alpha became more, and alpha, which stays as it was where there are none."""
    model = _full(_carried(colour, _table(SURE, before), reach), *alpha.shape)
    more = alpha > before
    reached = more & (model[..., 3] >= LEAST_SUM)
    old = (before / alpha.clamp(min=1))[..., None]
    mixed = (model[..., :3] + old * (colour - model[..., :3]) + 0.5).clamp(0, 255).to(torch.uint8)
    return torch.where(reached[..., None], mixed, colour), torch.where(more & ~reached, before, alpha)


def _despilled(colour: Tensor, alpha: Tensor, image: Tensor, rim: float) -> Tensor:
    height, width = alpha.shape
    padded = torch.nn.functional.pad(alpha.float()[None, None], (0, -width % CELL, 0, -height % CELL), mode="replicate")
    small = torch.nn.functional.avg_pool2d(padded, CELL)[0, 0].round()
    small = _gauss(small, max(rim / CELL, 0.3)).round()
    inside = _full(small[None], height, width)[..., 0].round()
    outside = _carried(image, _table(NOBODY, alpha), AROUND)
    own = _carried(colour, _table(SURE, torch.minimum(alpha.float(), inside)), AROUND)
    hue = outside[:3] - outside[:3].mean(dim=0, keepdim=True)
    strong = hue.square().sum(dim=0, keepdim=True).sqrt()
    counts = ((strong - HUE) / (FULL_HUE - HUE)).clamp(0, 1) * (own[3:] >= LEAST_SUM)
    hue = hue * counts.sqrt() / strong.clamp(min=1)
    model = _full(torch.cat((hue, (own[:3] * hue).sum(dim=0, keepdim=True))), height, width)
    s, limit = model[..., :3], model[..., 3:]
    share = ((255 - inside[..., None]) * (2 / 255)).clamp(max=1)
    front = colour.float()
    front = front - share * ((front * s).sum(dim=2, keepdim=True) - limit).clamp(min=0) * s
    at = ((alpha > 0) & (inside < FAR_IN))[..., None]
    return torch.where(at, (front + 0.5).clamp(0, 255).to(torch.uint8), colour)
