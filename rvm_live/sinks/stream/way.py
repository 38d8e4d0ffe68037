"""The contract of one connection to a server."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from rvm_live.sinks.base import Shot

__all__ = ["Way"]


class Way(ABC):
    """Takes pictures of one size, and sound, until it is lost. Everything is called on the thread of
    the sink, which makes a new one when this has ended."""

    @property
    @abstractmethod
    def live(self) -> bool:
        """Whether the server has accepted data."""

    @property
    @abstractmethod
    def gone(self) -> bool:
        """Whether it has ended, so that nothing more arrives."""

    @property
    @abstractmethod
    def reason(self) -> str:
        """Why it ended, in a few words."""

    @abstractmethod
    def add(self, picture: NDArray[np.uint8], shot: Shot) -> None:
        """Send a picture, uint8 (H, W, 3) BGR of the size that it was opened with.

        Raises:
            Exception: it cannot be sent; :attr:`reason` says why, or the exception does.
        """

    def hear(self, until_ns: int) -> None:  # noqa: B027 - optional hook
        """Send the sound up to then."""

    @abstractmethod
    def close(self) -> None:
        """Send the waiting data, and close; never raises."""
