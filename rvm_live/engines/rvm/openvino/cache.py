"""The low-resolution network compiled by OpenVINO, one per size, from one that is kept on disk for all sizes."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rvm_live import __version__
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EngineError, UnavailableError, told_as
from rvm_live.engines.common import cpu_runtime
from rvm_live.engines.common.ladder import state_shapes
from rvm_live.engines.common.openvino_models import (
    converted,
    folder,
    keep,
    keep_if_possible,
    keep_state,
    kept,
    resized,
)
from rvm_live.engines.common.openvino_request import OpenVinoRequest
from rvm_live.engines.common.prepared import Prepared
from rvm_live.engines.rvm.openvino.devices import CPU
from rvm_live.system.telemetry_off import import_quietly
from rvm_live.weights import LoadedWeights

if TYPE_CHECKING:
    import openvino

__all__ = ["OpenVinoCache"]

_log = logging.getLogger("rvm_live")

_FORMAT = 2
"""Version of what is stored on disk; goes up when :mod:`rvm_live.engines.rvm.openvino.trace` changes its meaning."""
_SHARE = "share.txt"
_WARM_UP, _RUNS = 3, 15
_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_EXAMPLE = (256, 144)
_MOST = 6
"""Sizes kept compiled: each takes 50 to 80 MB, and a box around a person has few of them."""


class _Key(NamedTuple):
    """Width and height (of a bridge 0), whether the frame is larger than that, precision, and whose calibration."""

    low: tuple[int, int]
    refined: bool
    precision: str
    calibrated: tuple[int, int] | None


class OpenVinoCache:
    """The networks (``rvm_live/engines/rvm/openvino/trace.py``) of a checkpoint, compiled.

    ``request`` compiles on the calling thread, some tenths of a second; ``ready`` compiles on a thread of its own, one
    at a time, and tells when it is done, so that the frames need not wait. Until then ``bridge`` serves: a network that
    takes any size at once, and a little longer for each frame. Converting from torch takes seconds and is done once.

    Args:
        core: ``openvino.Core``.
        weights: the checkpoint.
        coloured: with the foreground's model.
        device: OpenVINO's, on which the network runs; the guided filter's model runs on the CPU.

    Attributes:
        has_bf16: the processor computes in bfloat16 natively.
        best: the quickest precision without calibration.
        phase: the slow step at the moment, for display; empty if there is none.
    """

    def __init__(self, core: openvino.Core, weights: LoadedWeights, *, coloured: bool, device: str = CPU) -> None:
        self._core = core
        self._device = device
        self.has_bf16 = cpu_runtime.has_bf16(core)
        self.best = "fp16" if device != CPU else "bf16" if self.has_bf16 else "fp32"
        # Layers that are not quantised run in the fastest precision available.
        self._hints = {**_HINTS, "int8": "bf16" if self.has_bf16 else "f32"}
        self._weights = weights
        self._coloured = coloured
        self.phase = ""
        self._requests: Prepared[_Key, OpenVinoRequest] = Prepared(self._fixed, "compiling", most=_MOST)
        self._bridges: Prepared[_Key, tuple[Any, Any]] = Prepared(self._any, "compiling")
        self._kept: dict[bool, tuple[Any, Any]] = {}
        self._keeping = threading.Lock()
        self._shares: dict[Path, float | None] = {}

    def request(
        self, low: tuple[int, int], precision: str, *, refined: bool, within: tuple[int, int] | None = None
    ) -> OpenVinoRequest:
        """The request of a low-resolution size (width, height), compiled now if it is not yet.

        Args:
            low: width and height the network works at.
            precision: of the network, ``fp32``, ``bf16`` or ``int8``; the guided filter's model is always in fp32.
            refined: the frame is larger than that.
            within: the size of the whole picture, where the network sees but a part of it: what was calibrated for that
                serves. None: it sees all.

        Raises:
            EngineError: OpenVINO refuses the network.
            UnavailableError: int8 is not calibrated for that size.
        """
        return self._requests.now(_key(low, refined, precision, within))

    def ready(
        self, low: tuple[int, int], precision: str, *, refined: bool, within: tuple[int, int] | None = None
    ) -> bool:
        """Whether a request can be used at once; if not, it is being compiled from now on."""
        return self._requests.ready(_key(low, refined, precision, within))

    def usable(self, low: tuple[int, int], precision: str, *, refined: bool) -> bool:
        """Whether there can be one: it did not fail to compile before, and int8 is calibrated."""
        key = _key(low, refined, precision)
        if key in self._requests:
            return True
        return not self._requests.failed(key) and (precision != "int8" or self.calibrated(low, refined=refined))

    def bridge(
        self, low: tuple[int, int], precision: str, *, refined: bool, within: tuple[int, int]
    ) -> OpenVinoRequest:
        """A request that need not be compiled for its size, with an empty state; arguments and errors as of
        ``request``."""
        self._bridges.join()
        coarse, model = self._bridges.now(_key((0, 0), refined, precision, within))
        shapes = state_shapes(self._weights.variant, *low)
        with told_as(EngineError, "OpenVINO refuses the network", of=RuntimeError):
            return OpenVinoRequest(coarse, model, import_quietly("openvino").Tensor, low, shapes)

    def build_bridge(self, precision: str, *, refined: bool, within: tuple[int, int]) -> None:
        """Compile what :meth:`bridge` needs, on a thread of its own."""
        self._bridges.ready(_key((0, 0), refined, precision, within))

    def close(self) -> None:
        """Wait for the thread and free the networks."""
        self._requests.close()
        self._bridges.close()
        self._kept.clear()

    def _fixed(self, key: _Key) -> OpenVinoRequest:
        shapes = state_shapes(self._weights.variant, *key.low)
        with told_as(EngineError, "OpenVINO refuses the network", of=RuntimeError):
            coarse, model = self._models(key)
            coarse = resized(coarse, key.low, shapes)
            if key.precision != "int8":  # OpenVINO cannot keep the state inside a quantised network
                keep_state(coarse, len(shapes))
            compiled = self._compiled((coarse, resized(model, key.low)), key.precision)
            return OpenVinoRequest(*compiled, import_quietly("openvino").Tensor)

    def _any(self, key: _Key) -> tuple[Any, Any]:
        with told_as(EngineError, "OpenVINO refuses the network", of=RuntimeError):
            coarse, model = self._models(key)
            return self._compiled((resized(coarse, None), resized(model, None)), key.precision)

    def _compiled(self, models: tuple[Any, Any], precision: str) -> tuple[Any, Any]:
        """The network and the guided filter's model."""
        hint = self._hints[precision]
        options = cpu_runtime.openvino_options(hint) if self._device == CPU else cpu_runtime.openvino_elsewhere(hint)
        coarse = self._core.compile_model(models[0], self._device, options)
        return coarse, self._core.compile_model(models[1], CPU, cpu_runtime.openvino_options("f32"))

    def calibrated(self, low: tuple[int, int], *, refined: bool) -> bool:
        """Whether there is an int8 network for that size."""
        return os.path.isdir(folder() / self._name("int8", refined=refined, low=low))

    def share_of_int8(self, low: tuple[int, int], *, refined: bool) -> float | None:
        """Time of the int8 network for a size over that of what ``auto`` takes without it, as it was measured on this
        machine when it was calibrated; None where that was not done, or can no longer be read."""
        if self._device != CPU:
            return None
        kept_in = folder() / self._name("int8", refined=refined, low=low) / _SHARE
        if kept_in not in self._shares:  # read once: the ladder asks at every frame
            try:
                self._shares[kept_in] = float(kept_in.read_text())
            except (OSError, ValueError):
                self._shares[kept_in] = None
        return self._shares[kept_in]

    def measure_int8(self, low: tuple[int, int], picture: NDArray[np.uint8], *, refined: bool) -> float:
        """Measure :meth:`share_of_int8`, both in turns, and keep it beside the network."""
        requests = [self.request(low, name, refined=refined) for name in ("int8", self.best)]
        times: list[list[int]] = [[] for _ in requests]
        for _ in range(_WARM_UP + _RUNS):
            for request, taken in zip(requests, times, strict=True):
                began_ns = SYSTEM_CLOCK.now_ns()
                request.run(picture)
                taken.append(SYSTEM_CLOCK.now_ns() - began_ns)
        eight, best = (median(taken[_WARM_UP:]) for taken in times)
        share = eight / best
        (folder() / self._name("int8", refined=refined, low=low) / _SHARE).write_text(f"{share:.3f}\n")
        self._shares.clear()
        return share

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
        network = resized(self._for_all_sizes(refined)[0], low, shapes)
        model, worst = quantise(self._core, network, pictures, shapes)
        name = self._name("int8", refined=refined, low=low)
        shutil.rmtree(folder() / name, ignore_errors=True)
        with told_as(
            EngineError,
            f"the calibrated network cannot be kept in {folder()}",
            "; set RVM_LIVE_CACHE to another folder",
        ):
            keep(name, model)
        return worst

    def _name(self, part: str, *, refined: bool, low: tuple[int, int] | None = None) -> str:
        whole = "" if refined else "-whole"
        size = "" if low is None else f"-{low[0]}x{low[1]}"
        return f"{self._weights.sha256[:16]}{size}{whole}-{part}-{__version__}-{_FORMAT}"

    def _models(self, key: _Key) -> tuple[Any, Any]:
        """Both parts, for whatever size they were made, their states outside."""
        coarse, model = self._for_all_sizes(key.refined)
        if key.calibrated is not None:
            coarse = kept(self._core, self._name("int8", refined=key.refined, low=key.calibrated))
            if coarse is None:
                width, height = key.calibrated
                raise UnavailableError(
                    f"int8 is not calibrated for {width}x{height}: run `rvm-live calibrate` with your own --source"
                )
        return coarse, model

    def _for_all_sizes(self, refined: bool) -> tuple[Any, Any]:
        """Both parts, from memory, from disk, or converted now."""
        with self._keeping:
            if refined in self._kept:
                return self._kept[refined]
            names = [self._name(part, refined=refined) for part in ("coarse", "model" if self._coloured else "alpha")]
            coarse, model = (kept(self._core, each) for each in names)
            if coarse is None or model is None:
                began_ns = SYSTEM_CLOCK.now_ns()
                self.phase = "converting the network, once for all sizes"
                try:
                    coarse, model = self.converted(refined=refined)
                finally:
                    self.phase = ""
                _log.info("converted the network in %.1f s", (SYSTEM_CLOCK.now_ns() - began_ns) / 1e9)
                parts = zip(names, (coarse, model), strict=True)
                coarse, model = (keep_if_possible(self._core, name, each) for name, each in parts)
            self._kept[refined] = coarse, model
            return coarse, model

    def converted(self, *, refined: bool) -> tuple[Any, Any]:
        """Convert both parts from scratch; the states go in and out."""
        import torch

        from rvm_live.engines.rvm.openvino.trace import parts_of

        width, height = _EXAMPLE
        picture = torch.zeros((1, height, width, 3), dtype=torch.uint8)
        states = [torch.zeros(shape) for shape in state_shapes(self._weights.variant, width, height)]
        parts = parts_of(self._weights, refined=refined, coloured=self._coloured)
        found = [torch.zeros((1, 4, height, width))]
        if parts.coarse.hidden:
            found.append(torch.zeros((1, 16, height, width)))
        return converted(parts.coarse, (picture, *states)), converted(parts.model, (picture, *found))


def _key(low: tuple[int, int], refined: bool, precision: str, within: tuple[int, int] | None = None) -> _Key:
    return _Key(low, refined, precision, (within or low) if precision == "int8" else None)
