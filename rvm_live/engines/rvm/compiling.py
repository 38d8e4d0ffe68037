"""The low-resolution network compiled by OpenVINO, one per size, kept in memory and on disk."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rvm_live import __version__, threads
from rvm_live.engines.rvm.ladder import state_shapes
from rvm_live.errors import EngineError
from rvm_live.weights import LoadedWeights, cache_dir

if TYPE_CHECKING:
    import openvino

__all__ = ["Step", "StepCompiler", "one_line"]

_log = logging.getLogger("rvm_live")

_FORMAT = 2
"""Of what is kept on disk; goes up when :mod:`rvm_live.engines.rvm.step` changes its meaning."""
_HINTS = {"fp32": "f32", "bf16": "bf16"}


def options(hint: str) -> dict[str, Any]:
    """How OpenVINO compiles for the CPU; ``hint`` is a precision in its own words."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads.plan(threads.usable_cores()).matting,
        "INFERENCE_PRECISION_HINT": hint,
        "CACHE_DIR": str(cache_dir() / "openvino"),
    }


class Step:
    """A step of one size, ready to run. The recurrent state stays inside the runtime, in whatever form suits it.

    Args:
        coarse: the network, compiled.
        model: the guided filter's model, compiled.
        tensor: ``openvino.Tensor``.
    """

    def __init__(self, coarse: openvino.CompiledModel, model: openvino.CompiledModel, tensor: Any) -> None:
        self._tensor = tensor
        self._coarse, self._model = coarse.create_infer_request(), model.create_infer_request()
        self._states = sorted(self._coarse.query_state(), key=lambda state: str(state.name))
        # The model looks for what the network found where the network leaves it.
        for index in range(len(model.inputs) - 1):
            self._model.set_input_tensor(index + 1, self._coarse.get_output_tensor(index))
        self._found = [self._model.get_output_tensor(index).data for index in range(len(model.outputs))]

    def run(self, picture: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Advance by a picture (h, w, 3) BGR; returns the model's parts, whose memory is good until the next run."""
        tensor = self._tensor(picture[None], shared_memory=True)
        for request in (self._coarse, self._model):
            request.set_input_tensor(0, tensor)
            request.start_async()
            request.wait()
        return self._found

    def reset(self) -> None:
        """Forget everything."""
        self._coarse.reset_state()

    @property
    def states(self) -> list[NDArray[np.float32]]:
        """Copies of r1 to r4, (1, C, h, w)."""
        return [np.array(state.state.data, np.float32) for state in self._states]

    @states.setter
    def states(self, values: list[NDArray[np.float32]]) -> None:
        for state, value in zip(self._states, values, strict=True):
            state.state = self._tensor(np.ascontiguousarray(value))


class StepCompiler:
    """Makes the steps (``rvm_live/engines/rvm/step.py``) of a checkpoint.

    ``step`` compiles on the calling thread; ``ready`` compiles on a thread of its own, one at a time, and tells when it
    is done, so that the frames need not wait.

    Args:
        core: ``openvino.Core``.
        weights: the checkpoint.
        coloured: with the foreground's model.
    """

    def __init__(self, core: openvino.Core, weights: LoadedWeights, *, coloured: bool) -> None:
        self._core = core
        self._weights = weights
        self._coloured = coloured
        self._steps: dict[tuple[tuple[int, int], bool, str], Step] = {}
        self._thread: threading.Thread | None = None
        self._failed: set[tuple[tuple[int, int], bool, str]] = set()

    def step(self, low: tuple[int, int], precision: str, *, refined: bool) -> Step:
        """The step of a low-resolution size (width, height), compiled now if it is not yet.

        Args:
            low: width and height the network works at.
            precision: of the network, ``fp32`` or ``bf16``; the guided filter's model is always fitted in fp32.
            refined: the frame is larger than that.

        Raises:
            EngineError: OpenVINO refuses the network.
        """
        key = (low, refined, precision)
        if key not in self._steps:
            try:
                self._steps[key] = self._compiled(low, precision, refined=refined)
            except RuntimeError as error:
                raise EngineError(f"OpenVINO refuses the network: {one_line(error)}") from error
        return self._steps[key]

    def ready(self, low: tuple[int, int], precision: str, *, refined: bool) -> bool:
        """Whether a step can be used at once; if not, it is being compiled from now on."""
        key = (low, refined, precision)
        if key in self._steps:
            return True
        busy = self._thread is not None and self._thread.is_alive()
        if not busy and key not in self._failed:
            self._thread = threading.Thread(target=self._prepare, args=key, name="rvm-compiling")
            self._thread.start()
        return False

    def close(self) -> None:
        """Wait for the thread and free the networks."""
        if self._thread is not None:
            self._thread.join()
        self._steps.clear()

    def _prepare(self, low: tuple[int, int], refined: bool, precision: str) -> None:
        try:
            self.step(low, precision, refined=refined)
        except EngineError as error:
            self._failed.add((low, refined, precision))
            _log.warning("%dx%d in %s cannot be used: %s", *low, precision, error)

    def _compiled(self, low: tuple[int, int], precision: str, *, refined: bool) -> Step:
        import openvino

        coarse, model = (
            self._core.compile_model(part, "CPU", options(hint))
            for part, hint in zip(self._models(low, refined=refined), (_HINTS[precision], "f32"), strict=True)
        )
        return Step(coarse, model, openvino.Tensor)

    def _models(self, low: tuple[int, int], *, refined: bool) -> list[Any]:
        """Both parts for one size, from disk if they were converted before."""
        name = f"{self._weights.sha256[:16]}-{low[0]}x{low[1]}{'' if refined else '-whole'}"
        parts = ("coarse", "model" if self._coloured else "alpha")
        names = [f"{name}-{part}-{__version__}-{_FORMAT}" for part in parts]
        kept = [self._read(each) for each in names]
        if None not in kept:
            return kept
        made = self.converted(low, refined=refined)
        for each, model in zip(names, made, strict=True):
            self._keep(each, model)
        return list(made)

    def _read(self, name: str) -> Any:
        """A model that was kept, or None."""
        folder = cache_dir() / "openvino" / name
        try:
            return self._core.read_model(folder / "model.xml") if folder.is_dir() else None
        except RuntimeError:
            shutil.rmtree(folder, ignore_errors=True)  # of another OpenVINO, or damaged: made anew
            return None

    def _keep(self, name: str, model: Any) -> None:
        import openvino

        folder = cache_dir() / "openvino"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                openvino.save_model(model, Path(scratch) / "new" / "model.xml", compress_to_fp16=False)
                if not (folder / name).exists():
                    os.replace(Path(scratch) / "new", folder / name)
        except OSError as error:
            _log.info("the converted network cannot be kept in %s: %s", folder, error.strerror or error)

    def converted(self, low: tuple[int, int], *, refined: bool) -> tuple[Any, Any]:
        """Convert both parts for one size, from scratch; the first keeps its state from one call to the next."""
        import torch

        from rvm_live.engines.rvm.step import parts_of

        width, height = low
        picture = torch.zeros((1, height, width, 3), dtype=torch.uint8)
        states = [torch.zeros(shape) for shape in state_shapes(self._weights.variant, width, height)]
        parts = parts_of(self._weights, refined=refined, coloured=self._coloured)
        found = [torch.zeros((1, 4, height, width))]
        if parts.coarse.hidden:
            found.append(torch.zeros((1, 16, height, width)))
        coarse = _converted(parts.coarse, (picture, *states))
        _keep_state(coarse, len(states))
        return coarse, _converted(parts.model, (picture, *found))


def _keep_state(model: Any, count: int) -> None:
    """Turn the last ``count`` inputs and outputs into a state of the model's own."""
    from openvino import passes

    pairs = list(zip(model.get_parameters()[-count:], model.get_results()[-count:], strict=True))
    for number, (before, after) in enumerate(pairs, 1):
        before.output(0).tensor.set_names({f"r{number}"})
        after.input_value(0).tensor.set_names({f"r{number}_next"})
    manager = passes.Manager()
    manager.register_pass(passes.MakeStateful(pairs))
    manager.run_passes(model)


def _converted(module: Any, example: tuple[Any, ...]) -> Any:
    """A torch module as an OpenVINO model of fixed shapes."""
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with torch.inference_mode(), warnings.catch_warnings():
        # Deprecated in favour of torch.export, which takes several times as long and warns, too.
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
    # The frontend itself rather than openvino.convert_model, which reports its use over the network.
    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced)  # must outlive the conversion, which does not hold it
    model = frontend.convert(frontend.load(decoder))
    model.reshape({index: list(tensor.shape) for index, tensor in enumerate(example)})
    return model


def one_line(error: BaseException) -> str:
    """The gist of OpenVINO's error, which may be many lines of its sources' names."""
    return " ".join(str(error).split())[:300]
