"""OpenVINO's devices. The list is a stand-in, and GPU and NPU are replaced by OpenVINO's own HETERO and MULTI over the
CPU; this was never tried on such hardware."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvm_live.core.errors import SettingsError, UnavailableError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import EngineInfo
from rvm_live.engines.common.device import choose_device
from rvm_live.engines.common.trial import APART, Trial, choose
from rvm_live.engines.rvm.openvino import engine as openvino_engine
from rvm_live.engines.rvm.openvino.devices import devices_for, name_of, pictures
from rvm_live.engines.rvm.openvino.engine import OpenVinoEngine
from rvm_live.engines.select import AutoEngine
from rvm_live.system.cpu_info import accelerator_wanted
from rvm_live.system.telemetry_off import import_quietly

ALL = ("CPU", "GPU.0", "GPU.1", "NPU")


@pytest.mark.parametrize(
    ("asked", "available", "found"),
    [
        ("cpu", ALL, []),
        ("auto", ALL, ["GPU.0", "GPU.1", "NPU"]),
        ("auto", ("CPU",), []),
        ("intel-gpu", ALL, ["GPU.0", "GPU.1"]),
        ("intel-gpu", ("CPU", "GPU"), ["GPU"]),
        ("intel-gpu:1", ALL, ["GPU.1"]),
        ("intel-gpu:0", ("CPU", "GPU"), ["GPU"]),
        ("npu", ALL, ["NPU"]),
    ],
)
def test_what_is_asked_for_is_looked_up_in_openvinos_own_list(
    asked: str, available: tuple[str, ...], found: list[str]
) -> None:
    assert devices_for(asked, available) == found


@pytest.mark.parametrize(
    ("asked", "available"), [("intel-gpu", ("CPU",)), ("npu", ("CPU", "GPU")), ("intel-gpu:2", ALL)]
)
def test_what_is_not_in_it_is_one_line(asked: str, available: tuple[str, ...]) -> None:
    with pytest.raises(UnavailableError, match=rf"device {asked} is not available: OpenVINO sees CPU") as caught:
        devices_for(asked, available)
    assert "\n" not in str(caught.value)


def test_names_are_those_of_the_option() -> None:
    assert [name_of(each) for each in ("CPU", "GPU", *ALL[1:])] == [
        "cpu",
        "intel-gpu",
        "intel-gpu",
        "intel-gpu:1",
        "npu",
    ]
    for each in ("intel-gpu", "intel-gpu:1", "npu"):
        assert EngineSettings(device=each).device == each
        assert not accelerator_wanted(each), "torch would be asked for it"
        with pytest.raises(UnavailableError, match="only works with --engine openvino"):
            choose_device(each)
    with pytest.raises(SettingsError, match="intel-gpu or npu"):
        EngineSettings(device="intel")


def trials(**taken: Trial | Exception) -> Callable[[str], Trial]:
    def attempt(device: str) -> Trial:
        found = taken[device.replace(".", "_")]
        if isinstance(found, Exception):
            raise found
        return found

    return attempt


def made(milliseconds: float, apart: float = 0.0) -> Trial:
    return Trial([np.full((1, 4, 3, 3), 0.5 * (1 + apart), np.float32) for _ in range(4)], milliseconds)


@pytest.mark.parametrize(
    ("asked", "gpu", "npu", "device", "told"),
    [
        ("auto", made(9), made(12), "GPU.0", []),
        ("auto", made(12), made(9), "NPU", []),
        ("auto", made(30), made(40), "CPU", []),
        ("auto", made(9, apart=2 * APART), made(12), "NPU", ["GPU.0 is not used: its results differ"]),
        ("auto", made(9, apart=float("nan")), made(40), "CPU", ["GPU.0 is not used: its results differ"]),
        ("auto", RuntimeError("no driver"), made(12), "NPU", ["GPU.0 is not used: no driver"]),
        ("intel-gpu", made(90), made(9), "GPU.0", []),
        ("intel-gpu", made(9, apart=0.5), made(9), "CPU", ["GPU.0 is not used: its results differ"]),
        ("npu", made(9), RuntimeError("cannot compile"), "CPU", ["NPU is not used: cannot compile"]),
    ],
)
def test_the_quickest_that_agrees(
    asked: str, gpu: Trial | Exception, npu: Trial | Exception, device: str, told: list[str]
) -> None:
    others = {"auto": ["GPU.0", "NPU"], "intel-gpu": ["GPU.0"], "npu": ["NPU"]}[asked]
    chosen = choose(asked, others, trials(CPU=made(20), GPU_0=gpu, NPU=npu))
    assert chosen.device == device
    assert len(chosen.notes) == len(told) and all(part in note for part, note in zip(told, chosen.notes, strict=True))


def test_where_there_is_the_cpu_alone_nothing_is_tried() -> None:
    assert choose("auto", [], trials()).device == "CPU"


class StandIn:
    """OpenVINO's core on a laptop with more devices than a CPU, with the calls that this program makes."""

    plugins = {"GPU.0": "HETERO:CPU", "NPU": "MULTI:CPU"}  # noqa: RUF012

    def __init__(self, core: Any, *, broken: str = "", wrong: str = "") -> None:
        self._core, self._broken, self._wrong = core, broken, wrong
        self.available_devices = ["CPU", *self.plugins]
        self.compiled: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)

    def get_property(self, device: str, name: str) -> Any:
        return f"stand-in for {device}" if device != "CPU" else self._core.get_property(device, name)

    def compile_model(self, model: Any, device: str, options: dict[str, Any]) -> Any:
        self.compiled.append(device)
        if device == "CPU":
            return self._core.compile_model(model, device, options)
        if device == self._broken:
            raise RuntimeError("[GPU] clBuildProgram failed")
        if device == self._wrong:
            model = model.clone()
            for node in model.get_ops():
                if node.get_type_name() == "Convolution":
                    ops = import_quietly("openvino.opset13")
                    source = node.input_value(0)
                    node.input(0).replace_source_output(ops.multiply(source, np.float32(1.3)).output(0))
                    break
        # The GPU's stand-in supports half precision as little as this CPU does.
        kept = {key: value for key, value in options.items() if key == "PERFORMANCE_HINT"}
        return self._core.compile_model(model, self.plugins[device], kept)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., StandIn]:
    openvino = import_quietly("openvino")
    real = openvino.Core

    def with_devices(**how: str) -> StandIn:
        core = StandIn(real(), **how)
        monkeypatch.setattr(openvino, "Core", lambda: core)
        return core

    return with_devices


