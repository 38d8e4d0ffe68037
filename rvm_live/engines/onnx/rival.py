"""RVM through ONNX Runtime's Core ML or DirectML, beside the engine that runs, and in its place where it is quicker."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.beside import beside
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EngineError, UnavailableError, WeightsError, words_of
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo, close_failed
from rvm_live.engines.common.device import downsample_ratio
from rvm_live.engines.common.ladder import median_ms
from rvm_live.engines.common.trial import Trial, choose
from rvm_live.engines.delegating import DelegatingEngine

__all__ = ["RivalEngine", "possible"]

PROVIDERS = {"darwin": "Core ML", "win32": "DirectML"}
"""System -> the provider of ONNX Runtime that only this system has."""
_FIRST, _EVERY, _PICTURES = 90, 5, 4
"""Frames before the first test picture is taken, frames from one to the next, and their number: by then the start is
over."""
_AGAIN = 900
_TIMED = 60
"""The last mattes of the first engine whose times count."""
_SOMEBODY = 2.0
"""Mean alpha, of 255, from which on a picture contains a person: empty mattes agree whatever made them."""
_failed: set[str] = set()
"""Providers that failed in this process while they were at work."""


def possible(settings: EngineSettings, running: EngineInfo) -> bool:
    """Whether something faster than the running engine is possible, by checks that cost nothing.

    Args:
        settings: what was asked for.
        running: what ``auto`` took.
    """
    free = settings.keep_up and settings.device == "auto" and settings.precision == "auto"
    return (
        sys.platform in PROVIDERS
        and free
        and running.engine in ("openvino", "rvm")
        and not running.device.startswith("cuda")
        and find_spec("onnxruntime") is not None
        and find_spec("onnx") is not None
    )


@dataclass(frozen=True)
class _Won:
    """The engine that is to take over, open and ready, and what was measured."""

    engine: Engine
    told: str


class RivalEngine(DelegatingEngine):
    """Works like the engine it was given. Once that has run for some seconds, the same network is exported to an ONNX
    file for the frames' size at the full ratio, and tried with Core ML or DirectML on another thread, on a few of the
    user's own pictures. If alpha is the same and a frame takes less time, it takes over at the next epoch, which
    :attr:`succession` asks for; if not, the reason is reported. If it fails later, its error is raised, and the next
    frames go to the first engine again, which stays open.

    Args:
        own: open, of ``settings.engine``, which is not ``auto``.
        make: opens nothing yet: settings -> an engine like ``own``.
        weights: the checkpoint.
        settings: what was asked for.
    """

    def __init__(
        self, own: Engine, make: Callable[[EngineSettings], Engine], weights: Path, settings: EngineSettings
    ) -> None:
        super().__init__(own, settings)
        self._own, self._make, self._weights = own, make, weights
        self._size: tuple[int, int] | None = None
        self._notes: tuple[str, ...] = ()
        self._remarks: tuple[str, ...] = ()
        self._left: list[Future[_Won | None]] = []
        self._hints: tuple[str, ...] = ()
        self._begin()

    def _begin(self) -> None:
        self._seen, self._next = 0, _FIRST
        self._pictures: list[NDArray[np.uint8]] = []
        self._times: deque[float] = deque(maxlen=_TIMED)
        self._trial: Future[_Won | None] | None = None
        self._stop = threading.Event()
        self._given_up = PROVIDERS.get(sys.platform) in _failed

    @property
    def info(self) -> EngineInfo:
        info = self._inner.info
        notes, remarks = (*info.notes, *self._notes), (*info.remarks, *self._remarks)
        return replace(info, notes=notes, remarks=remarks, hints=(*info.hints, *self._hints))

    @property
    def succession(self) -> bool:
        return self._inner is self._own and self._won is not None

    @property
    def _won(self) -> _Won | None:
        trial = self._trial
        return trial.result() if trial is not None and trial.done() and trial.exception() is None else None

    def reset(self) -> None:
        won = self._won
        if won is not None and self._inner is self._own:
            self._inner, self._hints = won.engine, (won.told,)
        self._inner.reset()

    def matte(self, frame: Frame) -> Matte:
        size = (frame.width, frame.height)
        if size != self._size:
            if self._size is not None:  # what has been prepared is for the previous size
                self._leave()
                self._begin()
            self._size = size
        try:
            matte = self._inner.matte(frame)
        except Exception as error:
            if self._inner is not self._own:
                provider = PROVIDERS[sys.platform]
                _failed.add(provider)
                self._notes += (f"ONNX Runtime's {provider} is not used any more: {words_of(error)}",)
                self._given_up = True
                self._leave()
                self._own.reset()
            raise
        if self._trial is None and not self._given_up:
            if not matte.spared:
                self._times.append((matte.finished_ns - matte.started_ns) / 1e6)
            self._look(frame)
        return matte

    def _look(self, frame: Frame) -> None:
        """Take a picture of a few, spread over a second; with the last of them the trial begins."""
        self._seen += 1
        if self._seen < self._next:
            return
        self._next = self._seen + _EVERY
        self._pictures.append(frame.image)
        if len(self._pictures) == _PICTURES:
            pictures, self._pictures = self._pictures, []
            taken_ms, stop = median(self._times) if self._times else 0.0, self._stop
            self._trial = beside("rival", lambda: self._tried(pictures, taken_ms, stop))
            self._trial.add_done_callback(lambda trial: self._ended(trial, stop))

    def _ended(self, trial: Future[_Won | None], stop: threading.Event) -> None:
        """Called at the end of the trial, usually on its thread: report why it does not take over."""
        error = trial.exception()
        if error is None or stop.is_set():
            return
        if isinstance(error, _Nobody):
            self._seen, self._next = 0, _AGAIN
            self._trial = None
        else:
            self._notes += (f"ONNX Runtime's {PROVIDERS[sys.platform]} is not used: {words_of(error)}",)

    def _tried(self, pictures: Sequence[NDArray[np.uint8]], own_ms: float, stop: threading.Event) -> _Won | None:
        """Make the file, compare, and open what won; None where the engine that runs is to go on.

        The first engine's alpha is that of another one like it on the CPU: a Mac's GPU is for one thread alone.
        """
        from rvm_live.engines.common.fixed_network import Shape
        from rvm_live.engines.onnx.engine import OnnxEngine
        from rvm_live.engines.onnx.kept import file_for

        height, width = pictures[0].shape[:2]
        shape = Shape(width, height, downsample_ratio(self.settings.downsample_ratio, width, height))
        path = file_for(self._weights, shape, stop)
        provider = PROVIDERS[sys.platform]
        here = self._own.info
        plain = replace(self.settings, keep_up=False, gate=False, box=False, device="cpu", downsample_ratio=shape.ratio)
        asked = replace(self.settings, engine="onnx", weights=path, model=None)
        run = f"{here.engine} on {here.device}"

        def attempt(way: str) -> Trial:
            if stop.is_set():
                raise UnavailableError("it is no longer wanted")
            if way == run:
                alphas, _ = _run(self._make(plain), pictures)
                if max(float(alpha.mean()) for alpha in alphas) < _SOMEBODY:
                    raise _Nobody
                return Trial((), own_ms, alphas)
            try:
                alphas, taken_ms = _run(OnnxEngine(replace(asked, gate=False)), pictures, provider)
            except WeightsError:
                path.unlink(missing_ok=True)  # damaged: made anew the next time
                raise
            return Trial((), taken_ms, alphas)

        chosen = choose("auto", [provider], attempt, own=run, runtime="ONNX Runtime")
        self._notes += chosen.notes
        self._remarks += chosen.remarks
        if chosen.device == run or stop.is_set():
            return None
        engine = OnnxEngine(asked)
        try:
            _open(engine, (width, height), provider)
        except BaseException:
            close_failed(engine)
            raise
        return _Won(engine, f"{chosen.remarks[0]}: it takes over from {run}")

    def _leave(self) -> None:
        """Go back to the first engine, and free what was to take over, or did."""
        self._stop.set()
        self._inner, self._hints = self._own, ()
        won, trial = self._won, self._trial
        self._trial = None
        if won is not None:
            close_failed(won.engine)
        elif trial is not None:
            self._left.append(trial)

    def close(self) -> None:
        self._leave()
        wait(self._left)
        for trial in self._left:
            won = None if trial.exception() else trial.result()
            if won is not None:
                close_failed(won.engine)
        self._own.close()


class _Nobody(EngineError):
    """There was no person in the pictures."""


def _open(engine: Engine, size: tuple[int, int], provider: str) -> None:
    """Open an engine for a frame size; where a provider of ONNX Runtime's is named, it must be that which runs."""
    engine.open()
    if provider and f"ONNX Runtime's {provider} " not in engine.info.device_name:
        raise EngineError("; ".join(engine.info.notes) or "this ONNX Runtime does not have it")
    engine.prepare(*size)


def _run(
    engine: Engine, pictures: Sequence[NDArray[np.uint8]], provider: str = ""
) -> tuple[list[NDArray[np.uint8]], float]:
    """Alpha of each picture, and with a provider milliseconds a frame; the engine is opened and closed for it."""
    try:
        _open(engine, (pictures[0].shape[1], pictures[0].shape[0]), provider)
        frames = [Frame(picture, number, 0, number) for number, picture in enumerate(pictures)]
        alphas = [np.array(engine.matte(frame).host().alpha) for frame in frames]
        turns = cycle(frames)
        return alphas, median_ms(lambda: engine.matte(next(turns)).host(), clock=SYSTEM_CLOCK) if provider else 0.0
    finally:
        close_failed(engine)
