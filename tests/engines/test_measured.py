"""What is measured before the first picture: the size for each engine, and the choice of engine, without any
weights."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings
from rvm_live.engines import select
from rvm_live.engines import torchscript as torchscript_engine
from rvm_live.engines.base import Engine
from rvm_live.engines.common import micro_benchmark
from rvm_live.engines.onnx import engine as onnx_engine
from rvm_live.engines.resort import ResortEngine
from rvm_live.engines.rvm.openvino import engine as openvino_engine
from rvm_live.engines.rvm.torch import engine as torch_engine
from rvm_live.engines.select import AutoEngine
from rvm_live.network.network import MattingNetwork
from rvm_live.system.telemetry_off import import_quietly
from rvm_live.weights import load
from tests.support.onnx_files import save_flexible
from tests.support.scripted import save_module

WIDTH, HEIGHT = 640, 360


def script(weights: Path, path: Path) -> Path:
    loaded = load(weights)
    network = MattingNetwork(loaded.variant, loaded.refiner).eval()
    network.load_state_dict(loaded.state_dict, strict=True)
    save_module(network, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openvino", "rvm", "onnx", "torchscript"])
def test_every_engine_measures_before_it_starts(
    name: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow machine the smallest size, on a fast one the largest; and only where the engine must keep up."""
    modules = {
        "openvino": openvino_engine,
        "rvm": torch_engine,
        "onnx": onnx_engine,
        "torchscript": torchscript_engine,
    }
    path = weights
    if name == "onnx":
        path = save_flexible(weights, tmp_path / "network.onnx")
    elif name == "torchscript":
        path = script(weights, tmp_path / "network.pt")
    ran = []

    def taking(milliseconds: float) -> Callable[..., float]:
        def measured(run: Callable[[], object], **_: object) -> float:
            run()
            ran.append(milliseconds)
            return milliseconds

        return measured

    def ratio_at(milliseconds: float, **asked: object) -> float:
        monkeypatch.setattr(modules[name], "median_ms", taking(milliseconds))
        settings = EngineSettings(engine=name, weights=path, device="cpu", precision="fp32", **asked)  # type: ignore[arg-type]
        engine: Engine = AutoEngine(settings)
        engine.open()
        try:
            engine.prepare(WIDTH, HEIGHT)
            engine.matte(Frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), 0, 0, 0)).host()
            return engine.info.downsample_ratio
        finally:
            engine.close()

    assert ratio_at(200.0, keep_up=True) == pytest.approx(256 / WIDTH)
    assert ratio_at(1.0, keep_up=True) == pytest.approx(512 / WIDTH)
    assert ratio_at(15.0, keep_up=True) == pytest.approx(256 / WIDTH), "320 would take 23 of 20 ms"
    assert len(ran) == 3
    assert ratio_at(200.0) == pytest.approx(512 / WIDTH)
    assert ratio_at(200.0, keep_up=True, downsample_ratio=0.5) == 0.5
    assert len(ran) == 3


def test_the_micro_benchmark_needs_neither_weights_nor_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    monkeypatch.delenv("RVM_LIVE_WEIGHTS", raising=False)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it asks the network"))
    taken, larger = micro_benchmark.rvm_ms(), micro_benchmark.rvm_ms((512, 288))
    assert taken is not None and larger is not None and taken > 0.5
    assert list(tmp_path.iterdir()) == []


def test_a_share_is_that_of_the_quantised_network(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = []
    reference = micro_benchmark._reference

    def watched(quantised: bool) -> object:
        model = reference(quantised)
        kinds.append((quantised, sum(node.get_type_name() == "FakeQuantize" for node in model.get_ops())))
        return model

    monkeypatch.setattr(micro_benchmark, "_reference", watched)
    share = micro_benchmark.int8_share(import_quietly("openvino").Core(), "f32")
    assert [kind for kind, _ in kinds] == [True, False]
    assert kinds[0][1] >= 8 and kinds[1][1] == 0
    assert share > 0.0


@pytest.mark.parametrize(
    ("expected", "first"), [(60.0, "lite"), (41.0, "openvino"), (None, "openvino")], ids=["slow", "quick", "unknown"]
)
@pytest.mark.few(1)
def test_the_first_choice_is_the_micro_benchmarks(
    expected: float | None, first: str, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "rvm_ms", lambda: expected)
    asked = EngineSettings(weights=weights, device="cpu", keep_up=True)
    engine = AutoEngine(asked)
    try:
        info = engine.open()
        engine.prepare(320, 180)
        assert info.engine == engine.info.engine == first
        assert isinstance(engine._inner, ResortEngine)
        assert any(rung.engine == "lite" for rung in engine.rungs)
        told = [note for note in info.notes if "RVM would take 60 ms" in note]
        assert bool(told) == (first == "lite")
    finally:
        engine.close()


def test_what_was_asked_for_is_no_choice(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "rvm_ms", lambda: pytest.fail("there was nothing to choose"))
    for asked in ({"fallback_lite": False}, {"engine": "openvino"}, {"keep_up": False}, {"downsample_ratio": 0.3}):
        engine = AutoEngine(EngineSettings(**{"weights": weights, "device": "cpu", "keep_up": True, **asked}))  # type: ignore[arg-type]
        assert engine.open().engine == "openvino"
        engine.close()
