"""Semi-transparent text panels: laid out and drawn rarely, blended into every picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.sinks.window.text import REGULAR, SEMIBOLD, draw, line_height, measure, shorten

__all__ = [
    "AMBER",
    "LABEL",
    "RED",
    "TEXT",
    "Panel",
    "Row",
    "beside",
    "blend",
    "caption",
    "finish",
    "fit_rows",
    "ground",
    "lay_out",
    "panel_height",
    "text_size",
]

Colour = tuple[int, int, int]

TEXT: Colour = (240, 240, 240)
LABEL: Colour = (190, 182, 174)
AMBER: Colour = (70, 190, 255)
RED: Colour = (95, 95, 255)
_BACK: Colour = (30, 24, 20)
_OPACITY = 0.78
_INK = 110  # distance from the panel's colour from which on a pixel counts as fully drawn
_THROUGH = np.array([round(255 * (1 - _OPACITY) * (1 - min(distance / _INK, 1))) for distance in range(256)], np.uint8)


@dataclass(frozen=True)
class Row:
    """One line of a panel.

    Attributes:
        label: first column.
        text: what follows the number.
        number: aligned to the right in a column of its own; empty: ``text`` begins where numbers do.
        colour: of number and text, BGR.
        rank: rows with the highest rank are left out first if there is not enough room.
        scale: size relative to the other rows.
        label_colour: BGR.
        label_weight: of the label.
    """

    label: str
    text: str = ""
    number: str = ""
    colour: Colour = TEXT
    rank: int = 0
    scale: float = 1.0
    label_colour: Colour = LABEL
    label_weight: int = REGULAR


@dataclass(frozen=True, repr=False)
class Panel:
    """A drawn panel, ready to be blended.

    Attributes:
        colour: uint8 (h, w, 3) BGR, premultiplied by its opacity.
        through: uint8 (h, w, 3), how much of the picture shines through, 0-255.
    """

    colour: NDArray[np.uint8]
    through: NDArray[np.uint8]

    @property
    def width(self) -> int:
        return int(self.colour.shape[1])

    @property
    def height(self) -> int:
        return int(self.colour.shape[0])


def text_size(width: int, height: int) -> int:
    """Height of the text, pixels, that is readable in a window of this size and leaves room for the picture."""
    return int(min(max(min(height / 44, width / 60), 11), 80))


def fit_rows(rows: Sequence[Row], height: int, size: int) -> list[Row]:
    """The rows that fit into ``height`` pixels; those of highest rank are left out first."""
    kept = list(rows)
    while kept and panel_height(kept, size) > height:
        worst = max(range(len(kept)), key=lambda i: (kept[i].rank, i))
        del kept[worst]
    return kept


def row_height(row: Row, size: int) -> int:
    return line_height(round(size * row.scale))


def panel_height(rows: Sequence[Row], size: int) -> int:
    return sum(row_height(row, size) for row in rows) + 2 * _padding(size)


def _padding(size: int) -> int:
    return max(4, round(size * 0.6))


def lay_out(rows: Sequence[Row], size: int, max_width: int, *, min_width: int = 0) -> Panel:
    """Draw rows in aligned columns: label, number, text.

    Args:
        rows: at least one.
        size: height of the text, pixels.
        max_width: of the panel; longer texts are shortened.
        min_width: of the panel, pixels.
    """
    pad = _padding(size)
    gap = round(size * 0.8)  # between the columns

    def widths(row: Row) -> tuple[int, int, int]:
        own = round(size * row.scale)
        return (
            measure(row.label, size, row.label_weight),
            measure(row.number, own, _weight(row)),
            measure(row.text, own, _weight(row)),
        )

    measured = [widths(row) for row in rows]
    label_width = max(width for width, _, _ in measured)
    number_width = max((n for row, (_, n, _) in zip(rows, measured, strict=True) if row.scale == 1.0), default=0)
    start = pad + (label_width + gap if label_width else 0)
    unit = start + number_width + (round(size * 0.35) if number_width else 0)

    def begin(row: Row) -> int:
        return start if row.label or row.scale == 1.0 else pad  # a headline needs no column for a label

    def after(row: Row, number: int) -> int:
        """Where the text begins."""
        if not row.number:
            return begin(row)
        own = begin(row) + number + round(size * 0.35 * row.scale)
        return max(unit, own) if row.scale == 1.0 else own

    needed = max(after(row, n) + words for row, (_, n, words) in zip(rows, measured, strict=True)) + pad
    width = max(1, min(max(needed, min_width), max_width))
    canvas = ground(width, panel_height(rows, size))
    top = pad
    for row, (_, number, _) in zip(rows, measured, strict=True):
        own = round(size * row.scale)
        baseline = top + round(row_height(row, size) * 0.76)
        draw(canvas, row.label, pad, baseline, size, row.label_colour, row.label_weight)
        left = begin(row) + max(0, number_width - number) if row.scale == 1.0 else begin(row)
        draw(canvas, row.number, left, baseline, own, row.colour, _weight(row))
        left = after(row, number)
        fitting = shorten(row.text, width - pad - left, own, _weight(row))
        draw(canvas, fitting, left, baseline, own, row.colour, _weight(row))
        top += row_height(row, size)
    return finish(canvas)


def _weight(row: Row) -> int:
    return SEMIBOLD if row.scale > 1.0 else REGULAR


def ground(width: int, height: int) -> NDArray[np.uint8]:
    """An empty panel to draw on, uint8 (height, width, 3)."""
    return np.full((height, width, 3), _BACK, np.uint8)


def finish(canvas: NDArray[np.uint8]) -> Panel:
    """A panel of what was drawn on its :func:`ground`: letters are opaque, the ground between them is not."""
    blue, green, red = cv2.split(cv2.absdiff(canvas, (*_BACK, 0)))
    through = cv2.LUT(cv2.max(cv2.max(blue, green), red), _THROUGH)
    three = cv2.merge([through] * 3)
    return Panel(cv2.multiply(canvas, cv2.bitwise_not(three), scale=1 / 255), three)


def beside(panels: Sequence[Panel]) -> Panel:
    """Panels of one height as one, from left to right."""
    return Panel(np.hstack([each.colour for each in panels]), np.hstack([each.through for each in panels]))


@lru_cache(maxsize=16)
def caption(words: str, size: int) -> Panel:
    """A small panel with one line."""
    return lay_out([Row("", words)], size, 1 << 14)


def blend(canvas: NDArray[np.uint8], panel: Panel, x: int, y: int) -> None:
    """Blend ``panel`` into ``canvas`` (uint8 (H, W, 3)) with its upper left corner at (x, y); clipped at the edges."""
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + panel.width, canvas.shape[1]), min(y + panel.height, canvas.shape[0])
    if right <= left or bottom <= top:
        return
    part = (slice(top - y, bottom - y), slice(left - x, right - x))
    area = canvas[top:bottom, left:right]
    dimmed = cv2.multiply(area, panel.through[part], scale=1 / 255)
    canvas[top:bottom, left:right] = cv2.add(dimmed, panel.colour[part])
