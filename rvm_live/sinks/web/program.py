"""What the page needs of the program that it shows."""

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
    raise SettingsError("no backgrounds can be added here")


@dataclass(frozen=True)
class WebProgram:
    """All of it may be called on any thread.

    Attributes:
        controls: what there is to change.
        status: what runs now.
        statistics: counts and latencies of the run, as JSON.
        background: a name out of the choices -> the background.
        take_background: a file that was brought, and what it was called where it came from -> the name of the
            background that it is from now on. Raises an :class:`~rvm_live.core.errors.RvmLiveError` where it is none.
        recordings: finished ones, oldest first.
        actions: what can be done beside the controls, by name; each returns what is to be told, if anything.
    """

    controls: Controls = field(default_factory=Controls)
    status: Callable[[], Status] = Status
    statistics: Callable[[], Mapping[str, Any]] = dict
    background: Callable[[str], Background | None] = _nothing
    take_background: Callable[[Path, str], str] = _none_taken
    recordings: Callable[[], Sequence[Path]] = tuple
    actions: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
