"""Structure of an AVIF picture: its coded parts, and how it is rotated (ISO/IEC 23008-12).

A reader of our own, because no library here gives this: PyAV decodes the coded pictures, and says nothing of tiles and
turns.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Layout", "layout_of"]

_MOST = 50_000  # boxes, items, tiles; files with more are meant to keep us busy

_Properties = dict[bytes, bytes]


class Layout(NamedTuple):
    """The layout of the primary picture.

    Attributes:
        tiles: numbers of the coded pictures, row by row; one where it is not tiled.
        columns: tiles in a row.
        width: of the whole before it is turned, pixels; tiles may stick out to the right and below.
        height: likewise.
        quarters: quarter turns counterclockwise.
        mirrored: after that; ``x`` left and right, ``y`` top and bottom, or empty.
        colours: primaries, curve and matrix (ISO/IEC 23091-2), and whether the range is full; None where only the
            coded pictures tell.
    """

    tiles: tuple[int, ...]
    columns: int
    width: int
    height: int
    quarters: int
    mirrored: str
    colours: tuple[int, int, int, bool] | None


def layout_of(data: bytes) -> Layout:
    """Read a file's ``meta`` box.

    Raises:
        ValueError: it has none, or a damaged one.
    """
    try:
        return _layout(_inside(data, 0, len(data))[b"meta"])
    except (struct.error, LookupError) as error:
        raise ValueError("its description is damaged") from error


def _layout(meta: bytes) -> Layout:
    parts = _inside(meta, 4, len(meta))
    (primary,) = struct.unpack_from(">I" if parts[b"pitm"][0] else ">H", parts[b"pitm"], 4)
    properties = _properties(parts[b"iprp"])
    own = properties[primary]
    width, height = struct.unpack_from(">II", own[b"ispe"], 4)
    tiles = _tiles(parts.get(b"iref", b"")).get(primary, (primary,))
    across = struct.unpack_from(">I", properties[tiles[0]][b"ispe"], 4)[0]
    columns = -(-width // across)
    if not columns or len(tiles) % columns:
        raise ValueError("its tiles do not form a rectangle")
    return Layout(
        tiles,
        columns,
        width,
        height,
        quarters=own.get(b"irot", b"\0")[0] & 3,
        mirrored="" if b"imir" not in own else "x" if own[b"imir"][0] & 1 else "y",
        colours=_colours(own.get(b"colr", properties[tiles[0]].get(b"colr", b""))),
    )


def _colours(told: bytes) -> tuple[int, int, int, bool] | None:
    if not told:
        return None
    primaries, curve, matrix, flags = struct.unpack_from(">HHHB", told, 4)
    return primaries, curve, matrix, flags >= 0x80


def _tiles(references: bytes) -> dict[int, tuple[int, ...]]:
    """Which pictures are derived from which others, by their numbers."""
    found = {}
    if references:
        kind = ">I" if references[0] else ">H"
        size = struct.calcsize(kind)
        for name, start, end in _boxes(references, 4, len(references)):
            if name == b"dimg":
                count = struct.unpack_from(">H", references, start + size)[0]
                numbers = struct.unpack_from(f">{count}{kind[1]}", references[:end], start + size + 2)
                if numbers:
                    found[struct.unpack_from(kind, references, start)[0]] = numbers
    return found


def _properties(described: bytes) -> dict[int, _Properties]:
    """The properties of each picture, by its number."""
    parts = _inside(described, 0, len(described))
    container, links = parts[b"ipco"], parts[b"ipma"]
    known = [(name, container[start:end]) for name, start, end in _boxes(container, 0, len(container))]
    # ICC profiles are ignored.
    known = [(b"" if name == b"colr" and told[:4] != b"nclx" else name, told) for name, told in known]
    wide_number, wide_index = links[0] > 0, links[3] & 1
    found: dict[int, _Properties] = {}
    at = 8
    for _ in range(min(struct.unpack_from(">I", links, 4)[0], _MOST)):
        number, count = struct.unpack_from(">IB" if wide_number else ">HB", links, at)
        at += 5 if wide_number else 3
        indices = struct.unpack_from(f">{count}{'H' if wide_index else 'B'}", links, at)
        at += count * (2 if wide_index else 1)
        # The highest bit marks an essential property; index 0 means no property.
        chosen = [index & (0x7FFF if wide_index else 0x7F) for index in indices]
        found[number] = dict(known[index - 1] for index in chosen if index)
    return found


def _inside(data: bytes, at: int, end: int) -> dict[bytes, bytes]:
    """The contents of the boxes in one, by kind; of several of a kind the last."""
    return {name: data[start:stop] for name, start, stop in _boxes(data, at, end)}


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, and where the contents begin and end."""
    for _ in range(_MOST):
        if at + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            size = struct.unpack_from(">Q", data, start)[0]
            start += 8
        stop = end if size == 0 else at + size
        if not start <= stop <= end:
            raise ValueError("a part has no end")
        yield kind, start, stop
        at = stop
