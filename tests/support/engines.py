"""Engines without a network, for tests of everything around one."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from rvm_live.clock import SYSTEM_CLOCK
from rvm_live.engines.base import Engine, EngineInfo
from rvm_live.errors import EngineError
from rvm_live.frames import Frame, Matte
from rvm_live.settings import EngineSettings

__all__ = ["BuggyEngine", "FailingEngine", "LeftHalfEngine", "PassThroughEngine", "SlowEngine", "SlowThenFailingEngine"]


class PassThroughEngine(Engine):
    """Everything is foreground: alpha is 255 everywhere, the colour is the frame's own.

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
        """uint8 (H, W): what this engine takes for the alpha of ``frame``."""
        return np.full(frame.image.shape[:2], 255, np.uint8)

    def close(self) -> None:
        self.calls.append("close")


class LeftHalfEngine(PassThroughEngine):
    """The left half is foreground, the right half background."""

    def alpha(self, frame: Frame) -> NDArray[np.uint8]:
        alpha = np.zeros(frame.image.shape[:2], np.uint8)
        alpha[:, : frame.width // 2] = 255
        return alpha


class FailingEngine(PassThroughEngine):
    """Works for two frames after ``open``, then raises :class:`EngineError` for every one."""

    def matte(self, frame: Frame) -> Matte:
        if self.calls.count("matte") >= 2:
            raise EngineError("the engine failed on purpose")
        return super().matte(frame)


class SlowThenFailingEngine(LeftHalfEngine):
    """Takes a second and a half to open, works for thirty frames, then raises :class:`EngineError`."""

    def open(self) -> EngineInfo:
        time.sleep(1.5)
        return super().open()

    def matte(self, frame: Frame) -> Matte:
        if self.calls.count("matte") >= 30:
            raise EngineError("the engine failed on purpose")
        return super().matte(frame)


class BuggyEngine(PassThroughEngine):
    """Has a bug."""

    def matte(self, frame: Frame) -> Matte:
        _ = 1 / (frame.width - frame.width)
        return super().matte(frame)


class SlowEngine(LeftHalfEngine):
    """Takes 20 ms for a frame."""

    def alpha(self, frame: Frame) -> NDArray[np.uint8]:
        time.sleep(0.02)
        return super().alpha(frame)
