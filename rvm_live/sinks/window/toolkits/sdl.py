"""A window by SDL, through pygame-ce.

The picture is converted straight into the window's own pixels: no texture, no OpenGL, which on machines without a GPU
would be computed by the processor (`python -m benchmarks window` tells what a picture costs). The wheel and dropped
files come as events, and keys tell their place on the keyboard beside their letter.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import DisplayError, words_of
from rvm_live.sinks.window.display import Screen, screen_now, sdl_driver
from rvm_live.sinks.window.icon import draw_icon
from rvm_live.sinks.window.toolkits.base import (
    Closed,
    Drop,
    Event,
    Key,
    Left,
    Motion,
    Press,
    Release,
    Toolkit,
    Wheel,
)

__all__ = ["SdlToolkit"]

_HINTS = {
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",
    "SDL_NO_SIGNAL_HANDLERS": "1",  # the program itself handles Ctrl-C
    "SDL_MOUSE_FOCUS_CLICKTHROUGH": "1",
    "SDL_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR": "0",  # otherwise desktop effects are off while the window is open
    "SDL_WINDOWS_DPI_AWARENESS": "permonitorv2",
    "SDL_VIDEO_X11_WMCLASS": "rvm-live",
    "SDL_VIDEO_WAYLAND_WMCLASS": "rvm-live",
}
_BUTTONS = {1: "left", 2: "middle", 3: "right"}
_DOUBLE_MS = 400
_NEAR = 6  # pixels between the two presses of a double click
_SMALLEST = (160, 90)


class SdlToolkit(Toolkit):
    """One window by SDL 2."""

    name = "SDL"

    def __init__(self) -> None:
        self._pygame: Any = None
        self._window: Any = None
        self._pressed: tuple[int, int, int] | None = None  # time, x, y
        self._special: dict[int, str] = {}
        self._dropped: list[Path] = []
        self._before: tuple[tuple[int, int], tuple[int, int]] | None = None  # size and position

    def open(self, title: str, size: tuple[int, int]) -> None:
        pygame = self._loaded()
        try:
            self._window = pygame.Window(title, size, resizable=True)
            self._window.minimum_size = _SMALLEST
            icon = draw_icon()
            self._window.set_icon(pygame.image.frombuffer(icon.tobytes(), icon.shape[1::-1], "BGRA"))
        except pygame.error as error:
            self.close()
            raise DisplayError(words_of(error)) from error

    @property
    def size(self) -> tuple[int, int]:
        width, height = self._window.get_surface().get_size()
        return int(width), int(height)

    @property
    def screen(self) -> Screen:
        try:
            # Call this first: afterwards Windows reports real pixels.
            sizes = self._loaded().display.get_desktop_sizes()
        except DisplayError as error:
            return Screen(str(error))
        known = screen_now()
        if not sizes:
            return known
        width, height = map(int, sizes[0])  # of one monitor; X reports all monitors together
        area = known.area and (min(known.area[0], width), min(known.area[1], height))
        return replace(known, reason=None, size=(width, height), area=area)

    def show(self, canvas: NDArray[np.uint8]) -> None:
        try:
            surface = self._window.get_surface()
            width, height = surface.get_size()
            if canvas.shape[:2] != (height, width):
                canvas = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
            code = cv2.COLOR_BGR2BGRA if surface.get_masks()[0] == 0xFF0000 else cv2.COLOR_BGR2RGBA
            pixels = np.frombuffer(surface.get_buffer(), np.uint8).reshape(height, surface.get_pitch() // 4, 4)
            cv2.cvtColor(canvas, code, pixels[:, :width])
            del pixels  # unlocks the surface
            self._window.flip()
        except (self._pygame.error, ValueError, cv2.error) as error:
            raise DisplayError(f"the window failed: {error}") from error

    def events(self) -> list[Event]:
        found: list[Event] = []
        for event in self._pygame.event.get():
            meant = self._meant(event)
            if meant is not None:
                found.append(meant)
        return found

    def resize(self, size: tuple[int, int]) -> None:
        self._window.size = size

    def fullscreen(self, on: bool) -> None:
        window = self._window
        if not on:
            if self._before is not None:
                window.size, window.position = self._before
            self._before = None
            window.set_windowed()
        elif self._pygame.display.get_driver() != "x11" or _managed():
            window.set_fullscreen(desktop=True)
        elif (size := self.screen.size) is not None:  # no window manager answers the request: do it ourselves
            self._before = (window.size, window.position)
            window.position, window.size = (0, 0), size

    def close(self) -> None:
        if self._window is not None:
            self._window.destroy()
            self._window = None
        if self._pygame is not None:
            self._pygame.display.quit()
            self._pygame = None

    def _loaded(self) -> Any:
        """pygame with its display part begun.

        Raises:
            DisplayError: it is not installed, or finds no display.
        """
        if self._pygame is not None:
            return self._pygame
        driver = sdl_driver()
        if not driver:  # by itself SDL would choose a driver that shows nothing
            raise DisplayError(screen_now().reason or "there is no display")
        os.environ.setdefault("SDL_VIDEODRIVER", driver)
        for name, value in _HINTS.items():
            os.environ.setdefault(name, value)
        if driver == "x11":
            os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")
        try:
            import pygame
        except ImportError as error:
            raise DisplayError("pygame-ce is not installed") from error
        try:
            pygame.display.init()
            pygame.display.set_allow_screensaver(True)
        except pygame.error as error:
            raise DisplayError(words_of(error)) from error
        self._special = {
            **{getattr(pygame, f"K_F{n}"): f"f{n}" for n in range(1, 13)},
            **{getattr(pygame, f"K_{name.upper()}"): name for name in ("left", "right", "up", "down", "escape", "tab")},
            pygame.K_RETURN: "return",
            pygame.K_KP_ENTER: "return",
            pygame.K_SPACE: "space",
            pygame.K_KP_PLUS: "+",
            pygame.K_KP_MINUS: "-",
        }
        self._pygame = pygame
        return pygame

    def _meant(self, event: Any) -> Event | None:
        pygame = self._pygame
        kind = event.type
        if kind == pygame.KEYDOWN:
            return self._key(event)
        if kind == pygame.MOUSEBUTTONDOWN and event.button in _BUTTONS:
            return self._press(int(event.pos[0]), int(event.pos[1]), event.button)
        if kind == pygame.MOUSEBUTTONUP and event.button in _BUTTONS:
            return Release(int(event.pos[0]), int(event.pos[1]), _BUTTONS[event.button])
        if kind == pygame.MOUSEMOTION:
            return Motion(int(event.pos[0]), int(event.pos[1]))
        if kind == pygame.WINDOWLEAVE:
            return Left()
        if kind == pygame.MOUSEWHEEL and event.y:
            return Wheel(-event.y if getattr(event, "flipped", False) else event.y)
        if kind == pygame.DROPFILE:
            self._dropped.append(Path(event.file))
        if kind == pygame.DROPCOMPLETE:
            dropped, self._dropped = self._dropped, []
            return Drop(tuple(dropped))
        if kind in (pygame.WINDOWCLOSE, pygame.QUIT):
            return Closed()
        return None

    def _key(self, event: Any) -> Key | None:
        pygame = self._pygame
        if event.mod & (pygame.KMOD_CTRL | pygame.KMOD_LALT | pygame.KMOD_META):
            return None  # a key of the window manager, or of no meaning here
        shift = bool(event.mod & pygame.KMOD_SHIFT)
        if event.key in self._special:
            return Key(self._special[event.key], shift)
        place = ""
        if pygame.KSCAN_A <= event.scancode <= pygame.KSCAN_Z:
            place = chr(ord("a") + event.scancode - pygame.KSCAN_A)
        elif pygame.KSCAN_1 <= event.scancode <= pygame.KSCAN_0:
            place = "1234567890"[event.scancode - pygame.KSCAN_1]
        return Key(event.unicode.lower(), shift, place) if event.unicode or place else None

    def _press(self, x: float, y: float, button: int) -> Press:
        now, x, y = self._pygame.time.get_ticks(), int(x), int(y)
        double = False
        if button == 1:
            before = self._pressed
            double = (
                before is not None
                and now - before[0] <= _DOUBLE_MS
                and max(abs(x - before[1]), abs(y - before[2])) <= _NEAR
            )
            self._pressed = None if double else (now, x, y)
        return Press(x, y, _BUTTONS[button], double)


def _managed() -> bool:
    """Whether this X display has a window manager for requests such as full screen (EWMH, _NET_SUPPORTING_WM_CHECK);
    True if unknown."""
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError:
        return True
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XDefaultRootWindow.restype = x11.XInternAtom.restype = ctypes.c_ulong
    x11.XDefaultRootWindow.argtypes = x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    x11.XInternAtom.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    x11.XFree.argtypes = [ctypes.c_void_p]
    connection = x11.XOpenDisplay(None)
    if not connection:
        return True
    kind, form, count, left, data = (
        ctypes.c_ulong(),
        ctypes.c_int(),
        ctypes.c_ulong(),
        ctypes.c_ulong(),
        ctypes.c_void_p(),
    )
    asked = x11.XInternAtom(connection, b"_NET_SUPPORTING_WM_CHECK", 0)
    x11.XGetWindowProperty(
        *(ctypes.c_void_p(connection), ctypes.c_ulong(x11.XDefaultRootWindow(connection)), ctypes.c_ulong(asked)),
        *(ctypes.c_long(0), ctypes.c_long(1), ctypes.c_int(0), ctypes.c_ulong(0), ctypes.byref(kind)),
        *(ctypes.byref(form), ctypes.byref(count), ctypes.byref(left), ctypes.byref(data)),
    )
    if data:
        x11.XFree(data)
    x11.XCloseDisplay(connection)
    return count.value > 0
