"""Decodes still pictures: complete, upright, in BT.709 colours.

OpenCV decodes them, but for AVIF, whose tiles, turns, curves and ranges FFmpeg tells. How a picture lies is read here:
which EXIF OpenCV finds depends on its version.
"""

from __future__ import annotations

import io
import os
import re
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import av
import av.error
import cv2
import numpy as np

from rvm_live.core.arrays import Bytes
from rvm_live.media.avif import layout_of
from rvm_live.media.colour import bgr_of
from rvm_live.media.ffmpeg import opened
from rvm_live.media.image_files import MOST_PIXELS, read_encoded
from rvm_live.media.image_headers import (
    UnfitPicture,
    exif_of,
    is_avif,
    is_picture,
    moves,
    size_of,
)
from rvm_live.media.suffixes import PICTURES
from rvm_live.media.tone_mapping import kind_of

__all__ = ["Still", "as_film", "check", "decode"]

_MOST_MOVING = 8 * MOST_PIXELS  # all pictures of an animation together
_AT_ONCE = MOST_PIXELS // 4
_RATE = 25  # frame rate of a film made of one picture


class Still(NamedTuple):
    """A decoded picture.

    Attributes:
        image: uint8 (h, w, 3) BGR, upright, C-contiguous.
        told: a note for the user, a predicate; empty: none.
    """

    image: Bytes
    told: str = ""


