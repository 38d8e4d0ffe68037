"""Whether a recurrent state drifts over very many frames: of a still picture, and of black, where states fade to
nothing.

    RVM_LIVE_WEIGHTS=path python -m benchmarks rot [--frames 100000] [--engines lite openvino exact]

The matte of a still picture after ``--frames`` frames is compared with that after 100, a hundredth, a tenth, and half
of them. If it changes until the 100th frame but not in the second half, the network settles; if it goes on changing,
the state rots. ``exact`` is RVM's network in double precision, where rounding has no part in the result.

Black frames are timed in turn with frames of the picture: numbers that fade to nothing become denormal, so small that
processors work on them slowly unless told to flush them. The denormals in the states are counted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.compare import program_threads
from benchmarks.report import publish
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import RvmLiveError, UnavailableError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.engines.select import AutoEngine
from rvm_live.sources.demo.demo import DemoSource

COLUMNS = (
    "engine",
    "frames",
    "from 100 on, grey levels",
    "from a hundredth on, grey levels",
    "from a tenth on, grey levels",
    "from half on, grey levels",
    "pixels off by over 1 from 100 on, %",
    "black, of the picture's time",
    "denormals in the state",
)
_EARLY, _TIMED, _ROUNDS = 100, 60, 15
_LEAST_NORMAL = float(np.finfo(np.float32).tiny)
_EXACT_SHARE = 10  # double precision is slow: use a tenth of the frames


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark.

    Raises:
        UnavailableError: no engine works.
    """
    parser = argparse.ArgumentParser("python -m benchmarks rot", description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--height", type=int, default=72)
    parser.add_argument("--engines", nargs="*", default=["lite", "openvino", "exact"])
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
                count = max(options.frames, 2 * _EARLY)
                rows.append(_exact(picture, max(count // _EXACT_SHARE, 2 * _EARLY)) if name == "exact" else
                            _engine(name, picture, count))  # fmt: skip
            except RvmLiveError as error:
                refusals[name] = str(error)
    if not rows:
        raise UnavailableError("; ".join(refusals.values()))
    size = f"{options.width}x{options.height}"
    return publish("rot", COLUMNS, rows, size=size, refusals=refusals)


def _settling(matte: Callable[[], NDArray[Any]], count: int) -> tuple[Any, ...]:
    """How far alpha after ``count`` frames is from alpha after fewer frames."""
    marks = (_EARLY, count // 100, count // 10, count // 2)
    kept: dict[int, NDArray[np.int16]] = {}
    alpha = np.zeros(0, np.int16)
    for number in range(1, count + 1):
        found = matte()
        if number in marks or number == count:
            kept[number] = alpha = found.astype(np.int16)
    changes = [np.abs(alpha - kept[mark]) if mark in kept else None for mark in marks]
    off = float((np.abs(alpha - kept[_EARLY]) > 1).mean() * 100)
    return (*(None if each is None else int(each.max()) for each in changes), off)


def _engine(name: str, picture: Bytes, count: int) -> tuple[Any, ...]:
    ratio = None if name == "lite" else 1.0
    engine = AutoEngine(EngineSettings(engine=name, device="cpu", downsample_ratio=ratio, steady=False))
    try:
        engine.open()
        engine.prepare(picture.shape[1], picture.shape[0])
        frame, black = Frame(picture, 0, 0, 0), Frame(np.zeros_like(picture), 0, 0, 0)
        settled = _settling(lambda: engine.matte(frame).host().alpha, count)
        engine.reset()
        for _ in range(min(count, 2000)):
            engine.matte(black)
        states = engine.states() or []
        tiny = sum(int(((np.abs(each) < _LEAST_NORMAL) & (each != 0)).sum()) for each in states)
        # Take turns: this machine may be slower a second later.
        ratios = [_timed(engine, black) / _timed(engine, frame) for _ in range(_ROUNDS)]
    finally:
        engine.close()
    return name, count, *settled, float(np.median(ratios)), tiny


def _exact(picture: Bytes, count: int) -> tuple[Any, ...]:
    """RVM's network in double precision, in torch, frame by frame."""
    import torch

    from rvm_live import weights
    from rvm_live.network.network import MattingNetwork

    loaded = weights.load(weights.resolve(EngineSettings(offline=True)))
    network = MattingNetwork(loaded.variant, loaded.refiner)
    network.load_state_dict(loaded.state_dict)
    network = network.double().eval()
    source = torch.from_numpy(picture[..., ::-1].copy()).permute(2, 0, 1)[None].double() / 255
    states: list[Any] = [None] * 4

    def matte() -> NDArray[Any]:
        with torch.inference_mode():
            found = network(source, *states)
        states[:] = found[2:]
        return (found[1][0, 0] * 255).round().numpy()  # type: ignore[no-any-return]

    return "exact", count, *_settling(matte, count), None, None


def _timed(engine: AutoEngine, frame: Frame) -> float:
    """Median milliseconds of a frame, after a few warm-up frames of the same kind."""
    times = []
    for number in range(_TIMED):
        began = time.perf_counter()
        engine.matte(frame).host()
        if number >= _TIMED // 3:
            times.append((time.perf_counter() - began) * 1e3)
    return float(np.median(times))
