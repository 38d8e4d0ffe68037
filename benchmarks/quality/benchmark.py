"""How good alpha is after all post-processing, as the user sees it: every engine, precision and size that works here.

    RVM_LIVE_WEIGHTS=path python -m benchmarks quality --data FOLDER [--dataset FOLDER] [--frames 25 | --all]
        [--mediapipe-python .venv-mediapipe/bin/python] [--onnx FILE] [--weights FILE ...] [--no-posts] [--resume FILE]
        [--size WxH] [--quick]

There are three kinds of truth. ``--dataset`` names folders in the layout of VideoMatte240K's evaluation set. ``--data``
names a folder with ``webcam/`` and ``backgrounds/``: clips shot in front of a plain screen are keyed and put before
other backgrounds (``benchmarks/keyed``); for clips without truth the plain network at the published ratio stands in.
MAD and MSE are in thousandths, dtSSD in hundredths. Grad and Conn are as in RVM's paper, on every fourth frame unless
``--all`` is given. Each clip has the same weight. Milliseconds are the median over the same frames, until alpha is in
host memory.

docs/quality.md is written from the result by ``python -m benchmarks quality --page``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compare import program_threads
from benchmarks.plain import PlainEngine
from benchmarks.quality.clips import Clip, agreement_clips, dataset_clips, keyed_clips
from benchmarks.quality.metrics import Quality, Scorer, mean_of
from benchmarks.quality.subjects import EngineSubject, Subject, Wanted, subjects
from benchmarks.report import Chart, publish
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import RvmLiveError, SettingsError, UnavailableError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings

Done = dict[str, Any]  # subject -> family, quality, milliseconds

COLUMNS = ("what", "truth", "MAD e-3", "MSE e-3", "Grad", "Conn", "dtSSD e-2", "median ms", "p95 ms", "clips", "family")
FRAMES, QUICK_FRAMES, SPARSE = 25, 5, 4
SIZE, QUICK_SIZE = (1280, 720), (320, 180)
_WARM_UP = 3


@dataclass
class _Told:
    """The results of one subject on one kind of truth."""

    family: str
    clips: dict[str, Quality] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark.

    Raises:
        UnavailableError: nothing is named to measure on.
        RvmLiveError: what is named to measure on cannot be used.
    """
    options = _parsed(arguments)
    if options.page:
        from benchmarks.quality.page import write

        return write()
    clips = _clips(options)
    measured, refusals, left_out = _measured(clips, options)
    rows = []
    for (truth, name), told in sorted(measured.items(), key=lambda item: item[0][0] != "keyed"):
        mean, times = mean_of(told.clips.values()), sorted(told.times)
        numbers = tuple(None if np.isnan(value) else round(value, 4) for value in mean.as_dict().values())
        p95 = times[-(-95 * len(times) // 100) - 1]
        timing = round(statistics.median(times), 3), round(p95, 3)
        rows.append((name, truth, *numbers, *timing, len(told.clips), told.family))
    each = {
        f"{truth}: {name}": {clip: quality.as_dict() for clip, quality in told.clips.items()}
        for (truth, name), told in measured.items()
    }
    return publish(
        "quality",
        COLUMNS,
        rows,
        chart=Chart(("MAD e-3",), labels=("what",), panels="truth", unit="MAD, thousandths"),
        frames=options.frames,
        size=f"{options.size[0]}x{options.size[1]}",
        refusals=refusals,
        left_out=left_out,
        each_clip=_rounded(each),
    )


def _size(words: str) -> tuple[int, int]:
    width, height = words.lower().split("x")
    return int(width), int(height)


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks quality", description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder with webcam/ and backgrounds/")
    parser.add_argument("--dataset", type=Path, help="a folder in VideoMatte240K's evaluation layout")
    parser.add_argument("--frames", type=int, default=FRAMES, help="of each clip")
    parser.add_argument("--all", action="store_true", help="all frames, each clip over each kind of background")
    parser.add_argument("--weights", type=Path, action="append", help="a checkpoint of RVM; may be repeated")
    parser.add_argument("--onnx", type=Path, help="a file for the engine onnx")
    parser.add_argument("--mediapipe-python", default=sys.executable, help="an interpreter that has MediaPipe")
    parser.add_argument("--match", default="", help="measure only those with this in their label, such as lite")
    parser.add_argument("--no-posts", action="store_true", help="leave out what may be done to alpha afterwards")
    parser.add_argument(
        "--resume", type=Path, help="keeps what is measured, clip by clip; a later run goes on from there"
    )
    parser.add_argument("--size", type=_size, default=SIZE, metavar="WxH", help="of the keyed pictures (1280x720)")
    parser.add_argument("--quick", action="store_true", help="a few frames, small, two subjects: does it run at all")
    parser.add_argument("--page", action="store_true", help="measure nothing: write docs/quality.md from the result")
    options = parser.parse_args(arguments)
    if options.quick:
        options.size, options.frames = QUICK_SIZE, QUICK_FRAMES
    if options.all:
        options.frames = None
    if options.data is None and options.dataset is None and not options.page:
        raise UnavailableError("name what to measure on: --data FOLDER, --dataset FOLDER or both")
    return options


def _clips(options: argparse.Namespace) -> list[Clip]:
    clips: list[Clip] = []
    if options.data is not None:
        clips += keyed_clips(options.data, options.frames, options.size, every_kind=options.all)
        untrue = agreement_clips(options.data, options.frames, options.size, every=options.all)
        clips = clips[:1] + untrue[:1] if options.quick else clips + untrue
    if options.dataset is not None:
        clips += dataset_clips(options.dataset, options.frames)
    return clips


def _measured(
    clips: list[Clip], options: argparse.Namespace
) -> tuple[dict[tuple[str, str], _Told], dict[str, str], dict[str, str]]:
    """(truth, subject) -> results; why subjects were left out; why clips were left out."""
    wanted = Wanted(
        weights=tuple(options.weights or (None,)),
        onnx=options.onnx,
        mediapipe_python=options.mediapipe_python,
        posts=not options.no_posts,
        quick=options.quick,
    )
    measured: dict[tuple[str, str], _Told] = {}
    refusals: dict[str, str] = {}
    left_out: dict[str, str] = {}
    with program_threads(), ExitStack() as stack:
        team = _Team(wanted, refusals, options.match)
        stack.callback(team.close)
        known = _known(options.resume)
        for number, clip in enumerate(clips):
            if clip.name in known:
                _keep(measured, clip, known[clip.name])
                continue
            try:
                pairs = list(clip.frames())
            except RvmLiveError as error:
                left_out[clip.name] = str(error)
                continue
            print(f"{number + 1} of {len(clips)}: {clip.name}, {len(pairs)} frames", flush=True)
            frames = [Frame(picture, at, 0, at) for at, (picture, _) in enumerate(pairs)]
            truth = [alpha for _, alpha in pairs if alpha is not None] or _stand_in(frames)
            done: Done = {}
            for name, subject in team.at(frames[0].width, frames[0].height).items():
                quality, times = _one(subject, frames, truth, 1 if options.all else SPARSE)
                done[name] = {"family": subject.family, "quality": quality.as_dict(), "ms": times[_WARM_UP:] or times}
            _keep(measured, clip, done)
            if options.resume is not None:
                with options.resume.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"clip": clip.name, "done": done}) + "\n")
    return measured, refusals, left_out


