"""Measures in a tenth of a second, without real weights, how fast this machine runs networks like RVM's.

A small network of the same kinds of layers (an encoder of inverted residuals, a decoder of 3x3 convolutions), with
random weights, through the runtime, threads and precision that would run the real one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import words_of
from rvm_live.engines.common import cpu_runtime
from rvm_live.system.telemetry_off import import_quietly

if TYPE_CHECKING:
    import openvino

__all__ = ["INT8_PAYS", "int8_share", "quickest_hint", "reference_ms", "rvm_ms"]

_log = logging.getLogger("rvm_live")

_WIDTH, _HEIGHT = 256, 144
INT8_PAYS = 0.7
"""Share of the time below which 8 bits are worth their error. Only the decoder of the real network is quantised, so it
gains a little less than the reference network."""
_TIMES_REFERENCE = 8.2
"""Ratio of the time of RVM's network at 256x144 to that of the reference network: 8.0 in single precision, 8.3 in
bfloat16 (two cores)."""
_RUNS = 10


def rvm_ms(low: tuple[int, int] = (_WIDTH, _HEIGHT)) -> float | None:
    """What RVM's network (MobileNetV3) is expected to take on the CPU now, milliseconds, in the precision that ``auto``
    takes; None if OpenVINO is not installed, also has other devices, or refuses the reference network.

    Args:
        low: width and height the network works at.
    """
    try:
        core = import_quietly("openvino").Core()
        if len(core.available_devices) > 1:
            return None  # OpenVINO may run on a device other than the CPU
        return reference_ms(core, quickest_hint(core)) * _TIMES_REFERENCE * low[0] * low[1] / (_WIDTH * _HEIGHT)
    except (ImportError, RuntimeError) as error:
        _log.debug("no micro-benchmark: %s", words_of(error))
        return None


def quickest_hint(core: openvino.Core) -> str:
    """The fastest precision without calibration, in OpenVINO's words."""
    return "bf16" if cpu_runtime.has_bf16(core) else "f32"


def int8_share(core: openvino.Core, hint: str) -> float:
    """Ratio of the time of a network with a quantised decoder to its time without: quantising pays below
    :data:`INT8_PAYS`.

    Raises:
        RuntimeError: OpenVINO refuses one of them.
    """
    eight, plain = _measured(core, hint, (True, False), SYSTEM_CLOCK)
    return eight / plain


def reference_ms(core: openvino.Core, hint: str, clock: Clock = SYSTEM_CLOCK) -> float:
    """Time of the reference network, milliseconds."""
    return _measured(core, hint, (False,), clock)[0]


def _measured(core: openvino.Core, hint: str, quantised: Sequence[bool], clock: Clock) -> list[float]:
    """The lower quartile of a few interleaved runs of each: at a program's start the machine is busy."""
    options = cpu_runtime.openvino_options(hint, cached=False)
    requests = [core.compile_model(_reference(each), "CPU", options).create_infer_request() for each in quantised]
    times: list[list[float]] = [[] for _ in requests]
    for _ in range(2 + _RUNS):
        for request, taken in zip(requests, times, strict=True):
            began_ns = clock.now_ns()
            request.infer()
            taken.append((clock.now_ns() - began_ns) / 1e6)
    return [sorted(taken[2:])[_RUNS // 4] for taken in times]


def _reference(quantised: bool) -> Any:
    """``openvino.Model``: a picture (1, 3, 144, 256) in, four planes at half of its size out."""
    openvino, ops = import_quietly("openvino"), import_quietly("openvino.opset13")
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        return ops.constant((rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32))

    def in_8_bits(node: Any, low: float) -> Any:
        bounds = [np.float32(each) for each in (low, 1, low, 1)]
        return ops.fake_quantize(node, *bounds, 255 if low else 256)

    def conv(node: Any, before: int, after: int, side: int, step: int = 1) -> Any:
        kernel, pad = weights(after, before, side, side), [side // 2] * 2
        if quantised and side == 3 and step == 1:
            node, kernel = in_8_bits(node, 0.0), in_8_bits(kernel, -1.0)
        return ops.relu(ops.convolution(node, kernel, [step] * 2, pad, pad, [1, 1]))

    def inverted(node: Any, before: int, wide: int, after: int, side: int, step: int = 1) -> Any:
        pad = [side // 2] * 2
        node = conv(node, before, wide, 1)
        node = ops.group_convolution(node, weights(wide, 1, 1, side, side), [step] * 2, pad, pad, [1, 1])
        return conv(ops.relu(node), wide, after, 1)

    def up(node: Any, other: Any) -> Any:
        twice, axes = np.array([2, 2], np.float32), np.array([2, 3])
        larger = ops.interpolate(node, twice, "linear_onnx", "scales", [0], [0], axes=axes)
        return ops.concat([larger, other], 1)

    picture = ops.parameter([1, 3, _HEIGHT, _WIDTH], np.float32)
    half = conv(picture, 3, 16, 3, 2)
    quarter = inverted(half, 16, 64, 24, 3, 2)
    eighth = inverted(inverted(quarter, 24, 72, 40, 5, 2), 40, 120, 40, 5)
    node = conv(up(conv(eighth, 40, 40, 3), quarter), 64, 32, 3)
    node = conv(conv(up(node, half), 48, 16, 3), 16, 16, 3)
    return openvino.Model([conv(node, 16, 4, 1)], [picture], "reference")
