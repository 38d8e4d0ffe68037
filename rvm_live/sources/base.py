"""The contract of a source of frames."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Grab", "Source", "SourceInfo", "without_credentials"]

_CREDENTIALS = re.compile(r"(?<=://)[^/]*@")


def without_credentials(url: str) -> str:
    """A URL without user name and password, which are for the server and not for logs and screenshots."""
    return _CREDENTIALS.sub("", url)


@dataclass(frozen=True)
class SourceInfo:
    """What a source really delivers, read back after opening (not what was asked for).

    Attributes:
        label: one line for people, e.g. ``camera 0 (HD Webcam)`` or ``file clip.mp4``.
        kind: ``camera``, ``video``, ``url``, ``image``, ``demo``, or a plug-in's own word.
        width: pixels.
        height: pixels.
        fps: nominal frames per second, 0.0 if unknown.
        live: frames arrive at their own pace and cannot be asked for again.
        frame_count: number of frames, None if unknown or endless.
        notes: lines for the log, such as why other sources were passed over.
        identity: its name independent of where it is plugged in (:attr:`rvm_live.sources.camera.camera.Camera.id`), or
            the closest to that.
    """

    label: str
    kind: str
    width: int
    height: int
    fps: float
    live: bool
    frame_count: int | None = None
    notes: tuple[str, ...] = ()
    identity: str = ""


@dataclass(frozen=True, repr=False)
class Grab:
    """One picture as it came from the source.

    Attributes:
        image: uint8 (H, W, 3) BGR, C-contiguous, owned by the receiver (the source does not write to it again).
        captured_ns: ``time.perf_counter_ns()`` at the grab, taken before decoding and colour conversion.
        media_ns: position in the file, nanoseconds from its start, or None for a live source.
        restarted: it is the first one after the source was lost and opened again.
        duration_ns: how long it is shown, nanoseconds, if the file says so.
    """

    image: NDArray[np.uint8]
    captured_ns: int
    media_ns: int | None = None
    restarted: bool = False
    duration_ns: int | None = None


class Source(ABC):
    """Delivers frames, one at a time.

    Who calls what: construction happens on any thread and is cheap (it checks the settings, opens nothing).
    ``prepare`` is called by the thread that starts the run, before anything is shown.
    ``open`` and ``read`` are called by the capture thread alone and may block. ``release`` is called exactly once
    after ``open`` was called (even if it failed), from any thread, possibly while ``read`` blocks: it makes
    that ``read`` return or raise within two seconds and frees the device. After ``release``, ``read`` raises
    :class:`~rvm_live.core.errors.EndOfSource`.

    Attributes:
        trouble: why no frames come at the moment, one line; empty while they come.
        on_demand: frames are made or read when asked for, so that the reader may be held up without losing any
            (files, yes; cameras and streams, no). Known before ``open``.
    """

    trouble: str = ""
    on_demand: bool = False

    def go_on(self, before: Source) -> None:  # noqa: B027 - optional
        """Called before ``open`` if another source with the same settings was lost: its pictures are past."""

    def prepare(self, ended: Callable[[], bool] = lambda: False) -> None:  # noqa: B027 - optional
        """Get permissions that need the main thread; may wait for the user.

        Args:
            ended: returns true to end a wait.
        """

    @abstractmethod
    def open(self) -> SourceInfo:
        """Open the device or file.

        Raises:
            SourceUnavailableError: it cannot be opened or holds no picture; the message says why.
        """

    @abstractmethod
    def read(self) -> Grab:
        """Block until the next frame.

        A source that plays in real time paces itself here.

        Raises:
            EndOfSource: there are no more frames.
            SourceLostError: it stopped delivering.
        """

    @abstractmethod
    def release(self) -> None:
        """Free the device and unblock ``read``; safe from any thread."""
