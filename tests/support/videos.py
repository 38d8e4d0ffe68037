"""Video files of every kind, made on the spot with PyAV; frame n carries the number n."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.frames import Frame
from tests.support.sources import numbered

__all__ = ["beginning_of", "make_film", "make_sound", "make_video", "read_frames"]


def make_video(
    path: Path,
    *,
    frames: int = 20,
    width: int = 96,
    height: int = 64,
    fps: int = 20,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times: Sequence[float] | None = None,
    rotation: int | None = None,
    draw: Callable[[int], NDArray[np.uint8]] | None = None,
    matrix: int | None = None,
    full_range: bool = False,
) -> Path:
    """Write numbered frames.

    Args:
        path: its suffix chooses the container.
        frames: how many.
        width: pixels.
        height: pixels.
        fps: frames per second, where ``times`` is None.
        codec: FFmpeg's name of the encoder.
        pix_fmt: FFmpeg's name of the pixel format.
        times: seconds at which each frame is shown, for a variable rate.
        rotation: degrees counterclockwise that a player is told to turn the picture.
        draw: makes frame n, uint8 (H, W, 3) BGR; None: :func:`tests.support.sources.numbered`.
        matrix: code of the colour matrix to convert with and to write into the file (1: BT.709, 5: BT.601);
            None: BT.601, and the file does not say so.
        full_range: use luma 0-255 instead of 16-235, and say so in the file.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        if codec.startswith("libx264"):
            stream.options = {"crf": "4", "preset": "veryfast"}
        if matrix is not None:
            stream.codec_context.colorspace = matrix
        if full_range:
            stream.codec_context.color_range = 2
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for number in range(frames):
            image = numbered(width, height, number) if draw is None else draw(number)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(
                format=pix_fmt, dst_colorspace=matrix or 5, dst_color_range=2 if full_range else 1
            )
            frame.colorspace = 2 if matrix is None else matrix
            frame.pts = number if times is None else round(times[number] * 1000)
            frame.time_base = Fraction(1, fps) if times is None else Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def make_film(
    path: Path,
    pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    *,
    fps: int = 30,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    muxer: str | None = None,
) -> Path:
    """Write pictures, uint8 (H, W, 3) BGR of one size, with the encoder's own settings."""
    with av.open(str(path), "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], pix_fmt
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    return path


def beginning_of(source: Path, path: Path, frames: int, size: tuple[int, int]) -> Path:
    """Write the beginning of a clip in another size, at 25 frames a second."""
    with av.open(str(source)) as file, av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number, frame in zip(range(frames), file.decode(video=0), strict=False):
            frame = frame.reformat(*size, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def make_sound(path: Path) -> Path:
    """Write a tenth of a second of silence and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4410), np.float32), format="fltp", layout="mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read_frames(path: Path, count: int) -> list[Frame]:
    """The first ``count`` pictures of a video as numbered frames, in the video's size."""
    frames: list[Frame] = []
    with av.open(str(path)) as container:
        for number, picture in enumerate(container.decode(video=0)):
            frames.append(Frame(picture.to_ndarray(format="bgr24"), number, 0, number))
            if len(frames) == count:
                break
    return frames
