"""Files on many processes and machines: a real Ray cluster of two nodes, a worker killed in the middle."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import psutil
import pytest

from tests.conftest import ROOT
from tests.support.movies import hidden, inside, make_movie
from tests.support.program import Outcome, finish, start

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'rvm-live[ray]'"
)
REMEMBERING = ("--engine", "tests.support.engines:RememberingEngine")
FILM = ("--segment", "1", "--seq-chunk", "6", "--container", "mkv", "--background", "transparent")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two nodes with one CPU each."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.cluster"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


def call(*arguments: str | Path) -> Outcome:
    """Run the program as a process of its own, for Ray is for one run of a process."""
    with start(*arguments) as process:
        return finish(process, timeout=120)


def workers() -> list[psutil.Process]:
    """Processes of this program's workers."""
    return [each for each in psutil.process_iter() if _name(each).startswith("ray::Worker")]


def _name(process: psutil.Process) -> str:
    try:
        return (process.cmdline() or [""])[0]
    except psutil.Error:
        return ""


def clips(folder: Path, data: Path) -> Path:
    """Three clips of a person, small, of different lengths."""
    folder.mkdir()
    for number, source in enumerate(sorted((data / "clips" / "webcam").glob("*.mp4"))[:3]):
        with av.open(str(source)) as file, av.open(str(folder / f"{'abc'[number]}.mp4"), "w") as out:
            stream = out.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
            for count, frame in zip(range(60 + 30 * number), file.decode(video=0), strict=False):
                frame = frame.reformat(320, 180, "yuv420p")
                frame.pts, frame.time_base = count, Fraction(1, 25)
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
    return folder


def made(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".mkv"}


def test_two_nodes_give_the_bytes_of_one_process(cluster: str, data: Path, tmp_path: Path) -> None:
    source = clips(tmp_path / "in", data)
    alone = call("batch", source, "-o", tmp_path / "alone", *FILM, "--engine", "lite")
    assert alone.code == 0, alone.out + alone.err
    spread = call("batch", source, "-o", tmp_path / "spread", *FILM, "--engine", "lite", "--ray", cluster, "--json")
    assert spread.code == 0, spread.out + spread.err
    events = [json.loads(line) for line in spread.out.splitlines()]
    ended = [event for event in events if event["event"] == "file"]
    assert sorted(event["number"] for event in ended) == [0, 1, 2]
    assert {event["state"] for event in ended} == {"done"}
    assert any(event["event"] == "progress" for event in events)
    assert len(made(tmp_path / "alone")) == 3
    assert made(tmp_path / "spread") == made(tmp_path / "alone")
    assert sorted(path.name for path in (tmp_path / "spread").glob("log_*")) == [
        f"log_output_{name}.txt" for name in "abc"
    ]


def test_a_worker_that_is_killed_is_replaced_and_its_file_goes_on(cluster: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "ab":
        make_movie(tmp_path / "in" / f"{name}.mp4", frames=24 * 8 + 3)
    out = tmp_path / "out"
    assert call("batch", tmp_path / "in", "-o", tmp_path / "alone", *FILM, *REMEMBERING).code == 0
    with start("batch", tmp_path / "in", "-o", out, *FILM, *REMEMBERING, "--ray", cluster, "--json") as process:
        deadline = time.monotonic() + 90
        while not (out / ".output_a.parts" / "00002.json").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        victims = workers()
        assert len(victims) == 2
        victims[0].send_signal(signal.SIGKILL)
        done = finish(process, timeout=90)
    assert done.code == 0, done.out + done.err
    events = [json.loads(line) for line in done.out.splitlines()]
    notes = [event["text"] for event in events if event["event"] == "note"]
    assert any("a worker died" in note and "another goes on with it" in note for note in notes), notes
    ended = {Path(event["input"]).name: event for event in events if event["event"] == "file"}
    assert {name: event["state"] for name, event in ended.items()} == {"a.mp4": "done", "b.mp4": "done"}
    assert any(event["resumed"] >= 24 for event in ended.values()), "its whole segments were not done again"
    assert made(out) == made(tmp_path / "alone")
    assert not hidden(out)


def test_ctrl_c_ends_all_workers_in_good_order(cluster: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "abc":
        make_movie(tmp_path / "in" / f"{name}.mp4", frames=24 * 12)
    out = tmp_path / "out"
    with start("batch", tmp_path / "in", "-o", out, *FILM, *REMEMBERING, "--ray", cluster) as process:
        deadline = time.monotonic() + 90
        while not list(out.glob(".*.parts/00001.json")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        done = finish(process, timeout=90)
    assert done.code == 130, done.out + done.err
    assert "interrupted" in done.out
    assert not list(out.glob("*.mkv"))
    again = call("batch", tmp_path / "in", "-o", out, *FILM, *REMEMBERING, "--resume")
    assert again.code == 0
    assert "went on at frame" in again.out
    assert len(inside(out / "output_a.mkv").times) == 24 * 12


def test_what_one_worker_cannot_do_another_may_and_a_bad_file_is_bad_everywhere(cluster: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    make_movie(tmp_path / "in" / "a.mp4", frames=12)
    (tmp_path / "in" / "b.mp4").write_bytes(b"this is no video" * 100)
    done = call(
        "batch", tmp_path / "in", "-o", tmp_path / "out", *FILM, "--engine", "tests.support.engines:FailingEngine",
        "--ray", cluster, "--json",
    )  # fmt: skip
    assert done.code == 1
    events = [json.loads(line) for line in done.out.splitlines()]
    notes = [event["text"] for event in events if event["event"] == "note"]
    assert [note for note in notes if "a.mp4" in note and "trying elsewhere" in note]
    assert not [note for note in notes if "b.mp4" in note]
    assert {event["state"] for event in events if event["event"] == "file"} == {"failed"}


def test_several_processes_on_this_machine_with_names_relative_to_a_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "abc":
        make_movie(tmp_path / "in" / f"{name}.mp4", frames=30)
    with start("batch", "in", "-o", "out", *FILM, *REMEMBERING, "--workers", "2", cwd=tmp_path) as process:
        done = finish(process, timeout=120)
    assert done.code == 0, done.out + done.err
    assert done.out.splitlines()[-1] == "3 done"
    assert len(made(tmp_path / "out")) == 3


def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=3)
    done = call("batch", clip, "-o", tmp_path / "out", *REMEMBERING, "--ray", "127.0.0.1:1")
    assert done.code == 2
    assert "Ray cannot be used at 127.0.0.1:1" in done.complaint
