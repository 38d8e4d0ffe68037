"""Which engine, frame size and ratio this machine can keep up with, found by walking the ladder that live video moves
on (:mod:`rvm_live.engines.common.ladder`), at each frame size from its cheapest rung up."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rvm_live.apps.hwtest.report import Advice, ModeResult, SourceReport, Timing
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import RvmLiveError, WeightsError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import MODELS, EngineSettings
from rvm_live.engines.base import Engine
from rvm_live.engines.choice import EMBEDDED, embedded_settings

__all__ = ["advise", "choose", "frame_sizes", "walk"]

TARGETS = (30, 24, 15)
SIZES = ((640, 360), (960, 540), (1280, 720), (1920, 1080))
LARGE = (3840, 2160)
_ENOUGH_LINES = 720
"""Up to this height a larger frame is worth more than a better matte, because viewers see the person's picture first of
all."""

_HOPELESS_FPS = 10.0
_WARM_UP = 2
_LEAST = 4
_MOST = 300
_LOOK_S = 0.02


def frame_sizes(source: SourceReport | None, modes: Sequence[ModeResult], *, fast: bool) -> list[tuple[int, int]]:
    """Sizes worth trying, smallest first: those the source can deliver, or common ones without a source.

    Args:
        source: what was measured, or None.
        modes: of a camera, maybe empty.
        fast: the machine has a GPU, so that 4K is worth a try.
    """
    from rvm_live.media.scaling import size_inside

    delivered = {(mode.got.width, mode.got.height) for mode in modes if mode.got is not None}
    if delivered:
        found = delivered
    elif source is None or source.kind == "demo":
        found = {*SIZES, *((LARGE,) if fast else ())}
    else:
        width, height = source.actual.width, source.actual.height
        smaller = {size_inside(width, height, (None, line)) for _, line in SIZES if line < height}
        found = {(width, height), *smaller} if source.kind != "camera" else {(width, height)}
    return sorted(found, key=lambda size: (size[0] * size[1], size))


def choose(timings: Sequence[Timing]) -> tuple[Timing | None, int | None]:
    """Choose what keeps 30 fps and has the most lines, up to 720; of those RVM rather than ``lite``, then the largest
    frame, then ratio, then model. Else what keeps 24, else 15, else the fastest.

    Returns:
        The choice and the rate it keeps, None where it keeps none (or nothing was measured).
    """
    for target in TARGETS:
        keeping = [timing for timing in timings if timing.fps >= target]
        if keeping:
            return max(keeping, key=_rank), target
    return max(timings, key=lambda timing: timing.fps, default=None), None


def _rank(timing: Timing) -> tuple[int, bool, int, float, int]:
    model = MODELS.index(timing.model) if timing.model in MODELS else -1
    lines = min(timing.width, timing.height, _ENOUGH_LINES)
    return lines, timing.model != EMBEDDED, timing.width * timing.height, timing.downsample_ratio, model


def advise(
    settings: EngineSettings,
    pictures: Sequence[NDArray[np.uint8]],
    source: SourceReport | None,
    modes: Sequence[ModeResult],
    *,
    fast: bool,
    name: str,
    seconds: float = 0.5,
    tell: Callable[[str], None] = lambda _: None,
) -> Advice:
    """Time RVM where its weights are here, and ``lite``, at several sizes and ratios and choose. Downloads nothing.

    Args:
        settings: weights and device.
        pictures: frames of the source, uint8 (H, W, 3) BGR; a drawn one serves where there is none.
        source: what was measured, or None.
        modes: of a camera, maybe empty.
        fast: the machine has a GPU.
        name: of the source, for the command that is recommended.
        seconds: for each size and ratio.
        tell: is told what is being done.
    """
    models, reason = _models(settings)
    if not models and settings.weights is not None:
        return Advice(note=f"not measured: {reason}")
    if settings.device in ("auto", "cpu"):
        models.append(embedded_settings(settings))
    timings: list[Timing] = []
    failed = None
    for model in models:
        for width, height in frame_sizes(source, modes, fast=fast):
            tell(f"timing {model.model or model.engine} at {width}x{height}")
            here: list[Timing] = []
            try:
                for timing in walk(model, pictures, width, height, seconds):
                    here.append(timing)
                    tell(f"timing {timing.model} at {width}x{height}, ratio {timing.downsample_ratio:.3g}")
            except RvmLiveError as error:
                failed = f"{width}x{height} failed: {error}"
            timings += here
            if here and here[0].fps < _HOPELESS_FPS:
                break  # nothing larger will be fast enough either
    best, keeps = choose(timings)
    note = (
        failed
        or "what was timed: matting only, of the whole picture each time, up to alpha and foreground in main memory"
    )
    if models and models[0].engine == EMBEDDED:
        note += f"; {EMBEDDED}, the embedded engine, because there are {reason}"
    command = None if best is None else _command(best, source, modes, name, settings)
    return Advice(tuple(timings), best, keeps, command, note, _hint(timings, name))


def walk(
    settings: EngineSettings, pictures: Sequence[NDArray[np.uint8]], width: int, height: int, seconds: float
) -> Iterator[Timing]:
    """Time matting on every rung of an engine's ladder, the cheapest first, until one is far too slow; where there is
    no ladder as it is. Results are fetched to host memory as the program does it.

    Raises:
        RvmLiveError: the engine does not work.
    """
    import cv2

    from rvm_live.engines.select import AutoEngine

    frames = [cv2.resize(picture, (width, height)) for picture in pictures[:6]] or [_drawn(width, height)]
    engine = AutoEngine(settings)
    try:
        engine.open()
        engine.prepare(width, height)
        rungs = engine.rungs
        for rung in reversed(rungs):
            while not engine.use_rung(rung):
                SYSTEM_CLOCK.sleep(_LOOK_S)
                if rung not in engine.rungs:
                    break  # the rung could not be made ready
            else:
                yield (timing := _timed(engine, frames, seconds))
                if timing.fps < _HOPELESS_FPS:
                    return
        if not rungs:
            yield _timed(engine, frames, seconds)
    finally:
        engine.close()


def _timed(engine: Engine, frames: Sequence[NDArray[np.uint8]], seconds: float) -> Timing:
    taken: list[int] = []
    engine.reset()
    for number in range(_WARM_UP):
        engine.matte(Frame(frames[number % len(frames)], number, 0, number)).host()
    began_ns = now_ns = SYSTEM_CLOCK.now_ns()
    while len(taken) < _MOST and (len(taken) < _LEAST or now_ns - began_ns < seconds * 1e9):
        number = _WARM_UP + len(taken)
        engine.matte(Frame(frames[number % len(frames)], number, 0, now_ns)).host()
        before_ns, now_ns = now_ns, SYSTEM_CLOCK.now_ns()
        taken.append(now_ns - before_ns)
    info = engine.info
    return Timing(
        model=info.model,
        device=info.device,
        precision=info.precision,
        width=frames[0].shape[1],
        height=frames[0].shape[0],
        downsample_ratio=info.downsample_ratio,
        fps=len(taken) * 1e9 / (now_ns - began_ns),
        p95_ms=float(np.percentile(taken, 95)) / 1e6,
        frames=len(taken),
    )


def _hint(timings: Sequence[Timing], name: str) -> str | None:
    """A hint that 8 bits would be faster, if they are on this processor and are not calibrated yet."""
    on_cpu = [timing for timing in timings if timing.device == "cpu" and timing.model == MODELS[0]]
    if not on_cpu or len(on_cpu) < len([timing for timing in timings if timing.model == MODELS[0]]):
        return None
    precisions = {timing.precision for timing in on_cpu}
    if "int8" in precisions or find_spec("openvino") is None:
        return None
    from rvm_live.engines.common.micro_benchmark import INT8_PAYS, int8_share, quickest_hint
    from rvm_live.system.telemetry_off import import_quietly

    try:
        core = import_quietly("openvino").Core()
        share = int8_share(core, quickest_hint(core))
    except RuntimeError:
        return None  # OpenVINO refuses this test network, and would refuse the real one
    if share > INT8_PAYS:
        return None
    source = "" if name == "auto" else f" --source {shlex.quote(name)}"
    return f"int8 would take about {share:.1f} of the network's time here: prepare it with `rvm-live calibrate{source}`"


def _models(settings: EngineSettings) -> tuple[list[EngineSettings], str]:
    """Settings for every model whose weights are here, and why there is none."""
    from rvm_live.weights import resolve

    found: dict[Path, EngineSettings] = {}
    reason = ""
    for model in (None, *MODELS):
        asked = replace(settings, engine="auto", model=model, offline=True, downsample_ratio=None, fallback_lite=False)
        try:
            path = resolve(asked)
        except WeightsError as error:
            reason = reason or str(error)
            continue
        found.setdefault(path.resolve(), replace(asked, weights=path, model=None, keep_up=True, box=False, gate=False))
    return list(found.values()), reason


def _command(
    best: Timing, source: SourceReport | None, modes: Sequence[ModeResult], name: str, settings: EngineSettings
) -> str:
    words = ["rvm-live"]
    if source is not None and name != "auto":
        words += ["--source", name]
    if source is None or (best.width, best.height) != (source.actual.width, source.actual.height) or modes:
        words += ["--width", f"{best.width}", "--height", f"{best.height}"]
    fitting = [m for m in modes if m.got and m.rhythm and (m.got.width, m.got.height) == (best.width, best.height)]
    if fitting:
        fastest = max(fitting, key=lambda mode: mode.rhythm.fps if mode.rhythm else 0.0)
        words += ["--fps", f"{fastest.asked.fps:g}", "--fourcc", fastest.asked.fourcc]
    if best.model == EMBEDDED:
        words += ["--engine", EMBEDDED]
    else:
        words += ["--downsample-ratio", f"{best.downsample_ratio:g}"]
    if best.model in MODELS[1:]:
        words += ["--model", best.model]
    if settings.weights is not None:
        words += ["--weights", str(settings.weights)]
    if settings.device != "auto":
        words += ["--device", settings.device]
    return shlex.join(words)


def _drawn(width: int, height: int) -> NDArray[np.uint8]:
    """A smooth picture, for machines without a source; what is in it does not change the time."""
    row = np.linspace(20, 235, width, dtype=np.uint8)
    column = np.linspace(20, 235, height, dtype=np.uint8)
    across = np.broadcast_to(row, (height, width))
    down = np.broadcast_to(column[:, None], (height, width))
    return np.ascontiguousarray(np.dstack([across, down, 255 - across]))
