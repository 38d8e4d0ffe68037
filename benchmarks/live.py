"""The whole program, as a user starts it: headless, and in a window where there is a display (or Xvfb).

    RVM_LIVE_WEIGHTS=path python -m benchmarks live [--source demo|CLIP] [--seconds 15]

Targets at 1280x720 on two cores: at least 30 unique fps at a ratio the program chooses itself, and at p95 no more than
100 ms from capture to display.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks.report import publish


def measure(options: argparse.Namespace, environment: dict[str, str], *extra: str) -> dict[str, Any]:
    """Run the program once; returns its report."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "rvm_live", "--source", options.source, "--loop", "--stats-json", str(report)]
        command += ["--width", "1280", "--height", "720", "--duration", str(options.seconds), *extra]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        told: dict[str, Any] = json.loads(report.read_text())
        return told


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark."""
    parser = argparse.ArgumentParser("python -m benchmarks live")
    parser.add_argument("--source", default="demo")
    parser.add_argument("--seconds", type=float, default=15.0)
    options = parser.parse_args(arguments)
    reports = {"headless": measure(options, dict(os.environ), "--headless")}
    if os.environ.get("DISPLAY") or (shutil.which("Xvfb") and shutil.which("xdotool")):
        from tests.support.display import open_display

        with nullcontext() if os.environ.get("DISPLAY") else open_display() as display:
            reports["window"] = measure(options, dict(os.environ) if display is None else display.env)
    rows = []
    for name, told in reports.items():
        ran, latency = told["ran"], told["latency_ms"]
        fps, p95 = told["fps"]["unique"], latency["total"]["p95"]
        what = f"{name}: {ran['engine']} on {ran['device']}, ratio {ran['downsample_ratio']:.3g}"
        total = f"{latency['total']['p50']:.1f} / {p95:.1f} / {latency['total']['p99']:.1f}"
        rows.append((what, fps, latency["matting"]["p95"], total, fps >= 30 and p95 <= 100))
    columns = ("1280x720", "unique fps", "matting p95 ms", "total p50 / p95 / p99 ms", "targets met")
    return publish("live", columns, rows, source=options.source, reports=reports)
