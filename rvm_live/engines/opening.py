"""Opens an engine while another one runs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

import numpy as np

from rvm_live.core.beside import beside
from rvm_live.core.errors import words_of
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, close_failed

__all__ = ["Opening"]


class Opening:
    """Opens an engine on a thread of its own, and has it matte one black picture.

    Args:
        make: opens nothing yet: settings -> engine.
        settings: what it is made with.
        size: width and height of the frames, pixels.
        ended: called when it is open or has failed, on that thread; if it had ended before, on the caller's.
    """

    future: Future[Engine]

    def __init__(
        self,
        make: Callable[[EngineSettings], Engine],
        settings: EngineSettings,
        size: tuple[int, int],
        ended: Callable[[Opening], None] = lambda opening: None,
    ) -> None:
        self.size, self.settings = size, settings
        self._make, self._ended = make, ended
        self._taken = False

    def start(self) -> Opening:
        """Begin."""
        self.future = beside("returning", self._opened)
        self.future.add_done_callback(lambda _: self._ended(self))
        return self

    @property
    def done(self) -> bool:
        """Whether it is open or has failed."""
        return self.future.done()

    @property
    def engine(self) -> Engine | None:
        """The opened engine, None if that failed; waits for it."""
        return None if self.future.exception() else self.future.result()

    @property
    def reason(self) -> str:
        """Why opening failed; waits for the result."""
        error = self.future.exception()
        return words_of(error) if error else ""

    def take(self) -> Engine | None:
        """As :attr:`engine`; the caller then closes it."""
        self._taken = True
        return self.engine

    def give_up(self) -> None:
        """Wait for the thread, and close the engine if it was not taken."""
        engine = self.engine
        if engine is not None and not self._taken:
            close_failed(engine)

    def _opened(self) -> Engine:
        engine = self._make(self.settings)
        try:
            engine.open()
            engine.prepare(*self.size)
            black = np.zeros((self.size[1], self.size[0], 3), np.uint8)
            engine.matte(Frame(black, 0, 0, 0)).host()
            engine.reset()
        except Exception:  # it does not work, at least not now
            close_failed(engine)
            raise
        return engine
