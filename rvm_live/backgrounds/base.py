"""The contract of a background, and the three kinds of layer one can hand to a compositor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.notices import Notices

__all__ = ["Background", "Blur", "Clear", "Layer", "Plate"]


@dataclass(frozen=True, repr=False, eq=False)
class Plate:
    """A picture behind the person; two are equal if they are known to have the same pixels.

    Attributes:
        image: uint8 (H, W, 3) BGR, C-contiguous, of the frame's size; not written to after it was handed out.
        version: equal versions of one background mean equal pixels, so that a compositor may keep its upload.
    """

    image: NDArray[np.uint8]
    version: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plate) and self.image is other.image and self.version == other.version

    def __hash__(self) -> int:
        return hash((id(self.image), self.version))


@dataclass(frozen=True)
class Blur:
    """The frame's own surroundings, blurred, without the person in them.

    ``B = G * ((1 - a) S) / (G * (1 - a))`` with a Gaussian G: blur weighted by 1 - alpha (normalised convolution,
    Knutsson and Westin 1993), so that the person's colours do not bleed into the background.

    Attributes:
        strength: standard deviation of G in pixels at 720 lines of height; scales with the frame's height.
        lens: over a disc in linear light, in the place of G, so that lamps become round spots.
    """

    strength: float
    lens: bool = False


@dataclass(frozen=True)
class Clear:
    """No background: the result keeps its alpha."""


Layer: TypeAlias = "Plate | Blur | Clear"


class Background(ABC):
    """Draws the background behind the person.

    Who calls what: construction checks the settings and opens nothing slow. ``open``, ``layer`` and ``close`` are
    called by the compositing thread alone; ``open`` once before use, ``close`` exactly once after ``open`` was
    called. ``layer`` must not block for longer than a frame time.

    Attributes:
        label: short name for the overlay, e.g. ``image studio``.
        exact: times are positions in a file, from 0, and each is to show exactly what belongs to it, however long that
            takes; set before ``open``.
        pixel: width of a frame's pixels for their height; set before ``open``.
        told: a note for the user once it is drawn, one line; empty: none.
        notices: list for later messages; set before ``open``; or None.
    """

    label: str
    exact: bool = False
    pixel: Fraction = Fraction(1)
    told: str = ""
    notices: Notices | None = None

    def open(self) -> None:  # noqa: B027 - optional hook
        """Get ready.

        Raises:
            BackgroundError: it cannot be read; the message says why.
        """

    @abstractmethod
    def layer(self, width: int, height: int, now_ns: int) -> Layer:
        """The background at one moment.

        Args:
            width: of the frame, pixels.
            height: of the frame, pixels.
            now_ns: monotonic time, for backgrounds that move.

        Raises:
            BackgroundError: it failed; the caller falls back to a plain colour.
        """

    def close(self) -> None:  # noqa: B027 - optional hook
        """Free files and threads."""
