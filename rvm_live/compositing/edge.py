"""Moves, softens and cleans a matte's edge before it is composed.

* **Grow, shrink**: alpha is dilated or eroded (grey-level morphology) by an octagon, as a sequence of squares and
  diamonds; fractions of a pixel are interpolated. The frame's edge is not an edge of the person.
* **Soften**: alpha is blurred by a Gaussian of half as many pixels.
* Where alpha became larger, new pixels show the person's own colours, spread outwards: normalised convolution (Knutsson
  and Westin 1993) in which what is wholly the person's counts most. Never the room's.
* **Despill**: at the rim, what has more of the room's hue than the person has further inside is reduced to that. With
  the room's chroma ``s`` of length 1 (brightness left out), colour ``F`` and the person's own colour ``P`` that is
  ``F - w max(0, (F - P) . s) s``: the limit that colour difference matting sets for green (Vlahos), for any hue.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes, Floats
from rvm_live.core.frames import LEAST_ALPHA, Matte
from rvm_live.core.look import Look
from rvm_live.finishing import one_pass
from rvm_live.finishing.one_pass import CELL, LEAST_SUM

__all__ = [
    "AROUND", "BOX", "FAR_IN", "FULL_HUE", "HUE", "NOBODY", "REACH", "RIM", "SURE",
    "Edges", "carried", "despilled", "edged", "moved", "softened",
]  # fmt: skip

Box = tuple[slice, slice]
"""Lines and columns of a picture."""

BOX = 5
REACH = CELL * (BOX // 2)
"""Pixels by which one box blur spreads colours."""
FAR_IN = 250
_AS_IT_IS: Bytes = np.arange(256, dtype=np.uint8)
SURE: Bytes = np.maximum(np.rint(255 * (np.arange(256) / 255) ** 4), 4).astype(np.uint8)
SURE[:LEAST_ALPHA] = 0
"""Weight of a pixel by its alpha when colours are spread outwards: the more it is the person's, the larger."""
NOBODY: Bytes = np.where(np.arange(256) < LEAST_ALPHA, 255, 0).astype(np.uint8)
RIM = 1 / 120
"""How far inside the edge the room's colour is removed, in heights of the picture."""
_ROW = 1024
"""Length of a line for OpenCV's remap, which does not take long lines."""
AROUND = 32
"""Pixels of the room around the person from which the room's colour is taken."""
HUE, FULL_HUE = 6.0, 30.0
"""Chroma of the room, grey levels: below the first it has no hue, from the second on all of it counts."""


class Edges:
    """Changes the edge of mattes; for the compositing thread.

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
            look: the wanted look.
            as_made: its foreground already has the wanted colours.
            inside: which of the two mattes of a frame this is.

        Raises:
            MatteError: it cannot be read.
        """
        before = self._last.get(inside)
        if before is not None and before[1] == look and matte is before[0]:
            return before[2]
        if before is not None and before[1] == look and matte.same_as(before[0]):
            made = before[2].again(matte.frame)
        else:
            made = self._made(matte, look, self._source_foreground and not as_made)
        self._last[inside] = matte, look, made
        return made

    def _made(self, matte: Matte, look: Look, source_foreground: bool) -> Matte:
        if not on_device(matte):
            return edged(matte, look, source_foreground=source_foreground)
        from rvm_live.compositing.edge_torch import edged_on_device

        return edged_on_device(matte, look, source_foreground=source_foreground)


def on_device(matte: Matte) -> bool:
    """Whether the matte would have to be copied to main memory."""
    return matte.deferred is None and not isinstance(matte.alpha, np.ndarray) and bool(matte.alpha.device.type != "cpu")


def edged(matte: Matte, look: Look, *, source_foreground: bool = False) -> Matte:
    """The matte with another edge, in main memory.

    Args:
        matte: of a frame (H, W).
        look: the wanted look.
        source_foreground: take the frame's own colours.

    Raises:
        MatteError: it cannot be read.
    """
    host, image = matte.host(), matte.frame.image
    colour = image if source_foreground else host.colour
    outwards = look.grow - look.shrink
    margin = math.ceil(max(outwards, 0)) + math.ceil(2 * look.soften) + 2
    box = _around(host.alpha, max(margin, AROUND if look.despill else 0))
    if box is None:
        return replace(matte, alpha=host.alpha, foreground=colour, image=None, ready=None)
    before = np.ascontiguousarray(host.alpha[box])
    alpha = softened(moved(before, outwards), look.soften)
    alpha[alpha < LEAST_ALPHA] = 0
    colours = np.array(colour, order="C")
    if look.despill:
        _despill(colours, box, before, image, RIM * host.alpha.shape[0])
    _own(colours, box, before, alpha, margin)
    whole = np.zeros_like(host.alpha)
    whole[box] = alpha
    return replace(matte, alpha=whole, foreground=colours, image=None, ready=None)


