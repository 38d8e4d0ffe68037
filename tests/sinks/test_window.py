"""The window: a real one under Xvfb with a real keyboard, and the pictures and panels in it."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rvm_live.backgrounds.transparent import checkerboard
from rvm_live.core.errors import DisplayError, SettingsError
from rvm_live.core.notices import Notices
from rvm_live.media.scaling import Box, fit, scale_to
from rvm_live.sinks.window import display as display_module
from rvm_live.sinks.window import overlay as overlay_module
from rvm_live.sinks.window import panel, text, views
from rvm_live.sinks.window.display import display_available, probe
from rvm_live.sinks.window.hotkeys import HOTKEYS, ViewState, action_for
from rvm_live.sinks.window.icon import draw_icon
from rvm_live.sinks.window.overlay import Overlay
from rvm_live.sinks.window.status import Status, statistics_rows
from rvm_live.sinks.window.toolkits import TOOLKITS
from rvm_live.sinks.window.toolkits.base import Key
from rvm_live.sinks.window.toolkits.opencv import key_of
from rvm_live.sinks.window.window import WindowSink
from rvm_live.system.gpu import GpuReading
from tests.conftest import ROOT, missing
from tests.support.clock import FakeClock
from tests.support.display import Display, open_display
from tests.support.pictures import BACKGROUND, CAMERA, FOREGROUND, make_composite, share_of
from tests.support.window_app import STATUS

window = pytest.mark.window


def share(picture: NDArray[np.uint8], colour: tuple[int, int, int], tolerance: int = 24) -> float:
    """Share of the pixels that have about this colour."""
    return share_of(picture, colour, tolerance)


def pinkish(picture: NDArray[np.uint8]) -> float:
    """Share of the pixels with any of the camera's magenta: more red than green, which nothing else has."""
    values = picture.astype(np.int16)
    return float((values[:, :, 2] > values[:, :, 1] + 12).mean())


def extent(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Left, top, width and height of the area with this colour."""
    near = (np.abs(picture.astype(np.int16) - np.int16(colour)).max(axis=2) <= 24).astype(np.uint8)
    return tuple(cv2.boundingRect(near))  # type: ignore[return-value]


# A real window -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=TOOLKITS)
def screen(request: pytest.FixtureRequest) -> Iterator[Display]:
    """A display; each toolkit in turn makes the window on it."""
    with open_display() as opened:
        opened.env["TOOLKIT"] = request.param
        yield opened


class App:
    """The program behind the window, and all its output."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def waits(self, test: Callable[[], bool], timeout: float = 60.0) -> bool:
        return Display.wait(test, timeout)

    def did(self, action: str, times: int = 1) -> bool:
        return self.waits(lambda: sum(event.get("action") == action for event in self.events) >= times)

    @property
    def view(self) -> dict[str, Any]:
        return next((event["view"] for event in reversed(self.events) if "view" in event), {})

    @property
    def changes(self) -> list[tuple[str, Any]]:
        """Names and values of the controls that were changed, in order."""
        return [(event["action"], event["value"]) for event in self.events if "value" in event]

    @property
    def layout(self) -> dict[str, Any]:
        """The present places of buttons, choices and panels in the window, and the words that were cut off so far."""
        return next((event["layout"] for event in reversed(self.events) if "layout" in event), {})

    def shows(self, **wanted: object) -> bool:
        return self.waits(lambda: all(self.view.get(name) == value for name, value in wanted.items()))

    def end(self) -> tuple[int, str]:
        """Wait for its end; returns the exit code and what it wrote to stderr."""
        code = self.process.wait(60)
        self._reader.join(5)
        assert self.process.stderr is not None
        return code, self.process.stderr.read()


@contextmanager
def running(screen: Display, env: dict[str, str] | None = None, **options: object) -> Iterator[App]:
    options.setdefault("toolkits", [screen.env.get("TOOLKIT", "sdl")])
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.window_app", json.dumps(options)],
        env={**screen.env, **(env or {})},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with process:
        app = App(process)
        try:
            assert app.did("opened"), app.process.poll()
            yield app
        finally:
            if process.poll() is None:
                process.terminate()


@window
def test_every_key_does_what_the_help_says(screen: Display, tmp_path: Path) -> None:
    target = tmp_path / "shots" / "person.png"
    with running(screen, save=str(target)) as app:
        assert app.waits(lambda: bool(app.view))
        for key, name, value in (
            *(("b", "background", "blur 25"), ("Right", "background", "office")),
            *(("shift+b" if screen.env["TOOLKIT"] == "sdl" else "Left", "background", "blur 25"),),
            *(("Left", "background", "beach"), ("3", "background", "office"), ("n", "background", "blur 25")),
            *(("n", "background", "office"), ("g", "compositor", "torch"), ("t", "recording", True)),
            *(("t", "recording", False), ("v", "privacy", True), ("v", "privacy", False), ("space", "paused", True)),
            *(("space", "paused", False), ("m", "mirror", True), ("s", "statistics", "line")),
            *(("s", "statistics", "table"), ("s", "statistics", "off"), ("o", "view", "comparison")),
        ):
            screen.key(key)
            assert app.waits(lambda: bool(app.changes) and app.changes[-1] == (name, value)), (key, app.changes[-3:])  # noqa: B023
        screen.key("r")
        assert app.did("reset")
        for key in ("h", "question", "F1"):
            before = app.view["help"]
            screen.key(key)
            assert app.shows(help=not before), key
        screen.key("Caps_Lock")
        screen.key("b")
        screen.key("Caps_Lock")
        assert app.waits(lambda: app.changes[-1] == ("background", "beach")), "caps lock is no shift"
        for key in ("p", "9", "c"):  # 9 and c do nothing: there is no such background, and no other camera
            screen.key(key)
        assert app.did("save")
        saved = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)
        expected = make_composite(transparent=True).image
        assert np.array_equal(saved, expected)
        for key in ("Up", "Shift_L", "x", "F5"):
            screen.key(key)
        assert app.process.poll() is None
        screen.key("q")
        assert app.end() == (0, "")
        assert [event for event in app.events if event.get("action") == "quit"] == [{"action": "quit", "reason": "key"}]
        assert app.changes[-1] == ("background", "beach")


@window
def test_escape_leaves_full_screen_first(screen: Display) -> None:
    with running(screen) as app:
        screen.key("f")
        assert app.shows(fullscreen=True)
        screen.key("Escape")
        assert app.shows(fullscreen=False)
        screen.key("Escape")
        assert app.end() == (0, "")


# Keycodes of the letters' places, the same on every keyboard, as Linux numbers them.
PLACES = {"b": 56, "g": 42, "m": 58, "r": 27, "o": 32, "s": 39, "h": 43, "f": 41, "p": 33}


