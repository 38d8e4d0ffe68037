"""A part of the small picture, on a grid on which recurrent states move by whole cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rvm_live.core.arrays import Floats
from rvm_live.core.errors import EngineError

__all__ = ["GRID", "Region", "around", "moved", "placed", "whole"]

GRID = 16
"""A cell of the deepest level of the networks, in pixels they see: at each level a region begins at a whole cell."""
_STEP = 2
"""Sizes are multiples of so many cells, so that a moving person needs few of them: each size is compiled separately."""


class Region(NamedTuple):
    """Pixels of the small picture: from ``left`` and ``top`` up to ``right`` and ``bottom``."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top

    @property
    def area(self) -> int:
        return (self.right - self.left) * (self.bottom - self.top)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Lines and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def joined(self, other: Region | None) -> Region:
        """The smallest that holds both."""
        if other is None:
            return self
        first = min(self.left, other.left), min(self.top, other.top)
        return Region(*first, max(self.right, other.right), max(self.bottom, other.bottom))

    def holds(self, other: Region, spare: int, size: tuple[int, int]) -> bool:
        """Whether ``other`` lies in it, with a margin in pixels on each side that is not the picture's edge."""
        return (
            (self.left == 0 or other.left >= self.left + spare)
            and (self.top == 0 or other.top >= self.top + spare)
            and (self.right == size[0] or other.right <= self.right - spare)
            and (self.bottom == size[1] or other.bottom <= self.bottom - spare)
        )


def whole(size: tuple[int, int]) -> Region:
    """All of a picture of a width and height."""
    return Region(0, 0, *size)


def around(person: Region, margin: int, size: tuple[int, int]) -> Region:
    """The region to look at for a person who is there: on the grid, and down to the picture's lower edge, because parts
    of a person that a network misses there in its first frames would stay missing.

    Args:
        person: the pixels the person takes.
        margin: pixels round the person.
        size: width and height of the small picture.
    """
    width, height = size
    columns = -(-width // GRID)
    first, last = max(0, (person.left - margin) // GRID), min(columns, -(-(person.right + margin) // GRID))
    if (last - first) % _STEP:
        first, last = (first, last + 1) if last < columns else (max(0, first - 1), last)
    top = max(0, (person.top - margin) // GRID) // _STEP * _STEP
    return Region(first * GRID, top * GRID, min(last * GRID, width), height)


def placed(model: Sequence[Floats], region: Region, size: tuple[int, int]) -> list[Floats]:
    """The linear model of a region, extended to the whole picture: no person elsewhere, and the colours there are the
    picture's own.

    Args:
        model: slope and offset of alpha (h, w); perhaps slope and offset of the foreground (h, w, 3), or more planes.
        region: where they are from.
        size: width and height of the small picture.

    Returns:
        The same for the whole picture; new arrays, unless the region is all of it.
    """
    if region.size == size:
        return list(model)
    parts = []
    for index, part in enumerate(model):
        # Slope of the colours: 1 outside the region keeps the picture.
        fill = np.ones if index == 2 and part.ndim == 3 else np.zeros
        wide = fill((size[1], size[0], *part.shape[2:]), np.float32)
        wide[region.slices] = part
        parts.append(wide)
    return parts


def moved(states: Sequence[Floats], before: Region, after: Region) -> list[Floats]:
    """Recurrent states of a region as another one sees them, moved by whole cells; 0 where nothing was seen before.

    Args:
        states: float32 (1, C, h, w), each at a power of two of the region's size, rounded up.
        before: where they are from.
        after: where they go.
    """
    shifted = []
    for state in states:
        cell, padded = _cell(before.size, (state.shape[3], state.shape[2]))
        width, height = _cells(after.size, cell, padded)
        there = np.zeros((*state.shape[:2], height, width), np.float32)
        across, down = (before.left - after.left) // cell, (before.top - after.top) // cell
        x0, x1 = max(0, across), min(width, across + state.shape[3])
        y0, y1 = max(0, down), min(height, down + state.shape[2])
        if x0 < x1 and y0 < y1:
            there[:, :, y0:y1, x0:x1] = state[:, :, y0 - down : y1 - down, x0 - across : x1 - across]
        shifted.append(there)
    return shifted


def _cell(size: tuple[int, int], cells: tuple[int, int]) -> tuple[int, bool]:
    """How many pixels of a side a cell of a state is, and whether the network continues sides to the grid."""
    for cell in (1 << level for level in range(8)):
        for padded in (False, True):
            if _cells(size, cell, padded) == cells:
                return cell, padded
    raise EngineError(f"a state of {cells[0]}x{cells[1]} does not belong to {size[0]}x{size[1]} pixels")


def _cells(size: tuple[int, int], cell: int, padded: bool) -> tuple[int, int]:
    width, height = (-(-side // GRID) * GRID if padded else side for side in size)
    return -(-width // cell), -(-height // cell)