def moved(alpha: Bytes, outwards: float) -> Bytes:
    """Alpha, uint8 (H, W), with its edge moved outwards by this many pixels; inwards if negative."""
    whole = math.floor(abs(outwards))
    one = _by(alpha, whole, outwards > 0)
    part = abs(outwards) - whole
    if not part:
        return one
    return np.asarray(cv2.addWeighted(one, 1 - part, _by(alpha, whole + 1, outwards > 0), part, 0))


def softened(alpha: Bytes, pixels: float) -> Bytes:
    """Alpha, uint8 (H, W), with its edge softened over this many pixels to each side."""
    if not pixels:
        return alpha
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), pixels / 2, borderType=cv2.BORDER_REPLICATE))


def carried(colour: Bytes, weight: Bytes, reach: float) -> tuple[Floats, Floats]:
    """Colours continued into where they do not count, of cells of 4 x 4 pixels.

    Args:
        colour: uint8 (H, W, 3).
        weight: how much each pixel of it counts, uint8 (H, W).
        reach: pixels by which they are to be carried at least.

    Returns:
        Colour, float32 (h, w, 3), 0 where nothing reaches; and its weight there, float32 (h, w).
    """
    found = _carried(colour, _whole(weight), weight, weight, _AS_IT_IS, reach, None)
    return found[..., :3], found[..., 3]


def despilled(colour: Bytes, alpha: Bytes, image: Bytes, rim: float) -> Bytes:
    """The person's colours without the room's hue at the rim; brightness stays, and so does what is further in.

    Args:
        colour: of the person, uint8 (H, W, 3) BGR.
        alpha: uint8 (H, W).
        image: the frame's, uint8 (H, W, 3).
        rim: how far in, pixels.
    """
    made = np.array(colour, order="C")
    _despill(made, _whole(alpha), alpha, image, rim)
    return made


def _despill(colour: Bytes, box: Box, alpha: Bytes, image: Bytes, rim: float) -> None:
    """That, in place, of a box of the pictures; ``alpha`` is that of the box."""
    height, width = alpha.shape
    padded = _padded(alpha, cv2.BORDER_REPLICATE)
    small = cv2.resize(padded, _cells(alpha), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), max(rim / CELL, 0.3), borderType=cv2.BORDER_REPLICATE)
    inside = cv2.resize(small, padded.shape[::-1], interpolation=cv2.INTER_LINEAR)[:height, :width]
    inside = np.ascontiguousarray(inside)
    at_rim = cv2.bitwise_and(cv2.compare(alpha, 0, cv2.CMP_GT), cv2.compare(inside, FAR_IN, cv2.CMP_LT))
    touched = _touched(at_rim)
    outside = _carried(image, box, alpha, alpha, NOBODY, AROUND, touched)
    # Pixels further inside the person weigh most; the rim itself, whose colour is doubtful, weighs almost nothing.
    own = _carried(colour, box, alpha, inside, SURE, AROUND, touched)
    if one_pass.done(lambda module: module.hued(outside, own, HUE, FULL_HUE)) and one_pass.done(
        lambda module: module.cleaned(colour, *_corner(box), alpha, inside, FAR_IN, touched, own)
    ):
        return
    hue = outside[..., :3] - outside[..., :3].mean(axis=2, keepdims=True)
    strong = np.sqrt((hue * hue).sum(axis=2, keepdims=True))
    counts = np.clip((strong - HUE) / (FULL_HUE - HUE), 0, 1) * (own[..., 3:] >= LEAST_SUM)
    # The hue enters the correction twice: the square root gives the wanted share.
    hue *= np.sqrt(counts) / np.maximum(strong, 1)
    at = np.flatnonzero(at_rim)
    where = np.divmod(at, width)
    model = _sampled(np.concatenate((hue, (own[..., :3] * hue).sum(axis=2, keepdims=True)), axis=2), where)
    s, limit = model[:, :3], model[:, 3:]
    share = np.minimum((255 - inside.reshape(-1)[at, None].astype(np.float32)) * np.float32(2 / 255), 1)
    front = colour[box][where].astype(np.float32)
    front -= share * np.maximum((front * s).sum(axis=1, keepdims=True) - limit, 0) * s
    colour[box][where] = np.clip(front + 0.5, 0, 255).astype(np.uint8)


