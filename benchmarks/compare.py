"""Speed and alpha of RVM here, of the plain network and of ONNX Runtime, and of ``lite`` beside MediaPipe, in one run.

    RVM_LIVE_WEIGHTS=path python -m benchmarks compare [--source demo|CLIP] [--width 1280 --height 720] [--ratio 0.25]
        [--frames 120] [--mediapipe-python .venv-mediapipe/bin/python] [--quick]

Every frame is decoded once and goes to each subject in turn; each round begins with another subject. Between turns
there is a pause, so that the threads of the one before fall asleep. Matting is the time from the picture in host memory
to 8-bit alpha in host memory (and foreground, where the subject estimates it). The composite over a picture is made by
this program's own compositor for all of them. Threads are set as the program sets them.

Differences are from the plain network's alpha: MAD, the mean over all frames, in thousandths; and dtSSD, the root mean
square difference of the change from frame to frame, in hundredths. For engines that run the same network they are
errors. ``lite`` and MediaPipe's models are other networks: their alpha may differ for better or worse.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.plain import PlainEngine
from benchmarks.report import Chart, publish, summarise
from benchmarks.selfie.model import Selfie
from rvm_live.apps.export.export import ExportSettings, export
from rvm_live.backgrounds.base import Plate
from rvm_live.compositing.cpu import CpuCompositor
from rvm_live.core.errors import EndOfSource, SettingsError, SourceUnavailableError, UnavailableError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.registry import ENGINES
from rvm_live.core.settings import EngineSettings, SourceSettings, parse_ratio
from rvm_live.engines.base import Engine
from rvm_live.engines.select import AutoEngine
from rvm_live.sources.factory import open_source
from rvm_live.system import threads

Turn = Callable[[Frame], tuple[float, Matte]]
"""Milliseconds of matting, and a matte in host memory."""

OURS, PLAIN, ONNX, LITE = "rvm-live", "plain network", "ONNX Runtime", "rvm-live's own lite"
COLUMNS = (
    "what", "matting ms", "p95 ms", "with composite ms", "times ours", "times plain", "alpha MAD e-3", "dtSSD e-2",
)  # fmt: skip
_WARM_UP = 5
_PAUSE = 0.02


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark.

    Raises:
        SourceUnavailableError: the clip cannot be read, or holds too few frames.
        WeightsError: there are no weights.
    """
    parser = argparse.ArgumentParser("python -m benchmarks compare", description=__doc__)
    parser.add_argument("--source", default="demo")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--ratio", type=parse_ratio, default=0.25, help="downsample ratio of RVM, for all alike")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--mediapipe-python", default=sys.executable, help="an interpreter that has MediaPipe")
    parser.add_argument("--quick", action="store_true", help="a dozen frames: does it run at all")
    options = parser.parse_args(arguments)
    if options.quick:
        options.frames = min(options.frames, 12)
    frames = grab(options)
    with ExitStack() as stack:
        stack.enter_context(program_threads())
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        subjects, reasons = _subjects(options, frames[0], scratch, stack)
        measured = _rounds(subjects, frames, 0.0 if options.quick else _PAUSE)
    rows = _rows(measured) + [(f"{name}: {why}", *(None,) * (len(COLUMNS) - 1)) for name, why in reasons.items()]
    return publish(
        "compare",
        COLUMNS,
        rows,
        chart=Chart(("matting ms", "with composite ms"), unit="ms a frame (median)"),
        source=options.source,
        size=f"{frames[0].width}x{frames[0].height}",
        frames=len(frames),
        refusals=reasons,
    )


def grab(options: argparse.Namespace) -> list[Frame]:
    """The first frames of the source, decoded and brought to the requested size."""
    size = (options.width, options.height)
    source = open_source(SourceSettings(options.source, width=size[0], height=size[1], fps=30, realtime=False))
    images: list[NDArray[np.uint8]] = []
    try:
        source.open()
        while len(images) < options.frames:
            image = source.read().image
            # Files keep their proportions inside the size; equal input means exactly this size.
            images.append(
                image if image.shape[1::-1] == size else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            )
    except EndOfSource:
        pass
    finally:
        source.release()
    if len(images) < _WARM_UP + 3:
        raise SourceUnavailableError(f"{options.source} has {len(images)} frames: {_WARM_UP + 3} are needed")
    return [Frame(image, number, 0, number) for number, image in enumerate(images)]


@contextmanager
def program_threads() -> Any:
    """Set threads and memory as the program does when it starts."""
    before = cv2.getNumThreads(), torch.get_num_threads()
    threads.keep_memory()
    threads.apply(threads.plan(threads.usable_cores()))
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])


