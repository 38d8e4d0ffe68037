"""Files on many processes and machines: a real Ray cluster of two nodes; a worker is killed in the middle."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT
from tests.support.movies import hidden, inside, make_movie
from tests.support.program import Outcome, finish, start
from tests.support.videos import beginning_of
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'rvm-live[ray]'"
)
REMEMBERING = ("--engine", "tests.support.engines:RememberingEngine")
TOKEN = "5a" * 32
FILM = ("--segment", "1", "--seq-chunk", "6", "--container", "mkv", "--background", "transparent")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two nodes with one CPU each; this process has its token."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", TOKEN)
        yield from _cluster()


def _cluster() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.cluster"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


def call(*arguments: str | Path, env: dict[str, str] | None = None) -> Outcome:
    """Run the program in a process of its own, since Ray allows one run per process."""
    with start(*arguments, env=env) as process:
        return finish(process, timeout=120)


def workers() -> list[psutil.Process]:
    """Processes of this program's workers."""
    return [each for each in psutil.process_iter() if _name(each).startswith("ray::Actor")]


def _name(process: psutil.Process) -> str:
    try:
        return (process.cmdline() or [""])[0]
    except psutil.Error:
        return ""


def clips(folder: Path, data: Path) -> Path:
    """Three clips of a person, small, of different lengths."""
    folder.mkdir()
    for number, source in enumerate(sorted((data / "clips" / "webcam").glob("*.mp4"))[:3]):
        beginning_of(source, folder / f"{'abc'[number]}.mp4", 60 + 30 * number, (320, 180))
    return folder


def made(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".mkv"}


