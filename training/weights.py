"""Reads and writes the network's weights during training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from rvm_live.engines.lite import weights as lite
from rvm_live.engines.lite.network import LiteNetwork

__all__ = ["Average", "Mean", "load_network", "read_checkpoint", "result", "write_checkpoint"]


class Average:
    """Exponential moving average of weights.

    Args:
        network: the network whose weights are averaged.
        decay: of the average; smaller during the first steps.
    """

    def __init__(self, network: LiteNetwork, decay: float = 0.998) -> None:
        self.decay = decay
        self.steps = 0
        self.values = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def follow(self, network: LiteNetwork) -> None:
        """Add the network's present weights."""
        self.steps += 1
        weight = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(list(self.values.values()), list(network.state_dict().values()), weight)

    def network(self) -> LiteNetwork:
        """A new network with the averaged weights."""
        network = LiteNetwork()
        network.load_state_dict(self.values, strict=True)
        return network.eval()


class Mean:
    """Plain mean of weights that are added one set after another."""

    def __init__(self) -> None:
        self.count = 0
        self.values: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def add(self, values: dict[str, torch.Tensor]) -> None:
        """Add one set of weights."""
        self.count += 1
        if self.count == 1:
            self.values = {name: value.clone() for name, value in values.items()}
        else:
            torch._foreach_lerp_(list(self.values.values()), list(values.values()), 1 / self.count)


def write_checkpoint(path: Path, **content: Any) -> None:
    """Write a file completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(content, part)
    os.replace(part, path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return found


def result(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The weights that a run ends with: the mean over its last third, or the moving average where it was stopped
    earlier."""
    values: dict[str, torch.Tensor] = checkpoint["mean"] or checkpoint["average"]
    return values


def load_network(path: Path | None = None) -> LiteNetwork:
    """The network with a checkpoint's :func:`result`, or with exported weights; None: with those in the package."""
    if path is None or path.suffix == ".safetensors":
        return lite.load_network(path).requires_grad_(True)
    network = LiteNetwork()
    network.load_state_dict(result(read_checkpoint(path)), strict=True)
    return network
