"""Counts the full-size arrays that are made or filled for a frame, as transfers to a device are counted."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from rvm_live.system.buffer_pool import BufferPool

__all__ = ["counted"]


@contextmanager
def counted(least: int) -> Iterator[list[str]]:
    """Count, on this thread, every array of ``least`` bytes or more: a list of ``module.function`` in order.

    The allocator reports memory, whoever asks for it: NumPy's and OpenCV's arrays both use Python's. Arrays that are
    filled again are reported by the pool that hands them out.
    """
    told: list[str] = []
    base = 0

    def look(frame: FrameType, event: str, what: Any) -> None:
        nonlocal base
        peak = tracemalloc.get_traced_memory()[1]
        if peak - base >= least:
            told.append(_name(frame))
        if event == "call" and frame.f_code is BufferPool.take.__code__:
            pool: BufferPool = frame.f_locals["self"]
            caller = frame.f_back
            if pool._free and _size(pool.shape) >= least and caller is not None:
                told.append(_name(caller))
        tracemalloc.reset_peak()
        base = tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    base = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield told
    finally:
        sys.setprofile(before)
        tracemalloc.stop()


def _name(frame: FrameType) -> str:
    return f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}"


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size
