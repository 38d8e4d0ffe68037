"""What :mod:`rvm_live.compositing.edge` does at the person's edge, compiled by Numba: only where something changes.

Pixels lie in a box of larger pictures, whose upper left corner is given; models have a cell for every 4 x 4 of them.
"""

# mypy: allow-untyped-decorators, allow-untyped-defs, allow-incomplete-defs
from __future__ import annotations

from typing import Any

import numba
import numpy as np

from rvm_live.finishing.lines import FULL, jit, read, rounded
from rvm_live.finishing.one_pass import CELL, LEAST_SUM

__all__ = ["cleaned", "hued", "mixed", "spread", "summed"]

_LEAST = np.float32(LEAST_SUM)
_ONE, _TWO, _NONE = np.float32(1), np.float32(2), np.float32(0)
_PER_CELL = np.float32(1 / CELL**2)
_PER_LEVEL = np.float32(1 / 255)
_u8, _f32, _int = numba.uint8, numba.float32, numba.intp


@jit()
def _added(line: Any, alpha: Any, limit: Any, table: Any, wanted: Any, into: Any) -> None:
    """A line of pixels in the sums of its cells."""
    for j in range(len(wanted)):
        if wanted[j] > 0:
            b, g, r, n = _NONE, _NONE, _NONE, _NONE
            for k in range(min(len(alpha) - CELL * j, CELL)):
                x = CELL * j + k
                weight = np.float32(table[min(alpha[x], limit[x])])
                b += weight * np.float32(line[3 * x])
                g += weight * np.float32(line[3 * x + 1])
                r += weight * np.float32(line[3 * x + 2])
                n += weight
            if n > _NONE:
                into[4 * j] += b
                into[4 * j + 1] += g
                into[4 * j + 2] += r
                into[4 * j + 3] += n


@jit(read(_u8, 3), _int, _int, read(_u8, 2), read(_u8, 2), read(_u8, 1), read(_u8, 2), _f32[:, :, ::1])
def summed(colour: Any, top: Any, left: Any, alpha: Any, limit: Any, table: Any, wanted: Any, sums: Any) -> None:
    """The weighted mean colour, and the weight, of each cell that is wanted; elsewhere 0.

    Args:
        colour: uint8 (H, W, 3).
        top: of the box, pixels.
        left: likewise.
        alpha: of the box, uint8 (h, w).
        limit: the least of both counts, uint8 (h, w).
        table: level -> weight, uint8 (256,).
        wanted: uint8 of the cells.
        sums: float32 of the cells and 4, written: colour times weight by 255, and weight.
    """
    height, width = alpha.shape
    full = 3 * colour.shape[1]
    for i in range(sums.shape[0]):
        into = sums[i].reshape(4 * sums.shape[1])
        for k in range(len(into)):
            into[k] = _NONE
        for y in range(CELL * i, min(CELL * i + CELL, height)):
            line = colour[top + y].reshape(full)[3 * left : 3 * (left + width)]
            _added(line, alpha[y], limit[y], table, wanted[i], into)
        for j in range(sums.shape[1]):
            into[4 * j] *= _PER_CELL * _PER_LEVEL
            into[4 * j + 1] *= _PER_CELL * _PER_LEVEL
            into[4 * j + 2] *= _PER_CELL * _PER_LEVEL
            into[4 * j + 3] *= _PER_CELL


@jit(_f32[:, :, ::1])
def spread(sums: Any) -> None:
    """Colours out of blurred sums, in place; 0 where nothing reaches."""
    for i in range(sums.shape[0]):
        for j in range(sums.shape[1]):
            share = _NONE if sums[i, j, 3] < _LEAST else FULL / sums[i, j, 3]
            for c in range(3):
                sums[i, j, c] *= share


@jit(read(_f32, 3), _f32[:, :, ::1], _f32, _f32)
def hued(outside: Any, own: Any, least: Any, full: Any) -> None:
    """The room's hue, as long as it counts, and how much of it the person has, in the place of the person's colours.

    Args:
        outside: the room's colours, float32 (h, w, 4) with what they are carried by.
        own: the person's, likewise; written.
        least: chroma below which the room has no hue.
        full: from which on all of it counts.
    """
    for i in range(own.shape[0]):
        for j in range(own.shape[1]):
            b, g, r = outside[i, j, 0], outside[i, j, 1], outside[i, j, 2]
            mean = (b + g + r) / np.float32(3)
            b, g, r = b - mean, g - mean, r - mean
            strong = np.sqrt(b * b + g * g + r * r)
            counts = min(max((strong - least) / (full - least), _NONE), _ONE)
            share = _NONE if own[i, j, 3] < _LEAST else np.sqrt(counts) / max(strong, _ONE)
            b, g, r = b * share, g * share, r * share
            limit = own[i, j, 0] * b + own[i, j, 1] * g + own[i, j, 2] * r
            own[i, j, 0], own[i, j, 1], own[i, j, 2], own[i, j, 3] = b, g, r, limit


