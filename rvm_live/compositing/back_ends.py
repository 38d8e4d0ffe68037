"""The compositors that work here: opened, timed, switched during the run, and replaced when one fails."""

from __future__ import annotations

import logging
import statistics
import sys
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Blur, Clear, Layer, Plate
from rvm_live.core.arrays import Bytes
from rvm_live.core.beside import beside
from rvm_live.core.clock import Clock
from rvm_live.core.errors import CompositorError, SettingsError, UnavailableError, words_of
from rvm_live.core.frames import Matte
from rvm_live.core.look import Look
from rvm_live.core.notices import Notices
from rvm_live.core.registry import COMPOSITORS
from rvm_live.finishing.compiled import kernels

if TYPE_CHECKING:
    from rvm_live.compositing.base import Compositor
    from rvm_live.compositing.lighting import Lighting

__all__ = ["BackEnds"]

_log = logging.getLogger("rvm_live")

LOOKS = "cpu"
"""The back end that supports light wrap, matching and linear blending."""
_TIMED = 5
_TIMING_NS = 400_000_000


class BackEnds:
    """Opens, times and switches compositors; ``open``, ``compose``, ``apply_request`` and ``close`` are for one thread,
    ``use`` for any.

    Args:
        wanted: ``auto``, a name from the registry, or ``package.module:Class``.
        notices: told of every fallback.
        clock: to find the fastest.
        source_foreground: the camera's own pixels are composed.
        timed: ``auto`` takes the fastest, else the one that fits the mattes' device.
        fitting_alone: open only that one, and the CPU's in case it fails.

    Attributes:
        name: the compositor in use; empty before ``open``.
        refusals: name of each that does not work -> why, in one line.
        timings: name of each that was opened -> median milliseconds a frame.
    """

    def __init__(
        self, wanted: str, notices: Notices, clock: Clock, *, source_foreground: bool, timed: bool, fitting_alone: bool
    ) -> None:
        self._wanted, self._notices, self._clock = wanted, notices, clock
        self._source_foreground, self._timed, self._fitting_alone = source_foreground, timed, fitting_alone
        self._compositors: dict[str, Compositor] = {}
        self._later: dict[str, tuple[int, int, str]] = {}
        self._opening: Future[None] | None = None
        self._closed = False
        self.timings: dict[str, float] = {}
        self._chosen = ""
        self.refusals: dict[str, str] = {}
        self.name = ""
        self._no_look = False

    @property
    def working(self) -> list[str]:
        """Names of the compositors that work here, or may."""
        return [*self._compositors, *self._later]

    def open(self, width: int, height: int, device: str) -> None:
        """Open and warm up every one that works, and choose one.

        If mattes are in main memory and nothing else needs torch, which takes seconds to load, that one is opened
        only when it is chosen.

        Args:
            width: of the frames to come, pixels.
            height: of the frames to come, pixels.
            device: torch device on which the engine's mattes lie.

        Raises:
            UnavailableError: the one that was asked for cannot work here, or none can.
        """
        fitting = "cpu" if device == "cpu" else "torch"
        all_names = [*COMPOSITORS.auto, *COMPOSITORS.names()]
        names = list(dict.fromkeys([fitting, "cpu"] if self._fitting_alone else all_names))
        if self._wanted != "auto" and self._wanted not in names:
            names.insert(0, self._wanted)
        if self._wanted == "auto" and device == "cpu" and "torch" not in sys.modules and "torch" in names:
            names.remove("torch")
            self._later["torch"] = (width, height, device)
        for name in names:
            self._try(name, width, height, device)
        if not self._timed:
            kernels.wait()  # an output file must have the same bytes at every run, from its first frame on
        if not self._compositors:
            told = "; ".join(f"{name}: {reason}" for name, reason in self.refusals.items())
            raise UnavailableError(f"no compositor works here ({told})", self.refusals)
        if self._wanted == "auto":
            if self._timed or fitting not in self._compositors:
                fitting = min(self._compositors, key=self.timings.__getitem__)
            self.name = fitting
        elif self._wanted in self._compositors:
            self.name = self._wanted
        else:
            reason, others = self.refusals[self._wanted], ", ".join(self._compositors)
            self._close_all()
            raise UnavailableError(
                f"compositor {self._wanted} does not work here: {reason}; these work: {others}", self.refusals
            )
        _log.info("compositor %s (%s)", self.name, self._told())

    def serving(self, look: Look) -> str:
        """Name of the back end that composes: for a look with light it is the CPU's, unless the chosen one supports
        light."""
        if look.plain or self._no_look:
            return self.name
        return self.name if _lights(self._compositors.get(self.name)) else LOOKS

    def compose(
        self, matte: Matte, layer: Layer, *, as_made: bool = False, lighting: Lighting | None = None
    ) -> NDArray[np.uint8]:
        """Put a matte over a layer with the compositor in use; if it fails, it is replaced within the same frame.

        Args:
            matte: the person.
            layer: what is behind.
            as_made: the matte's foreground already has the wanted colours.
            lighting: the light of the background, if a look asks for it.

        Raises:
            MatteError: the matte cannot be read.
            CompositorError: every one has failed.
        """
        if lighting is not None and not self._no_look:
            found = self._looking(matte, layer, as_made, lighting)
            if found is not None:
                return found
        while self.name:
            name, compositor = self.name, self._compositors[self.name]
            try:
                source_foreground = self._source_foreground and not as_made
                image = compositor.composite(matte, layer, source_foreground=source_foreground)
                self._tell(compositor)
                return image
            except Exception as error:
                matte.host()  # if reading the matte fails too, the compositor is not to blame: MatteError
                self._drop(name, compositor, error)
        told = "; ".join(f"{name}: {reason}" for name, reason in self.refusals.items())
        raise CompositorError(f"every compositor failed ({told})")

    def _looking(self, matte: Matte, layer: Layer, as_made: bool, lighting: Lighting) -> NDArray[np.uint8] | None:
        """Compose with a back end that supports the look's light; None if that fails, and then it is not tried
        again."""
        try:
            serving = self.serving(lighting.look)
            compositor: Any = self._compositors.get(serving)
            if not _lights(compositor):
                raise CompositorError(self.refusals.get(LOOKS, "the cpu compositor is not available"))
            if self.name != serving:
                tell = self._notices.fallback if self.name == self._wanted else self._notices.remark
                tell(f"match, light wrap and linear blend run on the CPU: cpu composes instead of {self.name}")
            source = self._source_foreground and not as_made
            image: Bytes = compositor.composite(matte, layer, source_foreground=source, lighting=lighting)
            self._tell(compositor)
            return image
        except Exception as error:
            matte.host()  # if this fails too, the matte is to blame, not the compositor
            self._no_look = True
            self._notices.fallback(
                f"the look failed ({words_of(error)}): continuing without match, light wrap and linear blend"
            )
            return None

    def use(self, name: str) -> None:
        """Use another compositor from the next frame on, or as soon as it is open.

        Raises:
            SettingsError: it does not work here.
        """
        if name in self._later:
            self._open_later(name)
        elif name not in self._compositors:
            reason = self.refusals.get(name, "there is no compositor of that name")
            raise SettingsError(f"compositor {name} cannot be used: {reason}")
        self._chosen = name

    def apply_request(self) -> None:
        """Switch to the compositor that was asked for."""
        chosen = self._chosen
        if chosen in self._compositors:
            self.name = chosen
        if chosen == self._chosen:  # otherwise there is a newer request already
            self._chosen = ""

    def close(self) -> None:
        """Close all."""
        self._closed = True
        self._close_all()

    def _tell(self, compositor: Compositor) -> None:
        if remark := getattr(compositor, "remark", ""):  # a user's own class may not have these attributes
            self._notices.remark(remark)
        if trouble := getattr(compositor, "trouble", ""):
            self._notices.fallback(trouble)

    def _try(self, name: str, width: int, height: int, device: str) -> None:
        compositor: Compositor | None = None
        try:
            compositor = COMPOSITORS.load(name)(device)
            compositor.open()
            self.timings[name] = self._warmed(compositor, width, height, device)
        except Exception as error:
            # A back end or plug-in may raise anything: that is a reason not to use it, never a reason to stop.
            self.refusals[name] = words_of(error)
            if compositor is not None:
                _quietly_close(compositor)
            return
        self._compositors[name] = compositor

    def _open_later(self, name: str) -> None:
        """Open a back end on its own thread, then switch to it; until then the present one works."""

        def opened() -> None:
            self._try(name, *size)
            if self._closed:
                self._close_all()
            elif name in self._compositors:
                self._chosen = name
            else:
                self._notices.fallback(f"compositor {name} cannot be used: {self.refusals[name]}")

        if self._opening is None or self._opening.done():
            size = self._later.pop(name)
            # A daemon thread: the program can end without waiting for a library that is still loading.
            self._opening = beside("compositor", opened, daemon=True)

    def _warmed(self, compositor: Compositor, width: int, height: int, device: str) -> float:
        """Compose a made-up matte over every kind of layer; return the median time over a plate, milliseconds."""
        from rvm_live.compositing.common import made_up

        plate = Plate(np.zeros((height, width, 3), np.uint8), -1)
        for layer in (plate, Clear(), Blur(25.0)):
            compositor.composite(made_up(width, height, device), layer, source_foreground=self._source_foreground)
        spent: list[int] = []
        while len(spent) < _TIMED and sum(spent) < _TIMING_NS:
            matte, started = made_up(width, height, device), self._clock.now_ns()
            compositor.composite(matte, plate, source_foreground=self._source_foreground)
            spent.append(self._clock.now_ns() - started)
        return statistics.median(spent) / 1e6

    def _drop(self, name: str, compositor: Compositor, error: Exception) -> None:
        order = list(self._compositors)
        place = order.index(name)
        rest = order[place + 1 :] + order[:place]
        self.refusals[name] = words_of(error)
        self._compositors = {other: self._compositors[other] for other in order if other != name}
        while not rest and self._later:
            later, size = self._later.popitem()
            self._try(later, *size)
            rest = list(self._compositors)
        self.name = rest[0] if rest else ""
        if rest:
            self._notices.fallback(f"compositor {name} failed ({words_of(error)}): continuing with {rest[0]}")
        _quietly_close(compositor)

    def _close_all(self) -> None:
        compositors, self._compositors = self._compositors, {}
        for compositor in compositors.values():
            _quietly_close(compositor)

    def _told(self) -> str:
        measured = [f"{name} {self.timings[name]:.1f} ms" for name in self._compositors]
        later = [f"{name} when it is chosen" for name in self._later]
        return ", ".join([*measured, *later, *(f"{name}: {reason}" for name, reason in self.refusals.items())])


def _lights(compositor: Compositor | None) -> bool:
    return bool(getattr(compositor, "lights", False))


def _quietly_close(compositor: Compositor) -> None:
    try:
        compositor.close()
    except Exception:
        _log.warning("closing compositor %s failed", compositor.name, exc_info=True)
