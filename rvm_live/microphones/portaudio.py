"""Microphones on Windows and macOS, through PortAudio: by ``sounddevice``, whose wheels bring it (extra ``audio``)."""

from __future__ import annotations

import queue
from typing import Any

import numpy as np

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import SourceLostError, SourceUnavailableError, told_as, words_of
from rvm_live.microphones.base import MOST_AGE_NS, Microphone, Mono, Sound
from rvm_live.system.installed import adding

__all__ = ["PortAudioMicrophone", "portaudio_devices"]

_LOOK_S = 0.5
_MOST_WAITING = 400
"""Blocks of 10 ms that may wait; reading is never that late."""


def _library() -> Any:
    """The module ``sounddevice``.

    Raises:
        SourceUnavailableError: it is not installed, or finds no PortAudio; says what to do.
    """
    try:
        import sounddevice
    except ImportError as error:
        raise SourceUnavailableError(f"a microphone needs sounddevice: {adding('audio')}") from error
    except OSError as error:
        raise SourceUnavailableError(f"sounddevice does not work here: {words_of(error)}") from error
    return sounddevice


def portaudio_devices() -> list[tuple[str, str]]:
    """(name, description) of what can be recorded from, each once: the system's default interface to sound has them."""
    library = _library()
    apis = library.query_hostapis()
    found: dict[str, str] = {}
    for device in library.query_devices():
        if device["max_input_channels"] > 0 and device["hostapi"] == library.default.hostapi:
            found.setdefault(device["name"], apis[device["hostapi"]]["name"])
    return list(found.items())


class PortAudioMicrophone(Microphone):
    """A microphone through PortAudio's own thread, which says of each piece of sound when it was heard.

    Args:
        device: a name out of :func:`portaudio_devices`; ``default``.
        clock: monotonic time.
    """

    def __init__(self, device: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self.name = device
        self._clock = clock
        self._heard: queue.Queue[tuple[bytes, int]] = queue.Queue(_MOST_WAITING)
        self._stream: Any = None
        self._rate = self._channels = 0
        self._mono: Mono

    def open(self) -> None:
        library = _library()
        self._mono = Mono()
        device = None if self.name == "default" else self.name
        # PortAudio raises its own errors, and ValueError for a bad name.
        with told_as(SourceUnavailableError, f"cannot open the microphone {self.name!r}", of=Exception):
            about = library.query_devices(device, "input")
            # The device's own rate and channels: some interfaces accept nothing else.
            self._rate, self._channels = round(about["default_samplerate"]), min(2, about["max_input_channels"])
            self._stream = library.RawInputStream(
                device=device,
                samplerate=self._rate,
                channels=self._channels,
                dtype="int16",
                blocksize=self._rate // 100,
                callback=self._hear,
            )
            self._stream.start()

    def _hear(self, data: Any, frames: int, when: Any, status: Any) -> None:
        """Called by PortAudio; must not wait."""
        age_ns = round((when.currentTime - when.inputBufferAdcTime) * 1e9)
        if when.inputBufferAdcTime <= 0 or not 0 <= age_ns < MOST_AGE_NS:  # some interfaces do not report it
            age_ns = round(self._stream.latency * 1e9) if self._stream is not None else 0
        if not self._heard.full():
            self._heard.put_nowait((bytes(data), self._clock.now_ns() - age_ns))

    def read(self) -> Sound:
        from av import AudioFrame

        while True:
            try:
                data, captured_ns = self._heard.get(timeout=_LOOK_S)
                break
            except queue.Empty:
                if not self._stream.active:
                    raise SourceLostError(f"the microphone {self.name!r} was disconnected") from None
        samples = np.frombuffer(data, np.int16).reshape(1, -1)
        frame = AudioFrame.from_ndarray(samples, format="s16", layout="stereo" if self._channels == 2 else "mono")
        frame.sample_rate = self._rate
        return Sound(self._mono.of(frame), captured_ns)

    def release(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close(ignore_errors=True)
