"""What a picture in the window costs, for each toolkit that can make the window.

    python -m benchmarks window [--pictures 150] [--rounds 5]

Each toolkit shows the same pictures in a window of its own, in a process of its own, on one X server (Xvfb where there
is no display); they take turns. What counts is the processor time of the program. The X server's is left out: it copies
the picture once for each toolkit alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from typing import Any

import numpy as np

from benchmarks.report import publish
from rvm_live.sinks.window.toolkits import TOOLKITS, open_window

SIZES = ((1280, 720), (1920, 1080))
COLUMNS = ("toolkit", "picture", "processor ms", "of OpenCV's", "wall ms", "no")


def child(name: str, pictures: int) -> list[dict[str, Any]]:
    """Show pictures in one window; returns milliseconds per picture for each size."""
    told = []
    for width, height in SIZES:
        toolkit, _ = open_window("benchmark", lambda _, size=(width, height): size, [name])  # type: ignore[misc]
        noise = [np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8) for seed in range(4)]
        for number in range(10):
            toolkit.show(noise[number % 4])
            toolkit.events()
        processor, wall = time.process_time(), time.perf_counter()
        for number in range(pictures):
            toolkit.show(noise[number % 4])
            toolkit.events()
        spent = time.process_time() - processor, time.perf_counter() - wall
        told.append({"size": [width, height], "ms": [1e3 * each / pictures for each in spent], "lacks": toolkit.lacks})
        toolkit.close()
    return told


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark."""
    parser = argparse.ArgumentParser("python -m benchmarks window")
    parser.add_argument("--pictures", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", choices=TOOLKITS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        sys.stdout.write(json.dumps(child(options.child, options.pictures)) + "\n")
        return {}
    from tests.support.display import open_display

    found: dict[str, list[list[dict[str, Any]]]] = {name: [] for name in TOOLKITS}
    with nullcontext() if os.environ.get("DISPLAY") else open_display(2560, 1440) as display:
        environment = dict(os.environ) if display is None else display.env
        for _ in range(options.rounds):
            for name in TOOLKITS:
                command = [sys.executable, "-m", "benchmarks", "window", "--child", name]
                command += ["--pictures", str(options.pictures)]
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
    rows = []
    for place, (width, height) in enumerate(SIZES):
        medians = {
            name: [statistics.median(each[place]["ms"][kind] for each in rounds) for kind in (0, 1)]
            for name, rounds in found.items()
        }
        for name, (processor, wall) in medians.items():
            lacks = ", ".join(found[name][0][place]["lacks"])
            rows.append((name, f"{width}x{height}", processor, processor / medians["opencv"][0], wall, lacks))
    return publish("window", COLUMNS, rows)
