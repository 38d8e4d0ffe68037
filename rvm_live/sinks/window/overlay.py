"""The statistics, notices and help over the picture, drawn at the window's own pixel size."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.sinks.window import text
from rvm_live.sinks.window.hotkeys import HOTKEYS
from rvm_live.sinks.window.panel import (
    AMBER,
    LABEL,
    RED,
    TEXT,
    Panel,
    Row,
    beside,
    blend,
    caption,
    finish,
    fit_rows,
    ground,
    lay_out,
    panel_height,
    text_size,
)
from rvm_live.sinks.window.status import Status, clock_of, joined, statistics_rows

__all__ = ["HINT", "MESSAGE_SECONDS", "REFRESH_SECONDS", "Overlay"]

REFRESH_SECONDS = 0.2
"""The panels are drawn anew at most this often; in between they are only blended."""
MESSAGE_SECONDS = 10.0
"""How long a notice stays."""
TOAST_SECONDS = 2.0
"""How long the answer to a key stays; a longer one than most for as long as it takes to read."""
_SECONDS_A_LETTER = 0.06
_TOAST_LINES = 3
HINT_SECONDS = 6.0
"""For how long after the first picture the window says how to get help."""
HINT = "Press h for keys"
_MESSAGE_LINES = 4


class Overlay:
    """Keeps the drawn panels and blends them into pictures.

    Args:
        clock: decides when panels are redrawn and notices disappear.
        hint: show for the first seconds how to get help.

    Attributes:
        recording: duration of the recording in words; empty if there is none.
        redraws: how often the panels were drawn.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK, *, hint: bool = False) -> None:
        self._clock, self._hint = clock, hint
        self._key: tuple[object, ...] | None = None
        self._drawn_ns = 0
        self._panels: list[tuple[Panel, int, int]] = []
        self._seen: dict[tuple[str, int], int] = {}
        self._own: dict[str, int] = {}
        self._toast: tuple[str, int] | None = None
        self._first_ns: int | None = None
        self.recording = ""
        self._width = 0
        self._began = False
        self.redraws = 0

    @property
    def due(self) -> bool:
        """Whether the panels should be redrawn."""
        return self._clock.now_ns() - self._drawn_ns >= REFRESH_SECONDS * 1e9

    def tell(self, message: str) -> None:
        """Show an additional notice; for any thread."""
        self._own = {**self._own, message: self._clock.now_ns()}

    def toast(self, answer: str) -> None:
        """Show for a moment the new state, as the answer to a key."""
        self._toast = (answer, self._clock.now_ns())
        self._key = None

    def restart_messages(self) -> None:
        """Show the present notices for their full time from now on."""
        self._seen.clear()

    def draw(
        self,
        canvas: NDArray[np.uint8],
        status: Callable[[], Status],
        *,
        display: str,
        statistics: str,
        help: bool,
        starting: bool = False,
        floor: int = 0,
    ) -> None:
        """Draw the panels over ``canvas`` (uint8 (H, W, 3) BGR, the window's size), in place.

        Args:
            canvas: the picture.
            status: returns the status whenever the panels are redrawn.
            display: name of the view.
            statistics: ``line``, ``table`` or ``off``.
            help: show the keys.
            starting: there is no picture yet, or any more; show what it is waiting for.
            floor: so many pixels at the lower edge are taken.
        """
        self._began = self._began or not starting
        if self._began and self._first_ns is None:
            self._first_ns = self._clock.now_ns()
        height, width = canvas.shape[:2]
        key = (width, height, display, statistics, help, starting, floor)
        if key != self._key or self.due:
            if self._key is None or key[:2] != self._key[:2]:
                self._width = 0
            self._key = key
            self._drawn_ns = self._clock.now_ns()
            told = status()
            self.recording = clock_of(told.recorded_s) if told.recording else ""
            self._panels = self._draw(width, height - floor, told, display, statistics, help, starting)
            self.redraws += 1
        for panel, x, y in self._panels:
            blend(canvas, panel, x, y)

    def _draw(
        self, width: int, height: int, status: Status, display: str, statistics: str, help: bool, starting: bool
    ) -> list[tuple[Panel, int, int]]:
        size = text_size(width, height)
        margin = max(4, size // 2)
        placed: list[tuple[Panel, int, int]] = []
        if starting:
            messages = self._fresh(status.messages) if self._began else list(status.messages[-3:])
            title, phase = "no picture …" if self._began else "starting …", status.phase
            if status.paused:
                title, phase = "paused", "press space to continue"
            panel = _waiting_panel(title, phase, messages, size, width - 2 * margin, height - 2 * margin)
            placed.append((panel, (width - panel.width) // 2, (height - panel.height) // 2))
        right, reach = margin, 0  # how far down, and how far in from the right edge, panels are placed already
        signs = [_recording_panel(status, size)] if status.recording else []
        signs += [
            caption(joined(state, clock_of(seconds) if state == "live" else "", label), size)
            for label, state, seconds in status.streams
        ]
        for sign in (*signs, *([caption(status.fetching, size)] if status.fetching else [])):
            placed.append((sign, width - margin - sign.width, right))
            right, reach = right + sign.height + margin, max(reach, sign.width + margin)
        keys = _help_panel(size, width - 2 * margin, height - right - margin) if help else None
        bottom, toasts = height - margin, []
        answer = self._answer(help)
        if answer:
            lines = text.wrap(answer, width - 4 * margin, size, _TOAST_LINES)
            toast = lay_out([Row("", line) for line in lines], size, width - 2 * margin)
            bottom -= toast.height
            toasts.append((toast, (width - toast.width) // 2, bottom))
            bottom -= margin
        messages = [] if starting else self._fresh(status.messages)
        notice = _message_panel(messages, size, width - 2 * margin) if messages else None
        if notice is not None and (keys is None or right + keys.height + margin + notice.height <= bottom):
            bottom -= notice.height
            placed.append((notice, margin, bottom))
            bottom -= margin

        def left(panel: Panel) -> tuple[Panel, int, int]:
            """At the upper left, beside those at the right or, where there is no room, below them."""
            return panel, margin, margin if panel.width + reach + 2 * margin <= width else right

        if statistics == "line" and not starting and status.unique_fps:
            placed.append(left(caption(f"{status.unique_fps:.0f} fps · {status.total_ms:.0f} ms", size)))
        if statistics == "table" and not starting:
            rows = fit_rows(statistics_rows(status, display), bottom - right, size)
            limit = min(width - 2 * margin, max(31 * size, round(width * 0.42)))
            if rows:
                panel = lay_out(rows, size, limit, min_width=min(self._width, limit))
                # The panel never gets narrower: changing its width with its numbers would be restless.
                self._width = max(self._width, panel.width)
                if keys is None or panel.width + keys.width + 3 * margin <= width:
                    placed.append(left(panel))
        if keys is not None:
            placed.append((keys, width - margin - keys.width, right))
        return placed + toasts

    def _answer(self, help: bool) -> str:
        """The answer to the last key; at the start, how to get help."""
        now = self._clock.now_ns()
        if self._toast is not None:
            answer, since = self._toast
            if now - since < max(TOAST_SECONDS, _SECONDS_A_LETTER * len(answer)) * 1e9:
                return answer
        self._toast = None
        began = self._first_ns
        early = began is not None and now - began < HINT_SECONDS * 1e9
        return HINT if self._hint and early and not help else ""

    def _fresh(self, messages: tuple[str, ...]) -> list[str]:
        now = self._clock.now_ns()
        self._own = {text: since for text, since in self._own.items() if now - since < MESSAGE_SECONDS * 1e9}
        told = [(message, getattr(message, "telling", 0)) for message in messages] + list(self._own.items())
        self._seen = {each: self._seen.get(each, now) for each in told}
        return [each[0] for each in told if now - self._seen[each] < MESSAGE_SECONDS * 1e9]


def _message_panel(messages: list[str], size: int, max_width: int) -> Panel:
    lines: list[str] = []
    for message in reversed(messages):  # the newest is kept whole
        broken = text.wrap(message, max_width - 2 * size, size, 3)
        if len(lines) + len(broken) > _MESSAGE_LINES and lines:
            break
        lines = broken + lines
    return lay_out([Row("", line, colour=AMBER) for line in lines], size, max_width)


def _waiting_panel(title: str, phase: str, messages: list[str], size: int, max_width: int, max_height: int) -> Panel:
    rows = [Row("", title, scale=1.5)]
    if phase:
        rows.append(Row("", phase, rank=1))
    for message in messages:
        if phase and message.startswith(phase):
            continue  # shown already
        rows += [Row("", line, colour=AMBER, rank=2) for line in text.wrap(message, max_width - 2 * size, size, 2)]
    return lay_out(fit_rows(rows, max_height, size) or rows[:1], size, max_width)


def _recording_panel(status: Status, size: int) -> Panel:
    """A red dot, how long and how much; with sound a microphone, struck out while it hears nothing."""
    megabytes = status.recorded_bytes / 1e6  # without what the encoder still holds
    words = joined(clock_of(status.recorded_s), f"{megabytes:.1f} MB" if megabytes >= 0.1 else "")
    dot = round(size * 0.35)
    width = text.measure(words, size) + 2 * dot + 2 * size
    canvas = ground(width + (round(1.2 * size) if status.sound else 0), panel_height([Row("", words)], size))
    middle = canvas.shape[0] // 2
    cv2.circle(canvas, (size // 2 + dot, middle), dot, RED, -1, cv2.LINE_AA)
    text.draw(canvas, words, size + 2 * dot, middle + round(size * 0.36), size, TEXT)
    if status.sound:
        _draw_microphone(canvas, width + size // 8, middle, size, struck=status.sound != "on")
    return finish(canvas)


def _draw_microphone(canvas: NDArray[np.uint8], x: int, y: int, size: int, *, struck: bool) -> None:
    """A capsule in a bow on a foot, a little higher than a capital, its middle at (x, y)."""
    half, scale = round(size * 0.6), 8  # drawn large and scaled down: lines are about a pixel wide
    patch = canvas[y - half : y + half, x - half : x + half]
    large = cv2.resize(patch, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    unit, middle = half * scale / 10, half * scale

    def at(right: float, down: float) -> tuple[int, int]:
        return round(middle + right * unit), round(middle + down * unit)

    colour, line = (LABEL if struck else TEXT), round(1.6 * unit)
    cv2.line(large, at(0, -6), at(0, -1), colour, round(5 * unit))
    cv2.ellipse(large, at(0, -1), (round(5 * unit), round(5 * unit)), 0, 0, 180, colour, line)
    cv2.line(large, at(0, 4), at(0, 8), colour, line)
    cv2.line(large, at(-4, 8), at(4, 8), colour, line)
    if struck:
        cv2.line(large, at(-8, 8), at(8, -8), RED, round(2.2 * unit))
    patch[:] = cv2.resize(large, patch.shape[1::-1], interpolation=cv2.INTER_AREA)


def _help_panel(size: int, max_width: int, max_height: int) -> Panel:
    """The keys in one column, or in two where that keeps the letters larger."""
    groups: dict[str, list[Row]] = {}
    for key in (key for key in HOTKEYS if key.label):
        rows = groups.setdefault(key.group, [Row("", key.group, colour=LABEL)])
        rows.append(Row(key.label, key.text, label_colour=TEXT, label_weight=text.SEMIBOLD))
    all_rows = list(chain.from_iterable(groups.values()))
    half = sum(len(rows) for rows in list(groups.values())[:2])
    for smaller in range(size, 7, -1):
        for columns in ([all_rows], [all_rows[:half], all_rows[half:]]):
            most = max(map(len, columns))
            even = [[*rows, *[Row("")] * (most - len(rows))] for rows in columns]
            if panel_height(even[0], smaller) <= max_height:
                panel = beside([lay_out(rows, smaller, 1 << 14) for rows in even])
                if panel.width <= max_width:
                    return panel
    return lay_out(all_rows, 8, max_width)
