"""An engine for live video that continues after failures: it tries again, opens the engine anew, or uses another device
or engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import EngineError, NoMemoryError, words_of
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, close_failed
from rvm_live.engines.delegating import DelegatingEngine
from rvm_live.engines.on_failure import Fallback, on_failure
from rvm_live.engines.opening import Opening

__all__ = ["FailoverEngine"]

_RETURN_NS = 30_000_000_000
_LOOK_EVERY = 60
_MOST_STEPS = 3
_FORGIVEN_NS = 60_000_000_000
_FLOATS_EVERY = 15
_LEAST_SIDE = 128
"""Least longer side at low resolution, pixels: a coarse matte at once is better than a good one too late."""


class FailoverEngine(DelegatingEngine):
    """Works like the engine it guards. If that fails, it tries:

    1. the same frame once more, with an empty state;
    2. the same engine opened anew;
    3. one step down: half the downsample ratio where memory ran out; the CPU instead of another device; with
       ``--engine auto`` then the embedded ``lite``.

    Each step is reported. Half a minute after a step down, and every half minute from then on, the engine that was
    asked for is opened beside the running one; when it works again it takes over, and this is reported, too. If nothing
    is left to try, or three steps within a minute did not help, the error is raised. A matte of the wrong size, or with
    values in it that are NaN or infinite, counts as a failure.

    Args:
        make: opens nothing yet: settings -> engine.
        settings: what was asked for.
        notices: told of every step.
        clock: paces the way back.

    Attributes:
        settings: the settings that were asked for and worked.
        renew: starts a new epoch; called on a thread of its own once another engine is open, which then makes the first
            matte of that epoch. None: it makes the next matte, whichever that is.
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
        self._returning: Opening | None = None
        self._asking = threading.RLock()
        self._wanted: EngineSettings | None = None
        self._changing: Opening | None = None
        self._steadier: EngineSettings | None = None
        self.renew: Callable[[], None] | None = None

    def use(self, settings: EngineSettings) -> None:
        """Use other settings, or another engine, as soon as it is open; the present one continues until then, and
        stays if the other cannot be opened, which is reported. May be called on any thread."""
        with self._asking:
            self._wanted = settings
            self._begin_change()

    @property
    def asked(self) -> EngineSettings:
        """The settings in use or being opened."""
        with self._asking:
            opening = self._changing.settings if self._changing else None
            return self._wanted or opening or self._steadier or self.settings

    @property
    def changing(self) -> bool:
        """Whether other settings are being opened."""
        return self.asked is not self.settings

    def prepare(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._inner.prepare(width, height)

    def reset(self) -> None:
        self._begins = True  # done at the next frame: there a device that has failed since then can be replaced

    def matte(self, frame: Frame) -> Matte:
        self._size = (frame.width, frame.height)
        self._change()
        self._take_back()
        try:
            return self._sound(frame)
        except Exception as error:
            # A bug in a user's engine, a driver error: whatever it is, the stream goes on if possible.
            return self._after(error, frame)

    def close(self) -> None:
        with self._asking:
            self._wanted = self._size = None
            openings = [*filter(None, (self._returning, self._changing))]
            self._returning = self._changing = None
        for opening in openings:
            opening.give_up()
        self._inner.close()

    def _sound(self, frame: Frame) -> Matte:
        """A usable matte.

        Raises:
            EngineError: it is not usable.
        """
        if self._begins:
            self._inner.reset()
            self._begins = False
        matte = self._inner.matte(frame)
        self._frames += 1
        matte.check()
        if not _finite(matte, self._frames):
            raise EngineError("alpha contains NaN or infinite values")
        if self._frames % _LOOK_EVERY == 0 and self._inner.info.device == "cpu":
            states = self._inner.states()
            if states is not None and not all(np.isfinite(each).all() for each in states):
                raise EngineError("the recurrent state contains NaN or infinite values")
        return matte

    def _after(self, error: Exception, frame: Frame) -> Matte:
        reason = words_of(error)
        try:
            self._inner.reset()
            matte = self._sound(frame)
            self._notices.fallback(f"matting failed once ({reason}): continued with an empty state")
            return matte
        except Exception as again:
            error, reason = again, words_of(again)
        for settings, words in self._lower(error):
            engine = self._make(settings)
            if isinstance(error, NoMemoryError):
                self._put_in_place(engine)  # frees the memory of the failed engine, which the next one needs
            try:
                engine.open()
                engine.prepare(frame.width, frame.height)
                self._put_in_place(engine)
                matte = self._sound(frame)
            except Exception as failed:  # then try the next step
                reason = words_of(failed)
                if self._inner is not engine:
                    close_failed(engine)
                continue
            self._steps, self._step_ns = self._steps + 1, self._clock.now_ns()
            if settings is not self.settings:
                self._down_ns = self._clock.now_ns()
            self._notices.fallback(f"matting failed ({reason}): continuing {words}")
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

    def _begin_change(self) -> None:
        """Open what :meth:`use` asked for beside the present engine, one at a time."""
        with self._asking:
            if self._changing is not None or self._wanted is None or self._size is None:
                return
            wanted, self._wanted = self._wanted, None
            if wanted == self.settings and not self._down_ns:
                return
            if replace(wanted, steady=self.settings.steady) == self.settings and hasattr(self._inner, "use_steady"):
                self._steadier = wanted
                if self.renew is not None:
                    self.renew()
                return
            self._changing = Opening(self._make, wanted, self._size, self._opened)
            self._changing.start()

    def _opened(self, opening: Opening) -> None:
        """On the opening's thread: a failure is reported at once; an engine that works begins with the next epoch."""
        if opening.engine is not None:
            if self.renew is not None:
                self.renew()
            return
        self._notices.again(f"the engine was not changed ({opening.reason}): continuing as before")
        with self._asking:
            if self._changing is opening:
                self._changing = None
                self._begin_change()

    def _change(self) -> None:
        """Switch to what :meth:`use` asked for, between two frames."""
        with self._asking:
            self._begin_change()
            steadier, self._steadier = self._steadier, None
            if steadier is not None:
                self.settings = steadier
                self._inner.use_steady(steadier.steady)  # type: ignore[attr-defined]
            opening = self._changing
            if opening is None or not opening.done or (self.renew is not None and not self._begins):
                return
            engine = opening.take()
            if engine is None:
                return  # opening failed, and its thread is about to report it
            self._changing = None
            if self._wanted is not None or opening.size != self._size:
                # A newer engine is wanted, or the frame size has changed.
                self._wanted = self._wanted or opening.settings
                close_failed(engine)
                self._begin_change()
                return
            self.settings = opening.settings
        self._put_in_place(engine)
        self._steps = self._down_ns = 0

    def _take_back(self) -> None:
        """Bring back the engine that was asked for, once it works again."""
        if not self._down_ns or self._size is None:
            return
        if self._returning is None:
            if self._clock.now_ns() - self._down_ns >= _RETURN_NS:
                self._returning = Opening(self._make, self.settings, self._size).start()
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


def _finite(matte: Matte, frames: int) -> bool:
    if matte.deferred is not None:
        return matte.deferred.finite
    alpha = matte.alpha
    if isinstance(alpha, np.ndarray):
        return alpha.dtype == np.uint8 or bool(np.isfinite(alpha).all())
    if not alpha.is_floating_point() or (alpha.device.type != "cpu" and frames % _FLOATS_EVERY):
        return True
    import torch

    return bool(torch.isfinite(alpha).all())
