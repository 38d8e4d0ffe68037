"""A private X display (Xvfb) whose keyboard and mouse xdotool controls; no window manager is needed.

Use :func:`open_display` as a context manager, or the fixture ``display``, and start the program with
``env=display.env``.
"""

from __future__ import annotations

import ctypes
import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.waiting import until

__all__ = ["Display", "Geometry", "open_display", "require_display"]

TITLE = "rvm-live"
_STARTUP_SECONDS = 20.0


@dataclass(frozen=True)
class Geometry:
    """A window's place on the screen, pixels."""

    x: int
    y: int
    width: int
    height: int


class Display:
    """One X server, and what a person would do with it.

    Windows are found by their whole title; every call waits for the window to appear.

    Attributes:
        name: e.g. ``:7``.
        env: a copy of this process's environment that leads to this display and to no other.
    """

    def __init__(self, name: str, server: subprocess.Popen[bytes]) -> None:
        self.name = name
        self._server = server
        self.env = {k: v for k, v in os.environ.items() if k not in ("WAYLAND_DISPLAY", "XAUTHORITY")}
        self.env["DISPLAY"] = name
        self.env.pop("QT_QPA_PLATFORM", None)

    def key(self, key: str, title: str = TITLE) -> None:
        """Give the window the keyboard focus and press ``key`` (an X keysym such as ``o``, ``Escape``, ``shift+o``)."""
        window = self.window(title)
        self._xdotool("windowfocus", "--sync", window)
        self._xdotool("key", "--clearmodifiers", key)

    def type(self, text: str, title: str = TITLE) -> None:
        """Give the window the keyboard focus, type ``text`` and press Return."""
        self._xdotool("windowfocus", "--sync", self.window(title))
        self._xdotool("type", "--delay", "20", text)
        self._xdotool("key", "Return")

    def window(self, title: str = TITLE, timeout: float = 60.0) -> str:
        """The X id of the visible window called ``title``; waits for it.

        Raises:
            TimeoutError: no such window appeared.
        """
        found: list[str] = []

        def look() -> bool:
            found[:] = self._windows(title)
            return bool(found)

        if not self.wait(look, timeout):
            raise TimeoutError(f"no window {title!r} on display {self.name} after {timeout:g} s")
        return found[-1]

    def has_window(self, title: str = TITLE) -> bool:
        """Whether a window called ``title`` is on the screen now."""
        return bool(self._windows(title))

    def window_geometry(self, title: str = TITLE) -> Geometry:
        """Where the window is."""
        told = self._xdotool("getwindowgeometry", "--shell", self.window(title))
        values = dict(re.findall(r"^(\w+)=(-?\d+)$", told, re.MULTILINE))
        return Geometry(*(int(values[name]) for name in ("X", "Y", "WIDTH", "HEIGHT")))

    def resize(self, title: str, width: int, height: int) -> None:
        """Make the window ``width`` x ``height`` pixels and wait until it has that size."""
        window = self.window(title)
        self._xdotool("windowsize", window, str(width), str(height))

        def fits() -> bool:
            place = self.window_geometry(title)
            return (place.width, place.height) == (width, height)

        if not self.wait(fits, 10.0):
            raise TimeoutError(f"window {title!r} did not become {width}x{height}: {self.window_geometry(title)}")

    def move_mouse(self, x: int, y: int) -> None:
        """Move the mouse to a pixel of the screen."""
        self._xdotool("mousemove", "--sync", str(x), str(y))

    def click(self, x: int, y: int, *, button: int = 1, times: int = 1) -> None:
        """Move there and click; buttons 4 and 5 are the wheel, up and down."""
        self._xdotool(
            "mousemove",
            str(x),
            str(y),
            "click",
            "--repeat",
            str(times),
            "--delay",
            "60" if times > 1 else "1",
            str(button),
        )

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Press the left button at one place and release it at another, with stops on the way."""
        middle = ((start[0] + end[0]) // 2, (start[1] + end[1]) // 2)
        self._xdotool("mousemove", *map(str, start), "sleep", "0.1", "mousedown", "1", "sleep", "0.1")
        self._xdotool("mousemove", *map(str, middle), "sleep", "0.1", "mousemove", *map(str, end), "sleep", "0.1")
        self._xdotool("mouseup", "1")

    def close_window(self, title: str = TITLE) -> None:
        """Do what the close button does: send the window WM_DELETE_WINDOW."""
        _send_wm_delete(self.name, int(self.window(title)))

    def set_resources(self, text: str) -> None:
        """Set the X resources that desktops set for all programs, as ``xrdb`` does."""
        _set_root_text(self.name, 23, text)  # XA_RESOURCE_MANAGER

    def set_work_area(self, x: int, y: int, width: int, height: int) -> None:
        """Set, as a window manager does, which part of the screen its panels leave free."""
        area = f"{x}, {y}, {width}, {height}"
        command = ["xprop", "-root", "-f", "_NET_WORKAREA", "32c", "-set", "_NET_WORKAREA", area]
        subprocess.run(command, env=self.env, check=True, timeout=60)

    def die(self) -> None:
        """Kill the X server, which takes the screen away from every program."""
        self._server.kill()
        self._server.wait()

    def screenshot(self, title: str | None = None) -> NDArray[np.uint8]:
        """A screenshot, uint8 (H, W, 3) BGR: of the whole screen, or of the inside of the window called ``title``."""
        from PIL import ImageGrab

        picture = np.asarray(ImageGrab.grab(xdisplay=self.name).convert("RGB"))[:, :, ::-1]
        if title is not None:
            place = self.window_geometry(title)
            left, top = max(place.x, 0), max(place.y, 0)
            picture = picture[top : place.y + place.height, left : place.x + place.width]
        return np.ascontiguousarray(picture)

    def wait_for(
        self, test: Callable[[NDArray[np.uint8]], bool], title: str | None = TITLE, timeout: float = 60.0
    ) -> NDArray[np.uint8]:
        """Take screenshots until ``test`` is true of one; return the last one either way."""
        taken: list[NDArray[np.uint8]] = []

        def look() -> bool:
            taken[:] = [self.screenshot(title)]
            return test(taken[0])

        self.wait(look, timeout)
        return taken[0]

    @staticmethod
    def wait(test: Callable[[], Any], timeout: float = 60.0) -> bool:
        """As :func:`~tests.support.waiting.until`."""
        return until(test, timeout, pause=0.03)

    def _windows(self, title: str) -> list[str]:
        """Visible windows with that title. xdotool's search by name misses SDL's windows, so search by class, too."""
        found = self._search("--name", f"^{re.escape(title)}$")
        return found or [each for each in self._search("--class", ".") if self._name_of(each) == title]

    def _search(self, *how: str) -> list[str]:
        command = ["xdotool", "search", "--onlyvisible", *how]
        return subprocess.run(command, env=self.env, capture_output=True, encoding="utf-8", timeout=60).stdout.split()

    def _name_of(self, window: str) -> str:
        command = ["xdotool", "getwindowname", window]
        return subprocess.run(command, env=self.env, capture_output=True, encoding="utf-8", timeout=60).stdout.rstrip(
            "\n"
        )

    def _xdotool(self, *arguments: str) -> str:
        done = subprocess.run(["xdotool", *arguments], env=self.env, capture_output=True, encoding="utf-8", timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"xdotool {' '.join(arguments)}: {done.stderr.strip() or done.returncode}")
        return done.stdout


def require_display() -> None:
    """Skip the test where Xvfb or xdotool is missing (fail it under RVM_LIVE_REQUIRE_DISPLAY=1)."""
    from tests.conftest import missing

    absent = [tool for tool in ("Xvfb", "xdotool") if shutil.which(tool) is None]
    if absent:
        missing(f"{' and '.join(absent)} not found: apt-get install xvfb xdotool", required="RVM_LIVE_REQUIRE_DISPLAY")


@contextmanager
def open_display(width: int = 1600, height: int = 1000, *, authority: Path | None = None) -> Iterator[Display]:
    """Start an X server of the test's own on a free display number; it ends with the block.

    Args:
        width: of the screen, pixels.
        height: of the screen, pixels.
        authority: file with the cookies that clients must know; None: everybody is let in.
    """
    require_display()
    reader, writer = os.pipe()
    server = subprocess.Popen(
        [
            *("Xvfb", "-displayfd", str(writer), "-screen", "0", f"{width}x{height}x24"),
            *("-nolisten", "tcp", "-noreset", "-dpi", "96"),
            *(() if authority is None else ("-auth", str(authority))),
        ],
        pass_fds=[writer],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    try:
        yield Display(f":{_read_number(reader, server)}", server)
    finally:
        os.close(reader)
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _read_number(reader: int, server: subprocess.Popen[bytes]) -> str:
    text = b""
    deadline = time.monotonic() + _STARTUP_SECONDS
    while not text.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            raise TimeoutError(f"Xvfb did not start in {_STARTUP_SECONDS:g} s")
        chunk = os.read(reader, 16)
        if not chunk:
            raise RuntimeError(f"Xvfb ended with exit code {server.wait()}")
        text += chunk
    return text.decode().strip()


class _ClientMessage(ctypes.Structure):
    """XClientMessageEvent, padded to the size of an XEvent (24 longs)."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("padding", ctypes.c_long * 12),
    )