@window
@pytest.mark.parametrize("layout", ["ru", "ua", "gr", "ara", "ir", "il", "us"])
@pytest.mark.few(1)
def test_keys_work_where_the_layout_has_no_latin_letters(screen: Display, tmp_path: Path, layout: str) -> None:
    if shutil.which("setxkbmap") is None:
        missing("setxkbmap not found: apt-get install x11-xkb-utils", required="RVM_LIVE_REQUIRE_DISPLAY")
    subprocess.run(["setxkbmap", layout], env=screen.env, check=True)
    try:
        with running(screen, save=str(tmp_path / "shot.png")) as app:
            screen.wait_for(lambda picture: share(picture, FOREGROUND) > 0.05)
            for letter, action in (("b", "background"), ("g", "compositor"), ("m", "mirror"), ("r", "reset")):
                screen.key(str(PLACES[letter]))
                assert app.did(action, 1), f"{letter} did nothing"
            for letter, view in (
                ("o", {"display": "comparison"}),
                ("s", {"statistics": "line"}),
                ("h", {"help": True}),
            ):
                screen.key(str(PLACES[letter]))
                assert app.shows(**view), f"{letter} did nothing"
            screen.key(str(PLACES["p"]))
            assert app.did("save", 1)
            screen.key(str(PLACES["f"]))
            assert app.shows(fullscreen=True)
            screen.key("Escape")
            assert app.shows(fullscreen=False)
            screen.key("Escape")
            assert app.end() == (0, "")
    finally:
        subprocess.run(["setxkbmap", "us"], env=screen.env, check=True)


@pytest.mark.slow
@window
@pytest.mark.parametrize("caps", [False, True])
def test_keys_are_where_a_latin_layout_prints_them(caps: bool) -> None:
    if shutil.which("setxkbmap") is None:
        missing("setxkbmap not found: apt-get install x11-xkb-utils", required="RVM_LIVE_REQUIRE_DISPLAY")
    with open_display() as display:
        subprocess.run(["setxkbmap", "fr"], env=display.env, check=True)
        with running(display, toolkits=["sdl"], cameras=True, frame=[640, 360], size=[640, 360]) as app:
            display.wait_for(lambda picture: share(picture, FOREGROUND) > 0.1)
            if caps:
                display.key("Caps_Lock")

            def press(key: str, name: str, value: object) -> None:
                display.key(key)
                assert app.waits(lambda: bool(app.changes) and app.changes[-1] == (name, value)), (key, app.changes)

            for place in ("24", "25", "58"):  # a, z and a comma, where a US keyboard has q, w and m
                display.key(place)
            press("47", "mirror", True)  # its m
            press("12", "background", "office")  # a 3 with shift alone, without caps lock
            press("b", "background", "beach")
            press("shift+b", "background", "office")
            subprocess.run(["setxkbmap", "de"], env=display.env, check=True)
            press("m", "mirror", False)
            press("35", "quality", "high")  # its +
            press("61", "quality", "auto")  # its -
            display.key("shift+20")  # its ?
            assert app.shows(help=True)
            display.key("F1")
            assert app.shows(help=False)
            assert app.process.poll() is None
            display.key("q")
            assert app.end() == (0, "")


@window
@pytest.mark.parametrize(
    ("resources", "settings", "screen_size", "opened"),
    [
        ("Xft.dpi:\t192\n", {}, (3200, 2000), (2560, 1440)),
        ("Xft.dpi: 192\n", {}, (1600, 1000), (1280, 720)),
        ("*customization: -color\nXft.dpi: 144\nXft.hinting: 1\n", {}, (3200, 2000), (1920, 1080)),
        ("Xft.dpi: 96\n", {}, (1600, 1000), (1280, 720)),
        ("Xft.dpi: 96\n", {}, (1280, 720), (953, 536)),
        ("Xft.dpi: none\n", {"QT_SCALE_FACTOR": "much"}, (1600, 1000), (1280, 720)),
        ("", {"QT_SCALE_FACTOR": "2"}, (3200, 2000), (2560, 1440)),
        ("", {"QT_SCALE_FACTOR": "1.1"}, (3200, 2000), (1408, 792)),
        ("", {"QT_SCREEN_SCALE_FACTORS": "2"}, (1600, 1000), (1280, 720)),
        ("", {"QT_AUTO_SCREEN_SCALE_FACTOR": "1", "QT_ENABLE_HIGHDPI_SCALING": "1"}, (1600, 1000), (1280, 720)),
    ],
)
@pytest.mark.parametrize("toolkit", TOOLKITS)
@pytest.mark.few(1)
def test_the_window_is_as_large_as_the_desktop_wants_things_and_leaves_a_fifth_of_the_screen(
    resources: str, settings: dict[str, str], screen_size: tuple[int, int], opened: tuple[int, int], toolkit: str
) -> None:
    with open_display(*screen_size) as display:
        display.env["TOOLKIT"] = toolkit
        display.set_resources(resources)
        display.env.update(settings)
        with running(display, frame=[1280, 720], size=[1280, 720]) as app:
            assert app.shows(size=list(opened)), app.view
            place = display.window_geometry()
            assert (place.width, place.height) == opened
            shown = display.wait_for(lambda picture: share(picture, FOREGROUND) > 0.05)
            _, _, wide, high = extent(shown, FOREGROUND)
            assert abs(wide - high) <= 3 and abs(high - 0.6 * opened[1]) < 16, "the picture does not fill the window"
            display.key("f")
            assert app.shows(fullscreen=True, size=list(screen_size))
            assert (display.window_geometry().width, display.window_geometry().height) == screen_size
            display.key("q")
            assert app.end() == (0, "")


@window
@pytest.mark.few(1)
def test_result_comparison_and_matte_show_what_they_say(screen: Display) -> None:
    with running(screen, frame=[640, 360], size=[640, 360]) as app:
        shown = screen.wait_for(lambda picture: share(picture, FOREGROUND) > 0.1)
        assert shown.shape[:2] == (360, 640)
        assert share(shown, FOREGROUND) > 0.12 and share(shown, BACKGROUND) > 0.8
        assert pinkish(shown) == 0.0, "the camera's pixels are in the result"

        screen.key("o")
        assert app.shows(display="comparison")
        shown = screen.wait_for(lambda picture: share(picture, CAMERA) > 0.1)
        left, right = shown[:, :316], shown[:, 324:]
        assert share(left, CAMERA) > 0.9 and pinkish(right) == 0.0
        assert share(right, FOREGROUND) > 0.1

        screen.key("o")
        assert app.shows(display="matte")
        shown = screen.wait_for(lambda picture: np.ptp(picture.astype(np.int16), axis=2).max() == 0)
        assert np.ptp(shown.astype(np.int16), axis=2).max() == 0, "the matte is not grey"
        assert pinkish(shown) == 0.0
        assert tuple(shown[180, 320]) == (255, 255, 255) and tuple(shown[5, 5]) == (0, 0, 0)

        screen.key("O")
        assert app.shows(display="result")
        shown = screen.wait_for(lambda picture: share(picture, FOREGROUND) > 0.1)
        assert pinkish(shown) == 0.0
        screen.key("Escape")
        assert app.end() == (0, "")
        assert {"action": "quit", "reason": "key"} in app.events


