"""Figures of a matte without its true matte; lower is better.

All are of mattes and pictures brought to at most :data:`SIDE` pixels of the longer side, so that they mean the same at
every size. How well each ranks mattes as the truth does, and what was left out because it does not: docs/check.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes, Floats

__all__ = [
    "FIGURES",
    "SIDE",
    "Change",
    "Figure",
    "Look",
    "Motion",
    "area_jump",
    "change",
    "disagreement",
    "flicker",
    "measured",
    "motion",
    "reduced",
]

SIDE = 1280
_SOLID = 128
"""Alpha from which on a pixel counts as the person's."""
_REACH = 160
"""The longer side divided by this is half the reach, inside and outside, of the band around the outline in which
flicker is measured."""
_ASTRAY = 1.0
"""Tolerance of optical flow there and back, pixels: if it is exceeded, the spot was covered before."""
_UNLIKE = 24
"""The same for the grey level of a spot."""


@dataclass(frozen=True)
class Figure:
    """The description of a figure.

    Attributes:
        name: in tables and JSON.
        title: as people read it.
        unit: of its values.
        usual: quartiles of the means of RVM at ratio 0.4 over the clips of the benchmark.
        told: what a high value means.
    """

    name: str
    title: str
    unit: str
    usual: tuple[float, float]
    told: str


FIGURES = (
    Figure("flicker", "flicker", "pixels", (0.34, 0.6), "the edge flickers where nothing moves"),
    Figure(
        "area_jump", "area jumps", "pixels", (0.061, 0.17), "the outline changes suddenly: the person grows or shrinks"
    ),
    Figure(
        "disagreement",
        "disagreement",
        "% of the person",
        (1.1, 1.8),
        "at another ratio the network finds another outline",
    ),
)
"""The figures that rank mattes as the true matte does, by ``python -m benchmarks check``."""


@dataclass(frozen=True, repr=False)
class Look:
    """A picture and its matte at the size at which figures are worked out.

    Attributes:
        image: uint8 (H, W, 3) BGR.
        alpha: uint8 (H, W).
        solid: uint8 (H, W), 1 where the person is.
        outline: how long their outline is, pixels, at least 1.
    """

    image: Bytes
    alpha: Bytes
    solid: Bytes
    outline: float

    @classmethod
    def of(cls, image: Bytes, alpha: Bytes) -> Look:
        """Bring both to the size."""
        image, alpha = reduced(image), reduced(alpha)
        solid = (alpha >= _SOLID).astype(np.uint8)
        return cls(image, alpha, solid, outline_of(solid))

    @property
    def area(self) -> float:
        """The sum of alpha 0-1, pixels, at least 1."""
        return max(float(self.alpha.sum(dtype=np.int64)) / 255, 1.0)


def reduced(picture: Bytes) -> Bytes:
    """A picture or matte at the size at which figures are worked out; a small one stays as it is."""
    height, width = picture.shape[:2]
    if max(height, width) <= SIDE:
        return picture
    size = max(1, round(width * SIDE / max(height, width))), max(1, round(height * SIDE / max(height, width)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def outline_of(solid: Bytes) -> float:
    """Sides of pixels between the person and the rest, inside the picture; at least 1."""
    across = np.count_nonzero(solid[:, 1:] != solid[:, :-1])
    return float(max(across + np.count_nonzero(solid[1:] != solid[:-1]), 1))


def disagreement(look: Look, other: Bytes) -> float:
    """What another reading of the same picture differs by, % of the person's area.

    Args:
        look: the picture and its matte.
        other: uint8 (H, W): the other's alpha, at the size of the picture.
    """
    apart = cv2.absdiff(look.alpha, reduced(other))
    return float(apart.sum(dtype=np.int64)) / 255 / look.area * 100


@dataclass(frozen=True, repr=False)
class Motion:
    """Where each pixel of a picture was in the picture before, at half the size.

    Attributes:
        x: float32 (h, w): its column there.
        y: its row.
        known: bool (h, w): it was seen there.
    """

    x: Floats
    y: Floats
    known: NDArray[np.bool_]


def motion(image: Bytes, before: Bytes) -> Motion:
    """Optical flow by dense inverse search (Kroeger et al., ECCV 2016), there and back; what does not come back to
    where it began, or looked otherwise there, was covered.

    Args:
        image: uint8 (H, W, 3) BGR.
        before: the frame before, of the same size.
    """
    now, then = (_half(cv2.cvtColor(each, cv2.COLOR_BGR2GRAY)) for each in (image, before))
    height, width = now.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    if min(height, width) < 16:  # too small to search in
        return Motion(x, y, np.ones(now.shape, np.bool_))
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    back, there = search.calc(now, then, None), search.calc(then, now, None)
    x, y = x + back[..., 0], y + back[..., 1]
    again = cv2.remap(there, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    astray = np.hypot(back[..., 0] + again[..., 0], back[..., 1] + again[..., 1])
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    found = cv2.remap(then, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alike = cv2.blur(cv2.absdiff(now, found), (3, 3)) < _UNLIKE
    return Motion(x, y, (astray < _ASTRAY) & inside & alike)


@dataclass(frozen=True, repr=False)
class Change:
    """The change of alpha since the previous frame that the picture's motion does not explain, at the size of a
    :class:`Motion`.

    Attributes:
        by: float32 (h, w): alpha, 0-1, less the alpha before, moved along with the picture.
        known: bool (h, w): it was seen before.
        pixels: of the look, for each of these.
    """

    by: Floats
    known: NDArray[np.bool_]
    pixels: float


def change(look: Look, before: Look, moved: Motion) -> Change:
    """Compare a matte with the previous one."""
    size = moved.x.shape[::-1]
    alpha, earlier = (_half(each.alpha, size).astype(np.float32) / 255 for each in (look, before))
    expected = cv2.remap(earlier, moved.x, moved.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return Change(alpha - expected, moved.known, look.alpha.size / alpha.size)


def flicker(look: Look, changed: Change) -> float:
    """How far the outline moved relative to the picture, mean over its length, pixels: the absolute change of alpha in
    a band around the outline; spots that were covered do not count."""
    disc = _disc(2 * max(2, max(look.alpha.shape) // _REACH))
    band = cv2.dilate(look.solid, disc) - cv2.erode(look.solid, disc)
    size = changed.by.shape[::-1]
    counted = (cv2.resize(band, size, interpolation=cv2.INTER_NEAREST) > 0) & changed.known
    return float(np.abs(changed.by)[counted].sum()) * changed.pixels / look.outline


def area_jump(look: Look, changed: Change) -> float:
    """How far the whole outline moved outwards or inwards relative to the picture, mean over its length, pixels."""
    return abs(float(changed.by.sum())) * changed.pixels / look.outline


def measured(
    look: Look, before: Look | None = None, moved: Motion | None = None, other: Bytes | None = None
) -> dict[str, float]:
    """Every figure that can be computed for a frame, by name."""
    found: dict[str, float] = {}
    if before is not None and moved is not None:
        changed = change(look, before, moved)
        found.update(flicker=flicker(look, changed), area_jump=area_jump(look, changed))
    if other is not None:
        found["disagreement"] = disagreement(look, other)
    return found


def _half(picture: Bytes, size: Sequence[int] = ()) -> Bytes:
    height, width = picture.shape
    wanted = tuple(size) or (max(1, width // 2), max(1, height // 2))
    return np.asarray(cv2.resize(picture, wanted, interpolation=cv2.INTER_AREA))


def _disc(radius: int) -> Bytes:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)))
