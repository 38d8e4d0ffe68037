"""A sound server of the test's own with a null device, and claps: a tone in it and a flash in a picture at the same
time.

PulseAudio plays into nothing and lets the microphone hear that. It says how long it will take until what is written now
is heard. So the time of each tone is known beforehand, and the source turns white at that time.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rvm_live.apps.live import run
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EndOfSource
from rvm_live.core.settings import EngineSettings, LiveSettings, SourceSettings
from rvm_live.microphones.alsa import PLUG_INS
from rvm_live.sources.base import Grab, Source, SourceInfo
from tests.conftest import missing
from tests.support.waiting import until

__all__ = ["MICROPHONE", "check_in_step", "require_sound", "run_with_claps", "samples", "sound_server", "tones"]

MICROPHONE = "pulse"
RATE = 48_000
TONE_S = 0.15
_EVERY_S = 0.8
_BLOCK = RATE // 100
_WAIT_S = 15.0
_SEEN_S = 0.025


def require_sound() -> None:
    """Skip where no sound server can be started, or the microphone cannot reach it."""
    needed = "pulseaudio and libasound2-plugins"
    plug_in = any((Path(folder) / "libasound_module_pcm_pulse.so").exists() for folder in PLUG_INS)
    if shutil.which("pulseaudio") is None or not plug_in:
        missing(f"no sound server: sudo apt-get install {needed} (or your system's like)", required="RVM_REQUIRE_SOUND")


@contextmanager
def sound_server(patch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """Start a PulseAudio server with a null device; programs started meanwhile use it."""
    require_sound()
    with tempfile.TemporaryDirectory(prefix="rvm-sound-") as folder:  # a short name: a socket's path is limited
        address = f"{folder}/native"
        modules = ("module-null-sink sink_name=room", f"module-native-protocol-unix socket={address} auth-anonymous=1")
        command = [
            "pulseaudio",
            "-n",
            "--daemonize=no",
            "--exit-idle-time=-1",
            "--use-pid-file=no",
            "--log-level=error",
        ]
        command += [part for module in modules for part in ("-L", module)]
        own = {"HOME": folder, "XDG_RUNTIME_DIR": folder, "PULSE_RUNTIME_PATH": folder, "PULSE_STATE_PATH": folder}
        with (Path(folder) / "log").open("wb") as log:
            server = subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=log)
        try:
            patch.setenv("PULSE_SERVER", f"unix:{address}")
            patch.setenv("XDG_RUNTIME_DIR", folder)
            end = time.monotonic() + _WAIT_S
            while not Path(address).exists():
                if server.poll() is not None or time.monotonic() > end:
                    said = (Path(folder) / "log").read_text()[-300:]
                    missing(f"no sound server: pulseaudio does not start: {said}", required="RVM_REQUIRE_SOUND")
                time.sleep(0.05)
            yield server
        finally:
            server.kill()
            server.wait()


class _Spec(ctypes.Structure):
    _fields_ = (("format", ctypes.c_uint32), ("rate", ctypes.c_uint32), ("channels", ctypes.c_uint8))


class _Buffers(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("maxlength", "tlength", "prebuf", "minreq", "fragsize"))


class Claps:
    """Plays a short tone again and again while its context lasts, through PulseAudio's own library.

    Attributes:
        times_ns: monotonic times at which tones are heard, known beforehand.
    """

    def __init__(self) -> None:
        self.times_ns: list[int] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._play)
        self.error = ""

    def __enter__(self) -> Claps:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        assert not self.error, self.error

    def lit(self, time_ns: int) -> bool:
        """Whether a tone is heard at that time."""
        return any(0 <= time_ns - start < TONE_S * 1e9 for start in self.times_ns[-3:])

    def _play(self) -> None:
        library = ctypes.CDLL("libpulse-simple.so.0")
        library.pa_simple_new.restype = ctypes.c_void_p
        library.pa_simple_get_latency.restype = ctypes.c_uint64
        spec, none = _Spec(3, RATE, 1), 0xFFFFFFFF  # PA_SAMPLE_S16LE
        buffers = _Buffers(none, RATE // 20 * 2, none, none, none)
        error = ctypes.c_int()
        stream = library.pa_simple_new(
            None, b"claps", 1, None, b"claps", ctypes.byref(spec), None, ctypes.byref(buffers), ctypes.byref(error)
        )
        if not stream:
            self.error = f"pa_simple_new: {error.value}"
            return
        handle = ctypes.c_void_p(stream)
        wave = (12_000 * np.sin(2 * np.pi * 1000 * np.arange(_BLOCK) / RATE)).astype("<i2").tobytes()
        silence, position, next_at = bytes(2 * _BLOCK), 0, RATE
        while not self._ended.is_set():
            if position == next_at:
                late_us = library.pa_simple_get_latency(handle, ctypes.byref(error))
                self.times_ns.append(SYSTEM_CLOCK.now_ns() + late_us * 1000)
            sounds = next_at <= position < next_at + TONE_S * RATE
            library.pa_simple_write(handle, wave if sounds else silence, 2 * _BLOCK, ctypes.byref(error))
            position += _BLOCK
            if position >= next_at + TONE_S * RATE:
                next_at += round(_EVERY_S * RATE / _BLOCK) * _BLOCK
        library.pa_simple_free(handle)


class FlashingSource(Source):
    """Live, 100 pictures a second: white while a tone is heard, else black."""

    on_demand = False

    def __init__(self, claps: Claps) -> None:
        self._claps = claps
        self._released = threading.Event()
        self._next_ns = 0

    def open(self) -> SourceInfo:
        return SourceInfo("flashes", "camera", 64, 48, 100.0, live=True)

    def read(self) -> Grab:
        self._next_ns = max(self._next_ns + 10_000_000, SYSTEM_CLOCK.now_ns())
        SYSTEM_CLOCK.sleep((self._next_ns - SYSTEM_CLOCK.now_ns()) / 1e9)
        if self._released.is_set():
            raise EndOfSource
        now_ns = SYSTEM_CLOCK.now_ns()
        # A little noise: a picture that does not change would count as a repeat.
        image = np.full((48, 64, 3), 235 if self._claps.lit(now_ns) else 5, np.uint8)
        image[0, 0] = now_ns // 10_000_000 % 20
        return Grab(image, now_ns)

    def release(self) -> None:
        self._released.set()


def flashes(path: Path) -> list[float]:
    """Times at which the picture turns white, seconds; only those with a picture just before, which fixes the time."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        told = [
            (float(frame.pts * frame.time_base), frame.to_ndarray(format="gray")[10:40, 4:28].mean())
            for frame in file.decode(stream)
        ]
    pairs = pairwise(told)
    return [now for (before, dark), (now, light) in pairs if dark < 128 <= light and now - before < _SEEN_S]


