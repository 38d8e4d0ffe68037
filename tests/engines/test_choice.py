"""The engine that ``auto`` chooses: RVM if its weights exist or may be fetched, else the embedded one; and the reason
given."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rvm_live.core.errors import UnavailableError, WeightsError
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import EngineInfo
from rvm_live.engines.choice import EMBEDDED, choose, question_open, told_once
from rvm_live.engines.select import AutoEngine, engine_for
from rvm_live.weights import KNOWN, consent
from tests.conftest import ROOT
from tests.support.mirror import certificate, send, serving
from tests.support.program import call
from tests.support.videos import make_video

CPU = EngineSettings(device="cpu")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which the program never ran."""
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RVM_LIVE_WEIGHTS", raising=False)


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch, weights: Path) -> Iterator[list[str]]:
    """A mirror that serves real weights; gives the list of requested paths."""
    body = weights.read_bytes()
    with serving(lambda handler, n: send(handler, body), secure=True) as (url, asked):
        monkeypatch.setenv("RVM_LIVE_WEIGHTS_URL", url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate()))
        yield asked


def test_nobody_was_asked_so_nothing_is_fetched(release: list[str]) -> None:
    choice = choose(CPU)
    assert choice.names == (EMBEDDED,)
    assert "weights pull" in choice.reason
    assert release == []
    assert question_open(EngineSettings())


def test_a_no_is_remembered(release: list[str]) -> None:
    consent.remember(False)
    assert "you chose not to fetch" in choose(CPU).reason
    assert release == []
    assert not question_open(EngineSettings())


def test_a_yes_is_remembered_and_fetches_once(release: list[str]) -> None:
    consent.remember(True)
    assert not question_open(EngineSettings())
    first, second = choose(CPU), choose(CPU)
    assert first.names == second.names == ("openvino", "rvm")
    assert first.reason == second.reason == ""
    assert first.settings.weights is not None and first.settings.weights.is_file()
    assert len(release) == 1


def test_a_failed_download_falls_to_the_embedded_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    consent.remember(True)
    with serving(lambda handler, n: handler.send_error(404), secure=True) as (url, asked):
        monkeypatch.setenv("RVM_LIVE_WEIGHTS_URL", url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate()))
        choice = choose(CPU)
    assert choice.names == (EMBEDDED,)
    assert "HTTP 404" in choice.reason
    assert len(asked) == 1


def test_offline_never_fetches_and_never_asks(release: list[str]) -> None:
    consent.remember(True)
    settings = EngineSettings(device="cpu", offline=True)
    assert "offline" in choose(settings).reason
    assert not question_open(EngineSettings(offline=True))
    assert release == []


def test_weights_at_hand_are_taken(weights: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert choose(EngineSettings(device="cpu", weights=weights)).names == ("openvino", "rvm")
    monkeypatch.setenv("RVM_LIVE_WEIGHTS", str(weights))
    assert choose(CPU).names == ("openvino", "rvm")
    assert not question_open(EngineSettings())
    monkeypatch.delenv("RVM_LIVE_WEIGHTS")
    cached = tmp_path / "cache" / "weights" / KNOWN["mobilenetv3"].file
    cached.parent.mkdir(parents=True)
    shutil.copy(weights, cached)
    assert choose(CPU).names == ("openvino", "rvm")
    assert choose(EngineSettings(device="cuda")).names == ("rvm",)


def test_what_was_asked_for_by_name_is_no_reason_to_take_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        choose(EngineSettings(weights=Path("nowhere.pth")))
    with pytest.raises(WeightsError, match="offline"):
        choose(EngineSettings(model="resnet50", offline=True))
    with pytest.raises(WeightsError, match="offline"):
        engine_for(EngineSettings(engine="rvm", offline=True))


def test_an_answer_that_cannot_be_read_is_none() -> None:
    assert consent.remembered() is None
    consent.answer_path().parent.mkdir(parents=True)
    for text in ("", "[]", "{}", '{"fetch_weights": "yes"}', "\x00"):
        consent.answer_path().write_text(text)
        assert consent.remembered() is None
    consent.remember(True)
    assert consent.remembered() is True
    assert [path.name for path in consent.answer_path().parent.iterdir()] == ["answers.json"]


def test_an_answer_that_cannot_be_kept_holds_for_the_run_and_is_told_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "file"))
    for answer in (True, False):
        consent.remember(answer)
        assert consent.remembered() is answer
    assert consent.first_time("x")
    assert not consent.first_time("x")
    told = [record.getMessage() for record in caplog.records]
    assert [line.partition(" (")[0] for line in told] == [f"answers cannot be stored in {consent.answer_path()}"]


