"""The part of ``cv2.cuda`` that the opencv-cuda compositor uses, computed on the CPU.

Names, argument order and types follow OpenCV's Python bindings, and so do the rules that are easy to break: sizes and
types of both operands must match, ``dst`` is written in place when it fits, arithmetic saturates, and separable kernels
have at most 32 taps. It shows that the calls are right, not that a GPU carries them out.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

DEPTHS = {cv2.CV_8U: np.uint8, cv2.CV_32F: np.float32}
TYPES = {
    cv2.CV_8UC1: (np.uint8, 1),
    cv2.CV_8UC3: (np.uint8, 3),
    cv2.CV_8UC4: (np.uint8, 4),
    cv2.CV_32FC1: (np.float32, 1),
    cv2.CV_32FC3: (np.float32, 3),
    cv2.CV_32FC4: (np.float32, 4),
}


class Stream:
    def waitForCompletion(self) -> None:
        pass


class GpuMat:
    def __init__(self, *args: Any) -> None:
        if not args:
            self.array = np.empty((0, 0, 1), np.uint8)
        elif isinstance(args[0], GpuMat):
            x, y, width, height = args[1]
            self.array = args[0].array[y : y + height, x : x + width]
        else:
            rows, cols, kind = args
            dtype, channels = TYPES[kind]
            self.array = np.full((rows, cols, channels), 171, dtype)

    def size(self) -> tuple[int, int]:
        return self.array.shape[1], self.array.shape[0]

    def upload(self, array: Any, stream: Stream | None = None) -> None:
        value = array.reshape(*array.shape[:2], -1).copy()
        if value.shape == self.array.shape and value.dtype == self.array.dtype:
            self.array[...] = value
        else:
            self.array = value

    def download(self, stream: Stream) -> Any:
        assert isinstance(stream, Stream)
        return self.array.squeeze(2).copy() if self.array.shape[2] == 1 else self.array.copy()

    def convertTo(self, rtype: int, alpha: float, beta: float, stream: Stream, dst: GpuMat | None = None) -> GpuMat:
        return _store(_saturate(self.array * np.float32(alpha) + np.float32(beta), DEPTHS[rtype]), dst)


def _saturate(values: Any, dtype: Any) -> Any:
    if dtype == np.uint8:
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return values.astype(dtype)


def _store(values: Any, dst: GpuMat | None) -> GpuMat:
    if dst is None:
        dst = GpuMat()
    if dst.array.shape == values.shape and dst.array.dtype == values.dtype:
        dst.array[...] = values
    else:
        dst.array = values
    return dst


def _pair(src1: GpuMat, src2: GpuMat) -> tuple[Any, Any]:
    assert src1.array.shape == src2.array.shape and src1.array.dtype == src2.array.dtype
    return src1.array.astype(np.float32), src2.array.astype(np.float32)


class Filter:
    def __init__(self, kernel_x: Any, kernel_y: Any) -> None:
        self.kernels = kernel_x, kernel_y

    def apply(self, src: GpuMat, dst: GpuMat | None = None, stream: Stream | None = None) -> GpuMat:
        done = cv2.sepFilter2D(src.array, -1, *self.kernels, borderType=cv2.BORDER_CONSTANT)
        return _store(done.reshape(src.array.shape), dst)


class FakeCuda:
    """Stands in for the module ``cv2.cuda``."""

    GpuMat = GpuMat
    Stream = Stream

    def __init__(self, devices: int = 1) -> None:
        self.devices = devices
        self.failing = False

    def getCudaEnabledDeviceCount(self) -> int:
        return self.devices

    def setDevice(self, device: int) -> None:
        if device >= self.devices:
            raise cv2.error(f"invalid device ordinal {device}")

    def add(self, src1: GpuMat, src2: GpuMat, dst: Any = None, mask: Any = None, dtype: int = -1, stream: Any = None):
        if self.failing:
            raise cv2.error("out of memory")
        one, two = _pair(src1, src2)
        return _store(_saturate(one + two, src1.array.dtype), dst)

    def bitwise_and(self, src1, src2, dst=None, mask=None, stream=None):
        _pair(src1, src2)
        return _store(src1.array & src2.array, dst)

    def bitwise_not(self, src, dst=None, mask=None, stream=None):
        return _store(~src.array, dst)

    def divide(self, src1, src2, dst=None, scale=1.0, dtype=-1, stream=None):
        one, two = _pair(src1, src2)
        return _store(_saturate(one / two * np.float32(scale), src1.array.dtype), dst)

    def multiply(self, src1, src2, dst=None, scale=1.0, dtype=-1, stream=None):
        one, two = _pair(src1, src2)
        return _store(_saturate(one * two * np.float32(scale), DEPTHS.get(dtype, src1.array.dtype)), dst)

    def merge(self, src, dst=None, stream=None):
        assert all(plane.array.shape[2] == 1 for plane in src)
        return _store(np.concatenate([plane.array for plane in src], axis=2), dst)

    def split(self, src, dst=None, stream=None):
        planes = [np.ascontiguousarray(src.array[..., i : i + 1]) for i in range(src.array.shape[2])]
        return [_store(plane, into) for plane, into in zip(planes, dst or [None] * len(planes), strict=True)]

    def resize(self, src, dsize, dst=None, fx=0, fy=0, interpolation=cv2.INTER_LINEAR, stream=None):
        assert interpolation == cv2.INTER_AREA and dsize == (src.size()[0] // 2, src.size()[1] // 2)
        done = cv2.resize(src.array, dsize, interpolation=interpolation)
        return _store(done.reshape(dsize[1], dsize[0], -1), dst)

    def remap(self, src, xmap, ymap, interpolation, dst=None, borderMode=0, borderValue=(), stream=None):
        assert xmap.array.dtype == ymap.array.dtype == np.float32 and interpolation == cv2.INTER_LINEAR
        height, width = src.array.shape[:2]
        assert borderMode == cv2.BORDER_REPLICATE
        x, y = np.clip(xmap.array, 0, width - 1), np.clip(ymap.array, 0, height - 1)
        left, top = np.floor(x).astype(int), np.floor(y).astype(int)
        right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
        u, v = x - left, y - top

        def at(row: Any, column: Any) -> Any:
            return src.array[row[..., 0], column[..., 0]].astype(np.float32)

        upper = at(top, left) * (1 - u) + at(top, right) * u
        lower = at(bottom, left) * (1 - u) + at(bottom, right) * u
        return _store(_saturate(upper * (1 - v) + lower * v, src.array.dtype), dst)

    def createSeparableLinearFilter(
        self, srcType, dstType, rowKernel, columnKernel, anchor, rowBorderMode, columnBorderMode
    ):
        assert srcType == dstType == cv2.CV_32FC4 and anchor == (-1, -1)
        assert rowBorderMode == columnBorderMode == cv2.BORDER_CONSTANT
        assert len(rowKernel) <= 32 and len(columnKernel) <= 32
        return Filter(rowKernel, columnKernel)
