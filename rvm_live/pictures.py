"""Still pictures from files, of which no more is read or decoded than a picture may take.

OpenCV allocates what a file's header says, up to a gigapixel, and offers no look at the header alone; PyAV decodes the
first picture to tell its size, and takes other parts of a file for the picture than OpenCV does. So the few numbers
are read here, where OpenCV's own decoders read them; a format whose size is not known here is not decoded. In AVIF
alone the size that counts lies inside the coded picture: there FFmpeg's decoder, which obeys a limit, goes first.
"""

from __future__ import annotations

import io
import itertools
import re
import stat
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_BYTES", "MOST_PIXELS", "UnfitPicture", "check_size", "read_encoded", "size_of"]

MOST_BYTES = 256 << 20
"""Of a file. A photograph of 100 megapixels has 20 to 100 MiB."""
MOST_PIXELS = 128_000_000
"""Of a picture: 8K has 33 million, the largest cameras of one shot 102. Decoded, this takes 384 MB."""

_MOST_JPEG2000_PIXELS = 32_000_000  # its decoder takes eight bytes for each value, so eight times the memory
_MOST_SCANS = 100  # of a progressive JPEG, each of which goes over the whole picture; common are 10

_MOST_PARTS = 50_000  # chunks, segments, boxes: a PNG of 256 MiB as most programs write it has 32,768

_Size = tuple[int, int]


class UnfitPicture(ValueError):
    """The file is not decoded; the message is a predicate: "is ...", "has ..."."""


def read_encoded(path: Path) -> NDArray[np.uint8]:
    """The bytes of a picture file, uint8 (N,) and read-only, small enough to be decoded.

    Raises:
        OSError: it cannot be read.
        UnfitPicture: it is no regular file, empty, too large, too large once decoded, or of no known format.
    """
    about = path.stat()
    if stat.S_ISDIR(about.st_mode):
        raise UnfitPicture("is a folder")
    if not stat.S_ISREG(about.st_mode):  # it may have no end, or wait for one
        raise UnfitPicture("is a device or a pipe, not a file")
    if about.st_size > MOST_BYTES:
        raise UnfitPicture(f"has {about.st_size >> 20:,} MiB: pictures of more than {MOST_BYTES >> 20} are not read")
    # Not cv2.imread: on Windows it cannot open a path with letters outside the system's code page.
    with path.open("rb") as file:
        data = file.read(about.st_size)
    if not data:
        raise UnfitPicture("is empty")
    check_size(data)
    return np.frombuffer(data, np.uint8)


def check_size(data: bytes) -> None:
    """Look at the header of a picture file.

    Raises:
        UnfitPicture: decoding it would take too much, or it is of no known format.
    """
    width, height = size_of(data)
    most = _MOST_JPEG2000_PIXELS if _reader(data) is _jpeg2000 else MOST_PIXELS
    if width * height > most:
        raise UnfitPicture(
            f"has {width} x {height} pixels: more than {most // 1_000_000} megapixels are not decoded; scale it down"
        )
    if _reader(data) is _avif:
        _decode_avif(data)


def size_of(data: bytes) -> _Size:
    """Width and height that a picture's header tells, pixels; not yet turned as its EXIF says.

    Raises:
        UnfitPicture: it is of no known format, or ends within its header.
    """
    reader = _reader(data)
    if reader is None:
        raise UnfitPicture("is not a picture that can be read (PNG, JPEG, WebP, AVIF, TIFF, GIF, BMP, JPEG 2000, PNM)")
    try:
        width, height = reader(data)
    except (struct.error, LookupError, ValueError) as error:
        if isinstance(error, UnfitPicture):
            raise
        raise UnfitPicture("is damaged, or not a picture that can be read") from error
    if width < 1 or height < 1:
        raise UnfitPicture("is damaged, or not a picture that can be read")
    return width, height


def _reader(data: bytes) -> Callable[[bytes], _Size] | None:
    head = data[:64]
    for start, reader in _SIGNATURES:
        if re.match(start, head, re.DOTALL):
            return reader
    return None


def _png(data: bytes) -> _Size:
    if data[12:16] != b"IHDR":
        raise ValueError("its first chunk is another")
    sizes: list[_Size] = [struct.unpack_from(">II", data, 16)]
    at = 8
    for _ in _bounded():
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):  # OpenCV allocates a chunk before it reads it
            raise ValueError("it is cut short")
        if kind == b"fcTL":  # a frame of an animation
            sizes.append(struct.unpack_from(">II", data, at + 12))
        if kind == b"IEND":
            break
        at += 12 + length
    return _largest(sizes)


