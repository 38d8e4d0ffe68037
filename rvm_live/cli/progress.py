"""Progress of a batch run for people: how far it is, and above that the finished files and notes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from rvm_live.cli.params import one_line, printable
from rvm_live.core.clock import SYSTEM_CLOCK, Clock

__all__ = ["Bar", "HowFar", "Lines"]

_RARELY_S = 30.0
_LONG_S = 3.0
"""Preparations that take longer are also reported in plain logs."""
_BAR, _NARROW = 20, 64
_STOPPING = "finishing what is begun, then stopping (Ctrl-C again: stop at once)"


@dataclass
class _File:
    """A file in progress."""

    name: str
    frames: int = 0
    of: int | None = None
    fps: float = 0.0
    first: tuple[float, int] | None = None
    preparing: float | None = None
    last_time: float | None = None


class HowFar:
    """Progress of a run in words, from its events; percent, time and rate are of the files in progress.

    Args:
        name: an event's file in words.
        clock: monotonic time.
    """

    def __init__(self, name: Callable[[dict[str, Any]], str], clock: Clock = SYSTEM_CLOCK) -> None:
        self._name, self._clock = name, clock
        self._files: dict[int, _File] = {}
        self._of = self._ended = 0
        self._stopping = False

    def hear(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "start":
            self._of = event["files"]
        elif kind == "file":
            self._files.pop(event["number"], None)
            self._ended += 1
        elif kind == "stopping":
            self._stopping = True
        elif kind in ("preparing", "progress"):
            file = self._files.setdefault(event["number"], _File(self._name(event)))
            file.preparing = event.get("seconds")
            if kind == "preparing":
                file.last_time = event["last_time"]
                return
            now = self._clock.now_ns() / 1e9
            file.frames, file.of = event["frames"], event["of"]
            file.first = file.first or (now, file.frames)
            began, before = file.first
            if now > began:
                file.fps = (file.frames - before) / (now - began)

    @property
    def part(self) -> float | None:
        """Finished part of the files in progress, 0 to 1; None if unknown."""
        files = [file for file in self._files.values() if file.preparing is None]
        of = [file.of for file in files if file.of]
        if not of or len(of) < len(files) or any(file.frames > (file.of or 0) for file in files):
            return None  # a file may hold more frames than it says
        return sum(file.frames for file in files) / sum(of)

    @property
    def names(self) -> str:
        """Names of the files in progress."""
        return ", ".join(file.name for file in self._files.values())

    def __str__(self) -> str:
        first, last = self._ended + 1, self._ended + max(1, len(self._files))
        told = [f"{min(first, self._of)}{'' if first == last else f'-{last}'} of {self._of}"]
        if self._stopping:
            return " · ".join([*told, _STOPPING])
        files = [file for file in self._files.values() if file.preparing is None]
        if not self._files and not self._ended:
            return " · ".join([*told, "starting"])
        if not files:
            return " · ".join([*told, *(_preparing(file) for file in list(self._files.values())[:1])])
        frames, fps, part = sum(file.frames for file in files), sum(file.fps for file in files), self.part
        if part == 1.0:
            return " · ".join([*told, "100 %", "joining the parts"])
        if part is None:
            told.append(f"{frames} frames")
        else:
            told.append(f"{100 * part:.0f} %")
            if fps:
                told.append(f"{_time(frames * (1 / part - 1) / fps if part else 0)} left")
        return " · ".join([*told, *([f"{fps:.0f} fps" if fps >= 9.5 else f"{fps:.1f} fps"] if fps else [])])


def _preparing(file: _File) -> str:
    last = "" if file.last_time is None else f" ({_time(file.last_time)} last time)"
    return f"preparing the network: {_time(file.preparing or 0)}{last}"


def _time(seconds: float) -> str:
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


class Lines(logging.Handler):
    """Plain lines for logs: one per file, and now and then the progress. A note comes once per run.

    Args:
        line: what became of a file, in words.
        name: an event's file in words.
        clock: monotonic time.
    """

    def __init__(
        self,
        line: Callable[[dict[str, Any]], str],
        name: Callable[[dict[str, Any]], str],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__()
        self.how_far = HowFar(name, clock)
        self._line, self._clock = line, clock
        self._out = sys.stdout  # the original one, even if it is redirected meanwhile
        self._told: set[str] = set()
        self._log = logging.getLogger("rvm_live")
        self._before: list[logging.Handler] = []
        self._next_ns = clock.now_ns() + round(_RARELY_S * 1e9)
        self._preparing = False

    def __enter__(self) -> Lines:
        """From now on log messages are shown here."""
        self._before, self._log.handlers[:] = self._log.handlers[:], [self]
        return self

    def __exit__(self, *_: object) -> None:
        self._log.handlers[:] = self._before

    def __call__(self, event: dict[str, Any]) -> None:
        self.how_far.hear(event)
        if event["event"] == "file":
            self.ended(self._line(self._once(event)))
        elif event["event"] == "note":
            self.note(event["text"])
        elif event["event"] == "watching":
            self.note(f"watching {', '.join(event['folders'])}; Ctrl-C ends it")
        else:
            self.moved(event)

    def emit(self, record: logging.LogRecord) -> None:
        """A note about a file is also in that file's line."""
        if record.levelno > logging.INFO and record.name == "rvm_live.core.notices":
            self.noticed(record.getMessage())
        elif record.levelno < logging.WARNING or self._first(record.getMessage()):
            for handler in self._before:
                handler.handle(record)

    def ended(self, text: str) -> None:
        """A file is done, or has failed."""
        click.echo(text, file=self._out)

    def note(self, text: str) -> None:
        """Something about the run."""
        if self._first(text):
            click.echo(one_line(text), err=True)

    def noticed(self, text: str) -> None:
        """A note about a file in progress, as it comes."""

    def moved(self, event: dict[str, Any]) -> None:
        """Progress was made."""
        now_ns = self._clock.now_ns()
        if event["event"] == "preparing" and event["seconds"] >= _LONG_S and not self._preparing:
            self._preparing = True
        elif event["event"] not in ("preparing", "progress") or now_ns < self._next_ns:
            return
        self._next_ns = now_ns + round(_RARELY_S * 1e9)
        click.echo(f"{self.how_far.names}: {self.how_far}", err=True)

    def _first(self, text: str) -> bool:
        """Whether this has not been shown in this run."""
        fresh = text not in self._told
        self._told.add(text)
        return fresh

    def _once(self, event: dict[str, Any]) -> dict[str, Any]:
        if event["state"] != "done":
            return event
        return {**event, "notes": [note for note in event["notes"] if self._first(note)]}


class Bar(Lines):
    """A progress line that stays below all others, on a terminal."""

    def __init__(
        self,
        line: Callable[[dict[str, Any]], str],
        name: Callable[[dict[str, Any]], str],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__(line, name, clock)
        self._console = Console(stderr=True)
        self._live = Live(get_renderable=self._shown, console=self._console, transient=True, refresh_per_second=8)

    def __enter__(self) -> Bar:
        super().__enter__()
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        super().__exit__()

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno > logging.INFO:
            self.note(record.getMessage())
        else:
            self.ended(f"{record.levelname} {record.getMessage()}")

    def ended(self, text: str) -> None:
        for line in text.splitlines():
            self._console.print(printable(line), highlight=False, markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        if self._first(text):
            self.ended(one_line(text))

    def moved(self, event: dict[str, Any]) -> None:
        pass  # the display asks for the progress itself

    def _shown(self) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        told, part, names = str(self.how_far), self.how_far.part, self.how_far.names
        text = Text(f"{told} · {names}" if names else told, no_wrap=True, overflow="ellipsis")
        if self._console.width < _NARROW:
            return text
        shown = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=1.0, completed=part or 0.0, width=_BAR)
        shown.add_row(bar, text)
        return shown
