"""PipeWire's plain old data: values with their types in front, as ``spa/pod/pod.h`` lays them out.

Every pod is a size and a type, 32 bits each, and a body that is filled up to 8 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction

__all__ = ["buffers", "header_meta", "raw_video", "video_format_of"]

_ID, _INT, _RECTANGLE, _FRACTION, _OBJECT, _CHOICE = 3, 4, 10, 11, 15, 19
_RANGE, _FLAGS = 1, 4
# Kinds of objects (spa/param/param.h) and what they are parameters of.
_FORMAT, _BUFFERS, _META = 0x40003, 0x40004, 0x40005
ENUM_FORMAT, FORMAT, PARAM_BUFFERS, PARAM_META = 3, 4, 5, 6
# Keys of a format (spa/param/format.h).
_MEDIA_TYPE, _MEDIA_SUBTYPE, _VIDEO_FORMAT, _SIZE, _RATE = 1, 2, 0x20001, 0x20003, 0x20004
_COLOR_RANGE, _COLOR_MATRIX, _TRANSFER, _PRIMARIES = 0x2000C, 0x2000D, 0x2000E, 0x2000F
_VIDEO, _RAW = 2, 1
# spa/param/video/color.h: 16 to 235, BT.601, the curve of BT.709 (which is BT.601's), BT.709's primaries.
_LIMITED, _BT601, _BT709_CURVE, _BT709 = 2, 4, 5, 1
_MEM_FD = 1 << 2
_HEADER, _HEADER_BYTES = 1, 32


def _pod(kind: int, body: bytes) -> bytes:
    return struct.pack("<II", len(body), kind) + body + bytes(-len(body) % 8)


def _id(value: int) -> bytes:
    return _pod(_ID, struct.pack("<I", value))


def _int(value: int) -> bytes:
    return _pod(_INT, struct.pack("<i", value))


def _choice(choice: int, values: Sequence[int]) -> bytes:
    """Of whole numbers: the default first."""
    return _pod(_CHOICE, struct.pack(f"<IIII{len(values)}i", choice, 0, 4, _INT, *values))


def _object(kind: int, what: int, properties: Sequence[tuple[int, bytes]]) -> bytes:
    told = b"".join(struct.pack("<II", key, 0) + value for key, value in properties)
    return _pod(_OBJECT, struct.pack("<II", kind, what) + told)


def raw_video(video_format: int, width: int, height: int, fps: float) -> bytes:
    """Pictures of a camera: BT.601 of limited range.

    Args:
        video_format: its number in ``spa/param/video/raw.h``.
        width: pixels.
        height: pixels.
        fps: how many come a second.
    """
    rate = Fraction(fps).limit_denominator(1001)
    return _object(
        _FORMAT,
        ENUM_FORMAT,
        [
            (_MEDIA_TYPE, _id(_VIDEO)),
            (_MEDIA_SUBTYPE, _id(_RAW)),
            (_VIDEO_FORMAT, _id(video_format)),
            (_SIZE, _pod(_RECTANGLE, struct.pack("<II", width, height))),
            (_RATE, _pod(_FRACTION, struct.pack("<II", rate.numerator, rate.denominator))),
            (_COLOR_RANGE, _id(_LIMITED)),
            (_COLOR_MATRIX, _id(_BT601)),
            (_TRANSFER, _id(_BT709_CURVE)),
            (_PRIMARIES, _id(_BT709)),
        ],
    )


def buffers(size: int, stride: int) -> bytes:
    """Shared memory for some pictures of ``size`` bytes, one block each."""
    return _object(
        _BUFFERS,
        PARAM_BUFFERS,
        [
            (1, _choice(_RANGE, (4, 2, 8))),
            (2, _int(1)),
            (3, _int(size)),
            (4, _int(stride)),
            (6, _choice(_FLAGS, (_MEM_FD, _MEM_FD))),
        ],
    )


def header_meta() -> bytes:
    """With each picture its time and number."""
    return _object(_META, PARAM_META, [(1, _id(_HEADER)), (2, _int(_HEADER_BYTES))])


def video_format_of(pod: bytes) -> int | None:
    """The number of the video format in a format that was agreed upon; None where there is none."""
    for key, value in _properties(pod):
        if key == _VIDEO_FORMAT:
            size, kind = struct.unpack_from("<II", value)
            body = value[8 : 8 + size]
            if kind == _CHOICE:
                body = body[16:]  # the default
            return int(struct.unpack_from("<I", body)[0])
    return None


def _properties(pod: bytes) -> Iterator[tuple[int, bytes]]:
    size, kind = struct.unpack_from("<II", pod)
    at, end = 16, 8 + size
    while kind == _OBJECT and at + 16 <= end:
        key, _, length = struct.unpack_from("<III", pod, at)
        value = pod[at + 8 : at + 16 + length]
        yield key, value
        at += 16 + length + -length % 8
