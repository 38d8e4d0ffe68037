"""Figures of the frames of a window, a score of each frame, and a summary over a clip."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rvm_live.apps.check.figures import FIGURES, Look, measured, motion
from rvm_live.apps.check.windows import Window
from rvm_live.core.arrays import Bytes

__all__ = ["Judged", "Summary", "judged", "score", "summed"]


@dataclass(frozen=True)
class Judged:
    """One frame's figures.

    Attributes:
        number: of the frame in the clip, from 0.
        seconds: from its beginning.
        figures: name -> value, in its unit; those that can be had of it.
    """

    number: int
    seconds: float
    figures: dict[str, float]


@dataclass(frozen=True)
class Summary:
    """One figure over the clip: mean, 95th percentile (nearest rank) and the largest value, with the number of
    frames."""

    mean: float
    p95: float
    most: float
    count: int


def judged(window: Window, alphas: list[Bytes], others: list[Bytes] | None) -> Iterator[tuple[int, Judged]]:
    """The figures of the frames of a window that are judged, with their places in it."""
    before: Look | None = None
    for place in range(max(0, window.judged.start - 1), len(window.images)):
        look = Look.of(window.images[place], alphas[place])
        if place in window.judged:
            moved = None if before is None else motion(look.image, before.image)
            figures = measured(look, before, moved, None if others is None else others[place])
            yield place, Judged(window.first + place, round(window.seconds[place], 3), figures)
        before = look


def score(figures: dict[str, float]) -> tuple[float, str]:
    """How bad a frame looks, and the figure that says so most: the largest of its values relative to the usual."""
    shares = {each.name: figures[each.name] / each.usual[1] for each in FIGURES if each.name in figures}
    name = max(shares, key=lambda each: shares[each], default="")
    return shares.get(name, 0.0), name


def summed(frames: Iterable[Judged]) -> dict[str, Summary]:
    """Each figure over the frames that have it."""
    found, frames = {}, list(frames)
    for figure in FIGURES:
        values = sorted(each.figures[figure.name] for each in frames if figure.name in each.figures)
        if values:
            p95 = values[math.ceil(0.95 * len(values)) - 1]
            found[figure.name] = Summary(statistics.fmean(values), p95, values[-1], len(values))
    return found
