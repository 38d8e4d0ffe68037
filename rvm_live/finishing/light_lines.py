"""The lines of :mod:`rvm_live.finishing.light`, compiled by Numba."""

# mypy: allow-untyped-decorators, allow-untyped-defs
from __future__ import annotations

from typing import Any

import numpy as np

from rvm_live.finishing import light
from rvm_live.finishing.lines import jit

__all__ = ["blended_light_line", "rimmed_line", "tabled_line"]

_STEPS = np.float32(light.STEPS)
_ONE = np.float32(1)
_PER_LEVEL = np.float32(1 / 255)
_DECODED, _BOUNDS, _FIRST = light.DECODED, light.BOUNDS, light.FIRST


@jit()
def _level(value: Any) -> Any:
    """The level nearest to an amount of light, 0 to 1."""
    level = _FIRST[np.int32(value * _STEPS)]
    return np.uint8(level + 1) if value >= _BOUNDS[level] else level


@jit()
def tabled_line(table: Any, front: Any) -> None:
    """Other levels in the place of each, in place."""
    for x in range(len(front) // 3):
        front[3 * x] = table[0, front[3 * x]]
        front[3 * x + 1] = table[1, front[3 * x + 1]]
        front[3 * x + 2] = table[2, front[3 * x + 2]]


@jit()
def rimmed_line(rim: Any, glow: Any, front: Any) -> None:
    """``F + r L (1 - F)`` of light, in place."""
    for x in range(len(rim)):
        if rim[x] > 0:
            share = np.float32(rim[x]) * _PER_LEVEL
            for c in range(3):
                own = _DECODED[front[3 * x + c]]
                front[3 * x + c] = _level(min(own + share * _DECODED[glow[3 * x + c]] * (_ONE - own), _ONE))


@jit()
def blended_light_line(shares: Any, front: Any, behind: Any, into: Any) -> None:
    """``a F + (1 - a) B`` of light."""
    for c in range(len(into)):
        share = shares[c]
        if share == 0:
            into[c] = behind[c]
        elif share == 255:
            into[c] = front[c]
        else:
            back = _DECODED[behind[c]]
            into[c] = _level(back + (_DECODED[front[c]] - back) * (np.float32(share) * _PER_LEVEL))
