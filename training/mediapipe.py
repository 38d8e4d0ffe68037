"""Where training starts: the weights of MediaPipe's selfie segmentation (Google, Apache-2.0), read from its wheel.

The wheel is downloaded, not installed (``pip download --no-deps mediapipe==0.10.21``). The two ``.tflite`` files in it
are FlatBuffers (https://flatbuffers.dev/internals/) with constants in half precision. Only the convolutions' constants
are read, in the order of the file, which is that of :func:`layers`.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rvm_live.core.arrays import Floats
from rvm_live.engines.lite.network import LiteNetwork, _Block, _Conv, _Up, _Weights

__all__ = ["MODELS", "constants", "layers", "load_start", "pretrained"]

MODELS = {
    name: f"mediapipe/modules/selfie_segmentation/selfie_segmentation{end}.tflite"
    for name, end in (("general", ""), ("landscape", "_landscape"))
}
_CONVOLUTION, _DEPTHWISE, _DEQUANTIZE, _CUSTOM = 3, 4, 6, 32
"""Operators' numbers in TensorFlow Lite's schema; the custom one is a transposed convolution with a bias."""
_HALF = 1


class _Table:
    """A table of a FlatBuffer: numbered fields, each of which may be absent."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        self._fields = at - struct.unpack_from("<i", data, at)[0]

    def _field(self, number: int) -> int | None:
        if 4 + 2 * number >= struct.unpack_from("<H", self._data, self._fields)[0]:
            return None
        offset: int = struct.unpack_from("<H", self._data, self._fields + 4 + 2 * number)[0]
        return self._at + offset if offset else None

    def number(self, field: int, form: str) -> int:
        at = self._field(field)
        return 0 if at is None else int(struct.unpack_from("<" + form, self._data, at)[0])

    def vector(self, field: int, dtype: str) -> NDArray[np.generic]:
        at = self._field(field)
        if at is None:
            return np.zeros(0, dtype)
        at += struct.unpack_from("<I", self._data, at)[0]
        return np.frombuffer(self._data, dtype, struct.unpack_from("<I", self._data, at)[0], at + 4)

    def tables(self, field: int) -> list[_Table]:
        at = self._field(field)
        if at is None:
            return []
        first = at + struct.unpack_from("<I", self._data, at)[0] + 4
        found = []
        for number in range(len(self.vector(field, "<u4"))):
            place = first + 4 * number
            found.append(_Table(self._data, place + struct.unpack_from("<I", self._data, place)[0]))
        return found


def constants(data: bytes) -> Iterator[tuple[Floats, Floats]]:
    """Kernel and bias of every convolution in a ``.tflite`` file, in the file's order.

    Args:
        data: the file's bytes.

    Yields:
        Kernels (out, in, k, k), depthwise ones (channels, 1, k, k), transposed ones (1, in, 2, 2); biases (out,).
    """
    model = _Table(data, struct.unpack_from("<I", data)[0])
    codes = [max(code.number(0, "b"), code.number(3, "i")) for code in model.tables(1)]
    buffers, graph = model.tables(4), model.tables(2)[0]
    tensors = graph.tables(0)
    halves: dict[int, int] = {}

    def value(number: int) -> Floats:
        tensor = tensors[halves.get(number, number)]
        raw = buffers[tensor.number(2, "I")].vector(0, "u1").tobytes()
        kind = np.float16 if tensor.number(1, "b") == _HALF else np.float32
        return np.frombuffer(raw, kind).astype(np.float32).reshape(tensor.vector(0, "<i4"))

    for operator in graph.tables(3):
        code = codes[operator.number(0, "I")]
        given = [int(each) for each in operator.vector(1, "<i4")]
        if code == _DEQUANTIZE:
            halves[int(operator.vector(2, "<i4")[0])] = given[0]
        elif code in (_CONVOLUTION, _DEPTHWISE, _CUSTOM):
            axes = (3, 0, 1, 2) if code == _DEPTHWISE else (0, 3, 1, 2)
            yield np.ascontiguousarray(value(given[1]).transpose(axes)), value(given[2])


def layers(network: LiteNetwork) -> Iterator[nn.Conv2d]:
    """Those of the network's convolutions that MediaPipe's network has too, in the order of its file."""

    def inside(part: nn.Module) -> Iterator[nn.Conv2d]:
        if isinstance(part, nn.Conv2d):
            yield part
        elif isinstance(part, _Conv):
            yield part.conv
        elif isinstance(part, _Weights):
            yield from (part.squeeze, part.excite)
        elif isinstance(part, _Block):
            for each in filter(None, (part.widen, part.filter, part.weights, part.narrow)):
                yield from inside(each)
        elif isinstance(part, _Up):
            for each in (part.narrow, part.weights, part.mix, part.filter):
                yield from inside(each)
        else:
            for each in part.children():
                yield from inside(each)

    parts: list[nn.Module] = [network.encode2, network.encode4, network.encode8, network.encode16]
    parts += [network.deep, network.context, network.up8, network.up4, network.up2, network.last]
    for each in parts:
        yield from inside(each)


def pretrained(network: LiteNetwork) -> set[int]:
    """``id`` of every parameter that starts from MediaPipe's weights."""
    return {id(value) for layer in layers(network) for value in layer.parameters()}


def load_start(wheel: Path, model: str = "general") -> LiteNetwork:
    """A network that computes what MediaPipe's computes; the layers that are this project's own have no effect yet.

    Args:
        wheel: path of the ``mediapipe`` wheel.
        model: ``general`` or ``landscape``.

    Raises:
        ValueError: the wheel holds another network.
    """
    with zipfile.ZipFile(wheel) as archive:
        found = list(constants(archive.read(MODELS[model])))
    network = LiteNetwork()
    wanted = list(layers(network))
    if len(found) != len(wanted):
        raise ValueError(f"{wheel} holds {len(found)} convolutions where {len(wanted)} are wanted")
    with torch.no_grad():
        for layer, (kernel, bias) in zip(wanted, found, strict=True):
            if layer is network.last:  # a transposed 2x2 convolution: four values a pixel
                kernel, bias = kernel[0].transpose(1, 2, 0).reshape(4, -1, 1, 1), bias.repeat(4)
            if layer.bias is None or layer.weight.shape != kernel.shape:
                raise ValueError(
                    f"{wheel} holds a kernel of {kernel.shape} where {tuple(layer.weight.shape)} is wanted"
                )
            layer.weight.copy_(torch.from_numpy(kernel))
            layer.bias.copy_(torch.from_numpy(bias))
    return network
