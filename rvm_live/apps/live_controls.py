"""The controls of a live run: what keys, the bar and other programs can change, by name."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rvm_live.apps.live_engines import LiveEngines
from rvm_live.apps.preflight import refuse_live
from rvm_live.backgrounds.base import Background
from rvm_live.backgrounds.live import LiveBackground
from rvm_live.backgrounds.own import OwnBackgrounds
from rvm_live.backgrounds.parse import from_path, parse
from rvm_live.compositing.composer import Composer
from rvm_live.core.controls import Control, Controls, amount, attribute, choice, one_of, switch, trigger, truth
from rvm_live.core.errors import BackgroundError, SettingsError
from rvm_live.core.framing import LARGEST, SMALLEST, Framing, parse_shift
from rvm_live.core.look import BLENDS, LIMITS
from rvm_live.core.settings import SourceSettings
from rvm_live.engines.failover import FailoverEngine
from rvm_live.sinks.camera.outputs import devices_for
from rvm_live.sinks.camera.sink import VirtualCamera
from rvm_live.sinks.factory import check_recording_path
from rvm_live.sinks.recording.recording_switch import RecordingSwitch, named_now
from rvm_live.sinks.window.hotkeys import ViewState, view_controls
from rvm_live.sources.camera.camera import Camera, known_by_name, list_cameras
from rvm_live.sources.switched import SwitchedSource

__all__ = ["CHANGING", "live_controls", "profile_control"]

_log = logging.getLogger("rvm_live")

CHANGING = ("background", "compositor", "engine", "quality", "ratio", "device", "steady", "box", "gate", "recording")
"""Controls whose value may change by itself, when something fails or ends."""


def live_controls(
    view: ViewState,
    composer: Composer,
    source: SwitchedSource,
    engine: FailoverEngine,
    recording: RecordingSwitch,
    reset: Callable[[], None],
    stop: Callable[[], None],
    own: OwnBackgrounds | None = None,
    virtual_camera: VirtualCamera | None = None,
    people: Sequence[Control] = (),
) -> Controls:
    """Everything that can be changed in a live run.

    ==================  ======================================================================================
    ``background``      one of its choices, a path, or any value of ``--background``, which is then added to them
    ``compositor``      a back end that works here; ``auto``: the quickest
    ``camera``          a camera's name
    ``engine``          ``lite``, or ``rvm`` if its weights are here; or another name that ``--engine`` takes
    ``quality``         ``auto``, or the longer side of what RVM's network sees: ``quick`` 256, ``high`` 512 pixels
    ``ratio``           the same as a number in (0, 1], or ``auto``
    ``device``          ``cpu``, ``cuda:0``, ...; ``auto``: the best
    ``steady``          average alpha over time where nothing moves; ``auto``: with ``lite``
    ``box``             process only a box around the person; ``auto``: the whole picture
    ``gate``            run the network only when something has moved; ``auto``: yes
    ``learned``         ``lite`` uses what it has learnt with this camera
    ``recording``       a path, True for one named by the time, None or False for none
    ``virtual_camera``  the result is a camera for other programs
    ``paused``          the camera is released and the background stays
    ``privacy``         every output shows only the background
    ``low_light``       ``auto``: make dark pictures brighter and less noisy; ``off``
    ``follow``          all people together stay in the middle of the picture
    ``zoom``            size of the person, 0.5 to 4
    ``shift``           how far the person is moved right and down, as parts of the picture: ``(0.2, 0)``
    ``match``           how far the person's light and colours are adapted to the background, 0 to 100
    ``light_wrap``      how much of the background's light is over the person's edge, 0 to 100
    ``blend``           blend in gamma-coded values, ``gamma``, or in linear light, ``linear``
    ``grow``, ``shrink``   pixels by which the person's edge is moved outwards or inwards, 0 to 20
    ``soften``          pixels to each side over which the edge is softened, 0 to 20
    ``despill``         remove the room's colour from the person's edge
    ``only_me``         keep only one person in the picture
    ``person``          which: ``largest``, ``left``, ``right``, or a place in the frame, ``0.3,0.5``
    ``chair``           ``keep``: things of the room stay, ``drop``
    ``profile``         several of these at once, where the program knows profiles
    ``reset``, ``stop``  set to True: start the matting state anew; end the run
    ``view``, ``statistics``, ``fullscreen``, ``mirror``   of the window
    ==================  ======================================================================================

    Args:
        view: of the window.
        composer: makes the pictures.
        source: where they come from.
        engine: makes the mattes.
        recording: where they go.
        reset: starts a new epoch.
        stop: ends the run.
        own: backgrounds that lie in the user's folders; None: looked for here.
        virtual_camera: one of the sinks; None: this run can have none.
        people: who and what stays in the picture (:mod:`rvm_live.apps.live_people`), and other controls of this run.
    """
    cameras = _Cameras(source, reset, composer)
    own = OwnBackgrounds(composer.add_background) if own is None else own

    def backgrounds() -> list[str]:
        own.look()
        return composer.backgrounds

    own.look()
    return Controls(
        [
            Control(
                "background",
                lambda: composer.background,
                lambda meant: _show(composer, meant),
                check=lambda wish: _background(composer, wish, source.settings),
                choices=backgrounds,
                text="the background behind the person",
            ),
            Control(
                "compositor",
                lambda: composer.backend,
                composer.use_compositor,
                check=lambda wish: _compositor(composer, wish),
                choices=lambda: composer.working,
                text="the compositor that puts the person over the background",
            ),
            Control(
                "camera",
                cameras.name,
                cameras.use,
                check=cameras.check,
                choices=cameras.names,
                alone=lambda: "there is no other camera" if cameras.names() else "there is no camera",
                text="the camera",
            ),
            *LiveEngines(engine, source).controls(),
            Control(
                "recording",
                lambda: recording.path,
                recording.use,
                check=_recording(recording),
                kind="text",
                text="a path; on: a file named after the time; off: no recording",
            ),
            switch("paused", lambda: source.paused, _restarting(source.pause, reset), "the camera is released"),
            switch(
                "privacy",
                lambda: composer.private,
                composer.hide,
                "every output shows only the background",
            ),
            *([] if virtual_camera is None else [_virtual_camera(virtual_camera)]),
            *_framing(composer.framing),
            *_look(composer),
            *people,
            trigger("reset", reset, "start the matting state anew"),
            trigger("stop", stop, "end the run"),
            *view_controls(view),
        ]
    )


def profile_control(profiles: Mapping[str, Mapping[str, Any]], first: str, controls: Controls) -> Control:
    """The control ``profile``: sets several others at once. Values of a profile that are not possible here are left
    out, which is logged; settings that are not controls, such as size and rate, only count at the next start.

    Args:
        profiles: name -> control -> value.
        first: the one that is in force; empty: none.
        controls: that it changes.
    """
    now = [first]

    def apply(name: str) -> None:
        wishes, there = {}, set(dir(controls))
        for control, wish in profiles[name].items():
            if control not in there:
                continue
            try:
                controls.check(control, wish)
            except SettingsError as error:
                _log.info("profile %s: %s was left out: %s", name, control, error)
            else:
                wishes[control] = wish
        controls.set(**wishes)
        now[0] = name

    return choice("profile", lambda: now[0], apply, list(profiles), "a set of settings")


def _virtual_camera(camera: VirtualCamera) -> Control:
    def check(wish: Any) -> bool:
        on = truth("virtual_camera")(wish)
        if on and not camera.on:
            devices_for(camera.words)
        return on

    text = "the result is a camera for other programs"
    return switch("virtual_camera", lambda: camera.on, camera.use, text, check=check)


def _framing(framing: Framing) -> list[Control]:
    zoom, shift = attribute(framing, "zoom"), attribute(framing, "shift")
    return [
        switch("follow", *attribute(framing, "follow"), "keep people in the middle of the picture"),
        amount("zoom", *zoom, (SMALLEST, LARGEST), "size of the person"),
        amount("shift", *shift, (-1.0, 1.0), "how far the person is moved, right and down", check=parse_shift),
    ]


def _look(composer: Composer) -> list[Control]:
    def part(name: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
        def apply(value: Any) -> None:
            composer.look = replace(composer.look, **{name: value})

        return lambda: getattr(composer.look, name), apply

    def much(name: str, text: str) -> Control:
        return amount(name, *part(name), LIMITS[name], text)

    return [
        much("match", "how far the person's light and colours are adapted to the background"),
        much("light_wrap", "how much of the background's light is over the person's edge"),
        choice("blend", *part("blend"), BLENDS, "how person and background are mixed"),
        much("grow", "pixels by which the edge is moved outwards"),
        much("shrink", "pixels by which the edge is moved inwards"),
        much("soften", "pixels over which the edge is softened"),
        switch("despill", *part("despill"), "remove the room's colour from the edge"),
    ]


def _background(composer: Composer, wish: Any, source: SourceSettings) -> str | list[Background]:
    """The background's name, or a new specification."""
    if not isinstance(wish, str | Path):
        raise SettingsError(f"background must be a name, a path or a value of --background, not {wish!r}")
    if wish in composer.backgrounds:
        return str(wish)
    if not str(wish).strip():
        raise SettingsError("a background's name is empty")
    try:
        found: list[Background] = parse(wish) if isinstance(wish, str) else from_path(wish)
    except SettingsError:
        one_of("background", lambda: composer.backgrounds)(str(wish))
        raise
    except BackgroundError as error:
        raise SettingsError(str(error)) from error
    refuse_live(found, source)
    if len(found) == 1 and found[0].label in composer.backgrounds:
        return found[0].label  # a known colour or blur; labels of files begin with another word
    return found