def test_where_the_embedded_engine_cannot_run_the_missing_weights_are_named_too() -> None:
    with pytest.raises(UnavailableError, match=r"not on cuda.*weights are not here") as caught:
        AutoEngine(EngineSettings(device="cuda")).open()
    assert "\n" not in str(caught.value)


def test_the_library_takes_it_too_and_says_so(release: list[str]) -> None:
    engine = AutoEngine(CPU)
    try:
        info = engine.open()
        assert info.engine == EMBEDDED
        assert info.notes == ()
        assert any("RVM's weights are not here" in remark for remark in info.remarks)
    finally:
        engine.close()
    assert release == []


@pytest.mark.slow
def test_the_program_without_a_terminal_asks_and_fetches_nothing(release: list[str], tmp_path: Path) -> None:
    clip, report = make_video(tmp_path / "clip.mp4"), tmp_path / "report.json"
    done = call("--source", clip, "--headless", "--frames", "5", "--no-realtime", "--stats-json", report)
    assert done.code == 0, done.err
    told = json.loads(report.read_text())
    assert told["ran"]["engine"] == EMBEDDED
    assert told["fallbacks"] == [], "auto took what there is"
    assert "RVM" not in done.out
    short = "Simple cut-out (lite). Better edges: rvm-live weights pull (15 MB, GPL-3.0)\n"
    assert done.err == short
    assert release == []
    assert consent.remembered() is None
    again = call("--source", clip, "--headless", "--frames", "5", "--no-realtime", "--log-level", "info")
    assert short not in again.err, "once a machine"
    assert "the embedded engine lite runs: RVM's weights are not here" in again.err


@pytest.mark.slow
def test_a_place_that_keeps_nothing_is_told_the_line_at_each_start_and_no_more(
    release: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(consent, "_unkept", {})
    done = call("--source", make_video(tmp_path / "clip.mp4"), "--headless", "--frames", "2", "--no-realtime")
    assert done.code == 0
    assert "Simple cut-out" in done.err
    assert "answers cannot be stored" not in done.err


def test_weights_that_should_have_come_are_a_fallback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    consent.remember(True)
    monkeypatch.setenv("RVM_LIVE_WEIGHTS_URL", "http://127.0.0.1:9/")
    engine = AutoEngine(CPU)
    try:
        info = engine.open()
        assert info.engine == EMBEDDED
        assert any("could not be fetched" in note for note in info.notes)
        assert info.remarks == ()
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("window", "offline", "said"),
    [
        (True, False, "Simple cut-out (lite). Press w for better edges: 15 MB, GPL-3.0"),
        (True, True, "Simple cut-out (lite). For better edges a network connection is needed once: 15 MB, GPL-3.0"),
        (False, True, "Simple cut-out (lite). For better edges a network connection is needed once: 15 MB, GPL-3.0"),
    ],
)
def test_the_line_says_what_helps_here_once(window: bool, offline: bool, said: str) -> None:
    plain = EngineInfo(EMBEDDED, EMBEDDED, "cpu", "", "fp32")
    taken = replace(plain, remarks=("RVM's weights are not here",))
    assert told_once(plain, window=window, offline=offline) == "", "who asked for it, or fell to it, is told otherwise"
    assert told_once(taken, window=window, offline=offline) == said
    assert told_once(taken, window=window, offline=offline) == ""


