"""The program's own window as people use it: what is dropped on it, and what it says without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import ROOT, missing
from tests.support.display import Display
from tests.support.dragging import drag_onto
from tests.support.mirror import certificate, serving
from tests.support.pictures import share_of
from tests.support.videos import make_film

pytestmark = pytest.mark.window

SEA, WOOD, FILM = (160, 90, 20), (30, 110, 60), (20, 160, 230)  # blue, green, red


def share(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> float:
    return share_of(picture, colour, 16)


class Program:
    """The running program, and all answers and notices of its window."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.told: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                self.told += json.loads(line).values()

    def says(self, words: str, timeout: float = 20) -> bool:
        return Display.wait(lambda: any(words in line for line in self.told), timeout)


@contextmanager
def running(
    display: Display, *arguments: str | Path, env: Mapping[str, str] | None = None, inside: Sequence[str] = ()
) -> Iterator[Program]:
    """The program on the demo, with a stand-in engine that finds the person in the left half."""
    command = [
        *inside,
        sys.executable,
        "-m",
        "tests.support.told_app",
        "demo",
        "--size",
        "640x360",
        *map(str, arguments),
    ]
    environment = {**display.env, **(env or {}), "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=pipe, stderr=pipe, encoding="utf-8") as process:
        program = Program(process)
        try:
            yield program
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.slow
def test_what_is_dropped_becomes_the_background_and_is_answered(display: Display, tmp_path: Path) -> None:
    """From a real drag source, through the X server, into the program's window."""
    sea, wood, film, notes, bad = (
        tmp_path / name for name in ("the sea #1.png", "wood", "film.mkv", "notes.txt", "broken.jpg")
    )
    cv2.imwrite(str(sea), np.full((90, 160, 3), SEA, np.uint8))
    wood.write_bytes(cv2.imencode(".jpg", np.full((90, 160, 3), WOOD, np.uint8))[1].tobytes())  # no suffix is needed
    make_film(film, [np.full((90, 160, 3), FILM, np.uint8)] * 10, fps=10, codec="ffv1", pix_fmt="bgr0")
    notes.write_text("bread, milk\n")
    bad.write_bytes(b"no picture")

    with running(display, "--engine", "tests.support.engines:LeftHalfEngine", "-b", "#00ff00") as program:
        display.wait_for(lambda picture: share(picture, (0, 255, 0)) > 0.3, timeout=60)

        def drop(*files: Path, kind: str = "text/uri-list") -> None:
            place = display.window_geometry()
            content = [file.as_uri() for file in files] or ["https://example.org/picture.png"]
            assert drag_onto(display.name, int(display.window()), (place.x + 200, place.y + 100), content, kind)

        def shows(colour: tuple[int, int, int]) -> bool:
            return share(display.wait_for(lambda picture: share(picture, colour) > 0.3), colour) > 0.3

        drop(sea)
        assert program.says("background 11/11: the sea #1") and shows(SEA), program.told
        drop(film)
        assert program.says("background 12/12: film") and shows(FILM), program.told
        drop(notes)
        assert program.says("notes.txt contains no picture and no video"), program.told
        drop(bad)
        assert program.says("the background image broken.jpg is not a picture that can be read"), program.told
        assert shows(FILM), "what cannot be shown changes nothing"
        drop(wood, sea, notes)
        assert program.says("background 13/14: wood, and 1 more; notes.txt contains no picture"), program.told
        assert shows(WOOD), "the first of several is seen"
        drop()
        drop(kind="text/plain")
        assert program.says("that is not a file: save it as one, and drop that file"), program.told
        place = display.window_geometry()
        assert not drag_onto(display.name, int(display.window()), (place.x, place.y), ["?"], "application/x-color")
        assert program.process.poll() is None and not any(str(tmp_path) in line for line in program.told)
        display.key("q")
        assert program.process.wait(60) == 0


# Weights ------------------------------------------------------------------------------------------------------

SIMPLE = "Simple cut-out (lite). "


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A machine on which the program never ran."""
    monkeypatch.delenv("RVM_LIVE_WEIGHTS", raising=False)
    return {"RVM_LIVE_CACHE": str(tmp_path / "cache")}


def moves(display: Display) -> bool:
    """Whether the picture still changes."""
    before = display.screenshot("rvm-live")
    return bool((display.wait_for(lambda picture: bool((picture != before).any())) != before).any())


@pytest.mark.slow
def test_without_a_network_the_window_says_so_at_the_start_and_at_w(display: Display, new: dict[str, str]) -> None:
    alone = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True).returncode:
        missing("unshare, which takes a program off the network, cannot be used here", required="RVM_LIVE_REQUIRE_ALL")
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    display_env = {**environment, "DISPLAY": display.env["DISPLAY"], **new}
    with running(display, env=display_env, inside=alone) as program:
        assert program.says(f"{SIMPLE}No network: press w later", timeout=60), program.told
        for times in (1, 2):
            display.key("w")
            assert program.says("fetching RVM"), program.told
            assert Display.wait(lambda: program.told.count("No network: press w later") == times), program.told  # noqa: B023
        assert moves(display)
        display.key("q")
        assert program.process.wait(60) == 0
        assert program.process.stderr is not None
        assert "http" not in program.process.stderr.read()
    unasked = [line for line in program.told if not line.startswith("fetching RVM")]
    assert not [line for line in unasked if "GPL" in line or "http" in line], "what cannot be had is not told of"


@pytest.mark.slow
def test_w_fetches_rvm_while_the_picture_goes_on(
    display: Display, new: dict[str, str], weights: Path, tmp_path: Path
) -> None:
    body, go = weights.read_bytes(), threading.Event()

    def answer(handler: BaseHTTPRequestHandler, _: int) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        half = len(body) // 2
        handler.wfile.write(body[:half])
        go.wait(30)
        handler.wfile.write(body[half:])

    with serving(answer, secure=True) as (url, _):
        environment = {**new, "RVM_LIVE_WEIGHTS_URL": url, "REQUESTS_CA_BUNDLE": str(certificate())}
        report = tmp_path / "report.json"
        with running(display, "--stats-json", report, env=environment) as program:
            assert program.says(f"{SIMPLE}Press w for better edges: 15 MB, GPL-3.0", timeout=60), program.told
            display.key("w")
            assert program.says("fetching RVM: 15 MB, GPL-3.0") and program.says("of 15 MB"), program.told
            assert moves(display)
            go.set()
            assert Display.wait(lambda: "" in program.told, 20), "what was fetched is no longer told"
            assert program.says("RVM is ready: better edges from now on"), program.told
            display.key("w")
            assert program.says("RVM is ready and used from now on"), program.told
            assert Display.wait((tmp_path / "cache").is_dir) and moves(display)
            display.key("e")
            assert program.says("engine: lite"), "RVM was in use"
            assert moves(display)
            display.key("q")
            assert program.process.wait(30) == 0
    assert not any("fetch" in told for told in json.loads(report.read_text())["fallbacks"])
