"""Ctrl-C and its like in a batch run: at every moment a good end, told as what it is, and nothing good lost to it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rvm_live.apps.batch import run as running
from rvm_live.apps.batch.inputs import Job
from rvm_live.apps.batch.matting import Shared
from rvm_live.apps.batch.report import Done
from tests.support.movies import hidden, make_movie
from tests.support.program import Outcome, call, finish, start

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX")

HALF = ("--engine", "tests.support.engines:LeftHalfEngine", "--background", "color:#000000")
CODES = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated"), signal.SIGHUP: (129, "hung up")}


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Four files: good, broken, good, broken."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "ac":
        make_movie(folder / f"{name}.mp4", frames=6, sound=())
    for name in "bd":
        (folder / f"{name}.mp4").write_bytes(b"this is no video" * 100)
    return folder


def stopped_at(
    moment: int, patch: pytest.MonkeyPatch, number: signal.Signals = signal.SIGINT, *, after: bool = False
) -> None:
    """Send the signal while that file is being handled, before or after all that is done for it."""
    real = running.work_off

    def work_off(shared: Shared, job: Job, which: int) -> Done:
        def send() -> None:
            if which == moment:
                os.kill(os.getpid(), number)
                assert shared.stopped.wait(30)

        if after:
            done = real(shared, job, which)
            send()
            return done
        send()
        return real(shared, job, which)

    patch.setattr(running, "work_off", work_off)


@pytest.mark.parametrize(
    ("moment", "after", "told"),
    [
        (0, False, "0 done, 1 unfinished, 3 untouched, interrupted"),
        (0, True, "1 done, 3 untouched, interrupted"),
        (1, False, "1 done, 1 failed, 2 untouched, interrupted"),
        (2, False, "1 done, 1 failed, 1 unfinished, 1 untouched, interrupted"),
        (3, False, "2 done, 2 failed, interrupted"),
        (3, True, "2 done, 2 failed, interrupted"),
    ],
)
def test_ctrl_c_is_told_whatever_is_being_done(
    moment: int, after: bool, told: str, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_at(moment, monkeypatch, after=after)
    done = call("batch", *HALF, clips, "-o", tmp_path / "out")
    assert (done.code, done.out.splitlines()[-1]) == (130, told), done.err
    assert not hidden(tmp_path / "out")


@pytest.mark.few(1)
@pytest.mark.parametrize("number", CODES)
def test_the_exit_code_and_the_word_are_the_signals(
    number: signal.Signals, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_at(1, monkeypatch, number)
    done = call("batch", *HALF, clips, "-o", tmp_path / "out")
    code, word = CODES[number]
    assert (done.code, done.out.splitlines()[-1]) == (code, f"1 done, 1 failed, 2 untouched, {word}")


@pytest.mark.parametrize("name", ["jobs", "parse", "choose", "closing"])
def test_before_and_after_the_files_too(
    name: str, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., Any] = getattr(running, name)
    sent = iter([signal.SIGINT])

    def called(*arguments: Any) -> Any:
        for number in sent:
            signal.raise_signal(number)  # to this thread: any other may hear it too late on a busy machine
            assert name != "closing" or arguments[0].stopped.wait(30)
        return real(*arguments)

    monkeypatch.setattr(running, name, called)
    engine = ("--engine", "auto", "--offline") if name == "choose" else HALF
    done = call("batch", *engine, clips, "-o", tmp_path / "out")
    told = ("0 done, 4 untouched, interrupted\n", "") if name == "closing" else ("", "interrupted\n")
    assert (done.code, done.out, done.err.lstrip()) == (130, *told)
    assert not list((tmp_path / "out").glob("*"))


def test_a_file_that_was_whole_when_it_came_is_done(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rvm_live.apps.batch.tracks import BatchSink

    real, sent = BatchSink.close, iter([signal.SIGINT])

    def close(self: BatchSink, *, failed: bool) -> None:
        real(self, failed=failed)
        for number in sent:
            os.kill(os.getpid(), number)
            threading.Event().wait(0.3)

    monkeypatch.setattr(BatchSink, "close", close)
    done = call("batch", *HALF, clips / "a.mp4", "-o", tmp_path / "out")
    assert (done.code, done.out.splitlines()[-1]) == (130, "1 done, interrupted")
    assert "state        done" in (tmp_path / "out" / "log_output_a.txt").read_text()
    monkeypatch.undo()
    assert "1 kept" in call("batch", *HALF, clips / "a.mp4", "-o", tmp_path / "out").out


def test_the_exit_code_is_ours_wherever_in_a_module_it_comes(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("exec('raise KeyboardInterrupt')")
    with start("batch", clips, "-o", "out", "--engine", "mine:Engine", cwd=tmp_path) as process:
        done = finish(process)
    assert (done.code, done.out, done.err.lstrip()) == (130, "", "interrupted\n")


# What an earlier run has left


def stop_while_matting(clip: Path, out: Path, patch: pytest.MonkeyPatch, *options: str) -> Outcome:
    from tests.support.engines import LeftHalfEngine

    real, sent = LeftHalfEngine.matte, iter([signal.SIGINT])

    def matte(self: LeftHalfEngine, frame: Any) -> Any:
        for number in sent:  # once: a second one would, a moment later, end the tests too
            os.kill(os.getpid(), number)
        return real(self, frame)

    with patch.context() as now:
        now.setattr(LeftHalfEngine, "matte", matte)
        return call("batch", *HALF, clip, "-o", out, "--force", *options)


@pytest.mark.few(1)
@pytest.mark.parametrize("other", [(), ("--container", "mkv")], ids=["the same output", "another container"])
def test_an_interrupted_run_leaves_the_good_ones_records_alone(
    other: tuple[str, ...], clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, clip = tmp_path / "out", make_movie(tmp_path / "long.mp4", frames=400, sound=())
    assert call("batch", *HALF, clip, "-o", out, "--monitor").code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert {"log_output_long.txt", "gpu_output_long.csv", "gpu_output_long.png"} <= before.keys()
    done = stop_while_matting(clip, out, monkeypatch, "--monitor", *other)
    assert (done.code, done.out.splitlines()[-1]) == (130, "0 done, 1 unfinished, interrupted")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_failed_run_is_told_below_the_good_ones_log_once(clips: Path, tmp_path: Path) -> None:
    out, clip = tmp_path / "out", clips / "a.mp4"
    assert call("batch", *HALF, clip, "-o", out).code == 0
    log = out / "log_output_a.txt"
    good = log.read_text()
    for _ in range(2):
        failing = ("--engine", "tests.support.engines:BuggyEngine", "--force")
        assert call("batch", *failing, clip, "-o", out).code == 1
        text = log.read_text()
        assert text.startswith(good)
        assert text.count("unexpected ZeroDivisionError") == 1 and text.count("state        failed") == 1
    assert call("batch", *HALF, clip, "-o", out, "--force").code == 0
    assert "later run" not in log.read_text()


def test_a_log_without_its_output_is_replaced(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, clip = tmp_path / "out", make_movie(tmp_path / "long.mp4", frames=400, sound=())
    assert call("batch", *HALF, clip, "-o", out).code == 0
    (out / "output_long.mp4").unlink()
    assert stop_while_matting(clip, out, monkeypatch).code == 130
    assert "state        interrupted" in (out / "log_output_long.txt").read_text()
