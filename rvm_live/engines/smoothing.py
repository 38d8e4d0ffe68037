"""A mean over time where the picture stands still, against alpha that flickers there. What it gives and what it costs
stands in docs/quality.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EngineError
from rvm_live.core.frames import Frame, Matte
from rvm_live.engines.base import Engine, States
from rvm_live.engines.common.dirty_rectangles import changed, enlarged
from rvm_live.engines.delegating import DelegatingEngine
from rvm_live.system.buffer_pool import BufferPool

__all__ = ["KEPT", "STILL", "SmoothedEngine", "TemporalSmoother"]

Bytes = NDArray[np.uint8]

KEPT = 0.6
"""Share of the alpha before, where nothing moves."""
STILL = 12
"""Grey levels by which a pixel may differ before it counts as moving."""
_SMALLER = 2
_TABLE = (KEPT * np.clip(1 - np.arange(256) / STILL, 0, 1)).astype(np.float32)


class TemporalSmoother:
    """Takes mattes in order and gives them back with a steadier alpha.

    ``alpha + share * (before - alpha)``, rounded towards ``alpha``, so that it gets there; the share is :data:`KEPT`
    where the picture's brightness is that of the frame before, and falls to 0 over :data:`STILL` grey levels: what
    moves keeps its own alpha. Frames of another epoch or size begin anew. Alpha that lies on a GPU is left as it is.
    """

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._grey: Bytes | None = None
        self._alpha: Bytes | None = None
        self._memory: BufferPool | None = None

    def reset(self) -> None:
        """Forget the frames so far."""
        self._grey = self._alpha = None

    @property
    def memory(self) -> list[NDArray[np.float32]]:
        """The brightness and the alpha of the frame before, empty where there is none."""
        both = (self._grey, self._alpha)
        return [np.zeros((0, 0), np.float32) if each is None else each.astype(np.float32) for each in both]

    def remember(self, memory: list[NDArray[np.float32]]) -> None:
        """Go on from what :attr:`memory` gave, with a frame of any epoch."""
        grey, alpha = (each.astype(np.uint8) if each.size else None for each in memory)
        self._grey, self._alpha, self._epoch = grey, alpha, None

    def __call__(self, matte: Matte) -> Matte:
        """The matte, with alpha uint8 (H, W) of its own, and the time this took added to the engine's."""
        alpha = matte.alpha
        if not (isinstance(alpha, np.ndarray) and alpha.dtype == np.uint8):
            return matte
        image = matte.frame.image
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        size = (max(1, image.shape[1] // _SMALLER), max(1, image.shape[0] // _SMALLER))
        grey = cv2.blur(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), (3, 3))
        fits = self._alpha is not None and self._alpha.shape == alpha.shape and self._epoch in (None, matte.frame.epoch)
        if fits and self._grey is not None and self._alpha is not None:
            alpha = self._mixed(alpha, self._alpha, cv2.LUT(cv2.absdiff(grey, self._grey), _TABLE))
        self._epoch, self._grey, self._alpha = matte.frame.epoch, grey, alpha
        if alpha is matte.alpha:
            return matte
        return replace(matte, alpha=alpha, finished_ns=SYSTEM_CLOCK.now_ns())

    def _mixed(self, alpha: Bytes, before: Bytes, share: NDArray[np.float32]) -> Bytes:
        """Where the two differ, which is little more than the person's edge; elsewhere a mean would change nothing."""
        if self._memory is None or self._memory.shape != alpha.shape:
            self._memory = BufferPool(alpha.shape)
        mixed = self._memory.take()
        np.copyto(mixed, alpha)
        for part in changed(cv2.absdiff(alpha, before)):
            kept = enlarged(share, alpha.shape, *part)
            apart = cv2.subtract(before[part], alpha[part], dtype=cv2.CV_32F)
            # Rounded to the nearest, the last few levels would stay for good: 0.6 of one is one again.
            left = cv2.multiply(apart, kept).astype(np.int16)
            cv2.add(alpha[part], left, dst=mixed[part], dtype=cv2.CV_8U)
        return mixed


class SmoothedEngine(DelegatingEngine):
    """An engine whose alpha is made steadier; what that remembers counts as its state."""

    def __init__(self, inner: Engine) -> None:
        super().__init__(inner)
        self._smoother = TemporalSmoother()

    @property
    def smoothed(self) -> Engine:
        """The engine as it is without."""
        return self._inner

    def reset(self) -> None:
        self._inner.reset()
        self._smoother.reset()

    def matte(self, frame: Frame) -> Matte:
        return self._smoother(self._inner.matte(frame))

    def matte_chunk(self, frames: Sequence[Frame]) -> list[Matte]:
        return [self._smoother(matte) for matte in self._inner.matte_chunk(frames)]

    def states(self) -> States | None:
        own = self._inner.states()
        return None if own is None else [*own, *self._smoother.memory]

    def restore(self, states: States) -> None:
        states, memory = states[:-2], states[-2:]
        if len(memory) != 2:
            raise EngineError("the state does not fit the engine")
        self._smoother.remember(memory)
        self._inner.restore(states)
