"""The network at one size, step after step, in OpenVINO: without torch, which takes seconds to load."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from rvm_live.core.arrays import Bytes, Floats
from rvm_live.core.errors import EngineError, told_as
from rvm_live.engines.common import cpu_runtime
from rvm_live.system.telemetry_off import import_quietly

__all__ = ["STATES", "AnySize", "Bridge", "OpenVinoRunner", "Runner"]

STATES = 3
"""Recurrent states of the network."""
_HINTS = {"fp32": "f32", "bf16": "bf16"}


class Runner(Protocol):
    """Advances the network; keeps its recurrent state."""

    def run(self, picture: Bytes) -> Floats:
        """Alpha (h, w) in 0-1 of a picture (h, w, 3) BGR; its memory is good until the next run."""

    def reset(self) -> None:
        """Forget everything."""

    states: list[Floats]
    """Copies of the recurrent state; may be set."""


class OpenVinoRunner:
    """Compiled by OpenVINO for one size; the state stays inside the runtime.

    Args:
        core: ``openvino.Core``.
        model: from :func:`rvm_live.engines.lite.in_torch.openvino_model`, for one size, its states inside.
        precision: ``fp32`` or ``bf16``.

    Raises:
        EngineError: OpenVINO refuses the network.
    """

    def __init__(self, core: Any, model: Any, precision: str) -> None:
        compiled = _compiled(core, model, precision)
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


class AnySize:
    """Compiled once for all sizes; slower, and used until a network for the present size is ready.

    Args:
        core: ``openvino.Core``.
        model: from :func:`rvm_live.engines.lite.in_torch.openvino_model`, for any size, its states outside.
        precision: ``fp32`` or ``bf16``.

    Raises:
        EngineError: OpenVINO refuses the network.
    """

    def __init__(self, core: Any, model: Any, precision: str) -> None:
        self._compiled = _compiled(core, model, precision)

    def runner(self) -> Bridge:
        """The network at any one size."""
        return Bridge(self._compiled.create_infer_request())


class Bridge:
    """Runs at the size of its states, which must be set first."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self.states: list[Floats] = []

    def run(self, picture: Bytes) -> Floats:
        alpha, *states = (np.array(each) for each in self._request.infer([picture[None], *self.states]).values())
        self.states = states
        return np.asarray(alpha[0, 0], np.float32)

    def reset(self) -> None:
        for state in self.states:
            state[:] = 0


def _compiled(core: Any, model: Any, precision: str) -> Any:
    with told_as(EngineError, "OpenVINO refuses the network", of=RuntimeError):
        return core.compile_model(model, "CPU", cpu_runtime.openvino_options(_HINTS[precision]))
