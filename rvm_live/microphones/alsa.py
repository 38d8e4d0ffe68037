"""Microphones on Linux, through ALSA: by PyAV, whose wheel brings its own ALSA library.

PulseAudio and PipeWire serve ALSA programs by plug-ins and settings of the system's, which the wheel's library looks
for where it was built (``/tmp/vendor``): so it is told where they are.
"""

from __future__ import annotations

import ctypes
import os
import platform
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import SourceLostError, SourceUnavailableError, told_as, words_of
from rvm_live.microphones.base import MOST_AGE_NS, RATE, Microphone, Mono, Sound

__all__ = ["AlsaMicrophone", "alsa_devices"]

_SETTINGS = "/usr/share/alsa"
PLUG_INS = (f"/usr/lib/{platform.machine()}-linux-gnu/alsa-lib", "/usr/lib64/alsa-lib", "/usr/lib/alsa-lib")
"""Folders where distributions keep ALSA's plug-ins."""
_SERVERS = ("default", "pipewire", "pulse")
_CARDS = ("sysdefault:", "plughw:")
_TRIES, _MOMENT_NS = 10, 200_000
_CHANNELS = ("1", "2")
# The format is known: ALSA need not listen first to find it out.
_AT_ONCE = {"sample_rate": str(RATE), "probesize": "32", "analyzeduration": "0"}
_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)
_SILENT = _HANDLER(lambda *_: None)


def _prepare() -> Any:
    """PyAV, with its ALSA library told where the system's plug-ins are, and kept from writing to standard error."""
    if Path(_SETTINGS).is_dir():
        os.environ.setdefault("ALSA_CONFIG_DIR", _SETTINGS)
    plug_ins = next((folder for folder in PLUG_INS if Path(folder).is_dir()), None)
    if plug_ins is not None:
        os.environ.setdefault("ALSA_PLUGIN_DIR", plug_ins)
    import av

    for library in _libraries():
        library.snd_lib_error_set_handler(_SILENT)
    return av


def _libraries() -> Iterator[Any]:
    """PyAV's own ALSA library, and the system's, which the plug-ins are linked with."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    names = sorted({line.split()[-1] for line in maps if "libasound" in line.rpartition("/")[2]})
    for name in (*names, "libasound.so.2"):
        try:
            yield ctypes.CDLL(name)
        except (OSError, AttributeError):
            continue


def alsa_devices() -> list[tuple[str, str]]:
    """(name, description) of what can be recorded from: sound servers, and the cards behind them."""
    av = _prepare()
    found = {device.name: " ".join(device.description.split()) for device in av.enumerate_input_devices("alsa")}
    known = {_SERVERS[0]: "the system's default", **found}
    return [(name, told) for name, told in known.items() if name in _SERVERS or name.startswith(_CARDS)]


class AlsaMicrophone(Microphone):
    """A microphone through libavdevice, which says of each piece of sound how long it has waited.

    Args:
        device: ALSA's name, such as ``default``, ``pulse`` or ``plughw:1``.
        clock: monotonic time.
    """

    def __init__(self, device: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self.name = device
        self._clock = clock
        self._container: Any = None
        self._frames: Iterator[Any] = iter(())
        self._mono: Mono
        self._age_ns = 0

    def open(self) -> None:
        av = _prepare()
        self._mono = Mono()
        failed: Exception | None = None
        # "default" may not be a sound server: try the servers, too.
        names = _SERVERS if self.name == _SERVERS[0] else (self.name,)
        for name, channels in product(names, _CHANNELS):  # some cards support only one number of channels
            try:
                self._container = av.open(name, format="alsa", options={**_AT_ONCE, "channels": channels})
                self._frames = self._container.decode(audio=0)
                return
            except Exception as error:  # PyAV raises many kinds
                failed = failed or error
        assert failed is not None
        raise SourceUnavailableError(f"cannot open the microphone {self.name!r}: {words_of(failed)}") from failed

    def read(self) -> Sound:
        with told_as(SourceLostError, f"the microphone {self.name!r} was disconnected", of=Exception):
            frame = next(self._frames)
        now_ns, day_ns = _times(self._clock)
        age_ns = day_ns - round(frame.pts * frame.time_base * 1_000_000_000)
        if 0 <= age_ns < MOST_AGE_NS:
            self._age_ns = age_ns
        return Sound(self._mono.of(frame), now_ns - self._age_ns)

    def release(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            container.close()


def _times(clock: Clock) -> tuple[int, int]:
    """Monotonic time and time of day at one moment: stamps use the latter, whose clock may be changed meanwhile."""
    for _ in range(_TRIES):
        before, day_ns, after = clock.now_ns(), time.time_ns(), clock.now_ns()
        if after - before < _MOMENT_NS:  # otherwise another thread ran in between
            break
    return (before + after) // 2, day_ns
