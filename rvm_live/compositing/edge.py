"""The matte's edge, moved, softened and cleaned: another matte, made before anything is composed of it.

* **Grow, shrink**: alpha is dilated or eroded (grey-level morphology) by an octagon, which squares and diamonds make
  one after the other, and between whole pixels mixed. The frame's edge is no edge of the person.
* **Soften**: alpha is blurred by a Gaussian of half as many pixels.
* Wherever alpha became more than it was, what is new shows the person's own colours, carried outwards: normalised
  convolution (Knutsson and Westin 1993) in which what is wholly the person's counts most. Never the room's.
* **Despill**: at the rim, what is more of the room's hue than the person has further in is taken away. With the room's
  chroma ``s`` of length 1 (brightness left out), colour ``F`` and the person's own colour ``P`` that is
  ``F - w max(0, (F - P) . s) s``: the limit that colour difference matting sets for green (Vlahos), for any hue.
"""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes, Floats
from rvm_live.core.frames import LEAST_ALPHA, Matte
from rvm_live.core.look import Look

__all__ = ["Edges", "carried", "despilled", "edged", "moved", "softened"]

_REDUCE, _BOX = 4, 5
_REACH = _REDUCE * (_BOX // 2)
"""Pixels by which one box carries colours further."""
_LEAST = 1e-3
_SURE: Bytes = np.maximum(np.rint(255 * (np.arange(256) / 255) ** 4), 4).astype(np.uint8)
_SURE[:LEAST_ALPHA] = 0
"""What a pixel of each alpha counts where colours are carried outwards: the more it is the person's, the more."""
_NOBODY: Bytes = np.where(np.arange(256) < LEAST_ALPHA, 255, 0).astype(np.uint8)
_RIM = 1 / 120
"""How far in from the edge the room's colour is taken off, in heights of the picture."""
_ROW = 1024
"""Of OpenCV's remap, which takes no long lines."""
_AROUND = 32
"""Pixels of the room beside the person that are looked at for its colour."""
_HUE, _FULL_HUE = 6.0, 30.0
"""Chroma of the room, grey levels: below the first it has no hue, from the second on all of it counts."""


class Edges:
    """Gives mattes their edge; for the compositing thread.

    Args:
        source_foreground: the camera's own colours are composed.
    """

    def __init__(self, *, source_foreground: bool = False) -> None:
        self._source_foreground = source_foreground
        self._last: dict[bool, tuple[Matte, Look, Matte]] = {}

    def matte(self, matte: Matte, look: Look, *, as_made: bool, inside: bool) -> Matte:
        """The matte with the edge that is asked for.

        Args:
            matte: any.
            look: what is asked for.
            as_made: its foreground holds the colours that are wanted.
            inside: of the two that may be made of each frame, which.

        Raises:
            MatteError: it cannot be read.
        """
        before = self._last.get(inside)
        if before is not None and before[1] == look and matte is before[0]:
            return before[2]
        if before is not None and before[1] == look and matte.same_as(before[0]):
            made = before[2].again(matte.frame)
        else:
            made = edged(matte, look, source_foreground=self._source_foreground and not as_made)
        self._last[inside] = matte, look, made
        return made


def edged(matte: Matte, look: Look, *, source_foreground: bool = False) -> Matte:
    """The matte with another edge, in main memory.

    Args:
        matte: of a frame (H, W).
        look: what is asked for.
        source_foreground: take the frame's own colours.

    Raises:
        MatteError: it cannot be read.
    """
    host, image = matte.host(), matte.frame.image
    colour = image if source_foreground else host.colour
    outwards = look.grow - look.shrink
    margin = math.ceil(max(outwards, 0)) + math.ceil(2 * look.soften) + 2
    box = _around(host.alpha, max(margin, _AROUND if look.despill else 0))
    if box is None:
        return replace(matte, alpha=host.alpha, foreground=colour, image=None, ready=None)
    before, part = np.ascontiguousarray(host.alpha[box]), np.ascontiguousarray(colour[box])
    alpha = softened(moved(before, outwards), look.soften)
    alpha[alpha < LEAST_ALPHA] = 0
    if look.despill:
        part = despilled(part, before, np.ascontiguousarray(image[box]), _RIM * host.alpha.shape[0])
    part, alpha = _own(part, before, alpha, margin)
    whole, colours = np.zeros_like(host.alpha), np.array(colour, order="C")
    whole[box], colours[box] = alpha, part
    return replace(matte, alpha=whole, foreground=colours, image=None, ready=None)


def moved(alpha: Bytes, outwards: float) -> Bytes:
    """Alpha, uint8 (H, W), with its edge so many pixels further out, or in where that is negative."""
    whole = math.floor(abs(outwards))
    one = _by(alpha, whole, outwards > 0)
    part = abs(outwards) - whole
    if not part:
        return one
    return np.asarray(cv2.addWeighted(one, 1 - part, _by(alpha, whole + 1, outwards > 0), part, 0))


def softened(alpha: Bytes, pixels: float) -> Bytes:
    """Alpha, uint8 (H, W), with an edge that is softer by so many pixels to each side."""
    if not pixels:
        return alpha
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), pixels / 2, borderType=cv2.BORDER_REPLICATE))


