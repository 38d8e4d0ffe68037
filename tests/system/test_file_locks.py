"""Real locks, held by real processes that are really killed."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rvm_live.core.errors import SinkError
from rvm_live.system import file_locks
from rvm_live.system.file_locks import Lock
from tests.conftest import ROOT

_HOLD = (
    "import sys, time; from pathlib import Path; from rvm_live.system.file_locks import Lock\n"
    "lock = Lock(Path(sys.argv[1]), 'x', 'y'); lock.take(); print('held', flush=True); sys.stdin.read()"
)


@contextlib.contextmanager
def holding(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def lock(path: Path) -> Lock:
    return Lock(path, "the folder out", "wait for its end")


def test_the_second_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    path = tmp_path / ".x.lock"
    with holding(path) as process:
        for _ in range(2):  # the refused process does not erase the name
            with pytest.raises(SinkError) as refused:
                lock(path).take()
            told = str(refused.value)
            assert told.startswith(f"the folder out is in use by another run (process {process.pid} of ")
            assert told.endswith("): wait for its end")


def test_within_one_process_too(tmp_path: Path) -> None:
    with lock(tmp_path / "x"), pytest.raises(SinkError, match=f"process {os.getpid()} of"):
        lock(tmp_path / "x").take()


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_holder_holds_nothing(tmp_path: Path, sign: int) -> None:
    path = tmp_path / "x"
    with holding(path) as process:
        process.send_signal(sign)
        process.wait()
        assert path.exists(), "it was let go of in good order"
        with lock(path):
            assert f"process {os.getpid()} of " in path.read_text()
        assert not path.exists()


def test_it_is_gone_when_it_is_released_and_can_be_taken_again(tmp_path: Path) -> None:
    held = lock(tmp_path / "x")
    for _ in range(3):
        held.take()
        held.take()
        held.release()
        held.release()
        assert not list(tmp_path.iterdir())


def test_one_that_is_removed_while_another_opens_it_is_not_taken_for_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (lock(tmp_path / "x") for _ in range(3))
    first.take()
    take, calls = file_locks._lock, []

    def late(file: int) -> None:
        if not calls:
            calls.append(file)
            first.release()  # after the second one opened it, before it locks
        take(file)

    monkeypatch.setattr(file_locks, "_lock", late)
    second.take()
    assert calls
    with pytest.raises(SinkError, match="in use"):
        third.take()
    second.release()


def test_where_there_are_no_locks_it_goes_on_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none(file: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(file_locks, "_lock", none)
    with caplog.at_level(logging.WARNING), lock(tmp_path / "x"):
        assert "cannot be locked on this file system" in caplog.text


def test_what_is_no_file_or_leads_elsewhere_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder", "nowhere/x"):
        with pytest.raises(SinkError, match="cannot write"):
            lock(tmp_path / name).take()
    assert (tmp_path / "precious").read_text() == "precious"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "link", "pipe", "precious"]
