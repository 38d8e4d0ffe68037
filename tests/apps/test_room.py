"""`rvm-live room`: pictures of the empty room, through a real camera's driver; they are kept, listed and deleted."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rvm_live.apps import room as app
from rvm_live.apps.live_people import People
from rvm_live.apps.room import record
from rvm_live.cli import main
from rvm_live.core.controls import Controls
from rvm_live.core.errors import SettingsError
from rvm_live.core.settings import LiveSettings, SourceSettings
from rvm_live.engines.things import rooms
from tests.support.mjpeg import MjpegServer

EMPTY = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 256, (240, 320, 3), np.uint8), (0, 0), 4)


def said(*words: str) -> int:
    """The exit code of the command line."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0)


def with_chair() -> np.ndarray:
    picture = EMPTY.copy()
    picture[120:220, 60:140] = (20, 30, 200)
    return picture


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.slow
def test_a_room_is_taken_through_a_camera_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with MjpegServer() as camera:
        camera.shown = EMPTY
        told: list[str] = []

        def tell(line: str) -> None:
            told.append(line)
            if line == app.THINGS:
                camera.shown = with_chair()

        room, share = record(SourceSettings(camera.url), seconds=1.5, tell=tell)
        assert told == [app.EMPTY, "1", app.THINGS, "1"]
        assert share == pytest.approx(100 * 80 / (240 * 320), rel=0.15)
        kept = rooms.load(room.label)
        assert kept is not None
        assert kept.things is not None
        assert np.abs(kept.empty.astype(int) - EMPTY).mean() < 6
        again, _ = record(SourceSettings(camera.url), props=True, seconds=0)
        assert (again.empty == kept.empty).all()
    controls = Controls(People(LiveSettings(), lambda: room.label).controls())
    controls.chair = "keep"
    assert said("room", "--list") == 0
    assert f"{room.label}: 320x240, with things" in capsys.readouterr().out
    assert said("room", "--forget", room.label) == 0
    assert rooms.rooms() == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "choose what to do"),
        (["--props"], "choose what to do"),
        (["--record", "--list"], "choose what to do"),
        (["--forget", "attic"], "there is no recorded room 'attic'"),
        (["--record", "--seconds", "1e9"], "out of range"),
        (["--record", "--source", "7"], "camera 7"),
        (["--record", "--source", "auto", "--seconds", "0"], "there is no camera"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    assert said("room", *words) == 2
    told = capsys.readouterr().err
    assert complaint in told
    assert "Traceback" not in told
    assert len(told.strip().splitlines()) == 1
    assert not (home / "rooms").exists()


def test_pictures_without_a_thing_are_not_kept() -> None:
    with MjpegServer() as camera:
        camera.shown = EMPTY
        with pytest.raises(SettingsError, match="the two pictures show no difference"):
            record(SourceSettings(camera.url), seconds=0)
        with pytest.raises(SettingsError, match="there is no picture of the empty room"):
            record(SourceSettings(camera.url), props=True, seconds=0)
    assert rooms.rooms() == []


def test_the_control_refuses_what_there_are_no_pictures_for() -> None:
    controls = Controls(People(LiveSettings(), lambda: "camera 0 (X)").controls())
    with pytest.raises(SettingsError, match="there are no pictures of the room from camera 0"):
        controls.chair = "keep"
    assert controls.chair == "drop"
    with pytest.raises(SettingsError, match="choose one of drop, keep"):
        controls.chair = "sell"
    controls.set(only_me=True, person="0.25,0.75")
    assert (controls.only_me, controls.person) == (True, "0.25,0.75")