@pytest.mark.slow
def test_two_nodes_give_the_bytes_of_one_process(cluster: str, data: Path, tmp_path: Path) -> None:
    source = clips(tmp_path / "in", data)
    alone = call("batch", source, "-o", tmp_path / "alone", *FILM, "--engine", "lite")
    assert alone.code == 0, alone.out + alone.err
    spread = call("batch", source, "-o", tmp_path / "spread", *FILM, "--engine", "lite", f"--ray={cluster}", "--json")
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


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_its_file_goes_on(cluster: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "ab":
        make_movie(tmp_path / "in" / f"{name}.mp4", frames=24 * 8 + 3)
    out = tmp_path / "out"
    assert call("batch", tmp_path / "in", "-o", tmp_path / "alone", *FILM, *REMEMBERING).code == 0
    with start("batch", tmp_path / "in", "-o", out, *FILM, *REMEMBERING, f"--ray={cluster}", "--json") as process:
        until(lambda: len(workers()) == 2, 90)
        until(lambda: (out / ".output_a.parts" / "00002.json").exists(), 90)
        workers()[0].send_signal(signal.SIGKILL)
        done = finish(process, timeout=90)
    assert done.code == 0, done.out + done.err
    events = [json.loads(line) for line in done.out.splitlines()]
    notes = [event["text"] for event in events if event["event"] == "note"]
    assert any("a worker process died" in note and "another worker continues with it" in note for note in notes), notes
    ended = {Path(event["input"]).name: event for event in events if event["event"] == "file"}
    assert {name: event["state"] for name, event in ended.items()} == {"a.mp4": "done", "b.mp4": "done"}
    assert any(event["resumed"] >= 24 for event in ended.values()), "its whole segments were not done again"
    assert made(out) == made(tmp_path / "alone")
    assert not hidden(out)


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
@pytest.mark.slow
def test_a_signal_ends_all_workers_in_good_order(
    number: signal.Signals, code: int, word: str, cluster: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(b"this is no video" * 100)
    for name in "bcd":
        make_movie(tmp_path / "in" / f"{name}.mp4", frames=24 * 12)
    out = tmp_path / "out"
    with start("batch", tmp_path / "in", "-o", out, *FILM, *REMEMBERING, f"--ray={cluster}") as process:
        until(lambda: list(out.glob(".*.parts/00001.json")), 90)
        process.send_signal(number)
        done = finish(process, timeout=90)
    assert done.code == code, done.out + done.err
    counts = r"0 done, (1 failed, )?[123] unfinished, ([12] untouched, )?"  # one of them may still be starting
    assert re.fullmatch(counts + word, done.out.splitlines()[-1]), done.out
    assert not list(out.glob("*.mkv"))
    again = call("batch", tmp_path / "in", "-o", out, *FILM, *REMEMBERING, "--resume")
    assert again.code == 1
    assert "continued at frame" in again.out
    assert len(inside(out / "output_b.mkv").times) == 24 * 12


@pytest.mark.slow
def test_workers_find_an_engine_beside_which_the_program_was_started(cluster: str, tmp_path: Path) -> None:
    (tmp_path / "mymatte.py").write_text("from tests.support.engines import LeftHalfEngine as MyEngine\n")
    make_movie(tmp_path / "a.mp4", frames=6)
    mine = ("--engine", "mymatte:MyEngine", f"--ray={cluster}")
    with start("batch", "a.mp4", "-o", "out", *mine, cwd=tmp_path) as process:
        done = finish(process, timeout=90)
    assert (done.code, done.out.splitlines()[-1]) == (0, "1 done"), done.out + done.err


@pytest.mark.slow
def test_what_one_worker_cannot_do_another_may_and_a_bad_file_is_bad_everywhere(cluster: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    make_movie(tmp_path / "in" / "a.mp4", frames=12)
    (tmp_path / "in" / "b.mp4").write_bytes(b"this is no video" * 100)
    done = call(
        "batch", tmp_path / "in", "-o", tmp_path / "out", *FILM, "--engine", "tests.support.engines:FailingEngine",
        f"--ray={cluster}", "--json",
    )  # fmt: skip
    assert done.code == 1
    events = [json.loads(line) for line in done.out.splitlines()]
    notes = [event["text"] for event in events if event["event"] == "note"]
    assert [note for note in notes if "a.mp4" in note and "trying on another worker" in note]
    assert not [note for note in notes if "b.mp4" in note]
    assert {event["state"] for event in events if event["event"] == "file"} == {"failed"}


@pytest.mark.slow
def test_several_processes_on_this_machine_with_names_relative_to_a_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "abc":
        make_movie(tmp_path / "in" / f"{name}.mp4", frames=30)
    with start("batch", "in", "-o", "out", *FILM, *REMEMBERING, "--workers", "2", cwd=tmp_path) as process:
        done = finish(process, timeout=120)
    assert done.code == 0, done.out + done.err
    assert done.out.splitlines()[-1] == "3 done"
    assert len(made(tmp_path / "out")) == 3


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=3)
    done = call("batch", clip, "-o", tmp_path / "out", *REMEMBERING, "--ray=127.0.0.1:1")
    assert done.code == 2
    assert "Ray cannot be used at 127.0.0.1:1" in done.complaint


@pytest.mark.slow
def test_a_worker_that_loses_its_gpu_is_replaced_and_every_file_is_done(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "abcde":
        make_movie(tmp_path / "in" / f"{name}.mp4", frames=6)
    loses = ("--engine", "tests.support.engines:LosesItsDeviceEngine")  # after nine frames, again in each process
    done = call("batch", tmp_path / "in", "-o", tmp_path / "out", *FILM, *loses, "--workers", "2", "--json")
    assert done.code == 0, done.out + done.err
    events = [json.loads(line) for line in done.out.splitlines()]
    notes = [event["text"] for event in events if event["event"] == "note"]
    assert [
        note for note in notes if "a worker's GPU failed (" in note and "another worker continues with it" in note
    ], notes
    assert {event["state"] for event in events if event["event"] == "file"} == {"done"}
    assert len(made(tmp_path / "out")) == 5
    assert all(len(inside(path).times) == 6 for path in (tmp_path / "out").glob("*.mkv"))


@pytest.mark.slow
def test_a_file_that_costs_every_worker_its_gpu_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    make_movie(tmp_path / "in" / "a.mp4", frames=40)
    make_movie(tmp_path / "in" / "b.mp4", frames=6)
    loses = ("--engine", "tests.support.engines:LosesItsDeviceEngine", "--segment", "100", "--seq-chunk", "6")
    done = call(
        *("batch", tmp_path / "in", "-o", tmp_path / "out", "--container", "mkv", "--background", "transparent"),
        *(*loses, "--workers", "2", "--json"),
    )
    assert done.code == 1, done.out + done.err
    ended = {e["number"]: e for line in done.out.splitlines() if (e := json.loads(line))["event"] == "file"}
    assert ended[0]["state"] == "failed"
    assert "three workers failed on it" in ended[0]["error"]
    assert ended[1]["state"] == "done"


# Who can talk to it


LISTENING = "0A"


def heard_from_elsewhere() -> dict[str, int]:
    """Sockets that listen for other machines: the process that holds each, and its port."""
    nodes: dict[str, int] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            address, _, port = fields[1].partition(":")
            # 127.0.0.1, as it is and within IPv6, and ::1; in the byte order of the machine
            loopback = address in ("0100007F", "0000000000000000FFFF00000100007F", "0" * 24 + "01000000")
            if fields[3] == LISTENING and not loopback:
                nodes[fields[9]] = int(port, 16)
    held: dict[str, int] = {}
    for process in psutil.process_iter():
        try:
            links = [os.readlink(each) for each in Path(f"/proc/{process.pid}/fd").iterdir()]
            owner = " ".join(process.cmdline())
        except (OSError, psutil.Error):
            continue
        held |= {f"{owner} {link}": nodes[link[8:-1]] for link in links if link[8:-1] in nodes}
    return held


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.slow
def test_a_cluster_of_our_own_hears_this_machine_alone(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "ab":
        make_movie(tmp_path / "in" / f"{name}.mp4", frames=400)
    slow = ("--engine", "tests.support.engines:SlowEngine")
    env = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    with start("batch", tmp_path / "in", "-o", tmp_path / "out", *FILM, *slow, "--workers", "2", env=env) as process:
        until(lambda: list((tmp_path / "out").glob(".*.parts/*.mkv")), 90)
        mine = {each.pid for each in psutil.Process(process.pid).children(recursive=True)} | {process.pid}
        tokens = {psutil.Process(pid).environ().get("RAY_AUTH_TOKEN", "") for pid in mine - {process.pid}}
        for pid in mine:
            sockets = {str(os.readlink(each)) for each in Path(f"/proc/{pid}/fd").iterdir() if each.exists()}
            open_to_all = [each for each in heard_from_elsewhere() if each.rpartition(" ")[2] in sockets]
            assert open_to_all == []
        process.send_signal(signal.SIGINT)
        finish(process, timeout=90)
    assert len(mine) > 3, "nothing of Ray was running"
    tokens.discard("")  # of processes that overwrote their title
    assert [len(token) for token in tokens] == [64]


@pytest.mark.slow
def test_a_cluster_that_is_joined_asks_for_its_token(cluster: str, tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=3)
    env = {**os.environ, "RAY_AUTH_TOKEN": "0f" * 32}
    done = call("batch", clip, "-o", tmp_path / "out", *REMEMBERING, f"--ray={cluster}", env=env)
    assert done.code == 2
    assert f"Ray cannot be used at {cluster}" in done.err
    assert "RAY_AUTH_TOKEN to what `ray get-auth-token` prints there" in done.err
    assert len([line for line in done.err.splitlines() if line.startswith("rvm-live: error: ")]) == 1


@pytest.mark.slow
def test_a_user_without_a_home_has_workers_too(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "ab":
        make_movie(tmp_path / "in" / f"{name}.mp4", frames=6)
    env = {**{k: v for k, v in os.environ.items() if not k.startswith("RAY_")}, "HOME": "/dev/null/nobody"}
    done = call("batch", tmp_path / "in", "-o", tmp_path / "out", *FILM, *REMEMBERING, "--workers", "2", env=env)
    assert done.code == 0, done.out + done.err
    assert done.out.splitlines()[-1] == "2 done"
