"""What every benchmark shares: timing with warm-up, facts about the host, and results as a table, JSON and a plot."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PureWindowsPath
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.plots import Chart, chart_of, draw
from rvm_live.system.cpu_info import cpu_name, held_to

__all__ = ["Chart", "Timing", "commanded", "host", "machine", "publish", "results", "summarise", "time_calls"]

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "openvino", "onnxruntime", "opencv-contrib-python", "numpy", "av")
HELD_BY = (
    *("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "OPENCV_CPU_DISABLE", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"),
    *("ATEN_CPU_CAPABILITY", "RVM_LIVE_CORES"),
)
"""Variables that take something of the processor away from a run."""
_COMMAND: ContextVar[str] = ContextVar("_COMMAND", default="")
_LOAD: ContextVar[float | None] = ContextVar("_LOAD", default=None)
_FOLDER: ContextVar[Path] = ContextVar("_FOLDER", default=RESULTS)
# At least two parts: "p50/p95" and "/" between numbers are not paths, and neither is what follows a URL's scheme.
_PATH = re.compile(r"""(?<![\w/:.)])(?:~|[A-Za-z]:)?(?:[/\\][^\s/\\:'",;()]+){2,}/?""")


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
    """The machine that the numbers were measured on."""
    facts = {
        "system": f"{platform.system()} {platform.release()}",
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "instructions": f"held to {held_to()}" if held_to() else "all there is",
        "python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "not installed"
    return facts


def machine(result: dict[str, Any]) -> str:
    """The machine of a result, in a few words."""
    facts = result["host"]
    gpu = f", {result['device']}" if result["benchmark"].startswith("gpu") and "device" in result else ""
    held = f" {instructions}" if (instructions := facts.get("instructions", "")).startswith("held") else ""
    return f"{facts['cores']} cores of {facts['cpu']}{held}{gpu}, {facts['system'].split()[0]}"


def _load() -> float | None:
    """How many processes wanted a core during the last minute: numbers from a busy machine are worth less."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None


@contextmanager
def commanded(name: str, arguments: Sequence[str], folder: Path = RESULTS) -> Iterator[None]:
    """Inside this context, published results name ``python -m benchmarks NAME ARGUMENTS`` as their command, and go to
    ``folder``.

    The command is preceded by those variables that hold the processor to older instructions. How busy the machine was
    before is written beside it.
    """
    held = (f"{variable}={os.environ[variable]}" for variable in HELD_BY if os.environ.get(variable))
    command = _COMMAND.set(" ".join((*held, "python -m benchmarks", name, *map(_argument, arguments))))
    target, load = _FOLDER.set(folder), _LOAD.set(_load())
    try:
        yield
    finally:
        _LOAD.reset(load)
        _COMMAND.reset(command)
        _FOLDER.reset(target)


def results(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Name -> result, of every result in the folder."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def publish(
    name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, chart: Chart | None = None, **extra: Any
) -> dict[str, Any]:
    """Print one table, write ``<name>.json`` and, where matplotlib is installed, ``<name>.png`` beside it.

    What is written names no folder of this machine: of every path only the file's name is kept.

    Args:
        name: of the files; also the benchmark's, where it was not started by its command.
        columns: their names; a column of numbers ends in its unit.
        rows: lists of cells: text, numbers, truth values; None where nothing was measured.
        chart: which part is drawn. None: the first column of numbers (:func:`benchmarks.plots.chart_of`).
        extra: written into the JSON file beside the table.

    Returns:
        What was written.
    """
    console, facts = Console(), host()
    if not console.is_terminal:
        console = Console(width=max(150, 15 * len(columns)))
    table = Table(title=f"python -m benchmarks {name}")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*(Text(cell(each)) for each in row))
    console.print(table)
    console.print(", ".join(f"{key} {value}" for key, value in facts.items()), style="dim")
    load = _LOAD.get()
    if load is not None and load > (os.cpu_count() or 1):
        console.print(f"busy: {load} processes wanted {os.cpu_count()} cores before; PyTorch suffers most from that")
    result: dict[str, Any] = _clean(
        {
            "benchmark": name,
            "columns": list(columns),
            "command": _COMMAND.get() or f"python -m benchmarks {name}",
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
            "host": facts,
            "load_at_start": load,
            "rows": [dict(zip(columns, row, strict=True)) for row in rows],
            **{key: asdict(value) if isinstance(value, Timing) else value for key, value in extra.items()},
        }
    )
    folder = _FOLDER.get()
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    (folder / f"{name}.json").write_text(text, encoding="utf-8")
    chart = chart or chart_of(columns, result["rows"])
    if chart is not None:
        chart = replace(chart, labels=chart.labels or (columns[0],))
        try:
            caption = f"{machine(result)} · {result['date']} · {_versions(facts)}"
            draw(folder / f"{name}.png", chart, result["rows"], title=result["command"], caption=caption)
        except ImportError:
            console.print(
                "no plot: matplotlib is not installed (pip install 'rvm-live[bench]')", style="dim", markup=False
            )
    return result


def cell(value: Any) -> str:
    """A table cell as text."""
    if value is None:
        return "–"  # noqa: RUF001 - a dash, as printed tables have it
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)


def _versions(facts: dict[str, Any]) -> str:
    return ", ".join(f"{key} {facts[key]}" for key in ("python", *PACKAGES) if facts[key] != "not installed")


def _without_paths(text: str) -> str:
    return _PATH.sub(lambda found: PureWindowsPath(found[0]).name, text)


def _argument(text: str) -> str:
    """An argument as it may be published: of a file that exists, only its name."""
    option, equals, value = text.rpartition("=")
    try:
        is_there = Path(value).exists()
    except (OSError, ValueError):
        is_there = False
    return f"{option}{equals}{Path(value).name}" if is_there and Path(value).name else _without_paths(text)


def _clean(value: Any) -> Any:
    """The same value without folders in its texts, at every depth."""
    if isinstance(value, str):
        return _without_paths(value)
    if isinstance(value, Path):
        return value.name
    if isinstance(value, dict):
        return {key: _clean(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(each) for each in value]
    return value
