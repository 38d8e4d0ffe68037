"""Speed, latency and memory of the whole program, as a user starts it: headless, and in a window (Xvfb will do).

    RVM_LIVE_WEIGHTS=path python -m benchmarks live [--source demo|CLIP] [--seconds 15] [--steady 75]

Targets at 1280x720 on two cores: at least 30 unique fps at a ratio that the program chooses itself, and at p95 no more
than 100 ms from capture to display; with the embedded engine and a source of 66 fps, at least 60 fps and matting of at
most 12 ms at p95. The last row runs for ``--steady`` seconds and shows how the memory of the process grows once it is
warm.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from benchmarks.report import publish

LITE = ("--engine", "lite", "--fps", "66")
MEMORY = ("MB warm / end", "MB per 1000 frames")


def measure(options: argparse.Namespace, seconds: float, environment: dict[str, str], *extra: str) -> dict[str, Any]:
    """Run the program once and return its report."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "rvm_live", "--source", options.source, "--loop", "--stats-json", str(report)]
        command += ["--width", "1280", "--height", "720", "--duration", str(seconds), *extra]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        memory = watched(process)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        told: dict[str, Any] = json.loads(report.read_text())
        return {**told, "rss_mb": memory}


def watched(process: subprocess.Popen[bytes]) -> list[tuple[float, float]]:
    """Seconds since the start and resident megabytes, sampled every half second until the process ends."""
    import psutil  # type: ignore[import-untyped]

    began, taken = time.monotonic(), []
    while process.poll() is None:
        with suppress(psutil.Error):
            taken.append((round(time.monotonic() - began, 1), psutil.Process(process.pid).memory_info().rss / 1e6))
        time.sleep(0.5)
    return taken


def growth(told: dict[str, Any]) -> tuple[float, float, float]:
    """Resident megabytes once warm (after a third of the run) and at its end, and the growth per 1000 frames."""
    samples = told["rss_mb"][:-2]  # the last samples are of a program that is closing
    third = max(1, len(samples) // 3)
    warm = statistics.median(each[1] for each in samples[third : third + max(third // 3, 1)])
    end = statistics.median(each[1] for each in samples[-max(third // 3, 1) :])
    frames = told["frames"]["unique"] * (2 / 3 - 1 / 9)  # from the middle of one window to that of the other
    return warm, end, (end - warm) / frames * 1000


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark."""
    parser = argparse.ArgumentParser("python -m benchmarks live")
    parser.add_argument("--source", default="demo")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--steady", type=float, default=75.0, help="seconds; 0 leaves it out")
    options = parser.parse_args(arguments)
    reports = {"headless": measure(options, options.seconds, dict(os.environ), "--headless")}
    if os.environ.get("DISPLAY") or (shutil.which("Xvfb") and shutil.which("xdotool")):
        from tests.support.display import open_display

        with nullcontext() if os.environ.get("DISPLAY") else open_display() as display:
            environment = dict(os.environ) if display is None else display.env
            reports["window"] = measure(options, options.seconds, environment)
            reports["window, 66 asked"] = measure(options, options.seconds, environment, *LITE)
    reports["headless, 66 asked"] = measure(options, options.seconds, dict(os.environ), "--headless", *LITE)
    if options.steady:
        reports["headless, long"] = measure(options, options.steady, dict(os.environ), "--headless")
    rows = []
    for name, told in reports.items():
        ran, latency = told["ran"], told["latency_ms"]
        fps, p95 = told["fps"]["unique"], latency["total"]["p95"]
        what = f"{name}: {ran['engine']} on {ran['device']}, {ran['precision']}, ratio {ran['downsample_ratio']:.3g}"
        warm, end, grown = growth(told)
        steady = f"{warm:.0f} / {end:.0f}"
        total = f"{latency['total']['p50']:.1f} / {p95:.1f} / {latency['total']['p99']:.1f}"
        matting = latency["matting"]["p95"]
        met = fps >= 60 and matting <= 12 if "66" in name else fps >= 30 and p95 <= 100
        rows.append((what, fps, matting, total, met, steady, grown))
    columns = ("1280x720", "unique fps", "matting p95 ms", "total p50 / p95 / p99 ms", "targets met", *MEMORY)
    return publish("live", columns, rows, source=options.source, reports=reports)
