"""What a file holds, through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error

from rvm_live.errors import SourceUnavailableError
from rvm_live.libav import codec_of, open_file, words

__all__ = ["Facts", "count_frames", "facts_of"]


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
                sound=tuple(codec_of(each) for each in container.streams.audio),
            )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SourceUnavailableError(f"{path} is not a video that can be read: {words(error)}") from error


def count_frames(path: Path) -> int:
    """How many pictures a file holds, by its packets.

    Raises:
        SourceUnavailableError: it cannot be read to its end.
    """
    try:
        with open_file(path, metadata_errors="ignore") as container:
            return sum(1 for packet in container.demux(video=0) if packet.size)
    except (av.error.FFmpegError, OSError, ValueError, IndexError) as error:
        raise SourceUnavailableError(f"{path} is not whole: {words(error)}") from error


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            continue
