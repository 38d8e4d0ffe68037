"""Whether ``lite`` learns its user: tuned on the first half of a clip, measured on the second.

    RVM_LIVE_WEIGHTS=path python -m benchmarks learn --data FOLDER [--minutes 3] [--clips NAME ...] [--resume FILE]

RVM at ratio 0.4 labels the first half. As in ``rvm-live learn``, four fifths of it are learnt from; the last fifth and
a few other places decide whether the result is kept. The second half is matted as for the user, at 1280x720 in single
precision. Its truth is the chroma key where there is one (``python -m benchmarks quality`` lists those clips), else
RVM's own alpha. Nobody trained on these people or chose settings by them. Minutes are processor time of one thread. Of
long clips 80 frames on either side of the middle are used. MAD is in thousandths.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
import torch
from safetensors.torch import save_file

from benchmarks.keyed.scenes import SIZE, covering
from benchmarks.quality.clips import keyed_clips
from benchmarks.quality.metrics import mad
from benchmarks.report import Chart, publish
from rvm_live import open_engine
from rvm_live.apps.learn.places import places
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import UnavailableError
from rvm_live.engines.lite.adapt import Tuning, learnt
from rvm_live.engines.lite.engine import ratio_for, trained_size
from rvm_live.engines.lite.lessons import Recorder, Recording
from rvm_live.engines.lite.network import LiteNetwork
from rvm_live.engines.lite.weights import load_network
from rvm_live.system import threads
from training.clips import DEVELOPMENT, decoded, moving

__all__ = ["run"]

Pair = tuple[Bytes, "Bytes | None"]

COLUMNS = (
    "clip",
    "truth",
    "lite",
    "learned",
    "RVM 0.4",
    "learned / lite",
    "learned / RVM 0.4",
    "kept",
    "guard before",
    "guard after",
)
_HALF = 80
_TEACHER = 0.4


class _Halves(NamedTuple):
    """A labelled clip: what is learnt from; and pictures and truth to measure on, with RVM's alpha."""

    first: Recording
    second: list[Bytes]
    truth: list[Bytes]
    teacher: list[Bytes]


def _clips(folder: Path, quick: bool) -> dict[str, tuple[str, Any]]:
    """Name -> kind of truth, and a function that gives the frames."""
    found: dict[str, tuple[str, Any]] = {}
    for clip in keyed_clips(folder, 24 if quick else None, SIZE, every_kind=False):
        found[clip.name] = ("keyed", clip.frames)
    for name in DEVELOPMENT:
        for path in sorted(folder.glob(f"{name}*")):
            if moving(path) and path.is_file():
                found[path.stem] = ("RVM 0.4", lambda path=path: _plain(path))
    return found


def _plain(path: Path) -> Iterator[Pair]:
    """Frames around the middle of a clip."""
    with av.open(str(path)) as container:
        count = container.streams.video[0].frames or sum(1 for _ in decoded(path))
    middle = count // 2
    for number, picture in enumerate(decoded(path)):
        if middle - _HALF <= number < middle + min(_HALF, middle):
            yield covering(picture, SIZE), None


def _labelled(pairs: Sequence[Pair]) -> _Halves:
    low = trained_size(*SIZE, ratio_for(*SIZE))
    recorder, middle = Recorder(low), len(pairs) // 2
    teacher: list[Bytes] = []
    with open_engine("openvino", device="cpu", precision="fp32", downsample_ratio=_TEACHER) as engine:
        for number, (picture, _) in enumerate(pairs):
            if number == middle:
                engine.reset()
            matte = engine.matte(picture).host()
            if number < middle:
                recorder.add(picture, matte.foreground, matte.alpha)
            else:
                teacher.append(np.array(matte.alpha))
    second = [picture for picture, _ in pairs[middle:]]
    truth = [mine if true is None else true for (_, true), mine in zip(pairs[middle:], teacher, strict=True)]
    return _Halves(recorder.recording(), second, truth, teacher)


def _measured(network: LiteNetwork | None, halves: _Halves) -> float:
    """MAD of the engine with a network's weights; None: with its own."""
    with tempfile.TemporaryDirectory() as folder:
        weights = None
        if network is not None:
            weights = Path(folder) / "learned.safetensors"
            save_file({name: value.half().contiguous() for name, value in network.state_dict().items()}, weights)
        with open_engine("lite", device="cpu", precision="fp32", weights=weights) as engine:
            found = [np.array(engine.matte(each).host().alpha) for each in halves.second]
    return _apart(found, halves.truth)


