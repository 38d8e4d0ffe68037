"""Short clips as animated GIF and WebP: lossless segments, encoded as a whole at the end, because both encoders need
all pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np

from rvm_live.apps.batch.codecs import CODECS
from rvm_live.apps.batch.companions import Plan
from rvm_live.apps.batch.media import Facts
from rvm_live.apps.batch.movie import MovieWriter
from rvm_live.apps.batch.segments import Segments
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import SettingsError, SinkError
from rvm_live.media.alpha_bleed import bleed
from rvm_live.media.ffmpeg import address, open_file
from rvm_live.media.suffixes import ANIMATIONS
from rvm_live.sinks.recording.writers import Shot

__all__ = ["AnimationWriter", "check_animation"]

_MOST_SECONDS = 60
_MOST_SIDE = 1920
_HALF = 128
_GIF_BASE, _WEBP_BASE = Fraction(1, 100), Fraction(1, 1000)
_SHORTEST = 2
"""Least duration, hundredths of a second: browsers show shorter pictures for ten."""
_WEBP = {"quality": "80", "compression_level": "4"}


def check_animation(container: str, size: tuple[int, int], seconds: float | None) -> None:
    """Refuse a clip that is too long or too large.

    Args:
        container: a key of :data:`~rvm_live.media.suffixes.ANIMATIONS`.
        size: of its pictures, pixels.
        seconds: of the clip; None: not known.

    Raises:
        SettingsError: it is too long or too large.
    """
    if seconds is not None and seconds > _MOST_SECONDS:
        raise SettingsError(
            f"{seconds:.0f} s are too long for {container}, which takes {_MOST_SECONDS} s: choose a part "
            "(--start, --end) "
            "or write .mov or .webm"
        )
    if max(size) > _MOST_SIDE:
        raise SettingsError(
            f"{size[0]}x{size[1]} is too large for {container}, which takes {_MOST_SIDE} pixels on a side: "
            "write .mov or .webm"
        )


class AnimationWriter(MovieWriter):
    """One animation that plays for ever, without sound.

    Args:
        path: of the file.
        track: name of what is in it.
        facts: of the input: its clock is this file's clock.
        segments: of this and the other tracks.
        stopped: called while pictures are encoded; true ends it.
        end_ns: tells at the end when the last frame ends, nanoseconds.
    """

    def __init__(
        self, path: Path, track: str, container: str, facts: Facts, segments: Segments, stopped: Any, end_ns: Any
    ) -> None:
        recipe = replace(CODECS["ffv1"], muxer="matroska")
        super().__init__(path, track, recipe, facts, Plan(path, "mkv", {}), segments, stopped, end_ns)
        self._kind = container

    def write(self, shot: Shot) -> None:
        seconds = (shot.media_ns or 0) / 1e9
        try:  # the length of the file was not known earlier
            check_animation(self._kind, (shot.image.shape[1], shot.image.shape[0]), seconds)
        except SettingsError as error:
            raise SinkError(str(error)) from error
        super().write(shot)

    def _place(self, number: int) -> Path:
        return self._segments.path(self._track, number, ".mkv")

    def _join(self, files: Sequence[Path]) -> list[str]:
        stamps = [stamp * self._facts.time_base for each in self._written for stamp in each]
        make = _gif if self._kind == "gif" else _webp
        return make(self._part, files, stamps, self._end_of(stamps), self._stopped)

    def _end_of(self, stamps: Sequence[Fraction]) -> Fraction:
        end = self._end()
        return stamps[-1] + 1 / self._facts.rate if end is None else end * self._facts.time_base


def _pictures(files: Sequence[Path]) -> Iterator[Bytes]:
    """Each picture of the segments, BGRA or BGR."""
    for path in files:
        with open_file(path) as file:
            for frame in file.decode(video=0):
                grey = frame.format.name == "gray"
                clear = frame.format.name == "bgra"
                yield frame.to_ndarray(format="bgra" if clear else "gray" if grey else "bgr24")


def _as_bgra(picture: Bytes) -> Bytes:
    if picture.ndim == 2:
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGRA), np.uint8)
    return picture if picture.shape[2] == 4 else np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2BGRA), np.uint8)


def _frame(picture: Bytes, pts: int, base: Fraction) -> Any:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgra")
    frame.pts, frame.time_base = pts, base
    return frame


def _gif(path: Path, files: Sequence[Path], stamps: Sequence[Fraction], end: Fraction, stopped: Any) -> list[str]:
    """A GIF: one palette of 256 colours for the whole clip; a pixel is opaque from half alpha on, or clear."""
    times: dict[int, int] = {}  # number of a picture -> its time, hundredths of a second
    for number, stamp in enumerate(stamps):
        time = round(stamp / _GIF_BASE)
        if not times or time - next(reversed(times.values())) >= _SHORTEST:
            times[number] = time
    with open_file(files[0]) as first:
        context = first.streams.video[0].codec_context
        size, clear = (context.width, context.height), context.pix_fmt == "bgra"
    palette = _Graph()
    source = palette.source(size)
    palette.chain(source, ("palettegen", {"reserve_transparent": str(int(clear)), "stats_mode": "full"}))
    for number, picture in enumerate(_pictures(files)):
        if stopped():
            return []
        if number in times:
            source.push(_frame(_hard(picture), times[number], _GIF_BASE))
    source.push(None)
    colours = next(palette.pulled())
    graph = _Graph()
    source, other = graph.source(size), graph.source((colours.width, colours.height))
    graph.chain(source, ("paletteuse", {"alpha_threshold": str(_HALF), "diff_mode": "rectangle"}), other)
    colours.pts, colours.time_base = 0, _GIF_BASE
    other.push(colours)
    other.push(None)
    last = max(_SHORTEST, round(end / _GIF_BASE) - next(reversed(times.values())))
    options = {"loop": "0", "final_delay": str(last), "fflags": "+bitexact"}
    with av.open(address(path), "w", format=ANIMATIONS["gif"], options=options) as out:
        stream: Any = out.add_stream("gif", rate=100)
        stream.width, stream.height, stream.pix_fmt = *size, "pal8"
        stream.time_base = stream.codec_context.time_base = _GIF_BASE
        for number, picture in enumerate(_pictures(files)):
            if stopped():
                return []
            if number in times:
                source.push(_frame(_hard(picture), times[number], _GIF_BASE))
                for made in graph.pulled():
                    out.mux(stream.encode(made))
        source.push(None)
        for made in graph.pulled():
            out.mux(stream.encode(made))
        out.mux(stream.encode(None))
    left_out = len(stamps) - len(times)
    return [f"{left_out} of {len(stamps)} frames left out: a GIF shows at most 50 per second"] if left_out else []


def _hard(picture: Bytes) -> Bytes:
    """A picture whose alpha is only 0 or 255; where it is 0, so is the colour."""
    image = _as_bgra(picture)
    return np.where(image[..., 3:] >= _HALF, image | np.array([0, 0, 0, 255], np.uint8), 0).astype(np.uint8)


def _webp(path: Path, files: Sequence[Path], stamps: Sequence[Fraction], end: Fraction, stopped: Any) -> list[str]:
    """A WebP: colours lossy, alpha without loss."""
    options = {"loop": "0", "fflags": "+bitexact"}
    with av.open(address(path), "w", format=ANIMATIONS["webp"], options=options) as out:
        stream: Any = None
        clear = False
        for stamp, picture in zip(stamps, _pictures(files), strict=True):
            if stopped():
                return []
            if stream is None:
                stream = out.add_stream("libwebp_anim", rate=1000, options=_WEBP)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "bgra"
                stream.time_base = stream.codec_context.time_base = _WEBP_BASE
            clear = picture.ndim == 3 and picture.shape[2] == 4
            out.mux(
                stream.encode(_frame(bleed(picture) if clear else _as_bgra(picture), round(stamp * 1000), _WEBP_BASE))
            )
        out.mux(stream.encode(None))
    if clear:
        _say_clear(path)
    return []


def _say_clear(path: Path) -> None:
    """Set the alpha flag in a WebP's header: libwebp crops frames to their visible part, and forgets alpha that is only
    around them (RIFF's 12 bytes, then the chunk VP8X, whose first byte holds the flag 0x10)."""
    with path.open("r+b") as file:
        head = file.read(21)
        if head[12:16] == b"VP8X":
            file.seek(20)
            file.write(bytes([head[20] | 0x10]))


class _Graph:
    """Filters of FFmpeg in a row."""

    def __init__(self) -> None:
        self._graph = av.filter.Graph()
        self._sink: Any = None

    def source(self, size: tuple[int, int]) -> Any:
        """Add a source of BGRA pictures of a size."""
        return self._graph.add_buffer(width=size[0], height=size[1], format="bgra", time_base=_GIF_BASE)

    def chain(self, source: Any, of: tuple[str, dict[str, str]], other: Any = None) -> None:
        """Put a filter between the sources and the end."""
        node = self._graph.add(of[0], **of[1])
        self._sink = self._graph.add("buffersink")
        source.link_to(node, 0, 0)
        if other is not None:
            other.link_to(node, 0, 1)
        node.link_to(self._sink)
        self._graph.configure()

    def pulled(self) -> Iterator[Any]:
        """The pictures that have come out."""
        while True:
            try:
                yield self._sink.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
