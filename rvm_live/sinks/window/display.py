"""Is there a display? Found out before the first window, because Qt ends the whole process where there is none.

On Linux the X server is greeted over its own socket (X Window System Protocol, version 11, section 8): that needs
no library, cannot hang, and tells the size of the screen and how much larger than usual things are to be on it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rvm_live.system.folders import at_home

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
_MOST_COOKIES = 1 << 20
_MOST_RESOURCES = 1 << 18
_COOKIE = b"MIT-MAGIC-COOKIE-1"
_DISPLAY = re.compile(r"(?P<host>.*):(?P<number>\d{1,5})(\.\d+)?")


@dataclass(frozen=True)
class Screen:
    """What was found out about the display.

    Attributes:
        reason: why no window can be opened, one line; None if one can.
        size: width and height of the whole screen in pixels, or None if unknown.
        area: of these, those that are left beside the desktop's own panels; None if unknown.
        scale: how many times as large as usual everything is to be, 1 to 4.
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
    """One line telling why no window can be opened here, or None if one can. Opens nothing, never raises."""
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
            return Screen("DISPLAY is not set: this Wayland session runs no XWayland, which OpenCV's windows need")
        return Screen("DISPLAY is not set (no desktop session, or a remote shell without X forwarding)")
    try:
        size, area, resources = _greet(name)
    except (OSError, ValueError, struct.error) as error:
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
    """Make the Qt inside OpenCV's wheel fit for this desktop; to be called before the first window.

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
        return  # not the wheel's Qt
    # A desktop-wide QT_QPA_PLATFORM=wayland would make the wheel's Qt abort: it ships this plug-in alone.
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
    except Exception:  # a headless build has the function, and it throws
        return ""


@lru_cache(maxsize=1)
def _asked_of_qt() -> float:
    """The scale that the user asks of programs such as this one; as it was before it was overwritten."""
    return _number(os.environ.get("QT_SCALE_FACTOR", ""))


def _scale(resources: str) -> float:
    """How large things are to be: what desktops tell all programs, in dots per inch, where 96 are usual."""
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
    if isinstance(error, TimeoutError):
        return "the X server does not answer"
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return "no X server runs there"
    if isinstance(error, struct.error):
        return "what answers is no X server"
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _greet(name: str) -> tuple[tuple[int, int], tuple[int, int] | None, str]:
    """Connect as a client would; the size of the first screen, its work area, and the desktop's settings for all
    programs.

    Raises:
        ValueError: the name is malformed, or the server refuses us.
        OSError: it cannot be reached.
    """
    matched = _DISPLAY.fullmatch(name)
    if matched is None:
        raise ValueError("its name is not of the form host:number, such as :0")
    host, number = matched["host"], int(matched["number"])
    refusal = ""
    for cookie in _cookies(number):
        with _connect(host, number) as connection:
            answer = _handshake(connection, cookie)
            if answer[0] == 1:
                return _screen_size(answer), _work_area(connection, answer), _resources(connection, answer)
        refusal = answer[8 : 8 + answer[1]].decode("latin-1").strip()
    raise ValueError(f"the X server refuses us ({refusal or 'no permission'})")


def _connect(host: str, number: int) -> socket.socket:
    if host and host != "unix" and not host.startswith("/"):
        return socket.create_connection((host.strip("[]"), 6000 + number), timeout=_TIMEOUT_SECONDS)
    path = f"/tmp/.X11-unix/X{number}"
    error: OSError | None = None
    for address in (path, "\0" + path):  # the second is Linux's abstract name for the same server
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_TIMEOUT_SECONDS)
        try:
            connection.connect(address)
            return connection
        except OSError as failed:
            connection.close()
            error = error or failed
    raise error or OSError("no address")


def _handshake(connection: socket.socket, cookie: bytes) -> bytes:
    name = _COOKIE if cookie else b""
    order = b"l" if sys.byteorder == "little" else b"B"
    greeting = struct.pack("=cxHHHHxx", order, 11, 0, len(name), len(cookie))
    connection.sendall(greeting + _padded(name) + _padded(cookie))
    head = _receive(connection, 8)
    if head[0] not in (0, 1, 2):
        raise ValueError("what answers is no X server")
    (words,) = struct.unpack_from("=H", head, 6)
    return head + _receive(connection, 4 * words)


def _receive(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise ValueError("the X server hangs up")
        data += part
    return data


def _screen_size(answer: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("=HH", answer, _first_screen(answer) + 20)
    return width, height


def _first_screen(answer: bytes) -> int:
    (vendor,) = struct.unpack_from("=H", answer, 24)
    return 40 + len(_padded(bytes(vendor))) + 8 * int(answer[29])


def _resources(connection: socket.socket, answer: bytes) -> str:
    """The root window's property RESOURCE_MANAGER; empty where there is none."""
    resource_manager, string = 23, 31
    return _property(connection, answer, resource_manager, string).decode("latin-1")


def _work_area(connection: socket.socket, answer: bytes) -> tuple[int, int] | None:
    """What the desktop's panels leave of the screen (EWMH, _NET_WORKAREA); None where nobody tells."""
    intern_atom, cardinal, name = 16, 6, b"_NET_WORKAREA"
    with suppress(OSError, ValueError, struct.error):
        connection.sendall(
            struct.pack("=BBHHxx", intern_atom, 1, 2 + len(_padded(name)) // 4, len(name)) + _padded(name)
        )
        (atom,) = struct.unpack_from("=8xI", _receive(connection, 32))
        _x, _y, width, height = struct.unpack_from("=4I", _property(connection, answer, atom, cardinal))
        return (width, height) if width and height else None
    return None


def _property(connection: socket.socket, answer: bytes, name: int, kind: int) -> bytes:
    """A property of the root window; empty where there is none."""
    (root,) = struct.unpack_from("=I", answer, _first_screen(answer))
    get_property = 20
    with suppress(OSError, ValueError, struct.error):
        connection.sendall(struct.pack("=BxHIIIII", get_property, 6, root, name, kind, 0, _MOST_RESOURCES // 4))
        head = _receive(connection, 32)
        form, words, length = struct.unpack_from("=xBxxI8xI", head)
        if head[0] == 1:
            return _receive(connection, min(4 * words, _MOST_RESOURCES))[: length * form // 8]
    return b""


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _cookies(number: int) -> Iterator[bytes]:
    """Cookies of the user's authority file for this display, this host's first; then none at all."""
    path = Path(os.environ.get("XAUTHORITY") or at_home(Path("~/.Xauthority")))
    content = b""
    with suppress(OSError, ValueError):
        if path.is_file():  # not a pipe, which would keep us waiting
            with path.open("rb") as file:
                content = file.read(_MOST_COOKIES)
    found: list[tuple[bool, bytes]] = []
    position = 2  # behind the family of the first entry
    while position < len(content):
        fields: list[bytes] = []
        for _ in range(4):  # address, display number, name, data: each a big-endian length and that many bytes
            size = int.from_bytes(content[position : position + 2], "big")
            fields.append(content[position + 2 : position + 2 + size])
            position += 2 + size
        address, display, name, data = fields
        position += 2
        if name == _COOKIE and display in (b"", str(number).encode()):
            found.append((address != socket.gethostname().encode(), data))
    yield from [data for _, data in sorted(found, key=lambda entry: entry[0])][:4]
    yield b""
