"""An engine for live video that goes on when matting fails: once more, anew, on another device, by another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rvm_live.core.beside import beside
from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import EngineError, NoMemoryError, words_of
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, close_failed
from rvm_live.engines.delegating import DelegatingEngine
from rvm_live.engines.on_failure import Fallback, on_failure

__all__ = ["FailoverEngine"]

_RETURN_NS = 30_000_000_000
_LOOK_EVERY = 60
_MOST_STEPS = 3
_FORGIVEN_NS = 60_000_000_000
_FLOATS_EVERY = 15
_LEAST_SIDE = 128
"""Of the longer side at low resolution: a coarse matte at once is better than a good one too late."""


class FailoverEngine(DelegatingEngine):
    """Works like the engine it guards. Where that fails:

    1. the same frame once more, with an empty state;
    2. the same engine opened anew;
    3. one step down: half the downsample ratio where memory ran out; the CPU instead of another device; with
       ``--engine auto`` then the embedded ``lite``.

    Each is told. Half a minute after a step down, and every half minute from then on, the engine that was asked for is
    opened beside the running one; when it works again it takes over, and that is told, too. Where nothing is left to
    try, or three steps within a minute did not help, the error is raised. A matte of the wrong size, or with numbers in
    it that are NaN or infinite, counts as a failure.

    Args:
        make: opens nothing yet: settings -> engine.
        settings: what was asked for.
        notices: told of every step.
        clock: paces the way back.
    """

    def __init__(
        self,
        make: Callable[[EngineSettings], Engine],
        settings: EngineSettings,
        notices: Notices,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(make(settings))
        self.settings = settings
        self._make, self._notices, self._clock = make, notices, clock
        self._size: tuple[int, int] | None = None
        self._frames = 0
        self._begins = False
        self._steps = 0
        self._step_ns = 0
        self._down_ns = 0
        self._returning: _Opening | None = None
        self._wanted: EngineSettings | None = None
        self._changing: tuple[EngineSettings, _Opening] | None = None

    def use(self, settings: EngineSettings) -> None:
        """Work with other settings, or another engine, as soon as it is open; the present one goes on until then, and
        stays where the other cannot be opened. Each is told. May be called on any thread."""
        self._wanted = settings

    def prepare(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._inner.prepare(width, height)

    def reset(self) -> None:
        self._begins = True  # carried out with the next frame: a device that has failed since is left for another there

    def matte(self, frame: Frame) -> Matte:
        self._size = (frame.width, frame.height)
        self._change()
        self._take_back()
        try:
            return self._sound(frame)
        except Exception as error:  # a bug in a user's engine, a driver: whatever it is, the stream goes on if it can
            return self._after(error, frame)

    def close(self) -> None:
        for opening in (self._returning, self._changing and self._changing[1]):
            if opening is not None:
                opening.give_up()
        self._returning = self._changing = None
        self._inner.close()

    def _sound(self, frame: Frame) -> Matte:
        """A matte that can be used.

        Raises:
            EngineError: it cannot.
        """
        if self._begins:
            self._inner.reset()
            self._begins = False
        matte = self._inner.matte(frame)
        self._frames += 1
        matte.check()
        if not _finite(matte.alpha, self._frames):
            raise EngineError("alpha holds NaN or infinite values")
        if self._frames % _LOOK_EVERY == 0 and self._inner.info.device == "cpu":
            states = self._inner.states()
            if states is not None and not all(np.isfinite(each).all() for each in states):
                raise EngineError("the recurrent state holds NaN or infinite values")
        return matte

    def _after(self, error: Exception, frame: Frame) -> Matte:
        reason = words_of(error)
        try:
            self._inner.reset()
            matte = self._sound(frame)
            self._notices.fallback(f"matting failed once ({reason}): went on with an empty state")
            return matte
        except Exception as again:
            error, reason = again, words_of(again)
        for settings, words in self._lower(error):
            engine = self._make(settings)
            if isinstance(error, NoMemoryError):
                self._put_in_place(engine)  # what it holds is what the next one needs
            try:
                engine.open()
                engine.prepare(frame.width, frame.height)
                self._put_in_place(engine)
                matte = self._sound(frame)
            except Exception as failed:  # the next step, then
                reason = words_of(failed)
                if self._inner is not engine:
                    close_failed(engine)
                continue
            self._steps, self._step_ns = self._steps + 1, self._clock.now_ns()
            if settings is not self.settings:
                self._down_ns = self._clock.now_ns()
            self._notices.fallback(f"matting failed ({reason}): going on {words}")
            return matte
        raise error

    def _lower(self, error: Exception) -> list[Fallback]:
        """What to try, best first."""
        if self._clock.now_ns() - self._step_ns > _FORGIVEN_NS:
            self._steps = 0
        same = self._inner.settings if self._down_ns else self.settings
        anew = same if self._steps < _MOST_STEPS else None
        return on_failure(
            error, self.settings, self._inner, self._size, least_side=_LEAST_SIDE, anew=anew, embedded=True
        )

    def _change(self) -> None:
        """Do what :meth:`use` asked for, between two frames."""
        if self._changing is None:
            wanted, self._wanted = self._wanted, None
            if wanted is not None and self._size is not None:
                self._changing = wanted, _Opening(self._make, wanted, self._size)
            return
        settings, opening = self._changing
        if not opening.done:
            return
        self._changing = None
        if opening.engine is None:
            self._notices.again(f"the engine was not changed ({opening.reason}): going on as before")
            return
        if opening.size != self._size:  # another source came in between
            close_failed(opening.engine)
            self._wanted = self._wanted or settings
            return
        self.settings = settings
        self._put_in_place(opening.engine)
        self._steps = self._down_ns = 0

    def _take_back(self) -> None:
        """Bring back the engine that was asked for, once it works again."""
        if not self._down_ns or self._size is None:
            return
        if self._returning is None:
            if self._clock.now_ns() - self._down_ns >= _RETURN_NS:
                self._returning = _Opening(self._make, self.settings, self._size)
            return
        if not self._returning.done:
            return
        engine, self._returning = self._returning.engine, None
        if engine is None:
            self._down_ns = self._clock.now_ns()
            return
        self._put_in_place(engine)
        self._down_ns = 0
        self._notices.news(f"matting is back on {engine.info.device} with {engine.info.engine}")


class _Opening:
    """Opens an engine on a thread of its own; :attr:`future` has it, or why it does not work."""

    def __init__(
        self, make: Callable[[EngineSettings], Engine], settings: EngineSettings, size: tuple[int, int]
    ) -> None:
        self.size = size
        self._make, self._settings = make, settings
        self.future = beside("returning", self._opened)

    @property
    def done(self) -> bool:
        return self.future.done()

    @property
    def engine(self) -> Engine | None:
        """What was opened, None where that failed; waits."""
        return None if self.future.exception() else self.future.result()

    @property
    def reason(self) -> str:
        """Why it does not work."""
        error = self.future.exception()
        return words_of(error) if error else ""

    def give_up(self) -> None:
        """Wait for the thread, and free what it opened."""
        engine = self.engine
        if engine is not None:
            close_failed(engine)

    def _opened(self) -> Engine:
        engine = self._make(self._settings)
        try:
            engine.open()
            engine.prepare(*self.size)
            black = np.zeros((self.size[1], self.size[0], 3), np.uint8)
            engine.matte(Frame(black, 0, 0, 0)).host()
            engine.reset()
        except Exception:  # it does not work, or not yet
            close_failed(engine)
            raise
        return engine


def _finite(alpha: Any, frames: int) -> bool:
    if isinstance(alpha, np.ndarray):
        return alpha.dtype == np.uint8 or bool(np.isfinite(alpha).all())
    if not alpha.is_floating_point() or (alpha.device.type != "cpu" and frames % _FLOATS_EVERY):
        return True
    import torch

    return bool(torch.isfinite(alpha).all())