@pytest.mark.slow
@window
def test_a_matte_that_cannot_be_read_shows_the_background(screen: Display) -> None:
    """The GPU that holds it failed after the matte was made."""
    with running(screen, frame=[640, 360], size=[640, 360], unreadable=True) as app:
        screen.wait_for(lambda picture: share(picture, FOREGROUND) > 0.1)
        screen.key("o")
        screen.key("o")
        assert app.shows(display="matte")
        shown = screen.wait_for(lambda picture: share(picture, FOREGROUND) == 0)
        assert share(shown, BACKGROUND) > 0.8 and share(shown, CAMERA) == 0.0
        screen.key("o")
        assert app.shows(display="result")
        screen.wait_for(lambda picture: share(picture, FOREGROUND) > 0.1)
        screen.key("q")
        assert app.end() == (0, "")


@window
@pytest.mark.few(1)
def test_a_transparent_result_lies_over_a_checkerboard(screen: Display) -> None:
    with running(screen, frame=[640, 360], size=[640, 360], transparent=True) as app:
        shown = screen.wait_for(lambda picture: share(picture, FOREGROUND) > 0.1)
        assert share(shown, (204, 204, 204), 2) > 0.3 and share(shown, (153, 153, 153), 2) > 0.3
        assert pinkish(shown) == 0.0
        screen.key("q")
        assert app.end() == (0, "")


@window
@pytest.mark.few(1)
def test_statistics_and_help_come_and_go(screen: Display) -> None:
    with running(screen, frame=[640, 360], size=[640, 360], statistics="table") as app:
        corner = (slice(4, 150), slice(4, 200))
        shown = screen.wait_for(lambda picture: share(picture[corner], panel.TEXT) > 0.02)
        assert share(shown[corner], panel.TEXT, 40) > 0.02
        assert share(shown[corner], BACKGROUND) < 0.05, "the panel does not dim the picture"
        screen.key("s")
        shown = screen.wait_for(lambda picture: share(picture[corner], BACKGROUND) > 0.99)
        assert share(shown[corner], BACKGROUND) > 0.99
        right = (slice(4, 150), slice(440, 636))
        screen.key("h")
        shown = screen.wait_for(lambda picture: share(picture[right], panel.TEXT, 40) > 0.01)
        assert share(shown[right], panel.TEXT, 40) > 0.01
        screen.key("q")
        assert app.end() == (0, "")


@pytest.mark.slow
@window
def test_the_picture_follows_the_windows_size_whole_and_undistorted(screen: Display) -> None:
    with running(screen, frame=[640, 360], size=[640, 360], display="result") as app:
        for width, height in ((900, 300), (300, 700), (1280, 720)):
            screen.resize("rvm-live", width, height)
            assert app.shows(size=[width, height])
            scale = min(width / 640, height / 360)
            bars = (height - 360 * scale) / 2 + (width - 640 * scale) / 2

            def fits(picture: NDArray[np.uint8], side: float = 2 * 0.3 * 360 * scale) -> bool:
                # Until it is drawn again, the old picture is stretched to the new size.
                return all(abs(length - side) < 12 for length in extent(picture, FOREGROUND)[2:])

            shown = screen.wait_for(fits)
            _, _, disc_width, disc_height = extent(shown, FOREGROUND)
            assert abs(disc_width - disc_height) <= 2, "the disc is no circle"
            assert abs(disc_width - 216 * scale) < 12
            if bars > 1:
                assert tuple(shown[1, 1]) == (0, 0, 0)
        screen.key("q")
        assert app.end() == (0, "")


@pytest.mark.slow
@window
def test_f_fills_the_screen_and_gives_it_back(screen: Display) -> None:
    with running(screen, frame=[640, 360], size=[640, 360]) as app:
        assert app.shows(size=[640, 360])
        screen.key("f")
        assert app.shows(fullscreen=True, size=[1600, 1000])
        assert screen.window_geometry().width == 1600
        screen.key("f")
        assert app.shows(fullscreen=False, size=[640, 360])
        screen.key("q")
        assert app.end() == (0, "")


@pytest.mark.slow
@window
def test_it_can_start_in_full_screen(screen: Display) -> None:
    with running(screen, fullscreen=True) as app:
        assert app.shows(fullscreen=True, size=[1600, 1000])
        screen.key("q")
        assert app.end() == (0, "")


@window
def test_closing_the_window_quits(screen: Display) -> None:
    with running(screen) as app:
        screen.window()
        assert app.waits(lambda: bool(app.view))
        screen.close_window()
        assert app.end() == (0, "")
        quits = [event for event in app.events if event.get("action") == "quit"]
        assert quits == [{"action": "quit", "reason": "window closed"}]


@window
@pytest.mark.few(1)
def test_before_the_first_composite_the_background_alone_is_shown(screen: Display) -> None:
    with running(screen, silent=1e9, size=[640, 360], messages=["camera 0 is busy"]) as app:
        shown = screen.wait_for(lambda picture: share(picture, panel.AMBER) > 0.0001)
        assert share(shown, BACKGROUND) > 0.7
        assert share(shown[100:260, 100:540], panel.TEXT, 40) > 0.004, "the words are missing"
        assert share(shown, panel.AMBER) > 0.0001
        assert share(shown, CAMERA) == 0.0 and share(shown, FOREGROUND) == 0.0
        screen.key("o")
        assert app.shows(display="comparison")
        time.sleep(0.1)
        assert share(screen.screenshot("rvm-live"), CAMERA) == 0.0
        screen.key("p")  # nothing to save: nothing happens
        screen.key("q")
        assert app.end() == (0, "")


@pytest.mark.slow
@window
def test_the_window_opens_at_the_frames_size_whatever_is_shown(screen: Display) -> None:
    for frame, mode, expected in (
        ((800, 600), "result", (800, 600)),
        ((800, 600), "comparison", (800, 600)),
        ((1920, 1080), "result", (1280, 720)),
        ((1920, 1080), "comparison", (1280, 720)),
        ((320, 180), "result", (640, 360)),
    ):
        with running(screen, frame=frame, size=(1280, 720), display=mode) as app:
            assert app.shows(size=list(expected)), (frame, mode, app.view)
            screen.key("q")
            assert app.end() == (0, "")


# The mouse ----------------------------------------------------------------------------------------------------


def find_button(shown: NDArray[np.uint8]) -> int:
    """Height of the bar at the lower edge: rows that are dimmed across the whole width."""
    background = np.abs(shown[:, :4].astype(int) - BACKGROUND).max(2).min(1) <= 6
    return int(np.argmax(background[::-1]))


