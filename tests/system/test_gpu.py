"""NVML readings: through a real shared library with a real loader, and without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from rvm_live.system import gpu
from rvm_live.system.gpu import GpuReading, GpuSampler
from tests.conftest import ROOT
from tests.support.clock import FakeClock
from tests.support.nvml import build
from tests.support.waiting import until

SHOW = """
import dataclasses, json, threading
from rvm_live.system import gpu
def show(device=0):
    reading = gpu.read(device)
    return None if reading is None else dataclasses.asdict(reading)
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a libnvidia-ml.so.1 built by the test."""
    return build(tmp_path_factory.mktemp("nvml"))


def run(code: str, library: Path | None, mode: str = "") -> object:
    env = dict(os.environ, FAKE_NVML=mode, PYTHONPATH=str(ROOT))
    env.pop("LD_LIBRARY_PATH", None)
    if library is not None:
        env["LD_LIBRARY_PATH"] = str(library)
    done = subprocess.run(
        [sys.executable, "-c", SHOW + code], env=env, capture_output=True, encoding="utf-8", timeout=60, check=True
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
sampler.start()
names = [t.name for t in threading.enumerate() if t.name == "rvm-gpu"]
reading = sampler.latest
sampler.stop()
print(json.dumps([names, reading.name, [t.name for t in threading.enumerate()]]))
"""
    assert run(code, library) == [["rvm-gpu"], "Fake RTX 0", ["MainThread"]]


def test_without_the_library_there_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_bytes(b"not a library")  # found first, but cannot be loaded
    code = "s = gpu.GpuSampler(); s.start(); print(json.dumps([show(), gpu.why_not(), s.latest])); s.stop()"
    told = run(code, tmp_path)
    if isinstance(told, list) and told[0] is not None:
        pytest.skip("the loader found this machine's own NVML")
    assert told == [None, "no NVIDIA driver is installed (the NVML library is not there)", None]


def test_the_sampler_follows_the_card_that_does_the_work_and_forgets_it_when_stopped() -> None:
    seen: list[tuple[str, gpu.Card]] = []
    cards = iter(["one", "other"])

    def reader(device: gpu.Card) -> GpuReading | None:
        seen.append((threading.current_thread().name, device))
        return GpuReading(str(device))

    sampler = GpuSampler(lambda: next(cards, None), interval=0.005, reader=reader)
    sampler.start()
    assert sampler.latest == GpuReading("one") or len(seen) > 1
    until(lambda: len(seen) >= 2 and sampler.latest is None, 10)
    assert sampler.latest is None, "the work has gone to the CPU"
    sampler.stop()
    assert seen == [(threading.current_thread().name, "one"), ("rvm-gpu", "other")]


def test_while_the_library_rests_no_card_is_held(library: Path) -> None:
    """A card whose driver is open does not go to sleep."""
    code = "show(); gpu.rest(); told = gpu._nvml._nvml; print(json.dumps([told, show()['name'], show()['driver']]))"
    assert run(code, library) == [None, "Fake RTX 0", "555.42.2"]


# Which card -----------------------------------------------------------------------------------------------------


def put_cards(monkeypatch: pytest.MonkeyPatch, *, used: bool = True, uuid: bool = True) -> None:
    """A process that uses two cards, which CUDA numbers in the opposite order to NVML."""
    import torch

    def properties(index: int) -> SimpleNamespace:
        return SimpleNamespace(uuid=("1b2c", "0a0a")[index]) if uuid else SimpleNamespace()

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: used)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)


@pytest.mark.parametrize(
    ("device", "found"), [("cuda:0", "1b2c"), ("cuda:1", "0a0a"), ("cuda", "0a0a"), ("auto", "0a0a")]
)
def test_a_card_is_known_by_its_uuid_whatever_cuda_counts(
    monkeypatch: pytest.MonkeyPatch, device: str, found: str
) -> None:
    put_cards(monkeypatch)
    assert gpu.card(device) == found


@pytest.mark.parametrize("device", ["cpu", "mps", "auto"])
def test_no_card_is_looked_at_where_none_does_the_work(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    put_cards(monkeypatch, used=False)
    assert gpu.card(device) is None
    assert gpu.read(None) is None and gpu.why_not(None) == "no NVIDIA GPU is in use"


@pytest.mark.parametrize(
    ("visible", "device", "found"),
    [
        ("", "cuda:1", 1),
        ("3,1", "cuda:0", 3),
        ("3,1", "cuda:1", 1),
        ("GPU-1b2c, GPU-0a0a", "cuda:1", "GPU-0a0a"),
        ("3", "cuda:5", 5),
    ],
)
def test_a_torch_that_tells_no_uuid_leaves_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, visible: str, device: str, found: gpu.Card
) -> None:
    put_cards(monkeypatch, uuid=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu.card(device) == found


@pytest.mark.slow
@pytest.mark.parametrize(("device", "read"), [("cuda:1", {"1"}), ("cpu", set())])
def test_the_program_reads_the_card_its_engine_works_on_and_lets_others_sleep(
    library: Path, tmp_path: Path, device: str, read: set[str]
) -> None:
    log = tmp_path / "log"
    env = {**os.environ, "LD_LIBRARY_PATH": str(library), "FAKE_NVML_LOG": str(log), "PYTHONPATH": str(ROOT)}
    engine = ("--engine", "tests.support.engines:SaysWhereEngine", "--device", device)
    command = [sys.executable, "-m", "rvm_live", "--source", "demo", "--headless", *engine, "--duration", "3"]
    done = subprocess.run(command, env=env, capture_output=True, encoding="utf-8", timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(log.read_text().split() if log.exists() else []) == read


def test_importing_the_module_loads_no_nvml() -> None:
    assert run("import sys; print(json.dumps('pynvml' in sys.modules))", None) is False


@pytest.mark.gpu
def test_a_real_card_reports_itself() -> None:
    reading = gpu.read()
    if reading is None:
        from tests.conftest import missing

        missing(f"the GPU cannot be monitored: {gpu.why_not()}", required="RVM_REQUIRE_CUDA")
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