def _show(composer: Composer, meant: str | list[Background]) -> None:
    """Backgrounds that are new join the others, and the first of them is shown."""
    names = [meant] if isinstance(meant, str) else [composer.add_background(each) for each in meant]
    composer.show_background(names[0])


def _compositor(composer: Composer, wish: Any) -> str:
    working, timings = composer.working, composer.timings
    if wish == "auto" and any(name in timings for name in working):
        return min((name for name in working if name in timings), key=timings.__getitem__)
    return one_of("compositor", lambda: working)(wish)


def _recording(recording: RecordingSwitch) -> Callable[[Any], str | None]:
    def check(wish: Any) -> str | None:
        if wish in (None, False, "off"):
            return None
        if wish in (True, "on"):
            return recording.path or named_now()
        path = os.path.expanduser(str(wish))
        if path != recording.path:
            check_recording_path(path, sound=recording.with_sound)
        return path

    return check


def _restarting(pause: Callable[[bool], None], reset: Callable[[], None]) -> Callable[[bool], None]:
    def apply(paused: bool) -> None:
        pause(paused)
        reset()

    return apply


class _Cameras:
    """The cameras there are, each by a name of its own, and the one in use."""

    def __init__(self, source: SwitchedSource, reset: Callable[[], None], composer: Composer) -> None:
        self._source, self._reset, self._composer = source, reset, composer
        self._chosen = ""

    def names(self) -> list[str]:
        """Names of the cameras that are plugged in now; with their number where a name is not one camera's alone."""
        return list(self._named())

    def name(self) -> str:
        """The one in use or about to be; empty where something else is."""
        if self._source.changing:
            return self._chosen
        info = self._source.info
        label = info.label if info is not None and info.kind == "camera" else ""
        return next((name for name, camera in self._named().items() if str(camera) == label), label)

    def check(self, wish: Any) -> str:
        """The name that is meant: by itself or a part of it, by the camera's id, or by its number."""
        named = self._named()
        words = str(wish)
        found = named.get(words) or known_by_name(words, list(named.values())) if words.strip() else None
        meant = [name for name, each in named.items() if each is found or str(each.index) == words]
        name = one_of("camera", self.names)(meant[0] if meant else wish)
        settings = replace(self._source.settings, source=str(named[name].index))
        for each in map(self._composer.background_named, self._composer.backgrounds):
            if isinstance(each, LiveBackground) and each.films(settings):
                raise SettingsError(f"{each.label} is used as a background: name another camera")
        return name

    def use(self, name: str) -> None:
        camera = self._named().get(name)
        if camera is not None:
            self._chosen = name
            # Use the camera's number: a file may have the same name.
            self._source.use(replace(self._source.settings, source=str(camera.index)))
            self._reset()

    def _named(self) -> dict[str, Camera]:
        cameras = list_cameras()
        names = [camera.name for camera in cameras]
        return {
            camera.name if names.count(camera.name) == 1 and camera.name else str(camera): camera for camera in cameras
        }
