"""The long run: samples every second, and a verdict at the end; prints nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rvm_live.apps.assembly import Assembly, failover, reconnecting
from rvm_live.apps.soak.faults import Chance, FaultyEngine, FaultySource
from rvm_live.backgrounds.parse import default_cycle
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import SettingsError
from rvm_live.core.frames import Composite
from rvm_live.core.notices import Notices
from rvm_live.core.queues import Overflow
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.pipeline.pipeline import Pipeline
from rvm_live.sinks.base import Sink
from rvm_live.sources.factory import open_source
from rvm_live.system import gpu
from rvm_live.system.signals import stopping_on_signals

__all__ = ["Finding", "Sample", "SoakReport", "SoakSettings", "run", "verdict"]

RSS_SLOPE = 1.0
"""Megabytes per 10,000 frames that the process may grow after warm-up."""
LATENCY_GROWTH = 1.10
_WARM = 0.1
_SECONDS = 1.0
_SOURCE_FAULTS, _ENGINE_FAULTS = 1 / 4000, 1 / 6000


@dataclass(frozen=True)
class SoakSettings:
    """What a soak test is asked for.

    Attributes:
        frames: shown, then it ends; None: no limit.
        hours: after which it ends; None: no limit.
        faults: inject some.
        seed: of the faults.
        source: where frames come from; the demo, as quickly as it gives them, by default.
        engine: how mattes are estimated.
        output: folder for samples and plot.
    """

    frames: int | None = None
    hours: float | None = None
    faults: bool = False
    seed: int = 1
    source: SourceSettings = field(default_factory=lambda: SourceSettings("demo", 320, 180, 1000.0, realtime=False))
    engine: EngineSettings = field(default_factory=lambda: EngineSettings(engine="lite"))
    output: Path = Path("soak")

    def __post_init__(self) -> None:
        if self.frames is None and self.hours is None:
            raise SettingsError("choose how long to run: --frames N or --hours H")
        if self.frames is not None and self.frames < 100:
            raise SettingsError(f"{self.frames} frames are out of range: use at least 100")
        if self.hours is not None and not 0 < self.hours <= 1000:
            raise SettingsError(f"{self.hours:g} hours are out of range: use more than 0, at most 1000")


@dataclass(frozen=True)
class Sample:
    """One second. ``gpu_mb`` is None without an NVIDIA GPU; latencies are None where nothing was shown."""

    seconds: float
    frames: int
    rss_mb: float
    gpu_mb: float | None
    threads: int
    descriptors: int
    captured: int
    matted: int
    composed: int
    fps: float
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True)
class Finding:
    """One check: its name, the value, its limit, and whether it is kept."""

    what: str
    value: str
    limit: str
    good: bool


@dataclass(frozen=True)
class SoakReport:
    """A whole run.

    Attributes:
        frames: shown.
        seconds: it took.
        samples: one a second.
        findings: the verdict, point by point.
        faults: how many of each were injected.
        exit_reason: what ended it.
        engine: what ran at the end.
    """

    frames: int
    seconds: float
    samples: tuple[Sample, ...]
    findings: tuple[Finding, ...]
    faults: dict[str, int]
    exit_reason: str
    engine: str

    @property
    def good(self) -> bool:
        return all(finding.good for finding in self.findings)


class _Eye(Sink):
    """Sees every composite, and keeps the last second's latencies."""

    runs_on = "run"

    def __init__(self) -> None:
        self.frames = 0
        self._latencies: list[float] = []
        self._lock = threading.Lock()

    def open(self) -> None:
        pass

    def write(self, composite: Composite) -> None:
        with self._lock:
            self.frames += 1
            self._latencies.append((SYSTEM_CLOCK.now_ns() - composite.stamps.captured_ns) / 1e6)

    def close(self, *, failed: bool) -> None:
        pass

    def taken(self) -> list[float]:
        """The latencies since the last call, milliseconds."""
        with self._lock:
            found, self._latencies = self._latencies, []
        return found


