"""The low-resolution network compiled by OpenVINO, one per size, kept in memory and on disk."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from rvm_live import __version__
from rvm_live.engines.rvm.ladder import state_shapes
from rvm_live.errors import EngineError
from rvm_live.weights import LoadedWeights, cache_dir

__all__ = ["Requests", "StepCompiler", "one_line"]

_log = logging.getLogger("rvm_live")


class Requests(NamedTuple):
    """Inference requests of both parts of a step."""

    coarse: Any
    model: Any


class StepCompiler:
    """Makes inference requests for the two parts of a step (``rvm_live/engines/rvm/step.py``).

    ``request`` compiles on the calling thread; ``ready`` compiles on a thread of its own, one size at a time, and tells
    when it is done, so that the frames need not wait.

    Args:
        core: ``openvino.Core``.
        weights: the checkpoint.
        precision: of the network, ``fp32`` or ``bf16``; the guided filter's model is always fitted in fp32.
    """

    def __init__(self, core: Any, weights: LoadedWeights, precision: str) -> None:
        self._core = core
        self._weights = weights
        self._precision = precision
        self._requests: dict[tuple[tuple[int, int], bool], Requests] = {}
        self._thread: threading.Thread | None = None
        self._failed: set[tuple[int, int]] = set()

    def request(self, low: tuple[int, int], *, refined: bool) -> Requests:
        """Inference requests for a low-resolution size (width, height), compiled now if it is not yet.

        Raises:
            EngineError: OpenVINO refuses the network.
        """
        key = (low, refined)
        if key not in self._requests:
            try:
                self._requests[key] = self._compiled(low, refined=refined)
            except RuntimeError as error:
                raise EngineError(f"OpenVINO refuses the network: {one_line(error)}") from error
        return self._requests[key]

    def ready(self, low: tuple[int, int], *, refined: bool) -> bool:
        """Whether a size can be used at once; if not, it is being compiled from now on."""
        if (low, refined) in self._requests:
            return True
        busy = self._thread is not None and self._thread.is_alive()
        if not busy and low not in self._failed:
            self._thread = threading.Thread(target=self._prepare, args=(low, refined), name="rvm-compiling")
            self._thread.start()
        return False

    def close(self) -> None:
        """Wait for the thread and free the networks."""
        if self._thread is not None:
            self._thread.join()
        self._requests.clear()

    def _prepare(self, low: tuple[int, int], refined: bool) -> None:
        try:
            self.request(low, refined=refined)
        except EngineError as error:
            self._failed.add(low)
            _log.warning("%dx%d cannot be used: %s", *low, error)

    def _compiled(self, low: tuple[int, int], *, refined: bool) -> Requests:
        def request(model: Any, precision: str) -> Any:
            options = {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": os.cpu_count() or 1,
                "INFERENCE_PRECISION_HINT": precision,
                "CACHE_DIR": str(cache_dir() / "openvino"),
            }
            return self._core.compile_model(model, "CPU", options).create_infer_request()

        coarse, model = self._models(low, refined=refined)
        return Requests(request(coarse, "bf16" if self._precision == "bf16" else "f32"), request(model, "f32"))

    def _models(self, low: tuple[int, int], *, refined: bool) -> tuple[Any, Any]:
        """Both parts for one size, from disk if they were converted before."""
        folder = cache_dir() / "openvino"
        name = f"{self._weights.sha256[:16]}-{low[0]}x{low[1]}{'' if refined else '-whole'}-{__version__}"
        kept = folder / name
        if kept.is_dir():
            try:
                return self._core.read_model(kept / "coarse.xml"), self._core.read_model(kept / "model.xml")
            except RuntimeError:
                shutil.rmtree(kept, ignore_errors=True)  # of another OpenVINO, or damaged: made anew
        import openvino

        coarse, model = self.converted(low, refined=refined)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                openvino.save_model(coarse, Path(scratch) / "new" / "coarse.xml", compress_to_fp16=False)
                openvino.save_model(model, Path(scratch) / "new" / "model.xml", compress_to_fp16=False)
                if not kept.exists():
                    os.replace(Path(scratch) / "new", kept)
        except OSError as error:
            _log.info("the converted network cannot be kept in %s: %s", folder, error.strerror or error)
        return coarse, model

    def converted(self, low: tuple[int, int], *, refined: bool) -> tuple[Any, Any]:
        """Convert both parts for one size, from scratch."""
        import torch

        from rvm_live.engines.rvm.step import parts_of

        width, height = low
        picture = torch.zeros((1, height, width, 3), dtype=torch.uint8)
        states = [torch.zeros(shape) for shape in state_shapes(self._weights.variant, width, height)]
        found = (torch.zeros((1, 4, height, width)), torch.zeros((1, 16, height, width)))
        parts = parts_of(self._weights, refined=refined)
        return _converted(parts.coarse, (picture, *states)), _converted(parts.model, (picture, *found))


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
