"""An engine that stores its recurrent state at the end of every segment, and restores it when a run continues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rvm_live.apps.batch.segments import Segments
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.frames import Frame, Matte
from rvm_live.engines.base import Engine
from rvm_live.engines.delegating import DelegatingEngine

__all__ = ["LEAD_IN", "CheckpointEngine"]

LEAD_IN = 24
"""Frames before the first wanted one that are processed again: the detector of cuts remembers that many, and an engine
whose state cannot be stored has found its person after so many."""


class CheckpointEngine(DelegatingEngine):
    """Gives mattes for the frames from ``segments.start`` on; those before it, the lead-in, get an empty one.

    With a stored state the lead-in is skipped; without one the engine processes it.

    Args:
        inner: does the work.
        segments: where states go and come from.
        first: number of the frame, in the file, that comes with ``seq`` 0.
    """

    def __init__(self, inner: Engine, segments: Segments, first: int) -> None:
        super().__init__(inner)
        self._segments = segments
        self._first, self._start = first, segments.start
        self._states = segments.states() if self._start else None
        self._lead_in_epoch: int | None = None

    def matte(self, frame: Frame) -> Matte:
        return self.matte_chunk((frame,))[0]

    def matte_chunk(self, frames: Sequence[Frame]) -> list[Matte]:
        mattes: list[Matte] = []
        for part in self._parts(frames):
            number = self._first + part[0].seq
            if number < self._start:
                self._lead_in_epoch = part[-1].epoch
                if self._states is None:
                    self._inner.matte_chunk(part)
                mattes += [_nobody(frame) for frame in part]
                continue
            if number == self._start and self._states is not None and self._lead_in_epoch == part[0].epoch:
                self._inner.restore(self._states)
            self._states = None
            mattes += self._inner.matte_chunk(part)
            after = number + len(part)
            if after % self._segments.length == 0 and (states := self._inner.states()) is not None:
                self._segments.keep(after // self._segments.length, states)
        return mattes

    def _parts(self, frames: Sequence[Frame]) -> Iterator[Sequence[Frame]]:
        """The frames, cut where the lead-in ends and where segments do."""
        part: list[Frame] = []
        for frame in frames:
            number = self._first + frame.seq
            if part and (number == self._start or number % self._segments.length == 0):
                yield part
                part = []
            part.append(frame)
        yield part


def _nobody(frame: Frame) -> Matte:
    now_ns = SYSTEM_CLOCK.now_ns()
    return Matte(frame, np.zeros((frame.height, frame.width), np.uint8), started_ns=now_ns, finished_ns=now_ns)
