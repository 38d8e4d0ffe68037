"""What keys and clicks do: changes of controls, and other actions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rvm_live.core.controls import Controls
from rvm_live.core.errors import RvmLiveError, SettingsError
from rvm_live.core.look import MATCHED
from rvm_live.sinks.window.hotkeys import ViewState, WindowActions

__all__ = ["Commands"]

_log = logging.getLogger("rvm_live.window")

_TURNED = {
    "follow": ("following off", "following on: people stay in the middle"),
    "fullscreen": ("full screen off", "full screen on"),
    "only_me": ("everybody stays", "only one person stays; middle-click on a person to choose"),
    "paused": ("camera on", "paused: the camera is off"),
    "privacy": ("privacy off", "privacy: only the background"),
}


class Commands:
    """Carries out the actions of :data:`~rvm_live.sinks.window.hotkeys.HOTKEYS` and of the bar, and answers each.

    Args:
        view: state of the window.
        controls: the controls of this run.
        actions: actions besides the controls.
        answer: called with the new state, in a few words.
        complain: called with a failure.
        photo: saves the picture that is shown; returns where.
        quit: asked to end the run.
    """

    def __init__(
        self,
        view: ViewState,
        controls: Controls,
        actions: WindowActions,
        answer: Callable[[str], None],
        complain: Callable[[str], None],
        photo: Callable[[], object],
        quit: Callable[[], None],
    ) -> None:
        self._view, self._controls, self._actions = view, controls, actions
        self._say, self._complain, self._save, self._quit = answer, complain, photo, quit
        self._unblurred: Any = None
        self._matched = MATCHED

    def do(self, action: str) -> None:
        """Carry out one action; a refusal is answered, too."""
        name, _, rest = action.partition(" ")
        own: dict[str, Callable[[], None]] = {
            "quit": self._quit,
            "escape": self._escape,
            "help": self._help,
            "photo": self._photo,
            "reset": self._reset,
            "add": self._actions.ask_background,
            "weights": lambda: self._say(str(self._actions.fetch_weights() or "")),
            "blur": self._blur,
            "match": self._match,
            "record": lambda: self._turn("recording"),
            "pause": lambda: self._turn("paused"),
            "choose": lambda: self._choose(*rest.split()),
        }
        if name in own:
            self.ask(own[name])
        elif name in ("mirror", "fullscreen", "privacy", "follow", "only_me"):
            self.ask(lambda: self._turn(name))
        elif name:
            self.ask(lambda: self._step(name, -1 if rest == "back" else 1))

    def drop(self, paths: Sequence[Path]) -> None:
        """Add files as backgrounds and show the first usable one; others are reported."""
        taken: list[str] = []
        told: list[str] = [] if paths else ["that is not a file: save it as one, and drop that file"]
        for path in paths:
            try:
                taken.append(self._controls.set(background=path)["background"])
            except RvmLiveError as error:
                told.append(str(error).replace(str(path), path.name))
        if taken:
            now = self._controls.set(background=taken[0])["background"] if len(taken) > 1 else taken[0]
            more = f", and {len(taken) - 1} more" if len(taken) > 1 else ""
            told.insert(0, self._told("background", now) + more)
        self._say("; ".join(told))

    def pick(self, x: float, y: float) -> None:
        """Keep only the person at a place of the frame, given in parts of its width and height."""
        if "person" in self._controls.state():
            self.ask(lambda: self._picked(f"{x:.3f},{y:.3f}"))

    def _picked(self, person: str) -> None:
        self._controls.set(only_me=True, person=person)
        self._say("only that person stays; i: everybody")

    def ask(self, do: Callable[[], None]) -> None:
        """Do something, and answer with the reason if it fails."""
        try:
            do()
        except SettingsError as error:  # a key for something that does not exist here: only show the message
            self._say(str(error))
        except RvmLiveError as error:
            _log.warning("%s", error)
            self._complain(str(error))

    def _help(self) -> None:
        self._view.help = not self._view.help

    def _reset(self) -> None:
        self._actions.reset()
        self._say("matting state reset")

    def _escape(self) -> None:
        if self._view.fullscreen:
            self._turn("fullscreen")
        else:
            self._quit()

    def _photo(self) -> None:
        where = self._save()
        self._say(f"saved {where}" if where else "saved")

    def _step(self, name: str, steps: int) -> None:
        self._answer(name, self._controls.step(name, steps))

    def _choose(self, name: str, number: str) -> None:
        choices = self._controls.choices(name)
        if int(number) >= len(choices):
            raise SettingsError(f"there is no {name} number {int(number) + 1}: there are {len(choices)}")
        wish = choices[int(number)]
        self._answer(name, self._controls.set(**{name: wish})[name])

    def _turn(self, name: str) -> None:
        """Toggle a switch."""
        now = self._controls.state().get(name)
        if name not in self._controls.state():
            raise SettingsError(f"there is no {name} here")
        self._answer(name, self._controls.set(**{name: not now})[name])

    def _blur(self) -> None:
        """The blur, and back to what was there before."""
        now, choices = self._controls.background, list(self._controls.choices("background"))
        blurs = [each for each in choices if str(each).startswith("blur")]
        if now in blurs:
            before = self._unblurred if self._unblurred in choices else choices[0]
            self._answer("background", self._controls.set(background=before)["background"])
        elif blurs:
            self._unblurred = now
            self._answer("background", self._controls.set(background=blurs[0])["background"])
        else:
            raise SettingsError("there is no blur among the backgrounds")

    def _match(self) -> None:
        """Toggle ``match``, with the last strength."""
        now = self._controls.state().get("match")
        if now is None:
            raise SettingsError("there is no match here")
        self._matched = now or self._matched
        self._answer("match", self._controls.set(match=0 if now else self._matched)["match"])

    def _answer(self, name: str, value: Any) -> None:
        """Answer with the new state."""
        self._say(self._told(name, value))

    def _told(self, name: str, value: Any) -> str:
        choices = list(self._controls.choices(name))
        if name == "recording":
            return f"recording {value}" if value else "recording ended"
        if name == "match":
            return f"match {value:g}: light as in the background" if value else "match off"
        if isinstance(value, bool):
            return _TURNED.get(name, (f"{name} off", f"{name} on"))[value]
        if name == "background" and value in choices:
            return f"background {choices.index(value) + 1}/{len(choices)}: {value}"
        return f"{name}: {value}"
