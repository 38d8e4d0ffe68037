"""An engine that keeps only one of several people."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from rvm_live.core import transfer
from rvm_live.core.arrays import Bytes, Floats
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EngineError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.only_me import OnlyMe
from rvm_live.core.transfer import array_u8
from rvm_live.engines.base import Engine, States
from rvm_live.engines.delegating import DelegatingEngine
from rvm_live.engines.only_me.tracker import SIDE, Tracker, small_size

__all__ = ["OnlyMeEngine"]

_STATES = 4
"""Arrays of the tracker's memory beside three of each person."""


class OnlyMeEngine(DelegatingEngine):
    """Gives the mattes of another engine, with only one person in them if that is asked for.

    If alpha is not computed yet, its low-resolution model is weighted, which costs almost nothing; a finished alpha is
    multiplied where other people are. From a GPU a small alpha is downloaded for this, and weights are uploaded.

    Args:
        inner: any engine.
        asked: may be changed at any time.
    """

    def __init__(self, inner: Engine, asked: OnlyMe) -> None:
        super().__init__(inner)
        self._asked = asked
        self._tracker = Tracker()
        self._was_on = False

    def reset(self) -> None:
        self._inner.reset()
        self._tracker.reset()

    def matte(self, frame: Frame) -> Matte:
        return self._only(self._inner.matte(frame))

    def matte_chunk(self, frames: Sequence[Frame]) -> list[Matte]:
        if self._asked.on and not self._inner.chunked:
            # One by one: an engine that wraps another may look back at earlier mattes.
            return [self.matte(frame) for frame in frames]
        return [self._only(matte) for matte in self._inner.matte_chunk(frames)]

    def _only(self, matte: Matte) -> Matte:
        asked, on = self._asked, self._asked.on
        if on and not self._was_on:
            self._tracker.reset()
        self._was_on = on
        if not on:
            return matte.but(lasting=lambda: not asked.on)
        matte.check()
        who = asked.asked
        frame = matte.frame
        size = small_size(frame.width, frame.height)
        picture = _smaller(frame.image, size)
        moment_ns = frame.captured_ns if frame.media_ns is None else frame.media_ns
        weights = self._tracker.look(_small_alpha(matte, picture, size), picture, moment_ns, who)
        settled = not self._tracker.moving
        made = matte if weights is None else _weighed(matte, weights)
        return made.but(
            finished_ns=SYSTEM_CLOCK.now_ns() if made.elapsed_ns is None else made.finished_ns,
            lasting=lambda: settled and asked.on and asked.asked == who,
        )

    def states(self) -> States | None:
        own = self._inner.states()
        return None if own is None else [*own, *(memory := self._tracker.memory), np.array([len(memory)], np.float32)]

    def restore(self, states: States) -> None:
        count = int(states[-1][0]) if states and states[-1].shape == (1,) else 0
        if not _STATES <= count < len(states):
            raise EngineError("the state does not fit this engine")
        self._tracker.remember(states[-1 - count : -1])
        self._was_on = self._asked.on
        self._inner.restore(states[: -1 - count])


def _smaller(picture: Bytes, size: tuple[int, int]) -> Bytes:
    """A picture or alpha at a smaller size; large ones are subsampled first."""
    if max(picture.shape[:2]) > 4 * SIDE:
        picture = cv2.resize(picture, (4 * size[0], 4 * size[1]), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _small_alpha(matte: Matte, picture: Bytes, size: tuple[int, int]) -> Bytes:
    """Alpha, uint8 (h, w)."""
    if (estimate := matte.deferred) is not None:
        found = estimate.found
        slope, offset = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (found.slope, found.offset))
        grey = cv2.transform(picture, np.full((1, 3), 1 / 3, np.float32))
        return np.asarray(cv2.add(cv2.multiply(slope, grey, dtype=cv2.CV_32F), offset, dtype=cv2.CV_8U))
    if isinstance(matte.alpha, np.ndarray):
        return _smaller(array_u8(matte.alpha), size)
    import torch

    alpha = matte.alpha_here()
    values = alpha.float() if alpha.dtype == torch.uint8 else alpha.float() * 255
    small = torch.nn.functional.interpolate(values[None, None], size[::-1], mode="area")[0, 0]
    return transfer.download(small.round().clamp(0, 255).to(torch.uint8))


def _weighed(matte: Matte, weights: Floats) -> Matte:
    """The matte with its alpha multiplied by the weights."""
    frame = matte.frame
    if (estimate := matte.deferred) is not None:
        estimate.weigh(weights)
        return matte
    if isinstance(matte.alpha, np.ndarray):
        share = cv2.resize(array_u8(weights), (frame.width, frame.height), interpolation=cv2.INTER_LINEAR)
        return matte.but(alpha=cv2.multiply(array_u8(matte.alpha), share, scale=1 / 255))
    import torch

    alpha = matte.alpha_here()
    small = transfer.upload(weights, alpha.device)[None, None]
    share = torch.nn.functional.interpolate(small, tuple(alpha.shape), mode="bilinear", align_corners=False)[0, 0]
    values = alpha.float() * share
    made = values.round().to(torch.uint8) if alpha.dtype == torch.uint8 else values.to(alpha.dtype)
    return matte.but(alpha=made, ready=transfer.mark(alpha.device))
