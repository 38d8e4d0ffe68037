"""The page as an output: it gets pictures, and ignores them while nobody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.sinks.base import PictureSink, Shot
from rvm_live.sinks.web.address import Address
from rvm_live.sinks.web.feed import KINDS, Picture
from rvm_live.sinks.web.keys import Keys
from rvm_live.sinks.web.program import WebProgram
from rvm_live.sinks.web.server import Server

__all__ = ["OUTPUT", "WebSink"]

OUTPUT = "web cut-out"
"""Name of the composer's output that holds the person alone, uint8 (H, W, 4) BGRA, while :attr:`WebSink.wants_cut_out`.
"""
_AGAIN_NS = 200_000_000


class WebSink(PictureSink):
    """Serves the page, ``/obs``, the streams and the HTTP API.

    Before the first picture, and when none comes for half a second, only the background is served.

    Args:
        address: address to listen on.
        program: the program that is shown and controlled.
        background: (width, height) -> uint8 (height, width, 3) BGR, the background alone.
        size: of it, as long as no picture has come.
        origins: addresses under which a proxy serves the page.
        opened: called, once it is served, with the addresses of the page and of the source for OBS, with their tokens.
        clock: monotonic time.
    """

    name = "web"

    def __init__(
        self,
        address: Address,
        program: WebProgram,
        background: Callable[[int, int], NDArray[np.uint8]],
        *,
        size: tuple[int, int] = (1280, 720),
        origins: Iterable[str] = (),
        opened: Callable[[str, str], None] = lambda page, source: None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._keys = Keys()
        self._server = Server(address, program, self._keys, origins, clock)
        self._background, self._size, self._clock = background, size, clock
        self._opened = opened
        self._stands_in = True
        self._drawn_ns = 0

    @property
    def page(self) -> str:
        """The address of the page, with the token in it; once it is open."""
        return f"{self._server.address.url}/#{self._keys.steer}"

    @property
    def source(self) -> str:
        """The address for OBS, with the view token."""
        return f"{self._server.address.url}/obs#{self._keys.view}"

    @property
    def watched(self) -> bool:
        """Whether there is a viewer."""
        return any(map(self._server.wants, KINDS))

    @property
    def wants_cut_out(self) -> bool:
        """Whether a viewer needs the cut-out; for any thread."""
        return self._server.wants("matte") or self._server.wants("cutout")

    def open(self) -> None:
        self._server.start()
        self._opened(self.page, self.source)

    def write_picture(self, shot: Shot) -> None:
        self._stands_in = False
        height, width = shot.image.shape[:2]
        self._size = width, height
        if self._server.wants("result"):
            self._server.offer("result", Picture(shot.image, shot.captured_ns))
        cut = shot.outputs.get(OUTPUT)
        if cut is not None:
            for kind in ("matte", "cutout"):
                self._server.offer(kind, Picture(cut, shot.captured_ns))

    def idle(self) -> None:
        if self._stands_in and self._clock.now_ns() - self._drawn_ns > _AGAIN_NS:
            self._show_background()

    def clear(self) -> None:
        self._stands_in = True
        self._show_background()

    def close(self, *, failed: bool) -> None:
        self._server.stop()

    def _show_background(self) -> None:
        self._drawn_ns = self._clock.now_ns()
        width, height = self._size
        for kind in KINDS:
            if self._server.wants(kind):
                image = self._background(width, height) if kind == "result" else _nobody(width, height)
                self._server.offer(kind, Picture(image, self._drawn_ns, stands_in=True))


@lru_cache(maxsize=1)
def _nobody(width: int, height: int) -> NDArray[np.uint8]:
    """The same array each time, so that it is sent once."""
    return np.zeros((height, width, 4), np.uint8)
