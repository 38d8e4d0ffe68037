"""The contract of a way to a server: one connection, from its beginning to its end."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from rvm_live.sinks.base import Shot

__all__ = ["Way"]


class Way(ABC):
    """Takes pictures of one size, with what is heard meanwhile, until it is gone. All of it is called on the thread of
    the sink, which makes another one where this has ended."""

    @property
    @abstractmethod
    def live(self) -> bool:
        """Whether the server has taken something."""

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
        """Send what was heard up to then."""

    @abstractmethod
    def close(self) -> None:
        """Send what waits, and end; never raises."""
