"""The composer: compositors and backgrounds with their fallbacks, called by the compositing thread for every matte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Background, Blur, Clear, Layer
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.backgrounds.cycle import PLAIN, BackgroundCycle
from rvm_live.compositing.away import Away, background_picture, unseen
from rvm_live.compositing.back_ends import BackEnds
from rvm_live.compositing.looking import Looking
from rvm_live.compositing.output import BGR, Output, Pixels, in_pixels
from rvm_live.compositing.reframing import Reframer
from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import MatteError, SettingsError, words_of
from rvm_live.core.frames import Composite, Frame, Matte, Stamps
from rvm_live.core.framing import Framing
from rvm_live.core.look import Look
from rvm_live.core.notices import Notices
from rvm_live.core.registry import COMPOSITORS
from rvm_live.core.stillness import LastComposite
from rvm_live.weights import consent

if TYPE_CHECKING:
    from rvm_live.compositing.lighting import Lighting

__all__ = ["Composer"]


class Composer:
    """Puts every matte over the current background with the current back end, and continues when either fails.

    ``open``, ``compose`` and ``close`` are called by the compositing thread alone. Everything else may be called by
    any thread; ``show_background`` and ``use_compositor`` take effect at the next ``compose``.

    Args:
        backgrounds: at least one; the first is shown first. The composer opens and closes them.
        compositor: ``auto`` for the fastest that works here, a name from the registry, or ``package.module:Class``.
        foreground: ``model`` (estimated, free of spill) or ``source`` (the camera's own pixels).
        notices: told of every fallback; None: the log alone.
        from_files: backgrounds follow the frames' own time, and the back end is chosen by where mattes lie, not by
            measured time: the same file gives the same bytes again.
        pixel: width of the frames' pixels for their height.
        fitting_alone: open none but the back end that fits where mattes lie, and the CPU's in case it fails.
        outputs: more pictures to make of every matte, by names, for ``Composite.outputs``. Each is what a composer of
            its own would make. One that differs in its pixels alone is not composed again.
        framing: where the person is in the picture; may be changed at any time.
        look: how the person is to fit the background; :attr:`look` may be set to another at any time.
        away: picture shown instead of the background while nobody may be seen (:meth:`hide`).
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
        framing: Framing | None = None,
        look: Look | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not backgrounds:
            raise SettingsError("there is no background to show: name one with --background")
        if foreground not in ("model", "source"):
            raise SettingsError(f"unknown foreground {foreground!r}: choose model or source")
        if compositor not in ("auto", *COMPOSITORS.builtin):
            COMPOSITORS.fitting(compositor, "cpu")
            consent.warn_of(f"the compositor {compositor}")
        notices = Notices() if notices is None else notices
        self._back_ends = BackEnds(
            compositor,
            notices,
            clock,
            source_foreground=foreground == "source",
            timed=not from_files,
            fitting_alone=fitting_alone,
        )
        self.framing = Framing() if framing is None else framing
        self._reframer = Reframer(self.framing, source_foreground=foreground == "source")
        self.look = Look() if look is None else look
        self._looking = Looking(notices, source_foreground=foreground == "source")
        self._notices = notices
        self._clock = clock
        self._from_files = from_files
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
        self._away = Away(away, notices, clock)
        self.private = False
        self._shown: Layer | None = None
        self._behind: dict[str, Layer] = {}
        self._last: dict[tuple[Layer, Pixels], LastComposite] = {}

    def open_backgrounds(self, width: int, height: int) -> None:
        """Open the backgrounds before the engine is ready: the chosen one is shown until then.

        When called again it returns the one chosen by then, which is shown while no mattes come.

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

        Args:
            width: of the frames to come, pixels.
            height: of the frames to come, pixels.
            device: torch device on which the engine's mattes lie.

        Raises:
            UnavailableError: the back end that was asked for cannot work here, or none can.
        """
        self._back_ends.open(width, height, device)
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
        matte.check()  # checked here, so that no back end is blamed for a bad matte of the engine
        check_layer(layer, frame)
        self._looking.begin(self.look, moment)
        self._place(matte, moment)
        made: dict[tuple[Layer, Pixels], LastComposite] = {}
        image = self._picture(matte, layer, BGR, made)
        others = {
            name: self._picture(matte, self._behind[name], each.pixels, made)
            for name, each in self._outputs.items()
            if each.wanted()
        }
        self._last = made
        # A GPU may still have been at work on the matte when compositing took it: that wait counts as matting time.
        started = max(started, matte.done_ns)
        stamps = Stamps(frame.captured_ns, matte.started_ns, matte.done_ns, started, max(self._clock.now_ns(), started))
        return Composite(image, self._placed(matte, layer), stamps, self.backend, self._cycle.label, others)

    def _place(self, matte: Matte, moment_ns: int) -> None:
        """Find the matte's place in the picture; if that fails, it stays where it is."""
        try:
            self._reframer.look(matte, moment_ns)
        except MatteError:
            raise
        except Exception as error:
            self._reframer.rest(matte)
            self._notices.fallback(f"framing failed ({words_of(error)}): the frame is shown unchanged")

    def _placed(self, matte: Matte, layer: Layer) -> Matte:
        """The matte as shown over a layer: in its place, with its edge; a visible room ends with the frame."""
        inside = isinstance(layer, Blur)
        placed = self._in_place(matte, inside)
        return self._looking.edged(placed, inside=inside, as_made=placed is not matte)

    def _in_place(self, matte: Matte, inside: bool) -> Matte:
        try:
            return self._reframer.matte(inside=inside)
        except MatteError:
            raise
        except Exception as error:
            self._reframer.rest(matte)
            self._notices.fallback(f"framing failed ({words_of(error)}): the frame is shown unchanged")
            return matte

    def hide(self, private: bool) -> None:
        """From the next frame on show nobody, or continue. Meanwhile no composite has a camera pixel, so that
        no view or output can show one."""
        self.private = private

    def _nobody(self, frame: Frame, started: int) -> Composite:
        width, height = frame.width, frame.height
        away = self._away.picture(width, height)
        image = unseen(self._shown, width, height) if away is None else away
        alone = {
            name: in_pixels(unseen(self._behind[name], width, height) if away is None else away, output.pixels)
            for name, output in self._outputs.items()
            if output.wanted()
        }
        empty = replace(frame, image=image[..., :3] if image.shape[2] == 3 else np.zeros((height, width, 3), np.uint8))
        matte = Matte(empty, np.zeros((height, width), np.uint8), started_ns=started, finished_ns=started)
        stamps = Stamps(frame.captured_ns, started, started, started, max(self._clock.now_ns(), started))
        return Composite(image, matte, stamps, self._back_ends.name, self._cycle.label, alone, nobody=True)

    def close(self) -> None:
        """Close every back end and background."""
        self._back_ends.close()
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
        """Names of the usable backgrounds, in order."""
        return self._cycle.names

    @property
    def background(self) -> str:
        """Name of the background that was chosen last."""
        return self._chosen or self._cycle.name

    def background_named(self, name: str) -> Background | None:
        """The background of that name, for reading only."""
        return self._cycle.get(name)

    def show_background(self, name: str) -> None:
        """Show the background of that name from the next frame on.

        Raises:
            SettingsError: there is no background of that name.
        """
        if name not in self._cycle.names:
            raise SettingsError(f"there is no background {name!r}: choose one of {', '.join(self._cycle.names)}")
        self._chosen = name

    def add_background(self, background: Background) -> str:
        """Add a background at the end; a blur replaces the last added blur;
        returns its name."""
        self._fit(background)
        return self._cycle.add(background)

    def use_compositor(self, name: str) -> None:
        """Use another back end from the next frame on, or as soon as it is open.

        Raises:
            SettingsError: it does not work here.
        """
        self._back_ends.use(name)

    @property
    def backend(self) -> str:
        """Name of the back end in use; empty before ``open``."""
        return self._back_ends.serving(self._looking.now)

    @property
    def background_label(self) -> str:
        """Short name of what is shown behind the person."""
        return self._cycle.label

    @property
    def working(self) -> list[str]:
        """Names of the back ends that work here, or may."""
        return self._back_ends.working

    @property
    def refusals(self) -> dict[str, str]:
        """Name of each back end that does not work -> why, in one line."""
        return dict(self._back_ends.refusals)

    @property
    def timings(self) -> dict[str, float]:
        """Name of each back end that was opened -> median milliseconds a frame, measured at ``open``."""
        return dict(self._back_ends.timings)

    def _fit(self, background: Background) -> None:
        background.pixel = self._pixel
        background.exact = background.exact or self._from_files

    def _layers(self, shown: Layer, own: Mapping[str, Layer], width: int, height: int) -> dict[str, Layer]:
        """The layer behind the person for each output."""
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
        placed = self._placed(matte, layer)
        lighting = self._lighting(matte, layer)
        behind = (self._back_ends.name, None if lighting is None else lighting.key)
        if found is None or not found.shows(placed, behind):
            if pixels == BGR:
                image = self._back_ends.compose(placed, layer, as_made=placed is not matte, lighting=lighting)
            else:
                image = in_pixels(self._picture(matte, layer, BGR, made), pixels)
            found = LastComposite(placed, behind, image)
        made[layer, pixels] = found
        return found.image

    def _lighting(self, matte: Matte, layer: Layer) -> Lighting | None:
        """The light of a layer; None if the look needs none."""
        if self._looking.now.plain:
            return None  # returns before it searches the names of perhaps hundreds of backgrounds
        own = next((name for name in self._cycles if self._behind[name] == layer != self._shown), "")
        return self._looking.lighting(matte, layer, own, self._cycles.get(own, self._cycle).name)

    def _apply_requests(self) -> None:
        chosen = self._chosen
        if chosen:
            self._cycle.choose(chosen)
        self._back_ends.apply_request()
        if chosen == self._chosen:  # otherwise there is a newer request already
            self._chosen = ""