@jit()
def _line_of(model: Any, y: Any, line: Any) -> None:
    """A model's line at the height of one of pixels."""
    last = model.shape[0] - 1
    above = (y + CELL // 2) // CELL - 1
    share = (np.float32((y + CELL // 2) % CELL) + np.float32(0.5)) / np.float32(CELL)
    one = model[max(above, 0)].reshape(len(line))
    other = model[min(above + 1, last)].reshape(len(line))
    for k in range(len(line)):
        line[k] = one[k] + share * (other[k] - one[k])


@jit()
def _at(line: Any, j: Any, k: Any) -> Any:
    """Of such a line, what is at a pixel of a cell."""
    last = len(line) // 4 - 1
    near = 4 * j
    if k < CELL // 2:
        far, share = 4 * max(j - 1, 0), np.float32(CELL // 2 - k) - np.float32(0.5)
    else:
        far, share = 4 * min(j + 1, last), np.float32(k - CELL // 2) + np.float32(0.5)
    share /= np.float32(CELL)
    b, g, r, n = line[near], line[near + 1], line[near + 2], line[near + 3]
    return (
        b + share * (line[far] - b),
        g + share * (line[far + 1] - g),
        r + share * (line[far + 2] - r),
        n + share * (line[far + 3] - n),
    )


@jit()
def _mixed_line(front: Any, before: Any, alpha: Any, touched: Any, line: Any) -> None:
    for j in range(len(touched)):
        if touched[j] > 0:
            for k in range(min(len(alpha) - CELL * j, CELL)):
                x = CELL * j + k
                if alpha[x] > before[x]:
                    b, g, r, there = _at(line, j, k)
                    if there < _LEAST:
                        alpha[x] = before[x]
                    else:
                        old = np.float32(before[x]) / np.float32(alpha[x])
                        front[3 * x] = rounded(b + old * (np.float32(front[3 * x]) - b))
                        front[3 * x + 1] = rounded(g + old * (np.float32(front[3 * x + 1]) - g))
                        front[3 * x + 2] = rounded(r + old * (np.float32(front[3 * x + 2]) - r))


@jit(_u8[:, :, ::1], _int, _int, read(_u8, 2), _u8[:, ::1], read(_u8, 2), read(_f32, 3))
def mixed(colour: Any, top: Any, left: Any, before: Any, alpha: Any, touched: Any, model: Any) -> None:
    """Colours for where alpha became more, in place; alpha stays as it was where none are carried.

    Args:
        colour: uint8 (H, W, 3).
        top: of the box, pixels.
        left: likewise.
        before: alpha of the box, uint8 (h, w).
        alpha: what it is to become.
        touched: cells in which it became more, uint8.
        model: colours and what they are carried by, float32 of the cells and 4.
    """
    height, width = alpha.shape
    line = np.empty(4 * model.shape[1], np.float32)
    for y in range(height):
        _line_of(model, y, line)
        front = colour[top + y].reshape(3 * colour.shape[1])[3 * left : 3 * (left + width)]
        _mixed_line(front, before[y], alpha[y], touched[y // CELL], line)


@jit()
def _cleaned_line(front: Any, alpha: Any, inside: Any, most: Any, touched: Any, line: Any) -> None:
    for j in range(len(touched)):
        if touched[j] > 0:
            for k in range(min(len(alpha) - CELL * j, CELL)):
                x = CELL * j + k
                if alpha[x] > 0 and inside[x] < most:
                    b, g, r, limit = _at(line, j, k)
                    own = np.float32(front[3 * x]), np.float32(front[3 * x + 1]), np.float32(front[3 * x + 2])
                    more = own[0] * b + own[1] * g + own[2] * r - limit
                    if more > _NONE:
                        more *= min((FULL - np.float32(inside[x])) * _TWO * _PER_LEVEL, _ONE)
                        front[3 * x] = rounded(own[0] - more * b)
                        front[3 * x + 1] = rounded(own[1] - more * g)
                        front[3 * x + 2] = rounded(own[2] - more * r)


@jit(_u8[:, :, ::1], _int, _int, read(_u8, 2), read(_u8, 2), _int, read(_u8, 2), read(_f32, 3))
def cleaned(colour: Any, top: Any, left: Any, alpha: Any, inside: Any, most: Any, touched: Any, model: Any) -> None:
    """``F - w max(0, F . s - limit) s`` at the rim, in place.

    Args:
        colour: uint8 (H, W, 3).
        top: of the box, pixels.
        left: likewise.
        alpha: of the box, uint8 (h, w).
        inside: how far in a pixel is, 255 is all the way, uint8 (h, w).
        most: how far in nothing is done any more.
        touched: cells in which something is done, uint8.
        model: s and limit, float32 of the cells and 4.
    """
    height, width = alpha.shape
    line = np.empty(4 * model.shape[1], np.float32)
    for y in range(height):
        _line_of(model, y, line)
        front = colour[top + y].reshape(3 * colour.shape[1])[3 * left : 3 * (left + width)]
        _cleaned_line(front, alpha[y], inside[y], most, touched[y // CELL], line)
