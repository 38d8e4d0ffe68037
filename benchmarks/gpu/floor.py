"""The least time that a frame takes on a GPU: the parts that nobody can leave out, each measured alone here."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from rvm_live.engines.common.ladder import low_size, state_shapes
from rvm_live.engines.rvm.torch.graph_capture import record_graph
from rvm_live.network.fuse_batch_norm import fold_batch_norm
from rvm_live.network.network import MattingNetwork

__all__ = ["Floor", "floor_of", "half", "milliseconds"]


@dataclass(frozen=True)
class Floor:
    """Milliseconds per frame of each part alone.

    Attributes:
        network: the network at low resolution, replayed as one graph (on the CPU: just run).
        up: copying the picture to the GPU, from page-locked memory.
        down: copying the finished picture back.
        full_size: reading the picture; writing alpha, foreground and composite, and reading them once more; at memory
            bandwidth.
    """

    network: float
    up: float
    down: float
    full_size: float

    @property
    def serial(self) -> float:
        """The sum of all parts, one after the other: the least latency."""
        return self.network + self.up + self.down + self.full_size

    @property
    def overlapped(self) -> float:
        """The least time between two frames: both directions of the bus and the work overlap."""
        return max(self.network + self.full_size, self.up, self.down)


def half(device: torch.device) -> torch.dtype:
    """Half precision on a GPU, where it is fast; single precision on the CPU, which runs the same path."""
    return torch.float16 if device.type == "cuda" else torch.float32


def milliseconds(work: Callable[[], object], device: torch.device, count: int) -> float:
    """Median time of ``work`` on the device, after a few warm-up calls."""
    for _ in range(3):
        work()
    spans = []
    for _ in range(count):
        if device.type == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            begin.record()
            work()
            end.record()
            end.synchronize()
            spans.append(float(begin.elapsed_time(end)))
        else:
            began = time.perf_counter_ns()
            work()
            spans.append((time.perf_counter_ns() - began) / 1e6)
    return statistics.median(spans)


@torch.inference_mode()
def floor_of(variant: str, width: int, height: int, ratio: float, device: torch.device, count: int) -> Floor:
    """Measure the parts for one size. The network's weights are random: they do not matter for its speed."""
    low = low_size(width, height, ratio)
    network = MattingNetwork(variant).eval().requires_grad_(False)
    fold_batch_norm(network)
    network = network.to(device, half(device)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    base = torch.rand((1, 3, low[1], low[0]), device=device).to(half(device), memory_format=torch.channels_last)
    r1, r2, r3, r4 = (
        torch.zeros(shape, device=device, dtype=half(device)).contiguous(memory_format=torch.channels_last)
        for shape in state_shapes(variant, *low)
    )

    def coarse() -> None:
        network.coarse(base, r1, r2, r3, r4)

    replay = record_graph(coarse, device, torch.cuda.current_stream(device)) if device.type == "cuda" else coarse
    host = torch.zeros((height, width, 3), dtype=torch.uint8, pin_memory=device.type == "cuda")
    there = host.to(device)
    # Read the picture, write alpha and foreground; read both and the background, write the composite.
    moved = width * height * (3 + 4 + 4 + 3 + 3)
    block = torch.zeros(max(moved // 2, 1 << 26), dtype=torch.uint8, device=device)
    copied = torch.empty_like(block)
    bandwidth = 2 * block.numel() / milliseconds(lambda: copied.copy_(block), device, count)
    return Floor(
        network=milliseconds(replay, device, count),
        up=milliseconds(lambda: there.copy_(host, non_blocking=True), device, count),
        down=milliseconds(lambda: host.copy_(there, non_blocking=True), device, count),
        full_size=moved / bandwidth,
    )