def decode(encoded: Bytes) -> Still:
    """Decode a picture, of an animation the first.

    Args:
        encoded: the file's bytes, as :func:`~rvm_live.media.image_files.read_encoded` gives them.

    Raises:
        UnfitPicture: it is damaged.
    """
    data = encoded.tobytes()
    if is_avif(data):
        return _avif(data)
    with _hushed():
        try:
            image = cv2.imdecode(encoded, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error:
            image = None
    if image is None:
        raise UnfitPicture("is damaged, or not a picture that can be read")
    number = _orientation(exif_of(data))
    mirrored = {2: "x", 3: "xy", 4: "y", 6: "x", 7: "xy", 8: "y"}.get(number, "")
    return Still(_upright(image, transposed=number >= 5, mirrored=mirrored))


def check(encoded: Bytes) -> None:
    """Check, faster than :func:`decode`, whether a picture can be decoded.

    Raises:
        UnfitPicture: it is damaged.
    """
    if is_avif(encoded.tobytes()):
        return  # ``read_encoded`` has decoded it
    with _hushed():
        try:
            small = cv2.imdecode(encoded, cv2.IMREAD_REDUCED_GRAYSCALE_8)
        except cv2.error:  # a side shorter than eight pixels, or damage
            small = None
    if small is None:
        decode(encoded)


def _avif(data: bytes) -> Still:
    try:
        layout = layout_of(data)
        frames = _coded(data, set(layout.tiles))
        if sum(frames[number].width * frames[number].height for number in layout.tiles) > 2 * MOST_PIXELS:
            raise ValueError("its tiles are more than its header says")
        if layout.colours is not None:  # these have priority over the values in the coded pictures (ISO/IEC 23000-22)
            for frame in frames.values():
                _tag(frame, *layout.colours)
        rows = [layout.tiles[at : at + layout.columns] for at in range(0, len(layout.tiles), layout.columns)]
        image = cv2.vconcat([cv2.hconcat([bgr_of(frames[number]) for number in row]) for row in rows])
    except (av.FFmpegError, cv2.error, KeyError, ValueError) as error:
        raise UnfitPicture("is damaged, or an unknown kind of AVIF") from error
    image = image[: layout.height, : layout.width]
    # A counterclockwise turn is a transpose, then a flip of top and bottom; clockwise: of left and right.
    turned = ("", "y", "xy", "x")[layout.quarters]
    mirrored = "".join(sorted({*turned} ^ {*layout.mirrored}))
    wide = kind_of(frames[layout.tiles[0]])
    image = _upright(image, transposed=layout.quarters % 2 == 1, mirrored=mirrored)
    return Still(image, "" if wide is None else f"is {wide}")


def _tag(frame: Any, primaries: int, curve: int, matrix: int, full: bool) -> None:
    frame.color_primaries, frame.color_trc, frame.color_range = primaries, curve, 2 if full else 1
    if not frame.format.is_rgb:
        frame.colorspace = matrix


def _coded(data: bytes, wanted: set[int]) -> dict[int, Any]:
    """The coded pictures of a file, by their numbers."""
    found: dict[int, Any] = {}
    with opened(io.BytesIO(data), options={"max_pixels": str(MOST_PIXELS)}) as container:
        streams = [each for each in container.streams.video if each.id in wanted]
        for packet in container.demux(streams):
            for frame in packet.decode():
                found.setdefault(packet.stream.id, frame)
    return found


def _upright(image: Bytes, *, transposed: bool, mirrored: str) -> Bytes:
    turned = cv2.transpose(image) if transposed else image
    if mirrored:
        turned = cv2.flip(turned, {"x": 1, "y": 0, "xy": -1}[mirrored])
    return np.ascontiguousarray(turned)


def _orientation(exif: bytes) -> int:
    """1 to 8, 1 where it is not told (CIPA DC-008, 4.6.4, tag 0x0112)."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    try:
        if order is not None:
            at = struct.unpack_from(f"{order}I", exif, 4)[0]
            for number in range(struct.unpack_from(f"{order}H", exif, at)[0]):
                tag, kind = struct.unpack_from(f"{order}HH", exif, at + 2 + 12 * number)
                if tag == 0x0112:
                    told: int = struct.unpack_from(f"{order}{'I' if kind == 4 else 'H'}", exif, at + 10 + 12 * number)[
                        0
                    ]
                    return told if 1 <= told <= 8 else 1
    except struct.error:
        pass
    return 1


def as_film(path: Path) -> io.BytesIO | None:
    """A file that is one picture, or an animation that FFmpeg cannot read (WebP), as a film without loss.

    Args:
        path: any file; its suffix and its contents tell together whether it is a picture, for a stream of JPEGs, say,
            begins as one does.

    Returns:
        A QuickTime file; None where FFmpeg is to read the file as the film that it is.

    Raises:
        OSError: it cannot be read.
        UnfitPicture: it is a picture, and damaged, or takes too much.
    """
    if path.suffix.lower() not in PICTURES or not path.is_file():
        return None
    with path.open("rb") as file:
        if not is_picture(file.read(64)):
            return None
    about = path.stat()
    film = _film(path, (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns))
    return None if film is None else io.BytesIO(film)


@lru_cache(maxsize=1)  # a looping background opens its file every few seconds
def _film(path: Path, _identity: tuple[int, ...]) -> bytes | None:
    encoded = read_encoded(path)
    moving = moves(encoded.tobytes())
    if moving and moving != "webp":
        return None
    pictures = _animation(encoded) if moving else iter([(decode(encoded).image, 1000 // _RATE)])
    file, stream, end = io.BytesIO(), None, 0
    with av.open(file, "w", format="mov") as container:
        for image, length in pictures:
            if stream is None:
                stream = container.add_stream("qtrle", rate=_RATE)
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = "rgb24"
                stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="rgb24")
            frame.pts, frame.time_base = end, Fraction(1, 1000)
            end += length
            for packet in stream.encode(frame):
                packet.duration = length
                container.mux(packet)
    return file.getvalue()


def _animation(encoded: Bytes) -> Iterator[tuple[Bytes, int]]:
    """Pictures, and how long each is seen, milliseconds."""
    width, height = size_of(encoded.tobytes())
    at_once = max(1, _AT_ONCE // (width * height))
    most = max(1, _MOST_MOVING // (width * height))
    for start in range(0, most + 1, at_once):
        try:
            good, found = cv2.imdecodeanimation(encoded, start, at_once)
        except (AttributeError, cv2.error) as error:  # OpenCV has it since 4.11
            raise UnfitPicture(f"is an animation that cannot be read: {' '.join(str(error).split())}") from error
        if not good:
            if start:
                return
            raise UnfitPicture("is damaged, or not a picture that can be read")
        for image, length in zip(found.frames, found.durations, strict=True):
            # Like browsers: durations that are too short to be meant become 100 ms.
            yield np.ascontiguousarray(image[..., :3]), int(length) if length > 10 else 100
        if len(found.frames) < at_once:
            return
    raise UnfitPicture(f"has more than {most} pictures of {width} x {height}: make a video of it")


_CHATTER = re.compile(
    rb"libpng (warning|error): |Corrupt JPEG data|Premature end of JPEG|Unsupported JPEG|Warning: unknown JFIF"
    rb"|Unknown Adobe color|Inconsistent progression|Invalid SOS|Invalid progressive|Application transferred"
)
_hushing = threading.Lock()


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep libpng and libjpeg from writing to standard error, which OpenCV lets them; what others write there stays."""
    with _hushing, ExitStack() as stack:
        try:
            kept = stack.enter_context(tempfile.TemporaryFile())
            own = os.dup(2)
        except OSError:  # no place to write, or no standard error
            yield
            return
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(own, 2)
            os.close(own)
            kept.seek(0)
            if others := b"".join(line for line in kept if not _CHATTER.match(line)):
                os.write(2, others)
