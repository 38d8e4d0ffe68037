"""The window: the only code that calls ``imshow`` and ``waitKey``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.clock import SYSTEM_CLOCK, Clock
from rvm_live.errors import DisplayError, RvmLiveError
from rvm_live.frames import Composite
from rvm_live.sinks import views
from rvm_live.sinks.base import Sink
from rvm_live.sinks.display import Screen, display_available, prepare_qt, probe
from rvm_live.sinks.freshness import Freshness
from rvm_live.sinks.hotkeys import ViewState, WindowActions, action_for
from rvm_live.sinks.overlay import Overlay, Status

__all__ = [
    "ViewState",
    "WindowActions",
    "WindowSink",
    "close_preview",
    "display_available",
    "preview_closed",
    "show_preview",
]

_log = logging.getLogger("rvm_live.window")

_FLAGS = cv2.WINDOW_NORMAL | cv2.WINDOW_GUI_NORMAL | cv2.WINDOW_FREERATIO
_FULLSCREEN_NS = 400_000_000
_KEYS_AT_ONCE = 16


class WindowSink(Sink):
    """Shows composites in a window, with the overlay, and turns keys into actions.

    Before the first composite, after :meth:`clear`, and once the last is no longer fresh the background alone is shown.

    Args:
        view: what is shown; the window's own keys change it.
        title: of the window, and its name for OpenCV.
        size: of the frames if known already, pixels; the window follows the first composite.
        status: asked for what the overlay tells, at most five times a second.
        actions: what keys do.
        placeholder: (width, height) -> uint8 (height, width, 3) BGR or (height, width, 4) BGRA, the background
            alone; None shows a checkerboard.
        clock: for the overlay.
    """

    def __init__(
        self,
        view: ViewState,
        *,
        title: str = "rvm-live",
        size: tuple[int, int] = (1280, 720),
        status: Callable[[], Status] = Status,
        actions: WindowActions | None = None,
        placeholder: Callable[[int, int], NDArray[np.uint8]] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.view = view
        self.title = title
        self._frame_size = size
        self._status = status
        self._actions = actions or WindowActions()
        self._placeholder = placeholder or views.checkerboard
        self._clock = clock
        self._overlay = Overlay(clock)
        self._composite: Composite | None = None
        self._fresh = Freshness(clock)
        self._screen = Screen()
        self._size = self._opening_size = (0, 0)
        self._before_fullscreen: tuple[int, int] | None = None
        self._check_fullscreen_ns: int | None = None
        self._stretched = False
        self._open = False
        self._seen = False
        self._quitting = False
        self._dirty = True

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture in the window, pixels."""
        return self._size

    def open(self) -> None:
        screen = self._screen = probe()
        if screen.reason is not None:
            raise DisplayError(f"no window can be opened: {screen.reason}; use --headless to run without one")
        prepare_qt()
        try:
            cv2.namedWindow(self.title, _FLAGS)
            self._open = True
            self._fit_to(self._frame_size)
        except cv2.error as error:
            raise DisplayError(f"no window can be opened: {_one_line(error)}") from error
        if self.view.fullscreen:
            self._fullscreen()
        self.idle()

    def write(self, composite: Composite) -> None:
        if not self._open:
            return
        if self._composite is None:
            self._overlay.restart_messages()
            height, width = composite.image.shape[:2]
            if (width, height) != self._frame_size and self._size == self._opening_size and not self.view.fullscreen:
                self._fit_to((width, height))
        self._composite = composite
        self._fresh.shown()
        self._draw()
        self._pump()

    def idle(self) -> None:
        if not self._open:
            return
        if self._fresh.over:
            self.clear()
        if self._dirty or self._overlay.due:
            self._draw()
        self._pump()

    def clear(self) -> None:
        """Forget the last composite: until the next one the background alone is shown."""
        self._composite = None
        self._dirty = True

    def tell(self, message: str) -> None:
        """Show a notice of the window's own for some seconds."""
        self._overlay.tell(message)

    def close(self, *, failed: bool) -> None:
        self._composite = None
        if self._open:
            self._open = False
            _destroy(self.title)

    def _fit_to(self, frame: tuple[int, int]) -> None:
        self._frame_size = frame
        self._size = self._opening_size = views.opening_size(frame, self.view.display, self._screen)
        cv2.resizeWindow(self.title, *self._size)
        self._dirty = True

    def _draw(self) -> None:
        (width, height), view = self._size, self.view
        if self._composite is None:
            canvas = views.picture(self._placeholder(width, height), width, height)
        else:
            canvas = views.render(self._composite, view.display, width, height)
        starting = self._composite is None
        self._overlay.draw(
            canvas, self._status, display=view.display, statistics=view.statistics, help=view.help, starting=starting
        )
        try:
            cv2.imshow(self.title, canvas)
        except cv2.error as error:
            raise DisplayError(f"the window failed: {_one_line(error)}") from error
        self._dirty = False

    def _pump(self) -> None:
        """Let the window system work; take keys, a new size, and the close button."""
        for _ in range(_KEYS_AT_ONCE):
            code = cv2.waitKeyEx(1)
            if self._gone():
                self._open = False
                self._quit("window closed")
                return
            if code == -1:
                break
            self._key(action_for(code))
        self._follow_size()

    def _gone(self) -> bool:
        try:
            visible = cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:  # Qt: the window was closed
            return True
        self._seen = self._seen or visible
        return self._seen and not visible

    def _follow_size(self) -> None:
        try:
            _x, _y, width, height = cv2.getWindowImageRect(self.title)
        except cv2.error:
            return
        if width > 0 and height > 0 and (width, height) != self._size:
            self._size = (width, height)
            self._dirty = True
        if self._check_fullscreen_ns is not None and self._clock.now_ns() >= self._check_fullscreen_ns:
            self._check_fullscreen_ns = None
            if self._screen.size is not None and self._size == self._before_fullscreen != self._screen.size:
                # No window manager took the request: do it ourselves.
                self._stretched = True
                cv2.moveWindow(self.title, 0, 0)
                cv2.resizeWindow(self.title, *self._screen.size)

    def _fullscreen(self) -> None:
        if self.view.fullscreen:
            self._before_fullscreen = self._size
            self._check_fullscreen_ns = self._clock.now_ns() + _FULLSCREEN_NS
        mode = cv2.WINDOW_FULLSCREEN if self.view.fullscreen else cv2.WINDOW_NORMAL
        cv2.setWindowProperty(self.title, cv2.WND_PROP_FULLSCREEN, mode)
        if not self.view.fullscreen:
            self._check_fullscreen_ns = None
            if self._stretched and self._before_fullscreen is not None:
                cv2.resizeWindow(self.title, *self._before_fullscreen)
            self._stretched = False

    def _key(self, action: str | None) -> None:
        if action is None:
            return
        self._dirty = True
        view = self.view
        if action == "quit":
            self._quit("key")
        elif action == "display":
            view.next_display()
        elif action == "statistics":
            view.statistics = not view.statistics
        elif action == "help":
            view.help = not view.help
        elif action == "fullscreen":
            view.fullscreen = not view.fullscreen
            self._fullscreen()
        else:
            try:
                if action != "save":
                    getattr(self._actions, action)()
                elif self._composite is not None:
                    self._actions.save(self._composite)
            except RvmLiveError as error:
                _log.warning("%s", error)
                self.tell(str(error))

    def _quit(self, reason: str) -> None:
        if not self._quitting:
            self._quitting = True
            self._actions.quit(reason)


