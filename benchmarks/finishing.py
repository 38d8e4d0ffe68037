"""Cost of everything between the network and the finished picture: OpenCV beside one pass of the kernels, on one
thread.

    python -m benchmarks finishing [--frames 40] [--sizes 1280x720,3840x2160] [--source demo|CLIP]

Both take turns frame by frame; each has its own engine and recurrent state. What counts is the processor time of the
calling threads: the matting thread without the network's own worker threads, and the compositor's thread. Targets: 4 ms
with lite at 1280x720, 5 ms with RVM's colours; a frame of 3840x2160 takes at most nine times as long as one of
1280x720.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import ExitStack
from typing import Any

import cv2
import numpy as np

from benchmarks.cpu import grab
from benchmarks.report import publish
from rvm_live import weights
from rvm_live.backgrounds.base import Blur, Clear, Layer, Plate
from rvm_live.compositing.cpu import CpuCompositor
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.select import AutoEngine
from rvm_live.finishing.compiled import kernels

COLUMNS = ("engine and layer", "size", "OpenCV ms", "kernels ms", "times", "matting ms", "differs by")
_SKIPPED = 3


def run(arguments: list[str]) -> dict[str, Any]:
    """Measure, print one table, write one JSON file, and return what was written."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks finishing", description=__doc__)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--sizes", default="1280x720,3840x2160")
    parser.add_argument("--source", default="demo")
    options = parser.parse_args(arguments)
    before, module = cv2.getNumThreads(), kernels.wait()
    cv2.setNumThreads(1)
    frames = grab(options.source, options.frames + _SKIPPED)
    rows: list[tuple[Any, ...]] = []
    try:
        for size in options.sizes.split(","):
            width, height = map(int, size.split("x"))
            scaled = [Frame(cv2.resize(f.image, (width, height)), f.seq, 0, f.captured_ns) for f in frames]
            rows += _at_size(scaled, size, module)
    finally:
        kernels._module = module
        cv2.setNumThreads(before)
    return publish("finishing", COLUMNS, rows, why_no_kernels=kernels.why_not)


def _at_size(frames: list[Frame], size: str, module: Any) -> list[tuple[Any, ...]]:
    width = frames[0].width
    engines = {"lite": EngineSettings(engine="lite", device="cpu", precision="fp32")}
    if weights.locate(EngineSettings()) is not None:
        ratio = 256 / width
        engines["openvino"] = EngineSettings(
            engine="openvino", device="cpu", precision="fp32", downsample_ratio=min(ratio, 1.0)
        )
    plate = Plate(np.ascontiguousarray(frames[0].image[::-1]), version=1)
    layers: dict[str, Layer] = {"plate": plate, "transparent": Clear(), "blur 25": Blur(25.0)}
    return [
        (f"{name}, {label}", size, *_measured(frames, settings, layer, module))
        for name, settings in engines.items()
        for label, layer in layers.items()
    ]


def _measured(frames: list[Frame], settings: EngineSettings, layer: Layer, module: Any) -> tuple[Any, ...]:
    """Median milliseconds of the threads' own time, and the share of values that differ by more than one grey level."""
    spent: dict[str, list[float]] = {"OpenCV": [], "kernels": [], "matting": []}
    apart: list[float] = []
    with ExitStack() as closing:
        engines = [AutoEngine(settings) for _ in range(2)]
        for engine in engines:
            closing.callback(engine.close)
            engine.open()
            engine.prepare(frames[0].width, frames[0].height)
        compositor = CpuCompositor()
        for frame in frames:
            made = []
            for engine, kind, used in zip(engines, ("OpenCV", "kernels"), (None, module), strict=True):
                kernels._module = module
                began = time.thread_time()
                matte = engine.matte(frame)
                spent["matting"].append((time.thread_time() - began) * 1e3)
                kernels._module = used
                began = time.thread_time()
                made.append(compositor.composite(matte, layer))
                spent[kind].append((time.thread_time() - began) * 1e3)
            apart.append(float(np.mean(np.abs(made[0].astype(np.int16) - made[1]) > 1)))
    medians = {kind: statistics.median(values[_SKIPPED:]) for kind, values in spent.items()}
    if module is None:
        return medians["OpenCV"], None, None, medians["matting"], None
    return (
        medians["OpenCV"],
        medians["kernels"],
        medians["OpenCV"] / medians["kernels"],
        medians["matting"],
        f"{max(apart):.1e}",
    )
