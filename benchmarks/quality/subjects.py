"""The subjects of the quality benchmark: every engine, precision and size that works here, and post-processing of
alpha."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.plain import PlainEngine
from benchmarks.selfie.model import Selfie
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import RvmLiveError, UnavailableError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.registry import ENGINES
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine
from rvm_live.engines.common.ladder import ratios_for
from rvm_live.engines.lite.engine import SIDE
from rvm_live.engines.select import AutoEngine
from rvm_live.engines.smoothing import TemporalSmoother

__all__ = ["POSTS", "After", "EngineSubject", "SelfieSubject", "Subject", "subjects"]

Post = Callable[[Bytes, Bytes], Bytes]
_FRAMES_ON_A_RUNG = 5


class Subject:
    """Takes pictures in order and gives alpha as the user sees it.

    Attributes:
        family: the engine it belongs to; sets its colour in the plot.
        label: what was asked for, for the table.
    """

    family = ""
    label = ""

    def open(self, width: int, height: int) -> str:
        """Get ready for a size; returns the subject's name in the table.

        Raises:
            UnavailableError: it does not work here.
        """
        raise NotImplementedError

    def reset(self) -> None:
        """A new clip begins."""

    def matte(self, frame: Frame) -> tuple[float, Bytes]:
        """Milliseconds that it took, and alpha uint8 (H, W) in host memory."""
        raise NotImplementedError

    def close(self) -> None:
        """Free what it holds."""


class EngineSubject(Subject):
    """An engine of this program, or anything else that keeps an engine's contract.

    Args:
        settings: the engine and its settings.
        make: makes the engine; None for the program's own choice.
        moving: step down and up through the ratios, five frames on each: faster changes than ``--adaptive`` ever makes.
    """

    def __init__(
        self,
        settings: EngineSettings,
        make: Callable[[EngineSettings], Engine] = AutoEngine,
        *,
        moving: bool = False,
    ) -> None:
        self._settings, self._make, self._moving = settings, make, moving
        name = "plain" if make is PlainEngine else settings.engine
        ratio = "auto" if settings.downsample_ratio is None else f"{settings.downsample_ratio:.3g}"
        self._plainly = ", no --steady" if name == "lite" and settings.steady is False else ""
        self.label = f"{name} {settings.precision}, ratio {ratio}{', moving' if moving else ''}{self._plainly}"
        self._engine: Engine | None = None
        self._seen = 0

    def open(self, width: int, height: int) -> str:
        engine = self._engine = self._make(self._settings)
        engine.open()
        engine.prepare(width, height)
        info = engine.info
        self.family = info.engine
        if self._moving:
            if len(engine.rungs) < 2:
                raise UnavailableError(f"{info.engine} has but one rung")
            return f"{info.engine} {info.precision}, moving down and up its rungs"
        return f"{info.engine} {info.precision}, ratio {info.downsample_ratio:.3g}{self._plainly}"

    def reset(self) -> None:
        self._ready().reset()
        self._seen = 0

    def matte(self, frame: Frame) -> tuple[float, Bytes]:
        engine = self._ready()
        if self._moving and self._seen % _FRAMES_ON_A_RUNG == 0:
            rungs = engine.rungs
            turn = self._seen // _FRAMES_ON_A_RUNG % (2 * len(rungs) - 2)
            wanted = rungs[min(turn, 2 * len(rungs) - 2 - turn)]
            while not engine.use_rung(wanted):  # compiled on another thread; nothing else may run here meanwhile
                time.sleep(0.01)
        self._seen += 1
        began = time.perf_counter_ns()
        alpha = engine.matte(frame).host().alpha
        return (time.perf_counter_ns() - began) / 1e6, alpha

    def _ready(self) -> Engine:
        if self._engine is None:
            raise UnavailableError("it is not open")
        return self._engine

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None


class SelfieSubject(Subject):
    """MediaPipe's selfie segmentation, in a process of its own."""

    family = "MediaPipe"

    def __init__(self, python: str, *, landscape: bool) -> None:
        self._python, self._landscape = python, landscape
        self.label = f"MediaPipe ({'landscape' if landscape else 'general'})"
        self._selfie: Selfie | None = None
        self._size = (0, 0)

    def open(self, width: int, height: int) -> str:
        self._size = (width, height)
        self._selfie = Selfie(self._python, landscape=self._landscape, width=width, height=height)
        return self._selfie.name

    def matte(self, frame: Frame) -> tuple[float, Bytes]:
        if self._selfie is None:
            raise UnavailableError("it is not open")
        return self._selfie.matte(frame)

    def close(self) -> None:
        if self._selfie is not None:
            self._selfie.close()
            self._selfie = None


