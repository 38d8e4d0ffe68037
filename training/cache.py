"""Runs the teacher once: ``python -m training.cache --data CLIPS --people PEOPLE --weights CHECKPOINT --wheel WHEEL``.

Writes for every clip and still a folder with ``frames.npy``, uint8 (N, h, w, 7): source BGR, foreground BGR, alpha; and
with ``runs.json``: where runs of consecutive frames begin, and how far the teacher's label can be trusted. Training
reads them as memory maps, which takes no time.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live import open_engine
from rvm_live.core.arrays import Bytes
from training.clips import MISLABELLED, decoded, moving, people, split_of
from training.jury import Jury

__all__ = ["DEFAULT_CACHE", "Teachers", "label", "main", "runs_of", "size_for"]

DEFAULT_CACHE = Path("~/.cache/rvm-live/training")
LONGEST = {True: 448, False: 512}
"""Of the longer side of what moves and of what does not: more than the network sees, so that crops stay sharp."""
RATIOS = (1.0, 0.6)
"""At which the teacher looks; the one that others agree with counts."""
_LARGE_HEADS, _SMALL = ("congress/",), (0.6,)
"""Portraits, whose heads fill the picture: the teacher is always the better for seeing them small."""
_SHORTER = (9 / 16, 0.65, 0.8, 1.0)
_RUN, _RUNS, _LEAD = 12, 3, 4
_STILL_LOOKS = 2
"""The teacher sees a still this many times: its memory settles."""


def runs_of(count: int) -> list[tuple[int, int]]:
    """Which frames of a clip to keep: up to three runs of 12, spread evenly; each as (first, one past the last)."""
    if count <= _RUN * _RUNS:
        return [(0, count)]
    starts = np.linspace(0, count - _RUN, _RUNS).astype(int)
    return [(int(start), int(start) + _RUN) for start in starts]


def size_for(width: int, height: int, longest: int) -> tuple[int, int]:
    """Width and height with this longer side. There are only four ratios, since the teacher is compiled for each: the
    other side is rounded to the nearest, which stretches by at most a seventh if the sides are within 1 to 2."""
    wanted = math.log(min(width, height) / max(width, height))
    short = min(_SHORTER, key=lambda share: abs(math.log(share) - wanted))
    side = round(longest * short / 32) * 32
    return (longest, side) if width >= height else (side, longest)


class Teachers:
    """RVM at one picture size and several ratios."""

    def __init__(self, engine: str, weights: Path | None, ratios: tuple[float, ...]) -> None:
        self.ratios = ratios
        self._open = {
            ratio: open_engine(engine, weights=weights, device="cpu", precision="fp32", downsample_ratio=ratio)
            for ratio in ratios
        }

    def close(self) -> None:
        for engine in self._open.values():
            engine.close()

    def reset(self) -> None:
        for engine in self._open.values():
            engine.reset()

    def label(self, picture: Bytes, ratio: float, looks: int = 1) -> Bytes:
        """Source, foreground and alpha of a picture, uint8 (h, w, 7), after ``looks`` passes over it."""
        for _ in range(looks):
            matte = self._open[ratio].matte(picture).host()
        return np.dstack([picture, matte.foreground, matte.alpha])

    def best(self, picture: Bytes, opinion: NDArray[np.float32]) -> tuple[float, float, Bytes]:
        """The ratio whose alpha is nearest to the jury's opinion of a picture, its distance (mean difference), and its
        label."""
        self.reset()
        labels = {ratio: self.label(picture, ratio, _STILL_LOOKS) for ratio in self._open}
        self.reset()
        apart = {ratio: float(np.abs(each[..., 6] / 255 - opinion).mean()) for ratio, each in labels.items()}
        ratio = min(apart, key=lambda each: apart[each])
        return ratio, apart[ratio], labels[ratio]


def label(path: Path, size: tuple[int, int], teachers: Teachers, jury: Jury | None) -> tuple[Bytes, dict[str, Any]]:
    """The frames worth keeping, uint8 (N, h, w, 7), and what ``runs.json`` says about them."""
    count = sum(1 for _ in decoded(path))
    runs = runs_of(count)
    kept: list[Bytes] = []
    starts: list[int] = []
    ratio, doubt = teachers.ratios[0], 0.0
    for number, picture in enumerate(decoded(path)):
        run = next((run for run in runs if run[0] - _LEAD <= number < run[1]), None)
        if run is None:
            continue
        how = cv2.INTER_AREA if picture.shape[1] > size[0] else cv2.INTER_CUBIC
        picture = np.ascontiguousarray(cv2.resize(picture, size, interpolation=how))
        frame = None
        if number == max(run[0] - _LEAD, 0):
            teachers.reset()
            if jury is not None and not kept:
                ratio, doubt, frame = teachers.best(picture, jury.opinion(picture))
        if count > 1 or frame is None:
            frame = teachers.label(picture, ratio, _STILL_LOOKS if count == 1 else 1)
        if number >= run[0]:
            if number == run[0]:
                starts.append(len(kept))
            kept.append(frame)
    return np.stack(kept), {"starts": starts, "ratio": ratio, "doubt": round(doubt, 4)}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with webcam/, body/, multi/, hard/, images/")
    parser.add_argument("--people", type=Path, help="folder with stills of many people, by source")
    parser.add_argument("--weights", type=Path, help="the teacher's checkpoint; else as rvm-live finds it")
    parser.add_argument("--wheel", type=Path, help="MediaPipe's: its networks judge the teacher's labels")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--only", default="", help="beginning of names: the work can be shared out")
    parser.add_argument("--engine", default="openvino", help="openvino or rvm")
    chosen = parser.parse_args(arguments)
    home = chosen.cache.expanduser() / "people"
    jury = Jury(chosen.wheel) if chosen.wheel else None
    todo: dict[tuple[tuple[int, int], tuple[float, ...]], list[tuple[str, Path, Path]]] = {}
    for name, path in people(chosen.data, chosen.people):
        if not name.startswith(chosen.only):
            continue
        split = split_of(name)
        folder = home / split / name.replace("/", "-")
        if split in ("truth", "held-out") or name in MISLABELLED or folder.exists():
            continue
        height, width = next(decoded(path)).shape[:2]
        ratios: tuple[float, ...] = _SMALL if name.startswith(_LARGE_HEADS) else RATIOS if jury else RATIOS[:1]
        size = size_for(width, height, LONGEST[moving(path)])
        todo.setdefault((size, ratios), []).append((name, path, folder))
    for (size, ratios), group in sorted(todo.items(), key=lambda item: len(item[1])):
        teachers = Teachers(chosen.engine, chosen.weights, ratios)
        for name, path, folder in group:
            if folder.exists():
                continue
            scratch = folder.with_name(folder.name + ".part")
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)
            frames, told = label(path, size, teachers, jury)
            np.save(scratch / "frames.npy", frames)
            (scratch / "runs.json").write_text(json.dumps({"name": name, **told}))
            os.replace(scratch, folder)
            print(f"{name}: {len(frames)} frames of {size[0]}x{size[1]}, {told}", flush=True)
        teachers.close()


if __name__ == "__main__":
    main()
