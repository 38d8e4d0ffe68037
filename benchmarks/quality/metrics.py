"""How far a matte is from the truth: the five metrics of the RobustVideoMatting paper; lower is better.

All take 8-bit mattes, as files hold them, and compute with alpha in 0-1. MAD and MSE are means. Grad and Conn are sums
over the picture, so they grow with its size and can be compared at one size only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes

__all__ = ["Quality", "Scorer", "conn", "dtssd", "grad", "mad", "mean_of", "mse"]

GRAD_SIGMA = 1.4
CONN_STEP = 0.1
CONN_CUT = 0.15

Real = NDArray[np.float64]


def mad(predicted: Bytes, truth: Bytes) -> float:
    """Mean absolute difference, times 1000."""
    first, second = _pair(predicted, truth)
    return float(np.abs(first - second).mean()) * 1e3


def mse(predicted: Bytes, truth: Bytes) -> float:
    """Mean squared difference, times 1000."""
    first, second = _pair(predicted, truth)
    return float(np.square(first - second).mean()) * 1e3


def grad(predicted: Bytes, truth: Bytes) -> float:
    """Squared difference of the gradients' magnitudes, summed and divided by 1000 (Rhemann et al., CVPR 2009).

    Each matte is stretched to 0-1 first. The gradient is its convolution with the first derivative of a Gaussian with a
    standard deviation of 1.4 pixels; the two-dimensional kernel has a Euclidean norm of one, and the border is
    repeated.
    """
    first, second = _pair(predicted, truth)
    return float(np.square(_magnitude(first) - _magnitude(second)).sum()) / 1e3


def conn(predicted: Bytes, truth: Bytes) -> float:
    """Difference of the degrees of connectedness, summed and divided by 1000 (Rhemann et al., CVPR 2009).

    For each pixel, find the highest threshold (in steps of 0.1) at which the pixel still belongs to the largest
    4-connected region in which both mattes reach that threshold. The amount by which a matte exceeds it, if 0.15 or
    more, is its lack of connection.
    """
    first, second = _inhabited(*_pair(predicted, truth))
    both = np.minimum(first, second)
    reached = np.ones(both.shape)
    undecided = np.ones(both.shape, np.bool_)
    for step in range(1, round(1 / CONN_STEP) + 1):
        # Compare with a value slightly below the threshold: 0.3 and 3 * 0.1 are not the same number.
        lost = undecided & ~_largest(both >= step * CONN_STEP - 1e-9)
        reached[lost] = (step - 1) * CONN_STEP
        undecided &= ~lost
    return float(np.abs(_lack(first - reached) - _lack(second - reached)).sum()) / 1e3


def dtssd(predicted: Bytes, truth: Bytes, predicted_before: Bytes, truth_before: Bytes) -> float:
    """Root mean square difference of the changes since the frame before, times 100 (Erofeev et al., BMVC 2015)."""
    first, second = _pair(predicted, truth)
    first_before, second_before = _pair(predicted_before, truth_before)
    return math.sqrt(float(np.square((first - first_before) - (second - second_before)).mean())) * 1e2


@dataclass(frozen=True)
class Quality:
    """The five metrics; NaN where one was not measured (such as dtSSD of a single picture)."""

    mad: float
    mse: float
    grad: float
    conn: float
    dtssd: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


class Scorer:
    """Takes the frames of one clip in order and averages each metric over the frames that have it.

    Args:
        every: Grad and Conn, the slow ones, are computed for the first of every so many frames.
    """

    def __init__(self, every: int = 1) -> None:
        self._every = every
        self._rows: list[tuple[float, float, float, float]] = []
        self._changes: list[float] = []
        self._before: tuple[Bytes, Bytes] | None = None

    def add(self, predicted: Bytes, truth: Bytes) -> None:
        """Score the next frame: both uint8 (H, W)."""
        shape = (math.nan, math.nan)
        if len(self._rows) % self._every == 0:
            shape = grad(predicted, truth), conn(predicted, truth)
        self._rows.append((mad(predicted, truth), mse(predicted, truth), *shape))
        if self._before is not None:
            self._changes.append(dtssd(predicted, truth, *self._before))
        self._before = predicted, truth

    def result(self) -> Quality:
        """The means over the clip."""
        means = [_mean([row[place] for row in self._rows]) for place in range(4)]
        return Quality(means[0], means[1], means[2], means[3], _mean(self._changes))


def mean_of(several: Iterable[Quality]) -> Quality:
    """The mean over clips, all with the same weight; metrics that were not measured are left out."""
    rows = list(several)
    return Quality(*(_mean([getattr(row, field.name) for row in rows]) for field in fields(Quality)))


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _pair(one: Bytes, other: Bytes) -> tuple[Real, Real]:
    """Check both mattes and scale them to 0-1."""
    if one.shape != other.shape or one.ndim != 2:
        raise ValueError(f"mattes of {one.shape} and {other.shape}: both must be (height, width), of one size")
    if one.dtype != np.uint8 or other.dtype != np.uint8:
        raise ValueError(f"mattes of {one.dtype} and {other.dtype}: both must be uint8")
    return one / 255.0, other / 255.0


def _inhabited(one: Real, other: Real) -> tuple[Real, Real]:
    """Both mattes cut to the window outside of which both are 0, so that no connection can be missing there."""
    either = np.maximum(one, other) > 0
    rows, columns = np.flatnonzero(either.any(1)), np.flatnonzero(either.any(0))
    if not len(rows):
        return one[:1, :1], other[:1, :1]
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return one[window], other[window]


def _magnitude(matte: Real) -> Real:
    span = float(matte.max() - matte.min())
    stretched = (matte - matte.min()) / (span or 1.0)
    smooth, slope = _kernels()
    across = cv2.sepFilter2D(stretched, cv2.CV_64F, slope, smooth, borderType=cv2.BORDER_REPLICATE)
    down = cv2.sepFilter2D(stretched, cv2.CV_64F, smooth, slope, borderType=cv2.BORDER_REPLICATE)
    return np.hypot(across, down)  # type: ignore[no-any-return]


def _kernels() -> tuple[Real, Real]:
    """A Gaussian and its derivative, cut off where they fall below 1 %, scaled so that their product's norm is one."""
    sigma, least = GRAD_SIGMA, 1e-2
    reach = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * least)))
    at = np.arange(-reach, reach + 1, dtype=np.float64)
    smooth = np.exp(-(at**2) / (2 * sigma**2))
    slope = -at * smooth
    return smooth / np.linalg.norm(smooth), slope / np.linalg.norm(slope)


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest 4-connected region (the first, if several are equally large); empty where there is none."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count < 2:
        return np.zeros(mask.shape, np.bool_)
    return np.asarray(labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))


def _lack(excess: Real) -> Real:
    """``1 - phi``: the amount by which the matte exceeds the connected level, where it is large enough to count."""
    return np.where(excess >= CONN_CUT - 1e-9, excess, 0.0)
