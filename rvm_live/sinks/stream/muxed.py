"""H.264 and AAC through libav: RTMP, MPEG-TS and HLS."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rvm_live.media.encoder import Encoder, Recipe
from rvm_live.media.hardware_encoders import why_not
from rvm_live.sinks.base import Shot
from rvm_live.sinks.recording.sound_track import SoundTrack
from rvm_live.sinks.recording.times import TICKS, Times
from rvm_live.sinks.stream.connection import Connection
from rvm_live.sinks.stream.sender import PIPE
from rvm_live.sinks.stream.targets import Target
from rvm_live.sinks.stream.way import Way

if TYPE_CHECKING:
    from rvm_live.sinks.recording.listening import Listener

__all__ = ["MuxedWay"]

_KEY_TICKS = 2 * TICKS
"""Ticks between key frames, where servers cut and viewers join: most services ask for one every two seconds."""
_STUCK_S = 8.0
_HARDWARE = {
    "h264_nvenc": ("yuv420p", {"preset": "p4", "tune": "ull", "rc": "cbr", "zerolatency": "1", "forced-idr": "1"}),
    "h264_videotoolbox": ("nv12", {"realtime": "1"}),
    "h264_qsv": ("nv12", {"preset": "veryfast", "async_depth": "1", "forced_idr": "1"}),
    "h264_amf": ("nv12", {"usage": "lowlatency", "rc": "cbr", "forced_idr": "1"}),
}
_SOFTWARE = ("yuv420p", {"preset": "veryfast", "tune": "zerolatency", "forced-idr": "1"})


def _encoder_for(size: tuple[int, int]) -> str:
    """The name of the first H.264 encoder that works here at that size (width, height); x264 always does."""
    for name, (form, options) in _HARDWARE.items():
        if why_not(name, form, tuple(options.items()), size) is None:
            return name
    return "libx264"


class MuxedWay(Way):
    """One connection.

    Args:
        target: where it goes.
        size: width and height of the pictures.
        fps: nominal frames per second.
        bitrate: of the picture, bits per second.
        first: the first picture: its time is where the stream begins.
        listener: the microphone, or None.
    """

    def __init__(
        self,
        target: Target,
        size: tuple[int, int],
        *,
        fps: float,
        bitrate: int,
        first: Shot,
        listener: Listener | None,
    ) -> None:
        codec = _encoder_for(size)
        form, options = _HARDWARE.get(codec, _SOFTWARE)
        rate = {"b": str(bitrate), "maxrate": str(bitrate), "bufsize": str(bitrate)}
        recipe = Recipe(
            PIPE, codec, form, even=True, options={**options, **rate}, container_options={"flush_packets": "1"}
        )
        self._connection = Connection(target, stuck_s=_STUCK_S)
        self._times = Times(fps, captured=True)
        self._key_due = 0
        self._listener = listener
        try:
            self._encoder = Encoder(
                self._connection, recipe, (size[1], size[0], 3),
                rate=Fraction(fps).limit_denominator(1001), time_base=Fraction(1, TICKS),
            )  # fmt: skip
            self._sound: SoundTrack | None = None
            if listener is not None and listener.state != "lost":
                self._sound = SoundTrack(self._encoder.container, "aac", first.captured_ns)
        except BaseException:
            self._connection.close()
            raise

    @property
    def live(self) -> bool:
        return self._connection.live

    @property
    def gone(self) -> bool:
        return self._connection.gone

    @property
    def reason(self) -> str:
        return self._connection.reason

    @property
    def sent(self) -> int:
        """Bytes that were handed over."""
        return self._connection.sent

    def add(self, picture: NDArray[np.uint8], shot: Shot) -> None:
        tick, lasts = self._times.tick(shot)
        key = tick >= self._key_due
        self._key_due = tick + _KEY_TICKS if key else self._key_due
        self._encoder.add(picture, tick, lasts, key=key)
        self.hear(shot.captured_ns)

    def hear(self, until_ns: int) -> None:
        if self._listener is not None and self._sound is not None:
            self._sound.add(self._listener.take(until_ns))
            self._sound.keep_up(until_ns)

    def close(self) -> None:
        with suppress(Exception):
            if not self.gone:
                if self._sound is not None:
                    self._sound.finish()
                self._encoder.flush()
        with suppress(Exception):
            self._encoder.close()
        self._connection.close()
