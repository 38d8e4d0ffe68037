"""The network in torch, step after step, and as a model for OpenVINO."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rvm_live.core.arrays import Bytes, Floats
from rvm_live.core.errors import EngineError, told_as
from rvm_live.engines.common.openvino_models import converted
from rvm_live.engines.lite.network import LiteNetwork, state_shapes

__all__ = ["TorchRunner", "openvino_model"]

_EXAMPLE = (320, 176)


class _Packed(nn.Module):
    """uint8 (1, h, w, 3) BGR and states in; alpha (1, 1, h, w) and new states out.

    The two convolutions that look at the picture take its colours in their own order: their kernels are turned round
    in a copy. Dividing before the axes change places lets OpenVINO leave the pixels where they are.
    """

    def __init__(self, network: LiteNetwork) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        for conv in (self.network.encode2.conv, self.network.fine.pixels):
            conv.weight.data = conv.weight.data.flip(1)

    def forward(self, picture: Tensor, r1: Tensor, r2: Tensor, r3: Tensor) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = self.network((picture.float() / 255).permute(0, 3, 1, 2), r1, r2, r3)
        return found


def openvino_model(network: LiteNetwork) -> Any:
    """For :func:`rvm_live.engines.common.openvino_models.resized`, its states going in and out.

    Args:
        network: from :func:`rvm_live.engines.lite.weights.load_network`.

    Raises:
        EngineError: OpenVINO refuses the network.
    """
    width, height = _EXAMPLE
    states = [torch.zeros(shape) for shape in state_shapes(width, height)]
    picture = torch.zeros((1, height, width, 3), dtype=torch.uint8)
    with told_as(EngineError, "OpenVINO refuses the network", of=RuntimeError):
        return converted(_Packed(network).eval(), (picture, *states))


class TorchRunner:
    """The network in torch, on the CPU.

    Args:
        network: from :func:`rvm_live.engines.lite.weights.load_network`.
    """

    def __init__(self, network: LiteNetwork) -> None:
        self._network = _Packed(network).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._states: tuple[Tensor | None, ...] = (None,) * 3

    def run(self, picture: Bytes) -> Floats:
        with torch.inference_mode():
            alpha, *states = self._network(torch.from_numpy(picture[None]), *self._states)
        self._states = tuple(states)
        return np.ascontiguousarray(alpha[0, 0].numpy())

    def reset(self) -> None:
        self._states = (None,) * 3

    @property
    def states(self) -> list[Floats]:
        return [np.array(each.numpy()) for each in self._states if each is not None]

    @states.setter
    def states(self, values: list[Floats]) -> None:
        self._states = tuple(torch.from_numpy(each) for each in values) or (None,) * 3
