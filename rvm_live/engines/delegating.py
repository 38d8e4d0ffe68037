"""Base of engines that wrap another engine and pass every call on."""

from __future__ import annotations

from collections.abc import Sequence

from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo, Rung, States, close_failed

__all__ = ["DelegatingEngine"]


class DelegatingEngine(Engine):
    """Passes every call on to another engine.

    Args:
        inner: does the work; may be replaced while it runs.
        settings: what was asked for; None: the inner one's.
    """

    def __init__(self, inner: Engine, settings: EngineSettings | None = None) -> None:
        super().__init__(settings or inner.settings)
        self._inner = inner

    def open(self) -> EngineInfo:
        return self._inner.open()

    @property
    def info(self) -> EngineInfo:
        return self._inner.info

    @property
    def phase(self) -> str:
        return self._inner.phase

    def prepare(self, width: int, height: int) -> None:
        self._inner.prepare(width, height)

    @property
    def rungs(self) -> tuple[Rung, ...]:
        return self._inner.rungs

    def use_rung(self, rung: Rung) -> bool:
        return self._inner.use_rung(rung)

    def reset(self) -> None:
        self._inner.reset()

    def matte(self, frame: Frame) -> Matte:
        return self._inner.matte(frame)

    def matte_chunk(self, frames: Sequence[Frame]) -> list[Matte]:
        return self._inner.matte_chunk(frames)

    @property
    def chunked(self) -> bool:
        return self._inner.chunked

    @property
    def succession(self) -> bool:
        return self._inner.succession

    def states(self) -> States | None:
        return self._inner.states()

    def restore(self, states: States) -> None:
        self._inner.restore(states)

    def close(self) -> None:
        self._inner.close()

    def _put_in_place(self, engine: Engine) -> None:
        """Use another engine from now on; the previous one is closed first, because the next one needs its memory."""
        before, self._inner = self._inner, engine
        if before is not engine:
            close_failed(before)
