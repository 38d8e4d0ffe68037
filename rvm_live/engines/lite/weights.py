"""The weights of the engine ``lite``: they lie beside this file, in half precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from rvm_live.core.errors import WeightsError
from rvm_live.engines.lite.engine import EMBEDDED
from rvm_live.engines.lite.learned import Learned, tensors
from rvm_live.engines.lite.network import LiteNetwork
from rvm_live.weights.checkpoint import Unfit, inspect
from rvm_live.weights.files import file_bytes

__all__ = ["learn", "load_network"]


def load_network(path: Path | None = None) -> LiteNetwork:
    """The network with its weights, float32 on the CPU, in evaluation mode.

    Args:
        path: file written by ``training.export``; None: the one in the package.

    Raises:
        WeightsError: it is missing, damaged, or of another network.
    """
    path = path or EMBEDDED
    data = file_bytes(path)
    network = LiteNetwork()
    try:
        entries = inspect(data)
        shapes = {name: entry.shape for name, entry in entries.items()}
        wanted = {name: tuple(value.shape) for name, value in network.state_dict().items() if value.is_floating_point()}
        if shapes != wanted:
            raise WeightsError(f"weights {path} are for another network than lite: leave --weights out")
        values = {name: entry.read().float() for name, entry in entries.items()}
    except Unfit as error:
        told = f"weights {path} are not a safetensors file of the engine lite: leave --weights out"
        raise WeightsError(told) from error
    # Batch norm counts batches only during training; these counters are not in the file.
    values |= {name: value for name, value in network.state_dict().items() if not value.is_floating_point()}
    network.load_state_dict(values, strict=True)
    return network.eval().requires_grad_(False)


def learn(network: LiteNetwork, learned: Learned) -> None:
    """Load what was learnt into a network that has the packaged weights.

    Raises:
        WeightsError: the file is damaged, or of another network.
    """
    values = network.state_dict()
    for name, value in tensors(learned.path).items():
        if name not in values or tuple(values[name].shape) != value.shape or not np.isfinite(value).all():
            raise WeightsError(
                f"{learned.path} is for another network: delete it with rvm-live learn --forget {learned.name}"
            )
        values[name].copy_(torch.from_numpy(value))
