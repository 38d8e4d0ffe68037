"""``batch --watch`` and ``batch --jobs``: folders that new files are put into, and several runs listed in one file."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from rvm_live.apps.batch.inbox import SETTLED_S, watch
from rvm_live.apps.batch.report import BatchReport
from rvm_live.apps.batch.settings import BatchSettings
from rvm_live.cli.batch import batch
from rvm_live.cli.jobs_file import jobs_of
from tests.support.clock import FakeClock
from tests.support.movies import inside, names
from tests.support.program import call, finish, start
from tests.support.videos import make_video

HALF = ("--engine", "tests.support.engines:LeftHalfEngine", "--background", "color:#000000")


class Worked:
    """Stands in for a run: records what it was asked for, and ends the watching after so many runs."""

    def __init__(self, most: int) -> None:
        self.asked: list[list[str]] = []
        self.ended = threading.Event()
        self._most = most

    def __call__(self, settings: BatchSettings, **_: object) -> BatchReport:
        self.asked.append(sorted(Path(each).name for each in settings.inputs))
        if len(self.asked) == self._most:
            self.ended.set()
        return BatchReport((), 0, "")


def test_a_file_is_taken_once_it_is_whole_and_again_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, clock, worked = tmp_path / "in", FakeClock(), Worked(2)
    inbox.mkdir()
    clip = inbox / "growing.mp4"
    looks: list[list[list[str]]] = []

    def wait(seconds: float) -> bool:
        """Let time pass: the file grows during five looks, stays the same, and is then written again."""
        looks.append([list(each) for each in worked.asked])
        if len(looks) <= 5:
            clip.write_bytes(bytes(len(looks)))
        if len(looks) == 20:
            clip.write_bytes(b"another one")
        assert len(looks) < 100
        clock.advance(seconds)
        return worked.ended.is_set()

    monkeypatch.setattr(worked.ended, "wait", wait)
    settings = BatchSettings((str(inbox),), tmp_path / "out")
    watch(settings, clock=clock, signals=False, stopped=worked.ended, work=worked)
    assert worked.asked == [["growing.mp4"], ["growing.mp4"]]
    first = next(number for number, asked in enumerate(looks) if asked)
    assert first >= 5 + SETTLED_S, "not while it grows"
    assert all(len(asked) == 1 for asked in looks[first:20]), "once"


@pytest.mark.slow
def test_a_program_that_watches_works_off_what_comes_and_ends_in_good_order(tmp_path: Path) -> None:
    inbox, out = tmp_path / "in", tmp_path / "out"
    (inbox / "deeper").mkdir(parents=True)
    made = make_video(tmp_path / "made.mp4", frames=5)
    with start("batch", *HALF, "--watch", inbox, "-o", out) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"watching {inbox}; Ctrl-C ends it\n"
        shutil.copy(made, inbox / "one.mp4")
        shutil.copy(made, inbox / "deeper" / "two.mp4")
        end = time.monotonic() + 90
        while len(list(out.rglob("output_*.mp4"))) < 2:
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        outcome = finish(process)
    assert outcome.code == 130
    assert "2 done, interrupted" in outcome.out
    assert {len(inside(path).times) for path in out.rglob("output_*.mp4")} == {5}


@pytest.mark.parametrize(
    ("output", "inputs", "complaint"),
    [
        (None, ("in",), "--watch needs a folder"),
        ("in/out", ("in",), "is inside a watched folder"),
        ("out", ("in/clip.mp4",), "--watch takes folders"),
        ("out", ("x" * 5000,), "--watch takes folders"),
    ],
)
def test_what_cannot_be_watched_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str | None, inputs: tuple[str, ...], complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    make_video(Path("in/clip.mp4"), frames=2)
    done = call("batch", *HALF, "--watch", *inputs, *(("-o", output) if output else ()))
    assert done.code == 2
    assert complaint in done.complaint


# Jobs -----------------------------------------------------------------------------------------------------------------


def test_each_job_has_settings_of_its_own_and_those_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a clip.mp4", "b.mp4", "c.mp4"):
        make_video(Path(name), frames=3)
    Path("jobs.toml").write_text(
        '# what is to be done\n[defaults]\nengine = "tests.support.engines:LeftHalfEngine"\n'
        'background = "color:#000000"\noutput = "one"\n'
        '[[job]]\ninputs = ["a clip.mp4", "b.mp4"]\n'
        '[[job]]\ninputs = "c.mp4"\noutput = "two"\nwrite = "alpha"\ncontainer = "mkv"\nsteady = false\n'
    )
    done = call("batch", "--jobs", "jobs.toml")
    assert done.code == 0, done.err
    assert "3 done" in done.out
    assert {"output_a_clip.mp4", "output_b.mp4"} <= set(names(Path("one")))
    assert "output_c_alpha.mkv" in names(Path("two")), names(Path("two"))


def test_a_job_counts_for_more_than_what_lies_below_and_less_than_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "jobs.toml"
    path.write_text(
        "[defaults]\nsegment = 2\nfps = 12\n[[job]]\ninputs = 'x.mp4'\nquality = 'high'\nray = true\n"
        "[[job]]\ninputs = ['~/y']\nfps = 24\nresume = true\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    with batch.make_context("batch", ["--segment", "3", "--no-resume"], default_map={"quality": "ultra"}) as ctx:
        first, second = jobs_of(path, ctx)
    assert (first["quality"], first["segment"], first["fps"], first["ray"]) == ("high", 3.0, 12.0, "local")
    assert (second["quality"], second["segment"], second["fps"], second["resume"]) == ("ultra", 3.0, 24.0, False)
    assert (first["inputs"], second["inputs"]) == (("x.mp4",), (f"{tmp_path}/y",))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds no job"),
        ("[[job]]\ninputs = ['x.mp4'", "jobs.toml, line 2"),
        (
            "[[job]]\ninputs = ['x.mp4']\nqualty = 'high'",
            "jobs.toml, job 1: unknown key 'qualty': did you mean 'quality'?",
        ),
        ("[[job]]\ninputs = ['x.mp4']\nquality = 'best'", "job 1: quality: 'best' is not one of"),
        ("[[job]]\noutput = 'x'", "there are no inputs"),
        ("quality = 'high'\n[[job]]\ninputs = ['x.mp4']", "line 1: there is no 'quality': only [defaults] and [[job]]"),
        ("[[job]]\ninputs = ['x.mp4']\nforce = 1", "force: it must be true or false"),
        ("[[job]]\ninputs = ['x.mp4', 5]", "job 1: inputs are files and folders, as text"),
        ("[[job]]\ninputs = ['x.mp4']\nwatch = true", "job 1: unknown key 'watch'"),
    ],
)
def test_a_job_that_says_what_there_is_not_is_told_before_any_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make_video(Path("good.mp4"), frames=2)
    good = "[[job]]\ninputs = ['good.mp4']\noutput = 'out'\n" if text.startswith("[[job]]\noutput") else ""
    Path("jobs.toml").write_text(good + text)
    done = call("batch", "--jobs", "jobs.toml")
    assert done.code == 2
    assert complaint in done.complaint
    assert not os.path.exists("out")