def show_preview(title: str, image: NDArray[np.uint8]) -> int:
    """Show one picture in a window of its own and give the window system a moment.

    Args:
        title: of the window; it is opened where there is none.
        image: uint8 (H, W, 3) BGR.

    Returns:
        The code of the key that was pressed, or -1.

    Raises:
        DisplayError: no window can be opened.
    """
    if title not in _previews:
        screen = probe()
        if screen.reason is not None:
            raise DisplayError(f"no window can be opened: {screen.reason}")
        prepare_qt()
        cv2.namedWindow(title, _FLAGS & ~cv2.WINDOW_FREERATIO)
        cv2.resizeWindow(title, *views.opening_size(image.shape[1::-1], "result", screen))
        _previews.add(title)
    cv2.imshow(title, image)
    return int(cv2.waitKeyEx(1))


def preview_closed(title: str) -> bool:
    """Whether the window of :func:`show_preview` was closed by the user."""
    try:
        return bool(cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1)
    except cv2.error:
        return True


def close_preview(title: str) -> None:
    """Close the window of :func:`show_preview`, if it is open."""
    if title in _previews:
        _previews.discard(title)
        _destroy(title)


_previews: set[str] = set()


def _destroy(title: str) -> None:
    try:
        cv2.destroyWindow(title)
        cv2.waitKeyEx(1)  # the window system takes it down while events are handled
    except cv2.error as error:
        _log.debug("the window was gone already: %s", _one_line(error))


def _one_line(error: Any) -> str:
    return " ".join(str(error).split())
