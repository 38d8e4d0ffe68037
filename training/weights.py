"""Where the network's weights are read from and written to while training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from rvm_live.engines.lite import weights as lite
from rvm_live.engines.lite.network import LiteNetwork

__all__ = ["Average", "load_network", "read_checkpoint", "write_checkpoint"]


class Average:
    """Exponential moving average of weights and running statistics; what is exported.

    Args:
        network: whose values are followed.
        decay: of the average; quicker during the first steps.
    """

    def __init__(self, network: LiteNetwork, decay: float = 0.998) -> None:
        self.decay = decay
        self.steps = 0
        self.values = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def follow(self, network: LiteNetwork) -> None:
        """Take in the network's present values."""
        self.steps += 1
        weight = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        ours, theirs = [], []
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                ours.append(self.values[name])
                theirs.append(value)
            else:
                self.values[name].copy_(value)
        torch._foreach_lerp_(ours, theirs, weight)

    def network(self) -> LiteNetwork:
        """A network of its own with the averages."""
        network = LiteNetwork()
        network.load_state_dict(self.values, strict=True)
        return network.eval()


def write_checkpoint(path: Path, **content: Any) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(content, part)
    os.replace(part, path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return found


def load_network(path: Path | None = None) -> LiteNetwork:
    """The network with the averages of a checkpoint, or with exported weights; None: those in the package."""
    if path is None or path.suffix == ".safetensors":
        return lite.load_network(path).requires_grad_(True)
    network = LiteNetwork()
    network.load_state_dict(read_checkpoint(path)["average"], strict=True)
    return network
