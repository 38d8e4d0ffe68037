"""Where 8-bit integers pay: speed of the low-resolution network in each precision, also with fewer instruction sets.

    RVM_LIVE_WEIGHTS=path python -m benchmarks int8 --source CLIP [--check ANOTHER_CLIP] [--width 320]

Measures processor time on one thread, so that other work on the machine hardly matters. The network is calibrated on
the first clip; how far alpha is from single precision (worst frame) is measured on the other. ``ONEDNN_MAX_CPU_ISA``
makes this processor act like an older one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import cv2
import numpy as np

from benchmarks.report import publish
from rvm_live.engines.rvm.openvino.int8 import require

SETS = {"": "all there is", "AVX512_CORE_VNNI": "without bfloat16", "AVX512_CORE": "without bfloat16 and VNNI"}
COLUMNS = ("instructions", "precision", "CPU ms", "times fp32", "worst frame's alpha MAD")
CALIBRATED_ON, CHECKED_ON, TIMED = 48, 24, 20


def child(options: argparse.Namespace) -> None:
    """Print the numbers for one instruction set."""
    from benchmarks.cpu import grab
    from rvm_live.core.settings import EngineSettings
    from rvm_live.engines.common import cpu_runtime
    from rvm_live.engines.rvm.openvino import cache
    from rvm_live.system.telemetry_off import import_quietly
    from rvm_live.weights import load, resolve

    own = cpu_runtime.openvino_options

    def alone(hint: str, *, cached: bool = True) -> dict[str, Any]:
        return {**own(hint, cached=cached), "INFERENCE_NUM_THREADS": 1}

    cpu_runtime.openvino_options = alone
    low = (options.width, options.width * 9 // 16)
    core = import_quietly("openvino").Core()
    steps = cache.OpenVinoCache(core, load(resolve(EngineSettings())), coloured=False)
    clips = (grab(clip, count) for clip, count in ((options.source, CALIBRATED_ON), (options.check, CHECKED_ON)))
    seen, unseen = ([cv2.resize(frame.image, low) for frame in clip] for clip in clips)
    steps.calibrate(low, seen, refined=True)
    names = ["fp32", *(["bf16"] if steps.has_bf16 else []), "int8"]
    made = {name: steps.request(low, name, refined=True) for name in names}
    alphas: dict[str, list[Any]] = {name: [] for name in names}
    for picture in unseen:
        grey = picture.mean(axis=2)
        for name, step in made.items():
            slope, offset = step.run(picture)
            alphas[name].append(np.clip(slope * grey + offset, 0, 255) / 255)
    spent: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(TIMED):
        for name, step in made.items():
            step.run(unseen[-1])
            began = time.process_time_ns()
            step.run(unseen[-1])
            spent[name].append((time.process_time_ns() - began) / 1e6)
    found = {}
    for name in names:
        apart = [float(np.abs(a - b).mean()) for a, b in zip(alphas[name], alphas["fp32"], strict=True)]
        found[name] = [statistics.median(spent[name]), max(apart)]
    sys.stdout.write(json.dumps(found))


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark."""
    parser = argparse.ArgumentParser("python -m benchmarks int8")
    parser.add_argument("--source", default="demo")
    parser.add_argument("--check", help="default: the source")
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.check = options.check or options.source
    if options.child:
        child(options)
        return {}
    require()
    rows = []
    for limit, label in SETS.items():
        environment = {**os.environ, **({"ONEDNN_MAX_CPU_ISA": limit} if limit else {})}
        command = [sys.executable, "-m", "benchmarks", "int8", "--child", *arguments]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)
        for name, (milliseconds, worst) in found.items():
            rows.append((label, name, milliseconds, found["fp32"][0] / milliseconds, worst))
    return publish("int8", COLUMNS, rows, source=options.source, check=options.check, width=options.width)
