"""The plan for the cores, how they are counted, and who may apply it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvm_live.system import threads
from tests.conftest import ROOT
from tests.project.test_imports import calls


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
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {8, 9})  # nothing is known about them
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
    """A library call leaves the thread counts of the caller's program unchanged."""
    assert calls("setNumThreads", "set_num_threads", "mallopt") == {"system/threads.py"}
    users = {
        str(path.relative_to(ROOT / "rvm_live"))
        for path in (ROOT / "rvm_live").rglob("*.py")
        if "threads.apply(" in path.read_text() or "keep_memory(" in path.read_text()
    }
    # A worker is the entry point of its own process.
    assert users == {
        "system/threads.py",
        "apps/batch/actor.py",
        "cli/batch.py",
        "cli/check.py",
        "cli/doctor.py",
        "cli/live.py",
        "cli/soak.py",
        "cli/stress.py",
    }


def test_a_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = threads.usable_cores()
    for text, expected in (("1", 1), ("", cores), ("many", cores), ("9999", cores), ("0", 1)):
        monkeypatch.setenv("RVM_LIVE_CORES", text)
        assert threads.usable_cores() == expected


@pytest.mark.few(1)
@pytest.mark.parametrize("first", ["torch", "sys"])
def test_apply_does_what_the_plan_says(first: str) -> None:
    """Whether torch is already imported or comes later."""
    code = (
        f"from rvm_live.system import threads; import cv2, {first};"
        "threads.apply(threads.Plan(matting=1, opencv=1)); import torch;"
        "print(cv2.getNumThreads(), torch.get_num_threads())"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MKL_"))}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, cwd=ROOT, env=environment)
    assert done.stdout.split() == ["1", "1"]


@pytest.mark.skipif(sys.platform != "linux" or "glibc" not in os.confstr("CS_GNU_LIBC_VERSION"), reason="GNU alone")
def test_kept_memory_saves_page_faults() -> None:
    code = (
        "import resource, sys, numpy as np\n"
        "from rvm_live.system import threads\n"
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


# Where the threads may work -------------------------------------------------------------------------------------

WATCHED = """
import os, re, sys, threading
from collections import Counter
seen, stop = Counter(), threading.Event()

def look():
    while not stop.wait(0.01):
        for thread in os.listdir("/proc/self/task"):
            try:
                status = open(f"/proc/self/task/{thread}/status").read()
            except OSError:
                continue
            seen[thread, re.search(r"Cpus_allowed_list:\\s*(\\S+)", status)[1]] += 1

watcher = threading.Thread(target=look, daemon=True)
watcher.start()
"""
MATTED = """
import tempfile
from collections import defaultdict
from pathlib import Path
import numpy as np
import rvm_live
from rvm_live.apps.export.verify import differences
from rvm_live.engines.common.fixed_network import Shape, make
from rvm_live.weights import load

name, _, exported = sys.argv[1].partition(" ")
file, shape, scratch = Path(sys.argv[2]), Shape(160, 96, 0.5), tempfile.TemporaryDirectory()
if exported:  # as `rvm-live export` makes and checks it
    weights = load(file)
    files = make(exported, weights, shape, defaultdict(str))
    differences(exported, files, weights, shape, frames=20)
if exported == "onnx":
    file = Path(scratch.name, "model.onnx")
    file.write_bytes(files[".onnx"])
picture = np.random.default_rng(1).integers(0, 256, (96, 160, 3), np.uint8)
asked = {"openvino": {"weights": file, "downsample_ratio": 0.4}, "onnx": {"weights": file}}.get(name, {})
with rvm_live.open_engine(name, device="cpu", **asked) as engine:
    for _ in range(60):
        engine.matte(picture)
"""
CALIBRATED = """
from rvm_live.cli import main
try:
    main(["calibrate", "--source", "demo", "--frames", "12", "--weights", sys.argv[2], "--downsample-ratio", "0.05"])
except SystemExit as leaving:
    assert not leaving.code
"""
TOLD = """
stop.set()
watcher.join()
# A runtime that looks at each core of the machine in turn is there for a moment; who is tied stays.
print(*sorted({cores for (_, cores), looks in seen.items() if looks > 20}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity") or (os.cpu_count() or 1) < 2, reason="needs Linux, two cores")
@pytest.mark.parametrize(
    ("work", "what"),
    [
        (MATTED, "lite"),
        (MATTED, "openvino openvino"),
        (MATTED, "onnx onnx"),
        pytest.param(CALIBRATED, "int8", marks=pytest.mark.slow),
    ],
    ids=["lite", "openvino", "onnx", "calibrate"],
)
def test_no_thread_is_tied_to_a_core(weights: Path, work: str, what: str) -> None:
    """Bound to the first core, two workers with one core each would share it and leave the other core idle."""
    status = Path("/proc/self/status").read_text()
    own = next(line.split()[1] for line in status.splitlines() if line.startswith("Cpus_allowed_list"))
    command = [sys.executable, "-c", WATCHED + work + TOLD, what, str(weights)]
    environment = {**os.environ, "RVM_LIVE_CORES": "1"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT, env=environment, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split() == [own]


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="only Linux has these calls")
def test_no_encoder_takes_real_time_priority(tmp_path: Path) -> None:
    """SVT-AV1 does so for root, and a busy real-time thread stops the machine."""
    from rvm_live.apps.batch.codecs import CODECS
    from rvm_live.media.encoder import Encoder

    picture = np.zeros((120, 160, 3), np.uint8)
    for name, recipe in CODECS.items():
        whole = replace(recipe, muxer="matroska")
        one = Encoder(tmp_path / f"{name}.mkv", whole, picture.shape, rate=Fraction(30), time_base=Fraction(1, 30))
        one.add(picture, 0)
        policies = {os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")}
        one.flush()
        one.close()
        assert policies == {os.SCHED_OTHER}, name
