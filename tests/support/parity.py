"""Runs the reference cases of the official implementation through our network; also a program of its own.

Convolution kernels round differently from one instruction set to the next, and networks with formula weights (whose
activations reach the thousands) amplify that to 1e-3. The references were made by oneDNN's AVX2 kernels on more than
one thread. So an exact comparison needs ``ONEDNN_MAX_CPU_ISA=AVX2``, which oneDNN reads only when it is loaded: hence
the separate process.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from rvm_live.network.network import MattingNetwork

__all__ = ["CASES", "OUTPUTS", "differences", "formula", "formula_network"]

CASES = ("full", "half", "quarter")
OUTPUTS = ("fgr", "pha", "r1", "r2", "r3", "r4")


def formula(data: Path) -> ModuleType:
    """The module that computes weights from names and shapes."""
    spec = importlib.util.spec_from_file_location("formula_weights", data / "reference" / "formula_weights.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def formula_network(data: Path, variant: str, refiner: str) -> MattingNetwork:
    """A network in eval mode with formula weights."""
    network = MattingNetwork(variant, refiner).eval()
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    network.load_state_dict(formula(data).formula_state_dict(shapes), strict=True)
    return network


def differences(data: Path, variant: str, refiner: str, *, double: bool = False) -> dict[str, list[float]]:
    """Distances from the reference: ``case_output`` -> [largest, mean, 1 if stored as float16]."""
    network = formula_network(data, variant, refiner)
    dtype = torch.float64 if double else torch.float32
    network = network.to(dtype)
    reference = np.load(data / "reference" / f"{variant}_{refiner}.npz")
    told: dict[str, list[float]] = {}
    for case in CASES:
        ratio = float(reference[f"{case}_ratio"])
        states: list[torch.Tensor | None] = [None] * 4
        with torch.inference_mode():
            for picture in reference[f"{case}_src_u8"]:
                src = torch.from_numpy(picture).to(dtype).div(255)[None]
                out = network(src, *states, downsample_ratio=ratio)
                states = list(out[2:])
        for name, ours in zip(OUTPUTS, out, strict=True):
            theirs = reference[f"{case}_{name}"]
            assert ours[0].shape == theirs.shape, f"{case}_{name}: {ours[0].shape} instead of {theirs.shape}"
            apart = np.abs(ours[0].numpy() - theirs.astype(np.float64))
            half = float(theirs.dtype == np.float16)
            told[f"{case}_{name}"] = [float(apart.max()), float(apart.mean()), half]
    return told


if __name__ == "__main__":
    torch.set_num_threads(2)
    folder = Path(sys.argv[1])
    sys.stdout.write(json.dumps({name: differences(folder, *name.split("/")) for name in sys.argv[2:]}))
