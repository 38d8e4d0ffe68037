"""The button bar at the lower edge of the window."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.controls import Controls
from rvm_live.sinks.window import text
from rvm_live.sinks.window.panel import LABEL, RED, TEXT, Panel, blend, finish, ground, text_size

__all__ = ["Bar", "Button"]

SHOWN_SECONDS = 3.0
"""How long the bar stays after the mouse has moved."""
LEAST_HEIGHT = 36
"""Least height of a button, pixels."""
_LIT = (120, 220, 140)
_LINE = (70, 62, 56)
_ROWS = 2


@dataclass(frozen=True)
class Button:
    """One thing to click.

    Attributes:
        action: for the window, as in :data:`~rvm_live.sinks.window.hotkeys.HOTKEYS`, or ``menu NAME`` for a
            control's choices.
        label: its text.
        rank: buttons with the highest rank are left out first if there is not enough room.
        sign: ``left``, ``right``, ``down`` or ``dot`` before the label.
        lit: it is on.
        group: buttons of one group stand together.
    """

    action: str
    label: str = ""
    rank: int = 0
    sign: str = ""
    lit: bool = False
    group: int = 0


@dataclass(frozen=True)
class _Placed:
    button: Button
    x: int
    y: int
    width: int
    height: int

    def holds(self, x: int, y: int) -> bool:
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height


class Bar:
    """Shown when the mouse moves over the window, gone three seconds later; a menu stays until something is chosen.

    Args:
        controls: the controls of this run; a button without its control is left out.
        clock: decides when it goes.
    """

    def __init__(self, controls: Controls, clock: Clock = SYSTEM_CLOCK) -> None:
        self._controls = controls
        self._clock = clock
        self._moved_ns: int | None = None
        self._over: tuple[int, int] | None = None
        self._menu = ""
        self._key: object = None
        self._tall = 0
        self._placed: list[_Placed] = []
        self._panel: tuple[Panel, int] | None = None
        self._choices: list[_Placed] = []
        self._list: tuple[Panel, int, int] | None = None

    @property
    def visible(self) -> bool:
        """Whether it is to be seen now."""
        return self._moved_ns is not None and self._clock.now_ns() - self._moved_ns < SHOWN_SECONDS * 1e9

    @property
    def height(self) -> int:
        """How many pixels it takes at the lower edge now."""
        return self._tall if self.visible else 0

    def moved(self, x: int, y: int) -> None:
        """The mouse is there now. If it comes from outside, or the window opened under it, the bar does not appear
        yet."""
        if self._over not in (None, (x, y)):
            self._moved_ns = self._clock.now_ns()
        self._over = (x, y)

    def left(self) -> None:
        """The mouse is no longer over the window."""
        self._moved_ns, self._over, self._menu = None, None, ""

    def clicked(self, x: int, y: int) -> str | None:
        """Meaning of a click there: an action, ``choose NAME NUMBER``, an empty text (a click on the bar itself), or
        None if the bar is not there."""
        if not self.visible:
            return None
        menu, self._menu = self._menu, ""
        for placed in self._choices if menu else ():
            if placed.holds(x, y):
                return placed.button.action
        for placed in self._placed:
            if placed.holds(x, y):
                kind, _, name = placed.button.action.partition(" ")
                if kind != "menu":
                    return placed.button.action
                self._menu = "" if menu == name else name
                return ""
        inside = self._panel is not None and y >= self._panel[1]
        return "" if inside or menu else None

    def draw(self, canvas: NDArray[np.uint8], recording: str = "") -> None:
        """Lay the bar over ``canvas`` (uint8 (H, W, 3) BGR), in place, if it is to be seen.

        Args:
            canvas: the picture.
            recording: duration of the recording in words; empty if there is none.
        """
        if not self.visible:
            return
        height, width = canvas.shape[:2]
        state = self._controls.state()
        wanted = self._buttons(state, recording)
        key = (width, height, self._menu, tuple(wanted), self._hovered())
        if key != self._key:
            self._key = key
            self._lay_out(wanted, width, height)
        if self._panel is not None:
            blend(canvas, self._panel[0], 0, self._panel[1])
        if self._list is not None:
            blend(canvas, *self._list)

    def _hovered(self) -> Button | int | None:
        if self._over is None:
            return None
        for number, placed in enumerate(self._choices):
            if placed.holds(*self._over):
                return number
        return next((placed.button for placed in self._placed if placed.holds(*self._over)), None)

    def _buttons(self, state: Mapping[str, Any], recording: str) -> list[Button]:
        buttons: list[Button] = []
        if "background" in state:
            blurred = str(state["background"]).startswith("blur")
            buttons += [
                Button("background back", sign="left", rank=1),
                Button("menu background", str(state["background"]), rank=6),
                Button("background", sign="right", rank=1),
                Button("blur", "Blur", rank=2, lit=blurred),
                Button("add background", "+ Picture", rank=7),
            ]
        if self._several("camera"):
            buttons.append(Button("menu camera", "Camera", rank=8, sign="down", group=1))
        if self._several("quality"):
            buttons.append(Button("menu quality", "Quality", rank=5, sign="down", group=1))
        if "recording" in state:
            label = f"Stop {recording}" if recording else "Record"
            buttons.append(Button("record", label, rank=3, sign="dot", lit=bool(recording), group=2))
        buttons.append(Button("photo", "Photo", rank=9, group=2))
        if "mirror" in state:
            buttons.append(Button("mirror", "Mirror", rank=10, lit=bool(state["mirror"]), group=3))
        if "follow" in state:
            buttons.append(Button("follow", "Follow", rank=12, lit=bool(state["follow"]), group=3))
        if "only_me" in state:
            buttons.append(Button("only_me", "Only me", rank=13, lit=bool(state["only_me"]), group=3))
        if "match" in state:
            buttons.append(Button("match", "Match", rank=14, lit=bool(state["match"]), group=3))
        if "privacy" in state:
            buttons.append(Button("privacy", "Privacy", rank=4, lit=bool(state["privacy"]), group=3))
        if "fullscreen" in state:
            buttons.append(Button("fullscreen", "Full screen", rank=11, lit=bool(state["fullscreen"]), group=3))
        buttons.append(Button("help", "?", rank=0, group=4))
        return buttons

    def _several(self, name: str) -> bool:
        return name in self._controls.state() and len(self._controls.choices(name)) > 1

    def _lay_out(self, wanted: Sequence[Button], width: int, height: int) -> None:
        size = max(13, text_size(width, height))
        high = max(LEAST_HEIGHT, round(size * 2.1))
        rows_there = 1 if height < 5 * high else _ROWS
        kept = list(wanted)
        while True:
            rows = _rows(kept, width, size)
            if len(rows) <= rows_there or len(kept) == 1:
                break
            kept.remove(max(kept, key=lambda button: button.rank))
        top = height - len(rows) * high
        canvas = ground(width, len(rows) * high)
        self._placed = []
        for number, row in enumerate(rows):
            x = (width - _row_width(row, size)) // 2
            for place, button in enumerate(row):
                if place and button.group != row[place - 1].group:
                    x += size
                wide = _wide(button, size)
                self._placed.append(_Placed(button, x, top + number * high, wide, high))
                _draw_button(canvas, button, x, number * high, wide, high, size, hovered=self._hovered() == button)
                x += wide
        self._panel = (finish(canvas), top)
        self._tall = height - top
        self._lay_out_menu(width, top, size, high)

    def _lay_out_menu(self, width: int, bottom: int, size: int, high: int) -> None:
        self._choices, self._list = [], None
        owner = next((each for each in self._placed if each.button.action == f"menu {self._menu}"), None)
        if not self._menu or owner is None:
            return
        now = self._controls.state()[self._menu]
        names = [str(each) for each in self._controls.choices(self._menu)]
        room = max(1, bottom // high)
        place = names.index(str(now)) if str(now) in names else 0
        first = max(0, min(place - room // 2, len(names) - room))  # if not all names fit: those around the current one
        names = names[first : first + room]
        wide = min(max(text.measure(name, size) for name in names) + 3 * size, width)
        x, y = min(owner.x, width - wide), bottom - len(names) * high
        self._choices = [
            _Placed(Button(f"choose {self._menu} {first + number}", name), x, y + number * high, wide, high)
            for number, name in enumerate(names)
        ]
        canvas = ground(wide, len(names) * high)
        for number, placed in enumerate(self._choices):
            button = replace(
                placed.button,
                label=text.shorten(placed.button.label, wide - 2 * size, size),
                lit=placed.button.label == str(now),
            )
            _draw_button(
                canvas, button, 0, number * high, wide, high, size, hovered=self._hovered() == number, middle=False
            )
        self._list = (finish(canvas), x, y)


def _rows(buttons: Sequence[Button], width: int, size: int) -> list[list[Button]]:
    """Buttons in as many rows as they need."""
    rows: list[list[Button]] = [[]]
    for button in buttons:
        if rows[-1] and _row_width([*rows[-1], button], size) > width:
            rows.append([])
        rows[-1].append(button)
    return rows


def _row_width(row: Sequence[Button], size: int) -> int:
    gaps = sum(size for before, after in itertools.pairwise(row) if before.group != after.group)
    return sum(_wide(button, size) for button in row) + gaps


def _wide(button: Button, size: int) -> int:
    label = min(text.measure(button.label, size), 14 * size) if button.label else 0
    sign = round(1.2 * size) if button.sign else 0
    return max(LEAST_HEIGHT, label + sign + round(1.3 * size))


def _draw_button(
    canvas: NDArray[np.uint8],
    button: Button,
    x: int,
    y: int,
    width: int,
    height: int,
    size: int,
    *,
    hovered: bool,
    middle: bool = True,
) -> None:
    if hovered:
        cv2.rectangle(canvas, (x, y), (x + width - 1, y + height - 1), _LINE, -1)
    label = text.shorten(button.label, 14 * size, size)
    sign = round(1.2 * size) if button.sign else 0
    content = text.measure(label, size) + (sign if label else 0)
    left = x + (width - content) // 2 if middle else x + size
    if button.sign:
        _draw_sign(canvas, button.sign, left if label else x + width // 2 - size // 3, y + height // 2, size)
        left += sign if label else 0
    colour = RED if button.lit and button.sign == "dot" else _LIT if button.lit else TEXT
    text.draw(canvas, label, left, y + height // 2 + round(size * 0.36), size, colour)


def _draw_sign(canvas: NDArray[np.uint8], sign: str, x: int, y: int, size: int) -> None:
    """A triangle or a dot whose left edge is ``x`` and whose middle is ``y``."""
    reach = round(size * 0.35)
    if sign == "dot":
        cv2.circle(canvas, (x + reach, y), reach, RED, -1, cv2.LINE_AA)
        return
    points: dict[str, Callable[[], list[tuple[int, int]]]] = {
        "left": lambda: [(x + 2 * reach, y - reach), (x + 2 * reach, y + reach), (x, y)],
        "right": lambda: [(x, y - reach), (x, y + reach), (x + 2 * reach, y)],
        "down": lambda: [(x, y - reach // 2), (x + 2 * reach, y - reach // 2), (x + reach, y + reach)],
    }
    cv2.fillPoly(canvas, [np.array(points[sign]())], LABEL if sign == "down" else TEXT, cv2.LINE_AA)
