"""What every benchmark shares: timing with warm-up, facts of the host, one table and one JSON file."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["RESULTS", "Timing", "host", "publish", "summarise", "time_calls"]

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Timing:
    """Milliseconds per call: median, 95th and 99th percentile (nearest rank), and how many were timed."""

    median: float
    p95: float
    p99: float
    count: int


def summarise(milliseconds: Sequence[float]) -> Timing:
    """Percentiles of a list of times."""
    values = sorted(milliseconds)

    def rank(q: float) -> float:
        return round(values[max(0, -(-int(q * 1000) * len(values) // 1000) - 1)], 4)

    return Timing(rank(0.5), rank(0.95), rank(0.99), len(values))


def time_calls(call: Callable[[], object], *, warm_up: int = 5, count: int = 100) -> Timing:
    """Time ``call``: a few unrecorded calls, then ``count`` recorded ones."""
    for _ in range(warm_up):
        call()
    times = []
    for _ in range(count):
        start = time.perf_counter_ns()
        call()
        times.append((time.perf_counter_ns() - start) / 1e6)
    return summarise(times)


def host() -> dict[str, Any]:
    """What the numbers were measured on."""
    facts = {
        "system": f"{platform.system()} {platform.release()}",
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    for package in ("torch", "opencv-contrib-python", "numpy", "av"):
        facts[package] = version(package)
    return facts


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def publish(name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], **extra: Any) -> dict[str, Any]:
    """Print one table and write ``benchmarks/results/<name>.json``; returns what was written."""
    table = Table(title=f"python -m benchmarks {name}")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row))
    console = Console()
    console.print(table)
    facts = host()
    console.print(", ".join(f"{key} {value}" for key, value in facts.items()), style="dim")
    result = {
        "benchmark": name,
        "host": facts,
        "rows": [dict(zip(columns, row, strict=True)) for row in rows],
        **{key: asdict(value) if isinstance(value, Timing) else value for key, value in extra.items()},
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2, sort_keys=True) + "\n")
    return result
