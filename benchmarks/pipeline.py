"""What the pipeline itself costs: handing an item over through a queue, and the live path with an engine without work.

    python -m benchmarks pipeline

Targets: a hand-over takes less than 0.2 ms at p95; at least 200 unique fps at 1280x720, headless, on two cores.
"""

from __future__ import annotations

import argparse
import threading
import time
from typing import Any

import numpy as np

from benchmarks.report import Chart, publish, summarise
from rvm_live.backgrounds.parse import parse
from rvm_live.compositing.composer import Composer
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import QueueClosed
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.queues import FrameQueue, Overflow
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo
from rvm_live.pipeline.pipeline import Pipeline
from rvm_live.sources.base import Grab, Source, SourceInfo

WIDTH, HEIGHT = 1280, 720


class _Camera(Source):
    """A camera that is always ready: prepared pictures, each different from the one before."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._pictures = [rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(4)]
        self._count = 0
        self._released = False

    def open(self) -> SourceInfo:
        return SourceInfo("benchmark", "benchmark", WIDTH, HEIGHT, 0.0, live=True)

    def read(self) -> Grab:
        # A real camera makes its reader wait. 400 fps is above the target and leaves time for the other threads.
        time.sleep(0.0025)
        self._count += 1
        return Grab(self._pictures[self._count % 4], SYSTEM_CLOCK.now_ns())

    def release(self) -> None:
        self._released = True


class _PassThrough(Engine):
    """A fixed matte: the left part is foreground, the right part background."""

    def __init__(self) -> None:
        super().__init__(EngineSettings())
        self._alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
        self._alpha[:, : WIDTH // 2] = 255

    def open(self) -> EngineInfo:
        return self.info

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("pass-through", "none", "cpu", "CPU", "uint8", 1.0)

    def reset(self) -> None:
        pass

    def matte(self, frame: Frame) -> Matte:
        now = SYSTEM_CLOCK.now_ns()
        return Matte(frame, self._alpha, started_ns=now, finished_ns=SYSTEM_CLOCK.now_ns())


def hand_over(count: int) -> list[float]:
    """Milliseconds from ``put`` until ``get`` returns in a waiting thread."""
    queue: FrameQueue[int] = FrameQueue("benchmark", 2, Overflow.DROP_OLDEST)
    spans: list[float] = []

    def reader() -> None:
        try:
            while True:
                put_ns = queue.get()
                spans.append((time.perf_counter_ns() - put_ns) / 1e6)
        except QueueClosed:
            pass

    thread = threading.Thread(target=reader)
    thread.start()
    for _ in range(count):
        queue.put(time.perf_counter_ns())
        time.sleep(0.0005)
    queue.close()
    thread.join()
    return spans[min(100, count // 10) :]


def live_path(seconds: float) -> Any:
    """A live run with real compositing over one colour."""
    composer = Composer(parse("color:#00ff88"), compositor="cpu", notices=Notices())
    pipeline = Pipeline(_Camera(), _PassThrough(), composer, [], overflow=Overflow.DROP_OLDEST)
    return pipeline.run(duration=seconds)


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark."""
    parser = argparse.ArgumentParser("python -m benchmarks pipeline")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the live run")
    parser.add_argument("--count", type=int, default=3000, help="hand-overs through the queue")
    options = parser.parse_args(arguments)
    queue = summarise(hand_over(options.count))
    live = live_path(options.seconds)
    total = live.latency_ms["total"]
    rows = [
        ("queue hand-over, p95 ms", queue.p95, "< 0.2", queue.p95 < 0.2),
        ("live path 1280x720, unique fps", live.unique_fps, ">= 200", live.unique_fps >= 200),
        ("live path, capture to display p95 ms", total.p95, "", ""),
        ("live path, dropped", sum(live.dropped.values()), "", ""),
    ]
    chart = Chart(("measured",), panels="what", target="target")  # four units, so four scales
    return publish("pipeline", ("what", "measured", "target", "met"), rows, chart=chart, hand_over=queue)
