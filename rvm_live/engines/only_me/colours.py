"""Recognises people by their colours."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes, Floats

__all__ = ["alike", "bins_of", "histogram", "likelihood"]

Bins = NDArray[np.int32]

_LIGHT, _TINT, _STEP = 6, 10, 9
"""Number of bins of lightness, number of bins of a and of b, and the width of the latter in levels: clothes are rarely
more vivid."""
_LIGHT_OF = (np.arange(256) * _LIGHT // 256 * _TINT * _TINT).astype(np.int32)
_TINT_OF = np.clip((np.arange(256) - 128) // _STEP + _TINT // 2, 0, _TINT - 1).astype(np.int32)
_LEAST = 2e-4


def bins_of(picture: Bytes) -> Bins:
    """Which bin of CIE L*a*b* each pixel of a picture (h, w, 3) BGR falls into, int32 (h, w)."""
    light, a, b = cv2.split(cv2.cvtColor(picture, cv2.COLOR_BGR2LAB))
    found: Bins = _LIGHT_OF[light] + _TINT_OF[a] * _TINT + _TINT_OF[b]
    return found


def histogram(bins: Bins, mask: NDArray[np.bool_]) -> Floats:
    """Frequency of each bin under a mask: float32, sum 1; a little of each is added to its neighbours, because light
    changes."""
    counts = np.bincount(bins[mask], minlength=_LIGHT * _TINT * _TINT).astype(np.float32)
    cube = counts.reshape(_LIGHT, _TINT, _TINT)
    for axis in range(3):
        cube = 0.6 * cube + 0.2 * (_shifted(cube, 1, axis) + _shifted(cube, -1, axis))
    return np.asarray(cube.ravel() / max(float(cube.sum()), 1e-6), np.float32)


def _shifted(cube: Floats, by: int, axis: int) -> Floats:
    edge = [0 if by > 0 else -1]
    kept = np.take(cube, range(cube.shape[axis] - 1) if by > 0 else range(1, cube.shape[axis]), axis)
    ends = np.take(cube, edge, axis)
    return np.concatenate([ends, kept] if by > 0 else [kept, ends], axis)


def alike(one: Floats, other: Floats) -> float:
    """The Bhattacharyya coefficient of two histograms: 1 where they are the same, 0 where they have nothing in common.

    Bhattacharyya, On a measure of divergence between two statistical populations, 1943.
    """
    return float(np.sqrt(one * other).sum())


def likelihood(bins: Bins, histogram: Floats) -> Floats:
    """The logarithm of how likely each pixel's colours and those around it are, float32 (h, w)."""
    logarithms = np.log(histogram + _LEAST).astype(np.float32)
    return np.asarray(cv2.blur(logarithms[bins], (5, 5)), np.float32)
