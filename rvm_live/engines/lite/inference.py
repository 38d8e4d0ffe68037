"""The network at one size, step after step, in OpenVINO or in torch."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rvm_live.core.errors import EngineError, words_of
from rvm_live.engines.common import cpu_runtime
from rvm_live.engines.common.openvino_models import converted, keep_state
from rvm_live.engines.lite.network import LiteNetwork, state_shapes
from rvm_live.network.fuse_batch_norm import fold_batch_norm
from rvm_live.system.telemetry_off import import_quietly

__all__ = ["OpenVinoRunner", "Runner", "TorchRunner", "folded"]

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

_HINTS = {"fp32": "f32", "bf16": "bf16"}


class Runner(Protocol):
    """Advances the network; keeps its recurrent state."""

    def run(self, picture: Bytes) -> Floats:
        """Alpha (h, w) in 0-1 of a picture (h, w, 3) BGR; its memory is good until the next run."""

    def reset(self) -> None:
        """Forget everything."""

    states: list[Floats]
    """Copies of the recurrent state; may be set."""


class _Packed(nn.Module):
    """uint8 (1, h, w, 3) BGR and states in; alpha (1, 1, h, w) and new states out."""

    def __init__(self, network: LiteNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor, r1: Tensor, r2: Tensor, r3: Tensor) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = self.network(picture.permute(0, 3, 1, 2).float().flip(1) / 255, r1, r2, r3)
        return found


def folded(network: LiteNetwork) -> LiteNetwork:
    """The network in evaluation mode, its batch norms folded in place: it computes the same in fewer passes."""
    network.eval().requires_grad_(False)
    fold_batch_norm(network)
    return network


class OpenVinoRunner:
    """Compiled by OpenVINO for one size; the state stays inside the runtime.

    Args:
        core: ``openvino.Core``.
        network: from :func:`folded`.
        size: width and height.
        precision: ``fp32`` or ``bf16``.

    Raises:
        EngineError: OpenVINO refuses the network.
    """

    def __init__(self, core: Any, network: LiteNetwork, size: tuple[int, int], precision: str) -> None:
        states = [torch.zeros(shape) for shape in state_shapes(*size)]
        picture = torch.zeros((1, size[1], size[0], 3), dtype=torch.uint8)
        try:
            model = converted(_Packed(network).eval(), (picture, *states))
            keep_state(model, len(states))
            compiled = core.compile_model(model, "CPU", cpu_runtime.openvino_options(_HINTS[precision]))
        except RuntimeError as error:
            raise EngineError(f"OpenVINO refuses the network: {words_of(error)}") from error
        self._tensor = import_quietly("openvino").Tensor
        self._request = compiled.create_infer_request()
        self._alpha: Floats = self._request.get_output_tensor(0).data[0, 0]

    def run(self, picture: Bytes) -> Floats:
        self._request.set_input_tensor(0, self._tensor(picture[None], shared_memory=True))
        self._request.start_async()
        self._request.wait()
        return self._alpha

    def reset(self) -> None:
        self._request.reset_state()

    @property
    def states(self) -> list[Floats]:
        return [np.array(each.state.data, np.float32) for each in self._inside()]

    @states.setter
    def states(self, values: list[Floats]) -> None:
        for inside, value in zip(self._inside(), values, strict=True):
            inside.state = self._tensor(np.ascontiguousarray(value))

    def _inside(self) -> list[Any]:
        return sorted(self._request.query_state(), key=lambda state: str(state.name))


class TorchRunner:
    """The network in torch, on the CPU.

    Args:
        network: from :func:`folded`.
    """

    def __init__(self, network: LiteNetwork) -> None:
        self._network = _Packed(network.to(memory_format=torch.channels_last)).eval()  # type: ignore[call-overload]
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
