"""Facts about OpenCV's windows on macOS that only the system knows.

There a window counts as visible while it is on the screen: not while it lies in the Dock or its program is hidden. And
the size that is told is the picture's, whatever the window's is.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

__all__ = ["inner_size", "put_aside"]


def put_aside(title: str) -> bool:
    """Whether the window of that title is invisible because it was minimised or its program hidden."""
    library = _library()
    if library is None:
        return False
    window = _window(library, title)
    return window is not None and bool(window.isMiniaturized() or library.NSApplication.sharedApplication().isHidden())


def inner_size(title: str) -> tuple[int, int] | None:
    """Width and height of what is inside the window's frame, in the units in which it is resized.

    Returns:
        None on other systems, or if there is no such window or no way to ask.
    """
    library = _library()
    window = None if library is None else _window(library, title)
    if window is None:
        return None
    size = window.contentView().frame().size
    return round(size.width), round(size.height)


def _window(library: Any, title: str) -> Any:
    windows = library.NSApplication.sharedApplication().windows()
    return next((window for window in windows if str(window.title()) == title), None)


def _library() -> Any:
    """AppKit; None on other systems, and without pyobjc, which cv2-enumerate-cameras brings."""
    if sys.platform == "darwin":
        with suppress(ImportError):
            import AppKit

            return AppKit
    return None
