"""What the recorder's thread writes with: the contract of a writer, and the PNG sequence."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.frames import LEAST_ALPHA
from rvm_live.media.scaling import Box, fit, scale_to
from rvm_live.sinks.base import Shot
from rvm_live.sinks.recording.snapshot import encode_png
from rvm_live.sinks.recording.unfinished import place_lock
from rvm_live.system.atomic_write import write_whole, writing

__all__ = ["PngSequence", "Shot", "Writer", "fit_into", "over_black"]


class Writer(ABC):
    """Writes shots to one place.

    Who calls what: ``claim`` before anything else, by whoever opens the recorder; the rest by the recorder's thread,
    ``write`` for every shot in order, ``idle`` while none comes, then ``finish`` at the end, and ``rescue`` if any of
    them fails. These may block on the encoder and the disk.

    Attributes:
        path: where it will be.
        timed: a picture is shown until the next one's time, however long that is.
    """

    path: Path
    timed: bool = True

    def claim(self) -> None:  # noqa: B027 - optional hook
        """Keep other runs from writing to the same place, until ``finish`` or ``rescue``.

        Raises:
            SinkError: another run is at it.
        """

    @property
    def size(self) -> int:
        """Bytes on the disk so far; 0 if unknown. Asked by other threads, too."""
        return 0

    @abstractmethod
    def write(self, shot: Shot) -> None:
        """Add one picture.

        Raises:
            SinkError: it cannot be encoded or stored; ``rescue`` follows.
        """

    def idle(self) -> None:  # noqa: B027 - optional hook
        """Called some times a second while no shot comes.

        Raises:
            SinkError: as from ``write``.
        """

    @abstractmethod
    def finish(self) -> bool:
        """Complete what was written; it appears under its own name.

        Returns:
            Whether there is anything.

        Raises:
            SinkError: it cannot be completed; ``rescue`` follows.
        """

    @abstractmethod
    def rescue(self) -> Path | None:
        """Keep the usable part under a name that says that it is incomplete, and remove the rest; never raises.

        Returns:
            Where that is; None if nothing is left.
        """


class PngSequence(Writer):
    """A folder of ``000000.png``, ``000001.png``, ... named by the frame's number, BGRA where transparent.

    Args:
        path: of the folder; it is made when the first picture comes.
    """

    timed = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count = 0
        self._lock = place_lock(path, folder=True)

    def claim(self) -> None:
        if self.path.is_dir():
            self._lock.take()

    def write(self, shot: Shot) -> None:
        if self._count == 0:
            with writing(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
            self._lock.take()
        write_whole(self.path / f"{shot.seq:06d}.png", encode_png(shot.image))
        self._count += 1

    def finish(self) -> bool:
        self._lock.release()
        return self._count > 0

    def rescue(self) -> Path | None:
        self._lock.release()
        # Every picture in the folder is whole; only an empty folder is removed.
        with contextlib.suppress(OSError):
            self.path.rmdir()
        return self.path if self._count > 0 and self.path.is_dir() else None


def over_black(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A BGRA picture with straight alpha over black, uint8 (H, W, 3)."""
    alpha = cv2.extractChannel(image, 3)
    shown: NDArray[np.uint8] = cv2.multiply(
        cv2.cvtColor(image, cv2.COLOR_BGRA2BGR), cv2.merge([alpha] * 3), scale=1 / 255
    )
    return shown


def fit_into(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """``image`` scaled to fit into the middle of ``width`` x ``height``; the rest is black or transparent.

    Scaling leaves traces at the edge of a cut-out; below :data:`~rvm_live.core.frames.LEAST_ALPHA` they are taken away.
    """
    if image.shape[:2] == (height, width):
        return image
    box = fit(image.shape[1], image.shape[0], Box(0, 0, width, height))
    scaled = scale_to(image, box.width, box.height)
    canvas = np.zeros((height, width, *image.shape[2:]), np.uint8)
    canvas[box.y : box.y + box.height, box.x : box.x + box.width] = scaled
    if canvas.shape[2:] == (4,):
        canvas[canvas[..., 3] < LEAST_ALPHA] = 0
    return canvas
