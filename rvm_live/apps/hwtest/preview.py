"""The live picture with a counter and time stamps on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rvm_live.apps.hwtest.probe import Glimpse
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import DisplayError
from rvm_live.sinks.window.toolkits.base import Closed, Key, Toolkit

__all__ = ["TITLE", "Preview", "drawn"]

TITLE = "rvm-live hwtest"
_QUIT = {"q", "escape"}
_IDLE_NS = 50_000_000
"""Keys are asked for this often when no frame comes."""


class Preview:
    """Shows glimpses in a window until the user closes it; call it, and close it, on the main thread.

    Raises:
        DisplayError: there is no display.
    """

    def __init__(self) -> None:
        from rvm_live.sinks.window.window import display_available

        reason = display_available()
        if reason is not None:
            raise DisplayError(f"no window can be opened: {reason}; leave out --preview to measure without one")
        self._window: Toolkit | None = None
        self._picture: NDArray[np.uint8] | None = None
        self._shown_ns = 0

    def __call__(self, glimpse: Glimpse | None) -> bool:
        """Show the newest frame, or tend to the window if there is none; True once the user has enough."""
        from rvm_live.sinks.window import views
        from rvm_live.sinks.window.toolkits import open_window

        if glimpse is not None:
            self._picture = drawn(glimpse)
        elif self._picture is None or SYSTEM_CLOCK.now_ns() - self._shown_ns < _IDLE_NS:
            return False
        picture = self._picture
        if self._window is None:
            size = (picture.shape[1], picture.shape[0])
            self._window, _ = open_window(TITLE, lambda screen: views.opening_size(size, screen))
        self._window.show(views.picture(picture, *self._window.size))
        self._shown_ns = SYSTEM_CLOCK.now_ns()
        return any(
            isinstance(event, Closed) or (isinstance(event, Key) and {event.name, event.place} & _QUIT)
            for event in self._window.events()
        )

    def close(self) -> None:
        """Close the window, if it is open."""
        if self._window is not None:
            self._window.close()
            self._window = None


def drawn(glimpse: Glimpse) -> NDArray[np.uint8]:
    """A copy of the frame with its number, time stamps and rate on it, uint8 (H, W, 3) BGR."""
    from rvm_live.sinks.window.panel import Row, blend, lay_out, text_size

    picture: NDArray[np.uint8] = glimpse.image.copy()
    height, width = picture.shape[:2]
    now_ns = SYSTEM_CLOCK.now_ns()
    rows = [
        Row("frame", f"{glimpse.number}"),
        Row("since first", f"{glimpse.since_first_ns / 1e9:.3f} s"),
        Row("captured at", f"{glimpse.captured_ns / 1e9:.3f} s"),
        Row("age", f"{(now_ns - glimpse.captured_ns) / 1e6:.1f} ms"),
        Row("rate", f"{glimpse.fps:.1f} fps"),
        Row("q, Esc", "ends"),
    ]
    size = text_size(width, height)
    # A minimum width, so that the panel does not change its width with every number.
    blend(picture, lay_out(rows, size, width, min_width=min(width, size * 14)), size // 2, size // 2)
    return picture
