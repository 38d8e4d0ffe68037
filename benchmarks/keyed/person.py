"""The person in front of a screen whose colour is known: alpha and foreground of one frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes, Floats, Mask

__all__ = ["keyed", "tint_of"]

_SURE_SCREEN = 3.5
"""So many standard deviations from the screen are still screen; three times as many are not."""
_MOST_TINT = 0.3
"""Part of the screen's tint that the person's own colours have at most ..."""
_OTHER_HUE = 0.5
"""... unless they have so much of another."""
_DOUBT = 150.0
"""Squared grey levels that alpha must explain to rise from 0 to 1."""


def keyed(frame: Bytes, plate: Floats, spread: NDArray[np.float64]) -> tuple[Bytes, Bytes, float, float]:
    """Cut the person out of one frame.

    Args:
        frame: uint8 (H, W, 3) BGR.
        plate: the screen's colour, float32 (H, W, 3) BGR.
        spread: covariance of the screen's noise (3, 3).

    Returns:
        Foreground uint8 (H, W, 3) BGR without the screen's colour, alpha uint8 (H, W), the part of the picture that is
        neither person nor screen, and the median distance of the person's colours from the screen's in grey levels.
    """
    picture = frame.astype(np.float32)
    apart = picture - plate
    whitening = np.linalg.cholesky(np.linalg.inv(spread)).astype(np.float32)
    calm = cv2.GaussianBlur(np.sqrt(_squares(np.asarray(apart @ whitening, np.float32))), (0, 0), 0.8)
    tint, other = tint_of(picture, plate)
    body = _body(
        (calm > 3 * _SURE_SCREEN) & ((tint < _MOST_TINT) | (other > _OTHER_HUE)), tint, np.sqrt(_squares(apart))
    )
    reach = max(2, round(frame.shape[0] / 120))
    core = cv2.erode(body.astype(np.uint8), _disc(reach)).astype(bool)
    if core.mean() < 0.02:
        return frame, np.zeros(frame.shape[:2], np.uint8), 0.0, 0.0
    alpha, colour = _unmixed(picture, plate, core, reach)
    alpha = np.clip((alpha - 0.07) / 0.85, 0, 1)
    alpha[core] = 1.0
    alpha[(calm < _SURE_SCREEN) & ~body] = 0.0
    alpha = _without_specks(alpha)
    band = float(((alpha > 0.1) & (alpha < 0.9)).mean())
    contrast = float(np.median(np.sqrt(_squares(apart[core]))))
    share = alpha[..., None]
    own = np.clip((picture - (1 - share) * plate) / np.maximum(share, 0.25), 0, 255)
    # Where the person's share is small its own colour is mostly noise: lean on the colour near by.
    trust = np.clip((share - 0.35) / 0.5, 0, 1)
    mixed = np.where(core[..., None], picture, trust * own + (1 - trust) * colour)
    edge = cv2.dilate((alpha < 0.99).astype(np.uint8), _disc(2 * reach)).astype(bool)
    mixed = np.where(edge[..., None], _despilled(mixed, colour, plate), mixed)
    return _bytes(mixed), _bytes(alpha * 255), band, contrast


def tint_of(colour: Floats, plate: Floats) -> tuple[Floats, Floats]:
    """How much of the screen's tint a colour has (1: as much as the screen, 0: none, negative: the opposite tint), and
    how much of another tint, in the same unit."""
    screen = plate - _grey(plate)[..., None]
    chroma = colour - _grey(colour)[..., None]
    strength = np.maximum(_squares(screen), 100.0)
    tint = _dot(chroma, screen) / strength
    other = np.sqrt(_squares(chroma - tint[..., None] * screen) / strength)
    return np.asarray(tint, np.float32), np.asarray(other, np.float32)


def _despilled(colour: Floats, near: Floats, plate: Floats) -> Floats:
    """Remove what a colour has of the screen's tint beyond the person's colours nearby."""
    screen = plate - _grey(plate)[..., None]
    excess = np.maximum(tint_of(colour, plate)[0] - np.maximum(tint_of(near, plate)[0], 0.0), 0.0)
    return np.asarray(colour - excess[..., None] * screen, np.float32)


def _body(clear: Mask, tint: Floats, size: Floats) -> Mask:
    """The largest region that is clearly not screen, with those holes filled that are not screen either."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(clear.astype(np.uint8), connectivity=4)
    if count < 2:
        return np.zeros(clear.shape, np.bool_)
    body = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    holes, labels, stats, _ = cv2.connectedComponentsWithStats((~body).astype(np.uint8), connectivity=4)
    height, width = clear.shape
    for number in range(1, holes):
        x, y, across, down, area = (int(value) for value in stats[number])
        if x == 0 or y == 0 or x + across == width or (y + down == height and area > 0.002 * body.size):
            continue
        window = slice(y, y + down), slice(x, x + across)
        hole = labels[window] == number
        # A gap between hair and shoulder shows the screen; eyes, teeth and cloth do not.
        if np.median(tint[window][hole]) < _MOST_TINT or np.median(size[window][hole]) > 70 or area < 6:
            body[window] |= hole
    return np.asarray(body)


