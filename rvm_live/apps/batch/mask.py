"""A mask says what is certainly person and what is not; the network decides about the rest.

Grey levels, 0 to 255: up to 15 certainly not the person, 112 to 143 as the network decides, from 240 on certainly the
person; levels between are interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.apps.batch.media import Facts, count_frames, facts_of, facts_of_row
from rvm_live.apps.batch.part import Times
from rvm_live.core.errors import EndOfSource, SettingsError, SourceError, SourceUnavailableError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import SourceSettings
from rvm_live.engines.base import Engine
from rvm_live.engines.delegating import DelegatingEngine
from rvm_live.sources.base import Source
from rvm_live.sources.video.numbered import NumberedSource
from rvm_live.sources.video.video import VideoFileSource

__all__ = ["MaskEngine", "Masks", "forced"]

_NOT, _FREE_FROM, _FREE_TO, _SURE = 15, 112, 143, 240


def _table(levels: tuple[int, int]) -> NDArray[np.uint8]:
    """0 up to the first level, 255 from the second on."""
    return np.asarray(np.interp(np.arange(256), levels, (0, 255)).round(), np.uint8)


_MOST = _table((_NOT, _FREE_FROM))
_LEAST = _table((_FREE_TO, _SURE))


def forced(
    alpha: NDArray[np.uint8], colour: NDArray[np.uint8], image: NDArray[np.uint8], mask: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A matte corrected by a mask.

    Args:
        alpha: uint8 (H, W).
        colour: the person's, uint8 (H, W, 3).
        image: the picture, likewise; its own colours are taken where the mask says that it is the person.
        mask: uint8 (H, W).

    Returns:
        Alpha and colour, new where they differ.
    """
    alpha = cv2.multiply(alpha, cv2.LUT(mask, _MOST), scale=1 / 255)
    least = cv2.LUT(mask, _LEAST)
    if not least.any():
        return np.asarray(alpha, np.uint8), colour
    alpha = cv2.add(alpha, cv2.multiply(cv2.bitwise_not(alpha), least, scale=1 / 255))
    share = cv2.merge((least, least, least))
    own = cv2.multiply(image, share, scale=1 / 255)
    rest = cv2.multiply(colour, cv2.bitwise_not(share), scale=1 / 255)
    return np.asarray(alpha, np.uint8), np.asarray(cv2.add(own, rest), np.uint8)


class Masks:
    """The mask of each frame of a film, in order: a still serves for all.

    Args:
        path: a still, a film, or a folder of numbered pictures.
        pictures: those of the folder, in order; empty: it is a file.
        facts: of the film that is masked.
        film: that film's path, and its pictures where it is a row of them.
        square: its pictures have square pixels.

    Raises:
        SettingsError: the mask is not of the film's size or length.
        SourceUnavailableError: it cannot be read.
    """

    def __init__(
        self, path: Path, pictures: Sequence[Path], facts: Facts, film: tuple[Path, Sequence[Path]], *, square: bool
    ) -> None:
        own = facts_of_row(pictures, 25, square=square) if pictures else facts_of(path, square=square)
        if (own.width, own.height) != (facts.width, facts.height):
            raise SettingsError(
                f"the mask {path.name} is {own.width}x{own.height}, and {film[0].name} {facts.width}x{facts.height}: "
                "they must have the same size"
            )
        count = len(pictures) or count_frames(path)
        self.still = count == 1
        if not self.still and count != (len(film[1]) or count_frames(film[0])):
            # A packet need not give a picture: compare times, too.
            counts = [sum(1 for _ in Times(*each, facts.rate)) for each in ((path, pictures), film)]
            if counts[0] != counts[1]:
                raise SettingsError(
                    f"the mask {path.name} has {counts[0]} frames, and {film[0].name} {counts[1]}: use a still "
                    "picture or a film "
                    "with as many frames"
                )
        self._path, self._pictures, self._rate, self._square = path, pictures, facts.rate, square
        self._source: Source | None = None
        self._number = -1
        self._mask: NDArray[np.uint8] | None = None

    def at(self, number: int) -> NDArray[np.uint8]:
        """The mask of a frame, uint8 (H, W); frames must be requested in order.

        Raises:
            SourceError: it cannot be read.
        """
        wanted = 0 if self.still else number
        if self._source is None:
            self._source = self._opened(wanted)
            self._number = wanted - 1
        while self._mask is None or self._number < wanted:
            try:
                self._mask = cv2.cvtColor(self._source.read().image, cv2.COLOR_BGR2GRAY).astype(np.uint8, copy=False)
            except EndOfSource:
                raise SourceUnavailableError(f"the mask {self._path.name} ends before frame {number}") from None
            self._number += 1
        return self._mask

    def _opened(self, skip: int) -> Source:
        settings = SourceSettings(str(self._path), realtime=False)
        source: Source = VideoFileSource(settings, skip=skip, square=self._square)
        if self._pictures:
            source = NumberedSource(self._pictures, self._rate, skip=skip, square=self._square)
        try:
            source.open()
        except SourceError:
            source.release()
            raise
        return source

    def close(self) -> None:
        """Close the file."""
        source, self._source = self._source, None
        if source is not None:
            source.release()


class MaskEngine(DelegatingEngine):
    """Applies masks to the mattes of another engine. They come back in host memory.

    Args:
        inner: does the work.
        masks: of the film.
        first: number, in the film, of the frame that comes with ``seq`` 0.
    """

    def __init__(self, inner: Engine, masks: Masks, first: int) -> None:
        super().__init__(inner)
        self._masks, self._first = masks, first

    def matte(self, frame: Frame) -> Matte:
        return self.matte_chunk((frame,))[0]

    def matte_chunk(self, frames: Sequence[Frame]) -> list[Matte]:
        return [self._masked(matte) for matte in self._inner.matte_chunk(frames)]

    def _masked(self, matte: Matte) -> Matte:
        frame, host = matte.frame, matte.host()
        mask = self._masks.at(self._first + frame.seq)
        if mask.shape != host.alpha.shape:  # the film's size may change
            mask = cv2.resize(mask, (frame.width, frame.height), interpolation=cv2.INTER_AREA).astype(np.uint8)
        alpha, colour = forced(host.alpha, host.colour, frame.image, mask)
        return Matte(frame, alpha, colour, started_ns=matte.started_ns, finished_ns=matte.done_ns)

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._masks.close()
