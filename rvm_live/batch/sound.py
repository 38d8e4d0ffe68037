"""The sound of one file on its way into another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import av.error

from rvm_live.libav import codec_of, open_file, words
from rvm_live.media.facts import picture_track
from rvm_live.media.timeline import packets

__all__ = ["Sound"]

_FITS = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac"},
    "webm": {"opus", "vorbis"},
}
"""Sound that a container takes as it is; Matroska takes everything, QuickTime every PCM, too."""
_INSTEAD = {"mp4": "aac", "mov": "aac", "webm": "libopus"}
_OPUS_RATE = 48_000


class Sound:
    """The sound tracks of one file on their way into another: copied, or encoded anew where the container wants that.

    Args:
        source: file they come from.
        out: container being written, before its first packet.
        container: its kind, ``mp4``, ``mov``, ``mkv`` or ``webm``.

    Attributes:
        notes: what could not be copied as it was.
    """

    def __init__(self, source: Path, out: Any, container: str) -> None:
        self.notes: list[str] = []
        self._out = out
        self._in: Any = open_file(source, metadata_errors="ignore")
        self._tracks: dict[int, tuple[Any, Any]] = {}
        for number, stream in enumerate(self._in.streams.audio, 1):
            codec = codec_of(stream)
            if stream.codec_context is None:
                self.notes.append(f"sound track {number}: {codec}, left out")
                continue
            if _fits(codec, container):
                self._tracks[stream.index] = (out.add_stream_from_template(stream, opaque=True), None)
                continue
            target = _INSTEAD[container]
            rate = _OPUS_RATE if target == "libopus" else stream.codec_context.sample_rate
            made = out.add_stream(target, rate=rate)
            made.codec_context.layout = stream.codec_context.layout
            resampler = av.AudioResampler(made.codec_context.format, made.codec_context.layout, rate)
            self._tracks[stream.index] = (made, resampler)
            self.notes.append(f"sound track {number}: {codec} does not fit into {container}, encoded as {target}")
        streams = [each for each in self._in.streams.audio if each.index in self._tracks]
        self._packets = packets(self._in, picture_track(self._in), streams) if streams else iter(())
        self._held: Any = None

    def pump(self, until: float | None) -> None:
        """Write what belongs before ``until`` seconds of the file's own time; None: the rest."""
        while True:
            packet = self._held or self._next()
            self._held = None
            if packet is None:
                return
            when = packet.dts if packet.dts is not None else packet.pts
            if until is not None and when is not None and float(when * packet.time_base) > until:
                self._held = packet
                return
            self._write(packet)

    def finish(self) -> None:
        """Write all that is left."""
        self.pump(None)
        for made, resampler in self._tracks.values():
            if resampler is not None:
                for frame in resampler.resample(None):
                    self._out.mux(made.encode(frame))
                self._out.mux(made.encode(None))

    def close(self) -> None:
        """Leave the source."""
        self._in.close()

    def _next(self) -> Any:
        try:
            while (packet := next(self._packets, None)) is not None:
                if packet.size:
                    return packet
        except av.error.FFmpegError as error:
            self.notes.append(f"the sound breaks off: {words(error)}")
            self._packets = iter(())
        return None

    def _write(self, packet: Any) -> None:
        made, resampler = self._tracks[packet.stream.index]
        if resampler is None:
            packet.stream = made
            self._out.mux(packet)
            return
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            return
        for frame in frames:
            for part in resampler.resample(frame):
                self._out.mux(made.encode(part))


def _fits(codec: str, container: str) -> bool:
    if container == "mkv":
        return True
    name = "aac" if codec == "aac_latm" else codec.removesuffix("float")
    return name in _FITS[container] or (container == "mov" and codec.startswith("pcm_"))