def _apart(found: list[Bytes], truth: list[Bytes]) -> float:
    return float(np.mean([mad(one, other) for one, other in zip(found, truth, strict=True)]))


def _row(name: str, truth: str, pairs: Sequence[Pair], tuning: Tuning) -> tuple[Any, ...]:
    began = time.process_time()
    halves = _labelled(pairs)
    labelled = time.process_time()
    network = load_network()
    steps: list[float] = []
    tuned, verdict = learnt(
        network, halves.first, *places(), tuning=tuning, told=lambda share, loss: steps.append(loss)
    )
    before, after = _measured(None, halves), _measured(tuned, halves)
    teacher = _apart(halves.teacher, halves.truth) if truth == "keyed" else None
    print(
        f"{name}: {before:.1f} -> {after:.1f} (RVM {teacher or 0:.1f}); last fifth {verdict.before:.1f} -> "
        f"{verdict.after:.1f}, guard {verdict.guard_before:.1f} -> {verdict.guard_after:.1f}; {len(steps)} steps, "
        f"loss {np.mean(steps[:20]):.2f} -> {np.mean(steps[-20:]):.2f}; labels took {labelled - began:.0f} s",
        flush=True,
    )
    numbers = [None if each is None else round(each, 2) for each in (before, after, teacher, after / before)]
    return (name, truth, *numbers, verdict.better, round(verdict.guard_before, 1), round(verdict.guard_after, 1))


def _beside_the_teacher(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row, and behind it the learned error as a multiple of the teacher's, where both are measured against the
    truth."""
    after, teacher = row[3:5]
    return (*row[:6], None if teacher is None else round(after / teacher, 2), *row[6:])


def _summaries(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """For each kind of truth the mean, the median and the worst value of every column. The ratios beside the mean are
    ratios of the means."""
    kept, made = COLUMNS.index("kept"), []
    for truth in dict.fromkeys(row[1] for row in rows):
        columns = list(zip(*(row for row in rows if row[1] == truth), strict=True))
        for what, over in (("mean", np.mean), ("median", np.median), ("worst", np.max)):
            found: list[Any] = [None if None in each else round(float(over(each)), 2) for each in columns[2:]]
            row = [f"{what}, {truth}", truth, *found]
            if what == "mean":
                row[5], row[6] = (None if row[place] is None else round(row[3] / row[place], 2) for place in (2, 4))
            row[kept] = f"{sum(columns[kept])} of {len(columns[kept])}"
            made.append(tuple(row))
    return made


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark.

    Raises:
        UnavailableError: none of the clips is there.
    """
    parser = argparse.ArgumentParser("python -m benchmarks learn", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder with webcam/, hard/ and backgrounds/")
    parser.add_argument("--minutes", type=float, default=3.0, help="of processor time, for each clip")
    parser.add_argument("--rate", type=float, default=Tuning().rate)
    parser.add_argument("--clips", nargs="*", default=[], help="beginnings of names; else all")
    parser.add_argument("--resume", type=Path, help="rows are kept here, and those in it not made again")
    parser.add_argument("--quick", action="store_true", help="one clip, a moment: does it run at all")
    options = parser.parse_args(arguments)
    chosen = _clips(options.data, options.quick)
    chosen = {name: clip for name, clip in chosen.items() if not options.clips or name.startswith(tuple(options.clips))}
    if options.quick:
        chosen = dict(list(chosen.items())[:1])
    if not chosen:
        raise UnavailableError(f"{options.data} holds none of the clips that this is measured on")
    threads.keep_memory()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    tuning = Tuning(seconds=0.5 if options.quick else options.minutes * 60, rate=options.rate)
    kept = options.resume.read_text(encoding="utf-8") if options.resume and options.resume.exists() else ""
    done: dict[str, tuple[Any, ...]] = {row[0]: tuple(row) for row in map(json.loads, kept.splitlines())}
    for name, (truth, frames) in chosen.items():
        if name not in done:
            done[name] = _row(name, truth, list(frames()), tuning)
            if options.resume:
                with options.resume.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(done[name]) + "\n")
    rows = [_beside_the_teacher(done[name]) for name in chosen]
    chart = Chart(("lite", "learned", "RVM 0.4"), labels=("clip",), unit="MAD, thousandths")
    told = [*rows, *_summaries(rows)]
    return publish("learn", COLUMNS, told, chart=chart, minutes=options.minutes, rate=options.rate)
