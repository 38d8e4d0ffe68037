"""A film in which a flash and a tone come at the same time, and functions that find both in a file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.subtitles.subtitle import SubtitleSet

__all__ = [
    "FLASH_S",
    "Track",
    "beep_of",
    "beeps_of",
    "flash_of",
    "flashes_of",
    "make_scene",
    "sound_frames",
    "text_of",
    "with_subtitles",
]

FLASH_S = 0.6
"""When both begin, seconds after the picture does; they last 0.2 s."""
_FPS = 25


@dataclass(frozen=True)
class Track:
    """A sound track.

    Attributes:
        codec: FFmpeg's name of the encoder.
        rate: Hz.
        layout: FFmpeg's name of the channel layout.
        start: when it begins, seconds after the picture (before, where negative).
        end: when it ends, seconds after the picture begins.
        metadata: of the track.
        default: whether it is marked as the default track; None: the container decides.
        packet: samples per packet, where the codec leaves that open.
        spoil: gets number and bytes of each packet, returns the bytes to write; none: the packet is left out.
    """

    codec: str = "aac"
    rate: int = 48_000
    layout: str = "stereo"
    start: float = 0.0
    end: float = 1.2
    metadata: dict[str, str] = field(default_factory=dict)
    default: bool | None = None
    packet: int = 1024
    spoil: Callable[[int, bytes], bytes] = lambda number, data: data


def make_scene(
    path: Path,
    *,
    tracks: Sequence[Track] = (Track(),),
    start: float = 0.0,
    seconds: float = 1.2,
    codec: str = "libx264",
    format: str | None = None,
    container: dict[str, str] | None = None,
    prepare: Callable[[Any, Any], None] = lambda out, picture: None,
) -> Path:
    """Write a dark film with a flash and a tone in each track.

    Args:
        path: the file.
        tracks: its sound tracks.
        start: when the picture begins on the file's own clock, seconds.
        seconds: how long it is.
        codec: of the video.
        format: of the container, where the suffix does not say.
        container: options of the container.
        prepare: gets the container and its video stream before anything is written.
    """
    packets: list[Any] = []
    with av.open(str(path), "w", format=format, container_options=container or {}) as out:
        picture = out.add_stream(codec, rate=_FPS)
        picture.width, picture.height, picture.pix_fmt = 96, 64, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if codec == "libx264":
            picture.options = {"bf": "0", "g": "5"}
        made = [_begun(out, track) for track in tracks]
        prepare(out, picture)
        for number in range(round(seconds * _FPS)):
            bright = FLASH_S <= number / _FPS + 1e-6 < FLASH_S + 0.2
            image = np.full((64, 96, 3), 240 if bright else 16, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=picture.pix_fmt)
            frame.pts, frame.time_base = number + round(start * _FPS), Fraction(1, _FPS)
            packets += picture.encode(frame)
        packets += picture.encode()
        for stream, track in zip(made, tracks, strict=True):
            packets += _tone(stream, track, start)
        packets.sort(key=lambda packet: float((packet.dts or 0) * packet.time_base))
        for packet in packets:
            out.mux(packet)
    return path


def _begun(out: Any, track: Track) -> Any:
    stream = out.add_stream(track.codec, rate=track.rate, layout=track.layout)
    if track.codec.startswith("wma"):
        stream.codec_context.bit_rate = 128_000
    stream.metadata.update(track.metadata)
    if track.default is not None:
        stream.disposition = int(track.default)
    return stream


def _tone(stream: Any, track: Track, start: float) -> list[Any]:
    context = stream.codec_context
    size = context.frame_size or track.packet
    resampler = av.AudioResampler(context.format, track.layout, track.rate)
    made: list[Any] = []
    for first in range(round(track.start * track.rate), round(track.end * track.rate), size):
        t = np.arange(first, first + size) / track.rate
        wave = np.sin(2 * np.pi * 1000 * t) * 12_000 * ((t >= FLASH_S) & (t < FLASH_S + 0.2))
        waves = np.repeat(wave.astype(np.int16), context.layout.nb_channels).reshape(1, -1)
        part = av.AudioFrame.from_ndarray(waves, format="s16", layout=track.layout)
        part.sample_rate, part.time_base = track.rate, Fraction(1, track.rate)
        part.pts = first + round(start * track.rate)
        for each in resampler.resample(part):
            made += stream.encode(each)
    made += stream.encode()
    kept = []
    for number, packet in enumerate(made):
        data = track.spoil(number, bytes(packet))
        if data == bytes(packet):
            kept.append(packet)
        elif data:
            other = av.Packet(data)
            other.pts, other.dts, other.time_base = packet.pts, packet.dts, packet.time_base
            other.duration, other.stream, other.is_keyframe = packet.duration, stream, True
            kept.append(other)
    return kept


def flash_of(path: Path) -> float:
    """When the picture becomes bright, seconds on the file's clock."""
    return flashes_of(path)[0]


