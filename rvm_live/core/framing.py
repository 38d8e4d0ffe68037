"""Where the person is to be in the picture, as the user asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rvm_live.core.errors import SettingsError

__all__ = ["LARGEST", "SMALLEST", "Framing", "parse_shift"]

SMALLEST, LARGEST = 0.5, 4.0
"""Limits of the scale: below the first, bilinear sampling would skip pixels; above the second, too little is left to
see."""


@dataclass
class Framing:
    """The user's request; may be changed from any thread, and takes effect with the next frame.

    Attributes:
        follow: all people together stay in the middle, as tall as ``zoom`` times 80 % of the picture's height.
        zoom: size of the person, :data:`SMALLEST` to :data:`LARGEST`.
        shift: how far the person is moved right and down, as parts of the picture's size, -1 to 1 each.

    Raises:
        SettingsError: out of range.
    """

    follow: bool = False
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if not SMALLEST <= self.zoom <= LARGEST:
            raise SettingsError(f"zoom {self.zoom:g} is out of range: it must be between {SMALLEST:g} and {LARGEST:g}")
        if len(self.shift) != 2 or not all(-1 <= each <= 1 for each in self.shift):
            told = ",".join(f"{each:g}" for each in self.shift)
            raise SettingsError(f"shift {told} is out of range: write two numbers from -1 to 1 (right, down)")

    @property
    def plain(self) -> bool:
        """Whether the frame is shown as it is."""
        return not self.follow and self.zoom == 1 and self.shift == (0, 0)

    @property
    def words(self) -> str:
        """The request in words; empty if there is none."""
        shift = ",".join(f"{each:g}" for each in self.shift) if any(self.shift) else ""
        zoom = f"zoom {self.zoom:g}" if self.zoom != 1 else ""
        parts = ("follow" if self.follow else "", zoom, f"shift {shift}" if shift else "")
        return " · ".join(part for part in parts if part)


def parse_shift(wish: object) -> tuple[float, float]:
    """Read ``0.2,-0.1`` or two numbers, how far right and down; a single number is to the right.

    Raises:
        SettingsError: it is something else, or out of range.
    """
    parts: Iterable[Any] = wish.split(",") if isinstance(wish, str) else wish if isinstance(wish, Iterable) else [wish]
    try:
        numbers = [float(each) for each in parts if not isinstance(each, bool)]
    except (TypeError, ValueError):
        numbers = []
    if not 1 <= len(numbers) <= 2:
        raise SettingsError(f"shift must be two numbers from -1 to 1 (right, down), such as 0.2,-0.1, not {wish!r}")
    shift = numbers[0], numbers[1] if len(numbers) == 2 else 0.0
    return Framing(shift=shift).shift
