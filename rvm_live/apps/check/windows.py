"""Windows of consecutive frames, spread over a clip of unknown length, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import EndOfSource
from rvm_live.pipeline.scenes import SceneDetector
from rvm_live.sources.base import Grab, Source, SourceInfo

__all__ = ["LEAST", "LENGTH", "MOST", "WARM_UP", "Window", "spread", "thinned"]

T = TypeVar("T")

WARM_UP = 6
"""Frames at the beginning of a window that are matted and not judged: a recurrent network settles in them."""
LENGTH = 14
"""Frames of a window."""
LEAST = 4
"""Frames of a window that a cut or the end makes shorter; fewer are left out, where there are others."""
MOST = 24
"""Windows are kept up to this many; then every second is dropped, and they come half as often."""


@dataclass(frozen=True, repr=False)
class Window:
    """Consecutive frames of one scene and one size.

    Attributes:
        first: number of its first frame in the clip.
        images: uint8 (H, W, 3) BGR, at most :data:`LENGTH`.
        seconds: of each, from the beginning of the clip.
    """

    first: int
    images: tuple[NDArray[np.uint8], ...]
    seconds: tuple[float, ...]

    @property
    def judged(self) -> range:
        """Places of those that are judged: not the first ones, where there are enough."""
        return range(min(WARM_UP, len(self.images) // 2), len(self.images))

    @property
    def bytes(self) -> int:
        """What its pictures take of memory."""
        return sum(image.nbytes for image in self.images)


def spread(source: Source, info: SourceInfo, limit: float | None = None) -> Iterator[Window]:
    """Windows of an open source, one after the other, until it ends or the limit is reached.

    If its length is unknown, they are dense at first; callers that keep data of each window thin it with
    :func:`thinned`, so that the rest is spread evenly.

    Args:
        source: open, read by this thread.
        info: what it said when it was opened.
        limit: seconds after which it is left, or None.
    """
    pace = _Pace(max(1, -(-(info.frame_count or 0) // (LENGTH * (MOST - 1)))))
    detector = SceneDetector()
    grabs: list[Grab] = []
    began_ns: int | None = None
    number = -1
    for number, grab in enumerate(_grabs(source)):
        began_ns = _at_ns(grab) if began_ns is None else began_ns
        if limit is not None and _at_ns(grab) - began_ns >= limit * 1e9:
            number -= 1
            break
        cut = detector.is_cut(grab.image) or grab.restarted
        if grabs and (cut or grabs[0].image.shape != grab.image.shape):
            if len(grabs) >= LEAST:
                yield pace.made(grabs, number, began_ns)
            grabs = []
        if grabs or number >= pace.wanted_at:
            grabs.append(grab)
        if len(grabs) == LENGTH:
            yield pace.made(grabs, number + 1, began_ns)
            grabs = []
    if began_ns is not None and grabs and (len(grabs) >= LEAST or not pace.taken):
        yield pace.made(grabs, number + 1, began_ns)


class _Pace:
    """How often windows come.

    Attributes:
        wanted_at: number of the frame from which on the next may begin.
        taken: number of windows that the caller keeps.
    """

    def __init__(self, stride: int) -> None:
        self.wanted_at, self.taken, self._stride = 0, 0, stride

    def made(self, grabs: list[Grab], end: int, began_ns: int) -> Window:
        """The window of the frames up to ``end``, which is told."""
        self.taken += 1
        if self.taken >= MOST:
            self.taken, self._stride = (self.taken + 1) // 2, self._stride * 2
        every = self._stride * LENGTH
        self.wanted_at = end if self._stride == 1 else -(-end // every) * every
        seconds = tuple((_at_ns(grab) - began_ns) / 1e9 for grab in grabs)
        return Window(end - len(grabs), tuple(grab.image for grab in grabs), seconds)


def thinned(kept: list[T]) -> list[T]:
    """The kept data after every second window is dropped."""
    return kept[::2] if len(kept) >= MOST else kept


def _at_ns(grab: Grab) -> int:
    return grab.captured_ns if grab.media_ns is None else grab.media_ns


def _grabs(source: Source) -> Iterator[Grab]:
    while True:
        try:
            yield source.read()
        except EndOfSource:
            return
