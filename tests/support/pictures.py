"""Composites with a known truth: a soft-edged disc of one colour, cut out of a camera picture of another."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.frames import LEAST_ALPHA, Composite, Frame, Matte, Stamps

__all__ = ["BACKGROUND", "CAMERA", "FOREGROUND", "disc_alpha", "make_composite", "share_of"]

CAMERA = (255, 0, 255)
"""BGR of every pixel of the camera's picture: magenta, which nothing else has."""
FOREGROUND = (40, 200, 60)
"""BGR of the person: green."""
BACKGROUND = (190, 90, 30)
"""BGR of the background: blue."""


def disc_alpha(width: int, height: int, *, centre: float = 0.5, radius: float = 0.3, soft: float = 6.0) -> NDArray:
    """Alpha of a disc, uint8 (height, width), as displayed; ``centre`` and ``radius`` are shares of width and
    height."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = np.hypot(columns - centre * width, rows - height / 2)
    alpha = (np.clip((radius * height - distance) / soft + 0.5, 0, 1) * 255 + 0.5).astype(np.uint8)
    return alpha * (alpha >= LEAST_ALPHA)


def make_composite(
    width: int = 320,
    height: int = 180,
    *,
    seq: int = 0,
    captured_ns: int | None = None,
    media_ns: int | None = None,
    transparent: bool = False,
    alpha: NDArray | None = None,
    foreground: NDArray | None = None,
) -> Composite:
    """A composite whose frame, matte and picture belong together; BGRA if ``transparent``."""
    if alpha is None:
        alpha = disc_alpha(width, height)
    if foreground is None:
        foreground = np.full((height, width, 3), FOREGROUND, np.uint8)
    captured = 1_000_000_000 + seq * 33_333_333 if captured_ns is None else captured_ns
    camera = np.full((height, width, 3), CAMERA, np.uint8)
    frame = Frame(camera, seq=seq, epoch=0, captured_ns=captured, media_ns=media_ns)
    matte = Matte(frame, alpha=alpha, foreground=foreground)
    if transparent:
        image = np.dstack((foreground * (alpha[:, :, None] > 0), alpha))
    else:
        share = alpha[:, :, None].astype(np.float32) / 255
        image = foreground * share + np.float32(BACKGROUND) * (1 - share) + 0.5
    stamps = Stamps(captured, captured + 1_000_000, captured + 2_000_000, captured + 3_000_000, captured + 4_000_000)
    return Composite(np.ascontiguousarray(image.astype(np.uint8)), matte, stamps, "cpu", "color")


def share_of(picture: NDArray[np.uint8], colour: tuple[int, int, int], tolerance: int) -> float:
    """Share of the pixels of a picture (H, W, 3) that are within so many levels of a colour."""
    near = cv2.inRange(picture, *(tuple(each + by for each in colour) for by in (-tolerance, tolerance)))
    return cv2.countNonZero(near) / near.size
