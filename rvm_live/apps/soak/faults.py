"""Faults on purpose: a source and an engine that fail now and then, by a seed."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rvm_live.core.errors import EngineError, SourceLostError, SourceUnavailableError
from rvm_live.core.frames import Frame, Matte
from rvm_live.engines.base import Engine
from rvm_live.engines.delegating import DelegatingEngine
from rvm_live.sources.base import Grab, Source, SourceInfo

__all__ = ["Chance", "FaultyEngine", "FaultySource"]


class Chance:
    """Decides when something fails. Used by several threads.

    Args:
        seed: the same one gives the same decisions for the same questions in the same order.
        rate: faults per question.

    Attributes:
        counts: of each fault.
    """

    def __init__(self, seed: int, rate: float) -> None:
        self.counts: Counter[str] = Counter()
        self._random, self._rate = random.Random(seed), rate
        self._lock = threading.Lock()

    def pick(self, kinds: tuple[str, ...]) -> str:
        """One of ``kinds``, or mostly nothing."""
        with self._lock:
            if self._rate <= 0 or self._random.random() >= self._rate:
                return ""
            kind = self._random.choice(kinds)
            self.counts[kind] += 1
            return kind


class FaultySource(Source):
    """A source that is lost, stalls, comes back with another size, or cannot be opened at first.

    Args:
        inner: delivers.
        chance: decides.
    """

    def __init__(self, inner: Source, chance: Chance) -> None:
        self._inner, self._chance = inner, chance
        self._released = threading.Event()
        self._smaller = False

    def prepare(self, ended: Callable[[], bool] = lambda: False) -> None:
        self._inner.prepare(ended)

    def open(self) -> SourceInfo:
        if self._chance.counts and self._chance.pick(("cannot be opened",) * 2):
            raise SourceUnavailableError("it cannot be opened, on purpose")
        return replace(self._inner.open(), live=True)

    def read(self) -> Grab:
        kind = self._chance.pick(("lost", "stalls", "another size"))
        if kind == "lost":
            raise SourceLostError("it was unplugged, on purpose")
        if kind == "stalls":
            self._released.wait(0.7)
        if kind == "another size":
            self._smaller = not self._smaller
        grab = self._inner.read()
        if self._smaller:
            return replace(grab, image=np.ascontiguousarray(grab.image[: grab.image.shape[0] * 3 // 4 // 2 * 2]))
        return grab

    def release(self) -> None:
        self._released.set()
        self._inner.release()


class FaultyEngine(DelegatingEngine):
    """An engine that raises or gives nonsense now and then.

    Args:
        inner: works.
        chance: decides.
    """

    def __init__(self, inner: Engine, chance: Chance) -> None:
        super().__init__(inner)
        self._chance = chance

    def matte(self, frame: Frame) -> Matte:
        kind = self._chance.pick(("engine raises", "not a number", "wrong size"))
        if kind == "engine raises":
            raise EngineError("the engine failed, on purpose")
        matte = self._inner.matte(frame)
        if kind == "not a number":
            return replace(matte, alpha=np.full((frame.height, frame.width), np.nan, np.float32))
        if kind == "wrong size":
            return replace(matte, alpha=np.zeros((frame.height // 2, frame.width), np.uint8))
        return matte
