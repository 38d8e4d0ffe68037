"""Which key does what, and what the keys act on. The help panel and the documentation are made from this table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rvm_live.errors import SettingsError
from rvm_live.frames import Composite
from rvm_live.settings import DISPLAY_MODES
from rvm_live.sinks.toolkits.base import Key

__all__ = ["HOTKEYS", "Hotkey", "ViewState", "WindowActions", "action_for"]


@dataclass(frozen=True)
class Hotkey:
    """One line of the help panel.

    Attributes:
        keys: the keys' names (:class:`rvm_live.sinks.toolkits.base.Key`).
        label: how people call them.
        action: what they do, for the window.
        text: what they do, for people.
    """

    keys: tuple[str, ...]
    label: str
    action: str
    text: str


HOTKEYS = (
    Hotkey(("o",), "o", "display", "result, comparison, matte"),
    Hotkey(("b",), "b", "background", "next background"),
    Hotkey(("g",), "g", "compositor", "next compositing backend"),
    Hotkey(("s",), "s", "statistics", "statistics on or off"),
    Hotkey(("m",), "m", "mirror", "mirror on or off"),
    Hotkey(("f",), "f", "fullscreen", "full screen on or off"),
    Hotkey(("r",), "r", "reset", "reset the matting state"),
    Hotkey(("p",), "p", "save", "save a PNG with alpha"),
    Hotkey(("h",), "h", "help", "this help"),
    Hotkey(("q", "escape"), "q  Esc", "quit", "quit"),
)

_ACTIONS = {key: hotkey.action for hotkey in HOTKEYS for key in hotkey.keys}


def action_for(key: Key) -> str | None:
    """The action of a key, in either case; None for other keys. Where a layout's own letter is none of ours, what
    stands in its place on a US keyboard counts."""
    return _ACTIONS.get(key.name) or _ACTIONS.get(key.place)


@dataclass
class ViewState:
    """What the user sees of the window; changed by its keys, on the main thread.

    Attributes:
        display: one of :data:`~rvm_live.settings.DISPLAY_MODES`.
        statistics: the overlay is shown.
        help: the list of keys is shown.
        fullscreen: the window fills the screen.
    """

    display: str = DISPLAY_MODES[0]
    statistics: bool = True
    help: bool = False
    fullscreen: bool = False

    def __post_init__(self) -> None:
        if self.display not in DISPLAY_MODES:
            raise SettingsError(f"unknown display mode {self.display!r}: choose one of {', '.join(DISPLAY_MODES)}")

    def next_display(self) -> None:
        """Go on to the next display mode."""
        self.display = DISPLAY_MODES[(DISPLAY_MODES.index(self.display) + 1) % len(DISPLAY_MODES)]


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True)
class WindowActions:
    """What the window asks of the program; all are called on the main thread, from ``write`` or ``idle``.

    An :class:`~rvm_live.errors.RvmLiveError` they raise is told in the overlay and the log; the window goes on.

    Attributes:
        background: go on to the next background.
        compositor: go on to the next compositing back end.
        mirror: flip left and right, or back.
        reset: start the recurrent state anew.
        save: store the composite that is shown as a picture.
        quit: end the run; the argument is the reason for the report, ``key`` or ``window closed``. Called once.
    """

    background: Callable[[], None] = _nothing
    compositor: Callable[[], None] = _nothing
    mirror: Callable[[], None] = _nothing
    reset: Callable[[], None] = _nothing
    save: Callable[[Composite], None] = _nothing
    quit: Callable[[str], None] = _nothing
