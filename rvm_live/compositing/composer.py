"""Compositors and backgrounds with their fallbacks: what the compositing thread calls for every matte."""

from __future__ import annotations

import logging
import statistics
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Background, Blur, Clear, Layer, Plate
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.backgrounds.cycle import PLAIN, BackgroundCycle
from rvm_live.compositing.away import Away, background_picture, unseen
from rvm_live.compositing.output import BGR, Output, Pixels, in_pixels
from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import CompositorError, SettingsError, UnavailableError, words_of
from rvm_live.core.frames import Composite, Frame, Matte, Stamps
from rvm_live.core.notices import Notices
from rvm_live.core.registry import COMPOSITORS
from rvm_live.core.stillness import LastComposite
from rvm_live.weights import consent

if TYPE_CHECKING:
    from rvm_live.compositing.base import Compositor

__all__ = ["Composer"]

_log = logging.getLogger("rvm_live")

_TIMED = 5
_TIMING_NS = 400_000_000


class Composer:
    """Puts every matte over the current background with the current back end, and goes on when either fails.

    ``open``, ``compose`` and ``close`` are called by the compositing thread alone. Everything else may be called by
    any thread; ``show_background`` and ``use_compositor`` take effect at the next ``compose``.

    Args:
        backgrounds: at least one; the first is shown first. The composer opens and closes them.
        compositor: ``auto`` for the fastest that works here, a name from the registry, or ``package.module:Class``.
        foreground: ``model`` (estimated, free of spill) or ``source`` (the camera's own pixels).
        notices: told of every fallback; None: the log alone.
        from_files: backgrounds follow the frames' own time, and the back end is chosen by where mattes lie, not by the
            stopwatch: the same file gives the same bytes again.
        pixel: width of the frames' pixels for their height.
        fitting_alone: open none but the back end that fits where mattes lie, and the CPU's for the case that it fails.
        outputs: more pictures to make of every matte, by names, for ``Composite.outputs``. Each is what a composer of
            its own would make. One that differs in its pixels alone is not composed again.
        away: what is seen instead of the background alone while nobody is to be seen (:meth:`hide`).
        clock: for the stamps, for moving backgrounds and for finding the fastest back end.

    Raises:
        SettingsError: no background, or a back end or foreground that does not exist.
    """

    def __init__(
        self,
        backgrounds: Sequence[Background],
        *,
        compositor: str = "auto",
        foreground: str = "model",
        notices: Notices | None = None,
        from_files: bool = False,
        pixel: Fraction = Fraction(1),
        fitting_alone: bool = False,
        outputs: Mapping[str, Output] | None = None,
        away: Background | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not backgrounds:
            raise SettingsError("there is no background to show: name one with --background")
        if foreground not in ("model", "source"):
            raise SettingsError(f"unknown foreground {foreground!r}: choose model or source")
        if compositor not in ("auto", *COMPOSITORS.builtin):
            COMPOSITORS.fitting(compositor, "cpu")
            consent.warn_of(f"the compositor {compositor}")
        self._wanted = compositor
        self._source_foreground = foreground == "source"
        self._notices = notices = Notices() if notices is None else notices
        self._clock = clock
        self._from_files = from_files
        self._fitting_alone = fitting_alone
        self._pixel = pixel
        for background in backgrounds:
            self._fit(background)
        self._cycle = BackgroundCycle(backgrounds, notices)
        self._outputs = dict(outputs or {})
        self._cycles: dict[str, BackgroundCycle] = {}
        for name, output in self._outputs.items():
            if output.background is not None:
                self._fit(output.background)
                self._cycles[name] = BackgroundCycle([output.background], notices)
        self._plain = ColorBackground(PLAIN)
        self._chosen = ""
        self._chosen_backend = ""
        self._away = Away(away, notices, clock)
        self.private = False
        self._compositors: dict[str, Compositor] = {}
        self._later: dict[str, tuple[int, int, str]] = {}
        self._opening: threading.Thread | None = None
        self._closed = False
        self._timings: dict[str, float] = {}
        self._refusals: dict[str, str] = {}
        self._backend = ""
        self._shown: Layer | None = None
        self._behind: dict[str, Layer] = {}
        self._last: dict[tuple[Layer, Pixels], LastComposite] = {}

    def open_backgrounds(self, width: int, height: int) -> None:
        """Make the backgrounds ready, before the engine is: the chosen one is what is seen until then.

        Called again it brings the one that is chosen by then, which is what is seen while no mattes come.

        Args:
            width: of the frames to come, pixels.
            height: of the frames to come, pixels.
        """
        self._apply_requests()
        if self._shown is None:
            self._shown = self._cycle.make_ready(width, height, self._clock)
            own = {name: cycle.make_ready(width, height, self._clock) for name, cycle in self._cycles.items()}
        else:
            now_ns = self._clock.now_ns()
            self._shown = self._cycle.layer(width, height, now_ns)
            own = {name: cycle.layer(width, height, now_ns) for name, cycle in self._cycles.items()}
        self._behind = self._layers(self._shown, own, width, height)

    def open(self, width: int, height: int, device: str) -> None:
        """Open and warm up every back end that works, choose one, and make the backgrounds ready if they are not.

        Where mattes lie in main memory and nothing else needs torch, which takes seconds to load, that back end
        is opened when somebody wants it.

        Args:
            width: of the frames to come, pixels.
            height: of the frames to come, pixels.
            device: torch device on which the engine's mattes lie.

        Raises:
            UnavailableError: the back end that was asked for cannot work here, or none can.
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
        if not self._compositors:
            told = "; ".join(f"{name}: {reason}" for name, reason in self._refusals.items())
            raise UnavailableError(f"no compositor works here ({told})", self._refusals)
        if self._wanted == "auto":
            if not self._from_files or fitting not in self._compositors:
                fitting = min(self._compositors, key=self._timings.__getitem__)
            self._backend = fitting
        elif self._wanted in self._compositors:
            self._backend = self._wanted
        else:
            reason, others = self._refusals[self._wanted], ", ".join(self._compositors)
            self._close_compositors()
            raise UnavailableError(
                f"compositor {self._wanted} cannot work here: {reason}. Those that can: {others}", self._refusals
            )
        _log.info("compositor %s (%s)", self._backend, self._told())
        if self._shown is None:
            self.open_backgrounds(width, height)

    def compose(self, matte: Matte) -> Composite:
        """Put one matte over the background of this moment.

        Raises:
            MatteError: the matte cannot be read, or does not fit its frame; no back end is blamed for it.
            CompositorError: every back end has failed.
        """
        from rvm_live.compositing.common import check_layer

        started = self._clock.now_ns()
        self._apply_requests()
        frame = matte.frame
        moment = frame.media_ns if self._from_files and frame.media_ns is not None else started
        layer = self._shown = self._cycle.layer(frame.width, frame.height, moment)
        own = {name: cycle.layer(frame.width, frame.height, moment) for name, cycle in self._cycles.items()}
        self._behind = self._layers(layer, own, frame.width, frame.height)
        if self.private:
            return self._nobody(frame, started)
        matte.check()  # here, so that no back end is blamed for what the engine made
        check_layer(layer, frame)
        made: dict[tuple[Layer, Pixels], LastComposite] = {}
        image = self._picture(matte, layer, BGR, made)
        others = {
            name: self._picture(matte, self._behind[name], each.pixels, made) for name, each in self._outputs.items()
        }
        self._last = made
        # A GPU may have been at work on the matte when compositing took it: that wait is matting's.
        started = max(started, matte.done_ns)
        stamps = Stamps(frame.captured_ns, matte.started_ns, matte.done_ns, started, max(self._clock.now_ns(), started))
        return Composite(image, matte, stamps, self._backend, self._cycle.label, others)

    def hide(self, private: bool) -> None:
        """From the next frame on show nobody, or go on. What is made meanwhile holds no camera pixel anywhere, so that
        no view and no output can show one."""
        self.private = private

    def _nobody(self, frame: Frame, started: int) -> Composite:
        width, height = frame.width, frame.height
        away = self._away.picture(width, height)
        image = unseen(self._shown, width, height) if away is None else away
        alone = {
            name: in_pixels(unseen(self._behind[name], width, height) if away is None else away, output.pixels)
            for name, output in self._outputs.items()
        }
        empty = replace(frame, image=image[..., :3] if image.shape[2] == 3 else np.zeros((height, width, 3), np.uint8))
        matte = Matte(empty, np.zeros((height, width), np.uint8), started_ns=started, finished_ns=started)
        stamps = Stamps(frame.captured_ns, started, started, started, max(self._clock.now_ns(), started))
        return Composite(image, matte, stamps, self._backend, self._cycle.label, alone)

    def close(self) -> None:
        """Close every back end and background."""
        self._closed = True
        self._close_compositors()
        self._away.close()
        for cycle in (self._cycle, *self._cycles.values()):
            cycle.close()

    def background_only(self, width: int, height: int, output: str = "") -> NDArray[np.uint8]:
        """The background as last shown, without a person and without any camera pixel: uint8 (H, W, 3) BGR.

        A blur shows a plain colour, for there is nothing to blur; transparency shows a checkerboard.

        Args:
            width: of the picture, pixels.
            height: of the picture, pixels.
            output: one of ``outputs``, whose background it then is, in its pixels.
        """
        if not output:
            return background_picture(self._shown, width, height)
        return in_pixels(background_picture(self._behind.get(output), width, height), self._outputs[output].pixels)

    @property
    def backgrounds(self) -> list[str]:
        """Names of the backgrounds there are, in order."""
        return self._cycle.names

    @property
    def background(self) -> str:
        """Name of the background that was chosen last."""
        return self._chosen or self._cycle.name

    def show_background(self, name: str) -> None:
        """Show the background of that name from the next frame on.

        Raises:
            SettingsError: there is none of that name.
        """
        if name not in self._cycle.names:
            raise SettingsError(f"there is no background {name!r}: choose one of {', '.join(self._cycle.names)}")
        self._chosen = name

    def add_background(self, background: Background) -> str:
        """Take in another background, at the end of the others; returns its name."""
        self._fit(background)
        return self._cycle.add(background)

    def use_compositor(self, name: str) -> None:
        """Use another back end from the next frame on.

        Raises:
            SettingsError: it does not work here.
        """
        if name in self._later:
            self._open_later(name)
        elif name not in self._compositors:
            reason = self._refusals.get(name, "there is none of that name")
            raise SettingsError(f"compositor {name} cannot be used: {reason}")
        self._chosen_backend = name

    @property
    def backend(self) -> str:
        """Name of the back end in use; empty before ``open``."""
        return self._backend

    @property
    def background_label(self) -> str:
        """Short name of what is shown behind the person."""
        return self._cycle.label

    @property
    def working(self) -> list[str]:
        """Names of the back ends that work here, or may."""
        return [*self._compositors, *self._later]

    @property
    def refusals(self) -> dict[str, str]:
        """Name of each back end that does not work -> why, in one line."""
        return dict(self._refusals)

    @property
    def timings(self) -> dict[str, float]:
        """Name of each back end that was opened -> median milliseconds a frame, measured at ``open``."""
        return dict(self._timings)

    def _fit(self, background: Background) -> None:
        background.pixel = self._pixel
        background.exact = background.exact or self._from_files

    def _layers(self, shown: Layer, own: Mapping[str, Layer], width: int, height: int) -> dict[str, Layer]:
        """What is behind the person in each output."""
        layers = {name: own.get(name, shown) for name in self._outputs}
        for name, layer in layers.items():
            if isinstance(layer, Clear) and self._outputs[name].pixels != BGR:
                layers[name] = self._plain.layer(width, height, 0)
        return layers

    def _picture(
        self, matte: Matte, layer: Layer, pixels: Pixels, made: dict[tuple[Layer, Pixels], LastComposite]
    ) -> NDArray[np.uint8]:
        """The matte over a layer: as it is ``made`` already, or was of the matte before where that is the same."""
        found = made.get((layer, pixels)) or self._last.get((layer, pixels))
        if found is None or not found.shows(matte, self._backend):
            if pixels == BGR:
                image = self._composed(matte, layer)
            else:
                image = in_pixels(self._picture(matte, layer, BGR, made), pixels)
            found = LastComposite(matte, self._backend, image)
        made[layer, pixels] = found
        return found.image

    def _try(self, name: str, width: int, height: int, device: str) -> None:
        compositor: Compositor | None = None
        try:
            compositor = COMPOSITORS.load(name)(device)
            compositor.open()
            self._timings[name] = self._warmed(compositor, width, height, device)
        except Exception as error:
            # Whatever a back end or a plug-in trips over, it is a reason not to use it, never a reason to stop.
            self._refusals[name] = words_of(error)
            if compositor is not None:
                _quietly_close(compositor)
            return
        self._compositors[name] = compositor

    def _open_later(self, name: str) -> None:
        """Open a back end on a thread of its own and go over to it; until then the one before serves."""

        def opened() -> None:
            self._try(name, *size)
            if self._closed:
                self._close_compositors()
            elif name in self._compositors:
                self._chosen_backend = name
            else:
                self._notices.fallback(f"compositor {name} cannot be used: {self._refusals[name]}")

        if self._opening is None or not self._opening.is_alive():
            size = self._later.pop(name)
            # Nobody who leaves waits for a library that is being loaded.
            self._opening = threading.Thread(target=opened, name="rvm-compositor", daemon=True)
            self._opening.start()

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

    def _composed(self, matte: Matte, layer: Layer) -> NDArray[np.uint8]:
        while self._backend:
            name, compositor = self._backend, self._compositors[self._backend]
            try:
                return compositor.composite(matte, layer, source_foreground=self._source_foreground)
            except Exception as error:
                matte.host()  # where that fails, too, it is the matte, whose device has died, say: MatteError
                self._drop(name, compositor, error)
        told = "; ".join(f"{name}: {reason}" for name, reason in self._refusals.items())
        raise CompositorError(f"every compositor failed ({told})")

    def _drop(self, name: str, compositor: Compositor, error: Exception) -> None:
        order = list(self._compositors)
        place = order.index(name)
        rest = order[place + 1 :] + order[:place]
        self._refusals[name] = words_of(error)
        self._compositors = {other: self._compositors[other] for other in order if other != name}
        self._backend = rest[0] if rest else ""
        if rest:
            self._notices.fallback(f"compositor {name} failed ({words_of(error)}): going on with {rest[0]}")
        _quietly_close(compositor)

    def _apply_requests(self) -> None:
        chosen, backend = self._chosen, self._chosen_backend
        self._cycle.choose(chosen)
        if backend in self._compositors:
            self._backend = backend
        if chosen == self._chosen:  # else there is a newer wish already
            self._chosen = ""
        if backend == self._chosen_backend:
            self._chosen_backend = ""

    def _close_compositors(self) -> None:
        compositors, self._compositors = self._compositors, {}
        for compositor in compositors.values():
            _quietly_close(compositor)

    def _told(self) -> str:
        measured = [f"{name} {self._timings[name]:.1f} ms" for name in self._compositors]
        later = [f"{name} when it is asked for" for name in self._later]
        return ", ".join([*measured, *later, *(f"{name}: {reason}" for name, reason in self._refusals.items())])


def _quietly_close(compositor: Compositor) -> None:
    try:
        compositor.close()
    except Exception:
        _log.warning("closing compositor %s failed", compositor.name, exc_info=True)
