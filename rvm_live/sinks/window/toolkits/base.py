"""The contract of a window toolkit, and the events it gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rvm_live.sinks.window.display import Screen

__all__ = ["Closed", "Drop", "Event", "Key", "Left", "Motion", "Press", "Release", "Toolkit", "Wheel"]


@dataclass(frozen=True)
class Key:
    """A key went down.

    Attributes:
        name: what it types, lower case (``b``, ``?``, ``и``), or one of ``left``, ``right``, ``up``, ``down``,
            ``escape``, ``return``, ``space``, ``tab`` and ``f1`` to ``f12``; empty if unknown.
        shift: held. Caps lock does not count.
        place: the letter or digit that stands there on a US keyboard, for layouts whose own means nothing to us;
            empty where that is not known.
    """

    name: str
    shift: bool = False
    place: str = ""


@dataclass(frozen=True)
class Press:
    """A mouse button went down at a pixel of the picture; ``button`` is ``left``, ``middle`` or ``right``."""

    x: int
    y: int
    button: str
    double: bool = False


@dataclass(frozen=True)
class Release:
    """A mouse button came up."""

    x: int
    y: int
    button: str


@dataclass(frozen=True)
class Motion:
    """The mouse moved over the picture."""

    x: int
    y: int


@dataclass(frozen=True)
class Left:
    """The mouse left the window."""


@dataclass(frozen=True)
class Wheel:
    """The wheel was turned: positive steps away from the user."""

    steps: int


@dataclass(frozen=True)
class Drop:
    """Something was dropped on the window: files, or something else (a picture from a browser comes as its address)."""

    paths: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Closed:
    """The user closed the window."""


Event: TypeAlias = Key | Press | Release | Motion | Left | Wheel | Drop | Closed


class Toolkit(ABC):
    """One window. Only the main thread calls its methods; none blocks for longer than a picture takes.

    Class attributes:
        name: its name in messages.
        lacks: the features it does not have, in words; empty: none.
    """

    name: str
    lacks: tuple[str, ...] = ()

    @abstractmethod
    def open(self, title: str, size: tuple[int, int]) -> None:
        """Open the window.

        Args:
            title: of the window.
            size: width and height of the picture in it, pixels.

        Raises:
            DisplayError: no window can be opened; the message is the reason, one line.
        """

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Width and height of the picture as the window is now, pixels."""

    @property
    @abstractmethod
    def screen(self) -> Screen:
        """The screen that the window is on or will be."""

    @abstractmethod
    def show(self, canvas: NDArray[np.uint8]) -> None:
        """Put a picture on the screen.

        Args:
            canvas: uint8 (H, W, 3) BGR, of :attr:`size`; one of another size is scaled.

        Raises:
            DisplayError: the window failed.
        """

    @abstractmethod
    def events(self) -> list[Event]:
        """The user's events since the last call, in order; also lets the window system work."""

    @abstractmethod
    def resize(self, size: tuple[int, int]) -> None:
        """Set the size of the picture in the window; the user may change it afterwards."""

    @abstractmethod
    def fullscreen(self, on: bool) -> None:
        """Fill the screen, or go back to the size before."""

    @abstractmethod
    def close(self) -> None:
        """Close the window; may be called more than once."""
