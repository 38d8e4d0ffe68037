"""An engine that does with less where the device's memory runs out: fewer frames at once, a smaller ratio, the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rvm_live.core.errors import NoMemoryError, RvmLiveError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo, States, close_failed
from rvm_live.engines.delegating import DelegatingEngine

__all__ = ["OutOfMemoryFallback"]

_AS_THEY_COME = 64
_LEAST_SIDE = 256
"""Of the longer side at low resolution: below that mattes are of no use."""


class OutOfMemoryFallback(DelegatingEngine):
    """Goes on after :class:`~rvm_live.core.errors.NoMemoryError`, with the same recurrent state, and says how.

    First the chunk is halved, down to single frames; then the downsample ratio, as long as the network's picture keeps
    256 pixels; then the CPU does the work, at the ratio that was asked for.

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
        self._on_cpu = False

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
                self._chunk = 1  # getting ready takes one frame alone
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
        """Take the next step down, or raise the error where there is none."""
        if self._chunk > 1:
            self._chunk = min(self._chunk, self._largest) // 2 or 1
            self._notices.fallback(f"{error}: going on with {self._chunk} frames at once")
            return
        settings = self._smaller()
        if settings is None:
            raise error
        where = "on the CPU" if self._on_cpu else f"at ratio {settings.downsample_ratio:g}"
        self._notices.fallback(f"{error}: going on {where}")
        close_failed(self._inner)
        self._inner = self._make(settings)
        try:
            self._inner.open()
            if self._size is not None:
                self._inner.prepare(*self._size)
            if states is not None:
                self._inner.restore(states)
        except NoMemoryError as another:
            self._do_with_less(another, states)
        except RvmLiveError:
            if self._on_cpu:
                raise error from None
            raise

    def _smaller(self) -> EngineSettings | None:
        """What to try next."""
        if self._on_cpu:
            return None
        ratio = self._inner.info.downsample_ratio or self._inner.settings.downsample_ratio or 0.0
        if self._size is not None and max(self._size) * ratio / 2 >= _LEAST_SIDE:
            return replace(self._inner.settings, downsample_ratio=ratio / 2)
        if self._inner.info.device == "cpu":
            return None
        self._on_cpu = True
        precision = "auto" if self._asked.precision == "fp16" else self._asked.precision
        return replace(self._asked, device="cpu", precision=precision)
