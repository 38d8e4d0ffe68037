"""``rvm-live monitor``: samples, file, plot, and the command that it runs; NVML through a real shared library."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from rvm_live.apps.monitor import COLUMNS, Monitor, Sample, draw, read_samples, summary
from rvm_live.core.errors import MonitorError
from tests.conftest import ROOT
from tests.support.display import Display
from tests.support.nvml import build
from tests.support.program import call, finish, start

_LIMIT_S = 120.0


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a libnvidia-ml.so.1 built by the test."""
    return build(tmp_path_factory.mktemp("nvml"))


def environment(nvml: Path | None) -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    return found if nvml is None else {**found, "LD_LIBRARY_PATH": str(nvml)}


def test_samples_are_written_as_they_come_and_the_file_is_whole_at_the_end(tmp_path: Path) -> None:
    path, seen = tmp_path / "deep" / "gpu_x.csv", list[Sample]()
    with Monitor(path, interval=0.05, seen=seen.append) as monitor:
        assert Display.wait(lambda: len(seen) >= 4, _LIMIT_S)
        assert not path.exists()
        (part,) = path.parent.iterdir()
        assert len(part.read_text().splitlines()) >= 4
    assert [each.name for each in path.parent.iterdir()] == ["gpu_x.csv"]
    found = read_samples(path)
    assert found == monitor.samples == seen
    assert len(found) >= 4
    assert all(one.seconds < other.seconds for one, other in pairwise(found))
    assert all(0 <= (each.cpu_percent or 0) <= 100 and (each.memory_mb or 0) > 10 for each in found)
    assert {"cpu_percent", "memory_mb"} <= set(summary(found))


@pytest.mark.slow
def test_every_column_of_a_gpu(library: Path, tmp_path: Path) -> None:
    with start(
        "monitor", "--seconds", "0.3", "--interval", "0.1", "-o", tmp_path, "--name", "fake", env=environment(library)
    ) as process:
        done = finish(process)
    assert done.code == 0, done.err
    (first, *_) = read_samples(tmp_path / "gpu_fake.csv")
    assert (first.gpu_percent, first.temperature_c, first.power_w, first.clock_mhz) == (37, 61, 123.45, 1980)
    assert first.vram_mb == pytest.approx((3 << 30) / 1e6, abs=0.1)
    assert "GPU          mean 37%" in done.out
    assert "the GPU is not recorded" not in done.err
    with Image.open(tmp_path / "gpu_fake.png") as plot:
        four = plot.height
    with Monitor(tmp_path / "cpu.csv", interval=0.05):
        time.sleep(0.1)
    draw([Sample(n, "", cpu_percent=n, memory_mb=5) for n in range(9)], tmp_path / "two.png")
    with Image.open(tmp_path / "two.png") as plot:
        assert plot.height < four, "there is nothing to draw of a GPU that is not there"


@pytest.mark.slow
def test_without_a_gpu_it_says_so_and_records_the_processor(tmp_path: Path) -> None:
    code = (
        "import time; from pathlib import Path\n"
        "while not any(len(part.read_text().splitlines()) > 3 for part in Path().glob('.gpu_*.part')): time.sleep(0.05)"
    )
    with start(
        "monitor", "--interval", "0.1", "--", sys.executable, "-c", code, env=environment(None), cwd=tmp_path
    ) as process:
        done = finish(process)
    assert done.code == 0
    assert "the GPU is not recorded: " in done.err
    (path,) = tmp_path.glob("gpu_python*.csv")
    found = read_samples(path)
    assert len(found) >= 3
    assert found[0].gpu_percent is None and found[0].memory_mb is not None


@pytest.mark.parametrize(
    ("code", "expected"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_the_commands_exit_code_is_passed_on(tmp_path: Path, code: str, expected: int) -> None:
    done = call("monitor", "-o", tmp_path, "--name", "it", "--", sys.executable, "-c", code)
    assert done.code == expected
    assert (tmp_path / "gpu_it.csv").exists()


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    done = call(
        "monitor", "-o", tmp_path, "--seconds", "0.3", "--", sys.executable, "-c", "import time; time.sleep(600)"
    )
    assert done.code == 128 + signal.SIGTERM


@pytest.mark.slow
def test_ctrl_c_ends_it_and_the_file_is_whole(tmp_path: Path) -> None:
    with start("monitor", "-o", tmp_path, "--interval", "0.1", env=environment(None)) as process:
        part = tmp_path / ".gpu_monitor.csv.part"
        assert Display.wait(lambda: part.exists() and len(part.read_text().splitlines()) > 2, _LIMIT_S)
        process.send_signal(signal.SIGINT)
        done = finish(process)
    assert done.code == 0, done.err
    assert len(read_samples(tmp_path / "gpu_monitor.csv")) >= 2
    assert not list(tmp_path.glob(".*"))


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for arguments, said in (
        (("-o", tmp_path / "file" / "x", "--seconds", "1"), "cannot write"),
        (("--interval", "0", "--seconds", "1", "-o", tmp_path), "interval 0"),
        (("--seconds", "-1"), "--seconds -1"),
        (("--name", "../x", "--seconds", "1"), "not a path"),
    ):
        done = call("monitor", *arguments)
        assert (done.code, said in done.complaint) == (2, True), done.err
    done = call("monitor", "-o", tmp_path, "--", "no-such-program-anywhere")
    assert done.code == 2
    assert "cannot run no-such-program-anywhere" in done.err


def test_what_is_no_file_of_samples_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    for text in ("a,b\n1,2\n", ",".join(COLUMNS) + "\nx" + "," * 10 + "\n"):
        path.write_text(text)
        with pytest.raises(MonitorError, match="contains no samples"):
            read_samples(path)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """A limit on file size stands in for the full disk."""
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))\n"
        "from pathlib import Path; from rvm_live.core.errors import MonitorError\n"
        "from rvm_live.apps.monitor import Monitor\n"
        "import time\n"
        "try:\n"
        "    with Monitor(Path('x.csv'), interval=0.02): time.sleep(0.5)\n"
        "except MonitorError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, encoding="utf-8"
    )
    assert "cannot write x.csv" in done.stdout, done.stderr
    assert not list(tmp_path.iterdir())