@pytest.mark.slow
@window
def test_the_bar_comes_with_the_mouse_and_goes(screen: Display) -> None:
    with running(screen, frame=[1280, 720], size=[1280, 720]) as app:
        assert app.shows(size=[1280, 720])
        place = screen.window_geometry()
        steps = iter(range(200))

        def there(picture: NDArray[np.uint8]) -> bool:
            screen.move_mouse(place.x + 400 + next(steps), place.y + 300)
            return find_button(picture) > 0

        assert find_button(screen.wait_for(there)) >= 36
        shown = screen.wait_for(lambda picture: find_button(picture) == 0)
        assert find_button(shown) == 0
        screen.key("q")
        assert app.end() == (0, "")


@pytest.mark.slow
@window
@pytest.mark.parametrize("size", [(480, 270), (1280, 720), (640, 360)])
def test_what_is_clicked_happens(screen: Display, size: tuple[int, int], tmp_path: Path) -> None:
    """The buttons are found as a user finds them: from left to right, until each has done something."""
    with running(screen, frame=size, size=size, save=str(tmp_path / "shot.png")) as app:
        assert app.waits(lambda: bool(app.view))
        screen.resize("rvm-live", *size)
        assert app.shows(size=list(size))
        place = screen.window_geometry()
        for row in (54, 18):
            for x in range(8, size[0], 16):
                screen.click(place.x + x, place.y + size[1] - row)
                if app.waits(lambda: bool(app.view.get("fullscreen")), timeout=0.05):
                    screen.key("f")
                    assert app.shows(fullscreen=False, size=list(size))
        wanted = {"background", "recording", "privacy", "mirror", "fullscreen"}
        assert app.waits(lambda: wanted <= {name for name, _ in app.changes}), app.changes
        assert app.did("save") and app.did("add background")
        assert app.process.poll() is None
        screen.key("q")
        assert app.end()[0] == 0


DOES = {
    "background back": ("background", "office"),
    "menu background": ("background", "beach"),
    "background": ("background", "blur 25"),
    "blur": ("background", "beach"),
    "menu camera": ("camera", "Front"),
    "menu quality": ("quality", "auto"),
    "record": ("recording", True),
    "mirror": ("mirror", True),
    "privacy": ("privacy", True),
    "fullscreen": ("fullscreen", True),
}


def laid_out_well(layout: dict[str, Any]) -> bool:
    """Everything is inside the window, nothing overlaps, and no word is cut off."""
    width, height = layout["of"]
    boxes = [*layout["panels"], *(box for _, *box in layout["bar"])]
    for number, (x, y, wide, high) in enumerate(boxes):
        if x < 0 or y < 0 or x + wide > width or y + high > height:
            return False
        for left, top, its_width, its_height in boxes[number + 1 :]:
            if x < left + its_width and left < x + wide and y < top + its_height and top < y + high:
                return False
    return not layout["cut"]


