"""ONNX files for tests: for one size, and for any size like those of the RVM authors' release."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from rvm_live.engines.common.fixed_network import INPUTS, OUTPUTS, Shape, make
from rvm_live.network.network import MattingNetwork
from rvm_live.weights import load

__all__ = ["save_fixed", "save_flexible"]


def save_fixed(weights: Path, path: Path, width: int, height: int, ratio: float, *, half: bool = False) -> Path:
    """A file as `rvm-live export` makes it, without the check."""
    facts = {
        "made_by": "rvm-live 0",
        "model": "mobilenetv3",
        "downsample_ratio": str(ratio),
        "inputs": "",
        "outputs": "",
    }
    path.write_bytes(make("onnx", load(weights), Shape(width, height, ratio, half), facts)[".onnx"])
    return path


class _AnySize(nn.Module):
    def __init__(self, network: MattingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, src: Tensor, r1: Tensor, r2: Tensor, r3: Tensor, r4: Tensor, downsample_ratio: Tensor
    ) -> tuple[Tensor, ...]:
        # While tracing, sizes are tensors and stay variable.
        size = [(downsample_ratio[0] * side).long() for side in src.shape[2:]]
        base = functional.interpolate(src, size, mode="bilinear", align_corners=False)
        mat, hidden, *states = self.network.coarse(base, r1, r2, r3, r4)
        return (*self.network.refine(src, base, mat, hidden), *states)


def save_flexible(weights: Path, path: Path) -> Path:
    """A file for any size with an input ``downsample_ratio``; its states start as zeros of shape (1, 1, 1, 1)."""
    loaded = load(weights)
    network = MattingNetwork(loaded.variant, loaded.refiner).eval().requires_grad_(False)
    network.load_state_dict(loaded.state_dict, strict=True)
    example = (torch.rand(1, 3, 80, 96), *(torch.zeros(1, 1, 1, 1) for _ in range(4)), torch.tensor([0.5]))
    axes = {name: {2: f"{name}_height", 3: f"{name}_width"} for name in ("src", "fgr", "pha")}
    axes |= {f"r{n}{end}": {d: f"r{n}{end}_{d}" for d in range(4)} for n in range(1, 5) for end in "io"}
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _AnySize(network).eval(),
            example,
            str(path),
            input_names=[*INPUTS, "downsample_ratio"],
            output_names=list(OUTPUTS),
            dynamic_axes=axes,
            opset_version=12,
            dynamo=False,
        )
    return path
