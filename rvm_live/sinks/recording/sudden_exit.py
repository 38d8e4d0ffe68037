"""Runs code when C code ends the process, as a window system does when its display is closed."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["on_sudden_exit"]


@contextmanager
def on_sudden_exit(rescue: Callable[[], None]) -> Iterator[None]:
    """Call ``rescue`` if C code ends the process inside the block, as Qt does when its display is closed.

    There is no exception then, and Python's ``atexit`` does not run: the handler is the C library's
    (Itanium C++ ABI, section 3.3.5), taken back at the end of the block, while there is still a Python to call.

    Args:
        rescue: called once at most, on the thread that ends the process, inside a call to the window; must not touch
            the window.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    library = ctypes.CDLL(None)
    owner = ctypes.c_int()
    armed = True

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p)  # type: ignore[untyped-decorator,unused-ignore]
    def called(_: int | None) -> None:
        if armed:
            rescue()

    getattr(library, "__cxa_atexit")(called, None, ctypes.byref(owner))
    try:
        yield
    finally:
        armed = False
        getattr(library, "__cxa_finalize")(ctypes.byref(owner))