def _jpeg(data: bytes) -> _Size:
    sizes = []
    scans = 0
    for marker, at in _jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 3)
            sizes.append((width, height))
        elif marker == 0xDA and not scans:
            scans = data.count(b"\xff\xda", at)
    if scans > _MOST_SCANS:
        raise UnfitPicture(f"is built up in {scans} passes: more than {_MOST_SCANS} are not decoded; save it anew")
    return _largest(sizes)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Markers up to the first scan, and where their length stands."""
    at = 2
    for _ in _bounded():
        found = re.compile(rb"\xff([^\xff])", re.DOTALL).search(data, at)  # libjpeg passes over what lies between
        if found is None:
            return
        marker, at = found[1][0], found.end()
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            continue
        if marker == 0xD9:
            return
        yield marker, at
        if marker == 0xDA:
            return
        at += max(2, struct.unpack_from(">H", data, at)[0])


def _bmp(data: bytes) -> _Size:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        return struct.unpack_from("<HH", data, 18)
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)


def _gif(data: bytes) -> _Size:
    return struct.unpack_from("<HH", data, 6)


def _webp(data: bytes) -> _Size:
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("no picture comes first")


def _tiff(data: bytes) -> _Size:
    order = "<" if data[0] == 0x49 else ">"
    at = struct.unpack_from(f"{order}I", data, 4)[0]
    told: dict[int, int] = {}
    for number in range(struct.unpack_from(f"{order}H", data, at)[0]):
        tag, kind, count, value = struct.unpack_from(f"{order}HHII", data, at + 2 + 12 * number)
        if kind == 3 and count == 1:  # 16 bits, at the left of the field
            value = struct.unpack_from(f"{order}H", data, at + 10 + 12 * number)[0]
        told[tag] = max(value, told.get(tag, 0))
    width, height = told[256], told[257]
    # A tile or strip may be larger than the picture, and is decoded whole; a strip of all ones is "all in one".
    rows = told.get(278, 0) if told.get(278) != 0xFFFFFFFF else 0
    return _largest([(width, height), (width, rows), (told.get(322, 0), told.get(323, 0))])


def _jpeg2000(data: bytes) -> _Size:
    """The largest that any codestream in the file tells: the decoder goes by the codestream, not by its wrapping."""
    sizes = []
    for found in _bounded(re.finditer(rb"\xff\x4f\xff\x51", data)):
        right, lower, left, upper = struct.unpack_from(">IIII", data, found.start() + 8)
        parts = struct.unpack_from(">H", data, found.start() + 40)[0]
        if parts > 4:
            raise ValueError("more than four planes")
        sizes.append((right - left, lower - upper))
    return _largest(sizes)


def _avif(data: bytes) -> _Size:
    """The largest of its parts' sizes (``ispe`` properties)."""
    at = 0
    for _ in _bounded():
        if data[at + 4 : at + 8] == b"meta":
            break
        size = struct.unpack_from(">I", data, at)[0]
        if size == 1:
            size = struct.unpack_from(">Q", data, at + 8)[0]
        if not 8 <= size < len(data):
            raise ValueError("a part has no end")
        at += size
    meta = data[at : at + struct.unpack_from(">I", data, at)[0]]
    return _largest([struct.unpack_from(">II", meta, each.end() + 4) for each in _bounded(re.finditer(b"ispe", meta))])


def _decode_avif(data: bytes) -> None:
    """Decode its parts once with a decoder that obeys a limit."""
    import av

    limit = {"max_pixels": str(MOST_PIXELS)}
    try:
        with av.open(io.BytesIO(data), options=limit, metadata_errors="ignore") as container:
            for stream in container.streams.video:
                if stream.codec_context is None:
                    raise UnfitPicture("is damaged, or of a kind of AVIF that is not known")
                stream.codec_context.options = limit
            for packet in container.demux(video=list(range(len(container.streams.video)))):
                packet.decode()
    except av.FFmpegError as error:
        raise UnfitPicture("is damaged, or larger than its header says") from error


def _bounded(parts: Iterable[Any] = itertools.repeat(None)) -> Iterator[Any]:
    """The parts of a file, of which it has few, unless it is to keep us busy."""
    for number, part in enumerate(parts):
        if number == _MOST_PARTS:
            raise ValueError("too many parts")
        yield part


def _largest(sizes: list[_Size]) -> _Size:
    return max(sizes, key=lambda size: size[0] * size[1])


def _pnm(data: bytes) -> _Size:
    gap = rb"(?:\s|#[^\r\n]*[\r\n])+"
    found = re.match(rb"P[1-6]" + gap + rb"(\d{1,9})" + gap + rb"(\d{1,9})\s", data[:4096])
    if found is None:
        raise ValueError("no size")
    return int(found[1]), int(found[2])


_SIGNATURES: list[tuple[bytes, Callable[[bytes], _Size]]] = [
    (rb"\x89PNG\r\n\x1a\n", _png),
    (rb"\xff\xd8\xff", _jpeg),
    (rb"BM", _bmp),
    (rb"GIF8", _gif),
    (rb"RIFF....WEBP", _webp),
    (rb"II\x2a\0|MM\0\x2a", _tiff),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", _jpeg2000),
    (rb"....ftyp.{0,52}avi[fs]", _avif),
    (rb"P[1-6]\s", _pnm),
]
