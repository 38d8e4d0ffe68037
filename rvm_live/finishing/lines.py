"""The loops of the pass over the full picture, each over lines of contiguous memory, compiled by Numba.

Every loop runs from 0 over slices, because Numba checks every index that may be negative, and in floating point,
because Numba makes integers 64 bits wide: both would keep LLVM from vectorising. All integers here are exact in
float32.
"""

# mypy: allow-untyped-decorators, allow-untyped-defs
# ruff: noqa: E741
from __future__ import annotations

from typing import Any

import numba
import numpy as np

from rvm_live.core.frames import LEAST_ALPHA

__all__ = [
    "FULL", "HALF", "alpha_line", "apart_line", "blended_line", "copied", "filled", "jit", "least_line", "least_of",
    "linear_line", "most_line", "most_of", "read", "rounded",
    "steady_line", "straight_line", "stretched_colours", "stretched_line", "tripled", "unmixed_line",
]  # fmt: skip

_LEAST = LEAST_ALPHA
_NONE = np.float32(0)
HALF = np.float32(0.5)
FULL = np.float32(255)
_PER_LEVEL = np.float32(1 / 255)
_THIRD = np.float32(1 / 3)


def read(kind: Any, dimensions: int) -> Any:
    """An array that is only read."""
    return numba.types.Array(kind, dimensions, "C", readonly=True)


def jit(*signature: Any) -> Any:
    """Compile a function: now, for a signature; without one, together with its caller."""
    # Not all of "fastmath": NaN must stay NaN, which then counts as background.
    how = {"cache": True, "nogil": True, "fastmath": {"contract", "nsz"}, "boundscheck": False}
    return numba.njit(signature, **how) if signature else numba.njit(**how)


@jit()
def rounded(value: Any) -> Any:
    """To the nearest whole grey level, 0 to 255; NaN is 0."""
    value = value + HALF
    value = value if value > _NONE else _NONE
    return np.uint8(np.int32(value if value < FULL else FULL))


@jit()
def copied(line: Any, into: Any) -> None:
    for x in range(len(into)):
        into[x] = line[x]


@jit()
def filled(level: Any, into: Any) -> None:
    for x in range(len(into)):
        into[x] = level


@jit()
def stretched_line(line: Any, near: Any, share: Any, into: Any) -> None:
    last = len(line) - 1
    for x in range(len(into)):
        l = near[x]
        a = line[l]
        into[x] = a + (line[min(l + 1, last)] - a) * share[x]


@jit()
def stretched_colours(line: Any, near: Any, share: Any, into: Any) -> None:
    """Likewise of a line (w, 3), into three values a column."""
    last = len(line) - 1
    for x in range(len(near)):
        l = near[x]
        r = min(l + 1, last)
        s = share[x]
        for c in range(3):
            a = line[l, c]
            into[3 * x + c] = a + (line[r, c] - a) * s


@jit()
def alpha_line(line: Any, above: Any, below: Any, over: Any, under: Any, v: Any, into: Any) -> None:
    for x in range(len(into)):
        total = np.float32(line[3 * x]) + np.float32(line[3 * x + 1]) + np.float32(line[3 * x + 2])
        s = above[x] + (below[x] - above[x]) * v
        o = over[x] + (under[x] - over[x]) * v
        into[x] = rounded(s * (total * _THIRD) + o)


@jit()
def linear_line(line: Any, above: Any, below: Any, over: Any, under: Any, v: Any, into: Any) -> None:
    for c in range(len(into)):
        s = above[c] + (below[c] - above[c]) * v
        o = over[c] + (under[c] - over[c]) * v
        into[c] = rounded(s * np.float32(line[c]) + o)


@jit()
def tripled(alpha: Any, into: Any) -> None:
    """Alpha, 0 below the least, three times a column."""
    for x in range(len(alpha)):
        share = alpha[x] if alpha[x] >= _LEAST else np.uint8(0)
        into[3 * x] = share
        into[3 * x + 1] = share
        into[3 * x + 2] = share


@jit()
def unmixed_line(line: Any, shares: Any, over: Any, under: Any, v: Any, into: Any) -> None:
    for c in range(len(into)):
        rest = (FULL - np.float32(shares[c])) * _PER_LEVEL
        into[c] = rounded(np.float32(line[c]) + (over[c] + (under[c] - over[c]) * v) * rest)


@jit()
def blended_line(shares: Any, front: Any, behind: Any, into: Any) -> None:
    """``round(a F / 255) + round((255 - a) B / 255)``: 255 is odd, so that neither is ever near a half."""
    for c in range(len(into)):
        share = np.float32(shares[c])
        one = np.int32(share * np.float32(front[c]) * _PER_LEVEL + HALF)
        other = np.int32((FULL - share) * np.float32(behind[c]) * _PER_LEVEL + HALF)
        into[c] = np.uint8(one + other)


@jit()
def straight_line(alpha: Any, front: Any, into: Any) -> None:
    for x in range(len(alpha)):
        there = alpha[x] >= _LEAST
        into[4 * x] = front[3 * x] if there else np.uint8(0)
        into[4 * x + 1] = front[3 * x + 1] if there else np.uint8(0)
        into[4 * x + 2] = front[3 * x + 2] if there else np.uint8(0)
        into[4 * x + 3] = alpha[x] if there else np.uint8(0)


@jit()
def steady_line(above: Any, below: Any, v: Any, before: Any, into: Any) -> None:
    for x in range(len(into)):
        now = np.float32(into[x])
        # Truncate towards the present value: with rounding, the last few levels would never fade.
        left = np.int32((np.float32(before[x]) - now) * (above[x] + (below[x] - above[x]) * v))
        into[x] = np.uint8(np.float32(left) + now)


@jit()
def apart_line(one: Any, other: Any, into: Any) -> None:
    """Adds the bits in which two lines differ."""
    for x in range(len(into)):
        into[x] |= one[x] ^ other[x]


@jit()
def least_line(line: Any, into: Any) -> None:
    for x in range(len(into)):
        into[x] = min(into[x], line[x])


@jit()
def most_line(line: Any, into: Any) -> None:
    for x in range(len(into)):
        into[x] = max(into[x], line[x])


@jit()
def least_of(line: Any) -> Any:
    least = np.uint8(255)
    for x in range(len(line)):
        least = min(least, line[x])
    return least


@jit()
def most_of(line: Any) -> Any:
    most = np.uint8(0)
    for x in range(len(line)):
        most = max(most, line[x])
    return most
