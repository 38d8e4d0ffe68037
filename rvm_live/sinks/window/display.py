"""Is there a display? Checked before the first window, because Qt ends the whole process if there is none.

On Linux a process of its own asks the X server (``x11_probe.py``): a hang or crash there does not affect this process.
It also reports the size and the scale of the screen.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

__all__ = [
    "Screen",
    "display_available",
    "prepare_qt",
    "probe",
    "screen_now",
    "sdl_driver",
]

_TIMEOUT_SECONDS = 5.0
_MANY_LINES = 2160
_KEPT_SECONDS = 2.0
"""Seconds for which an answer is kept: several parts of a start ask."""
_DISPLAY = re.compile(r".*:\d{1,5}(\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class Screen:
    """Facts about the display.

    Attributes:
        reason: why no window can be opened, one line; None if one can.
        size: width and height of the whole screen in pixels, or None if unknown.
        area: the part without the desktop's own panels; None if unknown.
        scale: scale factor of the user interface, 1 to 4.
    """

    reason: str | None = None
    size: tuple[int, int] | None = None
    area: tuple[int, int] | None = None
    scale: float = 1.0

    @property
    def enlarged(self) -> float:
        """:attr:`scale`; where the desktop asks for none, twice as large from 2160 lines on."""
        return 2.0 if self.scale == 1.0 and self.size is not None and self.size[1] >= _MANY_LINES else self.scale


def display_available() -> str | None:
    """Why no window can be opened here, one line, or None if one can. Opens nothing, never raises."""
    if importlib.util.find_spec("pygame") is None:
        return probe().reason
    return None if sdl_driver() else screen_now().reason


def probe() -> Screen:
    """Find out whether OpenCV can open a window, and how large the screen is."""
    import cv2

    if _framework(cv2) == "":
        return Screen(
            f"OpenCV {cv2.__version__} was built without windows (opencv-python-headless?): "
            "pip uninstall it and install opencv-contrib-python"
        )
    return screen_now()


def screen_now() -> Screen:
    """Find out whether there is a screen for windows, and how large it is."""
    if sys.platform.startswith("win"):
        return Screen(size=_windows_screen(), area=_windows_area())
    if not sys.platform.startswith("linux"):
        return Screen()
    name = os.environ.get("DISPLAY", "")
    if not name:
        if os.environ.get("WAYLAND_DISPLAY"):
            return Screen("DISPLAY is not set: this Wayland session has no XWayland, which OpenCV's windows need")
        return Screen("DISPLAY is not set (no desktop session, or a remote shell without X forwarding)")
    if not sys.executable or getattr(sys, "frozen", False):
        return Screen()  # no Python interpreter to run the query: another copy of the whole program would start
    try:
        size, area, resources = _ask(name)
    except (OSError, ValueError) as error:
        return Screen(f"the X display {name!r} cannot be used: {_words(error)}")
    return Screen(size=size, area=area, scale=_scale(resources))


def sdl_driver() -> str:
    """Name of the driver with which SDL can open a window here, as ``SDL_VIDEODRIVER`` takes it; empty if none can."""
    if sys.platform.startswith("win"):
        return "windows"
    if sys.platform == "darwin":
        return "cocoa"
    if screen_now().reason is None:
        return "x11"
    folder, name = os.environ.get("XDG_RUNTIME_DIR", ""), os.environ.get("WAYLAND_DISPLAY", "")
    return "wayland" if name and Path(folder, name).is_socket() else ""


def prepare_qt() -> None:
    """Set up the Qt inside OpenCV's wheel for this desktop; call it before the first window.

    Sets what Qt reads from the environment when its first window opens, and loads the system's libX11-xcb: the wheel
    brings an old one of its own whose idea of libX11's internals is wrong beside a newer libX11. Xlib then takes
    events away from Qt; where the one that says that the window is on the screen is among them (one start in ten,
    measured under Xvfb), the window stays black for good.

    Qt's own scaling is switched off: sizes then are pixels of the screen, as those are that the X server tells, and
    pictures are drawn sharp. :attr:`Screen.scale` takes its place.
    """
    if not sys.platform.startswith("linux"):
        return
    os.environ.setdefault("QT_LOGGING_RULES", "qt.qpa.fonts.warning=false")
    _asked_of_qt()
    os.environ.update(QT_SCALE_FACTOR="1", QT_AUTO_SCREEN_SCALE_FACTOR="0", QT_ENABLE_HIGHDPI_SCALING="0")
    os.environ.pop("QT_SCREEN_SCALE_FACTORS", None)
    plugins = Path(os.environ.get("QT_QPA_PLATFORM_PLUGIN_PATH", "")) / "platforms"
    shipped = [plugin.name for plugin in plugins.glob("libq*.so")] if plugins.is_dir() else []
    if shipped != ["libqxcb.so"]:
        return  # not the Qt of OpenCV's wheel
    # A desktop-wide QT_QPA_PLATFORM=wayland would make the wheel's Qt abort: it ships with the xcb plug-in only.
    os.environ["QT_QPA_PLATFORM"] = "xcb"
    with suppress(OSError):
        ctypes.CDLL("libX11-xcb.so.1", mode=ctypes.RTLD_GLOBAL)


def _framework(cv2: object) -> str | None:
    """Name of the window system OpenCV was built for, empty without one, None if it does not tell."""
    ask = getattr(cv2, "currentUIFramework", None)
    if ask is None:
        return None
    try:
        return str(ask())
    except Exception:  # a headless build has the function, but it raises
        return ""


@lru_cache(maxsize=1)
def _asked_of_qt() -> float:
    """The user's scale factor for programs, from before this module changed it."""
    return _number(os.environ.get("QT_SCALE_FACTOR", ""))


