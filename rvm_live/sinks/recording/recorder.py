"""The sink that records: a queue and a thread in front of a writer, so that the window never waits for the disk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import QueueClosed, SinkError
from rvm_live.core.queues import FrameQueue, Overflow
from rvm_live.core.worker import Worker
from rvm_live.sinks.base import PictureSink, Shot
from rvm_live.sinks.recording.writers import Writer

if TYPE_CHECKING:
    from rvm_live.sinks.recording.listening import Listener

__all__ = ["Recorder"]

_log = logging.getLogger("rvm_live.recorder")

_LIVE_SIZE = 16
"""Pictures that may wait while the encoder is slow: a quarter of a second at 60 fps, 44 MB at 1280x720."""
_FILE_SIZE = 4
_DRAIN_SECONDS = 1.5
_CLOSE_SECONDS = 60.0
_IDLE_SECONDS = 0.25


class Recorder(PictureSink):
    """Passes composites to a writer on its own thread, ``rvm-recording``.

    An error of the writer is raised once, as :class:`~rvm_live.core.errors.SinkError`, by the next ``write``, or by
    ``close``; or it is reported, if the run is to continue without the recording. The part recorded until then is kept
    if it can be, under another name. Any other end of the run keeps everything.

    Nobody freezes in a recording either: from :meth:`clear` on, only the background is recorded.

    Args:
        writer: where pictures go; used on the recorder's thread alone.
        policy: ``DROP_OLDEST`` counts what the encoder cannot keep up with in ``queue.dropped``; ``BLOCK`` waits.
        background: (width, height) -> uint8 (height, width, 3) BGR, the background alone; None: black.
        on_failure: told of an error instead of raising it.
        listener: the microphone whose sound the writer takes, open while this is, or None.
        clock: monotonic time.

    Attributes:
        path: where the recording will be.
        failure: why it failed, one line; empty if it did not.
    """

    name = "recorder"
    patience_s = 1.5 * _CLOSE_SECONDS

    def __init__(
        self,
        writer: Writer,
        *,
        policy: Overflow,
        background: Callable[[int, int], NDArray[np.uint8]] | None = None,
        on_failure: Callable[[str], None] | None = None,
        listener: Listener | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        live = policy is Overflow.DROP_OLDEST
        size = _LIVE_SIZE if live else _FILE_SIZE
        self._worker: Worker[Shot] = Worker("recording", self._work, maxsize=size, policy=policy)
        self.path: Path = writer.path
        self.failure = ""
        self._writer = writer
        self._background = background
        self._on_failure = on_failure
        self._listener = listener
        self._clock = clock
        self._clears = live and writer.timed
        self._last: Shot | None = None
        self._last_ns = 0
        self._late: SinkError | None = None
        self._kept: Path | None = None
        self._told = False
        self._saved = False

    @property
    def queue(self) -> FrameQueue[Shot]:
        """Pictures waiting for the encoder; named ``recording``."""
        return self._worker.queue

    @property
    def saved(self) -> Path | None:
        """Path of the recording, once closed; None if there is none."""
        return self.path if self._saved else self._kept

    @property
    def size(self) -> int:
        """Bytes on the disk so far; 0 if unknown."""
        return self._writer.size

    @property
    def sound(self) -> str:
        """State of the microphone: ``on``, ``muted``, ``lost`` or ``opening``; empty without one."""
        return "" if self._listener is None else self._listener.state

    def open(self, *, patient: bool = True) -> None:
        """Get ready.

        Args:
            patient: wait for the microphone; else the picture starts at once, and any fault of it is reported.
        """
        self._writer.claim()
        if self._listener is not None:
            try:
                self._listener.open(patient=patient)
            except BaseException:
                self._writer.rescue()
                raise
        self._worker.start()

    def write_picture(self, shot: Shot) -> None:
        if self._clears:
            self._last, self._last_ns = shot, self._clock.now_ns()
        self._put(shot)

    def clear(self) -> None:
        if self._last is None:
            return
        last, gone_ns = self._last, self._clock.now_ns() - self._last_ns
        self._last = None
        media_ns = None if last.media_ns is None else last.media_ns + gone_ns
        self._put(Shot(self._empty(last.image), last.seq, last.captured_ns + gone_ns, media_ns))

    def close(self, *, failed: bool) -> None:
        self.queue.close()
        if not self._ended():
            self.queue.cancel()
            self._late = SinkError(f"the recording {self.path} could not be finished within {_CLOSE_SECONDS:g} s")
        if self._listener is not None:
            self._listener.close()
        self._report()
        if self._saved:
            _log.info("recorded %s", self.path)

    def _ended(self) -> bool:
        """Let the encoder finish the waiting pictures; in live video only for a few seconds, then the rest is
        dropped."""
        if self.queue.policy is Overflow.DROP_OLDEST and not self._worker.join(_DRAIN_SECONDS):
            for _ in range(self.queue.cancel()):
                self.queue.count_drop()
        return self._worker.join(_CLOSE_SECONDS)

    def _put(self, shot: Shot) -> None:
        try:
            self.queue.put(shot)
        except QueueClosed:
            self._report()
            if self._on_failure is None:
                raise SinkError(f"the recording {self.path} is closed") from None

    def _empty(self, like: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The background in the size and format of another picture."""
        height, width, channels = like.shape
        if channels == 4 or self._background is None:
            return np.zeros(like.shape, np.uint8)
        return self._background(width, height)

    def _report(self) -> None:
        """Raise or report the writer's error, once."""
        error = self._late or self._worker.error
        if error is None or self._told:
            return
        self._told = True
        text = str(error) if isinstance(error, SinkError) else f"cannot record {self.path}: {error}"
        if self._kept is not None:
            text += f"; the part recorded until then is {self._kept}"
        self.failure = text
        if self._on_failure is None:
            raise SinkError(text) from error
        self._on_failure(text)

    def _work(self) -> None:
        try:
            for shot in self._worker.items(self._writer.idle, _IDLE_SECONDS):
                self._writer.write(shot)
            self._saved = self._writer.finish()
        except BaseException:  # write or close raises or reports it
            self._kept = self._writer.rescue()
            raise
