"""The sink that streams to a server, and connects again when the connection is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import SettingsError, words_of
from rvm_live.sinks.base import PictureSink, Shot, Surroundings
from rvm_live.sinks.recording.writers import fit_into, over_black
from rvm_live.sinks.stream.targets import target_of
from rvm_live.sinks.stream.way import Way
from rvm_live.system.installed import adding

if TYPE_CHECKING:
    from rvm_live.sinks.recording.listening import Listener

__all__ = ["StreamSink", "bitrate_for", "check_stream"]

_log = logging.getLogger("rvm_live.stream")

_AGAIN_NS = 500_000_000
"""If no picture comes for this long, the last one is sent again: servers end streams without pictures."""
_BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_EARLY_NS = 500_000_000
_BITS_PER_PIXEL = 0.1
_LEAST_BITS, _MOST_BITS = 600_000, 9_000_000


def bitrate_for(width: int, height: int, fps: float) -> int:
    """Bits per second for good H.264 quality, as large services recommend: 2.8 Mbit/s for 720p at 30."""
    return round(min(_MOST_BITS, max(_LEAST_BITS, _BITS_PER_PIXEL * width * height * fps)))


def check_stream(words: str) -> None:
    """Check, before anything starts, an address of ``--stream``; nothing is connected to.

    Raises:
        SettingsError: it is wrong, or needs a package that is not installed.
    """
    if target_of(words).muxer == "whip" and find_spec("aiortc") is None:
        raise SettingsError(f"WHIP streams need aiortc, with Python 3.11 or newer: {adding('whip')}; or send RTMP")


class StreamSink(PictureSink):
    """Sends pictures and sound to a server.

    A connection that cannot be made, or is lost, is made again, after one second, two, four, and so on up to half a
    minute; each loss and each return is reported. Meanwhile pictures are dropped and counted. The first picture decides
    on the size; later ones are fitted into it. Alpha is shown over black.

    Args:
        words: the address, see :func:`~rvm_live.sinks.stream.targets.target_of`.
        fps: nominal frames per second, 0 if unknown.
        bitrate: of the picture, bits per second; None: by size and rate. WHIP finds its own.
        listener: the microphone to be heard, open while this is, or None.
        clock: monotonic time.

    Attributes:
        label: the address without its secret parts.
        state: ``waiting`` for the first picture, ``connecting``, ``live``, or ``lost``.
        losses: how often the connection was lost, or could not be made.
        dropped: pictures that were not sent.
    """

    name = "stream"
    patience_s = 30.0

    def __init__(
        self,
        words: str,
        *,
        fps: float = 30.0,
        bitrate: int | None = None,
        listener: Listener | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_stream(words)
        self._target = target_of(words)
        self.label = self._target.label
        self.losses = self.dropped = 0
        self._fps = fps if fps > 0 else 30.0
        self._bitrate, self._listener, self._clock = bitrate, listener, clock
        self._around = Surroundings()
        self._way: Way | None = None
        self._size = (0, 0)
        self._due_ns = 0
        self._tries = 0
        self._back = False
        self._live_since_ns: int | None = None
        self._lived_s = 0.0
        self._last: Shot | None = None
        self._last_ns = 0
        self.state: Literal["waiting", "connecting", "live", "lost"] = "waiting"

    @property
    def seconds(self) -> float:
        """Seconds that it has been live."""
        return 0.0 if self._live_since_ns is None else (self._clock.now_ns() - self._live_since_ns) / 1e9

    @property
    def story(self) -> str:
        """Its address and history, one line for a report."""
        words = [f"{self._lived_s:.0f} s"] if self._lived_s or self.state == "live" else ["never live"]
        words += [f"lost {self.losses} times" if self.losses > 1 else "lost once"] if self.losses else []
        return f"{self.label}, {', '.join(words)}"

    @property
    def status(self) -> tuple[str, str, float]:
        """Address, state, and for how long it has been live, seconds; for any thread."""
        return self.label, self.state, self.seconds

    def meet(self, around: Surroundings) -> None:
        self._around = around

    def open(self) -> None:
        if self._target.muxer == "whip" and self._bitrate is not None:
            self._around.told(f"--stream-bitrate is not for {self.label}: WebRTC chooses the rate itself")
        if self._listener is not None:
            self._listener.open(patient=False)

    def write_picture(self, shot: Shot) -> None:
        self._last, self._last_ns = shot, self._clock.now_ns()
        self._send(shot)

    def clear(self) -> None:
        if self._last is not None:
            self._last = replace(self._last, image=self._alone(self._last.image))
            self._again()

    def idle(self) -> None:
        now_ns = self._clock.now_ns()
        if self._last is not None and now_ns - self._last_ns >= _AGAIN_NS:
            self._again()
        elif self._way is not None:
            self._guarded(lambda way: way.hear(now_ns - _EARLY_NS))

    def close(self, *, failed: bool) -> None:
        way, self._way = self._way, None
        self._lived_s += self.seconds
        if way is not None:
            way.close()
        if self._listener is not None:
            self._listener.close()

    def _again(self) -> None:
        """Send the last picture again with the present time."""
        assert self._last is not None
        now_ns = self._clock.now_ns()
        self._last = replace(self._last, captured_ns=self._last.captured_ns + now_ns - self._last_ns)
        self._last_ns = now_ns
        self._send(self._last)

    def _send(self, shot: Shot) -> None:
        image = over_black(shot.image) if shot.image.shape[2] == 4 else shot.image
        if self._size == (0, 0):
            self._size = (image.shape[1], image.shape[0])
        if self._way is None and not self._connect(shot):
            self.dropped += 1
            return
        picture = fit_into(image, *self._size)
        self._guarded(lambda way: way.add(picture, shot))
        if self._way is not None and self._way.live and self.state != "live":
            self._tries, self.state, self._live_since_ns = 0, "live", self._clock.now_ns()
            if self._back:
                self._around.news(f"the stream to {self.label} is live again")
            self._back = False

    def _connect(self, shot: Shot) -> bool:
        if self._clock.now_ns() < self._due_ns:
            return False
        if self.state == "waiting":
            self.state = "connecting"
        try:
            self._way = self._made(shot)
        except Exception as error:  # from libav, aiortc or the system: reported, and tried again
            self._lose(words_of(error))
        return self._way is not None

    def _made(self, shot: Shot) -> Way:
        if self._target.muxer == "whip":
            from rvm_live.sinks.stream.whip import WhipWay

            return WhipWay(self._target, fps=self._fps, first=shot, listener=self._listener)
        from rvm_live.sinks.stream.muxed import MuxedWay

        bitrate = self._bitrate or bitrate_for(*self._size, self._fps)
        return MuxedWay(self._target, self._size, fps=self._fps, bitrate=bitrate, first=shot, listener=self._listener)

    def _guarded(self, act: Callable[[Way], None]) -> None:
        way = self._way
        assert way is not None
        try:
            if way.gone:
                raise ConnectionError(way.reason)
            act(way)
        except Exception as error:  # from libav, aiortc or the system: the server is gone, or accepts nothing
            reason = way.reason if way.gone else words_of(error)
            self._way = None
            way.close()
            self._lose(reason)

    def _lose(self, reason: str) -> None:
        wait_s = _BACK_OFF_S[min(self._tries, len(_BACK_OFF_S) - 1)]
        self._due_ns = self._clock.now_ns() + round(wait_s * 1e9)
        if self._tries == 0:  # reported once for each loss, not for each try
            verb = "was lost" if self.state == "live" else "cannot be started"
            self._around.told(f"the stream to {self.label} {verb} ({reason}): trying again until it works")
        _log.info("stream to %s: %s; again in %g s", self.label, reason, wait_s)
        self._tries += 1
        self._lived_s += self.seconds
        self.losses += 1
        self._back, self.state, self._live_since_ns = True, "lost", None

    def _alone(self, like: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = like.shape[:2]
        return self._around.background(width, height)
