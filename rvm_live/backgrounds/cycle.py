"""The cycle of backgrounds, of which one is shown; a broken one is reported, left out, and replaced by a plain
colour."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from rvm_live.backgrounds.base import Background, Layer, Plate
from rvm_live.backgrounds.blur import BlurBackground
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.core.clock import Clock
from rvm_live.core.errors import BackgroundError, words_of
from rvm_live.core.notices import Notices

__all__ = ["PLAIN", "BackgroundCycle"]

_log = logging.getLogger("rvm_live")

PLAIN = "#24282c"
_READY_NS = 1_500_000_000
_READY_COUNT = 12


class BackgroundCycle:
    """Opens backgrounds when they are first needed, and closes each that it opened, once.

    Used by the compositing thread alone, except for ``label``, ``names`` and ``add``.

    Args:
        backgrounds: at least one; the first is shown first.
        notices: told of every background that fails.
    """

    def __init__(self, backgrounds: Sequence[Background], notices: Notices) -> None:
        self._backgrounds = list(backgrounds)
        self._given = len(self._backgrounds)
        self._notices = notices
        self._index = 0
        self._opened: set[int] = set()
        self._broken: set[int] = set()
        self._plain = ColorBackground(PLAIN)
        self.label = self._backgrounds[0].label

    @property
    def names(self) -> list[str]:
        """Unique names of the backgrounds in order; broken ones are left out."""
        return list(self._named())

    @property
    def name(self) -> str:
        """Name of the chosen background; if it is broken, of the one shown instead."""
        return next((name for name, index in self._named().items() if index == self._index), self.label)

    def choose(self, name: str) -> None:
        """Choose the background of that name; no change if there is none any more."""
        self._index = self._named().get(name, self._index)

    def _named(self) -> dict[str, int]:
        named: dict[str, int] = {}
        for index, background in enumerate(self._backgrounds):
            if index not in self._broken:
                plain = background.label.removeprefix("image ").removeprefix("video ")
                name, number = plain, 1
                while name in named:
                    number += 1
                    name = f"{plain} ({number})"
                named[name] = index
        return named

    def get(self, name: str) -> Background | None:
        """The background of that name."""
        index = self._named().get(name)
        return None if index is None else self._backgrounds[index]

    def add(self, background: Background) -> str:
        """Add a background at the end; a blur replaces the last added blur, because of all strengths that a user tries
        only the last is wanted. Returns its name."""
        places = range(self._given, len(self._backgrounds)) if isinstance(background, BlurBackground) else ()
        blurs = (place for place in places if isinstance(self._backgrounds[place], BlurBackground))
        place = next(blurs, len(self._backgrounds))
        self._backgrounds[place : place + 1] = [background]  # a replaced blur has nothing to close
        return next(name for name, index in self._named().items() if index == place)

    def layer(self, width: int, height: int, now_ns: int) -> Layer:
        """The current background at this moment; a plain colour if it fails. Sets ``label`` to what is shown."""
        if self._index not in self._broken:
            try:
                layer = self._layer(self._index, width, height, now_ns)
                self.label = self._backgrounds[self._index].label
                return layer
            except Exception as error:
                # A plug-in's background may raise anything; whatever it is, the room must not be shown.
                self._drop(self._index, error, "showing a plain colour instead")
        self.label = self._plain.label
        return self._plain.layer(width, height, now_ns)

    def make_ready(self, width: int, height: int, clock: Clock) -> Layer:
        """Open the backgrounds in the order of the cycle, as far as time and memory allow; return the current layer.

        These can be switched to without a stall. Those beyond the limits are opened when they are chosen.
        """
        started = clock.now_ns()
        current = self.layer(width, height, self._moment(self._index, started))
        for index in range(min(len(self._backgrounds), _READY_COUNT)):
            if clock.now_ns() - started > _READY_NS:
                break
            if index not in self._opened | self._broken:
                try:
                    self._layer(index, width, height, self._moment(index, clock.now_ns()))
                except Exception as error:
                    self._drop(index, error, "it is left out")
        return current

    def _moment(self, index: int, now_ns: int) -> int:
        """The time for a background before the first frame."""
        return 0 if self._backgrounds[index].exact else now_ns

    def close(self) -> None:
        """Close everything that was opened."""
        for index in sorted(self._opened):
            self._close(index)

    def _layer(self, index: int, width: int, height: int, now_ns: int) -> Layer:
        background = self._backgrounds[index]
        first = index not in self._opened
        if first:
            self._opened.add(index)
            background.notices = self._notices
            background.open()
        layer = background.layer(width, height, now_ns)
        if first and background.told:
            self._notices.fallback(background.told)
        if isinstance(layer, Plate) and (layer.image.shape != (height, width, 3) or layer.image.dtype != np.uint8):
            raise BackgroundError(f"it drew {layer.image.dtype} {layer.image.shape} for a frame of {width}x{height}")
        return layer

    def _drop(self, index: int, error: Exception, outcome: str) -> None:
        self._broken.add(index)
        reason = words_of(error)
        self._notices.fallback(f"background {self._backgrounds[index].label} failed ({reason}): {outcome}")
        self._close(index)

    def _close(self, index: int) -> None:
        self._opened.discard(index)
        try:
            self._backgrounds[index].close()
        except Exception:
            _log.warning("closing background %s failed", self._backgrounds[index].label, exc_info=True)
