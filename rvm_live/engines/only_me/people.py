"""Data about people in small mattes, and about the parts of a matte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Floats, Mask

__all__ = ["KEEP_S", "Part", "Person", "meant", "packed"]

_BESIDE = 2
KEEP_S = 3.0
"""About how long a partly hidden person is assumed to move on as before."""


@dataclass
class Person:
    """A person that was seen.

    Attributes:
        mark: in the map of people.
        colours: a histogram.
        area: share of the picture when nobody else touched them.
        x: horizontal position of the centre, share of the width.
        y: likewise.
        right_s: its speed to the right, picture widths a second.
        down_s: likewise.
        weight: how much of them is seen now, 0 to 1.
        since_s: seconds since they appeared.
        gone_s: seconds for which they were not seen; 0: they are.
        behind: the mark of who hides them; 0: nobody.
        touch_s: seconds since they touch somebody.
        shape: distance of each pixel from them before, moved along with them since, float32 (h, w).
        part_of: the mark of whom they came away from; 0: nobody.
    """

    mark: int
    colours: Floats
    area: float = 0.0
    x: float = 0.0
    y: float = 0.0
    right_s: float = 0.0
    down_s: float = 0.0
    weight: float = 0.0
    since_s: float = 0.0
    gone_s: float = 0.0
    behind: int = 0
    part_of: int = 0
    touch_s: float = 0.0
    shape: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def reach(self, marks: NDArray[np.uint8], passed_s: float) -> Floats:
        """How far each pixel is from where they must be by now, who touch somebody: float32 (h, w).

        The line between two who touch drifts; what they were before, moved on, holds it for a while.

        Args:
            marks: the map of people a moment before.
            passed_s: seconds since then.
        """
        away = cv2.distanceTransform((marks != self.mark).astype(np.uint8), cv2.DIST_L2, 3)
        if not self.touch_s:
            self.shape = away
        height, width = marks.shape
        self.touch_s += passed_s
        step = np.array([[1, 0, self.right_s * width * passed_s], [0, 1, self.down_s * height * passed_s]])
        away, self.shape = (
            cv2.warpAffine(each, step, (width, height), borderMode=cv2.BORDER_REPLICATE) for each in (away, self.shape)
        )
        trust = float(np.exp(-self.touch_s / KEEP_S))
        return np.asarray((1 - trust) * away + trust * self.shape, np.float32)

    @property
    def row(self) -> list[float]:
        place = [self.mark, self.area, self.x, self.y, self.right_s, self.down_s]
        return [*place, self.weight, self.since_s, self.gone_s, self.touch_s, self.behind, self.part_of]

    @classmethod
    def of(cls, row: NDArray[np.float64], colours: Floats, shape: Floats) -> Person:
        mark, area, x, y, right_s, down_s, weight, since_s, gone_s, touch_s, behind, part_of = (
            float(each) for each in row
        )
        place = {"area": area, "x": x, "y": y, "right_s": right_s, "down_s": down_s}
        since = {"weight": weight, "since_s": since_s, "gone_s": gone_s, "touch_s": touch_s}
        return cls(int(mark), colours, **place, **since, behind=int(behind), part_of=int(part_of), shape=shape)


@dataclass
class Part:
    """One connected part of the matte."""

    mask: Mask
    area: int
    left: int
    right: int
    owners: list[Person] = field(default_factory=list)
    overlaps: dict[int, int] = field(default_factory=dict)

    def common(self, left: int, right: int) -> int:
        """How many columns it has in common with these; negative: how many lie between."""
        return min(self.right, right) - max(self.left, left)

    def beside(self, other: Part) -> bool:
        """Whether it stands beside another part: a person may be cut in two above each other, seldom so."""
        return self.common(other.left, other.right) <= -_BESIDE


def meant(able: Sequence[Person], person: str, marks: NDArray[np.uint8]) -> Person:
    """The chosen person in the map of people, as :func:`~rvm_live.core.only_me.parse_person` gives it."""
    if person == "left":
        return min(able, key=lambda each: each.x)
    if person == "right":
        return max(able, key=lambda each: each.x)
    if person == "largest":
        return max(able, key=lambda each: each.area)
    x, y = (float(each) for each in person.split(","))
    height, width = marks.shape

    def away(each: Person) -> float:
        ys, xs = np.nonzero(marks == each.mark)
        return float(np.hypot(xs - (x * width - 0.5), ys - (y * height - 0.5)).min())

    return min(able, key=away)


def packed(numbers: NDArray[Any]) -> Floats:
    """The numbers as pairs of half width, bit by bit: a run that continues from them gives the same bytes."""
    return numbers.view(np.float32)
