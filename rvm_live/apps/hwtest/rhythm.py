"""How regularly frames come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Rhythm", "rhythm_of"]

_GAP = 1.5


@dataclass(frozen=True)
class Rhythm:
    """The rate of a source and how it wavers.

    Attributes:
        frames: that were counted.
        seconds: from the first of them to the last.
        fps: intervals divided by seconds; 0.0 with fewer than two frames.
        interval_ms: median of the intervals.
        jitter_ms: standard deviation of the intervals.
        p95_ms: 95th percentile of the intervals.
        gaps: intervals of more than one and a half medians.
        dropped: frames that would have filled those gaps.
        repeated: frames whose picture is byte for byte that of the frame before.
    """

    frames: int
    seconds: float
    fps: float
    interval_ms: float
    jitter_ms: float
    p95_ms: float
    gaps: int
    dropped: int
    repeated: int


def rhythm_of(stamps_ns: Sequence[int], repeated: int = 0) -> Rhythm:
    """Work out the rhythm of frames.

    Args:
        stamps_ns: monotonic times of capture, in order.
        repeated: how many of them repeat the picture before.
    """
    count = len(stamps_ns)
    intervals = np.diff(np.asarray(stamps_ns, np.float64) / 1e6)
    total = float(intervals.sum())
    if count < 2 or total <= 0:
        return Rhythm(count, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, repeated)
    median = float(np.median(intervals))
    gaps = intervals[intervals > _GAP * median] if median > 0 else intervals[:0]
    return Rhythm(
        frames=count,
        seconds=total / 1e3,
        fps=(count - 1) / total * 1e3,
        interval_ms=median,
        jitter_ms=float(intervals.std()),
        p95_ms=float(np.percentile(intervals, 95)),
        gaps=len(gaps),
        dropped=int(np.sum(np.round(gaps / median) - 1)) if len(gaps) else 0,
        repeated=repeated,
    )
