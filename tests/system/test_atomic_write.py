"""Files appear complete or not at all, and only files are ever replaced."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from rvm_live.system import atomic_write
from tests.support.program import call


def test_a_file_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    atomic_write.write(tmp_path / "a.txt", b"one")
    atomic_write.write(tmp_path / "a.txt", b"two")
    assert (tmp_path / "a.txt").read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        atomic_write.write(tmp_path / "folder", b"one")
    assert os.listdir(tmp_path) == ["folder"]


@pytest.fixture(params=["pipe", "socket", "link to a pipe"])
def special(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Something that is not a file, and would be lost if a file were renamed over it, as ``/dev/null`` would be."""
    path = tmp_path / "special"
    if request.param == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    else:
        os.mkfifo(path if request.param == "pipe" else tmp_path / "pipe")
        if request.param != "pipe":
            path.symlink_to(tmp_path / "pipe")
    return path


def test_devices_and_pipes_are_not_replaced(special: Path) -> None:
    mode = special.lstat().st_mode
    part = special.with_name("part")
    part.touch()
    for attempt in (lambda: atomic_write.write(special, b"x"), lambda: atomic_write.replace(part, special)):
        with pytest.raises(OSError, match="device or a pipe"):
            attempt()
    assert special.lstat().st_mode == mode
    assert not list(special.parent.glob(".*"))


@pytest.mark.parametrize("option", ["--record", "--stats-json"])
def test_a_live_run_takes_the_place_of_no_device(option: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    done = call("--source", "demo", "--headless", "--frames", "1", option, tmp_path / "pipe.mp4")
    assert done.code == 2, done.out
    assert "device or a pipe" in done.complaint
    assert [stat.S_ISFIFO(each.lstat().st_mode) for each in tmp_path.iterdir()] == [True]


def test_a_monitor_takes_the_place_of_no_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gpu_x.csv")
    done = call("monitor", "--seconds", "0.2", "--output", tmp_path, "--name", "x")
    assert done.code == 2, done.out
    assert "device or a pipe" in done.complaint
    assert [stat.S_ISFIFO(each.lstat().st_mode) for each in tmp_path.iterdir()] == [True]
