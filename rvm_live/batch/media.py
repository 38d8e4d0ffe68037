"""What a file holds, and its sound, through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error

from rvm_live.errors import SourceUnavailableError
from rvm_live.libav import open_file

__all__ = ["Facts", "Sound", "count_frames", "facts_of"]

_FITS = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac"},
    "webm": {"opus", "vorbis"},
}
"""Sound that a container takes as it is; Matroska takes everything, QuickTime every PCM, too."""
_INSTEAD = {"mp4": "aac", "mov": "aac", "webm": "libopus"}
_OPUS_RATE = 48_000


@dataclass(frozen=True)
class Facts:
    """What a file tells of its picture and sound.

    Attributes:
        time_base: of the picture's time stamps, seconds.
        first_pts: time stamp of the first frame that decodes.
        rate: nominal frames per second, above 0.
        frames: as many as the file says it has; None where it does not say.
        seconds: length, None where it does not say.
        width: upright, pixels.
        height: likewise.
        sound: codecs of the sound tracks.
    """

    time_base: Fraction
    first_pts: int
    rate: Fraction
    frames: int | None
    seconds: float | None
    width: int
    height: int
    sound: tuple[str, ...]


def facts_of(path: Path) -> Facts:
    """Look into a file, as far as its first frame.

    Raises:
        SourceUnavailableError: it is no video that can be read.
    """
    try:
        with open_file(path, metadata_errors="ignore") as container:
            if not container.streams.video:
                raise SourceUnavailableError(f"{path} holds no picture")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise SourceUnavailableError(f"{path} holds no picture that can be decoded: its codec is not known")
            frame = next(_decoded(container, stream), None)
            if frame is None:
                raise SourceUnavailableError(f"{path} holds no picture that can be decoded: damaged, or cut short")
            rate = stream.average_rate or stream.guessed_rate or Fraction(30)
            turned = round(frame.rotation / 90) % 2 == 1
            size = (frame.height, frame.width) if turned else (frame.width, frame.height)
            base = stream.time_base or 1 / rate
            return Facts(
                time_base=Fraction(base),
                first_pts=frame.pts or 0,
                rate=Fraction(rate),
                frames=stream.frames or None,
                seconds=None if container.duration is None else container.duration / av.time_base,
                width=size[0],
                height=size[1],
                sound=tuple(_codec(each) for each in container.streams.audio),
            )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SourceUnavailableError(f"{path} is not a video that can be read: {_words(error)}") from error


def count_frames(path: Path) -> int:
    """How many pictures a file holds, by its packets.

    Raises:
        SourceUnavailableError: it cannot be read to its end.
    """
    try:
        with open_file(path, metadata_errors="ignore") as container:
            return sum(1 for packet in container.demux(video=0) if packet.size)
    except (av.error.FFmpegError, OSError, ValueError, IndexError) as error:
        raise SourceUnavailableError(f"{path} is not whole: {_words(error)}") from error


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            continue


def _codec(stream: Any) -> str:
    return stream.codec_context.name if stream.codec_context is not None else "unknown codec"


def _words(error: BaseException) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())


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
            codec = _codec(stream)
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
        self._packets = iter(self._in.demux(streams)) if streams else iter(())
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
            self.notes.append(f"the sound breaks off: {_words(error)}")
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
