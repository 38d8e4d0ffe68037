"""The live pipeline in virtual time: the real queues and the real pacer, stages that are but how long they take.

One thread and a heap of events, so that a run is the same every time, however loaded the machine is.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from rvm_live.pacing import Pacer
from rvm_live.pipeline import LIVE_SIZE
from rvm_live.queues import FrameQueue, Overflow

__all__ = ["Run", "grabs", "simulate"]

Duration = Callable[[], float]
"""Milliseconds that a stage takes for the next frame."""


@dataclass
class Run:
    """What came of it.

    Attributes:
        latencies_ms: from the grab to the screen, of each frame shown.
        shown_ms: when each was shown.
        paced: frames that the pacer did not let through.
        dropped: frames that the queues dropped.
    """

    latencies_ms: list[float] = field(default_factory=list)
    shown_ms: list[float] = field(default_factory=list)
    paced: int = 0
    dropped: int = 0

    @property
    def fps(self) -> float:
        return (len(self.shown_ms) - 1) * 1000 / (self.shown_ms[-1] - self.shown_ms[0])


class _Stage:
    """Takes from ``inlet``, works, puts into ``outlet``; ``free`` between two frames."""

    def __init__(self, inlet: FrameQueue[float], outlet: FrameQueue[float] | None, takes: Duration) -> None:
        self.inlet, self.outlet, self.takes = inlet, outlet, takes
        self.frame: float | None = None


def grabs(fps: float, count: int, jitter: Duration = lambda: 0.0) -> Iterator[float]:
    """Milliseconds at which a camera's frames are grabbed: each late by ``jitter``, which does not add up."""
    last = 0.0
    for number in range(count):
        last = max(number * 1000 / fps + jitter(), last)
        yield last


def simulate(
    arrivals: Iterator[float], stages: Sequence[Duration], max_fps: float | None, size: int = LIVE_SIZE
) -> Run:
    """Send frames through stages joined by live queues.

    Args:
        arrivals: milliseconds at which frames are grabbed, rising.
        stages: what each stage takes, the screen last.
        max_fps: as for the pipeline.
        size: of each queue.
    """
    run, pacer = Run(), None if max_fps is None else Pacer(max_fps)
    queues = [FrameQueue[float](str(n), size, Overflow.DROP_OLDEST) for n in range(len(stages))]
    line = [
        _Stage(queue, after, takes) for queue, after, takes in zip(queues, [*queues[1:], None], stages, strict=True)
    ]
    events: list[tuple[float, int]] = []  # when, and which stage is done; -1: the next grab
    source = iter(arrivals)

    def begin(stage: int, now: float) -> None:
        here = line[stage]
        if here.frame is None and len(here.inlet):
            here.frame = here.inlet.get()
            heapq.heappush(events, (now + here.takes(), stage))

    def expect() -> None:
        when = next(source, None)
        if when is not None:
            heapq.heappush(events, (when, -1))

    expect()
    while events:
        now, stage = heapq.heappop(events)
        if stage < 0:
            if pacer is None or pacer.lets_through(round(now * 1e6)):
                queues[0].put(now)
            else:
                run.paced += 1
            expect()
        else:
            here = line[stage]
            frame, here.frame = here.frame, None
            assert frame is not None
            if here.outlet is None:
                run.latencies_ms.append(now - frame)
                run.shown_ms.append(now)
            else:
                here.outlet.put(frame)
        for each in range(len(line)):
            begin(each, now)
    run.dropped = sum(queue.dropped for queue in queues)
    return run
