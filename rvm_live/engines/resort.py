"""RVM with a faster engine as the last rung of its ladder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, Rung, close_failed
from rvm_live.engines.common.ladder import rungs_for
from rvm_live.engines.delegating import DelegatingEngine
from rvm_live.engines.opening import Opening

__all__ = ["ResortEngine"]

COST = 0.025
"""Cost of the embedded engine, on the scale of :func:`~rvm_live.engines.common.ladder.rungs_for`: RVM's smallest size
costs two to three times as much (``python -m benchmarks live``)."""


class ResortEngine(DelegatingEngine):
    """Works like the engine it was given, and can change to the other and back, as the ladder says.

    The engine not in use is opened on a thread of its own when it is first needed, and kept from then on, because the
    ladder may go back. It begins with an empty state: the other network's state does not fit.

    Args:
        first: open already; the one that works at first.
        make: opens nothing yet: settings -> engine.
        above: settings of the better one.
        below: settings of the quicker one.
    """

    def __init__(
        self, first: Engine, make: Callable[[EngineSettings], Engine], above: EngineSettings, below: EngineSettings
    ) -> None:
        super().__init__(first)
        self._make = make
        self._asked = (above, below)
        self._other: Engine | None = None
        self._opening: Opening | None = None
        self._refused = False
        self._size: tuple[int, int] | None = None

    @property
    def _resorted(self) -> bool:
        return self._inner.info.engine == self._asked[1].engine

    def prepare(self, width: int, height: int) -> None:
        self._inner.prepare(width, height)
        self._size = (width, height)

    @property
    def rungs(self) -> tuple[Rung, ...]:
        above = self._other if self._resorted else self._inner
        if self._size is None or self._refused:
            return () if self._resorted else self._inner.rungs
        rungs = above.rungs if above is not None else rungs_for(*self._size, ("fp32",))[-1:]
        return (*rungs, Rung(0.0, "", COST, self._asked[1].engine)) if rungs else ()

    def use_rung(self, rung: Rung) -> bool:
        down = bool(rung.engine)
        if down == self._resorted:
            return down or self._inner.use_rung(rung)
        other = self._opened(self._asked[down])
        if other is None or not (down or rung not in other.rungs or other.use_rung(rung)):
            return False
        other.reset()
        self._inner, self._other = other, self._inner
        return True

    def _opened(self, settings: EngineSettings) -> Engine | None:
        """The engine that is not at work; None while it is being opened, or if it does not work here."""
        if self._other is None and self._size is not None:
            if self._opening is None:
                self._opening = Opening(self._make, settings, self._size).start()
            elif self._opening.done:
                opening, self._opening = self._opening, None
                if opening.size == self._size:
                    self._other = opening.take()
                    self._refused = self._other is None
                else:  # the frame size changed meanwhile
                    opening.give_up()
        return self._other

    def use_steady(self, wanted: bool | None) -> None:
        """Average alpha over time, or stop; both engines are told."""
        above, below = self._asked
        self._asked = (replace(above, steady=wanted), replace(below, steady=wanted))
        for engine in (self._inner, self._other):
            if engine is not None:
                engine.use_steady(wanted)  # type: ignore[attr-defined]

    def matte(self, frame: Frame) -> Matte:
        size = (frame.width, frame.height)
        if size != self._size:
            self._size = size
            self._leave()  # what has been prepared is for the previous size
        return self._inner.matte(frame)

    def _leave(self) -> None:
        other, self._other = self._other, None
        if other is not None:
            close_failed(other)

    def close(self) -> None:
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.give_up()
        self._leave()
        self._inner.close()
