"""The pass over the full picture, compiled by Numba: alpha, steadiness, the person's colours, and what is behind.

A picture is worked off in bands of 16 lines, each in blocks of 32 columns. Most blocks hold nobody or nothing but the
person: those are copied. What is left, the person's edge above all, is worked out line by line, from planes that were
stretched sideways first.

Every function gives what the OpenCV path gives, within one grey level; ``tests/finishing`` holds them together.
Imported by :mod:`rvm_live.finishing.compiled` alone, for compiling takes seconds.
"""

# mypy: allow-untyped-decorators, allow-untyped-defs, allow-incomplete-defs
from __future__ import annotations

from typing import Any

import numba
import numpy as np

from rvm_live.core.frames import LEAST_ALPHA
from rvm_live.finishing.light_lines import blended_light_line, rimmed_line, tabled_line
from rvm_live.finishing.lines import (
    FULL,
    HALF,
    alpha_line,
    apart_line,
    blended_line,
    copied,
    filled,
    jit,
    least_line,
    least_of,
    linear_line,
    most_line,
    most_of,
    read,
    steady_line,
    straight_line,
    stretched_colours,
    stretched_line,
    tripled,
    unmixed_line,
)
from rvm_live.finishing.one_pass import COLOURS, COLUMNS, GIVEN, LINEAR, LINES, OVER, STRAIGHT
from rvm_live.finishing.planes import shrunk, weighed, yuv
from rvm_live.finishing.rims import cleaned, hued, mixed, spread, summed

__all__ = ["alpha_kinds", "cleaned", "finish", "hued", "mixed", "shrunk", "spread", "summed", "weighed", "yuv"]

_NOBODY, _ALL, _SOME = 0, 1, 2
_LEAST = LEAST_ALPHA
_u8, _f32, _i32, _int = numba.uint8, numba.float32, numba.int32, numba.intp


@jit(read(_f32, 2), read(_f32, 2), _u8[:, ::1])
def alpha_kinds(slope: Any, offset: Any, kinds: Any) -> None:
    """Where alpha is 0 or 255 however bright the picture is. Between such points it is, too: it is a mean of theirs."""
    for y in range(slope.shape[0]):
        for x in range(slope.shape[1]):
            one, other = offset[y, x], offset[y, x] + slope[y, x] * FULL
            if one < HALF and other < HALF:
                kinds[y, x] = _NOBODY
            elif one >= FULL - HALF and other >= FULL - HALF:
                kinds[y, x] = _ALL
            else:
                kinds[y, x] = _SOME


@jit()
def _kind_of(kinds: Any, top: Any, bottom: Any, left: Any, right: Any) -> Any:
    first = kinds[top, left]
    for y in range(top, bottom + 1):
        for x in range(left, right + 1):
            if kinds[y, x] != first:
                return _SOME
    return first


@jit()
def _most_rows(y0: Any, first: Any, last: Any, low: Any) -> Any:
    """How many lines of a model a band needs, and one more."""
    most = 1
    for top in range(first, last, LINES):
        most = max(most, min(y0[min(top + LINES, last) - 1] + 1, low - 1) - y0[top] + 1)
    return most + 1


