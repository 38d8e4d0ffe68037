"""What ``--remember`` stores from run to run: the look at the end, but never the source."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rvm_live.backgrounds.live import LiveBackground
from rvm_live.backgrounds.slides import SlideShow
from rvm_live.compositing.composer import Composer
from rvm_live.core.controls import Controls
from rvm_live.core.errors import RvmLiveError
from rvm_live.core.settings import LiveSettings
from rvm_live.system import atomic_write, folders

__all__ = ["KEPT", "Remembered", "keep", "kept_path", "load", "remembering"]

_log = logging.getLogger("rvm_live")

KEPT = (
    "background",
    "view",
    "statistics",
    "fullscreen",
    "follow",
    "zoom",
    "shift",
    "match",
    "low_light",
    "light_wrap",
    "blend",
    "grow",
    "shrink",
    "soften",
    "despill",
)
"""Controls whose values are kept, as far as a run has them."""
_LARGEST = 100_000
_SIDES = (64, 16384)


@dataclass(frozen=True)
class Remembered:
    """What stands in the file.

    Attributes:
        controls: name -> value; checked when they are applied.
        background_file: path or specification of the background, if it is from a file; otherwise empty.
        window: width and height of the window, pixels; None where there was none.
    """

    controls: dict[str, Any] = field(default_factory=dict)
    background_file: str = ""
    window: tuple[int, int] | None = None

    def restore(self, controls: Controls, said: Collection[str]) -> None:
        """Restore the values; those that are no longer possible are left out, and this is logged.

        Args:
            controls: of the new run.
            said: names that were asked for otherwise in this run.
        """
        there = set(dir(controls))
        for name in [each for each in KEPT if each in self.controls and each in there and each not in said]:
            wishes = [self.controls[name], *([self.background_file] if name == "background" else [])]
            for wish in filter(lambda each: each not in ("", None), wishes):
                try:
                    controls.set(**{name: wish})
                    break
                except RvmLiveError as error:
                    _log.info("%s could not be restored: %s", name, error)


class Window(Protocol):
    """What is asked of a window."""

    opening: tuple[int, int] | None

    @property
    def windowed(self) -> tuple[int, int] | None:
        """Its size outside of full screen."""


@contextmanager
def remembering(
    settings: LiveSettings, controls: Controls, composer: Composer, window: Window | None
) -> Iterator[None]:
    """A context for a run: start as the previous one ended, and store how this one ends."""
    if not settings.remember:
        yield
        return
    before = load()
    before.restore(controls, settings.said)
    if window is not None:
        window.opening = before.window
    try:
        yield
    finally:
        keep(controls, composer, None if window is None else window.windowed)


def kept_path() -> Path:
    """Path of the file, beside the settings; it need not exist."""
    return folders.settings_folder() / "remembered.json"


def load() -> Remembered:
    """What was kept; nothing where the file is missing, or is no such file."""
    try:
        text = kept_path().read_bytes()[:_LARGEST]
        found = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return Remembered()
    if not isinstance(found, dict):
        return Remembered()
    controls, file, window = (found.get(name) for name in ("controls", "background_file", "window"))
    sides = isinstance(window, list) and len(window) == 2 and all(_is_side(side) for side in window)
    return Remembered(
        {name: value for name, value in controls.items() if name in KEPT} if isinstance(controls, dict) else {},
        file if isinstance(file, str) else "",
        (window[0], window[1]) if sides and isinstance(window, list) else None,
    )


def _is_side(side: object) -> bool:
    return isinstance(side, int) and not isinstance(side, bool) and _SIDES[0] <= side <= _SIDES[1]


def keep(controls: Controls, composer: Composer, window: tuple[int, int] | None) -> None:
    """Keep how it looks now; where that cannot be written, that is told once.

    Args:
        controls: of the run that ends.
        composer: knows the backgrounds.
        window: its size outside of full screen; None: there is none, and what was kept before stays.
    """
    state = controls.state()
    values = {name: state[name] for name in KEPT if name in state}
    background = composer.background_named(composer.background)
    file = getattr(background, "path", None)
    if isinstance(background, LiveBackground | SlideShow):
        words = background.words
    else:
        words = "" if file is None else str(Path(file).absolute())
    kept = {
        "controls": {name: value for name, value in values.items() if not _is_address(value)},
        "background_file": "" if _is_address(words) else words,
        "window": window or load().window,
    }
    path = kept_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write.write(path, (json.dumps(kept, default=str) + "\n").encode("utf-8", "surrogateescape"))
    except OSError as error:
        folders.tell_once(f"--remember cannot store anything: {path}: {error.strerror or error}")


def _is_address(value: object) -> bool:
    return isinstance(value, str) and "://" in value
