"""Frames into and results out of memory that ONNX Runtime reads and writes: host memory, or torch's on a GPU.

A file may be for one size. A frame of another one is scaled to fit inside it, black around where the shapes differ
(edges repeated there are worse: a body that the frame cuts off becomes stripes, which are no person); alpha comes back
by interpolation, the foreground as the frame's own sharp picture plus the interpolated change to it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

__all__ = ["Fit", "HostPictures", "Pictures", "TensorPictures"]


@dataclass(frozen=True)
class Fit:
    """Where a frame lies in the picture that the network sees. Sizes are width, height in pixels.

    Attributes:
        frame: size of the frames.
        network: size of the network's picture.
        inner: size of the frame in it.
        left: columns left of it.
        top: rows above it.
    """

    frame: tuple[int, int]
    network: tuple[int, int]
    inner: tuple[int, int]
    left: int
    top: int

    @classmethod
    def of(cls, frame: tuple[int, int], network: tuple[int, int]) -> Fit:
        """As large as its shape allows, in the middle."""
        scale = min(network[0] / frame[0], network[1] / frame[1])
        width, height = (max(1, min(round(a * scale), b)) for a, b in zip(frame, network, strict=True))
        return cls(frame, network, (width, height), (network[0] - width) // 2, (network[1] - height) // 2)

    @property
    def scaled(self) -> bool:
        return self.inner != self.frame

    @property
    def bordered(self) -> bool:
        return self.inner != self.network

    @property
    def borders(self) -> tuple[int, int, int, int]:
        """Rows above and below the frame, columns left and right of it."""
        below, right = self.network[1] - self.top - self.inner[1], self.network[0] - self.left - self.inner[0]
        return self.top, below, self.left, right

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the frame in the network's picture."""
        return slice(self.top, self.top + self.inner[1]), slice(self.left, self.left + self.inner[0])

    def note(self) -> str:
        """The scaling in words; empty if there is none."""
        if not self.scaled and not self.bordered:
            return ""
        frame, network, inner = ("x".join(map(str, size)) for size in (self.frame, self.network, self.inner))
        if self.bordered:
            return f"frames of {frame} are scaled to {inner} with a black border, because the model is for {network}"
        return f"frames of {frame} are scaled to {network}, because the model is for this size"


class Pictures(ABC):
    """The network's picture, foreground and alpha, in memory of one kind.

    Attributes:
        src: (1, 3, h, w); ``fgr`` likewise, ``pha`` (1, 1, h, w). ``fgr`` is None if it is not wanted.
    """

    src: Any
    fgr: Any
    pha: Any

    @abstractmethod
    def put(self, image: NDArray[np.uint8] | Tensor) -> None:
        """Fill ``src`` from a frame, uint8 (H, W, 3) BGR, and get ``fgr`` and ``pha`` ready to be written."""

    @abstractmethod
    def results(self, image: NDArray[np.uint8] | Tensor) -> tuple[Any, Any]:
        """Alpha (H, W) and foreground (H, W, 3) BGR or None, from what was written; they stay as they are."""

    @property
    @abstractmethod
    def finite(self) -> bool:
        """Whether all that was written to ``pha`` is finite: as bytes NaN looks like any value."""

    @staticmethod
    @abstractmethod
    def address(memory: Any) -> int:
        """Where ``src``, ``fgr`` or ``pha`` begins."""


class HostPictures(Pictures):
    """In host memory, worked on by OpenCV; results are uint8."""

    def __init__(self, fit: Fit, dtype: type[np.floating[Any]], *, foreground: bool) -> None:
        width, height = fit.network
        self._fit = fit
        self.src = np.zeros((1, 3, height, width), dtype)
        self.pha = np.empty((1, 1, height, width), dtype)
        self.fgr = np.empty_like(self.src) if foreground else None

    def put(self, image: Any) -> None:
        fit = self._fit
        if fit.scaled:
            shrinks = fit.inner[0] < fit.frame[0]
            image = cv2.resize(image, fit.inner, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        rows, columns = fit.window
        for plane, channel in zip(reversed(cv2.split(image)), self.src[0], strict=True):
            np.multiply(plane, np.float32(1 / 255), out=channel[rows, columns], dtype=np.float32, casting="same_kind")

    def results(self, image: Any) -> tuple[Any, Any]:
        fit = self._fit
        rows, columns = fit.window
        alpha = self.pha[0, 0, rows, columns].astype(np.float32, copy=False)
        if fit.scaled:
            alpha = cv2.resize(alpha, fit.frame, interpolation=cv2.INTER_LINEAR)
        alpha = cv2.convertScaleAbs(alpha, alpha=255)
        if self.fgr is None:
            return alpha, None
        planes = self.fgr[0, ::-1, rows, columns].astype(np.float32, copy=False)
        if not fit.scaled:
            return alpha, cv2.merge([cv2.convertScaleAbs(plane, alpha=255) for plane in planes])
        changes = (planes - self.src[0, ::-1, rows, columns]) * 255
        change = cv2.resize(cv2.merge(list(changes)), fit.frame, interpolation=cv2.INTER_LINEAR)
        return alpha, cv2.add(image, change, dtype=cv2.CV_8U)

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.pha.sum(dtype=np.float32)))

    @staticmethod
    def address(memory: Any) -> int:
        return int(memory.ctypes.data)


class TensorPictures(Pictures):
    """In torch's memory on a device; results are floating point, in 0-1, and stay there."""

    def __init__(self, fit: Fit, dtype: type[np.floating[Any]], *, foreground: bool, device: torch.device) -> None:
        self._fit = fit
        self._dtype = torch.float16 if dtype is np.float16 else torch.float32
        self._foreground = foreground
        self._device = device

    def put(self, image: Any) -> None:
        fit = self._fit
        width, height = fit.network
        picture = image.permute(2, 0, 1)[None].flip(1).float().div_(255)
        if fit.scaled:
            shrinks = fit.inner[0] < fit.frame[0]
            picture = functional.interpolate(picture, fit.inner[::-1], mode="bilinear", antialias=shrinks)
        if fit.bordered:
            above, below, left, right = fit.borders
            picture = functional.pad(picture, (left, right, above, below))
        self.src = picture.to(self._dtype, memory_format=torch.contiguous_format).contiguous()
        # New tensors for every frame: compositing may still read the previous ones.
        self.pha = torch.empty((1, 1, height, width), dtype=self._dtype, device=self._device)
        self.fgr = torch.empty_like(self.src) if self._foreground else None

    def results(self, image: Any) -> tuple[Any, Any]:
        fit = self._fit
        rows, columns = fit.window
        alpha = self._full(self.pha[:, :, rows, columns])[0, 0].clamp(0, 1)
        if self.fgr is None:
            return alpha, None
        foreground = self.fgr[:, :, rows, columns].float()
        if fit.scaled:
            change = self._full(foreground - self.src[:, :, rows, columns])
            foreground = image.permute(2, 0, 1)[None].flip(1) / 255 + change
        return alpha, foreground[0].clamp(0, 1).flip(0).permute(1, 2, 0)

    @property
    def finite(self) -> bool:
        return bool(torch.isfinite(self.pha.sum(dtype=torch.float32)))

    def _full(self, tensor: Tensor) -> Tensor:
        tensor = tensor.float()
        if not self._fit.scaled:
            return tensor
        return functional.interpolate(tensor, self._fit.frame[::-1], mode="bilinear", align_corners=False)

    @staticmethod
    def address(memory: Any) -> int:
        return int(memory.data_ptr())
