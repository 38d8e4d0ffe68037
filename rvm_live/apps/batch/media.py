"""Facts about a media file, through PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import av.error

from rvm_live.apps.batch.labels import timecode_of
from rvm_live.core.errors import SourceUnavailableError, words_of
from rvm_live.media.facts import UnreadableVideo, facts_of_frame, reshaped
from rvm_live.media.ffmpeg import codec_of, open_file
from rvm_live.media.reading import Reading
from rvm_live.media.timecode import Timecode

__all__ = ["Facts", "count_frames", "facts_of", "facts_of_row"]


@dataclass(frozen=True)
class Facts:
    """Facts about a file's picture and sound.

    Attributes:
        time_base: of the picture's time stamps, seconds; they count from the file's beginning.
        rate: nominal frames per second, above 0.
        frames: number of frames according to the file; None if it does not say.
        seconds: length, None where it does not say.
        width: upright, pixels.
        height: likewise.
        pixel: width of a pixel for its height, upright.
        sound: codecs of the sound tracks.
        timecode: of the first picture, where it has one.
    """

    time_base: Fraction
    rate: Fraction
    frames: int | None
    seconds: float | None
    width: int
    height: int
    pixel: Fraction
    sound: tuple[str, ...]
    timecode: Timecode | None = None


def facts_of(path: Path, *, square: bool = False) -> Facts:
    """Look into a file, as far as its first frame.

    Args:
        path: of the file.
        square: describe the picture after its pixels have been made square.

    Raises:
        SourceUnavailableError: it is not a video that can be read.
    """
    try:
        reading = Reading(lambda: open_file(path), str(path))
        with closing(reading):
            shown = next(reading.pictures())
            container, stream = reading.container, reading.stream
            picture = facts_of_frame(shown.frame, stream)
            size, pixel = (picture.width, picture.height), picture.pixel
            if square:
                size, pixel = reshaped(size, pixel), Fraction(1)
            rate = reading.rate or Fraction(30)
            return Facts(
                time_base=Fraction(stream.time_base or 1 / rate),
                rate=rate,
                frames=stream.frames or None,
                seconds=None if container.duration is None else container.duration / av.time_base,
                width=size[0],
                height=size[1],
                pixel=pixel,
                sound=tuple(codec_of(each) for each in container.streams.audio),
                timecode=Timecode.parse(timecode_of(container)),
            )
    except UnreadableVideo as error:
        raise SourceUnavailableError(f"{path} {error}") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SourceUnavailableError(f"{path} is not a video that can be read: {words_of(error)}") from error


def facts_of_row(pictures: Sequence[Path], fps: float, *, square: bool = False) -> Facts:
    """Of numbered pictures as the frames of a clip: the first one's, and the times of all.

    Args:
        pictures: at least one, in order.
        fps: frames per second.
        square: as for :func:`facts_of`.

    Raises:
        SourceUnavailableError: the first one is not a picture that can be read.
    """
    rate, count = Fraction(fps).limit_denominator(1001), len(pictures)
    first = facts_of(pictures[0], square=square)
    return replace(first, time_base=1 / rate, rate=rate, frames=count, seconds=float(count / rate), sound=())


def count_frames(path: Path) -> int:
    """How many pictures a file holds, by its packets.

    Raises:
        SourceUnavailableError: it cannot be read to its end.
    """
    try:
        with open_file(path) as container:
            return sum(1 for packet in container.demux(video=0) if packet.size)
    except (av.error.FFmpegError, OSError, ValueError, IndexError) as error:
        raise SourceUnavailableError(f"{path} is not complete: {words_of(error)}") from error
