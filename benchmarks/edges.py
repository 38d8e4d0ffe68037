"""What a viewer sees at the person's edge: the colours of a composite, against the truth by chroma key.

    RVM_LIVE_WEIGHTS=path python -m benchmarks edges --data FOLDER [--frames 8] [--quick]

Each engine is measured twice: with the foreground it estimates (``--foreground model``) and with the camera's own
pixels (``--foreground source``), in which the room still shows at hair and outline. Every matte is composited over
black, white and green. The numbers are mean absolute differences from the true composite, in grey levels, over pixels
whose true alpha is neither 0 nor full: once with the engine's own alpha (all that the viewer sees), once with the true
alpha (the colours alone). Milliseconds are the median over the same frames, until alpha and foreground are in host
memory.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compare import program_threads
from benchmarks.keyed.key import key
from benchmarks.keyed.scenes import SIZE, layers
from benchmarks.quality.clips import grabbed, keyed_settings
from benchmarks.report import publish
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import RvmLiveError, SourceError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.select import AutoEngine

COLUMNS = ("what", "foreground", "edge, grey levels", "colours alone, grey levels", "median ms", "clips")
PLATES = ((0, 0, 0), (255, 255, 255), (0, 200, 0))
LOW, HIGH = 12, 243
FRAMES = 8


def edge_error(colours: Bytes, alpha: Bytes, true_colours: Bytes, true_alpha: Bytes) -> float:
    """Mean absolute difference of composites in grey levels, over the true edge and all backgrounds; NaN without an
    edge.

    Args:
        colours: foreground, straight (not multiplied by alpha), uint8 (H, W, 3) BGR.
        alpha: uint8 (H, W).
        true_colours: the true foreground, likewise.
        true_alpha: the true alpha, likewise.
    """
    edge = (true_alpha > LOW) & (true_alpha < HIGH)
    if not edge.any():
        return float("nan")
    ours, theirs = (each[edge].astype(np.float32)[:, None] / 255 for each in (alpha, true_alpha))
    found, wanted = colours[edge].astype(np.float32), true_colours[edge].astype(np.float32)
    told = []
    for plate in PLATES:
        behind = np.array(plate, np.float32)
        made, true = found * ours + behind * (1 - ours), wanted * theirs + behind * (1 - theirs)
        told.append(float(np.abs(made - true).mean()))
    return statistics.fmean(told)


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark.

    Raises:
        SettingsError: there are no clips before a screen.
        RvmLiveError: no engine works.
    """
    parser = argparse.ArgumentParser("python -m benchmarks edges", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder with webcam/ and backgrounds/")
    parser.add_argument("--frames", type=int, default=FRAMES, help="of each clip")
    parser.add_argument("--quick", action="store_true", help="one clip, small, lite only: does it run at all")
    options = parser.parse_args(arguments)
    size = (320, 180) if options.quick else SIZE
    asked = [EngineSettings(engine="lite", device="cpu")]
    if not options.quick:
        asked += [EngineSettings(engine="openvino", device="cpu", downsample_ratio=r) for r in (0.2, 0.25, 0.4)]
    clips = [pair for pair in keyed_settings(options.data, every_kind=False)][: 1 if options.quick else None]
    seen: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    refusals: dict[str, str] = {}
    done = 0
    with program_threads():
        for path, setting in clips:
            try:
                frames = list(layers(key(grabbed(path, None), path.name, options.frames), setting, size))
            except SourceError as error:
                refusals[path.stem] = str(error)
                continue
            done += 1
            for settings in asked:
                for foreground in ("model", "source"):
                    try:
                        name, found = _matted(replace(settings, foreground=foreground), frames)
                    except RvmLiveError as error:
                        refusals[settings.engine] = str(error)
                        continue
                    seen.setdefault((name, foreground), []).extend(found)
    rows = [
        (*what, *(float(np.nanmean([each[n] for each in found])) for n in (0, 1)), _median(found), done)
        for what, found in seen.items()
    ]
    return publish("edges", COLUMNS, rows, frames=options.frames, size=f"{size[0]}x{size[1]}", refusals=refusals)


def _median(found: list[tuple[float, float, float]]) -> float:
    return statistics.median(each[2] for each in found)


def _matted(
    settings: EngineSettings, frames: list[tuple[Bytes, Bytes, Bytes]]
) -> tuple[str, list[tuple[float, float, float]]]:
    """Name; and for every frame the whole error, the error of the colours alone, and milliseconds."""
    engine = AutoEngine(settings)
    try:
        engine.open()
        engine.prepare(frames[0][0].shape[1], frames[0][0].shape[0])
        found = []
        for number, (picture, alpha, colours) in enumerate(frames):
            began = time.perf_counter_ns()
            matte = engine.matte(Frame(picture, number, 0, number)).host()
            took = (time.perf_counter_ns() - began) / 1e6
            own = np.asarray(matte.foreground)
            found.append((edge_error(own, matte.alpha, colours, alpha), edge_error(own, alpha, colours, alpha), took))
        info = engine.info
        return f"{info.engine} {info.precision}, ratio {info.downsample_ratio:.3g}", found
    finally:
        engine.close()
