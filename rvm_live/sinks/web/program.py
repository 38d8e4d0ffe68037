"""What the page needs from the program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rvm_live.backgrounds.base import Background
from rvm_live.core.controls import Controls
from rvm_live.core.errors import SettingsError
from rvm_live.sinks.window.status import Status

__all__ = ["WebProgram"]


def _nothing(*_: object) -> Any:
    return ""


def _none_taken(path: Path, name: str) -> str:
    raise SettingsError("backgrounds cannot be added here")


@dataclass(frozen=True)
class WebProgram:
    """The program as the page sees it; may be called on any thread.

    Attributes:
        controls: the controls of this run.
        status: what runs now.
        statistics: counts and latencies of the run, as JSON.
        background: a name out of the choices -> the background.
        take_background: an uploaded file and its original name -> the name of the
            new background. Raises an :class:`~rvm_live.core.errors.RvmLiveError` if it cannot be used.
        recordings: finished ones, oldest first.
        actions: actions besides the controls, by name; each returns a message, or nothing.
    """

    controls: Controls = field(default_factory=Controls)
    status: Callable[[], Status] = Status
    statistics: Callable[[], Mapping[str, Any]] = dict
    background: Callable[[str], Background | None] = _nothing
    take_background: Callable[[Path, str], str] = _none_taken
    recordings: Callable[[], Sequence[Path]] = tuple
    actions: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
