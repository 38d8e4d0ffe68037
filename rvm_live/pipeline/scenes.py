"""Detects cuts, and tells them from everything else that happens in front of a camera.

The recurrent state of a matting network remembers the person of the frames before: after a cut it would see a ghost of
them. Thumbnails of brightness are compared by two normalised correlations: of the logarithm of brightness, and of its
gradients. Both hardly change when the light does (a factor on brightness is a constant in its logarithm, and the
correlation does not see it), both drop to about 0 between two different scenes. People who move fast, cameras that
shake and pans lower them, too, but for several frames on end: a cut stands out from the frames before it.

Between frames of one shot the sum of both stays above 1.2 in webcam clips; between two scenes it is below 0.86 in 95 of
100 cases. Two takes before the same room look like one scene, and are: the network copes.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["SceneDetector"]

CUT = 0.75
"""Sum of both correlations (at most 2) below which two frames may be of two scenes."""
OUTSTANDING = 2.5
"""At a cut the loss of likeness is at least this many times that between any two of the last frames."""
_ROWS, _COLUMNS, _SAMPLES = 18, 32, 4
_RECENT = 5
_CALM = 0.05
_LOG_OFFSET = 16.0  # as bright as noise in the dark gets
_BLACK, _WHITE = 5.0, 248.0
_LEAST_CELLS = 0.35
_LEAST_SPREAD = 0.04
_PATIENCE = 15
_WEIGHTS = np.full(3 * _SAMPLES, 1 / (3 * _SAMPLES**2), np.float32)


class _Thumbnail(NamedTuple):
    """The small form of a frame that is compared.

    Attributes:
        brightness: logarithm of brightness, float32 (18, 32).
        lit: cells that are neither black nor burnt out, bool (18, 32).
    """

    brightness: NDArray[np.float32]
    lit: NDArray[np.bool_]


class SceneDetector:
    """Looks at every frame of a video, in order. Used by one thread."""

    def __init__(self) -> None:
        self._before: _Thumbnail | None = None
        self._losses: deque[float] = deque(maxlen=_RECENT)
        self._unsure = 0

    def is_cut(self, image: NDArray[np.uint8]) -> bool:
        """Whether a new scene begins with this frame.

        A frame without content (a flash, a covered lens) is skipped: the next one is compared to the last one before
        it.

        Args:
            image: uint8 (H, W, 3) BGR; of any size, also of another than the frame before.
        """
        present, before = _thumbnail(image), self._before
        if before is None:
            self._before = present
            return False
        likeness = _likeness(before, present)
        if likeness is None:
            self._unsure += 1
            if self._unsure > _PATIENCE:  # the picture has become dark or bright for good
                self._forget(present)
            return False
        self._unsure = 0
        loss = 2.0 - likeness
        # Between the first two frames there is no usual change to compare with: no cut is reported.
        usual = max(self._losses, default=loss)
        if likeness < CUT and loss > OUTSTANDING * max(usual, _CALM):
            self._forget(present)
            return True
        self._losses.append(loss)
        self._before = present
        return False

    def _forget(self, present: _Thumbnail) -> None:
        self._before = present
        self._losses.clear()
        self._unsure = 0


def _thumbnail(image: NDArray[np.uint8]) -> _Thumbnail:
    """Means over 4x4 points of each cell: enough to settle noise, few enough to cost nothing."""
    height, width = image.shape[:2]
    rows = (np.arange(_ROWS * _SAMPLES) * height) // (_ROWS * _SAMPLES)
    columns = (np.arange(_COLUMNS * _SAMPLES) * width) // (_COLUMNS * _SAMPLES)
    points = image.take(rows, 0).take(columns, 1).reshape(_ROWS, _SAMPLES, _COLUMNS, 3 * _SAMPLES)
    # A product with a vector of equal weights is a mean, and several times as fast as numpy.mean.
    grey = (points.astype(np.float32) @ _WEIGHTS).sum(1)
    return _Thumbnail(np.log(grey + np.float32(_LOG_OFFSET)), (grey > _BLACK) & (grey < _WHITE))


def _likeness(one: _Thumbnail, other: _Thumbnail) -> float | None:
    """The sum of both correlations, -2 to 2; None if too little of either frame can be seen."""
    lit = one.lit & other.lit
    if lit.mean() < _LEAST_CELLS:
        return None
    first, second = one.brightness[lit], other.brightness[lit]
    first, second = first - first.mean(), second - second.mean()
    if min(first.std(), second.std()) < _LEAST_SPREAD:
        return None
    return _correlation(first, second) + _correlation(_gradients(one, lit), _gradients(other, lit))


def _gradients(thumbnail: _Thumbnail, lit: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Differences between neighbours that can both be seen."""
    values = thumbnail.brightness
    across = (values[:, 1:] - values[:, :-1])[lit[:, 1:] & lit[:, :-1]]
    down = (values[1:] - values[:-1])[lit[1:] & lit[:-1]]
    return np.concatenate((across, down))


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / size if size > 0 else 0.0
