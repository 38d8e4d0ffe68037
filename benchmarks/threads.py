"""How many threads each stage should have: runs the whole program, headless, with one thread plan after another.

    RVM_LIVE_WEIGHTS=path python -m benchmarks threads [--source demo|CLIP] [--seconds 5] [--rounds 3]

Every plan runs in a process of its own; the plans take turns, so that other work on the machine slows all of them
alike. A star marks the plan that the program uses, from ``rvm_live/system/threads.py``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.report import publish
from rvm_live.system import threads

COLUMNS = ("plan", "unique fps", "matting p50 ms", "compositing p50 ms", "total p95 ms", "fps against the star")


def child(task: dict[str, Any], report: Path) -> None:
    """Run the program once with a plan of this benchmark."""
    from rvm_live.apps.live import run
    from rvm_live.core.settings import EngineSettings, LiveSettings, SourceSettings
    from rvm_live.engines.common import cpu_runtime

    own = cpu_runtime.openvino_options

    def planned(hint: str, *, cached: bool = True) -> dict[str, Any]:
        return {**own(hint, cached=cached), **task["options"]}

    cpu_runtime.openvino_options = planned
    if task["keep"]:
        threads.keep_memory()
    if task["opencv"] is not None:
        threads.apply(threads.Plan(task["matting"], task["opencv"]))
    settings = LiveSettings(
        source=SourceSettings(task["source"], width=1280, height=720, loop=True),
        engine=EngineSettings(engine="openvino", downsample_ratio=task["ratio"]),
        headless=True,
        duration=task["seconds"],
        stats_json=report,
    )
    run(settings)


def plans() -> dict[str, dict[str, Any]]:
    """Name -> plan, as the task that a child process gets."""
    cores = threads.usable_cores()
    ours = threads.plan(cores)
    made: dict[str, dict[str, Any]] = {}
    for matting, opencv in product(sorted({max(1, cores // 2), cores, ours.matting}), (1, 2)):
        star = "*" if (matting, opencv) == (ours.matting, ours.opencv) else ""
        made[f"matting {matting}, OpenCV {opencv}{star}"] = {"matting": matting, "opencv": opencv}
    star = f"matting {ours.matting}, OpenCV {ours.opencv}"
    base = {"matting": ours.matting, "opencv": ours.opencv}
    made[f"{star}, threads pinned"] = {**base, "options": {"ENABLE_CPU_PINNING": True}}
    made[f"{star}, memory given back"] = {**base, "keep": False}
    made["nothing set"] = {"matting": cores, "opencv": None, "keep": False}
    for task in made.values():
        task["options"] = {"INFERENCE_NUM_THREADS": task["matting"], **task.get("options", {})}
        task.setdefault("keep", True)
    return made


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark."""
    parser = argparse.ArgumentParser("python -m benchmarks threads")
    parser.add_argument("--source", default="demo")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ratio", type=float, default=0.25)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        child(json.loads(options.child), options.report)
        return {}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in plans()}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        for _ in range(options.rounds):
            for name, task in plans().items():
                task.update(source=options.source, seconds=options.seconds, ratio=options.ratio)
                command = [sys.executable, "-m", "benchmarks", "threads", "--child", json.dumps(task)]
                subprocess.run([*command, "--report", str(report)], check=True)
                found[name].append(json.loads(report.read_text()))
    fps = {name: [told["fps"]["unique"] for told in reports] for name, reports in found.items()}
    star = next(name for name in fps if name.endswith("*"))
    rows = []
    for name, reports in found.items():

        def median(stage: str, rank: str, reports: list[dict[str, Any]] = reports) -> float:
            return statistics.median(float(told["latency_ms"][stage][rank]) for told in reports)

        against = statistics.median(one / other for one, other in zip(fps[name], fps[star], strict=True))
        latencies = (median("matting", "p50"), median("compositing", "p50"), median("total", "p95"))
        rows.append((name, statistics.median(fps[name]), *latencies, against))
    extra = {"source": Path(options.source).name, "ratio": options.ratio, "rounds": options.rounds}
    return publish("threads", COLUMNS, rows, **extra)
