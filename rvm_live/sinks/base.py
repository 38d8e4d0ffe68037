"""The contract of a sink."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.frames import Composite

__all__ = ["PictureSink", "Shot", "Sink", "Surroundings"]


@dataclass(frozen=True, repr=False)
class Shot:
    """What is kept of a composite where its matte is not wanted: nothing that lies in a device's memory.

    Attributes:
        image: uint8 (H, W, 3) BGR or (H, W, 4) BGRA with straight alpha.
        seq: number of the frame.
        captured_ns: monotonic time of the grab.
        media_ns: position in the file it came from, or None for a live source.
        duration_ns: how long it is to be seen, where the file tells it.
        outputs: the other pictures that were made of the matte, by name, as in
            :class:`~rvm_live.core.frames.Composite`.
        nobody: it was made while nobody is to be seen, and holds no camera pixel.
    """

    image: NDArray[np.uint8]
    seq: int
    captured_ns: int
    media_ns: int | None
    duration_ns: int | None = None
    outputs: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    nobody: bool = False

    @classmethod
    def of(cls, composite: Composite) -> Shot:
        frame = composite.frame
        times = composite.stamps.captured_ns, frame.media_ns, frame.duration_ns
        return cls(composite.image, composite.seq, *times, composite.outputs, composite.nobody)


def _plain(width: int, height: int) -> NDArray[np.uint8]:
    return np.zeros((height, width, 3), np.uint8)


def _unheard(text: str) -> None:
    """Where nobody listens."""


@dataclass(frozen=True)
class Surroundings:
    """What a sink may know of the run that it is part of; all of it may be called on any thread.

    Attributes:
        background: (width, height) -> uint8 (height, width, 3) BGR, the background alone, as it is at the moment.
        private: whether nobody is to be seen now.
        told: takes a line about something that runs otherwise than asked; it may be told again.
        news: takes a line about what is better again.
    """

    background: Callable[[int, int], NDArray[np.uint8]] = field(default=_plain)
    private: Callable[[], bool] = field(default=lambda: False)
    told: Callable[[str], None] = field(default=_unheard)
    news: Callable[[str], None] = field(default=_unheard)


class Sink(ABC):
    """Takes composites, beside other sinks and knowing none of them.

    Who calls what: all of it is called on one thread: ``open`` once, then ``write`` for every composite in order and
    ``idle`` while none comes, ``close`` exactly once after ``open`` was called, even if it failed. In live video a sink
    gets the newest composite there is when it has time for one.

    Class attributes:
        name: how it is told, and its thread named; empty: as the class.
        runs_on: ``own``: a thread of its own, so that it may block; a sink that fails or hangs there ends alone in live
            video, where another goes on. ``run``: the thread that runs the pipeline, which waits for it. ``main``: the
            same, and that must be the program's main thread, as windows need it.
        aside: it is no output: no run goes on for its sake alone.
        fps: pictures a second that it takes at most in live video; None: all that come.
        patience_s: how long it may be at one picture, or at closing, before it is given up.
    """

    name: str = ""
    runs_on: str = "own"
    aside: bool = False
    fps: float | None = None
    patience_s: float = 10.0

    @property
    def watched(self) -> bool | None:
        """Whether anybody sees what it is given; None where that is not known. For any thread."""
        return None

    def meet(self, around: Surroundings) -> None:  # noqa: B027 - optional hook
        """Called once before ``open``, where the run has something to tell."""

    @abstractmethod
    def open(self) -> None:
        """Get ready.

        Raises:
            SinkError: it cannot be opened; the message says why.
        """

    @abstractmethod
    def write(self, composite: Composite) -> None:
        """Show or store one composite.

        Raises:
            SinkError: it cannot be shown or stored.
        """

    def idle(self) -> None:  # noqa: B027 - optional hook
        """Called at least every 20 ms while no composite comes: pump events, redraw."""

    def clear(self) -> None:  # noqa: B027 - optional hook
        """The last picture has stood for too long (:mod:`rvm_live.sinks.stale_timeout`): nobody may freeze in what is
        seen. Show the background alone until the next one comes."""

    @abstractmethod
    def close(self, *, failed: bool) -> None:
        """Finish.

        Args:
            failed: an error ended the run. What was stored so far is still finished properly.
        """


class PictureSink(Sink):
    """Takes pictures alone, in host memory: for files, streams and virtual cameras, which may be slow to take them."""

    def write(self, composite: Composite) -> None:
        self.write_picture(Shot.of(composite))

    @abstractmethod
    def write_picture(self, shot: Shot) -> None:
        """As ``write``."""
