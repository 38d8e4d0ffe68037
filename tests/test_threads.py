"""The plan for the cores, how they are counted, and who may put it into force."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvm_live import threads
from tests.conftest import ROOT
from tests.test_imports import calls


@given(st.integers(-1, 512))
def test_every_plan_leaves_nobody_without_a_thread(cores: int) -> None:
    plan = threads.plan(cores)
    assert 1 <= plan.matting <= max(cores, 1) and plan.matting <= 8
    assert 1 <= plan.opencv <= 2
    assert threads.plan(cores + 1).matting >= plan.matting


@pytest.mark.parametrize(("cores", "matting"), [(1, 1), (2, 2), (4, 3), (6, 5), (8, 7), (16, 8)])
def test_matting_gets_most(cores: int, matting: int) -> None:
    assert threads.plan(cores).matting == matting


def describe(folder: Path, siblings: dict[int, str]) -> Path:
    for number, text in siblings.items():
        place = folder / f"cpu{number}" / "topology"
        place.mkdir(parents=True)
        (place / "thread_siblings_list").write_text(text + "\n")
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells")
def test_threads_of_one_core_count_once_and_affinity_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpus = describe(tmp_path / "cpu", {0: "0,4", 1: "1,5", 2: "2", 3: "3", 4: "0,4", 5: "1,5"})
    nowhere = tmp_path / "nowhere"
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3, 4, 5})
    assert threads.usable_cores(cpus, nowhere) == 4
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 4})
    assert threads.usable_cores(cpus, nowhere) == 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {8, 9})  # nothing known of them
    assert threads.usable_cores(cpus, nowhere) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells")
@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 8), ("200000 100000", 2), ("50000 100000", 1), ("junk", 8), ("1 0", 8)]
)
def test_a_quota_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(quota + "\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert threads.usable_cores(tmp_path / "nowhere", tmp_path) == cores


def test_the_entry_alone_changes_settings_of_the_process() -> None:
    """A library call leaves the thread counts of the program it is part of alone."""
    assert calls("setNumThreads", "set_num_threads", "mallopt") == {"threads.py"}
    users = {
        str(path.relative_to(ROOT / "rvm_live"))
        for path in (ROOT / "rvm_live").rglob("*.py")
        if "threads.apply(" in path.read_text() or "keep_memory(" in path.read_text()
    }
    # A worker is the entry of a process of its own.
    assert users == {"threads.py", "batch/worker.py", "cli/batch.py", "cli/live.py", "cli/soak.py", "cli/stress.py"}


def test_a_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = threads.usable_cores()
    for text, expected in (("1", 1), ("", cores), ("many", cores), ("9999", cores), ("0", 1)):
        monkeypatch.setenv("RVM_LIVE_CORES", text)
        assert threads.usable_cores() == expected


def test_apply_does_what_the_plan_says() -> None:
    code = (
        "from rvm_live import threads; import cv2, torch;"
        "threads.apply(threads.Plan(matting=3, opencv=1)); print(cv2.getNumThreads(), torch.get_num_threads())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["1", "3"]


@pytest.mark.skipif(sys.platform != "linux" or "glibc" not in os.confstr("CS_GNU_LIBC_VERSION"), reason="GNU alone")
def test_kept_memory_saves_page_faults() -> None:
    code = (
        "import resource, sys, numpy as np\n"
        "from rvm_live import threads\n"
        "assert sys.argv[1] == 'no' or threads.keep_memory()\n"
        "def use():\n"
        "    pictures = [np.ones((720, 1280, 3), np.uint8) for _ in range(4)]\n"
        "use(); use()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(10): use()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )
    faults = {
        keep: int(subprocess.run([sys.executable, "-c", code, keep], capture_output=True, check=True, cwd=ROOT).stdout)
        for keep in ("no", "yes")
    }
    assert faults["yes"] < 100 < 1000 < faults["no"]
