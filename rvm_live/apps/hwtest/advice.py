"""Which model, frame size and ratio this machine can keep up with, found by trying them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rvm_live.apps.hwtest.report import Advice, ModeResult, SourceReport, Timing
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import RvmLiveError, WeightsError
from rvm_live.core.settings import MODELS, EngineSettings
from rvm_live.engines.choice import EMBEDDED

__all__ = ["advise", "choose", "frame_sizes", "measure", "ratios"]

TARGETS = (30, 24, 15)
SIZES = ((640, 360), (960, 540), (1280, 720), (1920, 1080))
LARGE = (3840, 2160)
SIDES = (256, 384, 512)
"""Longer side that the network sees, pixels: RVM's authors advise to stay between 256 and 512."""

_HOPELESS_FPS = 10.0
_WARM_UP = 2
_LEAST = 4
_MOST = 300


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


def ratios(width: int, height: int) -> list[float]:
    """Downsample ratios worth trying for a frame size, smallest first."""
    longest = max(width, height)
    return sorted({round(min(1.0, side / longest), 3) for side in SIDES})


def choose(timings: Sequence[Timing]) -> tuple[Timing | None, int | None]:
    """The largest frame, then ratio, then model that keeps 30 fps; else 24, else 15, else the fastest.

    Returns:
        The choice and the rate it keeps, None where it keeps none (or nothing was measured).
    """
    for target in TARGETS:
        keeping = [timing for timing in timings if timing.fps >= target]
        if keeping:
            return max(keeping, key=_rank), target
    return max(timings, key=lambda timing: timing.fps, default=None), None


def _rank(timing: Timing) -> tuple[int, float, int]:
    model = MODELS.index(timing.model) if timing.model in MODELS else -1
    return timing.width * timing.height, timing.downsample_ratio, model


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
    """Time RVM, or ``lite`` where RVM's weights are missing, at several sizes and ratios and choose. Downloads nothing.

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
    if not models:
        if settings.weights is not None:
            return Advice(note=f"not measured: {reason}")
        models = [replace(settings, engine=EMBEDDED, device="cpu", downsample_ratio=None)]
    timings: list[Timing] = []
    failed = None
    for model in models:
        tried: list[Timing] = []
        for width, height in frame_sizes(source, modes, fast=fast):
            for ratio in ratios(width, height)[: 1 if model.engine == EMBEDDED else None]:
                if _hopeless(width, height, ratio, tried):
                    continue
                tell(f"timing {model.model or model.engine} at {width}x{height}, ratio {ratio:g}")
                try:
                    asked = replace(model, downsample_ratio=ratio)
                    tried.append(measure(asked, pictures, width, height, seconds))
                except RvmLiveError as error:
                    failed = f"{width}x{height} at ratio {ratio:g} failed: {error}"
        timings += tried
    best, keeps = choose(timings)
    note = failed or "timed: matting alone, to the alpha and foreground in main memory"
    if models[0].engine == EMBEDDED:
        note += f"; {EMBEDDED}, the embedded engine, because there are {reason}"
    command = None if best is None else _command(best, source, modes, name, settings)
    return Advice(tuple(timings), best, keeps, command, note)


def measure(
    settings: EngineSettings, pictures: Sequence[NDArray[np.uint8]], width: int, height: int, seconds: float
) -> Timing:
    """Time matting at one size and ratio, results fetched to host memory as the program does it.

    Raises:
        RvmLiveError: the engine does not work.
    """
    import cv2

    from rvm_live.engines.select import AutoEngine
    from rvm_live.engines.session import EngineSession

    frames = [cv2.resize(picture, (width, height)) for picture in pictures[:6]] or [_drawn(width, height)]
    taken: list[int] = []
    with EngineSession(AutoEngine(settings)) as session:
        for number in range(_WARM_UP):
            session.matte(frames[number % len(frames)]).host()
        began_ns = now_ns = SYSTEM_CLOCK.now_ns()
        while len(taken) < _MOST and (len(taken) < _LEAST or now_ns - began_ns < seconds * 1e9):
            session.matte(frames[len(taken) % len(frames)]).host()
            before_ns, now_ns = now_ns, SYSTEM_CLOCK.now_ns()
            taken.append(now_ns - before_ns)
        info = session.info
    return Timing(
        model=info.model,
        device=info.device,
        precision=info.precision,
        width=width,
        height=height,
        downsample_ratio=info.downsample_ratio,
        fps=len(taken) * 1e9 / (now_ns - began_ns),
        p95_ms=float(np.percentile(taken, 95)) / 1e6,
        frames=len(taken),
    )


def _models(settings: EngineSettings) -> tuple[list[EngineSettings], str]:
    """Settings for every model whose weights are here, and why there is none."""
    from rvm_live.weights import resolve

    found: dict[Path, EngineSettings] = {}
    reason = ""
    for model in (None, *MODELS):
        asked = replace(settings, engine="rvm", model=model, offline=True, downsample_ratio=None)
        try:
            path = resolve(asked)
        except WeightsError as error:
            reason = reason or str(error)
            continue
        found.setdefault(path.resolve(), replace(asked, weights=path, model=None))
    return list(found.values()), reason


def _hopeless(width: int, height: int, ratio: float, tried: Sequence[Timing]) -> bool:
    """Something smaller in every respect was far too slow already."""
    return any(
        timing.fps < _HOPELESS_FPS
        and timing.width * timing.height <= width * height
        and timing.downsample_ratio * max(timing.width, timing.height) <= ratio * max(width, height) + 1
        for timing in tried
    )


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
