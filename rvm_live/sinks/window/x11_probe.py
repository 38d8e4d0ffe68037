"""Runs as a separate program without the rest of rvm-live: asks the X server for what a window needs to know.

Prints width and height of the first screen and of its work area (zeros if unknown), and from the second line on the
desktop's settings for all programs. It prints nothing if no display can be opened: the X libraries and the server may
give the reason on stderr. It imports little, because each start of rvm-live waits for it.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import byref, c_char_p, c_int, c_long, c_ulong, c_void_p

_CARDINAL = 6


def _asked() -> str:
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = c_void_p
    x11.XResourceManagerString.restype = c_char_p
    x11.XInternAtom.restype = x11.XDefaultRootWindow.restype = c_ulong
    display = c_void_p(x11.XOpenDisplay(None))
    if not display:
        return ""
    width, height = x11.XDisplayWidth(display, 0), x11.XDisplayHeight(display, 0)
    name = c_ulong(x11.XInternAtom(display, b"_NET_WORKAREA", 0))  # EWMH: the area that the desktop's panels leave free
    root = c_ulong(x11.XDefaultRootWindow(display))
    kind, form, count, left, values = c_ulong(), c_int(), c_ulong(), c_ulong(), ctypes.POINTER(c_long)()
    told = (byref(kind), byref(form), byref(count), byref(left), byref(values))
    area = (0, 0)
    x11.XGetWindowProperty(display, root, name, c_long(0), c_long(4), 0, c_ulong(_CARDINAL), *told)
    if kind.value == _CARDINAL and form.value == 32 and count.value == 4:
        area = (values[2], values[3])
    resources = (x11.XResourceManagerString(display) or b"").decode("latin-1")
    return f"{width} {height} {area[0]} {area[1]}\n{resources}"


if __name__ == "__main__":
    sys.stdout.buffer.write(_asked().encode("latin-1"))
