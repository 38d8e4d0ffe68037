"""The window: composites in, with the overlay and the bar on them; keys and the mouse out, as changes of controls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.transparent import checkerboard
from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.controls import Controls
from rvm_live.core.errors import DisplayError, MatteError, SettingsError
from rvm_live.core.frames import Composite
from rvm_live.media.scaling import Box, fit
from rvm_live.sinks.base import Sink
from rvm_live.sinks.window import views
from rvm_live.sinks.window.bar import Bar
from rvm_live.sinks.window.commands import Commands
from rvm_live.sinks.window.display import Screen, display_available
from rvm_live.sinks.window.hotkeys import ViewState, WindowActions, action_for, view_controls
from rvm_live.sinks.window.overlay import Overlay
from rvm_live.sinks.window.status import Status
from rvm_live.sinks.window.toolkits import TOOLKITS, open_window
from rvm_live.sinks.window.toolkits.base import (
    Closed,
    Drop,
    Event,
    Key,
    Left,
    Motion,
    Press,
    Release,
    Toolkit,
    Wheel,
)

__all__ = ["ViewState", "WindowActions", "WindowSink", "display_available"]

_DIGITS = tuple("123456789")
_GRIP = 18  # pixels on each side of the comparison's line where it can be gripped


class WindowSink(Sink):
    """Shows composites in a window, with the overlay and the bar, and turns keys and clicks into changes.

    Before the first composite and after :meth:`clear`, only the background is shown.

    Attributes:
        opening: size that the window opens with, pixels, if the screen has room for it; None: from the frames' size.

    Args:
        view: what is shown; :func:`~rvm_live.sinks.window.hotkeys.view_controls` make it changeable.
        title: of the window.
        size: of the frames if known already, pixels; the window follows the first composite.
        status: returns the overlay's values; called at most five times a second.
        controls: what keys and clicks change; None: those of the view alone.
        actions: what else keys and clicks do.
        placeholder: (width, height) -> uint8 (height, width, 3) BGR or (height, width, 4) BGRA, the background
            alone; None shows a checkerboard.
        toolkits: names of the ways to get a window, in the order in which they are tried.
        hint: show for the first seconds how to get help.
        clock: for the overlay.
    """

    name = "window"
    runs_on = "main"

    def __init__(
        self,
        view: ViewState,
        *,
        title: str = "rvm-live",
        size: tuple[int, int] = (1280, 720),
        status: Callable[[], Status] = Status,
        controls: Controls | None = None,
        actions: WindowActions | None = None,
        placeholder: Callable[[int, int], NDArray[np.uint8]] | None = None,
        toolkits: Sequence[str] = TOOLKITS,
        hint: bool = True,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.view = view
        self.opening: tuple[int, int] | None = None
        self.title = title
        self._frame_size = size
        self._status = status
        self._controls = Controls(view_controls(view)) if controls is None else controls
        self._actions = actions or WindowActions()
        self._placeholder = placeholder or checkerboard
        self._clock = clock
        self._overlay = Overlay(clock, hint=hint)
        self._bar = Bar(self._controls, clock)
        self._commands = Commands(
            view, self._controls, self._actions, self._overlay.toast, self.tell, self._save, lambda: self._quit("key")
        )
        self._posted: deque[Event] = deque()
        self._composite: Composite | None = None
        self._size = self._opening_size = self._windowed = (0, 0)
        self._names = tuple(toolkits)
        self._toolkit: Toolkit | None = None
        self._filling = False
        self._dragging = False
        self._quitting = False
        self._dirty = True

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture in the window, pixels."""
        return self._size

    @property
    def windowed(self) -> tuple[int, int] | None:
        """Its last size outside full screen; None if it has had none."""
        return self._windowed if min(self._windowed) > 0 else None

    @property
    def toolkit(self) -> str:
        """Name of the window's toolkit; empty before it is open."""
        return "" if self._toolkit is None else self._toolkit.name

    def open(self) -> None:
        try:
            self._toolkit, told = open_window(self.title, self._fitting(self._frame_size), self._names)
        except DisplayError as error:
            raise DisplayError(f"{error}; use --headless to run without one") from error
        if told:
            self.tell(told)
        self._size = self._opening_size = self._windowed = self._toolkit.size
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
        if before is None or composite.image is not before.image or self._dirty or self._overlay.due:
            self._draw()
        self._pump()

    def idle(self) -> None:
        if self._toolkit is None:
            return
        if self._dirty or self._overlay.due or self._bar.visible:
            self._draw()
        self._pump()

    def clear(self) -> None:
        """Forget the last composite: until the next one, only the background is shown."""
        self._composite = None
        self._dirty = True

    def tell(self, message: str) -> None:
        """Show a notice of the window's own for some seconds; for any thread."""
        self._overlay.tell(message)

    def post(self, event: Event) -> None:
        """Take an event as if the window system had given it, at the main thread's next turn; for any thread."""
        self._posted.append(event)

    def close(self, *, failed: bool) -> None:
        self._composite = None
        toolkit, self._toolkit = self._toolkit, None
        if toolkit is not None:
            toolkit.close()

    def _fit_to(self, frame: tuple[int, int]) -> None:
        if self._toolkit is None:
            return
        self._frame_size = frame
        self._size = self._opening_size = self._windowed = self._fitting(frame)(self._toolkit.screen)
        self._toolkit.resize(self._size)
        self._dirty = True

    def _fitting(self, frame: tuple[int, int]) -> Callable[[Screen], tuple[int, int]]:
        return lambda screen: views.opening_size(frame, screen, self.opening)

    def _draw(self) -> None:
        if self._toolkit is None:
            return
        (width, height), view = self._size, self.view
        composite, canvas = self._composite, None
        try:
            if composite is not None:
                canvas = views.render(composite, view.display, width, height, view.split, mirror=view.mirror)
        except MatteError as error:  # the matte is read here for the first time, and its device has died since
            self._composite = None
            self.tell(str(error))
        if canvas is None:
            canvas = views.picture(self._placeholder(width, height), width, height)
            canvas = cv2.flip(canvas, 1) if view.mirror else canvas
        self._overlay.draw(
            canvas,
            self._status,
            display=view.display,
            statistics=view.statistics,
            help=view.help,
            starting=self._composite is None,
            floor=self._bar.height,
        )
        self._bar.draw(canvas, self._overlay.recording)
        self._toolkit.show(canvas)
        self._dirty = False

    def _pump(self) -> None:
        """Let the window system work; process the user's events and a new size."""
        toolkit = self._toolkit
        if toolkit is None:
            return
        if self.view.fullscreen != self._filling:
            self._filling = self.view.fullscreen
            toolkit.fullscreen(self._filling)
        for event in toolkit.events():
            self._take(event)
        while self._posted:
            self._take(self._posted.popleft())
        if self._toolkit is toolkit and toolkit.size != self._size:
            self._size = toolkit.size
            self._windowed = self._windowed if self._filling else self._size
            self._dirty = True

    def _take(self, event: Event) -> None:
        if isinstance(event, Closed):
            toolkit, self._toolkit = self._toolkit, None
            if toolkit is not None:
                toolkit.close()
            self._quit("window closed")
        elif isinstance(event, Key):
            self._dirty = True
            action = action_for(event)
            if action == "background number":
                # On AZERTY the digit keys type other characters.
                digit = event.name if event.name in _DIGITS else event.place
                action = f"choose background {int(digit) - 1}"
            if action is not None:
                self._commands.do(action)
        elif isinstance(event, Wheel):
            self._commands.do("background" if event.steps < 0 else "background back")
        elif isinstance(event, Drop):
            self._commands.drop(event.paths)
        else:
            self._point(event)

    def _point(self, event: Event) -> None:
        """The mouse."""
        self._dirty = True
        if isinstance(event, Motion):
            self._bar.moved(event.x, event.y)
            if self._dragging:
                self.view.split = views.split_at(event.x, self._frame_size, *self._size)
        elif isinstance(event, Left):
            self._bar.left()
        elif isinstance(event, Release):
            self._dragging = False
        elif isinstance(event, Press):
            self._press(event)

    def _press(self, event: Press) -> None:
        action = self._bar.clicked(event.x, event.y) if event.button == "left" else None
        self._bar.moved(event.x, event.y)
        if action is not None:
            self._commands.do(action)
        elif event.button == "right":
            self._commands.do("help")
        elif action is None and event.button == "middle" and event.y < self._size[1] - self._bar.height:
            self._pick(event.x, event.y)
        elif event.double:
            self._commands.do("fullscreen")
        elif event.button == "left" and self.view.display == "comparison" and self._on_line(event.x):
            self._dragging = True

    def _pick(self, x: int, y: int) -> None:
        """Keep only the person at that place."""
        composite, (width, height) = self._composite, self._size
        if composite is None:
            return
        place = views.place_at(x, y, self._frame_size, width, height, mirror=self.view.mirror)
        if place is not None:
            self._commands.pick(*(min(max(each, 0.0), 1.0) for each in composite.frame.at(*place)))

    def _on_line(self, x: int) -> bool:
        reach = _GRIP / max(fit(*self._frame_size, Box(0, 0, *self._size)).width, 1)
        return abs(views.split_at(x, self._frame_size, *self._size) - self.view.split) <= reach

    def _save(self) -> object:
        if self._composite is None:
            raise SettingsError("there is no picture to save yet")
        return self._actions.save(self._composite)

    def _quit(self, reason: str) -> None:
        if not self._quitting:
            self._quitting = True
            self._actions.quit(reason)
