"""Uses one engine for many files, one after the other, while size and settings stay the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo, States
from rvm_live.engines.delegating import DelegatingEngine

__all__ = ["Lender"]

Make = Callable[[EngineSettings], Engine]


@dataclass
class _Kept:
    engine: Engine
    settings: EngineSettings
    size: tuple[int, int]


class Lender:
    """Keeps the engine of the previous file, open and ready for its size; at most one.

    Files come one after the other, each with a matting thread of its own: an engine is used on one thread at a time,
    and not always on the same.
    """

    def __init__(self) -> None:
        self._kept: _Kept | None = None

    def engine(self, make: Make, settings: EngineSettings) -> Engine:
        """The kept one, once it is opened, if it was made with these settings; else a fresh one.

        Args:
            make: opens nothing yet: settings -> engine.
            settings: what was asked for.
        """
        return _Lent(self, make, settings)

    def take(self, settings: EngineSettings) -> _Kept | None:
        """The kept engine, if it was made with these settings; otherwise it is closed, because there may not be memory
        for two."""
        kept, self._kept = self._kept, None
        if kept is None or kept.settings == settings:
            return kept
        kept.engine.close()
        return None

    def keep(self, kept: _Kept) -> None:
        """Keep a working engine."""
        self.close()
        self._kept = kept

    def close(self) -> None:
        """Close the kept engine."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.engine.close()


class _Lent(DelegatingEngine):
    """The engine of one file. When closed it is kept for the next one, unless it has failed or seen another size."""

    def __init__(self, lender: Lender, make: Make, settings: EngineSettings) -> None:
        super().__init__(make(settings))
        self._lender, self._make, self._asked = lender, make, settings
        self._size: tuple[int, int] | None = None
        self._sound = False

    def open(self) -> EngineInfo:
        kept = self._lender.take(self._asked)
        if kept is None:
            return super().open()
        self._inner, self._size = kept.engine, kept.size
        return self._inner.info

    def prepare(self, width: int, height: int) -> None:
        if self._size == (width, height):
            with self._trying():
                self._inner.reset()
        else:
            if self._size is not None:  # free the memory of one size before that of the next is allocated
                self._size = None
                self._inner.close()
                self._inner = self._make(self._asked)
                self._inner.open()
            self._inner.prepare(width, height)
            self._size = (width, height)
        self._sound = True

    def reset(self) -> None:
        with self._trying():
            super().reset()

    def matte(self, frame: Frame) -> Matte:
        with self._trying(frame):
            return super().matte(frame)

    def matte_chunk(self, frames: Sequence[Frame]) -> list[Matte]:
        with self._trying(frames[0]):
            return super().matte_chunk(frames)

    def restore(self, states: States) -> None:
        with self._trying():
            super().restore(states)

    def close(self) -> None:
        if self._sound and self._size is not None:
            self._sound = False
            self._lender.keep(_Kept(self._inner, self._asked, self._size))
        else:
            self._inner.close()

    @contextmanager
    def _trying(self, frame: Frame | None = None) -> Iterator[None]:
        sound = self._sound and (frame is None or (frame.width, frame.height) == self._size)
        self._sound = False
        yield
        self._sound = sound
