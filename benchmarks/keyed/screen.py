"""The screen of a clip that is to be keyed: its colour everywhere, and its noise."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes, Floats, Mask
from rvm_live.core.errors import SourceError

__all__ = ["screen_of"]

_NOISE_FLOOR = 1.2


def screen_of(frames: list[Bytes], name: str) -> tuple[Floats, NDArray[np.float64], float]:
    """The screen's colour everywhere, also behind the person: the median over time where it is seen, and elsewhere a
    smooth surface fitted to that.

    Args:
        frames: uint8 (H, W, 3) BGR.
        name: the clip's name, for messages.

    Returns:
        Its colour, float32 (H, W, 3) BGR; the covariance of its noise (3, 3); the share of the picture that it fills.

    Raises:
        SourceError: there is no screen.
    """
    height, width = frames[0].shape[:2]
    some = np.stack(frames[:: max(1, len(frames) // 24)]).astype(np.float32)
    corners = np.concatenate(
        [some[:, : height // 4, : width // 6].reshape(-1, 3), some[:, : height // 4, -(width // 6) :].reshape(-1, 3)]
    )
    hue = _chromaticity(np.median(corners, axis=0)[None])[0]
    if np.abs(hue - 1 / 3).max() < 0.05 or hue[2] == hue.max():
        raise SourceError(f"{name} cannot be keyed: what is in its upper corners is no green or blue screen")
    # The pixels that have the screen's hue for more than half of the time.
    near = np.abs(_chromaticity(some) - hue).max(-1) < 0.09
    known = near.mean(0) > 0.5
    if known.mean() < 0.15:
        raise SourceError(f"{name} cannot be keyed: its screen is {known.mean():.0%} of it")
    counted = np.where(near[..., None], some, np.nan)[:, known]
    median = np.nanmedian(counted, axis=0)
    plate = np.zeros((height, width, 3), np.float32)
    plate[known] = median
    sure = known
    for _ in range(4):
        smooth = _surface(plate, sure)
        apart = np.abs(plate - smooth).max(-1)
        # Hair, shadows and spill close to the person would bend the surface ...
        sure = known & (apart < max(6.0, 3 * float(np.median(apart[known]))))
    # ... but a shadow is part of the screen; where hair covers half of it, it is darker still.
    known &= apart < np.maximum(0.14 * smooth.max(-1), 6.0)
    closer = cv2.erode(known.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    if closer.mean() < 0.1:
        raise SourceError(f"{name} cannot be keyed: its screen is of one colour in but {closer.mean():.0%} of it")
    plate = _blended(plate, smooth, closer)
    apart = (some - plate)[:, closer].reshape(-1, 3)
    apart = apart[np.abs(apart).max(1) < 25]
    spread = np.cov(apart[:: max(1, len(apart) // 200_000)].T) + np.eye(3) * _NOISE_FLOOR**2
    return plate, spread, float(closer.mean())


def _chromaticity(colour: Floats) -> Floats:
    """Each channel's share of the sum: what stays when the light changes."""
    return colour / np.maximum(colour.sum(-1, keepdims=True), 1.0)  # type: ignore[no-any-return]


def _surface(plate: Floats, known: Mask) -> Floats:
    """A polynomial of the fourth degree through the known pixels of each channel."""
    height, width = known.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    terms = np.stack([x**i * y**j for i in range(5) for j in range(5 - i)], axis=-1)
    rows = np.flatnonzero(known)
    rows = rows[:: max(1, len(rows) // 20_000)]
    flat = terms.reshape(-1, terms.shape[-1])
    # Ridge regression: behind the person there is nothing to fit the surface to.
    left = flat[rows].T @ flat[rows] + 1e-4 * len(rows) * np.eye(flat.shape[1])
    solved = np.linalg.solve(left, flat[rows].T @ plate.reshape(-1, 3)[rows])
    return np.asarray((flat @ solved).reshape(height, width, 3), np.float32)


def _blended(plate: Floats, smooth: Floats, known: Mask) -> Floats:
    """The plate where it is known, and elsewhere the surface plus the plate's nearby difference from it."""
    weight = known.astype(np.float32)
    differs = (plate - smooth) * weight[..., None]
    sigma = plate.shape[0] / 24
    sums, weights = cv2.GaussianBlur(differs, (0, 0), sigma), cv2.GaussianBlur(weight, (0, 0), sigma)
    wide = sums / np.maximum(weights, 0.02)[..., None]
    near = cv2.GaussianBlur(differs, (0, 0), 2) / np.maximum(cv2.GaussianBlur(weight, (0, 0), 2), 1e-3)[..., None]
    return np.asarray(smooth + np.where(known[..., None], near, wide), np.float32)