class After(Subject):
    """Another subject whose alpha is post-processed, over all frames of a clip.

    Args:
        subject: the subject whose alpha is taken.
        label: name of the processing, for the table.
        make: makes the processing step, a new one for each clip: (picture, alpha) -> alpha.
    """

    def __init__(self, subject: Subject, label: str, make: Callable[[], Post]) -> None:
        self._subject, self._what, self._make = subject, label, make
        self.label = f"{subject.label} + {label}"
        self._post = make()

    def open(self, width: int, height: int) -> str:
        name = self._subject.open(width, height)
        self.family = "with something after"
        return f"{name} + {self._what}"

    def reset(self) -> None:
        self._subject.reset()
        self._post = self._make()

    def matte(self, frame: Frame) -> tuple[float, Bytes]:
        took, alpha = self._subject.matte(frame)
        began = time.perf_counter_ns()
        alpha = self._post(frame.image, alpha)
        return took + (time.perf_counter_ns() - began) / 1e6, alpha

    def close(self) -> None:
        self._subject.close()


class Unrefined(Subject):
    """The network on a downscaled picture, its alpha upsampled bilinearly: what the refiner is compared with."""

    family = "with something after"

    def __init__(self, settings: EngineSettings, ratio: float) -> None:
        self._inner = EngineSubject(replace(settings, downsample_ratio=1.0))
        self._ratio = ratio
        self.label = f"{settings.engine}, no refiner"

    def open(self, width: int, height: int) -> str:
        name = self._inner.open(int(width * self._ratio), int(height * self._ratio))
        return f"{name.partition(',')[0]}, ratio {self._ratio:.3g}, no refiner"

    def reset(self) -> None:
        self._inner.reset()

    def matte(self, frame: Frame) -> tuple[float, Bytes]:
        began = time.perf_counter_ns()
        low = int(frame.width * self._ratio), int(frame.height * self._ratio)
        small = cv2.resize(frame.image, low, interpolation=cv2.INTER_LINEAR)
        _, alpha = self._inner.matte(Frame(small, frame.seq, frame.epoch, frame.captured_ns))
        grown = cv2.resize(alpha, (frame.width, frame.height), interpolation=cv2.INTER_LINEAR)
        return (time.perf_counter_ns() - began) / 1e6, grown

    def close(self) -> None:
        self._inner.close()


def guided(radius: int) -> Callable[[], Post]:
    """A guided filter at full size (He et al. 2010), guided by the picture's brightness."""

    def post(picture: Bytes, alpha: Bytes) -> Bytes:
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
        values, side = alpha.astype(np.float32) / 255, (2 * radius + 1,) * 2
        mean_x, mean_y = cv2.blur(grey, side), cv2.blur(values, side)
        slope = (cv2.blur(grey * values, side) - mean_x * mean_y) / (cv2.blur(grey * grey, side) - mean_x**2 + 1e-4)
        offset = mean_y - slope * mean_x
        found = cv2.blur(slope, side) * grey + cv2.blur(offset, side)
        return np.asarray(np.clip(found * 255 + 0.5, 0, 255), np.uint8)

    return lambda: post


def feather(sigma: float) -> Callable[[], Post]:
    """A Gaussian blur of alpha."""
    return lambda: lambda picture, alpha: cv2.GaussianBlur(alpha, (0, 0), sigma)


