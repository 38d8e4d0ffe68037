"""Keeps pictures on the device where samples are computed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import cv2
import numpy as np
import torch

from rvm_live.core.arrays import Bytes

__all__ = ["Store"]

Tensor = torch.Tensor


class Store:
    """Pictures on a device, uint8 (C, h, w); those that were used longest ago are dropped first.

    Args:
        read: gives a picture by kind, number and frame.
        device: where they are kept.
        most: the most memory they may take, bytes.
    """

    def __init__(self, read: Callable[[str, int, int], Bytes], device: torch.device, most: float) -> None:
        self._read, self._device, self._most = read, device, most
        self._kept: OrderedDict[tuple[str, int, int], Tensor] = OrderedDict()
        self.bytes = 0

    def picture(self, told: tuple[str, int, int] | Bytes) -> Tensor:
        """A stored picture, or an array that is moved to the device for this one use."""
        if isinstance(told, np.ndarray):
            return torch.from_numpy(np.stack(cv2.split(told))).to(self._device)
        if told in self._kept:
            self._kept.move_to_end(told)
            return self._kept[told]
        found = self._kept[told] = torch.from_numpy(self._read(*told)).to(self._device)
        self.bytes += found.nbytes
        while self.bytes > self._most and len(self._kept) > 1:
            self.bytes -= self._kept.popitem(last=False)[1].nbytes
        return found
