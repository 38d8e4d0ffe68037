"""Matting speed on the CPU: the plain network in PyTorch and both engines, at equal size and ratio, in one run.

    RVM_LIVE_WEIGHTS=path python -m benchmarks cpu [--source demo|CLIP] [--frames 60] [--ratios 0.2,0.25,0.375,0.4]

The engines take turns frame by frame, so that other work on the machine slows all of them alike. Targets: the CPU
engine is at least three times as fast as the plain network, and its alpha within a MAD of 2e-3 of it. "Alpha alone" is
what ``--foreground source`` asks for. "Times faster" is the median over the frames of each frame's own ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.report import publish, summarise
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.engines.rvm.openvino.engine import OpenVinoEngine
from rvm_live.engines.rvm.torch.engine import RvmEngine
from rvm_live.network.network import MattingNetwork
from rvm_live.sources.factory import open_source
from rvm_live.weights import load, resolve

Matting = Callable[[Frame], NDArray[np.uint8]]
RATIOS = "0.2,0.25,0.375,0.4"
_SKIPPED = 3


def grab(spec: str, count: int) -> list[Frame]:
    """The first frames of a source at 1280x720."""
    source = open_source(SourceSettings(spec, width=1280, height=720, fps=30, realtime=False))
    source.open()
    try:
        return [Frame(source.read().image, number, 0, number) for number in range(count)]
    finally:
        source.release()


def plain(ratio: float) -> Matting:
    """The network as its paper describes it, called frame by frame as a short script would do."""
    weights = load(resolve(EngineSettings()))
    network = MattingNetwork(weights.variant, weights.refiner).eval()
    network.load_state_dict(weights.state_dict)
    states: list[Any] = [None] * 4

    def matte(frame: Frame) -> NDArray[np.uint8]:
        with torch.inference_mode():
            picture = torch.from_numpy(frame.image[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
            fgr, pha, *states[:] = network(picture, *states, downsample_ratio=ratio)
            fgr[0].permute(1, 2, 0).mul(255).byte().numpy()
            alpha: NDArray[np.uint8] = pha[0, 0].mul(255).add(0.5).byte().numpy()
            return alpha

    return matte


def engine(kind: type[Any], ratio: float, closing: ExitStack, **asked: Any) -> Matting:
    """An engine of this program; its result is brought to host memory as 8 bits."""
    made = kind(EngineSettings(device="cpu", downsample_ratio=ratio, **asked))
    closing.callback(made.close)
    made.open()
    made.prepare(1280, 720)
    return lambda frame: made.matte(frame).host().alpha


def measured(frames: list[Frame], ratio: float, closing: ExitStack) -> list[tuple[Any, ...]]:
    """The table's rows for one ratio."""
    subjects = {
        "plain network": plain(ratio),
        "rvm (torch)": engine(RvmEngine, ratio, closing),
        "openvino, fp32": engine(OpenVinoEngine, ratio, closing, precision="fp32"),
        "openvino": engine(OpenVinoEngine, ratio, closing),
        "openvino, alpha alone": engine(OpenVinoEngine, ratio, closing, foreground="source"),
    }
    times: dict[str, list[float]] = {name: [] for name in subjects}
    errors: dict[str, list[float]] = {name: [] for name in subjects}
    for frame in frames:
        truth: NDArray[np.int16] | None = None
        for name, matte in subjects.items():
            began = time.perf_counter_ns()
            alpha = matte(frame)
            times[name].append((time.perf_counter_ns() - began) / 1e6)
            ours = alpha.astype(np.int16)
            truth = ours if truth is None else truth
            errors[name].append(float(np.abs(ours - truth).mean()) / 255)
    rows: list[tuple[Any, ...]] = []
    for name in subjects:
        timing = summarise(times[name][_SKIPPED:])
        paired = zip(times["plain network"][_SKIPPED:], times[name][_SKIPPED:], strict=True)
        faster = statistics.median(one / other for one, other in paired)
        rows.append((f"{name}, ratio {ratio:g}", timing.median, timing.p95, faster, max(errors[name])))
    return rows


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark."""
    parser = argparse.ArgumentParser("python -m benchmarks cpu")
    parser.add_argument("--source", default="demo")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--ratios", default=RATIOS)
    options = parser.parse_args(arguments)
    frames = grab(options.source, options.frames)
    rows: list[tuple[Any, ...]] = []
    for ratio in map(float, options.ratios.split(",")):
        with ExitStack() as closing:
            rows += measured(frames, ratio, closing)
    return publish(
        "cpu",
        ("1280x720", "median ms", "p95 ms", "times plain", "worst frame's alpha MAD"),
        rows,
        source=options.source,
    )
