"""NVML readings: through a real shared library with a real loader, and without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rvm_live import gpu
from rvm_live.gpu import GpuReading, GpuSampler
from tests.conftest import ROOT
from tests.support.clock import FakeClock
from tests.support.nvml import build

SHOW = """
import dataclasses, json, threading
from rvm_live import gpu
def show(device=0):
    reading = gpu.read(device)
    return None if reading is None else dataclasses.asdict(reading)
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a libnvidia-ml.so.1 of our own."""
    return build(tmp_path_factory.mktemp("nvml"))


def run(code: str, library: Path | None, mode: str = "") -> object:
    env = dict(os.environ, FAKE_NVML=mode, PYTHONPATH=str(ROOT))
    env.pop("LD_LIBRARY_PATH", None)
    if library is not None:
        env["LD_LIBRARY_PATH"] = str(library)
    done = subprocess.run(
        [sys.executable, "-c", SHOW + code], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_every_field_is_read_in_its_unit(library: Path) -> None:
    assert run("print(json.dumps(show()))", library) == {
        "name": "Fake RTX 0",
        "driver": "555.42.1",
        "utilisation": 37,
        "memory_used": 3 << 30,
        "memory_total": 8 << 30,
        "temperature": 61,
        "power": 123.45,
        "clock": 1980,
        "memory_clock": 7000,
    }


def test_a_card_is_found_by_its_uuid_as_torch_writes_it(library: Path) -> None:
    told = run("print(json.dumps([show('1b2c')['name'], show('GPU-1b2c')['name'], show(1)['name']]))", library)
    assert told == ["Fake RTX 1"] * 3


def test_what_a_card_does_not_report_is_none_and_the_rest_is_read(library: Path) -> None:
    told = run("print(json.dumps(show()))", library, "laptop")
    assert isinstance(told, dict)
    assert told["power"] is None and told["utilisation"] == 37 and told["clock"] == 1980


def test_a_driver_that_is_not_loaded_is_a_reason(library: Path) -> None:
    told = run("print(json.dumps([show(), gpu.why_not()]))", library, "noload")
    assert told == [None, "the NVIDIA driver is installed but not loaded"]


def test_a_card_that_is_not_there_is_a_reason(library: Path) -> None:
    told = run("print(json.dumps([show(7), gpu.why_not(7)]))", library)
    assert isinstance(told, list)
    assert told[0] is None and "NVML failed" in told[1]


def test_a_lost_card_comes_back_but_is_not_asked_at_once(library: Path) -> None:
    code = """
class Hand:
    t = 0
    def now_ns(self): return self.t
hand = Hand()
nvml = gpu._Nvml(hand)
told = []
for t in (0, 1, 2, 5.9, 6.1):
    hand.t = int(t * 1e9)
    reading = nvml.read(0)
    told.append(reading and reading.driver)
print(json.dumps(told))
"""
    assert run(code, library, "lost") == ["555.42.1", None, None, None, "555.42.2"]


def test_the_sampler_reads_in_its_own_thread_and_ends(library: Path) -> None:
    code = """
import time
sampler = gpu.GpuSampler(interval=0.01)
started = sampler.start()
names = [t.name for t in threading.enumerate() if t.name == "rvm-gpu"]
reading = sampler.latest
sampler.stop()
print(json.dumps([started, names, reading.name, [t.name for t in threading.enumerate()]]))
"""
    assert run(code, library) == [True, ["rvm-gpu"], "Fake RTX 0", ["MainThread"]]


def test_without_the_library_there_is_a_reason_and_no_thread(tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_bytes(b"not a library")  # found first, and cannot be loaded
    code = "s = gpu.GpuSampler(); print(json.dumps([show(), gpu.why_not(), s.start(), threading.active_count()]))"
    told = run(code, tmp_path)
    if isinstance(told, list) and told[0] is not None:
        pytest.skip("the loader found this machine's own NVML")
    assert told == [None, "no NVIDIA driver is installed (the NVML library is not there)", False, 1]


def test_the_sampler_follows_the_card_and_forgets_it_when_stopped() -> None:
    seen: list[threading.Thread] = []
    readings = iter([GpuReading("a"), GpuReading("b"), None])

    def reader(device: int | str) -> GpuReading | None:
        seen.append(threading.current_thread())
        return next(readings, GpuReading("c"))

    sampler = GpuSampler("uuid", interval=0.005, reader=reader)
    assert sampler.start()
    assert sampler.latest == GpuReading("a")
    deadline = time.monotonic() + 10
    while sampler.latest != GpuReading("c") and time.monotonic() < deadline:
        time.sleep(0.005)
    assert sampler.latest == GpuReading("c")
    sampler.stop()
    assert sampler.latest is None
    assert seen[0] is threading.current_thread() and seen[1].name == "rvm-gpu"


def test_importing_the_module_loads_no_nvml() -> None:
    assert run("import sys; print(json.dumps('pynvml' in sys.modules))", None) is False


@pytest.mark.gpu
def test_a_real_card_reports_itself() -> None:
    reading = gpu.read()
    if reading is None:
        from tests.conftest import missing

        missing(f"no GPU readings: {gpu.why_not()}", required="RVM_REQUIRE_CUDA")
        return
    assert reading.name and reading.driver
    assert reading.memory_total is None or 0 < (reading.memory_used or 0) <= reading.memory_total
    assert reading.utilisation is None or 0 <= reading.utilisation <= 100
    assert reading.temperature is None or 0 < reading.temperature < 120


def test_after_a_failure_nvml_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    nvml = gpu._Nvml(clock)
    attempts: list[int] = []
    import pynvml

    def refuse() -> None:
        attempts.append(clock.now_ns())
        raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    monkeypatch.setattr(pynvml, "nvmlInit", refuse)
    for _ in range(20):
        assert nvml.read(0) is None
        clock.advance(0.5)
    assert len(attempts) == 2
