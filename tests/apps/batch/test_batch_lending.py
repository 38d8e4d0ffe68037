"""Many files with one engine: it is opened once, its state is new for each file, and the bytes are those of single
runs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rvm_live.compositing.back_ends import BackEnds
from tests.conftest import ROOT
from tests.support.engines import NotingEngine
from tests.support.movies import make_movie
from tests.support.program import call, start
from tests.support.videos import beginning_of
from tests.support.waiting import until

NOTING = ("--engine", "tests.support.engines:NotingEngine", "--background", "color:#000000")
REMEMBERING = ("--engine", "tests.support.engines:RememberingEngine")
FILM = ("--segment", "1", "--seq-chunk", "6", "--background", "color:#000000")


@pytest.fixture
def notes() -> list[str]:
    NotingEngine.notes.clear()
    return NotingEngine.notes


def clips(folder: Path, sizes: str, frames: int = 5) -> Path:
    """A clip for each letter: a and b differ in size, f has a size at which the engine fails."""
    folder.mkdir()
    for number, letter in enumerate(sizes):
        size = {"a": (96, 64), "b": (64, 48), "f": (96, 80)}[letter]
        make_movie(folder / f"{number}{letter}.mp4", frames=frames + number, size=size, sound=())
    return folder


def test_it_is_opened_once_for_all_files_of_a_size(tmp_path: Path, notes: list[str]) -> None:
    done = call("batch", clips(tmp_path / "in", "aaaa"), "-o", tmp_path / "out", *NOTING)
    assert done.code == 0, done.out
    assert [each for each in notes if each != "reset"] == ["open", "prepare 96x64", "close"]
    assert notes[-1] == "close"
    assert notes.count("reset") >= 4, "each file begins with an empty state"


def test_another_size_or_a_failure_begins_anew_and_none_is_left_open(tmp_path: Path, notes: list[str]) -> None:
    done = call("batch", clips(tmp_path / "in", "aabffaa"), "-o", tmp_path / "out", *NOTING)
    assert done.out.splitlines()[-1] == "5 done, 2 failed"
    notes[:] = [each for each in notes if each != "reset"]
    big, small, bad = "prepare 96x64", "prepare 64x48", "prepare 96x80"
    assert notes == [each for size in (big, small, bad, bad, big) for each in ("open", size, "close")]


def films(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.mkv"))}


def alone(folder: Path, out: Path, *options: str) -> dict[str, bytes]:
    for path in sorted(folder.iterdir()):
        assert call("batch", path, "-o", out, *options).code == 0
    return films(out)


@pytest.mark.parametrize("engine", ["tests.support.engines:RememberingEngine", "lite", "openvino", "rvm"])
@pytest.mark.few(1)
def test_the_bytes_are_those_of_each_file_alone(data: Path, weights: Path, tmp_path: Path, engine: str) -> None:
    if engine == "openvino" and importlib.util.find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed")
    folder = tmp_path / "in"
    folder.mkdir()
    for number, source in enumerate(sorted((data / "clips" / "webcam").glob("*.mp4"))[:2]):
        beginning_of(source, folder / f"{number}.mp4", 12 + number, (320, 180))
    shutil.copy(folder / "0.mp4", folder / "2.mp4")
    options = ("--engine", engine, "--device", "cpu", "--container", "mkv", "--background", "transparent", *FILM)
    if engine in ("openvino", "rvm"):
        options = (*options, "--weights", str(weights), "--downsample-ratio", "0.25")
        # A network that OpenVINO has just compiled rounds differently from one read back from its cache.
        assert call("batch", folder / "0.mp4", "-o", tmp_path / "first", *options).code == 0
    done = call("batch", folder, "-o", tmp_path / "out", *options)
    assert done.code == 0, done.out
    made = films(tmp_path / "out")
    assert len(made) == 3
    assert made == alone(folder, tmp_path / "alone", *options)
    assert made["output_0.mkv"] == made["output_2.mkv"] != made["output_1.mkv"]


@pytest.mark.slow
def test_a_lent_engine_takes_up_a_state_like_a_fresh_one(tmp_path: Path) -> None:
    folder, out = clips(tmp_path / "in", "aa", frames=24 * 6), tmp_path / "out"
    options = ("--container", "mkv", "--background", "transparent", *FILM)
    expected = alone(folder, tmp_path / "alone", *REMEMBERING, *options)
    with start("batch", folder, "-o", out, *REMEMBERING, *options) as process:
        until(lambda: (out / ".output_1a.parts" / "00002.json").exists(), 60)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (out / "output_0a.mkv").unlink()
    done = call("batch", folder, "-o", out, *REMEMBERING, *options, "--resume")
    assert done.code == 0, done.out
    assert "continued at frame" in done.out
    assert films(out) == expected


def test_no_file_waits_for_a_back_end_that_none_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    tried = BackEnds._try
    monkeypatch.setattr(BackEnds, "_try", lambda self, name, *rest: (opened.append(name), tried(self, name, *rest)))
    done = call("batch", clips(tmp_path / "in", "ab"), "-o", tmp_path / "out", *REMEMBERING)
    assert done.code == 0, done.out
    assert opened == ["cpu", "cpu"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_files(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from rvm_live.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as leaving: assert leaving.code == 0\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
    )
    peaks = []
    for count in (4, 40):
        folder = clips(tmp_path / str(count), "a")
        for number in range(1, count):
            shutil.copy(folder / "0a.mp4", folder / f"{number}.mp4")
        command = [sys.executable, "-c", code, "batch", "--engine", "lite", "--device", "cpu", str(folder)]
        command += ["-o", str(tmp_path / "out"), "--force"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True)
        peaks.append(float(done.stdout.splitlines()[-1]))
    assert peaks[1] - peaks[0] < 60, f"{peaks} MB"
