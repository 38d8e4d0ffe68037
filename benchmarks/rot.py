"""Whether a recurrent state rots: a still picture for very many frames, and black ones, whose states fade to nothing.

    RVM_LIVE_WEIGHTS=path python -m benchmarks rot [--frames 100000] [--engines lite openvino rvm]

The matte of a still picture after so many frames is compared with that after 100: it may change by one grey level. A
frame of black is timed beside a frame of the picture, both at the end: numbers that fade to nothing become so small
that processors work on them slowly (denormals), unless somebody sees to it.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from benchmarks.compare import program_threads
from benchmarks.report import publish
from rvm_live.engines.auto import AutoEngine
from rvm_live.errors import RvmLiveError, UnavailableError
from rvm_live.frames import Frame
from rvm_live.settings import EngineSettings, SourceSettings
from rvm_live.sources.demo import DemoSource

COLUMNS = ("engine", "frames", "alpha differs by grey levels", "picture ms", "black ms", "black, of the picture")
_EARLY, _TIMED = 100, 200


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark.

    Raises:
        UnavailableError: no engine works.
    """
    parser = argparse.ArgumentParser("python -m benchmarks rot", description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--height", type=int, default=72)
    parser.add_argument("--engines", nargs="*", default=["lite", "openvino", "rvm"])
    options = parser.parse_args(arguments)
    source = DemoSource(SourceSettings("demo", options.width, options.height, realtime=False))
    source.open()
    picture = source.read().image
    source.release()
    rows: list[tuple[Any, ...]] = []
    refusals: dict[str, str] = {}
    with program_threads():
        for name in options.engines:
            try:
                rows.append(_row(name, picture, max(options.frames, _EARLY + 1)))
            except RvmLiveError as error:
                refusals[name] = str(error)
    if not rows:
        raise UnavailableError("; ".join(refusals.values()))
    size = f"{options.width}x{options.height}"
    return publish("rot", COLUMNS, rows, size=size, refusals=refusals)


def _row(name: str, picture: Any, count: int) -> tuple[Any, ...]:
    ratio = None if name == "lite" else 1.0
    engine = AutoEngine(EngineSettings(engine=name, device="cpu", downsample_ratio=ratio, steady=False))
    try:
        engine.open()
        engine.prepare(picture.shape[1], picture.shape[0])
        early = None
        for number in range(count):
            matte = engine.matte(Frame(picture, number, 0, number))
            if number == _EARLY - 1:
                early = matte.host().alpha.copy()
        late = matte.host().alpha
        assert early is not None
        still = _timed(engine, picture)
        black = np.zeros_like(picture)
        for number in range(min(count, 2000)):
            engine.matte(Frame(black, number, 0, number))
        dark = _timed(engine, black)
    finally:
        engine.close()
    differs = int(np.abs(late.astype(int) - early).max())
    return name, count, differs, still, dark, dark / still


def _timed(engine: AutoEngine, picture: Any) -> float:
    """Median milliseconds a frame."""
    times = []
    for number in range(_TIMED):
        began = time.perf_counter()
        engine.matte(Frame(picture, number, 0, number)).host()
        times.append((time.perf_counter() - began) * 1e3)
    return float(np.median(times))
