"""Samples GPU and CPU into a CSV file and draws it, around any piece of work; prints nothing.

Every second one row: what NVML tells of the GPU (empty columns where there is none), and the processor's load and the
memory in use, by psutil. The file grows beside its place and appears under its name when it is whole.
"""

from __future__ import annotations

import csv
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import MonitorError, told_as
from rvm_live.media import plots
from rvm_live.system import atomic_write, gpu

__all__ = ["COLUMNS", "Monitor", "Sample", "draw", "read_samples", "summary"]


@dataclass(frozen=True)
class Sample:
    """One moment. None: not reported, or there is no NVIDIA GPU.

    Attributes:
        seconds: since the monitor began.
        time: UTC, ISO 8601.
        gpu_percent: share of the last period in which a kernel ran.
        vram_mb: video memory in use by all programs, MB (10**6 bytes).
        vram_total_mb: of the card.
        temperature_c: degrees Celsius.
        power_w: watts.
        clock_mhz: graphics clock.
        memory_clock_mhz: memory clock.
        cpu_percent: of all cores together, since the sample before.
        memory_mb: main memory in use by all programs, MB.
    """

    seconds: float
    time: str
    gpu_percent: float | None = None
    vram_mb: float | None = None
    vram_total_mb: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    cpu_percent: float | None = None
    memory_mb: float | None = None


COLUMNS = tuple(field.name for field in fields(Sample))
_PANELS = (
    ("load, percent", ("gpu_percent", "cpu_percent")),
    ("memory, GB", ("vram_mb", "memory_mb")),
    ("power, watts", ("power_w",)),
    ("temperature, degrees Celsius", ("temperature_c",)),
)
_INKS = {"gpu_percent": "#2f6db3", "vram_mb": "#2f6db3", "cpu_percent": "#d9a441", "memory_mb": "#d9a441"}


class Monitor:
    """Samples in the background from ``start`` to ``stop``; a context manager.

    Args:
        path: of the CSV file.
        interval: seconds between samples.
        which: the card that does the work, asked before every sample.
        seen: called with every sample, on the monitor's thread.
        clock: monotonic time.

    Attributes:
        samples: taken so far.
        wanted: whether the file gets its name at the end; if not, it is thrown away.
        reason: why there are no readings of a GPU; None where there are.
    """

    def __init__(
        self,
        path: Path,
        *,
        interval: float = 1.0,
        which: Callable[[], gpu.Card] = lambda: 0,
        seen: Callable[[Sample], None] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if interval <= 0:
            raise MonitorError(f"interval {interval:g} is out of range: it must be above 0 seconds")
        self.path = path
        self.samples: list[Sample] = []
        self.wanted = True
        self.reason: str | None = None
        self._interval, self._which, self._seen, self._clock = interval, which, seen, clock
        self._part = path.with_name(f".{path.name}.part")
        self._file: IO[str] | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._began_ns = 0
        self._failed: OSError | None = None

    def __enter__(self) -> Monitor:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Open the file and take a first sample.

        Raises:
            MonitorError: the file cannot be written.
        """
        import psutil  # type: ignore[import-untyped]

        psutil.cpu_percent()  # the next call gives the load since this one
        with told_as(MonitorError, f"cannot write {self.path}"):
            atomic_write.refuse_special(self.path)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("w", newline="", encoding="utf-8")
            csv.writer(self._file).writerow(COLUMNS)
        self._began_ns = self._clock.now_ns()
        self.reason = gpu.why_not(self._which())
        self._take()
        self._thread = threading.Thread(target=self._run, name="rvm-monitor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take a last sample and complete the file.

        Raises:
            MonitorError: it could not be written.
        """
        thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None:
            thread.join(5.0)  # a driver that hangs must not block us: the thread is a daemon
            self._take()
        file, self._file = self._file, None
        try:
            if file is not None:
                file.close()
                if self.wanted:
                    atomic_write.replace(self._part, self.path)
                else:
                    self._part.unlink()
        except OSError as error:
            self._failed = self._failed or error
        if self._failed is not None:
            with suppress(OSError):
                self._part.unlink()
            raise MonitorError(f"cannot write {self.path}: {self._failed.strerror or self._failed}")

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            self._take()

    def _take(self) -> None:
        sample = _sampled((self._clock.now_ns() - self._began_ns) / 1e9, self._which())
        self.samples.append(sample)
        if self._file is not None and self._failed is None:
            try:
                csv.writer(self._file).writerow(["" if v is None else v for v in _values(sample)])
                self._file.flush()
            except OSError as error:
                self._failed = error
        if self._seen is not None:
            self._seen(sample)


def _values(sample: Sample) -> list[Any]:
    return [getattr(sample, name) for name in COLUMNS]


def _sampled(seconds: float, device: gpu.Card) -> Sample:
    import psutil

    found = gpu.read(device)
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    told: dict[str, float | None] = {}
    if found is not None:
        told = {
            "gpu_percent": found.utilisation,
            "vram_mb": _megabytes(found.memory_used),
            "vram_total_mb": _megabytes(found.memory_total),
            "temperature_c": found.temperature,
            "power_w": found.power,
            "clock_mhz": found.clock,
            "memory_clock_mhz": found.memory_clock,
        }
    memory = psutil.virtual_memory()
    used = _megabytes(memory.total - memory.available)
    return Sample(round(seconds, 3), now, **told, cpu_percent=psutil.cpu_percent(), memory_mb=used)


def _megabytes(count: int | None) -> float | None:
    return None if count is None else round(count / 1e6, 1)


def read_samples(path: Path) -> list[Sample]:
    """The samples in a CSV file.

    Raises:
        MonitorError: it is none of this program's.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if rows and set(rows[0]) != set(COLUMNS):
            raise ValueError("other columns")
        return [
            Sample(
                float(row["seconds"]), row["time"], *(float(row[name]) if row[name] else None for name in COLUMNS[2:])
            )
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MonitorError(f"{path} contains no samples of this program: {error}") from error


def summary(samples: Iterable[Sample]) -> dict[str, tuple[float, float]]:
    """Mean and largest of every column that has values."""
    samples = list(samples)
    told = {}
    for name in COLUMNS[2:]:
        values = [value for each in samples if (value := getattr(each, name)) is not None]
        if values:
            told[name] = (sum(values) / len(values), max(values))
    return told


def draw(samples: Iterable[Sample], path: Path, title: str = "") -> None:
    """Load, memory, power and temperature over time, as a PNG.

    Raises:
        UnavailableError: matplotlib is not installed.
        MonitorError: the file cannot be written.
    """
    samples = list(samples)
    seconds = [each.seconds for each in samples]
    shown = [
        (label, own)
        for label, names in _PANELS
        if (own := [name for name in names if any(getattr(each, name) is not None for each in samples)])
    ]
    figure = plots.figure(9, 1 + 1.7 * len(shown), title)
    for panel, (label, names) in zip(
        figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0], shown, strict=True
    ):
        for name in names:
            scale = 1000 if name.endswith("_mb") else 1
            values = [float("nan") if (v := getattr(each, name)) is None else v / scale for each in samples]
            panel.plot(seconds, values, color=_INKS.get(name, "#b03030"), linewidth=1.2, label=name.partition("_")[0])
        plots.tidy_panel(panel, label)
        if len(names) > 1:
            panel.legend(fontsize=7, frameon=False)
    panel.set_xlabel("seconds", fontsize=8)
    plots.save(figure, path, MonitorError)
