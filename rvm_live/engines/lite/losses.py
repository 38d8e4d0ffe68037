"""Losses for training."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rvm_live.engines.lite.network import REACH

__all__ = ["laplacian", "matting_loss", "outline_loss", "settled"]

_SURE = 0.02


def settled(alpha: Tensor, truth: Tensor) -> Tensor:
    """Alpha in which values beyond 0 or 1 on the right side are no error: otherwise a confident network would be pulled
    back to where the stretched sigmoid meets 0 and 1, which gives grey far from any person."""
    alpha = torch.where((alpha > 1) & (truth > 1 - _SURE), truth, alpha)
    return torch.where((alpha < 0) & (truth < _SURE), truth, alpha)


def _smoothed(x: Tensor) -> Tensor:
    """Half the size, by averages over 2x2 (odd edges too)."""
    return functional.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)


def laplacian(x: Tensor, levels: int = 4) -> list[Tensor]:
    """Differences between each size and the next, (N, 1, h, w) each, and what is left."""
    bands = []
    for _ in range(levels):
        small = _smoothed(x)
        bands.append(x - functional.interpolate(small, x.shape[2:], mode="bilinear", align_corners=False))
        x = small
    return [*bands, x]


def outline_loss(alpha: Tensor, truth: Tensor, reach: int = 2) -> Tensor:
    """L1 where an outline is within ``reach`` pixels, as a share of the whole picture's pixels."""
    side = 2 * reach + 1
    highest = functional.max_pool2d(truth, side, 1, reach)
    lowest = -functional.max_pool2d(-truth, side, 1, reach)
    return ((alpha - truth).abs() * (highest - lowest > 0.1)).mean()


def matting_loss(alpha: Tensor, truth: Tensor, time: int, certainty: float = 0.0, outline: float = 0.0) -> Tensor:
    """L1 on alpha, on its Laplacian pyramid (Hou and Liu 2019; as in Lin et al. 2021), on its change in time.

    Args:
        alpha: estimate (B * time, 1, h, w), time varying fastest.
        truth: likewise, in 0-1.
        time: moments.
        certainty: weight of a cross-entropy, which pulls hardest where the network is surely wrong.
        outline: weight of :func:`outline_loss`.
    """
    loss = (alpha - truth).abs().mean()
    difference = laplacian(alpha - truth)  # the pyramid of a difference is the difference of the pyramids
    for level, band in enumerate(difference):
        loss = loss + band.abs().mean() * 2**level / len(difference)
    if time > 1:
        apart = (alpha - truth).reshape(-1, time, *alpha.shape[1:])
        loss = loss + (apart[:, 1:] - apart[:, :-1]).abs().mean()
    if certainty:
        chance = (alpha + (REACH - 1) / 2) / REACH
        loss = loss + certainty * functional.binary_cross_entropy(chance.clamp(0, 1), truth)
    if outline:
        loss = loss + outline * outline_loss(alpha, truth)
    return loss