def _set_root_text(display_name: str, name: int, text: str) -> None:
    """Set a property of the root window."""
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XOpenDisplay.argtypes = [ctypes.c_char_p]
    x11.XDefaultRootWindow.restype = ctypes.c_ulong
    x11.XDefaultRootWindow.argtypes = [ctypes.c_void_p]
    x11.XChangeProperty.argtypes = [
        *(ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong),
        *(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int),
    ]
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    connection = x11.XOpenDisplay(display_name.encode())
    if not connection:
        raise RuntimeError(f"cannot connect to display {display_name}")
    data = text.encode("latin-1")
    x11.XChangeProperty(connection, x11.XDefaultRootWindow(connection), name, 31, 8, 0, data, len(data))
    x11.XCloseDisplay(connection)  # flushes


def _send_wm_delete(display_name: str, window: int) -> None:
    """xdotool can only kill a window or ask a window manager; a close button sends this message (ICCCM 4.2.8.1)."""
    x11 = ctypes.CDLL("libX11.so.6")  # xdotool itself is linked against it
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XOpenDisplay.argtypes = [ctypes.c_char_p]
    x11.XInternAtom.restype = ctypes.c_ulong
    x11.XInternAtom.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    x11.XSendEvent.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    connection = x11.XOpenDisplay(display_name.encode())
    if not connection:
        raise RuntimeError(f"cannot connect to display {display_name}")
    try:
        event = _ClientMessage()
        event.type = 33  # ClientMessage
        event.window = window
        event.message_type = x11.XInternAtom(connection, b"WM_PROTOCOLS", 0)
        event.format = 32
        event.data[0] = x11.XInternAtom(connection, b"WM_DELETE_WINDOW", 0)
        x11.XSendEvent(connection, window, 0, 0, ctypes.byref(event))
    finally:
        x11.XCloseDisplay(connection)  # flushes
