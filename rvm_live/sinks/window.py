"""The window: composites in, with the overlay on them; keys and the mouse out, as actions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from rvm_live.clock import SYSTEM_CLOCK, Clock
from rvm_live.errors import DisplayError, MatteError, RvmLiveError
from rvm_live.frames import Composite
from rvm_live.sinks import views
from rvm_live.sinks.base import Sink
from rvm_live.sinks.display import Screen, display_available
from rvm_live.sinks.freshness import Freshness
from rvm_live.sinks.hotkeys import ViewState, WindowActions, action_for
from rvm_live.sinks.overlay import Overlay, Status
from rvm_live.sinks.toolkits import TOOLKITS, open_window
from rvm_live.sinks.toolkits.base import Closed, Event, Key, Toolkit

__all__ = ["ViewState", "WindowActions", "WindowSink", "display_available"]

_log = logging.getLogger("rvm_live.window")


class WindowSink(Sink):
    """Shows composites in a window, with the overlay, and turns keys into actions.

    Before the first composite, after :meth:`clear`, and once the last is no longer fresh the background alone is shown.

    Args:
        view: what is shown; the window's own keys change it.
        title: of the window.
        size: of the frames if known already, pixels; the window follows the first composite.
        status: asked for what the overlay tells, at most five times a second.
        actions: what keys do.
        placeholder: (width, height) -> uint8 (height, width, 3) BGR or (height, width, 4) BGRA, the background
            alone; None shows a checkerboard.
        toolkits: names of the ways to get a window, in the order in which they are tried.
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
        toolkits: Sequence[str] = TOOLKITS,
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
        self._size = self._opening_size = (0, 0)
        self._names = tuple(toolkits)
        self._toolkit: Toolkit | None = None
        self._quitting = False
        self._dirty = True

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture in the window, pixels."""
        return self._size

    @property
    def toolkit(self) -> str:
        """Name of what the window is made with; empty while there is none."""
        return "" if self._toolkit is None else self._toolkit.name

    def open(self) -> None:
        try:
            self._toolkit, told = open_window(self.title, self._fitting(self._frame_size), self._names)
        except DisplayError as error:
            raise DisplayError(f"{error}; use --headless to run without one") from error
        if told:
            self.tell(told)
        self._size = self._opening_size = self._toolkit.size
        if self.view.fullscreen:
            self._toolkit.fullscreen(True)
        self.idle()

    def write(self, composite: Composite) -> None:
        if self._toolkit is None:
            return
        if self._composite is None:
            self._overlay.restart_messages()
            height, width = composite.image.shape[:2]
            if (width, height) != self._frame_size and self._size == self._opening_size and not self.view.fullscreen:
                self._fit_to((width, height))
        before, self._composite = self._composite, composite
        self._fresh.shown()
        if before is None or composite.image is not before.image or self._dirty or self._overlay.due:
            self._draw()
        self._pump()

    def idle(self) -> None:
        if self._toolkit is None:
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
        toolkit, self._toolkit = self._toolkit, None
        if toolkit is not None:
            toolkit.close()

    def _fit_to(self, frame: tuple[int, int]) -> None:
        if self._toolkit is None:
            return
        self._frame_size = frame
        self._size = self._opening_size = self._fitting(frame)(self._toolkit.screen)
        self._toolkit.resize(self._size)
        self._dirty = True

    def _fitting(self, frame: tuple[int, int]) -> Callable[[Screen], tuple[int, int]]:
        return lambda screen: views.opening_size(frame, self.view.display, screen)

    def _draw(self) -> None:
        if self._toolkit is None:
            return
        (width, height), view = self._size, self.view
        try:
            canvas = None if self._composite is None else views.render(self._composite, view.display, width, height)
        except MatteError as error:  # read here for the first time, and the device it lies on has died since
            self._composite = canvas = None
            self.tell(str(error))
        if canvas is None:
            canvas = views.picture(self._placeholder(width, height), width, height)
        starting = self._composite is None
        self._overlay.draw(
            canvas, self._status, display=view.display, statistics=view.statistics, help=view.help, starting=starting
        )
        self._toolkit.show(canvas)
        self._dirty = False

    def _pump(self) -> None:
        """Let the window system work; take what the user did, and a new size."""
        toolkit = self._toolkit
        if toolkit is None:
            return
        for event in toolkit.events():
            self._take(event)
        if self._toolkit is toolkit and toolkit.size != self._size:
            self._size = toolkit.size
            self._dirty = True

    def _take(self, event: Event) -> None:
        if isinstance(event, Closed):
            toolkit, self._toolkit = self._toolkit, None
            if toolkit is not None:
                toolkit.close()
            self._quit("window closed")
        elif isinstance(event, Key):
            self._key(action_for(event))

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
            if self._toolkit is not None:
                self._toolkit.fullscreen(view.fullscreen)
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
