"""The sink that records: a queue and a thread in front of a writer, so that the window never waits for the disk."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from rvm_live.errors import QueueClosed, SinkError
from rvm_live.frames import Composite
from rvm_live.queues import FrameQueue, Overflow
from rvm_live.sinks.base import Sink
from rvm_live.sinks.writers import Shot, Writer

__all__ = ["Recorder"]

_log = logging.getLogger("rvm_live.recorder")

_LIVE_SIZE = 16
"""Pictures that may wait while the encoder is slow: a quarter of a second at 60 fps, 44 MB at 1280x720."""
_FILE_SIZE = 4
_CLOSE_SECONDS = 60.0


class Recorder(Sink):
    """Hands composites to a writer on its own thread, ``rvm-recording``.

    An error of the writer is raised once, as :class:`~rvm_live.errors.SinkError`, by the next ``write``, or by
    ``close``; nothing half-written is left then. Any other end keeps what was recorded.

    Args:
        writer: where pictures go; used on the recorder's thread alone.
        policy: ``DROP_OLDEST`` counts what the encoder cannot keep up with in ``queue.dropped``; ``BLOCK`` waits.

    Attributes:
        queue: named ``recording``.
        path: where the recording will be.
    """

    def __init__(self, writer: Writer, *, policy: Overflow) -> None:
        size = _LIVE_SIZE if policy is Overflow.DROP_OLDEST else _FILE_SIZE
        self.queue: FrameQueue[Shot] = FrameQueue("recording", size, policy)
        self.path: Path = writer.path
        self._writer = writer
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._told = False
        self._saved = False

    @property
    def saved(self) -> Path | None:
        """The path of what was recorded, once closed; None if there is nothing."""
        return self.path if self._saved else None

    def open(self) -> None:
        self._thread = threading.Thread(target=self._run, name="rvm-recording", daemon=True)
        self._thread.start()

    def write(self, composite: Composite) -> None:
        try:
            self.queue.put(Shot.of(composite))
        except QueueClosed:
            self._raise()
            raise SinkError(f"the recording {self.path} is closed") from None

    def close(self, *, failed: bool) -> None:
        self.queue.close()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(_CLOSE_SECONDS)
            if thread.is_alive():
                self.queue.cancel()
                raise SinkError(f"the recording {self.path} could not be finished within {_CLOSE_SECONDS:g} s")
        self._raise()
        if self._saved:
            _log.info("recorded %s", self.path)

    def _raise(self) -> None:
        if self._error is None or self._told:
            return
        self._told = True
        if isinstance(self._error, SinkError):
            raise self._error
        raise SinkError(f"cannot record {self.path}: {self._error}") from self._error

    def _run(self) -> None:
        try:
            while True:
                try:
                    shot = self.queue.get()
                except QueueClosed:
                    break
                self._writer.write(shot)
            self._saved = self._writer.finish()
        except BaseException as error:  # raised again by write or close
            self._error = error
            self._writer.discard()
            self.queue.cancel(error)
