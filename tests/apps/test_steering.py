"""A running program can be controlled from outside: only by its own user, in lines, whatever else arrives."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rvm_live.apps.steering import place
from rvm_live.apps.steering.client import Program, program, programs
from rvm_live.apps.steering.server import Steering, steered
from rvm_live.apps.steering.wire import LONGEST_WISH
from rvm_live.cli import main
from rvm_live.core.controls import Control, Controls, number, one_of, truth
from rvm_live.core.errors import SettingsError
from tests.conftest import ROOT
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(not place.HAS_SOCKETS, reason="Unix sockets")

PLACES = ["beach", "blur 25", "office"]


def controls() -> Controls:
    values: dict[str, Any] = {"background": "beach", "privacy": False, "zoom": 1.0, "recording": None}

    def control(name: str, **more: Any) -> Control:
        return Control(name, lambda: values[name], lambda value: values.__setitem__(name, value), **more)

    return Controls(
        [
            control("background", check=one_of("background", lambda: PLACES), choices=lambda: PLACES),
            control("privacy", check=truth("privacy"), kind="switch"),
            control("zoom", check=number("zoom", 0.5, 4), kind="number", limits=(0.5, 4)),
            control("recording", kind="text"),
        ]
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where running programs are found."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return place.folder()


@pytest.fixture(params=[True, False], ids=["socket", "port"])
def steering(request: pytest.FixtureRequest, home: Path) -> Iterator[Steering]:
    made = Steering(controls(), lambda: {"pid": os.getpid(), "engine": "lite"}, sockets=request.param)
    made.start()
    yield made
    made.close()
    assert not made.path.exists()


def test_what_is_asked_for_is_done_and_answered(steering: Steering) -> None:
    there = program()
    assert (there.pid, there.path) == (os.getpid(), steering.path)
    assert there.ask("status") == {"pid": os.getpid(), "engine": "lite"}
    assert there.ask("set", values={"background": "office", "privacy": "on"})["background"] == "office"
    assert steering._controls.privacy is True
    assert there.ask("step", name="background", steps=1) == "beach"
    assert [each["name"] for each in there.ask("list")] == ["background", "privacy", "zoom", "recording"]
    with pytest.raises(SettingsError, match="there is no background 'offce': did you mean 'office'"):
        there.ask("set", values={"privacy": False, "background": "offce"})
    assert steering._controls.privacy is True, "all of them, or none"
    with pytest.raises(SettingsError, match="unknown command 'shell'"):
        there.ask("shell", words="rm")


def test_nobody_else_can_open_it(steering: Steering, home: Path) -> None:
    assert stat.S_IMODE(steering.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    if steering.path.suffix == place.PORT:
        said = json.loads(steering.path.read_text())
        for secret in ("", "0" * 64, None, ["x"]):
            with socket.create_connection(("127.0.0.1", said["port"])) as stranger:
                stranger.sendall(json.dumps({"secret": secret}).encode() + b"\n" + b'{"do": "status"}\n')
                assert stranger.recv(100) == b"", "no word"
        assert steering._listening.getsockname()[0] == "127.0.0.1"


def test_somebody_elses_process_is_not_answered(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Steering(controls(), dict)
    made.start()
    try:
        monkeypatch.setattr("rvm_live.apps.steering.server.os.getuid", lambda: 12345)
        monkeypatch.setattr("rvm_live.apps.steering.server.struct.unpack", lambda *_: (1, 999, 999))
        with pytest.raises(SettingsError, match="does not answer"):
            Program(os.getpid(), made.path).ask("status")
    finally:
        made.close()


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"hello\n", "a line is not JSON"),
        (b"[1]\n", "a line is not a JSON object"),
        (b"\xff\xfe\x00\n", "a line is not JSON"),
        (b"[" * 5000 + b"\n", "a line is not JSON"),
        (b"x" * (LONGEST_WISH + 17000), f"a line is longer than {LONGEST_WISH} bytes"),
        (b'{"do": "set"}\n', "there is nothing to set"),
        (b'{"do": "set", "values": {"backgroud": 1}}\n', "there is no control 'backgroud'"),
        (b'{"do": "step", "name": 7}\n', "unknown command 'step'"),
        (b"{}\n", "unknown command None"),
    ],
)
def test_nonsense_is_one_clear_line_and_the_next_is_answered(home: Path, sent: bytes, answer: str) -> None:
    made = Steering(controls(), lambda: {"engine": "lite"})
    made.start()
    try:
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(str(made.path))
            stranger.sendall(sent)
            told = json.loads(stranger.makefile().readline())
        assert told["ok"] is False and answer in told["error"] and "\n" not in told["error"]
        assert program().ask("status") == {"engine": "lite"}
    finally:
        made.close()


def test_whoever_says_nothing_or_asks_too_much_holds_up_nobody_for_good(home: Path) -> None:
    made = Steering(controls(), lambda: {"engine": "lite"})
    made.start()
    silent = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    try:
        for each in silent[:3]:
            each.connect(str(made.path))
        assert program().ask("status") == {"engine": "lite"}
        for each in silent[3:]:
            each.connect(str(made.path))
        for each in silent:
            each.close()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                assert program().ask("status") == {"engine": "lite"}
                break
            except SettingsError:
                time.sleep(0.05)
        else:
            raise AssertionError("no answer")
    finally:
        made.close()


def test_what_a_killed_program_left_is_removed_and_several_are_told_apart(home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(home / "7.sock"))
    (home / "8.port").write_text("not JSON")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        (home / "9.port").write_text(json.dumps({"port": closed.getsockname()[1], "secret": "x"}))
    (home / "notes.txt").write_text("mine")
    assert programs() == [] and sorted(path.name for path in home.iterdir()) == ["notes.txt"]
    with pytest.raises(SettingsError, match="no rvm-live is running"):
        program()
    both = [Steering(controls(), lambda pid=pid: {"number": pid}) for pid in (11, 12)]
    for pid, each in zip((11, 12), both, strict=True):
        each.path = home / f"{pid}.sock"
        each.start()
    try:
        assert [each.pid for each in programs()] == [11, 12]
        with pytest.raises(SettingsError, match="several programs are running: choose one with --pid: 11, 12"):
            program()
        assert program(12).ask("status") == {"number": 12}
        with pytest.raises(SettingsError, match=r"there is no rvm-live with process ID 13 \(running: 11, 12\)"):
            program(13)
    finally:
        for each in both:
            each.close()


def test_a_folder_that_is_not_the_users_alone_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "tmp"))
    ours = tmp_path / "rvm-live"
    ours.mkdir(mode=0o777)
    ours.chmod(0o777)
    assert place.folder() == ours and stat.S_IMODE(ours.stat().st_mode) == 0o700
    ours.rmdir()
    ours.symlink_to(tmp_path)
    with pytest.raises(SettingsError, match="no private folder"):
        place.folder()
    ours.unlink()
    ours.mkdir()
    uid = os.getuid()
    monkeypatch.setattr("os.getuid", lambda: uid + 1)
    with pytest.raises(SettingsError, match="it belongs to another user"):
        place.folder()
    with steered(controls(), dict):
        pass  # the run continues without it


def spoken(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code and output."""
    with pytest.raises(SystemExit) as leaving:
        main(["ctl", *words])
    told = capsys.readouterr()
    return int(leaving.value.code or 0), (told.out + told.err).strip()


