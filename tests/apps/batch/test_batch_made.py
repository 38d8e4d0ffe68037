"""The record of how an output was made, kept beside it: nothing is overwritten unasked or mistaken for another
output."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.conftest import ROOT
from tests.support.movies import inside, make_movie
from tests.support.program import Outcome, call, start
from tests.support.waiting import until

HALF = ("--engine", "tests.support.engines:LeftHalfEngine", "--background", "color:#000000")
KEPT = "1 kept (--force overwrites it)"


def work(*arguments: str | Path) -> Outcome:
    return call("batch", *HALF, *arguments)


def last(done: Outcome) -> str:
    return done.out.splitlines()[-1].removeprefix("0 done, ")


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder: its name, time and bytes."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    # In small pictures x264 reads uninitialised memory, and two runs differ by a bit at times.
    return make_movie(tmp_path / "in" / "clip.mp4", frames=8, size=(640, 384), sound=())


KINDS = [
    (),
    ("--container", "mkv", "--background", "transparent", "--write", "composite,alpha"),
    ("--container", "png", "--write", "alpha,foreground"),
]


@pytest.mark.parametrize("kind", KINDS, ids=["mp4", "mkv", "png"])
@pytest.mark.parametrize("resume", [(), ("--resume",)], ids=["plain", "resume"])
@pytest.mark.few(3)
def test_the_same_file_with_the_same_settings_is_kept_and_told(
    clip: Path, tmp_path: Path, kind: tuple[str, ...], resume: tuple[str, ...]
) -> None:
    out = tmp_path / "out"
    assert last(work(clip, "-o", out, *kind)) == "1 done"
    before = tree(out)
    how = ("--segment", "3", "--seq-chunk", "2", "--offline", "--monitor")  # options that do not change the result
    for more in ((), how):
        again = work(clip, "-o", out, *kind, *resume, *more)
        assert (again.code, last(again)) == (0, KEPT), again
        assert "clip.mp4: kept: it exists already, made from the same file with the same settings" in again.out
        assert tree(out) == before
    forced = work(clip, "-o", out, *kind, *resume, "--force")
    assert (forced.code, last(forced)) == (0, "1 done"), forced
    after = tree(out)
    assert {name: data for name, (_, data) in after.items() if "log" not in name} == {
        name: data for name, (_, data) in before.items() if "log" not in name
    }
    films = [name for name in after if not name.startswith((".", "log"))]
    assert films and all(after[name][0] != before[name][0] for name in films)


def other_input(clip: Path, out: Path) -> tuple[str | Path, ...]:
    (clip.parent / "b").mkdir()
    return (make_movie(clip.parent / "b" / "clip.mp4", frames=9, sound=()),)


def changed_input(clip: Path, out: Path) -> tuple[str | Path, ...]:
    about = clip.stat()
    data = bytearray(clip.read_bytes())
    data[len(data) // 2] ^= 1
    clip.write_bytes(data)
    os.utime(clip, ns=(about.st_atime_ns, about.st_mtime_ns))
    return (clip,)


def changed_output(clip: Path, out: Path) -> tuple[str | Path, ...]:
    make_movie(out / "output_clip.mp4", frames=3)
    return (clip,)


def no_record(clip: Path, out: Path) -> tuple[str | Path, ...]:
    (out / ".output_clip.made.json").unlink()
    return (clip,)


def damaged_record(clip: Path, out: Path) -> tuple[str | Path, ...]:
    (out / ".output_clip.made.json").write_bytes(b"")
    return (clip,)


def odd_record(clip: Path, out: Path) -> tuple[str | Path, ...]:
    (out / ".output_clip.made.json").write_text('{"output_clip.mp4": [1], "x": null}')
    return (clip,)


def other_preset(clip: Path, out: Path) -> tuple[str | Path, ...]:
    """A preset of that name had other values when the output was made."""
    path = out / ".output_clip.made.json"
    records = json.loads(path.read_text())
    records["output_clip.mp4"]["of"]["quality"] = "standard"
    path.write_text(json.dumps(records))
    return (clip,)


def background(clip: Path, out: Path) -> tuple[str | Path, ...]:
    return (clip, "--background", "color:#0000ff")


def engine(clip: Path, out: Path) -> tuple[str | Path, ...]:
    return (clip, "--engine", "tests.support.engines:PassThroughEngine")


def codec(clip: Path, out: Path) -> tuple[str | Path, ...]:
    return (clip, "--codec", "hevc")


def ratio(clip: Path, out: Path) -> tuple[str | Path, ...]:
    return (clip, "--downsample-ratio", "0.5")


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("other", "said"),
    [
        (other_input, "made from another file (clip.mp4)"),
        (changed_input, "made from another file"),
        (changed_output, "and was changed since it was made"),
        (no_record, "and how it was made is not known"),
        (damaged_record, "and how it was made is not known"),
        (odd_record, "and how it was made is not known"),
        (other_preset, "made at another quality"),
        (background, "made with another background"),
        (engine, "made with another engine"),
        (codec, "made in another format"),
        (ratio, "made with another engine"),
    ],
)
@pytest.mark.parametrize("resume", [(), ("--resume",)], ids=["plain", "resume"])
def test_whatever_else_is_there_is_refused_in_one_line_until_force(
    clip: Path, tmp_path: Path, other: object, said: str, resume: tuple[str, ...]
) -> None:
    out = tmp_path / "out"
    assert work(clip, "-o", out, "--background", "color:#ff0000").code == 0
    arguments = other(clip, out)  # type: ignore[operator]
    if "--background" not in arguments:
        arguments = (*arguments, "--background", "color:#ff0000")
    before = tree(out)
    done = work(*arguments, "-o", out, *resume)
    assert (done.code, last(done)) == (1, "1 failed"), done
    (line,) = done.out.splitlines()[:-1]
    assert line.startswith(f"clip.mp4: failed: {out / 'output_clip.mp4'} exists"), line
    assert said in line
    assert "overwrite it with --force" in line
    assert tree(out) == before, "nothing is touched, the log neither"
    done = work(*arguments, "-o", out, *resume, "--force")
    assert (done.code, last(done)) == (0, "1 done"), done
    assert tree(out)["output_clip.mp4"][0] != before["output_clip.mp4"][0]
    assert last(work(*arguments, "-o", out, *resume)) == KEPT


def test_a_background_is_known_by_what_is_in_it(clip: Path, tmp_path: Path) -> None:
    picture, out = tmp_path / "studio.png", tmp_path / "out"
    cv2.imwrite(str(picture), np.full((64, 96, 3), 200, np.uint8))
    assert work(clip, "-o", out, "--background", picture).code == 0
    shutil.copy(picture, tmp_path / "moved.png")
    assert last(work(clip, "-o", out, "--background", f"image:{tmp_path / 'moved.png'}")) == KEPT
    assert "another background" in work(clip, "-o", out, "--background", f"{picture}?fit=contain").out
    cv2.imwrite(str(picture), np.full((64, 96, 3), 201, np.uint8))
    assert "another background" in work(clip, "-o", out, "--background", picture).out


def test_it_survives_a_moved_folder_and_is_no_input_itself(clip: Path, tmp_path: Path) -> None:
    assert work(clip, "-o", tmp_path / "in" / "out").code == 0
    (tmp_path / "in").rename(tmp_path / "elsewhere")
    shutil.copytree(tmp_path / "elsewhere", tmp_path / "copy")  # other times
    for place in ("elsewhere", "copy"):
        for what in (tmp_path / place, tmp_path / place / "**" / "*", tmp_path / place / "out" / ".*.json"):
            done = work(what, "-o", tmp_path / place / "out")
            if "json" in what.name:
                assert "matches no file" in done.complaint
            else:
                assert (done.code, last(done)) == (0, KEPT), done


@pytest.mark.slow
def test_another_track_is_made_beside_those_that_are_there(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert work(clip, "-o", out).code == 0
    before = (out / "output_clip.mp4").read_bytes()
    assert last(work(clip, "-o", out, "--write", "composite,alpha")) == "1 done"
    assert (out / "output_clip.mp4").read_bytes() == before
    for written in ("composite", "alpha", "composite,alpha"):
        assert last(work(clip, "-o", out, "--write", written)) == KEPT
    assert last(work(clip, "-o", out, "--container", "mkv")) == "1 done", "another name loses nothing"
    assert last(work(clip, "-o", out)) == KEPT
    (out / "output_clip_alpha.mp4").unlink()
    assert last(work(clip, "-o", out, "--write", "alpha")) == "1 done", "what is not there is made"


def test_a_header_that_counts_more_frames_than_decode_is_no_reason_to_do_it_anew(tmp_path: Path) -> None:
    clip, out = make_movie(tmp_path / "clip.mp4", frames=20, sound=()), tmp_path / "out"
    data = bytearray(clip.read_bytes())
    start = data.index(b"mdat")
    end = start - 4 + int.from_bytes(data[start - 4 : start], "big")
    middle = (start + end) // 2
    data[middle:end] = bytes(end - middle)
    clip.write_bytes(data)
    assert work(clip, "-o", out).code == 0
    with av.open(str(clip)) as file:
        assert len(inside(out / "output_clip.mp4").times) < file.streams.video[0].frames == 20
    stamp = (out / "output_clip.mp4").stat().st_mtime_ns
    assert last(work(clip, "-o", out, "--resume")) == KEPT
    assert (out / "output_clip.mp4").stat().st_mtime_ns == stamp


@pytest.mark.slow
def test_a_run_that_was_killed_before_it_wrote_its_record_can_be_taken_up(tmp_path: Path, clip: Path) -> None:
    out = tmp_path / "out"
    code = (
        "import os, signal, sys; from rvm_live.apps.batch import made; from rvm_live.cli import main\n"
        "made.Made.remember = lambda self, outputs: os.kill(os.getpid(), signal.SIGKILL)\n"
        "main(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", code, "batch", *HALF, str(clip), "-o", str(out)]
    killed = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (out / "output_clip.mp4").exists()
    assert last(work(clip, "-o", out, "--resume")) == "1 done"
    assert last(work(clip, "-o", out, "--resume")) == KEPT


@pytest.mark.slow
def test_a_forced_run_that_is_stopped_leaves_the_old_output_and_what_is_known_of_it(tmp_path: Path) -> None:
    clip, out = make_movie(tmp_path / "clip.mp4", frames=120, sound=()), tmp_path / "out"
    assert work(clip, "-o", out).code == 0
    before = tree(out)
    blue = ("batch", *HALF, "--engine", "tests.support.engines:SlowEngine", clip, "-o", out, "--segment", "1")
    with start(*blue, "--force") as process:
        until(lambda: list(out.glob(".*.parts/00000.json")), 30)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert list(out.glob(".*.parts/00000.json"))
    assert tree(out)["output_clip.mp4"] == before["output_clip.mp4"]
    assert "made with another engine" in call(*blue, "--resume").out
    assert last(work(clip, "-o", out, "--resume")) == KEPT
    done = call(*blue, "--resume", "--force")
    assert done.code == 0, done.out
    assert "continued at frame" in done.out
    assert len(inside(out / "output_clip.mp4").times) == 120


def test_what_is_kept_is_an_event_like_any_other(clip: Path, tmp_path: Path) -> None:
    assert work(clip, "-o", tmp_path / "out").code == 0
    done = work(clip, "-o", tmp_path / "out", "--json")
    event = json.loads(last(done))
    assert (event["state"], event["outputs"]) == ("kept", [str(tmp_path / "out" / "output_clip.mp4")])
    assert event["notes"] == ["it exists already, made from the same file with the same settings"]