def opened(weights: Path, **asked: Any) -> EngineInfo:
    engine = OpenVinoEngine(EngineSettings(weights=weights, downsample_ratio=0.2, **asked))
    try:
        info = engine.open()
        engine.prepare(1280, 720)
        picture = np.full((720, 1280, 3), 90, np.uint8)
        matte = engine.matte(Frame(picture, 0, 0, 0)).host()
        assert matte.alpha.shape == (720, 1280)
        assert engine.info.device == info.device
        return engine.info
    finally:
        engine.close()


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "device"), [("intel-gpu", "GPU.0"), ("npu", "NPU")])
def test_the_network_runs_where_it_was_asked_to(
    weights: Path, machine: Callable[..., StandIn], asked: str, device: str
) -> None:
    core = machine()
    info = opened(weights, device=asked)
    assert (info.device, info.device_name, info.precision) == (asked, f"stand-in for {device}", "fp16")
    assert info.mattes_on == "cpu" and info.notes == ()
    assert core.compiled[-2:] == [device, "CPU"], "the guided filter's model stays on the CPU, in single precision"


@pytest.mark.parametrize(
    ("how", "why"), [({"broken": "GPU.0"}, "clBuildProgram"), ({"wrong": "GPU.0"}, "its results differ from the CPU")]
)
@pytest.mark.few(1)
def test_one_that_fails_or_disagrees_is_told_and_the_cpu_works(
    weights: Path, machine: Callable[..., StandIn], how: dict[str, str], why: str
) -> None:
    machine(**how)
    info = opened(weights, device="intel-gpu")
    assert info.device == "cpu" and info.precision in ("fp32", "bf16")
    assert len(info.notes) == 1 and "OpenVINO's GPU.0 is not used" in info.notes[0] and why in info.notes[0]


@pytest.mark.slow
def test_auto_takes_the_quickest_in_live_video_and_the_cpu_for_files(
    weights: Path, machine: Callable[..., StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = iter([20.0, 30.0, 5.0])
    monkeypatch.setattr(openvino_engine, "median_ms", lambda *_, **__: next(taken))
    core = machine()
    info = opened(weights, keep_up=True)
    assert (info.device, info.device_name) == ("npu", "stand-in for NPU")
    core.compiled.clear()
    assert opened(weights).device == "cpu"
    assert set(core.compiled) == {"CPU"}


@pytest.mark.slow
def test_auto_gives_a_device_of_openvinos_to_openvino(weights: Path, machine: Callable[..., StandIn]) -> None:
    machine()
    engine = AutoEngine(EngineSettings(weights=weights, device="npu"))
    try:
        assert (engine.open().engine, engine.info.device) == ("openvino", "npu")
    finally:
        engine.close()


def test_the_pictures_have_something_for_every_kernel() -> None:
    seen = pictures((256, 144))
    assert {picture.shape for picture in seen} == {(144, 256, 3)}
    assert all(np.abs(a.astype(int) - b).max() > 50 for a, b in pairwise(seen))
