"""Reads the headers of picture files: size, format, EXIF, animation; at the same places as OpenCV's decoders.

A reader of our own, because no library here does it: OpenCV and PyAV tell the size of a picture only with the memory
for it already taken, and what they decode has to be found by the same rules by which they find it.
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

__all__ = [
    "MOST_PIXELS",
    "UnfitPicture",
    "exif_of",
    "is_animation",
    "is_avif",
    "is_jpeg2000",
    "is_picture",
    "moves",
    "size_of",
]

_MOST_SCANS = 100  # scans of a progressive JPEG, each of which covers the whole picture; 10 are common

_MOST_PARTS = 50_000  # chunks, segments, boxes: a PNG of 256 MiB as written by most programs has 32,768

_Size = tuple[int, int]


MOST_PIXELS = 128_000_000
"""Most pixels of a picture: 8K has 33 million, the largest single-shot cameras 102 million. Decoded, this takes 384
MB."""


class UnfitPicture(ValueError):
    """The file is not decoded; the message is a predicate: "is ...", "has ..."."""


def size_of(data: bytes) -> _Size:
    """Width and height in a picture's header, pixels; not yet rotated as its EXIF says.

    Raises:
        UnfitPicture: its format is unknown, or it ends within its header.
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


def is_picture(head: bytes) -> bool:
    """Whether a file that begins so (64 bytes) is a picture, or an animation, of a known format but GIF."""
    return _reader(head) not in (None, _gif)


def is_avif(data: bytes) -> bool:
    """Whether a file is an AVIF."""
    return _reader(data) is _avif


def is_jpeg2000(data: bytes) -> bool:
    """Whether a file is a JPEG 2000."""
    return _reader(data) is _jpeg2000


def moves(data: bytes) -> str:
    """Whether a picture file, or its first 256 KiB, is an animation: ``png``, ``webp``, ``avif``, ``gif``; or empty."""
    reader = _reader(data)
    if reader is _gif:
        return "gif"
    if reader is _webp and data[12:16] == b"VP8X" and data[20] & 2:
        return "webp"
    if reader is _avif and b"avis" in data[8 : int.from_bytes(data[:4], "big")]:
        return "avif"
    if reader is _png:
        at = data.find(b"acTL", 8, max(data.find(b"IDAT"), 0))
        return "png" if at > 0 and data[at + 4 : at + 8] > b"\0\0\0\1" else ""
    return ""


def is_animation(path: Path) -> bool:
    """Whether a file is a picture that moves.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return bool(moves(file.read(1 << 18)))


def exif_of(data: bytes) -> bytes:
    """The EXIF of a PNG, JPEG or WebP from its byte order on; empty where it has none. TIFF and AVIF do not need it."""
    found = b""
    try:
        reader = _reader(data)
        if reader is _png:
            found = next((data[at : at + size] for kind, at, size in _png_chunks(data) if kind == b"eXIf"), b"")
        elif reader is _webp:
            found = next((data[at : at + size] for kind, at, size in _riff_chunks(data) if kind == b"EXIF"), b"")
        elif reader is _jpeg:
            for marker, at in _jpeg_segments(data):
                if marker == 0xE1 and data[at + 2 : at + 6] == b"Exif":
                    found = data[at + 2 : at + struct.unpack_from(">H", data, at)[0]]
                    break
    except (struct.error, ValueError):
        pass
    return found[6:] if found.startswith(b"Exif\0") else found


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind of each chunk, where its contents begin, and their length."""
    at = 8
    for _ in _bounded():
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):  # OpenCV allocates a chunk before it reads it
            raise ValueError("it is cut short")
        yield kind, at + 8, length
        if kind == b"IEND":
            return
        at += 12 + length


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Likewise."""
    at = 12
    for _ in _bounded():
        if at + 8 > len(data):
            return
        kind, length = struct.unpack_from("<4sI", data, at)
        yield kind, at + 8, length
        at += 8 + length + length % 2


def _reader(data: bytes) -> Callable[[bytes], _Size] | None:
    head = data[:64]
    for start, reader in _SIGNATURES:
        if re.match(start, head, re.DOTALL):
            return reader
    return None


def _png(data: bytes) -> _Size:
    if data[12:16] != b"IHDR":
        raise ValueError("it does not start with its header")
    sizes: list[_Size] = [struct.unpack_from(">II", data, 16)]
    for kind, at, _ in _png_chunks(data):
        if kind == b"fcTL":  # a frame of an animation
            sizes.append(struct.unpack_from(">II", data, at + 4))
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
        raise UnfitPicture(f"has {scans} passes: more than {_MOST_SCANS} are not decoded; save it again")
    return _largest(sizes)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Markers up to the first scan, and where their length stands."""
    at = 2
    for _ in _bounded():
        found = re.compile(rb"\xff([^\xff])", re.DOTALL).search(data, at)  # libjpeg skips other bytes in between
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
    raise ValueError("it does not start with a picture")


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
    # A tile or strip may be larger than the picture and is decoded whole; a strip height of all one bits means "all in
    # one".
    rows = told.get(278, 0) if told.get(278) != 0xFFFFFFFF else 0
    return _largest([(width, height), (width, rows), (told.get(322, 0), told.get(323, 0))])


def _jpeg2000(data: bytes) -> _Size:
    """The largest size in any codestream of the file: the decoder goes by the codestream, not by its wrapping."""
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


def _bounded(parts: Iterable[Any] = itertools.repeat(None)) -> Iterator[Any]:
    """The parts of a file one by one; too many are refused: a normal file has few."""
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
