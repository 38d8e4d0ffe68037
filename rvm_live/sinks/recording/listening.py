"""A microphone in use: a thread that reads it, and its sound until it is taken."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import RvmLiveError, SinkError, words_of
from rvm_live.microphones.base import Microphone, Sound

__all__ = ["Listener"]

_OPENING_S = 5.0
_SILENT_S = 2.0
_KEPT_S = 20.0
"""Sound that is not taken is dropped after this time."""
_JOIN_S = 1.0


class Listener:
    """Reads one microphone from ``open`` to ``close`` on a thread, ``rvm-microphone``.

    A microphone that fails, is disconnected, or gives nothing for two seconds ends alone: this is reported once, and
    the recording or stream continues without sound. A driver that never returns keeps its thread, which is a daemon,
    and nothing else.

    Nothing said while ``muted`` is kept, nor any piece of sound that began before the end of it.

    Args:
        make: gives the microphone, not yet open; called on the thread.
        muted: whether nothing may be recorded now; any thread.
        told: called with the reason when the microphone ends, one line.
        clock: monotonic time.
    """

    def __init__(
        self,
        make: Callable[[], Microphone],
        *,
        muted: Callable[[], bool] = lambda: False,
        told: Callable[[str], None] = lambda line: None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.clock = clock
        self._make, self._muted, self._told = make, muted, told
        self._lock = threading.Lock()
        self._heard: deque[Sound] = deque()
        self._ready, self._ended = threading.Event(), threading.Event()
        self._opened = False
        self._failure = ""
        self._waiting = False
        self._hushed_until_ns: int | None = 0
        self._came_ns = self._heard_ns = 0
        self._thread = threading.Thread(target=self._run, name="rvm-microphone", daemon=True)

    @property
    def state(self) -> str:
        """``on``, ``muted``, ``lost``, or ``opening`` while nothing has been heard yet."""
        if self._failure:
            return "lost"
        if not self._opened:
            return "opening"
        return "muted" if self._muted() else "on"

    @property
    def heard_ns(self) -> int:
        """Time up to which there is sound."""
        return self._heard_ns

    def open(self, *, patient: bool = False) -> None:
        """Start; the microphone opens in the background.

        Args:
            patient: wait for it, :data:`_OPENING_S` at most.

        Raises:
            SinkError: it was waited for, and is not open; says why.
        """
        self._came_ns = self.clock.now_ns()
        self._waiting = patient
        self._thread.start()
        if not patient:
            return
        if not self._ready.wait(_OPENING_S):
            self._fail(f"the microphone did not open within {_OPENING_S:g} s")
        self._waiting = False
        if self._failure:
            raise SinkError(f"{self._failure}; leave out --audio, or name another one (`rvm-live cameras` lists them)")

    def take(self, until_ns: int) -> list[Sound]:
        """The sound up to that time, in order, not taken before. Notices when no more sound comes."""
        limit_s = _SILENT_S if self._opened else _OPENING_S
        if self.clock.now_ns() - self._came_ns > limit_s * 1e9:
            what = "stopped giving sound" if self._opened else "does not open"
            self._fail(f"the microphone {what}")
        taken: list[Sound] = []
        with self._lock:
            while self._heard and self._heard[0].until_ns <= until_ns:
                taken.append(self._heard.popleft())
        return taken

    def close(self) -> None:
        """Stop; the microphone is released now, or as soon as its driver returns."""
        self._ended.set()
        if self._thread.ident is not None and not self._failure:
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        microphone: Microphone | None = None
        try:
            microphone = self._make()
            microphone.open()
            while not self._ended.is_set():
                self._keep(microphone.read())
                if not self._opened:
                    self._opened = True
                    self._ready.set()
        except RvmLiveError as error:
            self._fail(str(error))
        except Exception as error:  # a driver may raise anything: no reason to end the picture
            self._fail(f"the microphone failed: {words_of(error)}")
        finally:
            self._ready.set()
            if microphone is not None:
                microphone.release()

    def _keep(self, sound: Sound) -> None:
        now_ns = self._came_ns = self.clock.now_ns()
        if self._muted():
            self._hushed_until_ns = None
            hushed = True
        else:
            if self._hushed_until_ns is None:
                self._hushed_until_ns = now_ns
            hushed = sound.captured_ns < self._hushed_until_ns
        with self._lock:
            self._heard.append(replace(sound, samples=np.zeros_like(sound.samples)) if hushed else sound)
            self._heard_ns = sound.until_ns
            while now_ns - self._heard[0].captured_ns > _KEPT_S * 1e9 and len(self._heard) > 1:
                self._heard.popleft()

    def _fail(self, why: str) -> None:
        """Report the first failure; later ones are ignored."""
        with self._lock:
            if self._failure or self._ended.is_set():
                return
            self._failure = why
        self._ended.set()
        if not self._waiting:
            self._told(f"{why}: the recording continues without sound")
