"""Which key does what, and what the keys act on. The help panel and the documentation are made from this table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rvm_live.errors import SettingsError
from rvm_live.frames import Composite
from rvm_live.settings import DISPLAY_MODES

__all__ = ["HOTKEYS", "Hotkey", "ViewState", "WindowActions", "action_for"]

_ESCAPE = 27


@dataclass(frozen=True)
class Hotkey:
    """One line of the help panel.

    Attributes:
        keys: the keys' codes, lower case.
        label: how people call them.
        action: what they do, for the window.
        text: what they do, for people.
    """

    keys: tuple[int, ...]
    label: str
    action: str
    text: str


HOTKEYS = (
    Hotkey((ord("o"),), "o", "display", "result, comparison, matte"),
    Hotkey((ord("b"),), "b", "background", "next background"),
    Hotkey((ord("g"),), "g", "compositor", "next compositing backend"),
    Hotkey((ord("s"),), "s", "statistics", "statistics on or off"),
    Hotkey((ord("m"),), "m", "mirror", "mirror on or off"),
    Hotkey((ord("f"),), "f", "fullscreen", "full screen on or off"),
    Hotkey((ord("r"),), "r", "reset", "reset the matting state"),
    Hotkey((ord("p"),), "p", "save", "save a PNG with alpha"),
    Hotkey((ord("h"),), "h", "help", "this help"),
    Hotkey((ord("q"), _ESCAPE), "q  Esc", "quit", "quit"),
)

# What X calls the letters in the places of ours (keysymdef.h) where the layout is Russian or Ukrainian, Greek,
# Arabic or Persian, or Hebrew. A Greek or Hebrew q is a mark that other layouts have elsewhere: Esc is left.
_IN_PLACE_OF = {
    "o": (0x6DD, 0x7EF, 0x5CE, 0xCED),
    "b": (0x6C9, 0x7E2, 0x100FEFB, 0x5D0, 0xCF0),
    "g": (0x6D0, 0x7E3, 0x5E4, 0xCF2),
    "s": (0x6D9, 0x6A6, 0x7F2, 0x5D3, 0xCE3),
    "m": (0x6D8, 0x7EC, 0x5C9, 0x100067E, 0xCF6),
    "f": (0x6C1, 0x7F6, 0x5C8, 0xCEB),
    "r": (0x6CB, 0x7F1, 0x5E2, 0xCF8),
    "p": (0x6DA, 0x7F0, 0x5CD, 0xCF4),
    "h": (0x6D2, 0x7E7, 0x5C7, 0xCE9),
    "q": (0x6CA, 0x5D6),
}


def _other_case(keysym: int) -> int:
    """The keysym of a letter's capital, where its script has any."""
    if keysym >> 8 == 6:
        return keysym + (0x20 if keysym >= 0x6C0 else 0x10)
    return keysym - 0x20 if keysym >> 8 == 7 else keysym


_ACTIONS = {key: hotkey.action for hotkey in HOTKEYS for key in hotkey.keys}
_ACTIONS.update(
    (found, _ACTIONS[ord(letter)])
    for letter, keysyms in _IN_PLACE_OF.items()
    for keysym in keysyms
    for found in (keysym, _other_case(keysym))
)
_UNICODE = 0x1000000  # X's letters that have no number of their own: this and the Unicode character's


def action_for(code: int) -> str | None:
    """The action of a key as ``cv2.waitKeyEx`` reports it, in either case (caps lock); None for other keys.

    Where the layout has no Latin letters the key's place counts.

    Special keys have codes above 255 whose low byte may look like a letter (the left arrow's is that of Q): they
    are no letters. Bits above 16 hold modifiers on some platforms.
    """
    if code < 0:
        return None
    key = code & (0x100FFFF if code & _UNICODE else 0xFFFF)
    if ord("A") <= key <= ord("Z"):
        key += 32
    return _ACTIONS.get(key)


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
