"""A program from which files are dragged: a small X client that speaks XDND as file managers do.

https://www.freedesktop.org/wiki/Specifications/XDND/, version 5. Our window gets the same messages as from a file
manager, and fetches the list of files through the X server.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from ctypes import c_char_p, c_int, c_long, c_ulong, c_void_p

__all__ = ["drag_onto"]

_CLIENT_MESSAGE, _SELECTION_REQUEST, _SELECTION_NOTIFY = 33, 30, 31
_NOW = 0


class _Message(ctypes.Structure):
    """XClientMessageEvent."""

    _fields_ = (
        *(("type", c_int), ("serial", c_ulong), ("send_event", c_int), ("display", c_void_p), ("window", c_ulong)),
        *(("message_type", c_ulong), ("format", c_int), ("data", c_long * 5)),
    )


class _Request(ctypes.Structure):
    """XSelectionRequestEvent."""

    _fields_ = (
        *(("type", c_int), ("serial", c_ulong), ("send_event", c_int), ("display", c_void_p), ("owner", c_ulong)),
        *(
            ("requestor", c_ulong),
            ("selection", c_ulong),
            ("target", c_ulong),
            ("property", c_ulong),
            ("time", c_ulong),
        ),
    )


class _Notify(ctypes.Structure):
    """XSelectionEvent."""

    _fields_ = (
        *(("type", c_int), ("serial", c_ulong), ("send_event", c_int), ("display", c_void_p), ("requestor", c_ulong)),
        *(("selection", c_ulong), ("target", c_ulong), ("property", c_ulong), ("time", c_ulong)),
    )


class _Event(ctypes.Union):
    """XEvent."""

    _fields_ = (
        *(("type", c_int), ("message", _Message), ("request", _Request)),
        *(("notify", _Notify), ("padding", c_long * 24)),
    )


def _xlib() -> ctypes.CDLL:
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = c_void_p
    for name in ("XDefaultRootWindow", "XInternAtom", "XCreateSimpleWindow"):
        getattr(x11, name).restype = c_ulong
    taken = {
        "XOpenDisplay": (c_char_p,),
        "XDefaultRootWindow": (c_void_p,),
        "XInternAtom": (c_void_p, c_char_p, c_int),
        "XCreateSimpleWindow": (c_void_p, c_ulong, *(c_int,) * 2, *(ctypes.c_uint,) * 3, c_ulong, c_ulong),
        "XSetSelectionOwner": (c_void_p, c_ulong, c_ulong, c_ulong),
        "XSendEvent": (c_void_p, c_ulong, c_int, c_long, c_void_p),
        "XChangeProperty": (c_void_p, *(c_ulong,) * 3, c_int, c_int, c_char_p, c_int),
        "XPending": (c_void_p,),
        "XNextEvent": (c_void_p, c_void_p),
        "XFlush": (c_void_p,),
        "XCloseDisplay": (c_void_p,),
    }
    for name, arguments in taken.items():
        getattr(x11, name).argtypes = arguments
    return x11


def drag_onto(
    display: str, window: int, place: tuple[int, int], content: Sequence[str], kind: str = "text/uri-list"
) -> bool:
    """Drag something over a window and drop it there.

    Args:
        display: e.g. ``:7``.
        window: X id of the window.
        place: on the screen, pixels.
        content: the dragged lines, such as ``file:///home/me/beach.png``.
        kind: their type.

    Returns:
        Whether the window accepted it.

    Raises:
        TimeoutError: the window did not answer.
    """
    x11 = _xlib()
    connection = x11.XOpenDisplay(display.encode())
    if not connection:
        raise RuntimeError(f"cannot connect to display {display}")
    atoms: dict[str, int] = {}

    def atom(name: str) -> int:
        return atoms.setdefault(name, x11.XInternAtom(connection, name.encode(), 0))

    def send(name: str, *values: int) -> None:
        event = _Event()
        event.message.type, event.message.window, event.message.format = _CLIENT_MESSAGE, window, 32
        event.message.message_type = atom(name)
        event.message.data[:] = [source, *values, *[0] * (4 - len(values))]
        x11.XSendEvent(connection, window, 0, 0, ctypes.byref(event))
        x11.XFlush(connection)

    def answer(name: str) -> _Message:
        """Wait for the window's next message of that name; meanwhile send it the content if it asks for that."""
        event, end = _Event(), time.monotonic() + 10
        while time.monotonic() < end:
            if not x11.XPending(connection):
                time.sleep(0.01)
                continue
            x11.XNextEvent(connection, ctypes.byref(event))
            if event.type == _SELECTION_REQUEST:
                give(event.request)
            elif event.type == _CLIENT_MESSAGE and event.message.message_type == atom(name):
                said: _Message = event.message
                return said
        raise TimeoutError(f"the window sends no {name}")

    def give(request: _Request) -> None:
        data = "".join(f"{line}\r\n" for line in content).encode()
        x11.XChangeProperty(connection, request.requestor, request.property, request.target, 8, 0, data, len(data))
        event = _Event()
        event.notify.type, event.notify.requestor = _SELECTION_NOTIFY, request.requestor
        event.notify.selection, event.notify.target = request.selection, request.target
        event.notify.property, event.notify.time = request.property, request.time
        x11.XSendEvent(connection, request.requestor, 0, 0, ctypes.byref(event))
        x11.XFlush(connection)

    try:
        source = x11.XCreateSimpleWindow(connection, x11.XDefaultRootWindow(connection), 0, 0, 1, 1, 0, 0, 0)
        x11.XSetSelectionOwner(connection, atom("XdndSelection"), source, _NOW)
        send("XdndEnter", 5 << 24, atom(kind))
        send("XdndPosition", 0, place[0] << 16 | place[1], _NOW, atom("XdndActionCopy"))
        if not answer("XdndStatus").data[1] & 1:
            send("XdndLeave")
            return False
        send("XdndDrop", 0, _NOW)
        answer("XdndFinished")
        return True
    finally:
        x11.XCloseDisplay(connection)
