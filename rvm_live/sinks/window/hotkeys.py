"""Which key does what. The help panel and the documentation are made from this table."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from rvm_live.core.controls import Control, attribute, choice, switch
from rvm_live.core.frames import Composite
from rvm_live.core.settings import DISPLAY_MODES, STATISTICS
from rvm_live.core.validation import check_choice
from rvm_live.sinks.window.toolkits.base import Key

__all__ = ["HOTKEYS", "Hotkey", "ViewState", "WindowActions", "action_for", "view_controls"]


@dataclass(frozen=True)
class Hotkey:
    """One line of the help panel.

    Attributes:
        keys: the keys' names (:class:`rvm_live.sinks.window.toolkits.base.Key`); a capital letter is one with shift
            held.
        label: the keys in words.
        action: name of the action.
        text: the action in words.
        group: the heading it belongs to.
    """

    keys: tuple[str, ...]
    label: str
    action: str
    text: str
    group: str


_BACKGROUND, _PICTURE, _QUALITY, _MORE = "Background", "Picture", "Quality", "More"
HOTKEYS = (
    Hotkey(("b", "right"), "b  →", "background", "next", _BACKGROUND),
    Hotkey(("B", "left"), "B  ←", "background back", "previous", _BACKGROUND),
    Hotkey(tuple("123456789"), "1-9", "background number", "that background", _BACKGROUND),
    Hotkey(("n",), "n", "blur", "blur on or off", _BACKGROUND),
    Hotkey(("v",), "v", "privacy", "privacy: only background", _BACKGROUND),
    Hotkey(("t",), "t", "record", "start or stop recording", _PICTURE),
    Hotkey(("p",), "p", "photo", "save a PNG with alpha", _PICTURE),
    Hotkey(("space",), "space", "pause", "pause: camera off", _PICTURE),
    Hotkey(("m",), "m", "mirror", "mirror", _PICTURE),
    Hotkey(("a",), "a", "follow", "follow the person", _PICTURE),
    Hotkey(("i",), "i", "only_me", "keep only one person", _PICTURE),
    Hotkey(("o",), "o", "view", "result, comparison, matte", _PICTURE),
    Hotkey(("f",), "f", "fullscreen", "full screen", _PICTURE),
    Hotkey(("c",), "c", "camera", "next camera", _QUALITY),
    Hotkey(("e",), "e", "engine", "lite or RVM", _QUALITY),
    Hotkey(("w",), "w", "weights", "fetch RVM: better edges", _QUALITY),
    Hotkey(("l",), "l", "match", "match the background", _QUALITY),
    Hotkey(("+", "="), "+", "quality", "better, slower", _QUALITY),
    Hotkey(("-",), "-", "quality back", "faster, simpler", _QUALITY),
    Hotkey(("s",), "s", "statistics", "statistics", _MORE),
    Hotkey(("g",), "g", "compositor", "next compositor", _MORE),
    Hotkey(("r",), "r", "reset", "start matting anew", _MORE),
    Hotkey(("h", "?", "f1"), "h  ?  F1", "help", "this help", _MORE),
    Hotkey(("q",), "q  Esc", "quit", "quit", _MORE),
    Hotkey(("escape",), "", "escape", "leave full screen, then quit", ""),
)

_ACTIONS = {key: hotkey.action for hotkey in HOTKEYS for key in hotkey.keys}


def action_for(key: Key) -> str | None:
    """The action of a key; None for other keys. Caps lock is no shift, and where a layout has no Latin letters, or
    wants shift for its digits, what stands in a key's place on a US keyboard counts."""
    for name in (key.name, key.place if key.place.isdigit() or not _latin(key.name) else ""):
        if not name:
            continue
        if key.shift and name.upper() in _ACTIONS:
            return _ACTIONS[name.upper()]
        if name in _ACTIONS:
            return _ACTIONS[name]
    return None


def _latin(name: str) -> bool:
    """Whether a key types a letter or mark of a layout in which people find ours: not for its place, then."""
    return bool(name) and (name.isascii() or unicodedata.name(name[0], "").startswith("LATIN"))


@dataclass
class ViewState:
    """What the window shows; may be changed from any thread.

    Attributes:
        display: one of :data:`~rvm_live.core.settings.DISPLAY_MODES`.
        statistics: one of :data:`~rvm_live.core.settings.STATISTICS`.
        help: the list of keys is shown.
        fullscreen: the window fills the screen.
        mirror: the window mirrors the picture; other outputs do not.
        split: where the comparison changes from the camera's picture to the result, as a part of its width.
    """

    display: str = DISPLAY_MODES[0]
    statistics: str = STATISTICS[0]
    help: bool = False
    fullscreen: bool = False
    mirror: bool = False
    split: float = 0.5

    def __post_init__(self) -> None:
        check_choice("display mode", self.display, DISPLAY_MODES)
        check_choice("statistics", self.statistics, STATISTICS)


def view_controls(view: ViewState) -> list[Control]:
    """The controls of a window: ``view``, ``statistics``, ``fullscreen`` and ``mirror``."""

    display, statistics = attribute(view, "display"), attribute(view, "statistics")
    return [
        choice("view", *display, DISPLAY_MODES, "what the window shows"),
        choice("statistics", *statistics, STATISTICS, "what the window tells over the picture"),
        switch("fullscreen", *attribute(view, "fullscreen"), "the window fills the screen"),
        switch("mirror", *attribute(view, "mirror"), "the window shows the picture as a mirror"),
    ]


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True)
class WindowActions:
    """Actions of the window besides the controls; all are called on the main thread, from ``write`` or
    ``idle``. An :class:`~rvm_live.core.errors.RvmLiveError` that they raise is told in the overlay and the log; the
    window goes on.

    Attributes:
        reset: start the recurrent state anew.
        save: store the composite that is shown as a picture; returns where.
        fetch_weights: get RVM's weights, and use them once they are here; returns what happens now.
        ask_background: have the user choose a file to show behind the person, which then comes to
            :meth:`~rvm_live.sinks.window.window.WindowSink.post`.
        quit: end the run; the argument is the reason for the report, ``key`` or ``window closed``. Called once.
    """

    reset: Callable[[], None] = _nothing
    save: Callable[[Composite], object] = _nothing
    ask_background: Callable[[], None] = _nothing
    fetch_weights: Callable[[], object] = _nothing
    quit: Callable[[str], None] = _nothing
