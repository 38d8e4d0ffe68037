"""Small sources for tests: numbered frames, a failure, a read that hangs.

Frame n carries the number n in its pixels: sixteen squares of 8x8 pixels in the top-left corner, four rows of four,
lowest bit first, white for one and black for zero. Squares of that size survive JPEG, video codecs and swapped
channels, and :func:`read_number` averages over the middle of each.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import EndOfSource, SourceLostError
from rvm_live.sources.base import Grab, Source, SourceInfo

__all__ = ["FailingSource", "PatternSource", "StuckSource", "draw_number", "numbered", "read_number", "reading"]

BLOCK = 8
SIDE = 4
BITS = SIDE * SIDE
MIN_SIZE = BLOCK * SIDE


def draw_number(image: NDArray[np.uint8], number: int) -> None:
    """Write ``number`` (modulo 65536) into the top-left 32x32 pixels of ``image``, in place."""
    for bit in range(BITS):
        row, column = divmod(bit, SIDE)
        value = 255 if number >> bit & 1 else 0
        image[row * BLOCK : (row + 1) * BLOCK, column * BLOCK : (column + 1) * BLOCK] = value


def read_number(image: NDArray[np.uint8]) -> int:
    """The number in ``image``, (H, W), (H, W, 3) or (H, W, 4), drawn by :func:`draw_number`."""
    corner = image[:MIN_SIZE, :MIN_SIZE]
    if corner.ndim == 3:
        corner = corner[..., :3].mean(axis=2)
    number = 0
    for bit in range(BITS):
        row, column = divmod(bit, SIDE)
        middle = corner[row * BLOCK + 2 : (row + 1) * BLOCK - 2, column * BLOCK + 2 : (column + 1) * BLOCK - 2]
        number |= int(middle.mean() > 127) << bit
    return number


def numbered(width: int, height: int, number: int) -> NDArray[np.uint8]:
    """A new uint8 (H, W, 3) BGR gradient that carries ``number``."""
    image = np.empty((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(40, 200, width, dtype=np.uint8)
    image[..., 1] = np.linspace(40, 200, height, dtype=np.uint8)[:, None]
    image[..., 2] = 40 + number * 7 % 160
    draw_number(image, number)
    return image


class PatternSource(Source):
    """Frames 0, 1, 2, ... that carry their number in their pixels.

    Args:
        width: at least 32 pixels.
        height: at least 32 pixels.
        frames: deliver this many, then end; None: endless.
        fps: paced at this rate by ``clock``; None: as fast as it is read.
        live: like a camera (no ``media_ns``); by default live unless ``frames`` is given.
        clock: the monotonic clock.

    Attributes:
        opened: whether ``open`` was called.
        releases: how often ``release`` was called.
        delivered: number of frames handed out.
        read_threads: names of the threads that called ``read``.
    """

    def __init__(
        self,
        width: int = 64,
        height: int = 48,
        frames: int | None = None,
        fps: float | None = None,
        live: bool | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if width < MIN_SIZE or height < MIN_SIZE:
            raise ValueError(f"a numbered frame is at least {MIN_SIZE}x{MIN_SIZE}, got {width}x{height}")
        self.width = width
        self.height = height
        self.frames = frames
        self.fps = fps
        self.live = frames is None if live is None else live
        self.clock = clock
        self.opened = False
        self.releases = 0
        self.delivered = 0
        self.read_threads: set[str] = set()
        self._due_ns: int | None = None
        self._released = threading.Event()
        self._base = numbered(width, height, 0)

    def open(self) -> SourceInfo:
        self.opened = True
        return SourceInfo(
            label=f"pattern {self.width}x{self.height}",
            kind="pattern",
            width=self.width,
            height=self.height,
            fps=self.fps or 0.0,
            live=self.live,
            frame_count=self.frames,
        )

    def read(self) -> Grab:
        self.read_threads.add(threading.current_thread().name)
        number = self.delivered
        self._pace()
        if self._released.is_set() or (self.frames is not None and number >= self.frames):
            raise EndOfSource
        captured_ns = self.clock.now_ns()
        image = self._base.copy()
        image[..., 2] = 40 + number * 7 % 160
        draw_number(image, number)
        self.delivered += 1
        media_ns = None if self.live else round(number * 1e9 / (self.fps or 30.0))
        return Grab(image, captured_ns, media_ns)

    def release(self) -> None:
        self.releases += 1
        self._released.set()

    def _pace(self) -> None:
        if self.fps is None:
            return
        if self._due_ns is None:
            self._due_ns = self.clock.now_ns()
            return
        self._due_ns += round(1e9 / self.fps)
        while not self._released.is_set():
            left = (self._due_ns - self.clock.now_ns()) / 1e9
            if left <= 0:
                return
            self.clock.sleep(min(left, 0.05))


class FailingSource(PatternSource):
    """Numbered frames, then an error.

    Args:
        after: deliver this many frames first.
        error: what ``read`` raises then.
        open_error: what ``open`` raises, or None.
        options: as for :class:`PatternSource`.
    """

    def __init__(
        self,
        width: int = 64,
        height: int = 48,
        after: int = 0,
        error: Exception | None = None,
        open_error: Exception | None = None,
        **options: object,
    ) -> None:
        super().__init__(width, height, **options)  # type: ignore[arg-type]
        self.after = after
        self.error = error or SourceLostError("the test source failed on purpose")
        self.open_error = open_error

    def open(self) -> SourceInfo:
        info = super().open()
        if self.open_error is not None:
            raise self.open_error
        return info

    def read(self) -> Grab:
        if self.delivered >= self.after and not self._released.is_set():
            raise self.error
        return super().read()


class StuckSource(PatternSource):
    """Numbered frames, then a ``read`` that blocks until ``release``.

    Args:
        after: deliver this many frames first.
        options: as for :class:`PatternSource`.

    Attributes:
        stuck: set while ``read`` blocks (and from then on).
    """

    def __init__(self, width: int = 64, height: int = 48, after: int = 0, **options: object) -> None:
        super().__init__(width, height, **options)  # type: ignore[arg-type]
        self.after = after
        self.stuck = threading.Event()

    def read(self) -> Grab:
        if self.delivered >= self.after:
            self.stuck.set()
            self._released.wait()
            raise EndOfSource
        return super().read()


def reading(source: Source, *, opens: bool = False) -> tuple[threading.Thread, list[BaseException]]:
    """A thread that opens a source if wanted and reads it to its end, and the exception that ended it."""
    ended: list[BaseException] = []

    def reads() -> None:
        try:
            if opens:
                source.open()
            while True:
                source.read()
        except Exception as error:
            ended.append(error)

    reader = threading.Thread(target=reads, name="rvm-test-reader")
    reader.start()
    return reader, ended
