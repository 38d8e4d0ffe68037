"""The low-resolution network compiled by OpenVINO, one per size, kept in memory and on disk."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rvm_live import __version__
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EngineError, UnavailableError, words_of
from rvm_live.engines.common import cpu_runtime
from rvm_live.engines.common.ladder import state_shapes
from rvm_live.engines.common.openvino_models import (
    converted,
    folder,
    keep,
    keep_if_possible,
    keep_state,
    kept,
)
from rvm_live.engines.common.openvino_request import OpenVinoRequest
from rvm_live.engines.common.prepared import Prepared
from rvm_live.system.telemetry_off import import_quietly
from rvm_live.weights import LoadedWeights

if TYPE_CHECKING:
    import openvino

__all__ = ["OpenVinoCache"]

_log = logging.getLogger("rvm_live")

_FORMAT = 2
"""Of what is kept on disk; goes up when :mod:`rvm_live.engines.rvm.openvino.trace` changes its meaning."""
_Key = tuple[tuple[int, int], bool, str]
"""Width and height, whether the frame is larger than that, precision."""
_HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoCache:
    """The networks (``rvm_live/engines/rvm/openvino/trace.py``) of a checkpoint, compiled.

    ``request`` compiles on the calling thread; ``ready`` compiles on a thread of its own, one at a time, and tells when
    it is done, so that the frames need not wait.

    Args:
        core: ``openvino.Core``.
        weights: the checkpoint.
        coloured: with the foreground's model.

    Attributes:
        has_bf16: the processor computes in bfloat16 natively.
        phase: what takes long at the moment, for display; empty while nothing does.
    """

    def __init__(self, core: openvino.Core, weights: LoadedWeights, *, coloured: bool) -> None:
        self._core = core
        self.has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        # What is not quantised runs in the quickest precision there is.
        self._hints = {**_HINTS, "int8": "bf16" if self.has_bf16 else "f32"}
        self._weights = weights
        self._coloured = coloured
        self.phase = ""
        self._requests: Prepared[_Key, OpenVinoRequest] = Prepared(self._compiled, "compiling")

    def request(self, low: tuple[int, int], precision: str, *, refined: bool) -> OpenVinoRequest:
        """The request of a low-resolution size (width, height), compiled now if it is not yet.

        Args:
            low: width and height the network works at.
            precision: of the network, ``fp32``, ``bf16`` or ``int8``; the guided filter's model is always in fp32.
            refined: the frame is larger than that.

        Raises:
            EngineError: OpenVINO refuses the network.
            UnavailableError: int8 is not calibrated for that size.
        """
        return self._requests.now((low, refined, precision))

    def ready(self, low: tuple[int, int], precision: str, *, refined: bool) -> bool:
        """Whether a request can be used at once; if not, it is being compiled from now on."""
        return self._requests.ready((low, refined, precision))

    def usable(self, low: tuple[int, int], precision: str, *, refined: bool) -> bool:
        """Whether there can be one: it did not fail to compile before, and int8 is calibrated."""
        key = (low, refined, precision)
        if key in self._requests:
            return True
        return not self._requests.failed(key) and (precision != "int8" or self.calibrated(low, refined=refined))

    def close(self) -> None:
        """Wait for the thread and free the networks."""
        self._requests.close()

    def _compiled(self, key: _Key) -> OpenVinoRequest:
        low, refined, precision = key
        models = self._models(low, refined=refined)
        if precision == "int8":
            models[0] = kept(self._core, self._name(low, "int8", refined=refined))
            if models[0] is None:
                raise UnavailableError(
                    f"int8 is not calibrated for {low[0]}x{low[1]}: run `rvm-live calibrate` with your own --source"
                )
        try:
            coarse, model = (
                self._core.compile_model(part, "CPU", cpu_runtime.openvino_options(hint))
                for part, hint in zip(models, (self._hints[precision], "f32"), strict=True)
            )
        except RuntimeError as error:
            raise EngineError(f"OpenVINO refuses the network: {words_of(error)}") from error
        return OpenVinoRequest(coarse, model, import_quietly("openvino").Tensor)

    def calibrated(self, low: tuple[int, int], *, refined: bool) -> bool:
        """Whether there is an int8 network for that size."""
        return os.path.isdir(folder() / self._name(low, "int8", refined=refined))

    def calibrate(self, low: tuple[int, int], pictures: Sequence[NDArray[np.uint8]], *, refined: bool) -> float:
        """Make and keep the int8 network for a size.

        Args:
            low: width and height the network works at.
            pictures: uint8 (h, w, 3) BGR of that size, consecutive.
            refined: the frame is larger than that.

        Returns:
            How far alpha is from single precision, see :class:`~rvm_live.engines.rvm.openvino.int8.Quantised`.

        Raises:
            UnavailableError: NNCF is not installed.
            EngineError: it fails, or cannot be kept.
        """
        from rvm_live.engines.rvm.openvino.int8 import quantise

        shapes = state_shapes(self._weights.variant, *low)
        network, _ = self.converted(low, refined=refined, stateful=False)
        model, worst = quantise(self._core, network, pictures, shapes)
        name = self._name(low, "int8", refined=refined)
        shutil.rmtree(folder() / name, ignore_errors=True)
        try:
            keep(name, model)
        except OSError as error:
            raise EngineError(
                f"the calibrated network cannot be kept in {folder()}: {error.strerror or error}; "
                "set RVM_LIVE_CACHE to another folder"
            ) from error
        return worst

    def _name(self, low: tuple[int, int], part: str, *, refined: bool) -> str:
        whole = "" if refined else "-whole"
        return f"{self._weights.sha256[:16]}-{low[0]}x{low[1]}{whole}-{part}-{__version__}-{_FORMAT}"

    def _models(self, low: tuple[int, int], *, refined: bool) -> list[Any]:
        """Both parts for one size, from disk if they were converted before."""
        parts = ("coarse", "model" if self._coloured else "alpha")
        names = [self._name(low, part, refined=refined) for part in parts]
        found = [kept(self._core, each) for each in names]
        if None not in found:
            return found
        began_ns = SYSTEM_CLOCK.now_ns()
        self.phase = "converting the network, once for this size"
        try:
            made = self.converted(low, refined=refined)
        finally:
            self.phase = ""
        _log.info("converted the network for %dx%d in %.1f s", *low, (SYSTEM_CLOCK.now_ns() - began_ns) / 1e9)
        for each, model in zip(names, made, strict=True):
            keep_if_possible(each, model)
        return list(made)

    def converted(self, low: tuple[int, int], *, refined: bool, stateful: bool = True) -> tuple[Any, Any]:
        """Convert both parts for one size, from scratch; ``stateful``: the first keeps its state between calls."""
        import torch

        from rvm_live.engines.rvm.openvino.trace import parts_of

        width, height = low
        picture = torch.zeros((1, height, width, 3), dtype=torch.uint8)
        states = [torch.zeros(shape) for shape in state_shapes(self._weights.variant, width, height)]
        parts = parts_of(self._weights, refined=refined, coloured=self._coloured)
        found = [torch.zeros((1, 4, height, width))]
        if parts.coarse.hidden:
            found.append(torch.zeros((1, 16, height, width)))
        coarse = converted(parts.coarse, (picture, *states))
        if stateful:
            keep_state(coarse, len(states))
        return coarse, converted(parts.model, (picture, *found))
