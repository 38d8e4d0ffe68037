"""Makes dark films brighter, and stores its state for every segment."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rvm_live.apps.batch.segments import Segments
from rvm_live.sources.low_light import LowLight

__all__ = ["LIGHT", "FilmLight"]

LIGHT = "light"
"""The kind of state."""


class FilmLight:
    """Processes the frames of a film in order, on the reading thread, which is ahead of the others: so the state for
    resuming after a segment is on the disk before that segment is complete.

    Args:
        segments: of the film.
        begins: frame at which one is a segment's first -> frame with which a run begins that goes on there.

    Attributes:
        low_light: the processing.
    """

    def __init__(self, segments: Segments, begins: Callable[[int], int]) -> None:
        self.low_light = LowLight(on=True)
        self._segments, self._begins = segments, begins
        self._number, self._next = begins(segments.start), len(segments.pts) + 1
        known = segments.states(LIGHT) if segments.start else None
        if known is not None:
            self.low_light.remember(known)

    def __call__(self, image: NDArray[np.uint8], moment_ns: int) -> NDArray[np.uint8]:
        """The picture as it is to be matted and written."""
        while self._begins(self._next * self._segments.length) <= self._number:
            self._segments.keep(self._next, self.low_light.memory, LIGHT)
            self._next += 1
        self._number += 1
        return self.low_light(image, moment_ns)
