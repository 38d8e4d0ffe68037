"""Run the teacher once: ``python -m training.cache --data CLIPS --weights CHECKPOINT [--cache FOLDER]``.

For every clip and still a folder with ``frames.npy``, uint8 (N, h, w, 7): source BGR, foreground BGR, alpha; and
``runs.json``: where runs of consecutive frames begin. Read as memory maps they cost no time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rvm_live import open_engine
from training.clips import decoded, fitted, people, split_of

__all__ = ["DEFAULT_CACHE", "label", "main", "runs_of"]

DEFAULT_CACHE = Path("~/.cache/rvm-live/training")
LONGEST = 384
"""Of the longer side: half as large again as what the network sees, so that crops stay sharp."""
_RUN, _RUNS, _LEAD = 24, 4, 8
_STILL_LOOKS = 4
"""The teacher sees a still this many times: its memory settles."""


def runs_of(count: int) -> list[tuple[int, int]]:
    """Which frames of a clip to keep: up to four runs of 24, spread evenly; (first, behind the last)."""
    if count <= _RUN * _RUNS:
        return [(0, count)]
    starts = np.linspace(0, count - _RUN, _RUNS).astype(int)
    return [(int(start), int(start) + _RUN) for start in starts]


def label(path: Path, engine: str, weights: Path | None, longest: int) -> Iterator[tuple[NDArray[np.uint8], bool]]:
    """Frames worth keeping, uint8 (h, w, 7), each with whether it begins a run."""
    count = sum(1 for _ in decoded(path))
    runs = runs_of(count)
    with open_engine(engine, weights=weights, device="cpu", precision="fp32", downsample_ratio=1.0) as teacher:
        for number, picture in enumerate(decoded(path)):
            run = next((run for run in runs if run[0] - _LEAD <= number < run[1]), None)
            if run is None:
                continue
            if number == max(run[0] - _LEAD, 0):
                teacher.reset()
            picture = fitted(picture, longest)
            for _ in range(_STILL_LOOKS if count == 1 else 1):
                matte = teacher.matte(picture).host()
            if number >= run[0]:
                yield np.dstack([picture, matte.foreground, matte.alpha]), number == run[0]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with webcam/, body/, multi/, hard/, images/")
    parser.add_argument(
        "--weights", type=Path, default=None, help="the teacher's checkpoint; else as rvm-live finds it"
    )
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--engine", default="openvino", help="openvino or rvm")
    chosen = parser.parse_args(arguments)
    cache = chosen.cache.expanduser()
    for name, path in people(chosen.data):
        split = split_of(name)
        folder = cache / "people" / split / name.replace("/", "-")
        if split == "truth" or folder.exists():
            continue
        scratch = folder.with_name(folder.name + ".part")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        kept = list(label(path, chosen.engine, chosen.weights, LONGEST))
        frames = np.stack([frame for frame, _ in kept])
        np.save(scratch / "frames.npy", frames)
        starts = [number for number, (_, first) in enumerate(kept) if first]
        (scratch / "runs.json").write_text(json.dumps({"name": name, "starts": starts}))
        os.replace(scratch, folder)
        print(f"{name}: {split}, {len(frames)} frames of {frames.shape[2]}x{frames.shape[1]}", flush=True)


if __name__ == "__main__":
    main()
