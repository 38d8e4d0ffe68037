"""The window's views: pure functions from a composite to a picture of the window's size.

Only :func:`comparison` shows the camera's pixels (invariant 2); the others are made of the composite and the matte.
"""

from __future__ import annotations

import cv2
import numpy as np

from rvm_live.backgrounds.transparent import checkerboard
from rvm_live.core.arrays import Bytes
from rvm_live.core.frames import Composite
from rvm_live.media.scaling import Box, fit, scale_to
from rvm_live.sinks.window import panel
from rvm_live.sinks.window.display import Screen

__all__ = [
    "comparison",
    "matte",
    "opening_size",
    "over_checkerboard",
    "picture",
    "place_at",
    "plain",
    "render",
    "result",
    "split_at",
]

_OPENING = (1280, 720)
_SMALLEST = 360
_SHARE = 0.8
_TITLE_BAR = 40  # pixels, at the usual display scale


def opening_size(frame: tuple[int, int], screen: Screen, wanted: tuple[int, int] | None = None) -> tuple[int, int]:
    """Width and height of the window for frames of this size: whole pixels where they fit, four fifths of the work area
    at most, the title bar counted; or what is ``wanted``, as far as the work area has room for it."""
    width, height = frame
    enlarged = screen.enlarged
    limits = (_OPENING[0] * enlarged, _OPENING[1] * enlarged)
    area = screen.area or screen.size
    if wanted is not None:
        return wanted if area is None else (min(wanted[0], area[0]), min(wanted[1], area[1]))
    if area is not None:
        most = (_SHARE * area[0], _SHARE * area[1] - _TITLE_BAR * enlarged)
        limits = (min(limits[0], most[0]), min(limits[1], most[1]))
    scale = min(limits[0] / width, limits[1] / height, max(1.0, _SMALLEST / height) * enlarged)
    return max(1, round(width * scale)), max(1, round(height * scale))


def over_checkerboard(image: Bytes) -> Bytes:
    """A BGRA picture with straight alpha over the checkerboard, uint8 (H, W, 3)."""
    height, width = image.shape[:2]
    alpha = cv2.merge([cv2.extractChannel(image, 3)] * 3)
    colour = cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)
    front = cv2.multiply(colour, alpha, scale=1 / 255)
    back = cv2.multiply(checkerboard(width, height), cv2.bitwise_not(alpha), scale=1 / 255)
    shown: Bytes = cv2.add(front, back, dst=front)
    return shown


def plain(image: Bytes) -> Bytes:
    """``image`` as BGR: as it is, grey made BGR, or over the checkerboard where it has alpha."""
    if image.ndim == 2:
        grey: Bytes = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        return grey
    return over_checkerboard(image) if image.shape[2] == 4 else image


def _place(canvas: Bytes, image: Bytes, into: Box) -> Box:
    """Put the whole of ``image`` into ``into``, as large as possible, keeping its aspect ratio."""
    height, width = image.shape[:2]
    box = fit(width, height, into)
    area = canvas[box.y : box.y + box.height, box.x : box.x + box.width]
    scaled = scale_to(image, box.width, box.height)
    area[...] = plain(scaled) if scaled.ndim == 2 else scaled
    return box


def _canvas(width: int, height: int, image: Bytes) -> Bytes:
    """Room for a picture; black only where the picture will leave bars."""
    if fit(image.shape[1], image.shape[0], Box(0, 0, width, height)) == (0, 0, width, height):
        return np.empty((height, width, 3), np.uint8)
    return np.zeros((height, width, 3), np.uint8)


def picture(image: Bytes, width: int, height: int) -> Bytes:
    """Any picture (grey, BGR, BGRA), letterboxed to ``width`` x ``height``; new, that it may be drawn on."""
    if image.ndim == 3 and fit(image.shape[1], image.shape[0], Box(0, 0, width, height)) == (0, 0, width, height):
        scaled = scale_to(plain(image), width, height)
        return scaled.copy() if scaled is image else scaled
    canvas = _canvas(width, height, image)
    _place(canvas, image if image.ndim == 2 else plain(image), Box(0, 0, width, height))
    return canvas


def result(composite: Composite, width: int, height: int) -> Bytes:
    """The finished picture, over a checkerboard where it is transparent."""
    return picture(composite.image, width, height)


def matte(composite: Composite, width: int, height: int) -> Bytes:
    """Alpha as grey: white is the person."""
    return picture(composite.matte.host().alpha, width, height)


def comparison(composite: Composite, width: int, height: int, split: float = 0.5, *, mirror: bool = False) -> Bytes:
    """One picture: the camera's picture to the left of a line, the result of the same frame to the right."""
    canvas = _turned(picture(composite.image, width, height), mirror)
    box = fit(composite.frame.width, composite.frame.height, Box(0, 0, width, height))
    seen = min(max(round(box.width * split), 0), box.width)
    if seen:
        camera = _turned(scale_to(composite.frame.image, box.width, box.height), mirror)
        canvas[box.y : box.y + box.height, box.x : box.x + seen] = camera[:, :seen]
    line, thick = box.x + seen, max(1, width // 640)
    canvas[box.y : box.y + box.height, max(line - thick, 0) : line + thick] = 255
    size = panel.text_size(width, height)
    top = box.y + size // 2 + max(0, 3 * size - box.y)  # below the line of the statistics
    for words, left, right in (("source", box.x, line), ("result", line, box.x + box.width)):
        label = panel.caption(words, size)
        if right - left > label.width + 2 * size and box.height > 7 * size:
            panel.blend(canvas, label, (left + right - label.width) // 2, top)
    return canvas


def split_at(x: int, frame: tuple[int, int], width: int, height: int) -> float:
    """Where the comparison's line is, as a share of the picture, when it stands at the window's column ``x``."""
    box = fit(*frame, Box(0, 0, width, height))
    return min(max((x - box.x) / box.width, 0.0), 1.0)


def place_at(
    x: int, y: int, frame: tuple[int, int], width: int, height: int, *, mirror: bool
) -> tuple[float, float] | None:
    """The place of the picture, in parts of its width and height, at a pixel of the window; None: outside."""
    box = fit(*frame, Box(0, 0, width, height))
    across, down = (x + 0.5 - box.x) / box.width, (y + 0.5 - box.y) / box.height
    if not (0 <= across <= 1 and 0 <= down <= 1):
        return None
    return 1 - across if mirror else across, down


_VIEWS = {"matte": matte, "result": result}


def _turned(image: Bytes, mirror: bool) -> Bytes:
    return cv2.flip(image, 1) if mirror else image


def render(
    composite: Composite, display: str, width: int, height: int, split: float = 0.5, *, mirror: bool = False
) -> Bytes:
    """Draw one view.

    Args:
        composite: what to show.
        display: ``result``, ``comparison`` or ``matte``.
        width: of the window, pixels.
        height: of the window, pixels.
        split: where the line of the comparison stands, as a share of the picture's width.
        mirror: left and right change places, as in a mirror.

    Returns:
        New uint8 (height, width, 3) BGR that the caller may draw on.
    """
    if display == "comparison":
        return comparison(composite, width, height, split, mirror=mirror)
    return _turned(_VIEWS[display](composite, width, height), mirror)