def _known(path: Path | None) -> dict[str, Done]:
    """Clip -> what earlier runs measured on it.

    Raises:
        SettingsError: the file is not a result of this benchmark.
    """
    if path is None or not path.exists():
        return {}
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {line["clip"]: line["done"] for line in lines}
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path} does not hold an earlier run's measurements: name another file") from error


def _keep(measured: dict[tuple[str, str], _Told], clip: Clip, done: Done) -> None:
    for name, what in done.items():
        told = measured.setdefault((clip.truth, name), _Told(what["family"]))
        told.clips[clip.name] = Quality(**what["quality"])
        told.times += what["ms"]


class _Team:
    """The subjects, opened for one size at a time."""

    def __init__(self, wanted: Wanted, refusals: dict[str, str], match: str = "") -> None:
        self._wanted, self._refusals, self._match = wanted, refusals, match
        self._size = (0, 0)
        self._open: dict[str, Subject] = {}

    def at(self, width: int, height: int) -> dict[str, Subject]:
        """Name -> subject, ready for a size."""
        if (width, height) == self._size:
            return self._open
        self.close()
        self._size = (width, height)
        for subject in subjects(self._wanted, width, height):
            if self._match not in subject.label:
                continue
            try:
                name = subject.open(width, height)
            except RvmLiveError as error:
                self._refusals[subject.label] = str(error)
                subject.close()
                continue
            if name in self._open:  # two requests that lead to the same subject
                subject.close()
            else:
                self._open[name] = subject
        return self._open

    def close(self) -> None:
        for subject in self._open.values():
            subject.close()
        self._open.clear()


def _stand_in(frames: list[Frame]) -> list[Bytes]:
    """The plain network's alpha at the published ratio."""
    plain = EngineSubject(EngineSettings(device="cpu"), PlainEngine)
    plain.open(frames[0].width, frames[0].height)
    try:
        return [plain.matte(frame)[1] for frame in frames]
    finally:
        plain.close()


def _one(subject: Subject, frames: list[Frame], truth: list[Bytes], every: int) -> tuple[Quality, list[float]]:
    """A subject's quality on a clip, and its milliseconds."""
    subject.reset()
    scorer, times = Scorer(every), []
    for frame, alpha in zip(frames, truth, strict=True):
        took, found = subject.matte(frame)
        times.append(took)
        scorer.add(found, alpha)
    return scorer.result(), times


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return None if np.isnan(value) else round(value, 3)
