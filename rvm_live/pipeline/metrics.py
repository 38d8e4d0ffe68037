"""Counts and latencies of a run, in constant memory however long it lasts.

A latency is the time a frame spends in a stage; ``total`` runs from the grab to the moment the picture was
handed to the screen or file. Percentiles of the whole run come from a histogram with logarithmic bins 1 % wide
(so they are right to within 1 %), those of the last moments from the last :data:`RECENT` values themselves.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.frames import Composite

__all__ = ["STAGES", "LatencyTrack", "Metrics", "Percentiles", "Snapshot", "frame_rate"]

STAGES = ("matting", "compositing", "display", "total")
RECENT = 120
_RATE_WINDOW_NS = 2_000_000_000
_BINS_PER_E = 1 / math.log(1.01)
_FLOOR_MS = 0.001


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds below which 50, 95 and 99 % of the values are; zeros if there is no value."""

    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0


@dataclass(frozen=True)
class Snapshot:
    """The state of a run at one moment.

    Attributes:
        captured: frames that the source delivered.
        unique: frames shown whose picture differs from the one before.
        repeated: frames shown whose source picture was byte for byte the one before.
        dropped: queue name -> frames it dropped.
        unique_fps: unique frames per second over the whole run, first to last shown.
        recent_fps: the same over the last two seconds.
        latency_ms: stage -> percentiles over the whole run.
        recent_ms: stage -> percentiles over the last :data:`RECENT` frames.
        elapsed_s: seconds since the first frame was captured.
    """

    captured: int = 0
    unique: int = 0
    repeated: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    unique_fps: float = 0.0
    recent_fps: float = 0.0
    latency_ms: Mapping[str, Percentiles] = field(default_factory=dict)
    recent_ms: Mapping[str, Percentiles] = field(default_factory=dict)
    elapsed_s: float = 0.0

    @property
    def shown(self) -> int:
        return self.unique + self.repeated


def frame_rate(stamps_ns: Iterable[int]) -> float:
    """Frames per second of sorted time stamps: intervals over time, so n stamps count n - 1 intervals."""
    times = list(stamps_ns)
    if len(times) < 2 or times[-1] <= times[0]:
        return 0.0
    return (len(times) - 1) * 1e9 / (times[-1] - times[0])


class LatencyTrack:
    """Percentiles of one latency. Not thread-safe: its owner locks."""

    def __init__(self) -> None:
        self._bins: dict[int, int] = {}
        self._count = 0
        self._recent: deque[float] = deque(maxlen=RECENT)

    def add(self, milliseconds: float) -> None:
        """Add one value; negative ones (a clock of another thread, rounded) count as zero."""
        value = max(milliseconds, 0.0)
        index = math.floor(math.log(max(value, _FLOOR_MS)) * _BINS_PER_E)
        self._bins[index] = self._bins.get(index, 0) + 1
        self._count += 1
        self._recent.append(value)

    def overall(self) -> Percentiles:
        """Over every value added, each right to within 1 %."""
        return Percentiles(*(self._quantile(q) for q in (0.50, 0.95, 0.99)))

    def recent(self) -> Percentiles:
        """Over the last :data:`RECENT` values, exact (nearest rank)."""
        values = sorted(self._recent)
        if not values:
            return Percentiles()
        return Percentiles(*(values[_rank(q, len(values)) - 1] for q in (0.50, 0.95, 0.99)))

    def _quantile(self, q: float) -> float:
        if not self._count:
            return 0.0
        wanted, seen = _rank(q, self._count), 0
        for index in sorted(self._bins):
            seen += self._bins[index]
            if seen >= wanted:
                return math.exp((index + 0.5) / _BINS_PER_E)
        raise AssertionError("unreachable: the bins hold every value")


def _rank(q: float, count: int) -> int:
    return max(1, math.ceil(q * count))


class Metrics:
    """Gathers what the stages report. Every method may be called from any thread."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tracks = {stage: LatencyTrack() for stage in STAGES}
        self._captured = 0
        self._unique = 0
        self._repeated = 0
        self._first_captured_ns: int | None = None
        self._first_shown_ns = 0
        self._last_shown_ns = 0
        self._recent_shown: deque[int] = deque()

    def captured(self, captured_ns: int) -> None:
        """A source delivered a frame."""
        with self._lock:
            self._captured += 1
            if self._first_captured_ns is None:
                self._first_captured_ns = captured_ns

    def elapsed_s(self) -> float:
        """Seconds since the first frame was captured, 0.0 before."""
        first = self._first_captured_ns
        return 0.0 if first is None else (self._clock.now_ns() - first) / 1e9

    def shown(self, composite: Composite, shown_ns: int) -> None:
        """A composite reached the screen or file at ``shown_ns``."""
        stamps = composite.stamps
        spans = {
            "matting": stamps.matting_finished_ns - stamps.matting_started_ns,
            "compositing": stamps.compositing_finished_ns - stamps.compositing_started_ns,
            "display": shown_ns - stamps.compositing_finished_ns,
            "total": shown_ns - stamps.captured_ns,
        }
        with self._lock:
            for stage, span in spans.items():
                self._tracks[stage].add(span / 1e6)
            if composite.frame.repeated:
                self._repeated += 1
                return
            self._unique += 1
            if self._unique == 1:
                self._first_shown_ns = shown_ns
            self._last_shown_ns = shown_ns
            self._recent_shown.append(shown_ns)
            self._forget(shown_ns)

    def _forget(self, now_ns: int) -> None:
        while self._recent_shown and self._recent_shown[0] < now_ns - _RATE_WINDOW_NS:
            self._recent_shown.popleft()

    def snapshot(self, dropped: Mapping[str, int]) -> Snapshot:
        """The state now, with the drop counts of the queues."""
        now = self._clock.now_ns()
        elapsed = self.elapsed_s()
        with self._lock:
            self._forget(now)
            return Snapshot(
                captured=self._captured,
                unique=self._unique,
                repeated=self._repeated,
                dropped=dict(dropped),
                unique_fps=self._overall_fps(),
                recent_fps=frame_rate(self._recent_shown),
                latency_ms={stage: track.overall() for stage, track in self._tracks.items()},
                recent_ms={stage: track.recent() for stage, track in self._tracks.items()},
                elapsed_s=elapsed,
            )

    def _overall_fps(self) -> float:
        span = self._last_shown_ns - self._first_shown_ns
        return (self._unique - 1) * 1e9 / span if self._unique > 1 and span > 0 else 0.0