def _subjects(
    options: argparse.Namespace, first: Frame, scratch: Path, stack: ExitStack
) -> tuple[dict[str, Turn], dict[str, str]]:
    """Name -> subject, ready to work; and name -> why a subject is missing."""
    ratio: float | None = options.ratio
    found: dict[str, Turn] = {}
    reasons: dict[str, str] = {}

    def engine(name: str, made: Engine) -> float:
        stack.callback(made.close)
        made.open()
        made.prepare(first.width, first.height)
        info = made.info
        made_by = f"{info.engine}, " if name == OURS else ""
        found[f"{name} ({made_by}{info.precision}, ratio {info.downsample_ratio:.3g})"] = _turn(made)
        return info.downsample_ratio

    ratio = engine(OURS, AutoEngine(EngineSettings(device="cpu", downsample_ratio=ratio)))
    engine(PLAIN, PlainEngine(EngineSettings(device="cpu", downsample_ratio=ratio)))
    try:
        engine(ONNX, _onnx(first, ratio, scratch))
    except (UnavailableError, SettingsError) as error:
        reasons[ONNX] = str(error)
    for foreground, name in (("model", LITE), ("source", f"{LITE}, alpha alone")):
        engine(name, AutoEngine(EngineSettings(engine="lite", device="cpu", foreground=foreground)))
    for landscape in (True, False):
        try:
            selfie = Selfie(options.mediapipe_python, landscape=landscape, width=first.width, height=first.height)
        except UnavailableError as error:
            reasons["MediaPipe"] = str(error)
            break
        stack.callback(selfie.close)
        found[selfie.name] = _selfie_turn(selfie)
    return found, reasons


def _turn(engine: Engine) -> Turn:
    def take(frame: Frame) -> tuple[float, Matte]:
        began = time.perf_counter_ns()
        matte = engine.matte(frame)
        matte.host()
        return (time.perf_counter_ns() - began) / 1e6, matte

    return take


def _selfie_turn(selfie: Selfie) -> Turn:
    def take(frame: Frame) -> tuple[float, Matte]:
        took, alpha = selfie.matte(frame)
        return took, Matte(frame, alpha)

    return take


def _onnx(first: Frame, ratio: float, scratch: Path) -> Engine:
    """The ONNX engine over a file that ``rvm-live export`` writes for this size and ratio.

    Raises:
        UnavailableError: ONNX or its runtime is not installed.
    """
    asked = EngineSettings(downsample_ratio=ratio)
    report = export(ExportSettings("onnx", asked, first.width, first.height, output=scratch))
    made: Engine = ENGINES.load("onnx")(EngineSettings(weights=report.files[0], device="cpu"))
    return made


class _Measured:
    """The results of one subject."""

    def __init__(self) -> None:
        self.matting: list[float] = []
        self.total: list[float] = []
        self.away: list[float] = []
        self.change: list[float] = []
        self.before: NDArray[np.int16] | None = None


def _rounds(subjects: dict[str, Turn], frames: list[Frame], pause: float) -> dict[str, _Measured]:
    """Give every frame to every subject."""
    measured = {name: _Measured() for name in subjects}
    compositor = CpuCompositor()
    compositor.open()
    plate = Plate(np.ascontiguousarray(frames[0].image[::-1, ::-1]), 0)
    names = list(subjects)
    truth = next(name for name in names if name.startswith(PLAIN))
    for number, frame in enumerate(frames):
        alphas: dict[str, NDArray[np.int16]] = {}
        for name in names[number % len(names) :] + names[: number % len(names)]:
            time.sleep(pause)
            took, matte = subjects[name](frame)
            began = time.perf_counter_ns()
            compositor.composite(matte, plate)
            blended = (time.perf_counter_ns() - began) / 1e6
            measured[name].matting.append(took)
            measured[name].total.append(took + blended)
            alphas[name] = matte.host().alpha.astype(np.int16)
        _compare(measured, alphas, truth)
    compositor.close()
    return measured


def _compare(measured: dict[str, _Measured], alphas: dict[str, NDArray[np.int16]], truth: str) -> None:
    """How far each subject's alpha of a frame, and its change since the frame before, is from the plain network's."""
    was = measured[truth].before
    for name, alpha in alphas.items():
        own = measured[name]
        own.away.append(float(np.abs(alpha - alphas[truth]).mean()) / 255 * 1e3)
        if own.before is not None and was is not None:
            apart = (alpha - own.before).astype(np.float32) - (alphas[truth] - was)
            own.change.append(float(np.sqrt(np.square(apart).mean())) / 255 * 1e2)
    for name, alpha in alphas.items():
        measured[name].before = alpha


def _rows(measured: dict[str, _Measured]) -> list[tuple[Any, ...]]:
    timings = {name: summarise(own.matting[_WARM_UP:]) for name, own in measured.items()}
    ours = next(timings[name].median for name in timings if name.startswith(OURS))
    plain = next(timings[name].median for name in timings if name.startswith(PLAIN))
    rows = []
    for name, own in measured.items():
        timing = timings[name]
        total = summarise(own.total[_WARM_UP:]).median
        away, change = float(np.mean(own.away)), float(np.mean(own.change))
        rows.append((name, timing.median, timing.p95, total, ours / timing.median, plain / timing.median, away, change))
    return rows
