"""Engines without a network, for tests of the code around engines."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EngineError, NoMemoryError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo
from tests.support.waiting import until

__all__ = [
    "AlwaysFailsEngine",
    "BuggyEngine",
    "CountingEngine",
    "FailingEngine",
    "FailsOnceEngine",
    "FaintEngine",
    "FaultyEngine",
    "HangingEngine",
    "HungryEngine",
    "LateFault",
    "LedEngine",
    "LeftHalfEngine",
    "LosesItsDeviceEngine",
    "NanEngine",
    "NotingEngine",
    "PassThroughEngine",
    "RememberingEngine",
    "SaysWhereEngine",
    "SlowEngine",
    "SlowToOpenEngine",
    "WrongSizeEngine",
]


class LateFault:
    """Alpha on a GPU that has failed: reading it raises the error of work that was launched long before.

    Args:
        height: pixels.
        width: pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        self.shape = (height, width)
        self.dtype = "uint8"

    def is_floating_point(self) -> bool:
        return False

    @property
    def device(self) -> object:
        raise RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later")

    def __array__(self, *_: object, **__: object) -> NDArray[np.uint8]:
        return self.device  # type: ignore[return-value]


class PassThroughEngine(Engine):
    """Takes everything for foreground: alpha is 255 everywhere, the colour is the frame's own.

    Also usable by name: ``--engine tests.support.engines:PassThroughEngine``.

    Attributes:
        calls: names of the methods called so far, in order (``matte`` once per frame).
        frames_since_reset: its whole recurrent state.
    """

    def __init__(self, settings: EngineSettings | None = None) -> None:
        super().__init__(settings or EngineSettings())
        self.calls: list[str] = []
        self.frames_since_reset = 0
        self._info = EngineInfo("pass-through", "none", "cpu", "CPU", "uint8", 0.0)

    def open(self) -> EngineInfo:
        self.calls.append("open")
        return self._info

    @property
    def info(self) -> EngineInfo:
        return self._info

    def prepare(self, width: int, height: int) -> None:
        self.calls.append("prepare")
        self._info = self._info.at_ratio(1.0)

    def reset(self) -> None:
        self.calls.append("reset")
        self.frames_since_reset = 0

    def matte(self, frame: Frame) -> Matte:
        self.calls.append("matte")
        started_ns = SYSTEM_CLOCK.now_ns()
        alpha = self.alpha(frame)
        self.frames_since_reset += 1
        return Matte(frame, alpha, started_ns=started_ns, finished_ns=SYSTEM_CLOCK.now_ns())

    def alpha(self, frame: Frame) -> NDArray[np.uint8]:
        """This engine's alpha for ``frame``, uint8 (H, W)."""
        return np.full(frame.image.shape[:2], 255, np.uint8)

    def close(self) -> None:
        self.calls.append("close")


