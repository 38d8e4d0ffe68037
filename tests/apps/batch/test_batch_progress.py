"""Progress of a batch run: true statements, on a terminal and elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rvm_live.apps.batch.inputs import jobs, left_out
from rvm_live.apps.batch.progress import Preparations, Progress
from rvm_live.apps.batch.settings import BatchSettings
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.cli.progress import HowFar, Lines
from rvm_live.compositing.composer import Composer
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.queues import Overflow
from rvm_live.pipeline import pipeline
from rvm_live.system import folders
from tests.conftest import ROOT
from tests.support.clock import FakeClock
from tests.support.engines import LeftHalfEngine
from tests.support.movies import make_movie
from tests.support.program import call
from tests.support.sources import PatternSource

Event = dict[str, Any]
HALF = ("--engine", "tests.support.engines:LeftHalfEngine")


def name(event: Event) -> str:
    return Path(event["input"]).name


def progress(number: int, frames: int, of: int | None) -> Event:
    return {"event": "progress", "number": number, "input": f"in/{number}.mp4", "frames": frames, "of": of}


def preparing(seconds: float, last_time: float | None) -> Event:
    return {"event": "preparing", "number": 0, "input": "in/0.mp4", "seconds": seconds, "last_time": last_time}


# The words


def test_the_line_tells_file_part_time_and_rate() -> None:
    clock = FakeClock()
    far = HowFar(name, clock)
    far.hear({"event": "start", "files": 4})
    assert str(far) == "1 of 4 · starting"
    far.hear(preparing(3.2, None))
    assert str(far) == "1 of 4 · preparing the network: 3 s"
    far.hear(preparing(5.0, 12.3))
    assert str(far) == "1 of 4 · preparing the network: 5 s (12 s last time)"
    far.hear(progress(0, 5, 400))
    assert str(far) == "1 of 4 · 1 %"
    clock.advance(7.8)
    far.hear(progress(0, 153, 400))
    assert str(far) == "1 of 4 · 38 % · 13 s left · 19 fps"
    clock.advance(10)
    far.hear(progress(0, 400, 400))
    assert str(far) == "1 of 4 · 100 % · joining the parts"
    far.hear({"event": "file", "number": 0})
    assert str(far) == "2 of 4"
    for number in range(1, 4):
        far.hear({"event": "file", "number": number})
    assert str(far) == "4 of 4"


def test_what_is_not_known_is_left_out() -> None:
    clock = FakeClock()
    far = HowFar(name, clock)
    far.hear({"event": "start", "files": 1})
    far.hear(progress(0, 10, None))
    clock.advance(2)
    far.hear(progress(0, 14, None))
    assert str(far) == "1 of 1 · 14 frames · 2.0 fps"
    far.hear(progress(0, 30, 20))  # a file with more frames than it claims
    assert str(far) == "1 of 1 · 30 frames · 10 fps"


def test_several_files_at_once_are_one_line() -> None:
    clock = FakeClock()
    far = HowFar(name, clock)
    far.hear({"event": "start", "files": 5})
    far.hear({"event": "file", "number": 0})
    for number, of in ((1, 100), (2, 300)):
        far.hear(progress(number, 0, of))
    clock.advance(10)
    for number, of in ((1, 100), (2, 300)):
        far.hear(progress(number, 50, of))
    assert str(far) == "2-3 of 5 · 25 % · 30 s left · 10 fps"
    assert far.names == "1.mp4, 2.mp4"
    far.hear({"event": "stopping"})
    assert str(far) == "2-3 of 5 · finishing what is begun, then stopping (Ctrl-C again: stop at once)"


@pytest.mark.parametrize(
    ("rate", "left"), [(10.0, "10 s"), (1.0, "2 min"), (0.01, "2 h 47 min"), (1 / 90, "2 h 30 min")]
)
def test_long_times_are_told_in_minutes_and_hours(rate: float, left: str) -> None:
    clock = FakeClock()
    far = HowFar(name, clock)
    far.hear({"event": "start", "files": 1})
    far.hear(progress(0, 0, 200))
    clock.advance(100 / rate)
    far.hear(progress(0, 100, 200))
    assert f" · {left} left" in str(far)


# The events


def events(clock: FakeClock, ready: list[float]) -> tuple[list[Event], Progress]:
    told: list[Event] = []
    about = {"number": 0, "input": "a.mp4"}
    return told, Progress(told.append, about, 100, lambda: clock.now_ns() / 1e9 >= ready[0], "net 640x360", clock)


def test_preparing_is_counted_up_and_what_it_took_is_known_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "cache"))
    clock = FakeClock()
    for last_time, took in ((None, 12.0), (12.0, 3.0), (3.0, 0.1), (3.0, 2.0)):
        told, one = events(clock, [clock.now_ns() / 1e9 + took])
        for _ in range(round(took / 0.05) + 1):
            one.idle()
            clock.advance(0.05)
        seconds = [each["seconds"] for each in told]
        assert seconds == sorted(seconds) and len(seconds) <= 4 * took
        assert not seconds or (1.0 <= seconds[0] < 1.5 and took - 0.5 < seconds[-1] <= took)
        assert {each["event"] for each in told} <= {"preparing"}
        assert {each["last_time"] for each in told} <= {last_time}
        one.seen(1)
        one.idle()
        assert told[-1:] == [] or told[-1]["event"] in ("preparing", "progress")
    assert Preparations().seconds("net 640x360") == 2.0
    assert Preparations().seconds("another") is None


def test_an_end_without_a_pause_is_measured_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "cache"))
    clock = FakeClock()
    _, one = events(clock, [clock.now_ns() / 1e9 + 4])
    clock.advance(4)
    one.seen(1)
    clock.advance(50)
    one.idle()
    assert Preparations().seconds("net 640x360") == 4.0


@pytest.mark.parametrize(
    "text", ["", "[]", '{"net 640x360": "long"}', '{"net 640x360": -1}', '{"net 640x360": 1e999}', "["]
)
def test_a_damaged_memory_is_none(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    (tmp_path / "preparing.json").write_text(text)
    assert Preparations().seconds("net 640x360") is None
    Preparations().remember("net 640x360", 5)
    assert Preparations().seconds("net 640x360") == 5


def test_where_nothing_can_be_kept_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "cache_folder", lambda: Path(os.devnull) / "none")
    Preparations().remember("net", 5)
    assert Preparations().seconds("net") is None


def test_every_progress_is_told_four_times_a_second_at_most_and_the_end_for_certain() -> None:
    clock = FakeClock()
    told, one = events(clock, [0.0])
    for frames in range(1, 101):
        clock.advance(0.02)
        one.seen(frames)
    one.all_seen(100)
    assert 7 <= len(told) <= 9
    assert (told[-1]["frames"], told[-1]["of"]) == (100, 100)


# Without a terminal


def test_plain_lines_come_rarely(capsys: pytest.CaptureFixture[str]) -> None:
    clock = FakeClock()
    with Lines(str, name, clock) as lines:
        lines({"event": "start", "files": 2})
        for tenth in range(40):
            lines(preparing(tenth / 10, None))
            clock.advance(0.1)
        for second in range(100):
            lines(progress(0, second * 10, 2000))
            clock.advance(1)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "0.mp4: 1 of 2 · preparing the network: 3 s",
        "0.mp4: 1 of 2 · 14 % · 3 min left · 10 fps",
        "0.mp4: 1 of 2 · 30 % · 2 min left · 10 fps",
        "0.mp4: 1 of 2 · 44 % · 2 min left · 10 fps",
    ]


def test_a_note_is_told_once_a_run(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for letter in "abc":
        make_movie(tmp_path / "in" / f"{letter}.mov", frames=4, codec="mpeg4", sound=("pcm_s16le",))
    done = call("batch", *HALF, tmp_path / "in", "-o", tmp_path / "out", "--container", "mp4", "--background", "red")
    assert done.code == 0, done.out + done.err
    told = "pcm_s16le cannot be stored in mp4, encoded as aac"
    assert (done.out + done.err).count(told) == 1
    for letter in "abc":
        assert told in (tmp_path / "out" / f"log_output_{letter}.txt").read_text()


def test_the_log_tells_settings_in_words(tmp_path: Path) -> None:
    make_movie(tmp_path / "a.mp4", frames=4, sound=())
    options = ("--write", "composite,alpha", "--weights", tmp_path, "--seq-chunk", "2")
    assert call("batch", *HALF, tmp_path / "a.mp4", "-o", tmp_path / "out", *options).code == 0
    log = (tmp_path / "out" / "log_output_a.txt").read_text()
    told = {
        "write": "composite, alpha",
        "weights": str(tmp_path),
        "seq chunk": "2",
        "engine": "tests.support.engines:LeftHalfEngine",
        "offline": "no",
        "ray": "not set",
    }
    for name, words in told.items():
        assert f"\n  {name:<16} {words}\n" in log, (name, log)
    settings = log.partition("settings\n")[2].partition("versions")[0].replace(str(tmp_path), "")
    assert not re.search(r"\b(None|True|False)\b|Path\(|Settings\(|\('|\w=", settings), settings


# What is left out


def test_what_a_folder_holds_besides_is_named(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "in" / "out"
    folder.mkdir()
    make_movie(folder / "a.mp4", frames=4, sound=())
    (folder / "deep").mkdir()
    for other in ("still.txt", "deep/notes.txt", ".hidden.txt"):
        (folder / other).write_text("words")
    for _ in range(2):  # outputs are not taken for inputs
        done = call("batch", *HALF, folder, "-o", out)
        assert done.err.splitlines() == ["2 other files left out: still.txt, notes.txt"], done.err
    done = call("batch", *HALF, folder / "a.mp4", "-o", tmp_path / "other")
    assert done.err == ""
    for number in range(5):
        (folder / f"z{number}.doc").touch()
    done = call("batch", *HALF, folder, "-o", out, "--json")
    (note,) = [e for e in map(json.loads, done.out.splitlines()) if e["event"] == "note"]
    assert note["text"] == "7 other files left out: still.txt, z0.doc, z1.doc, z2.doc and 3 more"


def test_what_is_taken_is_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "row").mkdir()
    for number in range(3):
        (tmp_path / "row" / f"f_{number}.png").touch()
    (tmp_path / "a.mp4").touch()
    (tmp_path / "one.txt").touch()
    settings = BatchSettings((str(tmp_path), str(tmp_path / "a.mp4")), tmp_path / "out")
    assert left_out(settings, jobs(settings)) == [tmp_path / "one.txt"]


# On a terminal


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a terminal as on POSIX")
def test_on_a_terminal_one_line_stays_below_the_others(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for letter in "ab":
        make_movie(tmp_path / "in" / f"{letter}.mp4", frames=60, sound=())
    (tmp_path / "in" / "notes.txt").touch()
    screen = on_a_terminal(
        "batch", "--engine", "tests.support.engines:SlowAllAlongEngine", tmp_path / "in", "-o", tmp_path / "out"
    )
    assert re.search(r"1 of 2 · preparing the network: [1-9] s", screen), screen
    assert re.search(r"1 of 2 · [1-9][0-9]? % · [1-9] s left · [0-9.]+ fps · a\.mp4", screen), screen
    assert re.search(r"2 of 2 · [1-9][0-9]? % · ", screen), screen
    assert screen.count("1 other file left out: notes.txt") == 1
    assert screen.count("a.mp4: 60 frames, ") == screen.count("2 done") == 1


def on_a_terminal(*arguments: str | Path) -> str:
    """Everything the program writes to a terminal, without control codes for the cursor."""
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    command = [sys.executable, "-m", "rvm_live", *map(str, arguments)]
    process = subprocess.Popen(command, env=environment, stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    read = b""
    try:
        while data := os.read(ours, 65536):
            read += data
    except OSError:  # how Linux signals a terminal's end
        pass
    os.close(ours)
    assert process.wait(30) == 0
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", read.decode())


# Slow is not the same as hung


@pytest.mark.few(1)
@pytest.mark.parametrize("phase", ["", "converting the network"])
@pytest.mark.parametrize("overflow", Overflow)
def test_where_nobody_waits_a_network_that_takes_its_time_is_not_stuck(
    overflow: Overflow, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not stuck in live video either, while the engine says that it is at work on it."""
    monkeypatch.setattr(pipeline, "STUCK_NS", 100_000_000)

    class Compiling(LeftHalfEngine):
        @property
        def phase(self) -> str:
            return phase

        def matte(self, frame: Frame) -> Matte:
            time.sleep(0.6)
            return super().matte(frame)

    notices = Notices()
    green = Composer([ColorBackground("#00ff00")], notices=notices)
    running = pipeline.Pipeline(PatternSource(frames=3), Compiling(), green, overflow=overflow, notices=notices)
    running.run()
    assert any("no progress" in text for text in notices.fallbacks) == (overflow is Overflow.DROP_OLDEST and not phase)