def _carried(
    colour: Bytes, box: Box, alpha: Bytes, limit: Bytes, table: Bytes, reach: float, touched: Bytes | None
) -> Floats:
    """As :func:`carried`, float32 (h, w, 4), of a box of colours.

    Args:
        colour: uint8 (H, W, 3).
        box: where in it.
        alpha: of the box, uint8.
        limit: of both the least counts, likewise.
        table: level -> how much it counts.
        reach: as there.
        touched: cells in which it is asked for; None: all.
    """
    many, (width, height) = 1 + math.ceil(reach / REACH), _cells(alpha)
    sums: Floats = np.empty((height, width, 4), np.float32)
    wanted = np.ones((height, width), np.uint8)
    if touched is not None:
        around = 2 * (many * (BOX // 2) + 1) + 1
        wanted = cv2.dilate(touched, np.ones((1, around), np.uint8))
        wanted = cv2.dilate(wanted, np.ones((around, 1), np.uint8))
    if not one_pass.done(
        lambda module: module.summed(
            np.ascontiguousarray(colour), *_corner(box), np.ascontiguousarray(alpha), limit, table, wanted, sums
        )
    ):
        weight = cv2.LUT(np.minimum(alpha, limit), table)
        weighted = np.multiply(colour[box], cv2.merge((weight, weight, weight)), dtype=np.uint16)
        parts = weighted, np.multiply(weight, np.uint8(255), dtype=np.uint16)
        means = [cv2.resize(_padded(each), (width, height), interpolation=cv2.INTER_AREA) for each in parts]
        sums = cv2.merge([*cv2.split(means[0]), means[1]]).astype(np.float32) * np.float32(1 / 255)
    for _ in range(many):
        sums = cv2.blur(sums, (BOX, BOX))
    if not one_pass.done(lambda module: module.spread(sums)):
        there = sums[..., 3:]
        sums[..., :3] *= np.where(there < LEAST_SUM, 0, 255 / np.maximum(there, LEAST_SUM))
    return sums


def _around(alpha: Bytes, margin: int) -> tuple[slice, slice] | None:
    """The box around all people, enlarged by ``margin`` pixels; None if there is nobody."""
    x, y, wide, high = cv2.boundingRect(alpha)
    height, width = alpha.shape
    if not wide:
        return None
    # Aligned to whole cells, so that the cells stay the same when the person moves.
    return (
        slice(max(y - margin, 0) // CELL * CELL, min(_up(y + high + margin), height)),
        slice(max(x - margin, 0) // CELL * CELL, min(_up(x + wide + margin), width)),
    )


def _whole(alpha: Bytes) -> Box:
    return slice(0, alpha.shape[0]), slice(0, alpha.shape[1])


def _corner(box: Box) -> tuple[int, int]:
    return box[0].start, box[1].start


def _up(pixels: int) -> int:
    return -(-pixels // CELL) * CELL


def _cells(picture: Bytes) -> tuple[int, int]:
    """How many columns and lines of cells."""
    return -(-picture.shape[1] // CELL), -(-picture.shape[0] // CELL)


def _touched(at: Bytes) -> Bytes:
    """Cells in which something is, uint8."""
    return np.asarray(cv2.resize(_padded(at), _cells(at), interpolation=cv2.INTER_AREA))


def _padded(picture: NDArray[Any], border: int = cv2.BORDER_CONSTANT) -> NDArray[Any]:
    """To whole cells, with zeros or as it ends."""
    down, right = -picture.shape[0] % CELL, -picture.shape[1] % CELL
    if not (down or right):
        return picture
    return np.asarray(cv2.copyMakeBorder(picture, 0, down, 0, right, border))


def _by(alpha: Bytes, pixels: int, out: bool) -> Bytes:
    made: Bytes = alpha.copy()
    change = cv2.dilate if out else cv2.erode  # by default OpenCV ignores pixels outside the frame, in both operations
    # This mix of squares and crosses moves straight and slanting edges equally far.
    square = round(pixels * (math.sqrt(2) - 1))
    for shape, steps in ((cv2.MORPH_RECT, square), (cv2.MORPH_CROSS, pixels - square)):
        if steps:
            made = change(made, cv2.getStructuringElement(shape, (3, 3)), iterations=steps)
    return made


def _own(colour: Bytes, box: Box, before: Bytes, alpha: Bytes, reach: int) -> None:
    """Colours for where alpha became more, and alpha, which stays as it was where there are none; both in place."""
    more = cv2.compare(alpha, before, cv2.CMP_GT)
    if not cv2.hasNonZero(more):
        return
    touched = _touched(more)
    model = _carried(colour, box, before, before, SURE, reach, touched)
    if one_pass.done(lambda module: module.mixed(colour, *_corner(box), before, alpha, touched, model)):
        return
    where = np.nonzero(more)
    found = _sampled(model, where)
    old, new = (each[where][:, None].astype(np.float32) for each in (before, alpha))
    own = colour[box][where]
    mixed = np.clip((old * own + (new - old) * found[:, :3]) / new + 0.5, 0, 255).astype(np.uint8)
    reached = found[:, 3] >= LEAST_SUM
    colour[box][where] = np.where(reached[:, None], mixed, own)
    alpha[where] = np.where(reached, alpha[where], before[where])


def _sampled(small: Floats, where: tuple[NDArray[np.intp], ...]) -> Floats:
    """Values of cells, float32 (h, w, n), interpolated at pixels given by line and column; (many, n)."""
    many = len(where[0])
    rows = -(-many // _ROW)
    places = np.zeros(rows * _ROW, np.float32), np.zeros(rows * _ROW, np.float32)
    for place, at in zip(places, where[::-1], strict=True):
        place[:many] = (at + 0.5) / CELL - 0.5
    x, y = (place.reshape(rows, _ROW) for place in places)
    found = cv2.remap(small, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found.reshape(rows * _ROW, -1)[:many], np.float32)
