"""A status line that overwrites itself on a terminal and is silent elsewhere, with or without a spinner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rvm_live.cli.params import printable

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Line", "telling"]


class Line:
    """Shows the newest message in place of the last one, on a terminal that can erase a line.

    Args:
        console: None: standard error.
    """

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console as Opened
        from rich.control import Control
        from rich.segment import ControlType

        self._console = console or Opened(stderr=True)
        self._on = self._console.is_terminal and not self._console.is_dumb_terminal
        self._back = Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))

    def __call__(self, text: str) -> None:
        """Show it in the place of what was shown before."""
        if self._on:
            self._console.control(self._back)
            self._console.print(text, end="", markup=False, highlight=False, no_wrap=True, overflow="ellipsis")

    def end(self) -> None:
        """Finish, leaving the last line visible."""
        if self._on:
            self._console.print()


@contextmanager
def telling() -> Iterator[Callable[[str], None]]:
    """Yields a function that shows what is being done now, next to a spinner; the line is erased at the end."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True)
    status = console.status("")

    def tell(line: str) -> None:
        if console.is_terminal:
            status.update(escape(printable(line)))
            status.start()  # starts with the first line: a download before that has a line of its own

    try:
        yield tell
    finally:
        status.stop()
