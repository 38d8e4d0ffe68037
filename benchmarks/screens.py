"""People in front of a green or blue screen, as they were shot: ``chroma`` beside the networks.

    RVM_LIVE_WEIGHTS=path python -m benchmarks screens --data FOLDER [--frames 25] [--quick]

The truth is the slow chroma key (``benchmarks/keyed``) of the same clips, at 1280x720. So ``chroma`` is measured
against a method of its own kind: what both miss (such as a shirt of the screen's colour) counts against neither. For a
network the screen is a plain wall, which is easy. Milliseconds are the median over the same frames on one thread, until
alpha and foreground are in host memory.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import cv2

from benchmarks.compare import program_threads
from benchmarks.keyed.key import key
from benchmarks.keyed.scenes import SIZE, covering
from benchmarks.quality.clips import grabbed, shot_before_a_screen
from benchmarks.quality.metrics import Scorer, mean_of
from benchmarks.quality.subjects import EngineSubject
from benchmarks.report import publish
from rvm_live.core.errors import RvmLiveError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings

COLUMNS = ("what", "MAD e-3", "worst clip, MAD e-3", "dtSSD e-2", "median ms", "clips")
ENGINES = ("chroma", "lite", "openvino")
FRAMES = 25


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark.

    Raises:
        SettingsError: the folder holds no clips before a screen.
    """
    parser = argparse.ArgumentParser("python -m benchmarks screens", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder with webcam/")
    parser.add_argument("--frames", type=int, default=FRAMES, help="of each clip")
    parser.add_argument("--quick", action="store_true", help="one clip, three frames: does it run at all")
    options = parser.parse_args(arguments)
    paths, count = shot_before_a_screen(options.data), options.frames
    if options.quick:
        paths, count = paths[:1], 3
    clips = []
    for path in paths:
        keyed = key(grabbed(path, None), path.name, count)
        pictures, truth = ([covering(each, SIZE) for each in kind] for kind in (keyed.pictures, keyed.alpha))
        clips.append(([Frame(picture, at, 0, at) for at, picture in enumerate(pictures)], truth))
    rows, refusals = [], {}
    with program_threads():
        cv2.setNumThreads(1)
        for name in ENGINES:
            subject = EngineSubject(EngineSettings(engine=name))
            try:
                told = subject.open(*SIZE)
            except RvmLiveError as error:
                refusals[name] = str(error)
                subject.close()
                continue
            found, times = [], []
            for frames, truth in clips:
                subject.reset()
                scorer = Scorer(1)
                for frame, alpha in zip(frames, truth, strict=True):
                    took, seen = subject.matte(frame)
                    times.append(took)
                    scorer.add(seen, alpha)
                found.append(scorer.result())
            subject.close()
            mean, worst = mean_of(found), max(each.mad for each in found)
            numbers = (round(value, 2) for value in (mean.mad, worst, mean.dtssd, statistics.median(times)))
            rows.append((told, *numbers, len(clips)))
    return publish("screens", COLUMNS, rows, frames=count, size=f"{SIZE[0]}x{SIZE[1]}", refusals=refusals)
