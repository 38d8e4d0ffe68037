"""The network in 8-bit integers: post-training quantisation with NNCF, from the user's own pictures.

The decoder alone is quantised, with its recurrent cells: the encoder's squeeze-and-excitation and hard swishes lose
more than they win (on clips that were not calibrated on, quantising all of it moves alpha by a MAD of 1.7e-3 to 3.0e-3,
the decoder by 1.1e-3 to 1.7e-3). It pays on processors with 8-bit dot products (VNNI) and without bfloat16, 1.6 times
as fast as single precision; with bfloat16 it saves a tenth of the time, and ``auto`` never takes it. ``python -m
benchmarks int8`` tells.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import EngineError, UnavailableError, words_of
from rvm_live.engines.common import cpu_runtime
from rvm_live.system.installed import adding
from rvm_live.system.telemetry_off import import_quietly

__all__ = ["Quantised", "quantise", "require"]

_KEPT_FOR_CHECK = 3
"""One picture in so many, at the end, is not used for calibration, but to check its result."""
_MOST_STATISTICS = 40


class Quantised(NamedTuple):
    """A quantised network, and how far its alpha is from that of the original on pictures it was not calibrated on
    (mean absolute difference of the worst picture, at low resolution, 0-1)."""

    model: Any
    worst: float


def require() -> Any:
    """The package nncf, with its telemetry off.

    Raises:
        UnavailableError: it is not installed.
    """
    try:
        nncf = import_quietly("nncf")
        wrapper = import_quietly("nncf.telemetry.wrapper")
    except ImportError as error:
        raise UnavailableError(f"int8 needs NNCF ({adding('int8')}): {error}") from error
    if isinstance(wrapper.telemetry, wrapper.NNCFTelemetry):
        # The host program may have imported NNCF earlier: without its sender, NNCF skips every report.
        vars(wrapper.telemetry).pop("_impl", None)
    return nncf


def quantise(
    core: Any, network: Any, pictures: Sequence[NDArray[np.uint8]], shapes: Sequence[tuple[int, ...]]
) -> Quantised:
    """Quantise a network with explicit states.

    Args:
        core: ``openvino.Core``.
        network: picture and states in, ``mat``, perhaps the hidden features, and states out.
        pictures: uint8 (h, w, 3) BGR, consecutive, at least 6.
        shapes: of the states.

    Raises:
        UnavailableError: NNCF is not installed.
        EngineError: it fails.
    """
    nncf = require()
    exact = _request(core, network)
    walked = list(_walk(exact, pictures, shapes))
    split = len(pictures) - len(pictures) // _KEPT_FOR_CHECK
    stride = -(-split // _MOST_STATISTICS)
    items = [inputs for inputs, _ in walked[:split:stride]]
    names = [op.get_friendly_name() for op in network.get_ops()]
    encoder = [name for name in names if ".backbone." in name or ".aspp." in name]
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _our_options():
            warnings.simplefilter("ignore")
            nncf.set_log_level("ERROR")
            model = nncf.quantize(
                network.clone(),
                nncf.Dataset(items),
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(items),
                ignored_scope=nncf.IgnoredScope(names=encoder),
            )
    except Exception as error:
        raise EngineError(f"NNCF cannot quantise the network: {words_of(error)}") from error
    # In this check each network keeps its own states, so that errors add up as they do in use.
    ours = list(_walk(_request(core, model), pictures[split:], shapes))
    theirs = list(_walk(exact, pictures[split:], shapes))
    apart = [np.abs(_alpha(one) - _alpha(other)).mean() for (_, one), (_, other) in zip(ours, theirs, strict=True)]
    return Quantised(model, float(max(apart)))


@contextlib.contextmanager
def _our_options() -> Iterator[None]:
    """A context for NNCF in which the OpenVINO that it opens uses our options."""
    engine, openvino = import_quietly("nncf.openvino.engine"), import_quietly("openvino")

    def opened() -> Any:
        core = openvino.Core()
        core.set_property("CPU", cpu_runtime.openvino_options("f32", cached=False))
        return core

    before = engine.ov
    engine.ov = SimpleNamespace(**{**vars(openvino), "Core": opened})
    try:
        yield
    finally:
        engine.ov = before


def _request(core: Any, model: Any) -> Any:
    return core.compile_model(model, "CPU", cpu_runtime.openvino_options("f32", cached=False)).create_infer_request()


def _walk(
    request: Any, pictures: Sequence[NDArray[np.uint8]], shapes: Sequence[tuple[int, ...]]
) -> Iterator[tuple[list[NDArray[Any]], NDArray[np.float32]]]:
    """The network's inputs and its ``mat``, for one picture after the other."""
    states: list[NDArray[Any]] = [np.zeros(shape, np.float32) for shape in shapes]
    for picture in pictures:
        inputs = [picture[None], *states]
        found = [np.array(each) for each in request.infer(inputs).values()]
        states = found[-len(states) :]
        yield inputs, found[0]


def _alpha(mat: NDArray[np.float32]) -> NDArray[np.float32]:
    alpha: NDArray[np.float32] = np.clip(mat[0, 3], 0, 1)
    return alpha
