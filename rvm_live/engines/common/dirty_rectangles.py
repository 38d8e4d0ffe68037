"""The parts of a picture that need work: mostly the person's edge, about a tenth of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["changed", "enlarged"]

_BAND = 80
_GAP = 32


def changed(mask: NDArray[np.uint8]) -> Iterator[tuple[slice, slice]]:
    """Boxes, lines and columns, that hold all pixels of a mask, (H, W), that are not 0.

    Bands of lines, in each the runs of columns; small gaps are filled, for a box costs about as much as a hundred
    columns.
    """
    for top in range(0, mask.shape[0], _BAND):
        lines = slice(top, min(top + _BAND, mask.shape[0]))
        found = np.flatnonzero(mask[lines].max(axis=0))  # NumPy, because cv2.reduce takes several times as long
        if not len(found):
            continue
        breaks = np.flatnonzero(np.diff(found) > _GAP)
        starts = found[np.concatenate([[0], breaks + 1])]
        ends = found[np.concatenate([breaks, [len(found) - 1]])]
        for start, end in zip(starts, ends, strict=True):
            yield lines, slice(int(start), int(end) + 1)


def enlarged(small: NDArray[np.float32], shape: tuple[int, ...], lines: slice, columns: slice) -> Any:
    """A box of a small picture brought to a full size, bilinearly.

    Args:
        small: float32 (h, w) or (h, w, C).
        shape: lines and columns of the full size.
        lines: of the box, at full size.
        columns: likewise.
    """
    x, y = small.shape[1] / shape[1], small.shape[0] / shape[0]
    # Maps the pixel centres of the box to pixels of the small picture.
    matrix = np.array([[x, 0, (columns.start + 0.5) * x - 0.5], [0, y, (lines.start + 0.5) * y - 0.5]])
    size = (columns.stop - columns.start, lines.stop - lines.start)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(small, matrix, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
