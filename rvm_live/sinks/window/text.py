"""Text on pictures: OpenCV 5's TrueType text, or the stroke fonts of OpenCV 4."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["REGULAR", "SEMIBOLD", "draw", "line_height", "measure", "shorten", "wrap"]

REGULAR = 400
SEMIBOLD = 600

_HERSHEY_UNIT = 30.0
"""Height in pixels, accents and descenders included, of FONT_HERSHEY_SIMPLEX at scale 1."""
_ASCII = str.maketrans({"·": "|", "…": "...", "°": ""})


@lru_cache(maxsize=1)
def _face() -> Any:
    """The built-in sans serif face (its figures all have one width), or None before OpenCV 5."""
    make = getattr(cv2, "FontFace", None)
    return None if make is None else make("sans")


def line_height(size: int) -> int:
    """Distance between two base lines of text of ``size`` pixels."""
    return round(size * 1.36)


@lru_cache(maxsize=4096)
def measure(text: str, size: int, weight: int = REGULAR) -> int:
    """Width of ``text`` in pixels."""
    if not text:
        return 0
    face = _face()
    if face is not None:
        _x, _y, width, _height = cv2.getTextSize((0, 0), text, (0, 0), face, size, weight)
        return int(width)
    (width, _), _ = cv2.getTextSize(
        _plain(text), cv2.FONT_HERSHEY_SIMPLEX, size / _HERSHEY_UNIT, _thickness(size, weight)
    )
    return int(width)


def draw(
    canvas: NDArray[np.uint8],
    text: str,
    x: int,
    baseline: int,
    size: int,
    colour: tuple[int, int, int],
    weight: int = REGULAR,
) -> None:
    """Draw one line of text into ``canvas`` (uint8, (H, W, 3) BGR).

    Args:
        canvas: drawn into.
        text: one line.
        x: left edge, pixels.
        baseline: row of the base line, pixels.
        size: height of the text, pixels.
        colour: BGR.
        weight: :data:`REGULAR` or :data:`SEMIBOLD`.
    """
    if not text:
        return
    face = _face()
    if face is not None:
        cv2.putText(canvas, text, (x, baseline), colour, face, size, weight=weight, wrap=(0, 1 << 20))
        return
    cv2.putText(
        canvas,
        _plain(text),
        (x, baseline),
        cv2.FONT_HERSHEY_SIMPLEX,
        size / _HERSHEY_UNIT,
        colour,
        _thickness(size, weight),
        cv2.LINE_AA,
    )


def _plain(text: str) -> str:
    return text.translate(_ASCII).encode("ascii", "replace").decode()


def _thickness(size: int, weight: int) -> int:
    return max(1, round(size / (18 if weight < SEMIBOLD else 13)))


def shorten(text: str, width: int, size: int, weight: int = REGULAR) -> str:
    """``text``, or as much of its beginning as fits into ``width`` pixels, followed by an ellipsis."""
    if measure(text, size, weight) <= width:
        return text
    low, high = 0, len(text)
    while low < high:  # binary search for the longest beginning that fits
        middle = (low + high + 1) // 2
        if measure(text[:middle].rstrip() + "…", size, weight) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…" if low else ""


def wrap(text: str, width: int, size: int, lines: int) -> list[str]:
    """Break ``text`` at spaces into at most ``lines`` lines of at most ``width`` pixels; the last is shortened."""
    words = text.split()
    broken: list[str] = []
    while words:
        if len(broken) == lines - 1:
            broken.append(shorten(" ".join(words), width, size))
            break
        count = 1
        while count < len(words) and measure(" ".join(words[: count + 1]), size) <= width:
            count += 1
        broken.append(shorten(" ".join(words[:count]), width, size))
        words = words[count:]
    return broken
