"""The contract of a microphone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_AGE_NS", "RATE", "Microphone", "Mono", "Sound"]

RATE = 48_000
"""Samples per second of everything that a microphone hands out."""
MOST_AGE_NS = 5_000_000_000
"""Sound whose time says that it was heard longer ago than this has a wrong time."""


@dataclass(frozen=True, repr=False)
class Sound:
    """A piece of sound.

    Attributes:
        samples: int16 (N,), one channel, :data:`RATE` per second.
        captured_ns: monotonic time at which the first of them was heard.
    """

    samples: NDArray[np.int16]
    captured_ns: int

    @property
    def until_ns(self) -> int:
        """When the last of them ended."""
        return self.captured_ns + len(self.samples) * 1_000_000_000 // RATE


class Microphone(ABC):
    """Hands out sound.

    Who calls what: everything is called by one thread, ``rvm-microphone``: ``open`` once, then ``read`` again and
    again, and ``release`` exactly once, even if ``open`` failed. These may block; a driver may never come back.

    Attributes:
        name: for people.
    """

    name: str

    @abstractmethod
    def open(self) -> None:
        """Open the microphone; from now on it is in use.

        Raises:
            SourceUnavailableError: it cannot be opened; the message says why.
        """

    @abstractmethod
    def read(self) -> Sound:
        """Wait for the next piece, some milliseconds long; returns it with the time at which it was heard.

        Raises:
            SourceLostError: it was disconnected.
        """

    @abstractmethod
    def release(self) -> None:
        """Release it; never raises."""


class Mono:
    """Converts a device's sound to one channel at :data:`RATE`."""

    def __init__(self) -> None:
        from av import AudioResampler

        self._resampler: Any = AudioResampler(format="s16", layout="mono", rate=RATE)

    def of(self, frame: Any) -> NDArray[np.int16]:
        """The samples of a PyAV frame, int16 (N,)."""
        frame.pts = None  # the times are kept by our own clock
        parts = [part.to_ndarray().reshape(-1) for part in self._resampler.resample(frame)]
        return np.concatenate(parts) if parts else np.empty(0, np.int16)
