"""The window under a window manager: minimised, hidden, maximised; and with other systems' toolkits."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rvm_live.sinks.window.toolkits import TOOLKITS
from rvm_live.sinks.window.toolkits.base import Closed
from rvm_live.sinks.window.toolkits.opencv import OpenCvToolkit
from tests.sinks.test_window import extent, running, share
from tests.support.display import Display, open_display
from tests.support.pictures import FOREGROUND


@pytest.fixture(scope="module", params=TOOLKITS)
def managed(request: pytest.FixtureRequest) -> Iterator[Display]:
    """A display with a window manager; each toolkit in turn makes the window on it."""
    manager = shutil.which("openbox")
    if manager is None:
        pytest.skip("openbox not found: apt-get install openbox")
    with open_display() as opened:
        opened.env["TOOLKIT"] = request.param
        silent = subprocess.DEVNULL
        with subprocess.Popen([str(manager), "--sm-disable"], env=opened.env, stdout=silent, stderr=silent) as minding:
            yield opened
            minding.terminate()


def seen(picture: NDArray[np.uint8]) -> bool:
    """Whether the window is on the screen and shows its picture."""
    return picture.size > 0 and share(picture, FOREGROUND) > 0.05


@pytest.mark.slow
@pytest.mark.window
@pytest.mark.parametrize("how", [("windowminimize", "windowactivate"), ("windowunmap", "windowmap")])
@pytest.mark.parametrize("fullscreen", [False, True])
def test_a_window_put_aside_goes_on_and_comes_back(managed: Display, how: tuple[str, str], fullscreen: bool) -> None:
    with running(managed, frame=[640, 360], size=[640, 360], count=True, fullscreen=fullscreen) as app:
        window = managed.window()
        assert app.did("goes on")
        managed._xdotool(how[0], window)
        assert app.waits(lambda: not managed.has_window())
        assert app.did("goes on", sum(event["action"] == "goes on" for event in app.events if "action" in event) + 2)
        managed._xdotool(how[1], window)
        shown = managed.wait_for(seen)
        assert seen(shown)
        if not fullscreen:
            managed.resize("rvm-live", 900, 500)
            assert app.shows(size=[900, 500])
        assert [event for event in app.events if event.get("action") == "quit"] == []
        managed.close_window()
        assert app.end() == (0, "")


@pytest.mark.slow
@pytest.mark.window
def test_full_screen_covers_all_and_gives_the_size_back(managed: Display) -> None:
    with running(managed, frame=[640, 360], size=[640, 360]) as app:
        assert app.shows(size=[640, 360])
        managed.key("f")
        assert app.shows(fullscreen=True, size=[1600, 1000])
        managed.wait_for(lambda picture: extent(picture, FOREGROUND)[3] > 500)
        managed.key("f")
        assert app.shows(fullscreen=False, size=[640, 360])
        managed.key("q")
        assert app.end() == (0, "")


# macOS, by stand-ins -----------------------------------------------------------------------------------------


class Cocoa:
    """OpenCV's window on macOS: not visible while in the Dock, and it says that it is as large as its picture."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, pyobjc: bool = True) -> None:
        self.minimised = self.hidden = self.closed = False
        self.shown = (640, 360)
        self.inner = (640.0, 360.0)
        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.setitem(sys.modules, "AppKit", self if pyobjc else None)  # type: ignore[arg-type]
        for name in ("namedWindow", "setMouseCallback", "imshow", "destroyWindow"):
            monkeypatch.setattr(cv2, name, getattr(self, name, lambda *_: None))
        monkeypatch.setattr(cv2, "waitKeyEx", lambda _: -1)
        monkeypatch.setattr(cv2, "currentUIFramework", lambda: "COCOA", raising=False)
        monkeypatch.setattr(cv2, "getWindowProperty", self.visible)
        monkeypatch.setattr(cv2, "getWindowImageRect", lambda _: (0, 0, *self.shown))
        monkeypatch.setattr(cv2, "resizeWindow", lambda _, width, height: setattr(self, "inner", (width, height)))
        self.NSApplication = self

    def imshow(self, title: str, picture: Any) -> None:
        self.shown = (picture.shape[1], picture.shape[0])

    def visible(self, title: str, what: int) -> float:
        assert what == cv2.WND_PROP_VISIBLE
        return float(not (self.minimised or self.hidden or self.closed))

    def sharedApplication(self) -> Cocoa:
        return self

    def isHidden(self) -> bool:
        return self.hidden

    def windows(self) -> list[Any]:
        size = SimpleNamespace(width=self.inner[0], height=self.inner[1])
        view = SimpleNamespace(frame=lambda: SimpleNamespace(size=size))
        other = SimpleNamespace(title=lambda: "another", isMiniaturized=lambda: True)
        ours = SimpleNamespace(title=lambda: "me", isMiniaturized=lambda: self.minimised, contentView=lambda: view)
        return [other, ours]


def toolkit() -> OpenCvToolkit:
    made = OpenCvToolkit()
    made.open("me", (640, 360))
    made.show(np.zeros((360, 640, 3), np.uint8))
    assert made.events() == []
    return made


@pytest.mark.parametrize("how", ["minimised", "hidden"])
def test_on_macos_a_window_put_aside_is_not_closed(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cocoa = Cocoa(monkeypatch)
    window = toolkit()
    setattr(cocoa, how, True)
    for _ in range(3):
        window.show(np.zeros((360, 640, 3), np.uint8))
        assert window.events() == []
    setattr(cocoa, how, False)
    assert window.events() == []
    cocoa.closed = True
    assert window.events() == [Closed()]


@pytest.mark.parametrize("pyobjc", [True, False])
def test_on_macos_closing_ends_and_the_size_is_the_windows(pyobjc: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    cocoa = Cocoa(monkeypatch, pyobjc=pyobjc)
    window = toolkit()
    cocoa.inner = (1000.4, 500.0)  # set by the user
    window.events()
    assert window.size == ((1000, 500) if pyobjc else (640, 360))
    window.resize((320, 180))
    window.show(np.zeros((180, 320, 3), np.uint8))
    window.events()
    assert window.size == (320, 180)
    cocoa.closed = True
    assert window.events() == [Closed()]
