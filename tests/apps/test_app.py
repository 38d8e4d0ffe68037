"""The whole program on a screen: real windows, real keys, real clips, and eyes made of NumPy."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.display import Display
from tests.support.pictures import share_of
from tests.support.program import finish, start
from tests.support.videos import make_film

GREEN = (0, 255, 0)
PERSON = (200, 120, 40)  # blue, green, red
ROOM = (200, 0, 200)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip whose left half is a person's colour and whose right half is a magenta room; a white bar moves."""
    path = tmp_path_factory.mktemp("room") / "room.mkv"
    pictures = np.zeros((60, 360, 640, 3), np.uint8)
    pictures[:, :, :320] = PERSON
    pictures[:, :, 320:] = ROOM
    for number, picture in enumerate(pictures):
        picture[100 + number * 2 : 110 + number * 2, 40:60] = 255
    make_film(path, pictures, codec="ffv1", pix_fmt="bgr0")
    return path


def share(picture: NDArray[np.uint8], colour: tuple[int, int, int], tolerance: int = 12) -> float:
    """Part of the picture that has a colour."""
    return share_of(picture, colour, tolerance)


def changed(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Part of the picture that differs."""
    return float((one != other).any(axis=2).mean()) if one.shape == other.shape else 1.0


def half(engine: str = "LeftHalfEngine") -> list[str]:
    return ["--engine", f"tests.support.engines:{engine}", "--no-stats"]


@pytest.mark.slow
def test_keys_do_what_they_say(display: Display, room: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    options = ["--source", room, "--loop", *half(), "--background", "color:#00ff00", "--stats-json", report]
    with start(*options, env=display.env, cwd=tmp_path) as process:
        shown = display.wait_for(lambda p: share(p, GREEN) > 0.4 and share(p, PERSON) > 0.4)
        assert share(shown, ROOM) == 0
        assert share(shown[:, : shown.shape[1] // 2], PERSON) > 0.9

        display.key("o")  # comparison: the room is to the left of the line, and only there
        place = display.window_geometry()
        middle, height = place.x + place.width // 2, place.y + place.height // 2
        display.drag((middle, height), (place.x + place.width * 9 // 10, height))
        shown = display.wait_for(lambda p: share(p, ROOM) > 0.1)
        line = shown.shape[1] * 9 // 10
        assert share(shown[:, : line - 8], ROOM) > 0.1 and share(shown[:, line + 8 :], ROOM) == 0

        display.key("o")  # matte
        shown = display.wait_for(lambda p: share(p, (255, 255, 255)) > 0.4)
        assert share(shown, (0, 0, 0)) > 0.4
        display.key("o")
        display.wait_for(lambda p: share(p, PERSON) > 0.4)

        display.key("m")  # mirror: what is seen changes sides, and nothing else
        shown = display.wait_for(lambda p: share(p[:, p.shape[1] // 2 + 4 :], PERSON) > 0.9)
        assert share(shown[:, shown.shape[1] // 2 + 4 :], PERSON) > 0.9 and share(shown, ROOM) == 0
        display.key("m")
        display.wait_for(lambda p: share(p[:, : p.shape[1] // 2], PERSON) > 0.9)

        display.key("s")  # a line in the corner, the table, nothing
        display.key("s")
        with_panel = display.wait_for(lambda p: 0.02 < share(p, PERSON) < 0.47)
        assert share(with_panel, PERSON) < 0.47
        display.key("s")
        display.wait_for(lambda p: share(p, PERSON) > 0.47)

        display.key("v")  # privacy
        alone = display.wait_for(lambda p: share(p, PERSON) == 0)
        assert share(alone, PERSON) == 0 and share(alone, GREEN) > 0.8
        display.key("v")
        display.wait_for(lambda p: share(p, PERSON) > 0.4)

        display.key("space")  # pause: the background stays
        alone = display.wait_for(lambda p: share(p, PERSON) == 0)
        assert share(alone, PERSON) == 0 and share(alone, GREEN) > 0.8
        display.key("space")
        display.wait_for(lambda p: share(p, PERSON) > 0.4)

        display.key("t")  # record, and stop
        assert display.wait(lambda: list(tmp_path.glob("*.incomplete*")) or list(tmp_path.glob(".*.mp4*")), 60)
        time.sleep(0.5)
        display.key("t")
        assert display.wait(lambda: list(tmp_path.glob("rvm-live-*.mp4")), 60)

        display.key("b")  # away from green
        shown = display.wait_for(lambda p: share(p, GREEN) < 0.1)
        assert share(shown, GREEN) < 0.1 and share(shown, ROOM) == 0 and share(shown, PERSON) > 0.3

        before = display.screenshot("rvm-live")
        display.key("h")
        helped = display.wait_for(lambda p: changed(p, before) > 0.1)
        assert changed(helped, before) > 0.1
        display.key("h")

        display.key("r")
        display.key("p")
        assert display.wait(lambda: list(tmp_path.glob("rvm-live-*.png")))
        saved = cv2.imread(str(next(tmp_path.glob("rvm-live-*.png"))), cv2.IMREAD_UNCHANGED)
        assert saved.shape == (360, 640, 4)
        assert (saved[:, 330:] == 0).all()  # nothing of the room hides under transparent pixels
        assert (saved[:, :310, 3] == 255).all()

        display.key("f")
        assert display.wait(lambda: display.window_geometry().width >= 1600)
        display.key("f")
        assert display.wait(lambda: display.window_geometry().width < 1600)

        display.key("g")
        display.key("q")
        done = finish(process)
    assert done.code == 0, done.err
    assert done.err == ""
    assert re.fullmatch(r"\d+ s · \d+\.\d fps · \d+ ms · saved rvm-live-\S+\.mp4, \d+ [kM]B\n", done.out), done.out
    (recorded,) = tmp_path.glob("rvm-live-*.mp4")
    with av.open(str(recorded)) as file:
        pictures = [frame.to_ndarray(format="bgr24") for frame in file.decode(video=0)]
    assert len(pictures) > 5
    assert all(share(picture, ROOM, 40) == 0 for picture in pictures)
    told = json.loads(report.read_text())
    assert told["exit_reason"] == "quit"
    assert told["ran"]["engine"] == "pass-through"
    assert told["ran"]["compositor"] != "opencv-cuda"


@pytest.mark.slow
def test_escape_quits(display: Display, room: Path) -> None:
    with start("--source", room, "--loop", *half(), env=display.env) as process:
        display.window()
        display.key("Escape")
        assert finish(process).code == 0


def test_closing_the_window_quits(display: Display, room: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with start("--source", room, "--loop", *half(), "--stats-json", report, env=display.env) as process:
        display.wait_for(lambda p: share(p, PERSON) > 0.3)
        display.close_window()
        assert finish(process).code == 0
    assert json.loads(report.read_text())["exit_reason"] == "window closed"


def test_the_room_is_never_shown(display: Display, room: Path, tmp_path: Path) -> None:
    """Before the first matte, while it runs, and when the engine fails: no magenta, ever, in any screenshot."""
    options = ["--source", room, "--loop", *half("LedEngine"), "--background", "color:#00ff00"]
    with start(*options, env={**display.env, "LED": str(tmp_path)}) as process:
        display.window()
        alone, person = 0, 0
        while process.poll() is None:
            picture = display.screenshot()
            assert share(picture, ROOM, 40) == 0
            somebody = share(picture, PERSON) > 0.05
            person += somebody
            alone += share(picture, GREEN) > 0.3 and not somebody
            if alone == 5:  # the background, before the first matte
                (tmp_path / "open").touch()
            if person == 5:
                (tmp_path / "fail").touch()
        done = finish(process)
    assert done.code == 2
    assert done.err.splitlines()[-1] == "rvm-live: error: the engine failed on purpose"
    assert alone >= 5 and person >= 5


@pytest.mark.slow
def test_a_person_is_cut_out_of_a_real_clip(display: Display, data: Path, weights: Path, tmp_path: Path) -> None:
    clip = data / "clips" / "webcam" / "volcomix_Doctor_26732.mp4"
    report = tmp_path / "report.json"
    options = ["--source", clip, "--loop", "--weights", weights, "--background", "color:#ff00ff", "--no-stats"]
    with start(*options, "--width", "640", "--stats-json", report, env=display.env) as process:
        shown = display.wait_for(lambda p: 0.2 < share(p, (255, 0, 255)) < 0.9, timeout=60)
        height, width = shown.shape[:2]
        assert share(shown[: height // 3, : width // 4], (255, 0, 255)) > 0.9  # the wall beside the head is gone
        chest = shown[height * 11 // 20 : height * 16 // 20, width * 10 // 20 : width * 15 // 20]
        assert share(chest, (255, 0, 255)) < 0.02  # the coat, as white as the wall, is not
        display.key("q")
        done = finish(process)
    assert done.code == 0, done.err
    ran = json.loads(report.read_text())["ran"]
    assert (ran["engine"], ran["model"], ran["device"]) == ("openvino", "mobilenetv3", "cpu")


@pytest.mark.slow
def test_that_the_cut_out_is_simple_is_told_once_and_in_the_window_alone(display: Display, tmp_path: Path) -> None:
    environment = {**display.env, "RVM_LIVE_CACHE": str(tmp_path / "cache")}
    environment.pop("RVM_LIVE_WEIGHTS", None)
    answers = tmp_path / "cache" / "answers.json"
    with start("demo", "--size", "640x360", env=environment) as process:
        assert display.wait(lambda: answers.exists() and "told" in json.loads(answers.read_text()), timeout=60)
        display.key("q")
        done = finish(process)
    assert done.code == 0, done.err
    assert done.err == ""
    assert re.fullmatch(r"\d+ s · \d+\.\d fps · \d+ ms\n", done.out), "what runs is what was asked for"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_the_run_in_good_order(
    display: Display, room: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    recording = tmp_path / "out.mp4"
    with start("--source", room, "--loop", *half(), "--record", recording, env=display.env) as process:
        display.wait_for(lambda p: share(p, PERSON) > 0.3)
        time.sleep(0.5)
        process.send_signal(number)
        done = finish(process)
    assert done.code == code, done.err
    assert f"saved {recording}, " in done.out
    with av.open(str(recording)) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 5
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.slow
def test_without_a_display_it_says_so_and_leaves_a_recording(display: Display, room: Path, tmp_path: Path) -> None:
    environment = {k: v for k, v in display.env.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    began = time.monotonic()
    with start("--source", room, "--loop", *half(), env=environment, cwd=tmp_path) as process:
        done = finish(process, timeout=60)
    assert done.code == 0, done.err
    assert "no window" in done.err and "DISPLAY" in done.err
    assert time.monotonic() - began >= 10
    (path,) = re.findall(r" saved (\S+), ", done.out)
    with av.open(str(tmp_path / path)) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert len(frames) > 100
    assert all(share(frame, ROOM, 40) < 0.01 for frame in frames[::20])
