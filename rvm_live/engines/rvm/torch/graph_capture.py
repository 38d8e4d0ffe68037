"""Captures GPU work as a CUDA graph."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from rvm_live.core.errors import words_of
from rvm_live.engines.common.device_errors import is_out_of_memory

__all__ = ["Record", "record_graph", "recorded_if_possible"]

_log = logging.getLogger("rvm_live")

_WARM_UPS = 3

Record = Callable[[Callable[[], None]], Callable[[], None]]
"""Takes a function without arguments, and returns one that does the same work in the same memory again."""

Made = TypeVar("Made")

_recording = threading.Lock()
_streams: dict[torch.device, Any] = {}
_leaking: set[torch.device] = set()


def record_graph(
    work: Callable[[], None], device: torch.device, after: Any, *, repeatable: bool = False
) -> Callable[[], None]:
    """Record a CUDA graph of ``work``; may run beside another thread that replays another one.

    Args:
        work: launches kernels on the current stream, in memory that stays where it is.
        device: the GPU.
        after: CUDA stream whose work so far the recording relies on.
        repeatable: with the same algorithms in every process, not those that a measurement finds quickest.

    Raises:
        RuntimeError: something in ``work`` cannot be recorded, or a recording before left this process unable to.
    """
    # cuDNN times its algorithms once for these shapes; the recording keeps the fastest.
    how = torch.backends.cudnn.flags(enabled=True, benchmark=not repeatable, deterministic=repeatable, allow_tf32=False)
    with _recording:
        if device in _leaking:
            raise RuntimeError("an earlier CUDA graph capture did not end properly")
        stream = _stream_of(device)
        stream.wait_stream(after)
        with torch.inference_mode(), torch.cuda.stream(stream), how:
            for _ in range(_WARM_UPS):
                work()
            stream.synchronize()
            graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
            # "thread_local": what other threads do meanwhile does not spoil the capture.
            graph.capture_begin(pool, capture_error_mode="thread_local")
            try:
                work()
                graph.capture_end()
            except BaseException:
                _break_off(graph, device, pool)
                raise
    return graph.replay


def _stream_of(device: torch.device) -> Any:
    """The stream for all recordings on a GPU. torch hands out its 32 streams of a priority in turn, so that a new one
    would sooner or later be one that frames run on; nothing else uses streams of this priority."""
    if device not in _streams:
        _streams[device] = torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]
    return _streams[device]


def _break_off(graph: Any, device: torch.device, pool: Any) -> None:
    """End a recording that failed. Where the graph is of no use ``capture_end`` raises before it has told the allocator
    that the recording is over, which then gives no memory back that was used on two streams, for good."""
    try:
        graph.capture_end()
        return
    except RuntimeError:
        _log.debug("the capture was interrupted", exc_info=True)
    try:
        inside: Any = torch._C
        # The second name is that of earlier versions of torch.
        end = getattr(inside, "_cuda_endAllocateToPool", None) or inside._cuda_endAllocateCurrentStreamToPool
        end(device.index, pool)
        torch._C._cuda_releasePool(device.index, pool)
    except (AttributeError, RuntimeError) as error:
        if "not currently recording" in str(error):
            return  # this version of torch has ended it in capture_end already
        _leaking.add(device)
        _log.warning("no more CUDA graphs are captured on %s: %s", device, words_of(error))


def recorded_if_possible(make: Callable[[Record | None], Made], record: Record | None) -> Made:
    """The result of ``make`` with ``record``; if the work cannot be recorded, without, which is reported.

    Raises:
        RuntimeError: neither can be made, or there is no memory.
    """
    try:
        return make(record)
    except RuntimeError as error:
        if record is None or is_out_of_memory(error):
            raise
        _log.warning("matting runs without a CUDA graph: %s", words_of(error))
    return make(None)
