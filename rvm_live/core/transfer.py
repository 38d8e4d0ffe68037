"""The only two places where pixels cross between host memory and a device, counted.

Invariant 8 (a frame goes up once and comes down once) is tested by these counts; on the CPU the calls are the
same and the copies are free, so the same test runs everywhere.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

__all__ = ["TransferCount", "array_u8", "counts", "download", "mark", "tensor_u8", "upload"]


@dataclass(frozen=True)
class TransferCount:
    """How many tensors went up and came down so far in this process."""

    uploads: int
    downloads: int


_lock = threading.Lock()
_uploads = 0
_downloads = 0


def counts() -> TransferCount:
    """The counts so far; the difference of two calls counts the time between."""
    with _lock:
        return TransferCount(_uploads, _downloads)


def upload(image: NDArray[Any], device: torch.device | str) -> torch.Tensor:
    """Copy a host array to ``device``, same shape and dtype (shares memory when the device is the CPU).

    On CUDA the copy runs on the current stream, out of page-locked memory that torch keeps and reuses.
    """
    import torch

    global _uploads
    with _lock:
        _uploads += 1
    if not image.flags.writeable:
        image = image.copy()  # torch cannot express read-only memory and warns about it
    host = torch.from_numpy(np.ascontiguousarray(image))
    target = torch.device(device)
    if target.type == "cpu":
        return host
    if target.type == "cuda":
        host = host.pin_memory()
    return host.to(target, non_blocking=True)


def download(tensor: torch.Tensor) -> NDArray[Any]:
    """Copy a tensor to a C-contiguous host array, same shape and dtype; waits for that copy alone.

    From CUDA it comes down into page-locked memory, which the array keeps and gives back to torch when it goes: no
    second copy, and no memory asked of the system once as many pictures are in flight as ever will be.
    """
    import torch

    global _downloads
    with _lock:
        _downloads += 1
    tensor = tensor.detach().contiguous()
    if tensor.device.type != "cuda":
        array: NDArray[Any] = tensor.cpu().numpy()
        return array
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    done.record(torch.cuda.current_stream(tensor.device))
    done.synchronize()
    landed: NDArray[Any] = host.numpy()
    return landed


def mark(device: torch.device) -> Any:
    """An event after all work queued on the device's current stream; None for a device without streams."""
    import torch

    if device.type != "cuda":
        return None
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event


def array_u8(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Values from 0 to 1 as uint8, rounded; uint8 unchanged."""
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    scaled = np.clip(values.astype(np.float32) * 255 + 0.5, 0, 255)
    return np.ascontiguousarray(scaled.astype(np.uint8))


def tensor_u8(values: torch.Tensor) -> torch.Tensor:
    """The same for a tensor on a device."""
    import torch

    if values.dtype == torch.uint8:
        return values
    return values.mul(255).add_(0.5).clamp_(0, 255).to(torch.uint8)
