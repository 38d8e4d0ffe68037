"""Averages alpha over time where the picture does not move, so that it does not flicker there. docs/quality.md has the
gain and the cost."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EngineError
from rvm_live.core.frames import Frame, Matte
from rvm_live.engines.base import Engine, States
from rvm_live.engines.common.dirty_rectangles import changed, enlarged
from rvm_live.engines.delegating import DelegatingEngine
from rvm_live.finishing.estimate import Estimate
from rvm_live.system.buffer_pool import BufferPool

__all__ = ["KEPT", "STILL", "SmoothedEngine", "TemporalSmoother"]

KEPT = 0.6
"""Weight of the previous alpha where nothing moves."""
STILL = 12
"""Grey levels by which a pixel may differ before it counts as moving."""
_SMALLER = 2
_MOST_WAITING = 8
"""Mattes whose alpha has not been read yet; each keeps its picture in memory."""
_NO_IMAGE = np.zeros((0, 0, 3), np.uint8)
_TABLE = (KEPT * np.clip(1 - np.arange(256) / STILL, 0, 1)).astype(np.float32)


class _Life:
    """The time between one reset and the next."""


class _Turn(NamedTuple):
    """A frame's place in the order: the newest has the highest number. Mixed are frames of one life and epoch."""

    number: int
    life: _Life
    epoch: int | None
    image: Bytes


class _Before(NamedTuple):
    """What the smoother remembers: the brightness and the alpha of the newest frame it had."""

    turn: _Turn
    grey: Bytes
    alpha: Bytes


class TemporalSmoother:
    """Takes mattes in order and gives them back with a steadier alpha.

    ``alpha + share * (before - alpha)``, rounded towards ``alpha``, so that it gets there; the share is :data:`KEPT`
    where the picture's brightness is that of the frame before, and falls to 0 over :data:`STILL` grey levels: what
    moves keeps its own alpha. Frames of another epoch or size begin anew. Alpha that lies on a GPU is left as it is.

    Alpha that is not computed yet is mixed when it is computed, on that thread. Frames are mixed in their order,
    whichever is read first: if every frame counts, earlier ones are computed first; in live video frames that nobody
    reads are skipped, and one that is read too late keeps its own alpha.

    Args:
        every: every frame counts.
    """

    def __init__(self, *, every: bool = True) -> None:
        self.lock = threading.RLock()
        self._every = every
        self._waiting: deque[tuple[int, Estimate]] = deque()
        self._life, self._numbers = _Life(), 0
        self._before: _Before | None = None
        self._grey: Bytes | None = None
        self._pool: BufferPool | None = None

    def reset(self) -> None:
        """Forget the frames so far."""
        self._life = _Life()

    @property
    def memory(self) -> list[NDArray[np.float32]]:
        """The brightness and the alpha of the frame before, empty where there is none."""
        with self.lock:
            self._work_off(self._numbers + 1)
            before = self._before
            if before is None or before.turn.life is not self._life:
                return [np.zeros((0, 0), np.float32) for _ in range(2)]
            return [each.astype(np.float32) for each in (before.grey, before.alpha)]

    def remember(self, memory: list[NDArray[np.float32]]) -> None:
        """Go on from what :attr:`memory` gave, with a frame of any epoch."""
        grey, alpha = (each.astype(np.uint8) for each in memory)
        with self.lock:
            self._work_off(self._numbers + 1)
            self.reset()
            turn = self._next(_NO_IMAGE, None)
            self._before = _Before(turn, grey, alpha) if grey.size else None

    def __call__(self, matte: Matte) -> Matte:
        """The matte, with alpha uint8 (H, W) of its own; the time that takes here is added to the engine's."""
        image, epoch = matte.frame.image, matte.frame.epoch
        if (estimate := matte.deferred) is not None:
            turn = self._next(image, epoch)
            estimate.steadied_by(self, turn)
            if self._every:
                self._waiting.append((turn.number, estimate))
                with self.lock:
                    self._work_off(turn.number - _MOST_WAITING)
            return matte
        alpha = matte.alpha
        if not (isinstance(alpha, np.ndarray) and alpha.dtype == np.uint8):
            return matte
        with self.lock:
            turn = self._next(image, epoch)
            before = self.before(turn, alpha.shape)
            if before is None:
                self.settled(turn, alpha)
                return matte
            mixed = self.mixed(alpha, *before)
            self.settled(turn, mixed)
        return replace(matte, alpha=mixed, finished_ns=SYSTEM_CLOCK.now_ns())

    def before(self, turn: _Turn, shape: tuple[int, ...]) -> tuple[Bytes, NDArray[np.float32]] | None:
        """What :class:`~rvm_live.finishing.estimate.Steadier` says, for a frame of that size."""
        self._work_off(turn.number)
        self._grey, before = None, self._before
        if before is not None and before.turn.number >= turn.number:
            return None
        self._grey = grey = _brightness(turn.image)
        if before is None or before.alpha.shape != shape or before.turn.life is not turn.life:
            return None
        if before.turn.epoch not in (None, turn.epoch):
            return None
        return before.alpha, cv2.LUT(cv2.absdiff(grey, before.grey), _TABLE)

    def settled(self, turn: _Turn, alpha: Bytes) -> None:
        """That is the alpha of the frame that :meth:`before` was asked about last."""
        if self._grey is not None:
            self._before = _Before(turn, self._grey, alpha)

    def _next(self, image: Bytes, epoch: int | None) -> _Turn:
        self._numbers += 1
        return _Turn(self._numbers, self._life, epoch, image)

    def _work_off(self, number: int) -> None:
        """Compute the alpha of waiting frames before a turn."""
        while self._waiting and self._waiting[0][0] < number:
            with suppress(Exception):  # the error is raised again for whoever asks for that alpha
                _ = self._waiting.popleft()[1].alpha

    def mixed(self, alpha: Bytes, before: Bytes, kept: NDArray[np.float32]) -> Bytes:
        """Where the two differ, which is little more than the person's edge; elsewhere a mean would change nothing."""
        if self._pool is None or self._pool.shape != alpha.shape:
            self._pool = BufferPool(alpha.shape)
        mixed = self._pool.take()
        np.copyto(mixed, alpha)
        for part in changed(cv2.absdiff(alpha, before)):
            share = enlarged(kept, alpha.shape, *part)
            apart = cv2.subtract(before[part], alpha[part], dtype=cv2.CV_32F)
            # Truncate: with rounding, the last few levels would never fade (0.6 of 1 is 1 again).
            left = cv2.multiply(apart, share).astype(np.int16)
            cv2.add(alpha[part], left, dst=mixed[part], dtype=cv2.CV_8U)
        return mixed


def _brightness(image: Bytes) -> Bytes:
    size = (max(1, image.shape[1] // _SMALLER), max(1, image.shape[0] // _SMALLER))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.blur(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), (3, 3)))


class SmoothedEngine(DelegatingEngine):
    """An engine whose alpha is made steadier; what that remembers counts as its state."""

    def __init__(self, inner: Engine) -> None:
        super().__init__(inner)
        self._smoother = TemporalSmoother(every=not inner.settings.keep_up)

    @property
    def smoothed(self) -> Engine:
        """The engine without smoothing."""
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
            raise EngineError("the state does not fit this engine")
        self._smoother.remember(memory)
        self._inner.restore(states)
