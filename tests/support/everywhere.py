"""A live run whose outputs can all be looked at: the window, a recording, and a sink like a virtual camera."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import cv2
import pytest

from rvm_live.apps.assembly import failover
from rvm_live.apps.live import _App
from rvm_live.core.arrays import Bytes
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.notices import Notices
from rvm_live.core.queues import Overflow
from rvm_live.core.settings import EngineSettings, LiveSettings, SourceSettings
from rvm_live.sinks.base import PictureSink, Shot, Sink
from rvm_live.sinks.window.display import Screen
from rvm_live.sinks.window.toolkits.base import Event, Key, Toolkit
from tests.support.waiting import until

__all__ = ["SIZE", "Drawn", "Everywhere", "Taken", "everywhere", "going"]

SIZE = (160, 96)
"""Of all frames, pixels."""


class Taken(PictureSink):
    """Takes pictures as a virtual camera does, and keeps the newest."""

    name = "taken"

    def __init__(self) -> None:
        self.newest: Bytes | None = None
        self.closed: list[bool] = []

    def open(self) -> None:
        pass

    def write_picture(self, shot: Shot) -> None:
        self.newest = shot.image

    def clear(self) -> None:
        self.newest = None

    def close(self, *, failed: bool) -> None:
        self.closed.append(failed)


class Drawn(Toolkit):
    """A window without a screen: keeps what was shown last, and can be sent keys."""

    name = "drawn"
    canvas: ClassVar[Bytes | None] = None
    pressed: ClassVar[list[Event]] = []

    def open(self, title: str, size: tuple[int, int]) -> None:
        """Always of the frames' size, whatever is asked for."""

    @property
    def size(self) -> tuple[int, int]:
        return SIZE

    @property
    def screen(self) -> Screen:
        return Screen(None, (1920, 1080))

    def show(self, canvas: Bytes) -> None:
        type(self).canvas = canvas

    def events(self) -> list[Event]:
        pressed, self.pressed[:] = list(self.pressed), []
        return pressed

    def resize(self, size: tuple[int, int]) -> None:
        pass

    def fullscreen(self, on: bool) -> None:
        pass

    def close(self) -> None:
        pass


class Everywhere:
    """A run, and what each of its outputs shows now.

    Args:
        app: the running program.
        taken: one of its sinks.
        stills: the folder that it records stills into.
    """

    def __init__(self, app: _App, taken: Taken, stills: Path) -> None:
        self.app, self.taken, self.stills = app, taken, stills
        self.controls = app.controls

    def pictures(self) -> dict[str, Bytes | None]:
        """The newest picture of the window, of the recording and of the sink, each of the frames' size."""
        found: dict[str, Bytes | None] = {"window": Drawn.canvas, "taken": self.taken.newest, "recorded": None}
        for path in sorted(self.stills.glob("*.png"))[::-1]:
            found["recorded"] = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if found["recorded"] is not None:  # else it is just being written
                break
        return found

    def show(self, test: Callable[[Bytes], bool], seconds: float = 20) -> bool:
        """Whether every output shows a picture that passes the test, in time."""

        def all_do() -> bool:
            return all(each is not None and test(each) for each in self.pictures().values())

        return until(all_do, seconds)

    def press(self, key: str) -> None:
        Drawn.pressed.append(Key(key))


@contextmanager
def everywhere(
    folder: Path, patch: pytest.MonkeyPatch, engine: EngineSettings, source: SourceSettings, **options: Any
) -> Iterator[Everywhere]:
    """A live run with all these outputs, in a thread."""
    patch.setattr("rvm_live.apps.preflight.display_available", lambda: None)
    patch.setattr("rvm_live.sinks.window.window.open_window", _open_window)
    patch.setattr("rvm_live.sinks.window.overlay.Overlay.draw", lambda *_, **__: None)  # the overlay on the picture
    Drawn.canvas, Drawn.pressed[:] = None, []
    stills, taken = folder / "stills", Taken()
    settings = LiveSettings(source, engine, **{"statistics": "off", "record": f"{stills}/", **options})
    with going(settings, lambda app: app.pipeline.snapshot().shown > 0, [taken]) as app:
        yield Everywhere(app, taken, stills)


@contextmanager
def going(settings: LiveSettings, begun: Callable[[_App], Any], sinks: Sequence[Sink] = ()) -> Iterator[_App]:
    """A live run in its own thread, given once it has ``begun``; an exception in it fails the test."""
    notices = Notices()
    engine = failover(settings.engine, notices, live=True)
    app = _App(settings, engine, notices, Overflow.DROP_OLDEST, SYSTEM_CLOCK, sinks=sinks)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            app.pipeline.run()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert until(lambda: begun(app) or failed)
        yield app
    finally:
        app.pipeline.stop("the test is over")
        thread.join(30)
        app.chooser.close()
    assert not failed, failed


def _open_window(title: str, size: Callable[[Screen], tuple[int, int]], names: object) -> tuple[Toolkit, str]:
    made = Drawn()
    made.open(title, size(made.screen))
    return made, ""
