"""A slide show: the pictures of a folder, one after the other."""

from __future__ import annotations

import math
from concurrent.futures import Future, wait
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Background, Plate
from rvm_live.backgrounds.fit import check_fit
from rvm_live.backgrounds.image import ImageBackground
from rvm_live.core.beside import beside
from rvm_live.core.errors import BackgroundError, SettingsError
from rvm_live.media.suffixes import PICTURES

__all__ = ["DEFAULT_S", "SlideShow"]

DEFAULT_S = 300.0
SHORTEST_S, LONGEST_S = 1.0, 24 * 3600.0
_FADE_NS = 1_000_000_000
_PAUSE_NS = 500_000_000
_CLOSE_S = 2.0


class SlideShow(Background):
    """The pictures of a folder by name, each for a while, then faded into the next over a second, without end.

    The folder is read again before each change, so new pictures are shown and deleted ones are not.
    One that cannot be shown is reported and skipped. If none is left, the last one stays. The next is read and
    decoded on its own thread. The clock stops while the show is not shown, so it continues where it was
    left; over a file (``exact``) each moment has its own picture.

    Args:
        path: the folder.
        fit: one of :data:`~rvm_live.backgrounds.fit.FITS`.
        every_s: from one change to the next, seconds, 1 s to a day.

    Raises:
        SettingsError: unknown ``fit``, or a time that is out of range.
    """

    def __init__(self, path: Path, fit: str = "cover", every_s: float = DEFAULT_S) -> None:
        if not math.isfinite(every_s) or not SHORTEST_S <= every_s <= LONGEST_S:
            raise SettingsError(f"a slide show must change its picture every 1 s to 24 h, not every {every_s:g} s")
        self.path = Path(path)
        self.fit = check_fit(fit)
        self.every_s = every_s
        self.label = f"slides {self.path.name or self.path}"
        self._every_ns = round(every_s * 1e9)
        self._fade_ns = min(_FADE_NS, self._every_ns // 2)
        self._slide: ImageBackground | None = None
        self._coming: Future[ImageBackground | None] | None = None
        self._before: Plate | None = None
        self._number = 0
        self._position_ns = self._since_ns = 0
        self._asked_ns: int | None = None
        self._version = 0

    @property
    def words(self) -> str:
        """What names it wherever the program is started."""
        return f"slides:{self.path.absolute()}:{self.every_s:g}?fit={self.fit}"

    def check(self) -> None:
        """Find out cheaply whether there is something to show.

        Raises:
            BackgroundError: there is no such folder, or no picture in it.
        """
        if not _pictures(self.path):
            raise BackgroundError(f"the background folder {self.path} contains no picture")

    def open(self) -> None:
        self.check()

    def layer(self, width: int, height: int, now_ns: int) -> Plate:
        slide = self._at(now_ns, (width, height)) if self.exact else self._now(now_ns, (width, height))
        plate = slide.layer(width, height, now_ns)
        before = self._before
        share = (self._position_ns - self._since_ns) / self._fade_ns
        if before is None or share >= 1 or before.image.shape != plate.image.shape:
            self._before = None
            return plate
        mixed: NDArray[np.uint8] = np.empty_like(plate.image)
        cv2.addWeighted(before.image, 1 - share, plate.image, share, 0, mixed)
        self._version += 1
        return Plate(mixed, self._version)

    def close(self) -> None:
        coming, self._coming = self._coming, None
        if coming is not None:
            wait([coming], _CLOSE_S)  # with a time limit: a disk that never answers must not block the end
        self._slide = self._before = None

    def _begin(self, size: tuple[int, int]) -> ImageBackground:
        first = self._following(None, size)
        if first is None:
            raise BackgroundError(f"the background folder {self.path} contains no picture that can be shown")
        self._slide, self._before, self._number = first, None, 0
        self._position_ns = self._since_ns = 0
        return first

    def _at(self, now_ns: int, size: tuple[int, int]) -> ImageBackground:
        """The slide for a moment of a film; takes as long as necessary."""
        number = now_ns // self._every_ns
        slide = self._slide
        if slide is None or number < self._number:  # the film has started over
            slide = self._begin(size)
        for due in range(self._number + 1, number + 1):
            before = slide.layer(*size, now_ns) if due == number else None
            following = self._following(slide.path, size)
            if following is not None:
                slide, self._before = following, before
        self._slide, self._number = slide, number
        self._position_ns, self._since_ns = now_ns, number * self._every_ns
        return slide

    def _now(self, now_ns: int, size: tuple[int, int]) -> ImageBackground:
        """The slide to show now; the next is on its way from the moment in which it is due."""
        slide = self._slide or self._begin(size)
        passed = 0 if self._asked_ns is None else now_ns - self._asked_ns
        self._asked_ns = now_ns
        self._position_ns += passed if passed <= _PAUSE_NS else 0
        if self._coming is None and self._position_ns - self._since_ns >= self._every_ns:
            path = slide.path
            self._coming = beside("slides", lambda: self._following(path, size), daemon=True)
        if self._coming is not None and self._coming.done():
            coming, self._coming = self._coming.result(), None
            self._since_ns = self._position_ns
            if coming is not None:
                self._before = slide.layer(*size, now_ns)
                slide = self._slide = coming
        return slide

    def _following(self, after: Path | None, size: tuple[int, int]) -> ImageBackground | None:
        """The next picture that can be shown, scaled to that size; None if there is no other."""
        try:
            there = _pictures(self.path)
        except BackgroundError as error:
            self._tell(f"{error}: the slide show keeps its picture")
            return None
        if after is not None:
            there = [path for path in there if _order(path) > _order(after)] + [
                path for path in there if _order(path) < _order(after)
            ]
        for path in there:
            slide = ImageBackground(path, self.fit)
            slide.pixel = self.pixel
            try:
                slide.open()
                slide.layer(*size, 0)
            except BackgroundError as error:
                self._tell(f"{error}: the slide show skips it")
                continue
            if slide.told:
                self._tell(slide.told)
            return slide
        return None

    def _tell(self, text: str) -> None:
        if self.notices is not None:
            self.notices.fallback(text)


def _order(path: Path) -> tuple[str, str]:
    return path.name.casefold(), path.name


def _pictures(folder: Path) -> list[Path]:
    """By name.

    Raises:
        BackgroundError: the folder cannot be read.
    """
    try:
        return sorted(
            (
                path
                for path in folder.iterdir()
                if path.suffix.lower() in PICTURES and not path.name.startswith(".") and path.is_file()
            ),
            key=_order,
        )
    except FileNotFoundError:
        raise BackgroundError(f"there is no background folder {folder}") from None
    except NotADirectoryError:
        raise BackgroundError(f"{folder} is not a folder: a slide show needs a folder") from None
    except OSError as error:
        raise BackgroundError(f"cannot read the background folder {folder}: {error.strerror or error}") from error