def _scale(resources: str) -> float:
    """Scale factor from the desktop's dots per inch, where 96 are usual."""
    told = re.search(r"^Xft\.dpi:\s*([\d.]+)\s*$", resources, re.MULTILINE)
    return min(max(_asked_of_qt() * (_number(told[1]) / 96 if told else 1.0), 1.0), 4.0)


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        return 1.0
    return found if 0 < found < 1e4 else 1.0


def _windows_screen() -> tuple[int, int] | None:
    try:
        metrics = ctypes.windll.user32.GetSystemMetrics  # type: ignore[attr-defined,unused-ignore]
        return int(metrics(0)), int(metrics(1))
    except Exception:
        return None


def _windows_area() -> tuple[int, int] | None:
    try:
        edges = (ctypes.c_long * 4)()  # left, top, right, bottom
        found = ctypes.windll.user32.SystemParametersInfoW(0x30, 0, edges, 0)  # type: ignore[attr-defined,unused-ignore]
        return (edges[2] - edges[0], edges[3] - edges[1]) if found else None
    except Exception:
        return None


def _words(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _ask(name: str) -> tuple[tuple[int, int], tuple[int, int] | None, str]:
    """The size of the first screen, its work area, and the desktop's settings for all programs.

    Raises:
        ValueError: the name is malformed, or the server refuses us.
        OSError: it cannot be reached.
    """
    if _DISPLAY.fullmatch(name) is None:
        raise ValueError("its name is not of the form host:number, such as :0")
    return _asked(name, *map(os.environ.get, ("XAUTHORITY", "HOME")), time.monotonic() // _KEPT_SECONDS)


@lru_cache(maxsize=1)
def _asked(name: str, *_: object) -> tuple[tuple[int, int], tuple[int, int] | None, str]:
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("x11_probe.py"))]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ValueError("the X server does not answer") from None
    if done.returncode or not done.stdout:
        raise ValueError(_refusal(name, done.stderr.decode("latin-1").strip()))
    sizes, _line, resources = done.stdout.decode("latin-1").partition("\n")
    width, height, wide, high = map(int, sizes.split())
    return (width, height), (wide, high) if wide and high else None, resources


def _refusal(name: str, said: str) -> str:
    """Why no display was opened; ``said`` is the message of the X libraries or the server, mostly empty."""
    if "libX11.so.6" in said:
        return "libX11.so.6, which windows need, is not installed"
    if said and "Traceback" not in said:
        return f"the X server refuses the connection ({' '.join(said.split())[:200]})"
    host, _, number = name.rpartition(":")
    port = int(number.partition(".")[0])
    local = host in ("", "unix") or host.startswith("/")
    try:
        if local:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_TIMEOUT_SECONDS)
                connection.connect(f"/tmp/.X11-unix/X{port}")
        else:
            socket.create_connection((host.strip("[]"), 6000 + port), _TIMEOUT_SECONDS).close()
    except (FileNotFoundError, ConnectionRefusedError):
        return "no X server runs there"
    except (OSError, ValueError, OverflowError) as error:
        return str(getattr(error, "strerror", None) or error)
    return "what answers is not an X server, or the X server closed the connection"
