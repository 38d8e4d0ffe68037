"""Cuts the person out of the demo's portrait.

The portrait is NASA's photograph of the astronaut Eileen Collins (public domain), which scikit-image ships. An outline
drawn by hand says roughly where the person is; GrabCut (Rother et al. 2004) settles the edge, a guided filter (He et
al. 2010) gives it hair, and colours under the soft edge are taken from inside, so that the studio does not
shine through.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import SourceUnavailableError
from rvm_live.system.installed import adding

__all__ = ["Portrait", "load_portrait"]

BOTTOM = 346
"""Rows of the photograph that are used: below, a helmet is held into the picture."""

_OUTLINE = [
    *[(22, 346), (26, 322), (31, 305), (40, 280), (51, 257), (73, 236), (98, 216), (110, 208), (113, 192), (121, 185)],
    *[(124, 176), (132, 161), (147, 151), (166, 147), (184, 149), (183, 134), (174, 127), (168, 117), (157, 99)],
    *[(153, 76), (158, 57), (170, 44), (186, 34), (199, 24), (215, 17), (232, 15), (250, 19), (266, 27), (281, 34)],
    *[(292, 50), (299, 68), (302, 90), (297, 106), (289, 119), (279, 128), (274, 135), (267, 138), (263, 152)],
    *[(257, 168), (256, 175), (270, 183), (286, 201), (299, 221), (305, 236), (325, 246), (340, 263), (350, 289)],
    *[(356, 311), (362, 346)],
]
_HAIR_ROWS = 130


@dataclass(frozen=True, repr=False)
class Portrait:
    """A person cut out of a picture.

    Attributes:
        colour: float32 (H, W, 3) BGR 0-255, straight, carried on past the edge.
        alpha: float32 (H, W) 0-1.
        top: row of the top of the head.
        left: column of the leftmost part of the person.
        right: column just right of the person.
    """

    colour: NDArray[np.float32]
    alpha: NDArray[np.float32]
    top: int
    left: int
    right: int


def load_portrait() -> Portrait:
    """Read the photograph and cut the person out. The result is the same every time.

    Raises:
        SourceUnavailableError: scikit-image is not installed.
    """
    # Only a file of the package is needed: importing it would take longer than everything else here.
    package = find_spec("skimage")
    photograph = Path(package.origin).parent / "data" / "astronaut.png" if package and package.origin else None
    picture = cv2.imread(str(photograph)) if photograph and photograph.exists() else None
    if picture is None:
        raise SourceUnavailableError(
            f"the demo's portrait comes with scikit-image, which is not installed: {adding('demo')}"
        )
    image = np.ascontiguousarray(picture[:BOTTOM])
    alpha = _alpha(image)
    columns = np.flatnonzero(alpha.max(axis=0) > 0.5)
    rows = np.flatnonzero(alpha.max(axis=1) > 0.5)
    return Portrait(_carried_on(image, alpha), alpha, int(rows[0]), int(columns[0]), int(columns[-1]) + 1)


def _alpha(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    rough = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(rough, [np.array(_OUTLINE, np.int32)], 255)
    inside = cv2.erode(rough, _disc(5), borderValue=255)
    outside = cv2.dilate(rough, _disc(4))
    mask = np.where(rough > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    mask[inside > 0] = cv2.GC_FGD
    mask[outside == 0] = cv2.GC_BGD
    cv2.setRNGSeed(0)  # GrabCut initialises its mixtures by k-means, which is random
    cv2.grabCut(image, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    hard = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    guide = image.astype(np.float32) / 255
    soft = cv2.ximgproc.guidedFilter(guide, hard, radius=2, eps=1e-4)
    hairy = cv2.ximgproc.guidedFilter(guide, hard, radius=4, eps=1e-5)
    alpha = soft
    alpha[:_HAIR_ROWS] = hairy[:_HAIR_ROWS]
    alpha = np.clip((alpha - 0.22) / 0.56, 0, 1)
    alpha[inside > 0] = 1
    alpha[cv2.dilate(outside, _disc(3)) == 0] = 0
    result: NDArray[np.float32] = alpha.astype(np.float32)
    return result


def _carried_on(image: NDArray[np.uint8], alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colours of the certain inside, spread outward over the soft edge (normalised blur, from fine to coarse)."""
    certain = cv2.erode((alpha > 0.97).astype(np.float32), _disc(1))
    colour = image.astype(np.float32)
    filled = np.zeros_like(colour)
    left = np.ones_like(alpha)
    for sigma in (1.5, 4.0, 12.0):
        weight = cv2.GaussianBlur(certain, (0, 0), sigma)
        spread = cv2.GaussianBlur(colour * certain[..., None], (0, 0), sigma) / np.maximum(weight, 1e-6)[..., None]
        share = left * np.clip(weight / 0.05, 0, 1)
        filled += spread * share[..., None]
        left -= share
    filled += colour * left[..., None]
    keep = cv2.GaussianBlur(certain, (0, 0), 0.7)[..., None]
    result: NDArray[np.float32] = colour * keep + filled * (1 - keep)
    return result


def _disc(radius: int) -> NDArray[np.uint8]:
    kernel: NDArray[np.uint8] = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return kernel
