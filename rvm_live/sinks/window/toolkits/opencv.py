"""A window by OpenCV's ``highgui``: the only code that calls ``imshow`` and ``waitKey``."""

from __future__ import annotations

import logging
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import DisplayError, told_as, words_of
from rvm_live.sinks.window.display import Screen, prepare_qt, probe
from rvm_live.sinks.window.toolkits import cocoa
from rvm_live.sinks.window.toolkits.base import Closed, Event, Key, Motion, Press, Release, Toolkit

__all__ = ["OpenCvToolkit"]

_log = logging.getLogger("rvm_live.window")

_FLAGS = cv2.WINDOW_NORMAL | cv2.WINDOW_GUI_NORMAL | cv2.WINDOW_FREERATIO
_FULLSCREEN_NS = 400_000_000
_KEYS_AT_ONCE = 16


class OpenCvToolkit(Toolkit):
    """One window by the toolkit OpenCV was built with.

    Args:
        clock: decides when a request for full screen counts as refused.
    """

    name = "OpenCV"
    lacks = ("wheel", "dropped files", "Shift")

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._title = ""
        self._size = (0, 0)
        self._screen = Screen()
        self._events: list[Event] = []
        self._seen = False
        self._before: tuple[int, int] | None = None
        self._look_ns: int | None = None
        self._stretched = False

    def open(self, title: str, size: tuple[int, int]) -> None:
        screen = probe()
        if screen.reason is not None:
            raise DisplayError(screen.reason)
        self._screen = screen
        prepare_qt()
        try:
            cv2.namedWindow(title, _FLAGS)
            self._title = title
            self.resize(size)
            cv2.setMouseCallback(title, self._mouse)
        except cv2.error as error:
            raise DisplayError(words_of(error)) from error

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    @property
    def screen(self) -> Screen:
        return self._screen if self._title else probe()

    def show(self, canvas: NDArray[np.uint8]) -> None:
        with told_as(DisplayError, "the window failed", of=cv2.error):
            cv2.imshow(self._title, canvas)

    def events(self) -> list[Event]:
        for _ in range(_KEYS_AT_ONCE):
            code = cv2.waitKeyEx(1)
            if self._gone():
                self._title = ""
                self._events.append(Closed())
                break
            if code == -1:
                break
            key = key_of(code)
            if key is not None:
                self._events.append(key)
        else:
            _log.debug("more keys at once than were looked at")
        if self._title:
            self._follow_size()
        found, self._events = self._events, []
        return found

    def resize(self, size: tuple[int, int]) -> None:
        self._size = size
        cv2.resizeWindow(self._title, *size)

    def fullscreen(self, on: bool) -> None:
        if on:
            self._before = self._size
            self._look_ns = self._clock.now_ns() + _FULLSCREEN_NS
        mode = cv2.WINDOW_FULLSCREEN if on else cv2.WINDOW_NORMAL
        cv2.setWindowProperty(self._title, cv2.WND_PROP_FULLSCREEN, mode)
        if not on:
            self._look_ns = None
            if self._stretched and self._before is not None:
                cv2.resizeWindow(self._title, *self._before)
            self._stretched = False

    def close(self) -> None:
        title, self._title = self._title, ""
        if not title:
            return
        try:
            cv2.destroyWindow(title)
            cv2.waitKeyEx(1)  # the window closes only while events are handled
        except cv2.error as error:
            _log.debug("the window was closed already: %s", words_of(error))

    def _gone(self) -> bool:
        try:
            visible = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:  # Qt: the window was closed
            return True
        self._seen = self._seen or visible
        return self._seen and not visible and not cocoa.put_aside(self._title)

    def _follow_size(self) -> None:
        try:
            width, height = cocoa.inner_size(self._title) or cv2.getWindowImageRect(self._title)[2:]
        except cv2.error:
            return
        if width > 0 and height > 0:
            self._size = (width, height)
        if self._look_ns is not None and self._clock.now_ns() >= self._look_ns:
            self._look_ns = None
            if self._screen.size is not None and self._size == self._before != self._screen.size:
                # No window manager has resized the window: scale the picture ourselves.
                self._stretched = True
                cv2.moveWindow(self._title, 0, 0)
                cv2.resizeWindow(self._title, *self._screen.size)

    def _mouse(self, kind: int, x: int, y: int, _flags: int, _more: Any) -> None:
        if kind == cv2.EVENT_MOUSEMOVE:
            self._events.append(Motion(x, y))
        elif kind == cv2.EVENT_LBUTTONDOWN:
            self._events.append(Press(x, y, "left"))
        elif kind == cv2.EVENT_LBUTTONDBLCLK:
            self._events.append(Press(x, y, "left", double=True))
        elif kind == cv2.EVENT_RBUTTONDOWN:
            self._events.append(Press(x, y, "right"))
        elif kind == cv2.EVENT_LBUTTONUP:
            self._events.append(Release(x, y, "left"))


_SPECIAL = {
    27: "escape", 13: "return", 10: "return", 32: "space", 9: "tab",
    **{0xFF51 + n: name for n, name in enumerate(("left", "up", "right", "down"))},  # X11's keysyms
    **{0xFFBD + n: f"f{n}" for n in range(1, 13)},
    **{0x250000 + n * 0x10000: name for n, name in enumerate(("left", "up", "right", "down"))},  # Windows
    **{0x700000 + n * 0x10000: f"f{n + 1}" for n in range(12)},
    63234: "left", 63232: "up", 63235: "right", 63233: "down",  # macOS
    **{63236 + n: f"f{n + 1}" for n in range(12)},
}  # fmt: skip


# X's names (keysymdef.h) of the letters on the same keys in Russian or Ukrainian, Greek, Arabic or Persian, and Hebrew
# layouts. The q key of a Greek or Hebrew layout gives a mark that is elsewhere on other layouts: Esc is left.
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


_PLACES = {
    found: letter
    for letter, keysyms in _IN_PLACE_OF.items()
    for keysym in keysyms
    for found in (keysym, _other_case(keysym))
}
_UNICODE = 0x1000000  # X's keysym of a letter without a number of its own: this plus the Unicode code point


def key_of(code: int) -> Key | None:
    """A key as ``cv2.waitKeyEx`` reports it; None for keys that mean nothing.

    Bits above 16 hold modifiers on some platforms, and the whole key on Windows. Whether shift was held is known for
    letters alone, in some of OpenCV's window systems, and caps lock counts as shift there.
    """
    if code < 0:
        return None
    special = _SPECIAL.get(code) or _SPECIAL.get(code & 0xFFFF)
    if special is not None:
        return Key(special)
    key = code & (0x100FFFF if code & _UNICODE else 0xFFFF)
    if key in _PLACES:
        return Key(chr(key & 0xFFFF) if key & _UNICODE else "", place=_PLACES[key])
    if not 32 < key < 127:
        return None
    letter = chr(key)
    return Key(letter.lower(), letter.isupper())
