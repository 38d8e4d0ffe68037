"""One step of the network at low resolution, packed for runtimes that take fixed shapes: 8-bit picture and states in,
linear model and states out. Bringing the model to full size is left to whoever is quickest at it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rvm_live.engines.rvm.folding import fold_batch_norm
from rvm_live.engines.rvm.network import MattingNetwork
from rvm_live.weights import LoadedWeights

__all__ = ["Step", "step_of"]


class Step(nn.Module):
    """The coarse network and its guided filter's model, for one frame.

    With slope and offset brought to full size, alpha is ``slope * mean(picture) + offset`` and the foreground
    ``slope * picture + offset``, all in grey levels 0-255, to be clamped.

    Args:
        network: with folded batch norm.
        refined: the picture is smaller than the frame; otherwise slopes are 0 for alpha and 1 for the foreground.
    """

    def __init__(self, network: MattingNetwork, *, refined: bool) -> None:
        super().__init__()
        self.network = network
        self.refined = refined

    def forward(
        self, picture: Tensor, r1: Tensor, r2: Tensor, r3: Tensor, r4: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Advance by one frame.

        Args:
            picture: uint8 (1, h, w, 3) BGR.
            r1: state, float32 (1, C, ceil(h / 2), ceil(w / 2)); r2, r3, r4 likewise at 1/4, 1/8, 1/16.

        Returns:
            Slope and offset of alpha, float32 (h, w); slope and offset of the foreground, float32 (h, w, 3) BGR; the
            new states.
        """
        base = picture.permute(0, 3, 1, 2).float().flip(1) / 255
        mat, hidden, s1, s2, s3, s4 = self.network.coarse(base, r1, r2, r3, r4)
        if self.refined:
            slope, offset = self.network.refiner.coefficients(base, mat, hidden)
        else:
            slope, offset = torch.zeros_like(mat), mat
        offset = offset * 255
        colour_slope = slope[0, :3].flip(0).permute(1, 2, 0) + 1
        colour_offset = offset[0, :3].flip(0).permute(1, 2, 0)
        return slope[0, 3], offset[0, 3], colour_slope, colour_offset, s1, s2, s3, s4


def step_of(weights: LoadedWeights, *, refined: bool) -> Step:
    """The step of a checkpoint, in evaluation mode, float32 on the CPU."""
    network = MattingNetwork(weights.variant, weights.refiner).eval().requires_grad_(False)
    network.load_state_dict(weights.state_dict, strict=True)
    fold_batch_norm(network)
    return Step(network, refined=refined).eval()