def flashes_of(path: Path) -> list[float]:
    """When the picture becomes bright, each time."""
    found, bright = [], False
    with av.open(str(path)) as file:
        for frame in file.decode(video=0):
            before, bright = bright, bool(frame.to_ndarray(format="gray").mean() > 100)
            if bright and not before:
                found.append(float(frame.pts * frame.time_base))
    assert found, "no flash"
    return found


def beep_of(path: Path, track: int = 0) -> float:
    """When a sound track becomes loud, seconds on the file's clock."""
    return beeps_of(path, track)[0]


def beeps_of(path: Path, track: int = 0) -> list[float]:
    """When a sound track becomes loud, seconds, each time after a quarter of a second of silence."""
    found, last = [], -1.0
    resampler = av.AudioResampler("s16", "mono", 8000)
    for frame in sound_frames(path, track):
        for part in resampler.resample(frame) if frame.pts is not None else ():
            loud = np.flatnonzero(np.abs(part.to_ndarray().ravel().astype(int)) > 2500)
            for time in float(part.pts * part.time_base) + loud / 8000:
                if time - last > 0.25:
                    found.append(float(time))
                last = float(time)
    assert found, "no tone"
    return found


def sound_frames(path: Path, track: int = 0) -> Iterator[Any]:
    """The frames of a sound track that can be decoded."""
    with av.open(str(path)) as file:
        for packet in file.demux(audio=track):
            with contextlib.suppress(av.error.FFmpegError):
                yield from packet.decode()


def with_subtitles(clip: Path, path: Path, codec: str, language: str = "deu") -> Path:
    """Write the film with two lines of subtitles, the first in italics."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as out:
        made = {each.index: out.add_stream_from_template(each, opaque=True) for each in source.streams}
        track = out.add_stream(codec)
        track.codec_context.subtitle_header = (
            b"[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\nFormat: Name\r\nStyle: Default\r\n\r\n"
            b"[Events]\r\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n"
        )
        track.time_base = track.codec_context.time_base = Fraction(1, 1000)
        track.metadata["language"] = language
        out.start_encoding()
        for number, (start, end, text) in enumerate(((100, 500, rb"{\i1}hello{\i0}"), (700, 1100, b"two"))):
            line = SubtitleSet.create(b"%d,0,Default,,0,0,0,,%s" % (number, text), 0, end - start)
            packet = track.codec_context.encode_subtitle(line)
            packet.pts = packet.dts = start
            packet.duration, packet.time_base, packet.stream = end - start, Fraction(1, 1000), track
            out.mux(packet)
        for packet in source.demux():
            if packet.size:
                packet.stream = made[packet.stream.index]
                out.mux(packet)
    return path


def text_of(path: Path) -> list[tuple[float, float, str]]:
    """Start, end and text of each subtitle."""
    with av.open(str(path)) as file:
        found = []
        for packet in file.demux(subtitles=0):
            lines = packet.stream.decode(packet) if packet.size else []
            for line in lines:
                start = float(packet.pts * packet.time_base)
                found.append((start, start + float(packet.duration * packet.time_base), line.ass.decode()))
        return [(start, end, text.rpartition(",,")[2]) for start, end, text in found]
