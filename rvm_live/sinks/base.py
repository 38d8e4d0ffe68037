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
    """A composite without its matte, and so without anything in a device's memory.

    Attributes:
        image: uint8 (H, W, 3) BGR or (H, W, 4) BGRA with straight alpha.
        seq: number of the frame.
        captured_ns: monotonic time of the grab.
        media_ns: position in the file it came from, or None for a live source.
        duration_ns: how long it is shown, if the file says so.
        outputs: the other pictures that were made of the matte, by name, as in
            :class:`~rvm_live.core.frames.Composite`.
        nobody: it was made while nobody may be seen, and contains no camera pixel.
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
    """Ignores a message."""


@dataclass(frozen=True)
class Surroundings:
    """What a sink may know about its run; may be used on any thread.

    Attributes:
        background: (width, height) -> uint8 (height, width, 3) BGR, the present background without a person.
        private: whether nobody may be seen now.
        told: reports, in one line, something that runs differently from what was asked; may be repeated.
        news: reports, in one line, that something works again.
    """

    background: Callable[[int, int], NDArray[np.uint8]] = field(default=_plain)
    private: Callable[[], bool] = field(default=lambda: False)
    told: Callable[[str], None] = field(default=_unheard)
    news: Callable[[str], None] = field(default=_unheard)


class Sink(ABC):
    """Takes composites, independent of other sinks.

    Who calls what: all of it is called on one thread: ``open`` once, then ``write`` for every composite in order and
    ``idle`` while none comes, ``close`` exactly once after ``open`` was called, even if it failed. In live video a sink
    gets the newest composite when it is ready for one.

    Class attributes:
        name: its name in messages and of its thread; empty: the class's name.
        runs_on: ``own``: its own thread, so that it may block; a sink that fails or hangs there ends alone in live
            video, if another continues. ``run``: the thread that runs the pipeline, which waits for it. ``main``: the
            same, and that must be the program's main thread, as windows need it.
        aside: it is not an output: no run continues only because of it.
        fps: most pictures per second in live video; None: no limit.
        patience_s: seconds that one picture, or closing, may take before the sink is given up.
    """

    name: str = ""
    runs_on: str = "own"
    aside: bool = False
    fps: float | None = None
    patience_s: float = 10.0

    @property
    def watched(self) -> bool | None:
        """Whether anybody sees its pictures; None if unknown. For any thread."""
        return None

    def meet(self, around: Surroundings) -> None:  # noqa: B027 - optional hook
        """Called once before ``open`` with facts about the run."""

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
        """The last picture has been shown for too long (:mod:`rvm_live.sinks.stale_timeout`): no person may stay frozen
        on the screen. Show only the background until the next one comes."""

    @abstractmethod
    def close(self, *, failed: bool) -> None:
        """Finish.

        Args:
            failed: an error ended the run. What was stored so far is still finished properly.
        """


class PictureSink(Sink):
    """Takes only pictures in host memory: for files, streams and virtual cameras, which may be slow."""

    def write(self, composite: Composite) -> None:
        self.write_picture(Shot.of(composite))

    @abstractmethod
    def write_picture(self, shot: Shot) -> None:
        """As ``write``."""
