"""Runs one configuration after another for its share of the time; prints nothing."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rvm_live.apps.monitor import Monitor, summary
from rvm_live.apps.stress.configs import Config, defaults
from rvm_live.apps.stress.guard import Guard, temperature
from rvm_live.apps.stress.loads import load, weights_for
from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import RvmLiveError, SettingsError, words_of
from rvm_live.system import gpu

__all__ = ["Row", "StressReport", "StressSettings", "run"]

_WARM_UPS = 2
_LEAST_CALLS = 3


@dataclass(frozen=True)
class StressSettings:
    """What a stress test is asked for.

    Attributes:
        minutes: for all configurations together, without getting them ready.
        configs: what to run; empty: :func:`~rvm_live.apps.stress.configs.defaults`.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        memory_limit: bytes of a GPU's memory that may be used, or None.
        max_temperature: degrees Celsius, see :class:`~rvm_live.apps.stress.guard.Guard`.
        output: folder for table, samples and plots.
    """

    minutes: float = 5.0
    configs: tuple[Config, ...] = ()
    device: str = "auto"
    memory_limit: int | None = None
    max_temperature: float = 85.0
    output: Path = Path("stress")

    def __post_init__(self) -> None:
        if not 0.01 <= self.minutes <= 1440:
            raise SettingsError(f"{self.minutes:g} minutes are out of range: use 0.01 to 1440")
        if not 30 <= self.max_temperature <= 110:
            raise SettingsError(f"{self.max_temperature:g} degrees are out of range: use 30 to 110")


@dataclass(frozen=True)
class Row:
    """The result of one configuration. None: unknown, or it did not run.

    Attributes:
        config: its label.
        fps: frames per second, all videos together.
        megapixels_s: of the frames, per second.
        p50_ms: of one call, which takes ``chunk * batch`` frames.
        p95_ms: likewise.
        frames: matted.
        gpu_percent: mean load of the GPU.
        vram_mb: most video memory in use, by all programs.
        power_w: mean.
        temperature_c: hottest.
        cpu_percent: mean load of all cores together.
        memory_mb: most main memory in use, by all programs.
        paused_s: spent waiting for it to cool.
        real_weights: whether the network's weights were real; random ones take the same time.
        error: why it did not run; empty if it did.
    """

    config: str
    fps: float | None = None
    megapixels_s: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    frames: int = 0
    gpu_percent: float | None = None
    vram_mb: float | None = None
    power_w: float | None = None
    temperature_c: float | None = None
    cpu_percent: float | None = None
    memory_mb: float | None = None
    paused_s: float = 0.0
    real_weights: bool = True
    error: str = ""


@dataclass(frozen=True)
class StressReport:
    """A whole test.

    Attributes:
        device: torch device string.
        device_name: in words.
        rows: one for each configuration that was begun.
        reason: why it ended before its time; empty if it did not.
        notes: what differs from what was asked for.
    """

    device: str
    device_name: str
    rows: tuple[Row, ...]
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def bests(self) -> tuple[Row, ...]:
        """For each network the setting with the most pixels a second on this machine, fastest first."""
        found: dict[str, Row] = {}
        for row in sorted(self.rows, key=lambda row: -(row.megapixels_s or 0)):
            if row.megapixels_s:
                found.setdefault(row.config.split("/")[1], row)
        return tuple(found.values())

    def live(self, fps: float = 30.0) -> Row | None:
        """The largest picture, and of these the quickest, that single frames of one video keep ``fps`` with."""
        fit = [row for row in self.rows if row.fps and row.fps >= fps and row.config.endswith("/1")]
        return max(fit, key=lambda row: ((row.megapixels_s or 0) / (row.fps or 1), row.fps or 0), default=None)


def run(
    settings: StressSettings,
    *,
    stopped: threading.Event | None = None,
    tell: Callable[[str, Any], None] = lambda event, value: None,
    clock: Clock = SYSTEM_CLOCK,
) -> StressReport:
    """Run all configurations.

    Args:
        settings: what is asked for.
        stopped: set to end the test; what was measured is reported.
        tell: called with ``("start", Config)`` and ``("row", Row)``.
        clock: monotonic time.

    Raises:
        RvmLiveError: the device is not there, or nothing can be written.
    """
    from rvm_live.engines.common.device import choose_device, device_name, limit_memory

    stopped = stopped or threading.Event()
    device = choose_device(settings.device)
    name = str(device)
    notes = []
    if settings.memory_limit is not None and (note := limit_memory(settings.memory_limit, settings.device)):
        notes.append(note)
    guard = Guard(settings.max_temperature, lambda: temperature(name), stopped, clock)
    if temperature(name) is None:
        notes.append("no temperature can be read here, so this run does not stop when it gets hot")
    configs = settings.configs or defaults(device.type)
    each_ns = round(settings.minutes * 60e9 / len(configs))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        for config in configs:
            if guard.reason or stopped.is_set():
                break
            tell("start", config)
            row = _measured(config, name, Path(scratch), each_ns, guard, settings.output, clock)
            rows.append(row)
            tell("row", row)
    reason = guard.reason or ("interrupted" if stopped.is_set() else "")
    return StressReport(name, device_name(device), tuple(rows), reason, tuple(notes))


def _measured(
    config: Config, device: str, scratch: Path, each_ns: int, guard: Guard, output: Path, clock: Clock
) -> Row:
    real, paused = True, guard.paused_s
    path: Path | None = None
    times: list[int] = []
    samples_path = output / f"samples_{config.label.replace('/', '-')}.csv"
    try:
        if config.engine != "lite":
            path, real = weights_for(config.model, scratch)
        with load(config, device, path) as work:
            for _ in range(_WARM_UPS):
                work()
            guard.hottest = None
            with Monitor(samples_path, interval=0.5, which=lambda: gpu.card(device)) as watching:
                began = clock.now_ns()
                while guard.may_go_on() and (clock.now_ns() - began < each_ns or len(times) < _LEAST_CALLS):
                    start = clock.now_ns()
                    work()
                    times.append(clock.now_ns() - start)
    except RvmLiveError as error:
        return Row(config.label, real_weights=real, error=words_of(error))
    if not times:
        return Row(config.label, real_weights=real, error=guard.reason or "interrupted")
    frames = len(times) * config.chunk * config.batch
    fps = frames / (sum(times) / 1e9)
    told = summary(watching.samples)
    ordered = sorted(times)
    return Row(
        config=config.label,
        fps=fps,
        megapixels_s=fps * config.megapixels,
        p50_ms=ordered[len(ordered) // 2] / 1e6,
        p95_ms=ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))] / 1e6,
        frames=frames,
        gpu_percent=told["gpu_percent"][0] if "gpu_percent" in told else None,
        vram_mb=told["vram_mb"][1] if "vram_mb" in told else None,
        power_w=told["power_w"][0] if "power_w" in told else None,
        temperature_c=guard.hottest,
        cpu_percent=told["cpu_percent"][0] if "cpu_percent" in told else None,
        memory_mb=told["memory_mb"][1] if "memory_mb" in told else None,
        paused_s=guard.paused_s - paused,
        real_weights=real,
    )
