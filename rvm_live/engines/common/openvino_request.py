"""A compiled OpenVINO network with its recurrent state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import openvino

__all__ = ["OpenVinoRequest"]


class OpenVinoRequest:
    """The network and its guided filter at one size, ready to run, with its recurrent state.

    The state stays inside the runtime, in whatever form suits it, where the network has one; a quantised network, whose
    state OpenVINO cannot keep, reads it from one set of tensors and writes it to another, in turns.

    Args:
        coarse: the network, compiled.
        model: the guided filter's model, compiled.
        tensor: ``openvino.Tensor``.
        low: width and height, where both were compiled for any.
        states: shapes of the states, likewise.
    """

    def __init__(
        self,
        coarse: openvino.CompiledModel,
        model: openvino.CompiledModel,
        tensor: Any,
        low: tuple[int, int] = (0, 0),
        states: Sequence[tuple[int, ...]] = (),
    ) -> None:
        self._tensor = tensor
        self._coarse, self._model = coarse.create_infer_request(), model.create_infer_request()
        self._inside = sorted(self._coarse.query_state(), key=lambda state: str(state.name))
        found = len(model.inputs) - 1
        outside = coarse.outputs[found:]
        shapes = states or [tuple(each.shape) for each in outside]
        self._before, self._after = (
            [tensor(each.element_type, shape) for each, shape in zip(outside, shapes, strict=True)] for _ in range(2)
        )
        if states:
            for request, outputs in ((self._coarse, coarse.outputs[:found]), (self._model, model.outputs)):
                for index, each in enumerate(outputs):
                    request.set_output_tensor(index, tensor(each.element_type, _of(each.partial_shape, low)))
        # The model reads the network's results from the memory that the network writes them to.
        for index in range(found):
            self._model.set_input_tensor(index + 1, self._coarse.get_output_tensor(index))
        self._found = [self._model.get_output_tensor(index).data for index in range(len(model.outputs))]
        self.reset()

    def run(self, picture: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Advance by a picture (h, w, 3) BGR; returns the model's parts, whose memory is good until the next run."""
        for index, (before, after) in enumerate(zip(self._before, self._after, strict=True)):
            self._coarse.set_input_tensor(index + 1, before)
            self._coarse.set_output_tensor(len(self._model.input_tensors) - 1 + index, after)
        self._before, self._after = self._after, self._before
        tensor = self._tensor(picture[None], shared_memory=True)
        for request in (self._coarse, self._model):
            request.set_input_tensor(0, tensor)
            request.start_async()
            request.wait()
        return self._found

    def reset(self) -> None:
        """Forget everything."""
        self._coarse.reset_state()
        for before in self._before:
            before.data[:] = 0

    @property
    def states(self) -> list[NDArray[np.float32]]:
        """Copies of r1 to r4, (1, C, h, w)."""
        return [np.array(each.data, np.float32) for each in self._before or [each.state for each in self._inside]]

    @states.setter
    def states(self, values: list[NDArray[np.float32]]) -> None:
        for before, value in zip(self._before, values, strict=False):
            before.data[:] = value
        for state, value in zip(self._inside, values, strict=False):
            state.state = self._tensor(np.ascontiguousarray(value))


def _of(shape: Any, low: tuple[int, int]) -> list[int]:
    """A shape with its dynamic lines and columns set."""
    told = iter((low[1], low[0]))
    return [next(told) if each.is_dynamic else each.get_length() for each in shape]
