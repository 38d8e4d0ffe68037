"""AVIF files assembled box by box from pictures that Pillow encodes (ISO/IEC 23008-12)."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["coded", "put_together"]


def coded(image: NDArray[np.uint8], **options: Any) -> bytes:
    """An AVIF of one picture, uint8 (H, W, 3) BGR or (H, W) grey; ``options`` go to Pillow."""
    made = io.BytesIO()
    pixels = image[..., ::-1] if image.ndim == 3 else image
    Image.fromarray(np.ascontiguousarray(pixels)).save(made, "AVIF", **{"quality": 95, **options})
    return made.getvalue()


def put_together(
    tiles: Sequence[bytes],
    columns: int,
    size: tuple[int, int],
    *,
    turned: bytes = b"",
    colours: tuple[int, int, int, int] | None = None,
) -> bytes:
    """A file whose picture is a grid of other pictures.

    Args:
        tiles: AVIFs of one picture each, all of the same size.
        columns: tiles per row.
        size: width and height of the whole picture, pixels.
        turned: the boxes ``irot`` and ``imir`` of the whole picture.
        colours: of tiles and whole: primaries, curve, matrix (ISO/IEC 23091-2), and 1 for full range.
    """
    known = [_inside(tile) for tile in tiles]
    rows = len(tiles) // columns
    grid = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *size)
    payloads = [each[b"mdat"] for each in known] + [grid]
    items = range(1, len(payloads) + 1)
    whole = items[-1]

    colour = b"" if colours is None else _box(b"colr", b"nclx" + struct.pack(">HHHB", *colours[:3], colours[3] << 7))
    properties = [
        _box(b"ispe", known[0][b"ispe"]),
        _box(b"av1C", known[0][b"av1C"]),
        _box(b"pixi", b"\0\0\0\0\3\10\10\10"),
    ]
    properties += [_box(b"ispe", bytes(4) + struct.pack(">II", *size))]
    each, all_of = [1, 2, 3], [4, 3]
    if colour:
        properties.append(colour)
        each.append(len(properties))
        all_of.append(len(properties))
    at = 0
    while at < len(turned):
        (length,) = struct.unpack_from(">I", turned, at)
        properties.append(turned[at : at + length])
        all_of.append(len(properties))
        at += length
    links = b"".join(_linked(number, all_of if number == whole else each) for number in items)

    def meta(offsets: Sequence[int]) -> bytes:
        places = b"".join(
            struct.pack(">HHHII", number, 0, 1, offset, len(payload))
            for number, offset, payload in zip(items, offsets, payloads, strict=True)
        )
        kinds = b"".join(
            _box(b"infe", struct.pack(">BBHHH4sB", 2, 0, 0, number, 0, b"grid" if number == whole else b"av01", 0))
            for number in items
        )
        derived = struct.pack(f">HH{len(tiles)}H", whole, len(tiles), *items[:-1])
        return _box(
            b"meta",
            bytes(4)
            + _box(b"hdlr", bytes(8) + b"pict" + bytes(13))
            + _box(b"pitm", bytes(4) + struct.pack(">H", whole))
            + _box(b"iloc", bytes(4) + b"\x44\0" + struct.pack(">H", len(payloads)) + places)
            + _box(b"iinf", bytes(4) + struct.pack(">H", len(payloads)) + kinds)
            + _box(b"iref", bytes(4) + _box(b"dimg", derived))
            + _box(
                b"iprp",
                _box(b"ipco", b"".join(properties))
                + _box(b"ipma", bytes(4) + struct.pack(">I", len(payloads)) + links),
            ),
        )

    head = _box(b"ftyp", b"avif" + bytes(4) + b"avifmif1miaf")
    begin = len(head) + len(meta([0] * len(payloads))) + 8
    offsets = [begin + sum(map(len, payloads[:number])) for number in range(len(payloads))]
    return head + meta(offsets) + _box(b"mdat", b"".join(payloads))


def _linked(number: int, properties: Sequence[int]) -> bytes:
    return struct.pack(f">HB{len(properties)}B", number, len(properties), *properties)


def _box(kind: bytes, contents: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(contents), kind) + contents


def _inside(data: bytes) -> dict[bytes, bytes]:
    """The contents of every box that is needed, at any depth; of each kind the first."""
    found: dict[bytes, bytes] = {}

    def walk(part: bytes) -> None:
        at = 0
        while at + 8 <= len(part):
            size, kind = struct.unpack_from(">I4s", part, at)
            contents = part[at + 8 : at + size]
            found.setdefault(kind, contents)
            if kind in (b"iprp", b"ipco"):
                walk(contents)
            if kind == b"meta":
                walk(contents[4:])
            at += max(size, 8)

    walk(data)
    return found