def levels(low: float, high: float) -> Callable[[], Post]:
    """Alpha below ``low`` becomes 0, above ``high`` full."""
    table = np.clip((np.arange(256) / 255 - low) / (high - low) * 255 + 0.5, 0, 255).astype(np.uint8)
    return lambda: lambda picture, alpha: cv2.LUT(alpha, table)


def steadied() -> Post:
    """The smoothing of ``--steady``."""
    smoother = TemporalSmoother()

    def post(picture: Bytes, alpha: Bytes) -> Bytes:
        return np.asarray(smoother(Matte(Frame(picture, 0, 0, 0), alpha)).alpha)

    return post


POSTS: dict[str, Callable[[], Post]] = {
    "guided filter, radius 2": guided(2),
    "guided filter, radius 8": guided(8),
    "feather, sigma 1": feather(1.0),
    "feather, sigma 2.5": feather(2.5),
    "levels 0.05 to 0.95": levels(0.05, 0.95),
    "levels 0.2 to 0.8": levels(0.2, 0.8),
    "--steady": steadied,
}


@dataclass(frozen=True)
class Wanted:
    """Which subjects are wanted.

    Attributes:
        weights: RVM checkpoints; None stands for the one that the program finds.
        onnx: a file for the engine ``onnx``, or None.
        mediapipe_python: a Python interpreter that has MediaPipe.
        posts: also measure post-processing of alpha.
        quick: two subjects only.
    """

    weights: tuple[Path | None, ...] = (None,)
    onnx: Path | None = None
    mediapipe_python: str = ""
    posts: bool = True
    quick: bool = False


def subjects(wanted: Wanted, width: int, height: int) -> Iterator[Subject]:
    """Every subject that may work here, not yet opened."""
    ladder = ratios_for(width, height)
    for weights in wanted.weights:
        base = EngineSettings(device="cpu", weights=weights)
        middle = min(ladder, key=lambda ratio: abs(ratio - 0.25))
        yield EngineSubject(replace(base, downsample_ratio=middle), PlainEngine)
        if wanted.quick:
            yield EngineSubject(replace(base, engine="rvm", downsample_ratio=middle))
            continue
        yield EngineSubject(replace(base, downsample_ratio=ladder[0]), PlainEngine)
        for ratio in (ladder[0], middle):
            yield EngineSubject(replace(base, engine="rvm", downsample_ratio=ratio))
        for precision in ("fp32", "bf16", "int8"):
            try:
                asked = replace(base, engine="openvino", precision=precision)
            except RvmLiveError:
                continue  # this version of the program does not have it
            for ratio in ladder:
                yield EngineSubject(replace(asked, downsample_ratio=ratio))
        yield EngineSubject(replace(base, engine="openvino"), moving=True)
        if wanted.posts:
            asked = replace(base, engine="openvino", downsample_ratio=middle)
            yield Unrefined(asked, middle)
            for label, make in POSTS.items():
                yield After(EngineSubject(asked), label, make)
    if wanted.onnx is not None:
        yield EngineSubject(EngineSettings(engine="onnx", weights=wanted.onnx, device="cpu"))
    if wanted.quick:
        return
    with suppress(RvmLiveError):
        ENGINES.load("lite")
        own = EngineSettings(engine="lite", device="cpu")
        for precision in ("auto", "fp32"):  # without bf16 in the processor, both are the same
            yield EngineSubject(replace(own, precision=precision))
        for ratio in ladder:
            if not math.isclose(ratio, SIDE / max(width, height)):
                yield EngineSubject(replace(own, downsample_ratio=ratio))
        if wanted.posts:
            own = replace(own, steady=False)
            yield EngineSubject(own)
            yield Unrefined(own, SIDE / max(width, height))
            for label, make in POSTS.items():
                yield After(EngineSubject(own), label, make)
    if wanted.mediapipe_python:
        for landscape in (True, False):
            yield SelfieSubject(wanted.mediapipe_python, landscape=landscape)
