"""Other forms of the picture, compiled by Numba: smaller, weighted for a blur, in the pixel formats of cameras.

Each gives what the OpenCV path or FFmpeg gives, within one grey level.
"""

# mypy: allow-untyped-decorators, allow-untyped-defs, allow-incomplete-defs
from __future__ import annotations

from typing import Any

import numba
import numpy as np

from rvm_live.finishing.lines import HALF, jit, read, rounded

__all__ = ["shrunk", "weighed", "yuv"]

_u8, _u16, _f32, _i32, _int = numba.uint8, numba.uint16, numba.float32, numba.int32, numba.intp


@jit()
def _added_line(line: Any, share: Any, into: Any) -> None:
    for x in range(len(into)):
        into[x] += np.float32(line[x]) * share


@jit(read(_u8, 3), read(_i32, 1), read(_f32, 2), read(_i32, 1), read(_f32, 2), _u8[:, :, ::1])
def shrunk(image: Any, columns: Any, column_shares: Any, lines: Any, line_shares: Any, small: Any) -> None:
    """The mean over the area of each pixel of a smaller picture, as ``cv2.INTER_AREA``.

    Args:
        image: uint8 (H, W, 3).
        columns: where the area of each column begins, int32 (w,).
        column_shares: what each column from there counts, float32 (w, n).
        lines: likewise.
        line_shares: likewise.
        small: uint8 (h, w, 3), written.
    """
    total = np.empty(3 * image.shape[1], np.float32)
    for y in range(small.shape[0]):
        total[:] = np.float32(0)
        for k in range(line_shares.shape[1]):
            if line_shares[y, k] > 0:
                _added_line(image[lines[y] + k].reshape(3 * image.shape[1]), line_shares[y, k], total)
        for x in range(small.shape[1]):
            b, g, r = np.float32(0), np.float32(0), np.float32(0)
            for k in range(column_shares.shape[1]):
                share = column_shares[x, k]
                if share > 0:
                    at = 3 * (columns[x] + k)
                    b += share * total[at]
                    g += share * total[at + 1]
                    r += share * total[at + 2]
            small[y, x, 0], small[y, x, 1], small[y, x, 2] = rounded(b), rounded(g), rounded(r)


@jit()
def _weighed_line(line: Any, seen: Any, into: Any) -> None:
    for x in range(len(seen)):
        rest = np.float32(255) - np.float32(seen[x])
        into[4 * x] += rest * np.float32(line[3 * x])
        into[4 * x + 1] += rest * np.float32(line[3 * x + 1])
        into[4 * x + 2] += rest * np.float32(line[3 * x + 2])
        into[4 * x + 3] += rest * np.float32(255)


@jit()
def _paired_line(sums: Any, into: Any) -> None:
    for x in range(len(into) // 4):
        for c in range(4):
            total = sums[8 * x + c] + sums[8 * x + 4 + c] + np.float32(2)
            into[4 * x + c] = np.uint16(np.int32(total * np.float32(0.25)))


@jit(read(_u8, 3), read(_u8, 2), _u16[:, :, ::1])
def weighed(image: Any, alpha: Any, half: Any) -> None:
    """``[(255 - a) S, 255 (255 - a)]`` at half the size, the rounded mean of 2 x 2 pixels, 0 beyond the picture.

    Args:
        image: uint8 (H, W, 3).
        alpha: uint8 (H, W).
        half: uint16 (h, w, 4), written; twice its size holds the picture.
    """
    height, width = alpha.shape
    sums = np.empty(8 * half.shape[1], np.float32)
    for y in range(half.shape[0]):
        sums[:] = np.float32(0)
        for line in range(2 * y, min(2 * y + 2, height)):
            _weighed_line(image[line].reshape(3 * width), alpha[line], sums[: 4 * width])
        _paired_line(sums, half[y].reshape(4 * half.shape[1]))


@jit()
def _luma_line(line: Any, into: Any) -> None:
    for x in range(len(into)):
        b, g, r = np.float32(line[3 * x]), np.float32(line[3 * x + 1]), np.float32(line[3 * x + 2])
        value = b * np.float32(24.966 / 255) + g * np.float32(128.553 / 255) + r * np.float32(65.481 / 255)
        into[x] = np.uint8(np.int32(value + np.float32(16.5)))


@jit()
def _chroma_line(one: Any, other: Any, us: Any, vs: Any) -> None:
    """Of the mean of four pixels."""
    for x in range(len(us)):
        at = 6 * x
        b = np.float32(one[at]) + np.float32(one[at + 3]) + np.float32(other[at]) + np.float32(other[at + 3])
        g = np.float32(one[at + 1]) + np.float32(one[at + 4]) + np.float32(other[at + 1]) + np.float32(other[at + 4])
        r = np.float32(one[at + 2]) + np.float32(one[at + 5]) + np.float32(other[at + 2]) + np.float32(other[at + 5])
        u = b * np.float32(112 / 1020) - g * np.float32(74.203 / 1020) - r * np.float32(37.797 / 1020)
        v = r * np.float32(112 / 1020) - g * np.float32(93.786 / 1020) - b * np.float32(18.214 / 1020)
        us[x] = np.uint8(np.int32(u + np.float32(128) + HALF))
        vs[x] = np.uint8(np.int32(v + np.float32(128) + HALF))


@jit(read(_u8, 3), _u8[:, ::1], numba.boolean)
def yuv(image: Any, planes: Any, mixed: Any) -> None:
    """BT.601 of limited range, with half the colour's width and height.

    Args:
        image: uint8 (H, W, 3) BGR, of even sides.
        planes: uint8 (H * 3 / 2, W), written.
        mixed: U and V by turns, NV12; else one after the other, I420.
    """
    height, width = image.shape[:2]
    half = width // 2
    chroma = planes[height:].reshape(height // 2 * width)
    us, vs = np.empty(half, np.uint8), np.empty(half, np.uint8)
    for y in range(0, height, 2):
        one, other = image[y].reshape(3 * width), image[y + 1].reshape(3 * width)
        _luma_line(one, planes[y])
        _luma_line(other, planes[y + 1])
        _chroma_line(one, other, us, vs)
        if mixed:
            into = chroma[y // 2 * width : (y // 2 + 1) * width]
            for x in range(half):
                into[2 * x] = us[x]
                into[2 * x + 1] = vs[x]
        else:
            begin = y // 2 * half
            chroma[begin : begin + half] = us
            chroma[height // 2 * half + begin : height // 2 * half + begin + half] = vs