def test_without_a_network_the_line_says_when_to_try_and_what_there_is_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = EngineInfo(EMBEDDED, EMBEDDED, "cpu", "", "fp32", remarks=("RVM's weights are not here",))
    with monkeypatch.context() as off:
        off.setattr("rvm_live.weights.no_way_out", lambda: True)
        assert told_once(taken, window=True, offline=False) == "Simple cut-out (lite). No network: press w later"
        assert told_once(taken, window=True, offline=False) == "", "once a machine"
    monkeypatch.setattr("rvm_live.weights.no_way_out", lambda: False)
    assert "15 MB, GPL-3.0" in told_once(taken, window=True, offline=False)


def on_a_terminal(clip: Path, answer: str) -> tuple[str, int]:
    """Run the program on a pseudo-terminal and type an answer when it asks; returns its output and exit code."""
    import pty  # Windows has none

    ours, theirs = pty.openpty()
    arguments = ["--source", str(clip), "--headless", "--frames", "3", "--no-realtime", "--device", "cpu", "--report"]
    arguments += ["--log-level", "info"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"}
    command = [sys.executable, "-m", "rvm_live", *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, close_fds=True)
    os.close(theirs)
    shown, typed, deadline = "", False, time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    shown += os.read(ours, 4096).decode()
                except OSError:  # the other end is closed
                    break
            if "[Y/n]" in shown and not typed:
                os.write(ours, answer.encode() + b"\n")
                typed = True
        return shown, process.wait(60)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are Unix's")
def test_a_terminal_is_asked_once(release: list[str], tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4")
    shown, code = on_a_terminal(clip, "n")
    assert code == 0, shown
    assert "GPL-3.0" in shown and "127.0.0.1" in shown
    assert "engine      lite on cpu" in shown, "which is no network of another name"
    assert "Simple cut-out" not in shown, "who was asked knows"
    shown, code = on_a_terminal(clip, "y")
    assert code == 0, shown
    assert "[Y/n]" not in shown
    assert "you chose not to fetch them" in " ".join(shown.split())
    assert release == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are Unix's")
def test_a_terminal_that_says_yes_gets_them(release: list[str], tmp_path: Path) -> None:
    shown, code = on_a_terminal(make_video(tmp_path / "clip.mp4"), "")
    assert code == 0, shown
    assert "mobilenetv3" in shown and "engine      lite" not in shown
    assert len(release) == 1


# Whose code runs: the notice about foreign code, given once


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", ["class", "model"])
def test_that_a_program_of_ones_own_runs_is_told_once(kind: str, tmp_path: Path) -> None:
    from tests.support.scripted import save_scripted

    options = ["--source", "demo", "--width", "64", "--height", "48", "--headless", "--frames", "2", "--device", "cpu"]
    if kind == "class":
        options += ["--engine", "tests.support.engines:LeftHalfEngine"]
    else:
        save_scripted("alpha", tmp_path / "model.pt")
        options += ["--engine", "torchscript", "--weights", str(tmp_path / "model.pt")]
    first, second = call(*options), call(*options)
    assert first.code == second.code == 0
    assert "runs with your rights" in first.err
    assert "runs with your rights" in first.out, "in the report, too"
    assert "rights" not in second.err + second.out


def test_the_answer_about_weights_stays_beside_it() -> None:
    consent.remember(True)
    assert consent.first_time("x")
    assert not consent.first_time("x")
    assert consent.remembered() is True
    consent.remember(False)
    assert not consent.first_time("x")


@pytest.mark.parametrize("content", ["[]", "{", '{"own_code": 3}', '{"own_code": [1, {}]}', "\xff", "[" * 5000])
def test_a_damaged_list_is_begun_anew(content: str) -> None:
    path = consent.answer_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode("latin-1"))
    assert consent.first_time("x")
    assert not consent.first_time("x")
