"""How a matte reaches OpenCV's CUDA functions, and how the picture they make comes back.

If torch works on the same GPU, the two share memory and a stream: the matte is not copied. Otherwise it is
uploaded. Either way one picture comes down per frame.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core import transfer
from rvm_live.core.frames import Matte

__all__ = ["GpuMatte", "Memory", "memory_for"]

GpuMat: TypeAlias = Any

_KINDS = {1: cv2.CV_8UC1, 3: cv2.CV_8UC3, 4: cv2.CV_8UC4}


@dataclass(frozen=True, repr=False)
class GpuMatte:
    """One frame as OpenCV sees it on the GPU.

    Attributes:
        alpha: uint8 (H, W).
        colour: of the person, uint8 (H, W, 3) BGR.
        image: uint8 (H, W, 3) BGR, the frame's own picture.
        result: memory for the finished picture, uint8 (H, W, 3 or 4).
        stream: ``cv2.cuda.Stream`` in which all of it happens.
        fetch: brings ``result`` to the host; waits for the stream alone.
    """

    alpha: GpuMat
    colour: GpuMat
    image: GpuMat
    result: GpuMat
    stream: Any
    fetch: Callable[[], NDArray[np.uint8]]


class Memory(ABC):
    """Brings mattes to OpenCV on the GPU."""

    @abstractmethod
    def frame(self, matte: Matte, channels: int) -> AbstractContextManager[GpuMatte]:
        """The frame on the GPU, for as long as the block runs.

        Args:
            matte: what the engine made.
            channels: of the picture to be made, 3 or 4.
        """


def memory_for(api: Any, device: str) -> Memory:
    """Shared memory where the engine's device is a CUDA GPU and OpenCV can wrap its memory; else uploads.

    Args:
        api: ``cv2.cuda``.
        device: torch device of the engine.
    """
    kind, _, number = device.partition(":")
    if kind == "cuda" and hasattr(api, "createGpuMatFromCudaMemory") and hasattr(api, "wrapStream"):
        from rvm_live.compositing.torch import usable_device

        usable = usable_device(device)
        api.setDevice(usable.index)
        return _Shared(api, usable)
    if number:
        api.setDevice(int(number))
    return _Uploading(api)


class _Shared(Memory):
    def __init__(self, api: Any, device: Any) -> None:
        import torch

        self._api = api
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._view = api.wrapStream(self._stream.cuda_stream)

    @contextmanager
    def frame(self, matte: Matte, channels: int) -> Iterator[GpuMatte]:
        import torch

        with torch.inference_mode(), torch.cuda.stream(self._stream):
            tensors = matte.tensor(self._device)
            size = (matte.frame.height, matte.frame.width, channels)
            result = torch.empty(size, dtype=torch.uint8, device=self._device)
            # Contiguous copies, if any are made, must stay alive until the stream has used them: fetch waits for it.
            parts = [part.contiguous() for part in (tensors.alpha, tensors.colour, tensors.image)]
            alpha, colour, image = (self._wrap(part) for part in parts)
            yield GpuMatte(alpha, colour, image, self._wrap(result), self._view, lambda: transfer.download(result))

    def _wrap(self, tensor: Any) -> GpuMat:
        height, width = tensor.shape[:2]
        channels = 1 if tensor.dim() == 2 else tensor.shape[2]
        return self._api.createGpuMatFromCudaMemory(
            height, width, _KINDS[channels], tensor.data_ptr(), width * channels
        )


class _Uploading(Memory):
    def __init__(self, api: Any) -> None:
        self._api = api
        self._stream = api.Stream()
        self._alpha, self._colour, self._image = api.GpuMat(), api.GpuMat(), api.GpuMat()
        self._results: dict[int, GpuMat] = {}

    @contextmanager
    def frame(self, matte: Matte, channels: int) -> Iterator[GpuMatte]:
        host = matte.host()
        self._alpha.upload(host.alpha, self._stream)
        self._colour.upload(host.colour, self._stream)
        self._image.upload(matte.frame.image, self._stream)
        size = (matte.frame.width, matte.frame.height)
        result = self._results.get(channels)
        if result is None or result.size() != size:
            result = self._api.GpuMat(size[1], size[0], _KINDS[channels])
            self._results[channels] = result
        yield GpuMatte(self._alpha, self._colour, self._image, result, self._stream, lambda: self._fetched(result))

    def _fetched(self, result: GpuMat) -> NDArray[np.uint8]:
        host = result.download(self._stream)
        self._stream.waitForCompletion()
        picture: NDArray[np.uint8] = np.ascontiguousarray(host)
        return picture