@pytest.mark.slow
@window
@pytest.mark.parametrize(
    ("screen_size", "letters"), [((1280, 720), 11), ((1920, 1080), 16), ((2560, 1440), 16), ((3840, 2160), 32)]
)
def test_on_every_screen_it_fits_is_whole_and_every_button_can_be_clicked(
    screen_size: tuple[int, int], letters: int, tmp_path: Path
) -> None:
    with open_display(*screen_size) as display:
        area, title = (screen_size[0], screen_size[1] - 50), 40 * (2 if screen_size[1] >= 2160 else 1)
        display.set_work_area(0, 50, *area)
        options: dict[str, Any] = {"frame": [1280, 720], "size": [1280, 720], "cameras": True, "statistics": "table"}
        shot = str(tmp_path / "shot.png")
        with running(display, toolkits=["sdl"], messages=["the stream is back"], save=shot, **options) as app:
            place = display.window_geometry()
            assert place.width <= 0.8 * area[0] and place.height + title <= 0.8 * area[1]
            assert app.waits(lambda: app.layout.get("of") == [place.width, place.height])
            assert panel.text_size(place.width, place.height) == letters

            def shown(*, bar: bool) -> bool:
                """Move the mouse until the bar appears; checks the layout of what is visible."""
                steps = iter(range(10_000))

                def there() -> bool:
                    here = display.window_geometry()
                    if bar:
                        display.move_mouse(here.x + 30 + next(steps) % 2, here.y + here.height // 2)
                    fits = app.layout["of"] == [here.width, here.height] and bool(app.layout["bar"]) >= bar
                    return fits and laid_out_well(app.layout)

                return app.waits(there, 20)

            def click(name: str, among: str = "bar") -> None:
                """Click the middle, or the last pixels: every pixel must work."""
                x, y, wide, high = next(box for action, *box in app.layout[among] if action == name)
                assert high >= 36 and wide >= 36, name
                edge = len(name) % 2
                display.click(place.x + x + (3 if edge else wide // 2), place.y + y + (high - 2 if edge else high // 2))

            assert shown(bar=True), app.layout
            assert {*DOES, "add background", "photo", "help"} == {action for action, *_ in app.layout["bar"]}
            for name, change in DOES.items():
                click(name)
                if name.startswith("menu"):
                    assert app.waits(lambda: bool(app.layout["menu"])), name
                    click(app.layout["menu"][0][0], "menu")
                    assert app.waits(lambda: not app.layout["menu"]), name
                if name not in ("menu camera", "menu quality"):  # what was chosen there was already set
                    assert app.waits(lambda: bool(app.changes) and app.changes[-1] == change), (name, app.changes)  # noqa: B023
                assert shown(bar=True), (name, app.layout)
            display.key("f")
            assert app.shows(fullscreen=False) and app.waits(lambda: display.window_geometry() == place)
            for name in ("add background", "photo", "help"):
                assert shown(bar=True), (name, app.layout)
                click(name)
            assert app.did("add background") and app.did("save") and app.shows(help=True)
            for statistics in ("off", "line", "table"):
                for size in ((480, 300), (360, 640), (place.width, place.height)):
                    display.resize("rvm-live", *size)
                    assert shown(bar=statistics == "line"), (size, statistics, app.layout)
                display.key("s")
            display.key("q")
            assert app.end() == (0, "")


@pytest.mark.slow
@window
def test_the_wheel_changes_the_background_and_not_the_picture(screen: Display) -> None:
    with running(screen, frame=[640, 360], size=[640, 360]) as app:
        place = screen.window_geometry()
        before = screen.wait_for(lambda picture: share(picture, FOREGROUND) > 0.1)
        screen.click(place.x + 300, place.y + 100, button=5)
        if screen.env["TOOLKIT"] == "opencv":  # its window always zooms, and says that it has no wheel
            screen.key("q")
            return
        assert app.waits(lambda: app.changes == [("background", "blur 25")])
        screen.click(place.x + 300, place.y + 100, button=4)
        assert app.waits(lambda: app.changes[-1] == ("background", "beach"))
        assert extent(screen.screenshot("rvm-live"), FOREGROUND) == extent(before, FOREGROUND)
        screen.key("q")
        assert app.end() == (0, "")


@pytest.mark.slow
@window
def test_a_double_click_is_full_screen_and_a_right_click_the_help(screen: Display) -> None:
    with running(screen, frame=[640, 360], size=[640, 360]) as app:
        place = screen.window_geometry()
        screen.click(place.x + 300, place.y + 100, button=3)
        assert app.shows(help=True)
        screen.click(place.x + 300, place.y + 100, times=2)
        assert app.shows(fullscreen=True, size=[1600, 1000])
        screen.key("q")
        assert app.end() == (0, "")


@pytest.mark.slow
@window
def test_the_comparison_is_a_line_that_one_drags(screen: Display) -> None:
    with running(screen, frame=[640, 360], size=[640, 360], display="comparison") as app:
        place = screen.window_geometry()
        screen.wait_for(lambda picture: share(picture, CAMERA) > 0.3)
        screen.drag((place.x + 320, place.y + 150), (place.x + 160, place.y + 160))
        assert app.waits(lambda: abs(app.view["split"] - 0.25) < 0.02), app.view
        shown = screen.wait_for(lambda picture: pinkish(picture[:, 170:]) == 0)
        assert share(shown[:100, :150], CAMERA) > 0.7 and pinkish(shown[:, 170:]) == 0.0
        screen.key("q")
        assert app.end() == (0, "")


@window
@pytest.mark.slow
def test_nothing_covers_the_face_and_every_key_is_answered(screen: Display) -> None:
    with running(screen, frame=[640, 360], size=[640, 360], statistics="line", hint=True) as app:
        middle, foot = (slice(60, 280), slice(200, 440)), (slice(290, 360), slice(100, 540))
        shown = screen.wait_for(lambda picture: share(picture[foot], panel.TEXT, 60) > 0.002)
        assert share(shown[foot], panel.TEXT, 60) > 0.002, "how to get help is not said"
        assert share(shown[:30, :200], panel.TEXT, 60) > 0.002, "the line is not there"
        assert share(shown[middle], panel.TEXT, 60) == 0
        shown = screen.wait_for(lambda picture: share(picture[foot], panel.TEXT, 60) == 0, timeout=15)
        assert share(shown[foot], panel.TEXT, 60) == 0, "it goes after six seconds"
        screen.key("b")
        shown = screen.wait_for(lambda picture: share(picture[foot], panel.TEXT, 60) > 0.002)
        assert share(shown[foot], panel.TEXT, 60) > 0.002, "the key is not answered"
        shown = screen.wait_for(lambda picture: share(picture[foot], panel.TEXT, 60) == 0)
        assert share(shown[foot], panel.TEXT, 60) == 0
        screen.key("q")
        assert app.end() == (0, "")


@window
@pytest.mark.few(1)
def test_a_failing_action_is_told_and_the_window_goes_on(screen: Display) -> None:
    with running(screen, size=[640, 360], frame=[640, 360]) as app:
        assert app.waits(lambda: bool(app.view))
        screen.key("p")
        shown = screen.wait_for(lambda picture: share(picture[300:], panel.AMBER) > 0.0001)
        assert share(shown[300:], panel.AMBER) > 0.0001
        screen.key("q")
        code, told = app.end()
        assert code == 0 and told.strip() == "cannot save here"


@window
@pytest.mark.few(1)
def test_a_wayland_desktops_settings_do_not_stop_the_wheels_qt(screen: Display) -> None:
    settings = {"QT_QPA_PLATFORM": "wayland", "XDG_SESSION_TYPE": "wayland", "XDG_RUNTIME_DIR": ""}
    with running(screen, settings, toolkits=["opencv"]) as app:
        screen.key("q")
        assert app.end() == (0, "")


@window
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads the Linux process map")
@pytest.mark.few(1)
def test_qt_hands_its_events_to_the_systems_own_xlib(screen: Display) -> None:
    """Otherwise some windows stay black: see prepare_qt."""
    with running(screen, toolkits=["opencv"]) as app:
        screen.window()
        mapped = {line.split()[-1] for line in Path(f"/proc/{app.process.pid}/maps").read_text().splitlines()}
        names = {Path(name).name for name in mapped if name.startswith("/")}
        if any(name.startswith("libX11-xcb-") for name in names):  # the copy in the wheel
            assert any(name.startswith("libX11-xcb.so") for name in names)
        screen.key("q")
        assert app.end() == (0, "")


PREVIEW = """
import os, sys, time
import numpy as np
from rvm_live.sinks.window.toolkits import open_window
from rvm_live.sinks.window.toolkits.base import Closed, Key
picture = np.full((90, 160, 3), (0, 200, 255), np.uint8)
toolkit, told = open_window("look", lambda screen: (160, 90), [os.environ["TOOLKIT"]])
assert told == ""
started = time.monotonic()
while time.monotonic() - started < 100:
    toolkit.show(picture)
    events = toolkit.events()
    if Key("k", False, "k") in events or Key("k") in events:
        sys.stdout.write("key\\n"); sys.stdout.flush()
    if Closed() in events:
        sys.stdout.write("closed\\n")
        break
toolkit.close()
toolkit.close()
"""


@window
def test_a_toolkit_shows_a_picture_takes_keys_and_notices_its_end(screen: Display) -> None:
    command = [sys.executable, "-c", PREVIEW]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=screen.env, cwd=ROOT, stdout=pipe, stderr=pipe, encoding="utf-8") as process:
        shown = screen.wait_for(lambda picture: share(picture, (0, 200, 255)) > 0.9, "look")
        assert share(shown, (0, 200, 255)) > 0.9
        screen.key("k", "look")
        assert process.stdout is not None and process.stdout.readline() == "key\n"
        screen.close_window("look")
        told, complaints = process.communicate(timeout=60)
    assert told == "closed\n" and complaints == ""


CHOOSE = """
import sys
from rvm_live.sinks.window.chooser import Chooser
chooser = Chooser(lambda path: (sys.stdout.write(f"{path}\\n"), sys.stdout.flush()))
chooser.ask()
chooser.ask()
sys.stdin.readline()
chooser.close()
sys.stdout.write("end\\n")
"""


@window
def test_a_picture_is_chosen_in_the_systems_own_window(tmp_path: Path) -> None:
    if importlib.util.find_spec("_tkinter") is None:
        missing("tkinter is not there", required="RVM_LIVE_REQUIRE_NOTHING")
    title, picture = "A picture or video for the background", tmp_path / "a beach.png"
    picture.write_bytes(b"")
    with open_display() as display:
        env = {**display.env, "PATH": ""}  # uses Tk's, whatever else this desktop has
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = [sys.executable, "-c", CHOOSE]
        with subprocess.Popen(command, env=env, cwd=ROOT, encoding="utf-8", **pipes) as process:
            display.window(title)
            display.type(str(picture), title)
            assert process.stdout is not None and process.stdout.readline() == f"{picture}\n"
            process.kill()
        with subprocess.Popen(command, env=env, cwd=ROOT, encoding="utf-8", **pipes) as process:
            display.window(title)
            told, complaints = process.communicate("\n", timeout=60)
            assert (told, complaints) == ("end\n", "") and not display.has_window(title)


# No display ---------------------------------------------------------------------------------------------------

OPEN = """
import sys
from rvm_live.core.errors import DisplayError
from rvm_live.sinks.window.hotkeys import ViewState
from rvm_live.sinks.window.window import WindowSink
try:
    WindowSink(ViewState()).open()
except DisplayError as error:
    sys.stdout.write(str(error))
    sys.exit(7)
"""


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "DISPLAY is not set (no desktop session"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "DISPLAY is not set: this Wayland session has no XWayland"),
        ({"DISPLAY": ":993"}, "the X display ':993' cannot be used: no X server runs there"),
        ({"DISPLAY": "localhost:993"}, "the X display 'localhost:993' cannot be used: no X server runs there"),
        ({"DISPLAY": "garbage"}, "the X display 'garbage' cannot be used: its name is not of the form host:number"),
        ({"DISPLAY": ":4711111"}, "its name is not of the form host:number"),
        ({"DISPLAY": ":99999"}, "cannot be used"),
        ({"DISPLAY": "127.0.0.1:99999"}, "cannot be used"),
    ],
)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="X displays are Linux's")
def test_without_a_display_there_is_one_clear_line(settings: dict[str, str], words: str) -> None:
    env = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-c", OPEN],
        env={**env, **settings},
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 7, done.stderr
    assert words in done.stdout and done.stdout.startswith("no window can be opened: ")
    assert "\n" not in done.stdout and done.stderr == ""


