"""Recordings that start and end during the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import SettingsError, SinkError
from rvm_live.sinks.base import PictureSink, Shot
from rvm_live.sinks.recording.recorder import Recorder

__all__ = ["RecordingSwitch"]

_LOOK_NS = 500_000_000


class RecordingSwitch(PictureSink):
    """A sink that records on demand, one recording after the other.

    :attr:`path` may be read, and :meth:`use` called, on any thread; the rest happens where the sinks live.

    Args:
        make: a path -> a recorder that has written nothing yet.
        first: recorded from the beginning; None: nothing.
        told: called with messages about a recording that was started during the run.
        clock: monotonic time.
        with_sound: recordings have sound.

    Attributes:
        failure: why a recording failed, one line; empty if none did.
        saved: paths of finished recordings.
    """

    name = Recorder.name
    patience_s = Recorder.patience_s

    def __init__(
        self,
        make: Callable[[str], Recorder],
        first: str | None = None,
        told: Callable[[str], None] = lambda text: None,
        clock: Clock = SYSTEM_CLOCK,
        *,
        with_sound: bool = False,
    ) -> None:
        self._make, self._told, self._clock = make, told, clock
        self.with_sound = with_sound
        self._lock = threading.Lock()
        self._wanted = first
        self._recorder: Recorder | None = None if first is None else make(first)
        self._running = first
        self._dropped: dict[str, int] = {}
        self._began_ns: int | None = None
        self._size = 0
        self._looked_ns = 0
        self.failure = ""
        self.saved: list[Path] = []

    @property
    def path(self) -> str | None:
        """Path of the present or coming recording; None if there is none."""
        return self._wanted

    @property
    def watched(self) -> bool | None:
        return self._wanted is not None

    @property
    def seconds(self) -> float:
        """For how long the present recording has been running."""
        began = self._began_ns
        return 0.0 if began is None else (self._clock.now_ns() - began) / 1e9

    @property
    def bytes(self) -> int:
        """How large the present recording is on the disk, as of the last half second."""
        return self._size

    @property
    def sound(self) -> str:
        """How the microphone of the present recording is (:attr:`Recorder.sound`); empty without one."""
        recorder = self._recorder
        return "" if recorder is None else recorder.sound

    @property
    def dropped(self) -> Mapping[str, int]:
        """Frames that could not be recorded in time, of all recordings; empty if there was none."""
        if self._recorder is None:
            return dict(self._dropped)
        queue = self._recorder.queue
        return {queue.name: self._dropped.get(queue.name, 0) + queue.dropped}

    def use(self, path: str | None) -> None:
        """Record to ``path`` from the next picture on; None ends the recording."""
        with self._lock:
            self._wanted = path

    def open(self) -> None:
        if self._recorder is not None:
            self._recorder.open()
            self._began_ns = self._clock.now_ns()

    def write_picture(self, shot: Shot) -> None:
        self._follow()
        if self._recorder is not None:
            self._recorder.write_picture(shot)
        self._look()

    def idle(self) -> None:
        self._follow()
        if self._recorder is not None:
            self._recorder.idle()

    def clear(self) -> None:
        if self._recorder is not None:
            self._recorder.clear()

    def close(self, *, failed: bool) -> None:
        self._end(failed=failed)

    def _follow(self) -> None:
        """Start or end a recording as asked."""
        with self._lock:
            wanted = self._wanted
        if wanted == self._running:
            return
        ended = self._recorder
        self._end(failed=False)
        if ended is not None and ended.saved is None and not ended.failure:
            self._told(f"nothing was recorded to {self._running}, because no picture had come yet")
        self._running = wanted
        if wanted is None:
            return
        try:
            recorder = self._make(wanted)
            recorder.open(patient=False)
        except (SettingsError, SinkError) as error:
            self._running = None
            self.use(None)
            self._told(str(error))
            return
        self._recorder, self._began_ns, self._size = recorder, self._clock.now_ns(), 0

    def _end(self, *, failed: bool) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        try:
            recorder.close(failed=failed)
        finally:
            self._began_ns = None
            name = recorder.queue.name
            self._dropped[name] = self._dropped.get(name, 0) + recorder.queue.dropped
            self.failure = recorder.failure or self.failure
            if recorder.saved is not None:
                self.saved.append(recorder.saved)

    def _look(self) -> None:
        """Update the size on the disk; drop a recording that has failed."""
        now_ns = self._clock.now_ns()
        if self._recorder is None or now_ns - self._looked_ns < _LOOK_NS:
            return
        self._looked_ns = now_ns
        self._size = self._recorder.size
        if self._recorder.failure:
            self._end(failed=False)
            self._running = None
            self.use(None)


def named_now(folder: Path | None = None, suffix: str = ".mp4") -> str:
    """Path for a recording that starts now: ``rvm-live-20260131-184512.mp4``."""
    return str((folder or Path()) / f"rvm-live-{time.strftime('%Y%m%d-%H%M%S')}{suffix}")