def run(settings: SoakSettings, tell: Callable[[Sample], None] = lambda sample: None) -> SoakReport:
    """Run until frames, hours or a signal end it.

    Args:
        settings: what is asked for.
        tell: called with every sample, on a thread of its own.

    Raises:
        RvmLiveError: it cannot begin, or ended with an error.
    """
    notices = Notices()
    sources = Chance(settings.seed, _SOURCE_FAULTS if settings.faults else 0.0)
    engines = Chance(settings.seed + 1, _ENGINE_FAULTS if settings.faults else 0.0)
    engine = failover(settings.engine, notices, live=True, around=lambda inner: FaultyEngine(inner, engines))
    source = reconnecting(
        settings.source, notices, make=lambda asked, clock: FaultySource(open_source(asked, clock), sources)
    )
    eye = _Eye()
    parts = Assembly(source, engine, default_cycle([])[:1], overflow=Overflow.DROP_OLDEST, notices=notices)
    pipeline = parts.pipeline([eye])
    watch = _Watch(pipeline, eye, tell)
    with stopping_on_signals(pipeline.stop), watch:
        duration = None if settings.hours is None else settings.hours * 3600
        pipeline.run(frames=settings.frames, duration=duration)
    info = pipeline.engine_info
    return SoakReport(
        frames=eye.frames,
        seconds=watch.seconds,
        samples=tuple(watch.samples),
        findings=verdict(watch.samples),
        faults=dict(sources.counts + engines.counts),
        exit_reason=pipeline.exit_reason,
        engine="" if info is None else f"{info.engine} {info.precision} on {info.device}",
    )


class _Watch:
    """Takes a sample every second."""

    def __init__(self, pipeline: Pipeline, eye: _Eye, tell: Callable[[Sample], None]) -> None:
        self.samples: list[Sample] = []
        self.seconds = 0.0
        self._pipeline, self._eye, self._tell = pipeline, eye, tell
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rvm-soak")

    def __enter__(self) -> _Watch:
        self._began_ns = SYSTEM_CLOCK.now_ns()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        import psutil  # type: ignore[import-untyped]

        process = psutil.Process()
        counted = getattr(process, "num_fds", None) or process.num_handles
        frames, then = 0, 0.0
        while not self._stop.wait(_SECONDS):
            self.seconds = now = (SYSTEM_CLOCK.now_ns() - self._began_ns) / 1e9
            latencies, shown = self._eye.taken(), self._eye.frames
            pipeline = self._pipeline
            engine = pipeline.engine_info
            reading = None if engine is None else gpu.read(gpu.card(engine.device))
            sample = Sample(
                seconds=round(now, 2),
                frames=shown,
                rss_mb=process.memory_info().rss / 1e6,
                gpu_mb=None if reading is None or reading.memory_used is None else reading.memory_used / 1e6,
                threads=process.num_threads(),
                descriptors=counted(),
                captured=len(pipeline.captured),
                matted=len(pipeline.matted),
                composed=len(pipeline.composed),
                fps=(shown - frames) / (now - then),
                p50_ms=float(np.percentile(latencies, 50)) if latencies else None,
                p99_ms=float(np.percentile(latencies, 99)) if latencies else None,
            )
            frames, then = shown, now
            self.samples.append(sample)
            self._tell(sample)


def verdict(samples: Sequence[Sample]) -> tuple[Finding, ...]:
    """Whether the run aged, from its samples after a tenth of warm-up.

    Growth is the slope of a straight line through resident memory over frames (least squares); threads and descriptors
    are compared by their medians at both ends, latency by the median of the seconds' 99th percentiles.
    """
    warm = list(samples[max(1, int(len(samples) * _WARM)) :])
    if len(warm) < 10:
        return (Finding("length", f"{len(samples)} s", "at least 12 s", False),)
    frames = np.array([each.frames for each in warm], float)
    memory = np.array([each.rss_mb for each in warm])
    slope = float(np.polyfit(frames, memory, 1)[0]) * 10_000 if np.ptp(frames) > 0 else float("inf")
    tenth = max(3, len(warm) // 10)
    first, last = warm[:tenth], warm[-tenth:]
    found = [Finding("memory", f"{slope:+.3f} MB per 10,000 frames", f"{RSS_SLOPE:g}", slope <= RSS_SLOPE)]
    for name in ("threads", "descriptors"):
        before, after = (int(np.median([getattr(each, name) for each in part])) for part in (first, last))
        found.append(Finding(name, f"{before} at first, {after} at last", "none gained", after <= before))
    p99 = [float(np.median([each.p99_ms for each in part if each.p99_ms is not None])) for part in (first, last)]
    good = bool(p99[1] <= p99[0] * LATENCY_GROWTH)
    found.append(Finding("p99 latency", f"{p99[0]:.1f} ms at first, {p99[1]:.1f} ms at last", "a tenth more", good))
    return tuple(found)