@contextmanager
def listener(answer: bytes | None) -> Iterator[str]:
    """A server that is not an X server; gives its name as a DISPLAY."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def serve() -> None:
            kept = []
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                kept.append(connection)
                if answer is not None:
                    connection.recv(64)
                    connection.sendall(answer)
                    connection.close()
            for connection in kept:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1] - 6000}"
        finally:
            stop.set()
            thread.join()


@pytest.mark.few(1)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="X displays are Linux's")
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "the X server does not answer"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what answers is not an X server"),
        (b"", "the X server closed the connection"),
        (b"\x01" + bytes(7), "what answers is not an X server"),
        (b"\x00\x06" + struct.pack("=HHH", 11, 0, 2) + b"go out  ", "the X server refuses the connection (go out)"),
    ],
)
def test_something_else_that_listens_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, answer: bytes | None, words: str
) -> None:
    monkeypatch.setattr(display_module, "_TIMEOUT_SECONDS", 1.0 if answer is None else 60.0)
    with listener(answer) as name:
        monkeypatch.setenv("DISPLAY", name)
        reason = display_available()
    assert reason is not None and words in reason


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="X displays are Linux's")
@pytest.mark.parametrize("said", ["", "no", "x" * 5000, "x11.so is no library\nand more"])
def test_whatever_the_probe_dies_of_is_one_line(said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\ncat <<'E' >&2\n{said}\nE\nkill -9 $$\n")
    program.chmod(0o755)
    monkeypatch.setenv("DISPLAY", ":9753")
    monkeypatch.setattr(sys, "executable", str(program))
    reason = display_available()
    assert reason is not None and "\n" not in reason and len(reason) < 500
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert display_module.screen_now() == display_module.Screen()


def test_an_opencv_without_windows_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "", raising=False)
    with pytest.raises(DisplayError, match="built without windows"):
        WindowSink(ViewState(), toolkits=["opencv"]).open()


@window
def test_the_users_authority_file_opens_a_guarded_display(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = os.urandom(16)

    def entry(family: int, address: bytes, number: bytes, data: bytes) -> bytes:
        fields = (address, number, b"MIT-MAGIC-COOKIE-1", data)
        return struct.pack(">H", family) + b"".join(struct.pack(">H", len(field)) + field for field in fields)

    host = socket.gethostname().encode()
    authority = tmp_path / "authority"
    authority.write_bytes(entry(256, b"elsewhere", b"", bytes(16)) + entry(256, host, b"", secret))
    with open_display(640, 480, authority=authority) as guarded:
        monkeypatch.setenv("DISPLAY", guarded.name)
        monkeypatch.setenv("XAUTHORITY", str(authority))
        assert probe() == display_module.Screen(size=(640, 480), scale=1.0)
        monkeypatch.setenv("XAUTHORITY", str(tmp_path / "nothing"))
        monkeypatch.setenv("HOME", str(tmp_path))
        reason = display_available()
        assert reason is not None and "refuses the connection" in reason
        damaged = tmp_path / "damaged"
        damaged.write_bytes(b"\x01\x00\xff")
        monkeypatch.setenv("XAUTHORITY", str(damaged))
        assert "refuses the connection" in (display_available() or "")


# Keys ---------------------------------------------------------------------------------------------------------


def test_keys_work_in_both_cases_and_special_keys_are_no_letters() -> None:
    for hotkey in HOTKEYS:
        for name in hotkey.keys:
            upper = name.isupper()
            assert action_for(Key(name.lower(), shift=upper)) == hotkey.action
            if not upper and name.upper() not in {key for other in HOTKEYS for key in other.keys} - {name}:
                assert action_for(Key(name, shift=True)) == hotkey.action
    assert action_for(Key("x")) is None
    assert len({hotkey.action for hotkey in HOTKEYS}) == len(HOTKEYS)
    assert key_of(ord("Q")) == Key("q", shift=True)
    assert key_of(0x100000 | ord("q")) == Key("q")  # num lock, as GTK reports it
    assert key_of(27) == Key("escape")
    assert key_of(0xFF51) == Key("left")  # its low byte is that of Q
    assert key_of(-1) is None and key_of(0) is None and key_of(0xFF00 | ord("q")) is None


def test_with_another_layout_the_place_of_a_key_counts() -> None:
    assert action_for(Key("и", place="b")) == "background"
    assert action_for(Key("q", place="a")) == "quit"  # AZERTY: the letter is one of our keys
    assert action_for(Key("", place="b")) == "background"  # a key that types nothing by itself
    assert action_for(Key("é", place="2")) == action_for(Key("2")), "AZERTY: digits want shift there"


@pytest.mark.parametrize(
    ("typed", "place"),
    [("a", "q"), ("z", "w"), (",", "m"), ("'", "q"), ("é", "w"), ("x", "b"), ("/", "q"), ("ö", "")],
)
def test_a_latin_layouts_own_letters_and_marks_are_not_taken_for_those_in_their_place(typed: str, place: str) -> None:
    """AZERTY, Dvorak and others: typing an a there must not quit, and a z must not download anything."""
    assert action_for(Key(typed, place=place)) == ("follow" if typed == "a" else None)


def test_the_icon_is_a_person_before_two_halves_with_round_corners() -> None:
    for side in (16, 64, 256):
        icon = draw_icon(side)
        assert icon.shape == (side, side, 4) and icon.dtype == np.uint8
        assert icon[0, 0, 3] == 0 and icon[side // 2, side // 2, 3] == 255
        assert icon[side * 37 // 100, side // 2, :3].min() > 230, "the head is not there"
        assert icon[side // 8, side // 4, 1] > icon[side // 8, side // 4, 0] + 20, "the room is not there"


def test_an_unknown_display_mode_is_refused() -> None:
    with pytest.raises(SettingsError, match="unknown display mode 'cinema': choose one of result, comparison, matte"):
        ViewState(display="cinema")


# Views --------------------------------------------------------------------------------------------------------


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 4000))
def test_a_fitted_box_lies_inside_touches_two_sides_and_keeps_the_shape(w: int, h: int, W: int, H: int) -> None:
    box = fit(w, h, Box(7, 9, W, H))
    assert box.x >= 7 and box.y >= 9 and box.x + box.width <= 7 + W and box.y + box.height <= 9 + H
    assert box.width == W or box.height == H
    scale = min(W / w, H / h)
    assert abs(box.width - max(1, w * scale)) <= 1 and abs(box.height - max(1, h * scale)) <= 1


@pytest.mark.parametrize("size", [(320, 180), (500, 500), (37, 91), (1, 1), (2, 700), (641, 359)])
@pytest.mark.parametrize("transparent", [False, True])
def test_only_the_comparison_shows_the_camera(size: tuple[int, int], transparent: bool) -> None:
    composite = make_composite(transparent=transparent)
    before = composite.image.copy()
    for mode in ("result", "matte", "comparison"):
        picture = views.render(composite, mode, *size)
        assert picture.shape == (size[1], size[0], 3) and picture.dtype == np.uint8
        if mode != "comparison":
            assert pinkish(picture) == 0.0
        elif size[0] > 40:
            half = size[0] // 2
            assert share(picture[:, :half], CAMERA) > 0.1 and pinkish(picture[:, half + 2 :]) == 0.0
        picture[:] = 0  # the caller draws on it
    assert np.array_equal(composite.image, before), "a view shares memory with the composite"


def test_a_transparent_edge_over_the_checkerboard_is_the_blend_of_both() -> None:
    composite = make_composite(transparent=True)
    shown = views.result(composite, 320, 180).astype(np.float32)
    alpha = composite.image[:, :, 3:].astype(np.float32) / 255
    expected = composite.image[:, :, :3] * alpha + checkerboard(320, 180) * (1 - alpha)
    assert np.abs(shown - expected).max() <= 1.0


@pytest.mark.parametrize("size", [(1280, 720), (640, 360), (639, 359), (500, 281), (160, 90), (3, 2), (1500, 900)])
def test_scaling_keeps_the_size_asked_for_and_does_not_alias(size: tuple[int, int]) -> None:
    stripes = np.zeros((721, 1281, 3), np.uint8)
    stripes[:, ::2] = 200
    scaled = scale_to(stripes, *size)
    assert scaled.shape == (size[1], size[0], 3)
    if size[0] <= 640:
        assert np.abs(scaled.mean() - 100) < 3 and scaled.std() < 30, "the finest stripes turned into coarse ones"
    assert scale_to(stripes, 1281, 721) is stripes


# Overlay ------------------------------------------------------------------------------------------------------


def labels(status: Status) -> dict[str, str]:
    return {row.label or "fps": f"{row.number} {row.text}".strip() for row in statistics_rows(status, "result")}


def test_the_statistics_tell_everything_that_is_known_with_its_unit() -> None:
    assert labels(dataclasses.replace(STATUS, recording="/videos/take.mp4")) == {
        "fps": "30.0 fps",
        "AI": "23.4 ms",
        "Compositing": "2.1 ms",
        "Total": "41.2 ms · p95 55.7",
        "Device": "cpu · a processor",
        "Backend": "cpu",
        "Model": "rvm mobilenetv3 fp32 · ratio 0.4",
        "Drops": "captured 3 · 2 repeated",
        "GPU": "37 % · 3.0/8.0 GiB · 61 °C · 123 W · 1980 MHz",
        "Background": "color",
        "Source": "320x180 · demo",
        "View": "result",
        "Recording": "take.mp4",
    }


def test_what_is_not_known_is_left_out() -> None:
    assert labels(Status()) == {
        "fps": "0.0 fps",
        "AI": "-",
        "Compositing": "-",
        "Total": "-",
        "Drops": "none",
        "View": "result",
    }
    partly = labels(Status(gpu=GpuReading("Card", memory_used=1 << 30, utilisation=0)))
    assert partly["GPU"] == "0 % · 1.0 GiB"


def draw(overlay: Overlay, canvas: NDArray[np.uint8], status: Status, **options: bool) -> None:
    wanted = {"statistics": True, "help": False, "starting": False, **options}
    overlay.draw(canvas, lambda: status, display="result", **wanted)


@pytest.mark.parametrize("size", [(320, 180), (640, 360), (1280, 720), (3840, 2160), (200, 900), (90, 40), (3, 2)])
@pytest.mark.parametrize("options", [{}, {"help": True}, {"starting": True}, {"statistics": False}])
@pytest.mark.parametrize("stroke_fonts", [False, True])
def test_panels_stay_inside_and_text_is_readable_at_every_size(
    size: tuple[int, int],
    options: dict[str, bool],
    stroke_fonts: bool,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if stroke_fonts:  # OpenCV 4
        monkeypatch.setattr(text, "_face", lambda: None)
    text.measure.cache_clear()
    width, height = size
    margin = np.full((height + 20, width + 20, 3), 77, np.uint8)
    canvas = margin[10:-10, 10:-10]
    long = "a notice that is so long that it has to be broken into several lines, and then some, " * 4
    draw(Overlay(clock), canvas, dataclasses.replace(STATUS, messages=(long, "short")), **options)
    text.measure.cache_clear()
    canvas_free = margin.copy()
    canvas_free[10:-10, 10:-10] = 77
    assert (canvas_free == 77).all(), "drawn outside of the canvas"
    if width >= 320:
        assert panel.text_size(width, height) >= 11
        assert (canvas > 180).any(), "no bright letters"
        assert (canvas < 77).any(), "no dark ground"


def test_at_a_tiny_size_the_most_important_lines_stay() -> None:
    rows = statistics_rows(STATUS, "result")
    size = panel.text_size(320, 180)
    kept = [row.label for row in panel.fit_rows(rows, 100, size)]
    assert kept[:2] == ["", "AI"] and "Total" in kept and "View" not in kept
    assert panel.panel_height(panel.fit_rows(rows, 100, size), size) <= 100


def test_panels_are_drawn_five_times_a_second_and_blended_every_time(clock: FakeClock) -> None:
    overlay = Overlay(clock)
    asked: list[int] = []

    def status() -> Status:
        asked.append(clock.now_ns())
        return STATUS

    pictures = []
    for _ in range(60):
        canvas = np.full((360, 640, 3), 77, np.uint8)
        overlay.draw(canvas, status, display="result", statistics="table", help=False)
        pictures.append(canvas)
        clock.advance(1 / 60)
    assert len(asked) == overlay.redraws == 5
    assert all(np.array_equal(picture, pictures[0]) for picture in pictures)
    overlay.draw(np.zeros((200, 640, 3), np.uint8), status, display="result", statistics="table", help=False)
    assert overlay.redraws == 6, "another size needs another drawing at once"


@pytest.mark.parametrize("size", [(480, 300), (360, 640), (640, 360), (1280, 720), (3840, 2160)])
@pytest.mark.parametrize("statistics", ["line", "table"])
def test_all_that_can_be_shown_at_once_lies_side_by_side(
    size: tuple[int, int], statistics: str, clock: FakeClock
) -> None:
    told = dataclasses.replace(
        STATUS,
        recording="take.mp4",
        recorded_s=75,
        recorded_bytes=11_000_000,
        fetching="fetching RVM: 3 of 15 MB",
        messages=("capture has made no progress for 2 s",),
    )
    for help in (False, True):
        overlay = Overlay(clock)
        overlay.toast("background 3/8: beach")
        canvas = np.zeros((size[1], size[0], 3), np.uint8)
        overlay.draw(canvas, lambda: told, display="result", statistics=statistics, help=help, floor=size[1] // 8)
        panels = [[x, y, each.width, each.height] for each, x, y in overlay._panels]
        if help and size[1] < 600:
            panels = panels[:-1]  # for two seconds the answer covers the help
        layout = {"of": size, "bar": [("bar", 0, size[1] - size[1] // 8, size[0], 1)], "panels": panels, "cut": []}
        assert laid_out_well(layout), (help, panels)


@pytest.mark.parametrize(("size", "words"), [(0, "01:15"), (49_000, "01:15"), (11_000_000, "01:15 · 11.0 MB")])
def test_a_size_that_is_not_known_yet_is_not_told(
    size: int, words: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(text, "draw", lambda canvas, words, *more: drawn.append(words))
    told = Status(recording="take.mp4", recorded_s=75, recorded_bytes=size)
    draw(Overlay(clock), np.zeros((360, 640, 3), np.uint8), told, statistics=False)
    assert drawn[-1] == words


def amber(clock: FakeClock, overlay: Overlay, messages: tuple[str, ...], **options: bool) -> bool:
    clock.advance(overlay_module.REFRESH_SECONDS)
    canvas = np.full((360, 640, 3), 20, np.uint8)
    draw(overlay, canvas, Status(messages=messages), **options)
    return share(canvas, panel.AMBER) > 0.0001


def test_a_notice_is_shown_for_some_seconds_also_without_statistics(clock: FakeClock) -> None:
    overlay = Overlay(clock)
    assert not amber(clock, overlay, ())
    assert amber(clock, overlay, ("the GPU is gone",), statistics="off")
    clock.advance(overlay_module.MESSAGE_SECONDS / 2)
    assert amber(clock, overlay, ("the GPU is gone",))
    clock.advance(overlay_module.MESSAGE_SECONDS / 2)
    assert not amber(clock, overlay, ("the GPU is gone",))
    assert amber(clock, overlay, ("the GPU is gone", "the disk is slow"))
    overlay.restart_messages()
    clock.advance(overlay_module.MESSAGE_SECONDS - 1)
    assert amber(clock, overlay, ("the GPU is gone",))


def test_what_is_told_again_is_shown_again(clock: FakeClock) -> None:
    overlay, notices = Overlay(clock), Notices()
    for again in (notices.news, notices.again, overlay.tell):
        again("the stream is back")
        assert amber(clock, overlay, notices.messages)
        clock.advance(overlay_module.MESSAGE_SECONDS)
        assert not amber(clock, overlay, notices.messages)
        again("the stream is back")
        assert amber(clock, overlay, notices.messages)
        clock.advance(overlay_module.MESSAGE_SECONDS)


@pytest.mark.parametrize("width", [1280, 640, 320])
def test_a_long_answer_is_shown_whole_and_for_as_long_as_it_takes_to_read(
    clock: FakeClock, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(text, "draw", lambda canvas, words, *more: drawn.append(words))
    monkeypatch.setattr(panel, "draw", text.draw)
    overlay, answer = Overlay(clock), "there is no background number 9: there are 3, and this is the last of them"

    def shown() -> str:
        drawn.clear()
        overlay.draw(np.zeros((360, width, 3), np.uint8), Status, display="result", statistics="off", help=False)
        return " ".join(filter(None, drawn))

    overlay.toast("mirror on")
    assert shown() == "mirror on"
    clock.advance(overlay_module.TOAST_SECONDS)
    assert shown() == ""
    overlay.toast(answer)
    clock.advance(overlay_module.TOAST_SECONDS)
    assert shown() == answer
    clock.advance(5)
    assert shown() == ""


@given(st.text(max_size=60), st.integers(0, 400), st.integers(8, 30))
def test_shortened_text_fits(words: str, width: int, size: int) -> None:
    short = text.shorten(words, width, size)
    assert text.measure(short, size) <= width or short == ""
    assert short == words or short.endswith("…") or short == ""


@given(st.lists(st.text("abc ", min_size=1, max_size=12), max_size=20), st.integers(60, 400), st.integers(1, 4))
def test_wrapped_text_fits_and_loses_nothing_but_its_end(words: list[str], width: int, lines: int) -> None:
    whole = " ".join(" ".join(words).split())
    broken = text.wrap(whole, width, 12, lines)
    assert len(broken) <= lines and all(text.measure(line, 12) <= width for line in broken)
    joined = " ".join(broken)
    assert joined == whole or "…" in joined


def test_a_picture_that_is_gone_is_told_apart_from_one_that_is_not_there_yet(clock: FakeClock) -> None:
    overlay, told = Overlay(clock), Status(phase="stream x stalled; trying again", messages=("an old story",))

    def drawn(starting: bool) -> NDArray[np.uint8]:
        canvas = np.zeros((360, 640, 3), np.uint8)
        overlay.draw(canvas, lambda: told, display="result", statistics="table", help=False, starting=starting)
        return canvas

    first = drawn(True)
    assert (drawn(True) == first).all()
    drawn(False)
    clock.advance(60)
    assert (drawn(True) != first).any(), "another headline, and the old story is over"
