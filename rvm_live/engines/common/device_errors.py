"""Classifies errors of torch and of GPU libraries: out of memory, lost device, or neither.

Their types say little, and differ between versions and libraries, so their messages are searched. Does not import
torch.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

__all__ = ["is_out_of_memory", "lost_device", "memory_wanted"]

_NO_MEMORY = (
    "out of memory",  # torch, CUDA, HIP and MPS
    "outofmemory",  # Metal: kIOGPUCommandBufferCallbackErrorOutOfMemory
    "memoryallocation",  # cudaErrorMemoryAllocation
    "alloc_failed",  # cuDNN, cuBLAS, cuSPARSE and hipBLAS
    "allocfailed",  # MIOpen
    "memory_error",  # rocBLAS
    "allocate memory",  # torch on the CPU; ONNX Runtime
    "not enough memory",  # torch on the CPU under Windows
    "insufficient memory",  # OpenCV; Metal
    "failed to allocate",  # OpenCV; ONNX Runtime
    "invalid buffer size",  # MPS, when more is asked for than the GPU has
    "bad_alloc",
    "bad allocation",  # the same under Windows
    "could not create a primitive",  # oneDNN, whose message says no more
)
_GPU = re.compile(r"cuda|cudnn|cublas|\bhip\b|hip error|gpu api call|triton", re.IGNORECASE)
_LOST = (
    "illegal memory access",
    "illegal address",
    "misaligned address",
    "illegal instruction",
    "operation not supported on global/shared address space",
    "invalid program counter",
    "hardware stack error",
    "unspecified launch failure",
    "device-side assert",
    "launch timed out",
    "uncorrectable ecc",
    "uncorrectable nvlink",
    "context is destroyed",
    "invalid device context",
    "fallen off the bus",
    "gpu is lost",
    "unknown error",
)
"""Words of ``cudaGetErrorString`` for the errors after which, by NVIDIA's documentation of ``cudaError_t``, any further
CUDA work returns the same error until the process has been started anew."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the GPU or the machine ran out of memory."""
    told = str(error).lower()
    named = type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError)
    return named or any(words in told for words in _NO_MEMORY)


def memory_wanted(error: BaseException) -> str:
    """The size of the failed allocation, in words to append; empty if the error does not say."""
    found = re.search(r"[Tt]ried to allocate (\d+(?:\.\d+)?) (\w+)", str(error))
    if found is None:
        return ""
    number, unit = float(found[1]), found[2]
    return f" ({number / 1e6:.0f} MB more were needed)" if unit == "bytes" else f" ({found[1]} {unit} more)"


def lost_device(error: BaseException) -> bool:
    """Whether an error makes the GPU unusable for this process, so that only a new process can continue.

    Args:
        error: the caught error; its causes count, too.
    """
    told = [each for each in _behind(error) if _GPU.search(f"{type(each).__name__} {each}")]
    if not told or is_out_of_memory(told[-1]):
        return False
    named = re.search(r"cuda:\d+", " ".join(map(str, told)))
    return any(words in str(each).lower() for each in told for words in _LOST) or not _answers(
        named[0] if named else "cuda"
    )


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those it was raised from, the first cause last."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _answers(device: str) -> bool:
    """Whether the GPU still works for this process. An error is reported late, by the next call: a library
    that "failed to execute" may have been the first to meet it."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return True
    try:
        return bool(torch.ones(1, device=device).item() == 1)
    except RuntimeError as error:
        return is_out_of_memory(error)