def _unmixed(picture: Floats, plate: Floats, core: Mask, reach: int) -> tuple[Floats, Floats]:
    """Alpha and the person's colour: for each pixel, from the nearby colour that explains it best."""
    best: Floats | None = None
    alpha = np.zeros(core.shape, np.float32)
    colour = np.zeros_like(picture)
    seen = _less_chroma(picture - plate)
    for candidate in _candidates(picture, core, reach):
        line = _less_chroma(candidate - plate)
        held = np.clip(_dot(seen, line) / np.maximum(_squares(line), 100.0), 0, 1)
        # Where several colours explain a pixel equally well, take the one that needs the least alpha: screen that a
        # codec has tinted is not a person of a colour in between.
        missed = np.asarray(seen - held[..., None] * line, np.float32)
        error = np.asarray(_squares(missed) + _DOUBT * held, np.float32)
        better = np.ones(core.shape, np.bool_) if best is None else error < best
        best = error if best is None else np.where(better, error, best)
        alpha[better] = held[better]
        colour[better] = candidate[better]
    # Each pixel chose for itself; unlike alpha, the colour must not jump from one pixel to the next.
    return alpha, cv2.bilateralFilter(colour, 5, 40, 1.5)


def _less_chroma(differs: Floats) -> Floats:
    """Reduce colour differences: codecs store colour at half the size and blur it; brightness stays sharp."""
    grey = _grey(differs)[..., None]
    return np.asarray(grey + 0.5 * (differs - grey), np.float32)


def _candidates(picture: Floats, core: Mask, reach: int) -> list[Floats]:
    """Pictures of the person's colours spread outward from the core: averages near and far, darkest and nearest
    colour."""
    found = []
    weight = core.astype(np.float32)
    inside = picture * weight[..., None]
    for sigma in (1.5 * reach, 5.0 * reach):
        sums, weights = cv2.GaussianBlur(inside, (0, 0), sigma), cv2.GaussianBlur(weight, (0, 0), sigma)
        found.append(sums / np.maximum(weights, 1e-4)[..., None])
    deeper = cv2.erode(weight, _disc(reach))
    for region in (core, deeper > 0):
        if region.any():
            found.append(picture[_nearest(region)])
    grey = np.where(core, _grey(picture), 999.0).astype(np.float32)
    window = _disc(4 * reach)
    darkest = cv2.erode(grey, window)
    dark = core & (grey <= darkest + 8)
    if dark.any():
        found.append(picture[_nearest(dark)])
    return found


def _nearest(region: Mask) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For each pixel, row and column of the nearest pixel of a region."""
    _, labels = cv2.distanceTransformWithLabels(
        (~region).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(region)
    at = np.zeros((labels.max() + 1, 2), np.intp)
    at[labels[rows, columns]] = np.stack([rows, columns], axis=-1)
    where = at[labels]
    return where[..., 0], where[..., 1]


def _without_specks(alpha: Floats) -> Floats:
    """Remove alpha that is not connected with the person, however faintly: it is noise of the screen."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((alpha > 0.04).astype(np.uint8), connectivity=8)
    if count < 2:
        return alpha
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return np.where(labels == largest, alpha, 0).astype(np.float32)


def _dot(one: Floats, other: Floats) -> Floats:
    return np.asarray(np.einsum("...c,...c->...", one, other), np.float32)


def _squares(vectors: Floats) -> Floats:
    return _dot(vectors, vectors)


def _grey(colour: Floats) -> Floats:
    return np.asarray(np.einsum("...c->...", colour) / 3, np.float32)


def _disc(radius: int) -> NDArray[np.uint8]:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))  # type: ignore[no-any-return]


def _bytes(values: Floats) -> Bytes:
    return np.ascontiguousarray(np.clip(values + 0.5, 0, 255).astype(np.uint8))