def test_where_nothing_runs_it_is_one_line_and_exit_code_2(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["background", "beach"], ["status"], ["--pid", "7", "stop"]):
        code, told = spoken(capsys, *words)
        assert code == 2 and told.startswith("rvm-live: error: ") and "no rvm-live" in told and "\n" not in told
    assert spoken(capsys, "programs") == (0, "")


def test_the_command_says_what_is_so_now(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Steering(controls(), lambda: {"engine": "lite", "paused": False})
    made.start()
    monkeypatch.chdir(tmp_path)
    try:
        for words, told in (
            (["background", "office"], "office"),
            (["background", "blur", "25"], "blur 25"),
            (["background"], "blur 25"),
            (["next", "background"], "office"),
            (["back", "background"], "blur 25"),
            (["privacy"], "on"),
            (["privacy", "off"], "off"),
            (["zoom", "1.5"], "1.5"),
            (["record", "me.mp4"], str(tmp_path / "me.mp4")),
            (["record", "stills/"], f"{tmp_path / 'stills'}/"),
            (["record"], "on"),
            (["set", "zoom", "2", "privacy", "on"], "zoom     2\nprivacy  on"),
            ([], "engine  lite\npaused  off"),
            (["--json", "zoom"], '{"zoom": 2.0}'),
        ):
            assert spoken(capsys, *words) == (0, told), words
        assert "zoom            2                      (0.5 to 4)" in spoken(capsys, "list")[1]
        for words, complaint in (
            (["zoom", "9"], "zoom must be a number from 0.5 to 4, not '9'"),
            (["zom", "2"], "there is no control 'zom': did you mean zoom?"),
            (["set", "zoom"], "set needs a value after each name"),
            (["status", "now"], "'now' is not expected here"),
            (["next"], "name a control"),
        ):
            code, told = spoken(capsys, *words)
            assert code == 2 and complaint in told, words
    finally:
        made.close()


@pytest.mark.slow
def test_a_real_program_is_steered(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    options = ["demo", "--headless", "--engine", "lite", "--size", "320x180", "-b", "#ff0000", "-b", "#00ff00"]
    with subprocess.Popen(
        [sys.executable, "-m", "rvm_live", *options],
        env=environment | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert until(lambda: programs() or running.poll() is not None, 60)
        try:
            assert spoken(capsys, "background", "color #00ff00") == (0, "color #00ff00")
            assert spoken(capsys, "follow") == (0, "on")
            while not (status := program().ask("status"))["engine"]:
                time.sleep(0.05)
            assert (status["pid"], status["background"], status["engine"]) == (running.pid, "color #00ff00", "lite")
            assert spoken(capsys, "stop")[0] == 0
            assert running.wait(60) == 0, running.stderr.read() if running.stderr else ""
        finally:
            running.kill()
    assert programs() == [] and list(home.iterdir()) == []
