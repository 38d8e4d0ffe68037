"""An engine that uses less memory when the device runs out of it: fewer frames at once, a smaller ratio, the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rvm_live.core.errors import NoMemoryError, RvmLiveError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo, States
from rvm_live.engines.delegating import DelegatingEngine
from rvm_live.engines.on_failure import on_failure

__all__ = ["OutOfMemoryFallback"]

_AS_THEY_COME = 64
_LEAST_SIDE = 256
"""Least longer side at low resolution, pixels: below that mattes are useless."""


class OutOfMemoryFallback(DelegatingEngine):
    """Continues after :class:`~rvm_live.core.errors.NoMemoryError` with the same recurrent state, and reports how.

    First the chunk is halved, down to single frames; then the downsample ratio, as long as the network's picture keeps
    256 pixels; then the CPU does the work, at the ratio that was asked for, or, where main memory does not suffice
    either, at half of it.

    Args:
        make: opens nothing yet: settings -> engine.
        settings: what was asked for.
        chunk: frames at once; None: as many as come where the engine gains by that, else one by one.
        notices: told of every step.
    """

    def __init__(
        self, make: Callable[[EngineSettings], Engine], settings: EngineSettings, chunk: int | None, notices: Notices
    ) -> None:
        super().__init__(make(settings))
        self._make, self._asked, self._notices = make, settings, notices
        self._wanted = chunk
        self._chunk = 1
        self._size: tuple[int, int] | None = None
        self._largest = 1

    def open(self) -> EngineInfo:
        try:
            self._inner.open()
        except NoMemoryError as error:
            self._do_with_less(error, None)
        self._chunk = self._wanted or (_AS_THEY_COME if self._inner.chunked else 1)
        return self._inner.info

    @property
    def chunk(self) -> int:
        """Most frames at once, now or at the end."""
        return self._chunk

    def prepare(self, width: int, height: int) -> None:
        self._size = (width, height)
        while True:
            try:
                self._inner.prepare(width, height)
                return
            except NoMemoryError as error:
                self._chunk = 1  # preparing takes only one frame
                self._do_with_less(error, None)

    def matte(self, frame: Frame) -> Matte:
        return self.matte_chunk((frame,))[0]

    def matte_chunk(self, frames: Sequence[Frame]) -> list[Matte]:
        mattes: list[Matte] = []
        self._size = (frames[0].width, frames[0].height)
        while len(mattes) < len(frames):
            part = frames[len(mattes) : len(mattes) + self._chunk]
            self._largest = len(part)
            try:
                mattes += self._inner.matte_chunk(part)
            except NoMemoryError as error:
                self._do_with_less(error, self._inner.states() if self._chunk == 1 else None)
        return mattes

    def _do_with_less(self, error: NoMemoryError, states: States | None) -> None:
        """Take the next step down, or raise the error if there is none."""
        if self._chunk > 1:
            self._chunk = min(self._chunk, self._largest) // 2 or 1
            self._notices.fallback(f"{error}: continuing with {self._chunk} frames at once")
            return
        found = on_failure(error, self._asked, self._inner, self._size, least_side=_LEAST_SIDE)
        if not found:
            raise error
        settings, words = found[0]
        moved = settings.device != self._inner.settings.device
        self._notices.fallback(f"{error}: continuing {words}")
        self._put_in_place(self._make(settings))
        try:
            self._inner.open()
            if self._size is not None:
                self._inner.prepare(*self._size)
            if states is not None:
                self._inner.restore(states)
        except NoMemoryError as another:
            self._do_with_less(another, states)
        except RvmLiveError:
            if moved:
                raise error from None
            raise
