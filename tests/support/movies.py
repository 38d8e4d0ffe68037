"""Makes video files with sound, and reads what is in a file: time stamps, sound, pictures."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from rvm_live.media.colour import bgr_of

__all__ = ["Inside", "hidden", "inside", "make_movie", "named", "names", "pictures", "since_start"]


@dataclass(frozen=True)
class Inside:
    """The content of a file.

    Attributes:
        times: of each picture, seconds.
        seconds: length of the video track.
        sound: for each sound track its codec and its packets' bytes.
        sound_times: when each track's sound begins, seconds.
        size: width and height.
        codec: of the video track.
        pix_fmt: pixel format of the video track.
    """

    times: tuple[Fraction, ...]
    seconds: float
    sound: tuple[tuple[str, tuple[bytes, ...]], ...]
    sound_times: tuple[float, ...]
    size: tuple[int, int]
    codec: str
    pix_fmt: str


def make_movie(
    path: Path,
    *,
    frames: int = 24,
    fps: int = 24,
    size: tuple[int, int] = (96, 64),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    sound: tuple[str, ...] = ("aac",),
    rate: int = 48_000,
) -> Path:
    """Write a moving gradient, and a tone for each sound track."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=fps)
        video.width, video.height, video.pix_fmt = *size, pix_fmt
        tracks = []
        for name in sound:
            track = container.add_stream(name, rate=rate)
            track.codec_context.layout = "stereo"
            tracks.append(track)
        for number in range(frames):
            row = np.linspace(40, 200, size[0], dtype=np.uint8)
            image = np.dstack([np.broadcast_to(np.roll(row, 3 * number), size[::-1])] * 3)
            image[:, : size[0] // 2, 2] = 255 - 4 * number % 200
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for number, track in enumerate(tracks):
            _tone(container, track, frames / fps, rate, 220 * (number + 1))
    return path


def _tone(
    container: av.container.OutputContainer, track: av.AudioStream, seconds: float, rate: int, pitch: int
) -> None:
    size, total = track.codec_context.frame_size or 1024, int(seconds * rate)
    resampler = av.AudioResampler(track.codec_context.format, "stereo", rate)
    for start in range(0, total, size):
        t = np.arange(start, min(start + size, total)) / rate
        wave = (np.sin(2 * np.pi * pitch * t) * 8000).astype(np.int16)
        part = av.AudioFrame.from_ndarray(np.stack([wave, wave], 1).reshape(1, -1), format="s16", layout="stereo")
        part.sample_rate, part.pts, part.time_base = rate, start, Fraction(1, rate)
        for each in resampler.resample(part):
            container.mux(track.encode(each))
    container.mux(track.encode())


def since_start(of: Inside) -> list[float]:
    """Times of the pictures since picture or sound begins, seconds; a sound encoder may begin a little earlier."""
    first = float(of.times[0])
    start = min([first, *(each for each in of.sound_times if each < first - 0.1)])
    return [float(each) - start for each in of.times]


def inside(path: Path) -> Inside:
    """Read the content of a file."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        times = tuple(frame.pts * frame.time_base for frame in container.decode(video))
        length = float(video.duration * video.time_base) if video.duration else container.duration / av.time_base
        facts = (video.width, video.height), video.codec_context.name, video.codec_context.pix_fmt or ""
        count = len(container.streams.audio)
        names = [each.codec_context.name for each in container.streams.audio]
    sound, begins = [], []
    for number in range(count):
        with av.open(str(path)) as container:
            packets = [packet for packet in container.demux(audio=number) if packet.size]
            sound.append((names[number], tuple(bytes(packet) for packet in packets)))
            begins.append(float(packets[0].pts * packets[0].time_base))
    return Inside(times, length, tuple(sound), tuple(begins), *facts)


def pictures(path: Path, form: str) -> list[NDArray[np.uint8]]:
    """Every picture, in a pixel format."""
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        # FFmpeg's own conversion to BGR is off by a level and more.
        return [bgr_of(frame) if form == "bgr24" else frame.to_ndarray(format=form) for frame in frames]


def named(path: Path) -> tuple[str, str | None, str]:
    """The video's tag (empty where the container has none), profile and pixel format; ``ffprobe`` must say the same
    where it is installed."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        ours = (video.codec_tag.strip("\0"), video.profile, video.codec_context.pix_fmt or "")
    if shutil.which("ffprobe"):
        what = "stream=codec_tag_string,profile,pix_fmt"
        command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", what, "-of", "json", str(path)]
        (told,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"]
        tag = "" if told["codec_tag_string"].startswith("[0]") else told["codec_tag_string"]
        profile = None if told.get("profile", "unknown") == "unknown" else told["profile"]
        assert (tag, profile, told["pix_fmt"]) == ours
    return ours


def names(folder: Path) -> list[str]:
    """The files in an output folder, without the records of how they were made."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".made.json"))


def hidden(folder: Path) -> list[str]:
    """The hidden files among them, which are leftovers."""
    return [name for name in names(folder) if name.startswith(".")]