def carried(colour: Bytes, weight: Bytes, reach: float) -> tuple[Floats, Floats]:
    """Colours continued into where they do not count, at a quarter of the size.

    Args:
        colour: uint8 (H, W, 3).
        weight: how much each pixel of it counts, uint8 (H, W).
        reach: pixels by which they are to be carried at least.

    Returns:
        Colour, float32 (h, w, 3), 0 where nothing reaches; and by what it is carried there, float32 (h, w).
    """
    size = (max(1, colour.shape[1] // _REDUCE), max(1, colour.shape[0] // _REDUCE))
    weighted = np.multiply(colour, cv2.merge((weight, weight, weight)), dtype=np.uint16)
    top = cv2.resize(weighted, size, interpolation=cv2.INTER_AREA).astype(np.float32) * np.float32(1 / 255)
    whole = np.multiply(weight, np.uint8(255), dtype=np.uint16)
    bottom = cv2.resize(whole, size, interpolation=cv2.INTER_AREA).astype(np.float32) * np.float32(1 / 255)
    for _ in range(1 + math.ceil(reach / _REACH)):
        top, bottom = cv2.blur(top, (_BOX, _BOX)), cv2.blur(bottom, (_BOX, _BOX))
    spread = top * (255 / np.maximum(bottom, _LEAST))[..., None]
    spread[bottom < _LEAST] = 0
    return np.asarray(spread, np.float32), np.asarray(bottom, np.float32)


def despilled(colour: Bytes, alpha: Bytes, image: Bytes, rim: float) -> Bytes:
    """The person's colours without the room's hue at the rim; brightness stays, and so does what is further in.

    Args:
        colour: of the person, uint8 (H, W, 3) BGR.
        alpha: uint8 (H, W).
        image: the frame's, uint8 (H, W, 3).
        rim: how far in, pixels.
    """
    outside, _ = carried(image, np.asarray(cv2.LUT(alpha, _NOBODY)), _AROUND)
    height, width = alpha.shape
    size = (max(1, width // _REDUCE), max(1, height // _REDUCE))
    small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(rim / _REDUCE, 0.3), borderType=cv2.BORDER_REPLICATE)
    inside = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    # What is further in counts most, and the rim itself, whose colour is in doubt, next to nothing.
    own, there = carried(colour, np.asarray(cv2.LUT(np.minimum(alpha, inside), _SURE)), _AROUND)
    hue = outside - outside.mean(axis=2, keepdims=True)
    strong = np.sqrt((hue * hue).sum(axis=2, keepdims=True))
    counts = np.clip((strong - _HUE) / (_FULL_HUE - _HUE), 0, 1) * (there >= _LEAST)[..., None]
    hue *= np.sqrt(counts) / np.maximum(strong, 1)  # so that what is taken away, where it is in twice, has the share
    at = np.flatnonzero((alpha > 0) & (inside < 250))
    model = _sampled(np.concatenate((hue, (own * hue).sum(axis=2, keepdims=True)), axis=2), at, alpha.shape)
    s, limit = model[:, :3], model[:, 3:]
    share = np.minimum((255 - inside.reshape(-1)[at, None].astype(np.float32)) * np.float32(2 / 255), 1)
    front = colour.reshape(-1, 3)[at].astype(np.float32)
    front -= share * np.maximum((front * s).sum(axis=1, keepdims=True) - limit, 0) * s
    made = np.array(colour, order="C")
    made.reshape(-1, 3)[at] = np.clip(front + 0.5, 0, 255).astype(np.uint8)
    return made


def _around(alpha: Bytes, margin: int) -> tuple[slice, slice] | None:
    """Where somebody is, and so many pixels around."""
    x, y, wide, high = cv2.boundingRect(alpha)
    height, width = alpha.shape
    if not wide:
        return None
    return (
        slice(max(y - margin, 0), min(y + high + margin, height)),
        slice(max(x - margin, 0), min(x + wide + margin, width)),
    )


def _by(alpha: Bytes, pixels: int, out: bool) -> Bytes:
    made: Bytes = alpha.copy()
    change = cv2.dilate if out else cv2.erode  # beyond the frame nothing counts, in either
    square = round(pixels * (math.sqrt(2) - 1))  # with so many of each, straight and slanting sides are as far out
    for shape, steps in ((cv2.MORPH_RECT, square), (cv2.MORPH_CROSS, pixels - square)):
        if steps:
            made = change(made, cv2.getStructuringElement(shape, (3, 3)), iterations=steps)
    return made


def _own(colour: Bytes, before: Bytes, alpha: Bytes, reach: int) -> tuple[Bytes, Bytes]:
    """Colours for where alpha became more, uint8 (H, W, 3), and alpha, which stays as it was where there are none."""
    more = np.flatnonzero(alpha > before)
    if not len(more):
        return colour, alpha
    small, there = carried(colour, np.asarray(cv2.LUT(before, _SURE)), reach)
    model = _sampled(np.dstack((small, there)), more, alpha.shape)
    old, new = (each.reshape(-1)[more, None].astype(np.float32) for each in (before, alpha))
    own = colour.reshape(-1, 3)[more]
    mixed = np.clip((old * own + (new - old) * model[:, :3]) / new + 0.5, 0, 255).astype(np.uint8)
    reached = model[:, 3] >= _LEAST
    made, kept = np.array(colour, order="C"), alpha.copy()
    made.reshape(-1, 3)[more] = np.where(reached[:, None], mixed, own)
    kept.reshape(-1)[more] = np.where(reached, new[:, 0].astype(np.uint8), old[:, 0].astype(np.uint8))
    return made, kept


def _sampled(small: Floats, at: NDArray[np.intp], shape: tuple[int, ...]) -> Floats:
    """Of a smaller picture, float32 (h, w, n), what is at pixels of a larger one, by their numbers, (many, n)."""
    rows = -(-len(at) // _ROW)
    places = np.zeros(rows * _ROW, np.float32), np.zeros(rows * _ROW, np.float32)
    for place, where, full, low in zip(
        places, np.divmod(at, shape[1])[::-1], shape[::-1], small.shape[1::-1], strict=True
    ):
        place[: len(at)] = (where + 0.5) * (low / full) - 0.5
    x, y = (place.reshape(rows, _ROW) for place in places)
    found = cv2.remap(small, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found.reshape(rows * _ROW, -1)[: len(at)], np.float32)