def samples(path: Path) -> tuple[np.ndarray, float]:
    """The sound of a file, in [-1, 1], and the time at which it begins, seconds."""
    parts, began = [], None
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        assert stream.rate == RATE
        mono = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        for frame in file.decode(stream):
            began = float(frame.pts * frame.time_base) if began is None else began
            parts += [part.to_ndarray().reshape(-1) for part in mono.resample(frame)]
    return np.concatenate(parts), began or 0.0


def tones(path: Path) -> list[float]:
    """Times at which a tone begins, seconds: where its loudness passes half of its maximum."""
    sound, began = samples(path)
    loud = np.sqrt(np.convolve(sound**2, np.ones(48) / 48, "same"))  # over one millisecond, which is one wave
    on = np.flatnonzero(loud > 0.12)
    starts = on[np.flatnonzero(np.diff(on, prepend=-RATE) > RATE // 10)] if len(on) else on
    return [began + float(start) / RATE for start in starts]


def run_with_claps(patch: pytest.MonkeyPatch, **settings: Any) -> None:
    """Run the whole program, live, with the microphone; a tone is played whenever the picture flashes.

    Args:
        patch: used to make the program open a source that flashes.
        settings: where the result goes, and for how long to run.
    """
    with Claps() as claps:
        assert until(lambda: claps.times_ns or claps.error), claps.error
        for module in ("live", "assembly"):
            patch.setattr(f"rvm_live.apps.{module}.open_source", lambda *_: FlashingSource(claps))
        report = run(
            LiveSettings(
                SourceSettings("flashes", fps=100),
                EngineSettings("tests.support.engines:LeftHalfEngine"),
                backgrounds=("color:#808080",),
                headless=True,
                audio=MICROPHONE,
                adaptive=False,
                **settings,
            )
        )
    assert report.fallbacks == (), report.fallbacks


def check_in_step(path: Path) -> None:
    """Check that four fifths of the flashes in a file have their tone within 40 ms."""
    seen, heard = flashes(path), tones(path)
    offsets = [1000 * (min(heard, key=lambda each: abs(each - flash)) - flash) for flash in seen]
    told = f"{path.suffix}: offset of tone against flash, ms: " + " ".join(f"{each:+.0f}" for each in offsets)
    assert len(offsets) >= 3, told
    sys.stdout.write(f"{told}; median {statistics.median(offsets):+.1f}\n")  # for -s
    assert sum(abs(each) < 40 for each in offsets) > 0.8 * len(offsets), told
