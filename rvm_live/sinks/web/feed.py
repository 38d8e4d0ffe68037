"""The newest picture of each kind, encoded once when a viewer asks for it.

Everything here but :attr:`Feed.wanted` belongs to the server's event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.sinks.web.encoding import carried_outward, jpeg, mask_png, reduced

__all__ = ["KINDS", "Coded", "Feed", "Picture"]


@dataclass(frozen=True, repr=False)
class Picture:
    """One picture of one kind.

    Attributes:
        image: uint8 (H, W, 3) BGR, (H, W, 4) BGRA with straight alpha, or (H, W) grey.
        captured_ns: monotonic time of the grab.
        stands_in: it shows only the background, because there is no newer picture.
    """

    image: NDArray[np.uint8]
    captured_ns: int
    stands_in: bool = False


@dataclass(frozen=True, repr=False)
class Coded:
    """An encoded picture.

    Attributes:
        version: greater for every newer picture.
        picture: what it was made of.
        parts: the bytes of a mask, which may be none, and of a JPEG.
    """

    version: int
    picture: Picture
    parts: tuple[bytes, bytes]


def _result(image: NDArray[np.uint8]) -> tuple[bytes, bytes]:
    if image.shape[2] == 4:
        from rvm_live.sinks.window.views import plain  # imported only now: a headless run need not load it

        image = plain(image)
    return b"", jpeg(reduced(image))


def _matte(image: NDArray[np.uint8]) -> tuple[bytes, bytes]:
    return b"", jpeg(reduced(_alpha(image)))


def _cutout(image: NDArray[np.uint8]) -> tuple[bytes, bytes]:
    image = reduced(image)
    if image.shape[2] == 4:
        return mask_png(_alpha(image)), jpeg(carried_outward(image))
    return mask_png(np.full(image.shape[:2], 255, np.uint8)), jpeg(image)


def _alpha(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Alpha of a picture; zero if it has none, because then nobody is in it."""
    if image.ndim == 2:
        return image
    return cv2.extractChannel(image, 3) if image.shape[2] == 4 else np.zeros(image.shape[:2], np.uint8)


KINDS: Mapping[str, Callable[[NDArray[np.uint8]], tuple[bytes, bytes]]] = {
    "result": _result,
    "matte": _matte,
    "cutout": _cutout,
}
"""Name of each kind -> its encoder: the result, alpha as grey, the person alone."""


class Feed:
    """Pictures of one kind, for any number of viewers.

    Args:
        kind: one of :data:`KINDS`.
        pool: where they are encoded.

    Attributes:
        wanted: number of viewers; may be read on any thread.
        encoded: number of pictures encoded so far.
    """

    def __init__(self, kind: str, pool: Executor) -> None:
        self.wanted = 0
        self.encoded = 0
        self._encode, self._pool = KINDS[kind], pool
        self._version = 0
        self._picture: Picture | None = None
        self._coded: tuple[int, asyncio.Future[tuple[bytes, bytes]]] | None = None
        self._news = asyncio.Event()

    @contextmanager
    def looked_at(self) -> Iterator[None]:
        """Use while a viewer is connected; old pictures are dropped when the last one leaves."""
        self.wanted += 1
        try:
            yield
        finally:
            self.wanted -= 1
            if not self.wanted:
                self._picture = self._coded = None

    def offer(self, picture: Picture) -> None:
        """A newer picture came."""
        if not self.wanted or (self._picture is not None and picture.image is self._picture.image):
            return
        self._version += 1
        self._picture = picture
        self._news.set()
        self._news = asyncio.Event()

    async def newest(self) -> Picture:
        """The newest picture that came from a source, as soon as there is one."""
        while self._picture is None or self._picture.stands_in:
            await self._news.wait()
        return self._picture

    async def take(self, after: int = 0) -> Coded:
        """The newest picture that is newer than ``after``, as soon as there is one."""
        while self._picture is None or self._version <= after:
            await self._news.wait()
        version, picture = self._version, self._picture
        if self._coded is None or self._coded[0] != version:
            work = asyncio.get_running_loop().run_in_executor(self._pool, self._encode, picture.image)
            self._coded = version, work
            self.encoded += 1
        return Coded(version, picture, await asyncio.shield(self._coded[1]))
