"""One step of the network at low resolution, packed for runtimes that take fixed shapes: 8-bit picture and states in,
linear model and states out. The model is brought to full size elsewhere.

It comes in two parts, because they want different precision: the network itself keeps its result in 16 bits, the
covariances of the guided filter, differences of nearly equal numbers, do not. ``python -m benchmarks cpu`` tells how
far alpha is from the plain network's.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rvm_live.network.fuse_batch_norm import fold_batch_norm
from rvm_live.network.network import MattingNetwork
from rvm_live.network.refiners import FastGuidedFilter
from rvm_live.weights import LoadedWeights

__all__ = ["Coarse", "LinearModel", "Parts", "parts_of"]


class Coarse(nn.Module):
    """The low-resolution network, for one frame.

    Args:
        network: with folded batch norm.
        hidden: return the hidden features, which the deep guided filter alone makes use of.
    """

    def __init__(self, network: MattingNetwork, *, hidden: bool) -> None:
        super().__init__()
        self.network = network
        self.hidden = hidden

    def forward(self, picture: Tensor, r1: Tensor, r2: Tensor, r3: Tensor, r4: Tensor) -> tuple[Tensor, ...]:
        """Advance by one frame.

        Args:
            picture: uint8 (1, h, w, 3) BGR.
            r1: state, float32 (1, C, ceil(h / 2), ceil(w / 2)); r2, r3, r4 likewise at 1/4, 1/8, 1/16.

        Returns:
            ``mat`` (1, 4, h, w), the hidden features (1, 16, h, w) where they are wanted, the new states.
        """
        mat, hidden, *states = self.network.coarse(_base(picture), r1, r2, r3, r4)
        return (mat, hidden, *states) if self.hidden else (mat, *states)


class LinearModel(nn.Module):
    """The guided filter's linear model, from what :class:`Coarse` found.

    With slope and offset brought to full size, alpha is ``slope * mean(picture) + offset`` and the foreground
    ``slope * picture + offset``, all in grey levels 0-255, to be clamped.

    Args:
        network: with folded batch norm.
        refined: the picture is smaller than the frame; otherwise slopes are 0 for alpha and 1 for the foreground.
        coloured: fit the foreground, too.
    """

    def __init__(self, network: MattingNetwork, *, refined: bool, coloured: bool) -> None:
        super().__init__()
        self.network = network
        self.refined = refined
        self.coloured = coloured

    def forward(self, picture: Tensor, mat: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, ...]:
        """Fit the model.

        Args:
            picture: uint8 (1, h, w, 3) BGR.
            mat: foreground residual and alpha, float32 (1, 4, h, w).
            hidden: float32 (1, 16, h, w), where :class:`Coarse` gives it.

        Returns:
            Slope and offset of alpha, float32 (h, w); where it is wanted, slope and offset of the foreground, float32
            (h, w, 3) BGR.
        """
        refiner = self.network.refiner
        if not self.refined:
            slope, offset = torch.zeros_like(mat), mat
        elif self.coloured or not isinstance(refiner, FastGuidedFilter):
            # A filter without weights does not use the features.
            slope, offset = refiner.coefficients(_base(picture), mat, mat if hidden is None else hidden)
        else:
            slope, offset = refiner.fit(_base(picture).mean(1, keepdim=True), mat[:, 3:], 1)
        offset = offset * 255
        alpha = (slope[0, -1], offset[0, -1])
        if not self.coloured:
            return alpha
        colour_slope = slope[0, :3].flip(0).permute(1, 2, 0) + 1
        colour_offset = offset[0, :3].flip(0).permute(1, 2, 0)
        return (*alpha, colour_slope, colour_offset)


class Parts(NamedTuple):
    """Both parts of a step."""

    coarse: Coarse
    model: LinearModel


def parts_of(weights: LoadedWeights, *, refined: bool, coloured: bool) -> Parts:
    """The parts for a checkpoint, in evaluation mode, float32 on the CPU."""
    network = MattingNetwork(weights.variant, weights.refiner).eval().requires_grad_(False)
    network.load_state_dict(weights.state_dict, strict=True)
    fold_batch_norm(network)
    hidden = refined and weights.refiner == "deep_guided_filter"
    return Parts(Coarse(network, hidden=hidden).eval(), LinearModel(network, refined=refined, coloured=coloured).eval())


def _base(picture: Tensor) -> Tensor:
    """uint8 (1, h, w, 3) BGR -> float32 (1, 3, h, w) RGB in 0-1."""
    return picture.permute(0, 3, 1, 2).float().flip(1) / 255
