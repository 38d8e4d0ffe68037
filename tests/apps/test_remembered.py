"""``--remember``: the next run begins with this run's last settings; where the pictures came from is never stored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from rvm_live.apps.remembered import KEPT, Remembered, keep, kept_path, load, remembering
from rvm_live.backgrounds.parse import default_cycle
from rvm_live.cli import cli
from rvm_live.cli.live import settings_from
from rvm_live.compositing.composer import Composer
from rvm_live.core.controls import Control, Controls
from rvm_live.core.settings import LiveSettings
from rvm_live.sinks.window.display import Screen
from rvm_live.sinks.window.hotkeys import ViewState, view_controls
from rvm_live.sinks.window.views import opening_size
from tests.apps.test_live_controls import running
from tests.conftest import ROOT
from tests.support.display import Display
from tests.support.program import call

REMEMBER = LiveSettings(remember=True)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "settings"))
    return tmp_path / "settings"


def parts(*backgrounds: str) -> tuple[Controls, Composer, ViewState]:
    composer = Composer(default_cycle(backgrounds or ("red", "blur", "green")))
    view = ViewState()
    background = Control("background", lambda: composer.background, composer.show_background)
    return Controls([background, *view_controls(view)]), composer, view


def test_how_it_looked_is_there_again(tmp_path: Path) -> None:
    picture = tmp_path / "my beach.png"
    cv2.imwrite(str(picture), np.zeros((9, 16, 3), np.uint8))
    with running(tmp_path) as app:
        app.controls.set(view="matte", statistics="table", background=str(picture))
        app.controls.set(follow=True, zoom=1.5, shift=(0.1, 0.0))
        keep(app.controls, app.composer, (800, 450))
        assert app.controls.background == "my beach"
    with running(tmp_path) as app, remembering(REMEMBER, app.controls, app.composer, None):
        found = app.controls.state()
        assert (found["view"], found["statistics"], found["background"]) == ("matte", "table", "my beach")
        assert (found["follow"], found["zoom"], tuple(found["shift"])) == (True, 1.5, (0.1, 0.0))
    assert load().window == (800, 450), "a run without a window leaves that as it was"


def test_what_was_said_in_this_run_is_left_alone() -> None:
    controls, composer, _ = parts()
    controls.set(view="matte", background="color #00ff00")
    keep(controls, composer, None)
    controls, composer, view = parts()
    with remembering(LiveSettings(remember=True, said=("view",)), controls, composer, None):
        assert view.display == "result" and controls.background == "color #00ff00"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--remember"], set()),
        (["--remember", "-b", "red", "--view", "matte"], {"background", "view"}),
        (["--remember", "--no-stats", "--fullscreen"], {"statistics", "fullscreen"}),
    ],
)
def test_what_the_command_line_says_is_known(
    words: list[str], said: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[LiveSettings] = []
    monkeypatch.setattr("rvm_live.cli.run_live", lambda options, *_: seen.append(settings_from(options)) or 0)
    with pytest.raises(SystemExit):
        cli.main(words, standalone_mode=False)
    assert seen[0].remember and set(seen[0].said) & set(KEPT) == said


def test_without_the_option_nothing_is_kept_or_taken() -> None:
    controls, composer, _ = parts()
    controls.background = "color #00ff00"
    keep(controls, composer, None)
    before = kept_path().read_bytes()
    controls, composer, _ = parts()
    with remembering(LiveSettings(), controls, composer, None):
        controls.view = "matte"
    assert controls.background == "color #ff0000" and kept_path().read_bytes() == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[1]",
        '{"controls": 7, "background_file": 1, "window": "large"}',
        '{"controls": {"view": 7, "background": ["x"], "source": "rtsp://x"}, "window": [1, 99999]}',
        '{"controls": {"background": "of a file that is gone"}, "background_file": "/nowhere/x.png"}',
        '{"window": [true, true]}',
        "[" * 100_000,
    ],
)
def test_a_file_that_is_none_is_as_if_there_were_none(folder: Path, text: str) -> None:
    folder.mkdir()
    kept_path().write_text(text)
    assert load().window is None and set(load().controls) <= set(KEPT)
    controls, composer, view = parts()
    with remembering(REMEMBER, controls, composer, None):
        assert (view.display, controls.background) == ("result", "color #ff0000")
    assert json.loads(kept_path().read_text())["controls"]["background"] == "color #ff0000"


def test_an_address_is_never_kept(folder: Path) -> None:
    _, composer, _ = parts()
    values = {"background": "rtsp://me:pw@host/x", "source": "rtsp://me:pw@host/y", "camera": "Cam", "view": "matte"}
    told = Controls([Control(name, lambda value=value: value, lambda value: None) for name, value in values.items()])
    keep(told, composer, None)
    text = kept_path().read_text()
    assert "host" not in text and "Cam" not in text and "matte" in text


def test_it_is_shown_where_a_value_comes_from(folder: Path) -> None:
    controls, composer, _ = parts()
    controls.set(view="matte", background="blur 25")
    keep(controls, composer, None)

    def shown(*words: str) -> dict[str, tuple[object, str]]:
        rows = json.loads(call(*words, "config", "show", "--json").out)["settings"]
        return {row["key"]: (row["value"], row["from"]) for row in rows}

    assert shown("--remember")["display"] == ("matte", f"remembered in {kept_path()}")
    assert shown("--remember")["background"] == ("blur 25", f"remembered in {kept_path()}")
    assert shown("--remember", "--view", "result")["display"] == ("result", "command line")
    assert shown()["display"] == ("result", "default")


@pytest.mark.skipif(os.name != "posix", reason="/proc")
def test_where_nothing_can_be_kept_the_run_is_not_disturbed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", "/proc/nowhere")
    controls, composer, _ = parts()
    with remembering(REMEMBER, controls, composer, None):
        pass
    assert "--remember cannot store anything" in caplog.text
    assert load() == Remembered()


def test_a_window_larger_than_the_screen_fits_into_it() -> None:
    screen = Screen(size=(1280, 800), area=(1280, 760))
    assert opening_size((640, 360), screen, (500, 400)) == (500, 400)
    assert opening_size((640, 360), screen, (5000, 400)) == (1280, 400)
    assert opening_size((640, 360), Screen(), (5000, 400)) == (5000, 400)


@contextmanager
def program(display: Display, settings: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "rvm_live", "demo", "--config", str(settings), "--remember"]
    environment = {**display.env, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, encoding="utf-8") as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.window
def test_the_window_is_as_it_was(display: Display, folder: Path, tmp_path: Path) -> None:
    settings = tmp_path / "rvm-live.toml"
    settings.write_text(
        'engine = "tests.support.engines:LeftHalfEngine"\nsize = "640x360"\nbackground = ["#00ff00", "#0000ff"]\n'
    )

    def share(picture: np.ndarray, bgr: tuple[int, int, int]) -> float:
        return float((np.abs(picture.astype(int) - bgr).max(axis=2) <= 16).mean())

    with program(display, settings) as process:
        display.wait_for(lambda picture: share(picture, (0, 255, 0)) > 0.3)
        display.resize("rvm-live", 500, 420)
        display.key("b")
        display.wait_for(lambda picture: share(picture, (255, 0, 0)) > 0.3)
        display.key("q")
        assert process.wait(60) == 0, process.stderr and process.stderr.read()
    with program(display, settings) as process:
        display.wait_for(lambda picture: share(picture, (255, 0, 0)) > 0.3)
        place = display.window_geometry()
        assert (place.width, place.height) == (500, 420)
        display.key("q")
        assert process.wait(60) == 0