class LeftHalfEngine(PassThroughEngine):
    """The left half is foreground, the right half background."""

    def alpha(self, frame: Frame) -> NDArray[np.uint8]:
        alpha = np.zeros(frame.image.shape[:2], np.uint8)
        alpha[:, : frame.width // 2] = 255
        return alpha


class FaintEngine(PassThroughEngine):
    """Takes red pixels for the person, and leaves faint alpha, 0 to 7, everywhere else."""

    def alpha(self, frame: Frame) -> NDArray[np.uint8]:
        blue, red = frame.image[..., 0], frame.image[..., 2]
        return np.where(red > 128, np.maximum(red, 8), blue % 8).astype(np.uint8)


class FailingEngine(PassThroughEngine):
    """Works for two frames after ``open``, then raises :class:`EngineError` at every frame."""

    def matte(self, frame: Frame) -> Matte:
        if self.calls.count("matte") >= 2:
            raise EngineError("the engine failed on purpose")
        return super().matte(frame)


class LedEngine(LeftHalfEngine):
    """Opens once the folder named by ``LED`` in the environment has a file ``open``; raises :class:`EngineError` when
    it has one called ``fail``."""

    def open(self) -> EngineInfo:
        assert until((Path(os.environ["LED"]) / "open").exists)
        return super().open()

    def matte(self, frame: Frame) -> Matte:
        if (Path(os.environ["LED"]) / "fail").exists():
            raise EngineError("the engine failed on purpose")
        return super().matte(frame)


class SlowToOpenEngine(LeftHalfEngine):
    """Takes six seconds to open, as a network does on a busy machine."""

    def open(self) -> EngineInfo:
        time.sleep(6)
        return super().open()


class SlowAllAlongEngine(LeftHalfEngine):
    """Takes a second and a half to open, and 20 ms per frame."""

    def prepare(self, width: int, height: int) -> None:
        time.sleep(1.5)
        super().prepare(width, height)

    def alpha(self, frame: Frame) -> NDArray[np.uint8]:
        time.sleep(0.02)
        return super().alpha(frame)


class BuggyEngine(PassThroughEngine):
    """Has a bug."""

    def matte(self, frame: Frame) -> Matte:
        _ = 1 / (frame.width - frame.width)
        return super().matte(frame)


class SlowEngine(LeftHalfEngine):
    """Takes 20 ms per frame."""

    def alpha(self, frame: Frame) -> NDArray[np.uint8]:
        time.sleep(0.02)
        return super().alpha(frame)


class CountingEngine(PassThroughEngine):
    """Alpha is the number of frames since the last reset, times ten, and each frame takes 20 ms: a visible recurrent
    state that this engine cannot save."""

    def alpha(self, frame: Frame) -> NDArray[np.uint8]:
        time.sleep(0.02)
        return np.full(frame.image.shape[:2], 10 * (self.frames_since_reset % 24), np.uint8)


class RememberingEngine(PassThroughEngine):
    """Alpha is a slow mean of the picture's brightness, 10 ms per frame; its state can be saved and restored."""

    def __init__(self, settings: EngineSettings | None = None) -> None:
        super().__init__(settings)
        self._mean = np.zeros(1, np.float32)

    def reset(self) -> None:
        super().reset()
        self._mean = np.zeros(1, np.float32)

    def alpha(self, frame: Frame) -> NDArray[np.uint8]:
        time.sleep(0.01)
        self._mean = 0.95 * self._mean + 0.05 * frame.image.mean().astype(np.float32) + np.float32(1)
        return np.full(frame.image.shape[:2], np.uint8(self._mean[0] % 256), np.uint8)

    def states(self) -> list[NDArray[np.float32]] | None:
        return [self._mean.copy()]

    def restore(self, states: list[NDArray[np.float32]]) -> None:
        self._mean = states[0].copy()


class NotingEngine(RememberingEngine):
    """Records what is done with it, for all engines of this class together, and fails at pictures with 80 rows."""

    notes: ClassVar[list[str]] = []

    def open(self) -> EngineInfo:
        self.notes.append("open")
        return super().open()

    def prepare(self, width: int, height: int) -> None:
        self.notes.append(f"prepare {width}x{height}")
        super().prepare(width, height)

    def reset(self) -> None:
        self.notes.append("reset")
        super().reset()

    def alpha(self, frame: Frame) -> NDArray[np.uint8]:
        if frame.height == 80:
            raise EngineError("the engine failed on purpose")
        return super().alpha(frame)

    def close(self) -> None:
        self.notes.append("close")
        super().close()


class HungryEngine(LeftHalfEngine):
    """Has memory for three frames at once and for a ratio of at most 0.3, unless it works on the CPU (by name)."""

    def prepare(self, width: int, height: int) -> None:
        super().prepare(width, height)
        ratio = self.settings.downsample_ratio or 1.0
        self._info = replace(self._info.at_ratio(ratio), device="cpu" if self.settings.device == "cpu" else "cuda:0")

    def matte_chunk(self, frames: Sequence[Frame]) -> list[Matte]:
        if self._info.device != "cpu" and (len(frames) > 3 or self._info.downsample_ratio > 0.3):
            raise NoMemoryError(f"out of memory with {len(frames)} frames at {self._info.downsample_ratio:g}")
        return [self.matte(frame) for frame in frames]

    @property
    def chunked(self) -> bool:
        return True

    def states(self) -> list[NDArray[np.float32]] | None:
        return [np.array([self.frames_since_reset], np.float32)]

    def restore(self, states: list[NDArray[np.float32]]) -> None:
        self.frames_since_reset = int(states[0][0])


class LosesItsDeviceEngine(LeftHalfEngine):
    """Works for nine frames per process, over all files; then its GPU is lost, and every call fails, even those that
    free memory."""

    matted = 0

    def open(self) -> EngineInfo:
        self._touch()
        return super().open()

    def matte(self, frame: Frame) -> Matte:
        type(self).matted += 1
        self._touch()
        return super().matte(frame)

    def close(self) -> None:
        self._touch()

    def _touch(self) -> None:
        if type(self).matted <= 9:
            return
        try:
            raise RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be late")
        except RuntimeError as error:
            raise EngineError("matting failed on cuda:0: CUDA error") from error


class _InMainMemory(EngineInfo):
    @property
    def mattes_on(self) -> str:
        return "cpu"


class SaysWhereEngine(LeftHalfEngine):
    """Claims to work on the device that was asked for; its mattes are in main memory all the same."""

    def open(self) -> EngineInfo:
        self.calls.append("open")
        self._info = _InMainMemory("says-where", "none", self.settings.device, "GPU", "uint8")
        return self._info


class FaultyEngine(LeftHalfEngine):
    """Fails on purpose, in the way of its subclass, at the frames since ``open`` whose numbers are in ``at``."""

    at: Sequence[int] = ()

    def matte(self, frame: Frame) -> Matte:
        number = self.calls.count("matte")
        matte = super().matte(frame)
        return self.faulty(matte) if number in self.at else matte

    def faulty(self, matte: Matte) -> Matte:
        raise EngineError("the engine failed on purpose")


class FailsOnceEngine(FaultyEngine):
    """Fails at frame 5, but not when it is asked again."""

    at = (5,)


class AlwaysFailsEngine(FaultyEngine):
    """Fails at every frame."""

    at = range(10**9)


class NanEngine(FaultyEngine):
    """Gives NaN or infinite values from frame 5 on, until it is opened again."""

    at = range(5, 10**9)

    def faulty(self, matte: Matte) -> Matte:
        return replace(matte, alpha=np.full(matte.alpha.shape, np.nan, np.float32))


class WrongSizeEngine(FaultyEngine):
    """Gives a matte of half the size from frame 5 on, until it is opened again."""

    at = range(5, 10**9)

    def faulty(self, matte: Matte) -> Matte:
        return replace(matte, alpha=np.ascontiguousarray(matte.alpha[::2, ::2]))


class HangingEngine(FaultyEngine):
    """Takes four seconds for frame 5."""

    at = (5,)

    def faulty(self, matte: Matte) -> Matte:
        time.sleep(4)
        return matte


class NeverReturnsEngine(LeftHalfEngine):
    """Works for five frames and then blocks for ever, as a driver that hangs."""

    def matte(self, frame: Frame) -> Matte:
        if frame.seq >= 5:
            threading.Event().wait()
        return super().matte(frame)