@jit()
def _stretched(
    part: Any, first: Any, last: Any, near: Any, share: Any, begin: Any, end: Any, done: Any, ring: Any
) -> None:
    """Lines ``first`` to ``last`` of a plane at full width, in the blocks of a run, each once.

    ``done`` holds the newest line of every block; a line's place in the ring is its number, modulo.
    """
    for left in range(begin, end, COLUMNS):
        block = slice(left, min(left + COLUMNS, end))
        for line in range(max(first, done[left // COLUMNS] + 1), last + 1):
            stretched_line(part[line], near[block], share[block], ring[line % len(ring), block])


@jit()
def _stretched_in_colour(
    part: Any, first: Any, last: Any, near: Any, share: Any, begin: Any, end: Any, done: Any, ring: Any
) -> None:
    for left in range(begin, end, COLUMNS):
        right = min(left + COLUMNS, end)
        for line in range(max(first, done[left // COLUMNS] + 1), last + 1):
            into = ring[line % len(ring), 3 * left : 3 * right]
            stretched_colours(part[line], near[left:right], share[left:right], into)


@jit()
def _alpha_of_band(top, bottom, image, slope, offset, kinds, x0, xs, y0, ys, done, slopes, offsets, alpha) -> None:
    """Alpha of the lines from ``top`` to ``bottom``: ``slope * mean(picture) + offset``, both brought to full size."""
    width = image.shape[1]
    low = slope.shape[0] - 1
    first, last = y0[top], min(y0[bottom - 1] + 1, low)
    begin = 0
    while begin < width:
        end = min(begin + COLUMNS, width)
        right = min(x0[end - 1] + 1, slope.shape[1] - 1)
        kind = _kind_of(kinds, first, last, x0[begin], right)
        if kind != _SOME:
            level = np.uint8(0) if kind == _NOBODY else np.uint8(255)
            for y in range(top, bottom):
                filled(level, alpha[y, begin:end])
            begin = end
            continue
        while end < width:
            more = min(end + COLUMNS, width)
            if _kind_of(kinds, first, last, x0[end], min(x0[more - 1] + 1, slope.shape[1] - 1)) != _SOME:
                break
            end = more
        run = slice(begin, end)
        _stretched(slope, first, last, x0, xs, begin, end, done, slopes)
        _stretched(offset, first, last, x0, xs, begin, end, done, offsets)
        done[begin // COLUMNS : (end - 1) // COLUMNS + 1] = last
        for y in range(top, bottom):
            i = y0[y] % len(slopes)
            j = min(y0[y] + 1, low) % len(slopes)
            line = image[y, run].reshape(3 * (end - begin))
            alpha_line(line, slopes[i, run], slopes[j, run], offsets[i, run], offsets[j, run], ys[y], alpha[y, run])
        begin = end


@jit()
def _steady_run(top, bottom, begin, end, kept, x0, xs, y0, ys, before, alpha) -> None:
    """Mix what is there with what was before."""
    low = kept.shape[0] - 1
    first = y0[top]
    rows = min(y0[bottom - 1] + 1, low) - first + 1
    run = slice(begin, end)
    shares = np.empty((rows, end - begin), np.float32)
    for row in range(rows):
        stretched_line(kept[first + row], x0[run], xs[run], shares[row])
    for y in range(top, bottom):
        i, j = y0[y] - first, min(y0[y] + 1, low) - first
        steady_line(shares[i], shares[j], ys[y], before[y, run], alpha[y, run])


@jit()
def _steady_band(top, bottom, kept, x0, xs, y0, ys, before, alpha, apart) -> None:
    width = alpha.shape[1]
    filled(np.uint8(0), apart)
    for y in range(top, bottom):
        apart_line(alpha[y], before[y], apart)
    begin = 0
    while begin < width:
        end = min(begin + COLUMNS, width)
        if most_of(apart[begin:end]) > 0:
            while end < width and most_of(apart[end : min(end + COLUMNS, width)]) > 0:
                end = min(end + COLUMNS, width)
            _steady_run(top, bottom, begin, end, kept, x0, xs, y0, ys, before, alpha)
        begin = end


@jit()
def _kind_of_alpha(least: Any, most: Any) -> Any:
    if most_of(most) < _LEAST:
        return _NOBODY
    return _ALL if least_of(least) == 255 else _SOME


@jit()
def _made_run(top, bottom, begin, end, kind, image, alpha, plate, colours, slope, offset, x0, xs, y0, ys, done, slopes, offsets, made, out, linear, table, rim, glow) -> None:  # fmt: skip # noqa: E501
    """One run of blocks of one kind."""
    many = end - begin
    run = slice(begin, end)
    tabled, rimmed = len(table) > 0, len(rim) > 0
    if kind == _NOBODY and made == STRAIGHT:
        for y in range(top, bottom):
            filled(np.uint8(0), out[y, run].reshape(4 * many))
        return
    as_it_is = colours != LINEAR and made != STRAIGHT and not (tabled or rimmed)
    if kind == _NOBODY or (kind == _ALL and as_it_is):
        for y in range(top, bottom):
            line = plate[y, run] if kind == _NOBODY and made == OVER else image[y, run]
            copied(line.reshape(3 * many), out[y, run].reshape(3 * many))
        return
    low = offset.shape[0] - 1
    wide = slice(3 * begin, 3 * end)
    if colours != GIVEN:
        first, last = y0[top], min(y0[bottom - 1] + 1, low)
        _stretched_in_colour(offset, first, last, x0, xs, begin, end, done, offsets)
        if colours == LINEAR:
            _stretched_in_colour(slope, first, last, x0, xs, begin, end, done, slopes)
        done[begin // COLUMNS : (end - 1) // COLUMNS + 1] = last
    front = np.empty(3 * many, np.uint8)
    shares = np.empty(3 * many, np.uint8)
    for y in range(top, bottom):
        line = image[y, run].reshape(3 * many)
        tripled(alpha[y, run], shares)
        if colours == GIVEN:
            copied(line, front)
        else:
            i, j = y0[y] % len(offsets), min(y0[y] + 1, low) % len(offsets)
            if colours == LINEAR:
                linear_line(line, slopes[i, wide], slopes[j, wide], offsets[i, wide], offsets[j, wide], ys[y], front)
            else:
                unmixed_line(line, shares, offsets[i, wide], offsets[j, wide], ys[y], front)
        if made == STRAIGHT:
            straight_line(alpha[y, run], front, out[y, run].reshape(4 * many))
            continue
        into = out[y, run].reshape(3 * many)
        if tabled:
            tabled_line(table, front)
        if rimmed:
            rimmed_line(rim[y, run], glow[y, run].reshape(3 * many), front)
        if made == COLOURS or kind == _ALL:
            copied(front, into)
        elif linear:
            blended_light_line(shares, front, plate[y, run].reshape(3 * many), into)
        else:
            blended_line(shares, front, plate[y, run].reshape(3 * many), into)


@jit()
def _made_band(top, bottom, image, alpha, plate, colours, slope, offset, x0, xs, y0, ys, done, slopes, offsets, made, out, least, most, linear, table, rim, glow) -> None:  # fmt: skip # noqa: E501
    width = image.shape[1]
    filled(np.uint8(255), least)
    filled(np.uint8(0), most)
    for y in range(top, bottom):
        least_line(alpha[y], least)
        most_line(alpha[y], most)
    begin = 0
    while begin < width:
        end = min(begin + COLUMNS, width)
        kind = _kind_of_alpha(least[begin:end], most[begin:end])
        while end < width:
            more = min(end + COLUMNS, width)
            if _kind_of_alpha(least[end:more], most[end:more]) != kind:
                break
            end = more
        _made_run(top, bottom, begin, end, kind, image, alpha, plate, colours, slope, offset, x0, xs, y0, ys, done, slopes, offsets, made, out, linear, table, rim, glow)  # fmt: skip # noqa: E501
        begin = end


_GRID = (read(_i32, 1), read(_f32, 1), read(_i32, 1), read(_f32, 1))
_FINISH = (
    *(_int, _int, read(_u8, 3), _u8[:, ::1]),
    *(numba.boolean, read(_f32, 2), read(_f32, 2), read(_u8, 2), *_GRID),
    *(numba.boolean, read(_u8, 2), read(_f32, 2), *_GRID),
    *(_int, read(_u8, 3), _int, read(_f32, 3), read(_f32, 3), *_GRID, _u8[:, :, ::1]),
    *(numba.boolean, read(_u8, 2), read(_u8, 2), read(_u8, 3)),
)


@jit(*_FINISH)
def finish(
    first, last, image, alpha,
    fresh, slope, offset, kinds, x0, xs, y0, ys,
    steady, before, kept, kx0, kxs, ky0, kys,
    made, plate, colours, colour_slope, colour_offset, cx0, cxs, cy0, cys, out,
    linear, table, rim, glow,
) -> None:  # fmt: skip
    """The lines from ``first`` to ``last``, whose edges are multiples of 16 or the picture's.

    Args:
        first: line.
        last: line, exclusive.
        image: uint8 (H, W, 3) BGR.
        alpha: uint8 (H, W); read, or written where it is ``fresh``. It is not cut off at the least alpha.
        fresh: alpha is to be worked out.
        slope: of alpha, float32 (h, w).
        offset: likewise, grey levels.
        kinds: from :func:`alpha_kinds`.
        x0: of every column, the column of the model to its left; int32 (W,).
        xs: of every column, the share of the one to its right; float32 (W,).
        y0: likewise of every line.
        ys: likewise.
        steady: it is to be mixed with what was before.
        before: uint8 (H, W), the alpha of that.
        kept: share of the alpha before, float32 (h', w').
        kx0: as ``x0``, for this one; so are the next three.
        kxs: see there.
        ky0: see there.
        kys: see there.
        made: ``OVER``, ``STRAIGHT`` or ``COLOURS``; -1: alpha alone.
        plate: uint8 (H, W, 3); looked at for ``OVER``.
        colours: ``GIVEN``, ``UNMIXED`` or ``LINEAR``.
        colour_slope: float32 (h, w, 3), for ``LINEAR``.
        colour_offset: float32 (h, w, 3): of the model, or, for ``UNMIXED``, the person's colour less the room's.
        cx0: as ``x0``, for these two; so are the next three.
        cxs: see there.
        cy0: see there.
        cys: see there.
        out: uint8 (H, W, 3 or 4).
        linear: of :class:`~rvm_live.finishing.light.Light`, as the rest; they count for ``OVER``.
        table: uint8 (3, 256), or empty.
        rim: uint8 (H, W), or empty.
        glow: uint8 (H, W, 3), or empty.
    """
    width = image.shape[1]
    blocks = -(-width // COLUMNS)
    done, seen = np.full(blocks, -1), np.full(blocks, -1)
    least, most = np.empty(width, np.uint8), np.empty(width, np.uint8)
    rows = _most_rows(y0, first, last, slope.shape[0]) if fresh else 0
    slopes, offsets = np.empty((rows, width), np.float32), np.empty((rows, width), np.float32)
    rows = _most_rows(cy0, first, last, colour_offset.shape[0]) if made >= 0 and colours != GIVEN else 0
    colour_offsets = np.empty((rows, 3 * width), np.float32)
    colour_slopes = np.empty((rows if colours == LINEAR else 0, 3 * width), np.float32)
    for top in range(first, last, LINES):
        bottom = min(top + LINES, last)
        if fresh:
            _alpha_of_band(top, bottom, image, slope, offset, kinds, x0, xs, y0, ys, done, slopes, offsets, alpha)
            if steady:
                _steady_band(top, bottom, kept, kx0, kxs, ky0, kys, before, alpha, least)
        if made >= 0:
            _made_band(top, bottom, image, alpha, plate, colours, colour_slope, colour_offset, cx0, cxs, cy0, cys, seen, colour_slopes, colour_offsets, made, out, least, most, linear, table, rim, glow)  # fmt: skip # noqa: E501
