"""Video files through PyAV: H.264, ProRes 4444 and VP9, the last two with alpha."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.media.encoder import Encoder, Recipe, encoding
from rvm_live.sinks.recording.times import TICKS, Times
from rvm_live.sinks.recording.unfinished import keep_unfinished, part_path, place_lock
from rvm_live.sinks.recording.writers import Shot, Writer, fit_into, over_black
from rvm_live.system import atomic_write

if TYPE_CHECKING:
    from rvm_live.sinks.recording.listening import Listener
    from rvm_live.sinks.recording.sound_track import SoundTrack

__all__ = ["RECIPES", "SUFFIXES", "VideoFile"]

_log = logging.getLogger("rvm_live.recorder")

_LOOK_S = 1.0
_KEY_TICKS = 2 * TICKS
_LATE_S = 0.3
"""How long to wait at the end for the sound of the last picture, seconds."""
_EARLY_NS = 500_000_000
_TOLD_S = 0.02
_QP2LAMBDA = 118
_H264 = {"preset": "veryfast", "crf": "20"}
_VP9 = {
    "deadline": "realtime",
    "cpu-used": "8",
    "crf": "24",
    "row-mt": "1",
    "tile-columns": "2",
    "lag-in-frames": "0",
    "auto-alt-ref": "0",  # libvpx refuses alternate reference frames together with alpha
}
# A fixed quantiser: searching one for a given bit rate makes this encoder too slow for live video.
_PRORES = {"profile": "4444", "global_quality": str(4 * _QP2LAMBDA)}

# A recording cut short by a full disk or a power cut can be played up to its last three seconds: MP4 and MOV are
# written in fragments, which become an ordinary file at the end; Matroska in short clusters.
_MP4_SAFE = {"movflags": "+frag_keyframe+hybrid_fragmented+delay_moov", "flush_packets": "1"}
_MKV_SAFE = {"cluster_time_limit": "2000", "flush_packets": "1"}

RECIPES = {
    ".mp4": Recipe("mp4", "libx264", "yuv420p", even=True, options=_H264, container_options=_MP4_SAFE, sound="aac"),
    ".mkv": Recipe(
        "matroska", "libx264", "yuv420p", even=True, options=_H264, container_options=_MKV_SAFE, sound="libopus"
    ),
    ".mov": Recipe(
        "mov", "prores_ks", "yuv444p10le", "yuva444p10le", options=_PRORES, clear_options={"alpha_bits": "16"},
        container_options=_MP4_SAFE, seekable=False, sound="aac",
    ),
    ".webm": Recipe(
        "webm", "libvpx-vp9", "yuv420p", "yuva420p", even=True, options=_VP9, container_options=_MKV_SAFE,
        sound="libopus",
    ),
}  # fmt: skip

SUFFIXES = tuple(RECIPES)
"""Suffixes of files that can be recorded."""


class VideoFile(Writer):
    """One video file, complete or absent; what was written before a failure is kept under another name.

    The first shot decides on size and alpha. Later shots of another size are letterboxed into the first one's. If
    the file has no alpha, a later transparent shot is put over black; if it has, a later opaque one is opaque.
    Times are those of the file the frames came from, or of their capture: the frame rate varies as it really did. With
    sound they are those of the capture, which is what sound and picture have in common.

    Args:
        path: of the file; its suffix, one of :data:`SUFFIXES`, decides how it is encoded.
        fps: nominal frames per second, for players that want to know one.
        listener: the microphone, or None; opened and closed by the caller.
    """

    def __init__(self, path: Path, *, fps: float, listener: Listener | None = None) -> None:
        self.path = path
        self._part = part_path(path)
        self._lock = place_lock(path)
        self._kind = RECIPES[path.suffix.lower()]
        self._fps = fps if fps > 0 else 30.0
        self._encoder: Encoder | None = None
        self._looked = time.monotonic()
        self._there = False
        self._size = (0, 0)
        self._has_alpha = False
        self._times = Times(self._fps, captured=listener is not None)
        self._listener = listener
        self._sound: SoundTrack | None = None
        self._until_ns = self._key_due = 0

    @property
    def size(self) -> int:
        try:
            return self._part.stat().st_size
        except OSError:
            return 0

    def claim(self) -> None:
        self._lock.take()

    def write(self, shot: Shot) -> None:
        with encoding(self.path):
            encoder = self._encoder or self._opened(shot)
            self._look()
            tick, lasts = self._times.tick(shot)
            key = tick >= self._key_due  # by time, not by count: a camera may be much slower than it says
            self._key_due = tick + _KEY_TICKS if key else self._key_due
            encoder.add(self._picture(shot.image), tick, lasts, key=key)
            self._until_ns = shot.captured_ns
            self._hear(shot.captured_ns)

    def idle(self) -> None:
        if self._listener is not None and self._encoder is not None:
            with encoding(self.path):
                self._hear(self._listener.clock.now_ns() - _EARLY_NS)

    def finish(self) -> bool:
        saved = self._encoder is not None
        if self._encoder is not None:
            with encoding(self.path):
                self._hear_out()
                self._encoder.flush()
                self._encoder.close()
                atomic_write.replace(self._part, self.path)
            self._encoder = None
        self._lock.release()
        return saved

    def rescue(self) -> Path | None:
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            # Completes the file, unless the disk is what failed; after an error libavformat writes nothing more.
            with contextlib.suppress(Exception):
                encoder.close()
        if not self._lock.held:
            return None  # the file that lies there belongs to another run
        try:
            return keep_unfinished(self.path)
        finally:
            self._lock.release()

    def _look(self) -> None:
        """Notice a folder that was deleted or moved: the system would go on writing to a lost file."""
        if time.monotonic() - self._looked < _LOOK_S:
            return
        self._looked = time.monotonic()
        if self._there:
            os.stat(self._part)
        self._there = self._part.exists()  # the file is created when the encoder gives its first packets

    def _opened(self, shot: Shot) -> Encoder:
        kind = self._kind
        height, width = shot.image.shape[:2]
        self._size = (width, height)
        self._has_alpha = shot.image.shape[2] == 4 and kind.clear is not None
        rate, shape = Fraction(self._fps).limit_denominator(1001), (height, width, 4 if self._has_alpha else 3)
        self.claim()
        earlier = keep_unfinished(self.path)
        if earlier is not None:
            _log.warning("an earlier run could not finish its recording: it is now %s", earlier)
        self._encoder = Encoder(self._part, kind, shape, rate=rate, time_base=Fraction(1, TICKS))
        if self._listener is not None and self._listener.state != "lost":
            from rvm_live.sinks.recording.sound_track import SoundTrack

            self._sound = SoundTrack(self._encoder.container, kind.sound, shot.captured_ns)
        return self._encoder

    def _hear(self, until_ns: int) -> None:
        """Add the sound up to then."""
        if self._listener is not None and self._sound is not None:
            self._sound.add(self._listener.take(until_ns))
            self._sound.keep_up(until_ns)

    def _hear_out(self) -> None:
        """Add the sound up to the end of the last picture; wait for the newest."""
        listener, sound = self._listener, self._sound
        if listener is None or sound is None:
            return
        until_ns = max(self._until_ns + round(1e9 / self._fps), sound.until_ns)
        end = time.monotonic() + _LATE_S
        while listener.heard_ns < until_ns and listener.state != "lost" and time.monotonic() < end:
            time.sleep(0.01)
        sound.add(listener.take(until_ns))
        sound.fill(until_ns)
        sound.finish()
        if sound.gaps_s > 0 or abs(sound.drift_s) > _TOLD_S:
            _log.info(
                "sound of %s: %.2f s of gaps filled with silence, %.0f ms of drift corrected",
                self.path, sound.gaps_s, sound.drift_s * 1e3,
            )  # fmt: skip

    def _picture(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture in the file's size, with alpha exactly where the file has it."""
        if self._has_alpha:
            image = image if image.shape[2] == 4 else cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)
        elif image.shape[2] == 4:
            image = over_black(image)
        return fit_into(image, *self._size)
