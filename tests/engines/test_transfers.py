"""Invariant 8: each frame is uploaded once and downloaded once, on every device (on the CPU copies are free, but the
counts are the same)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from rvm_live.backgrounds.base import Clear, Layer, Plate
from rvm_live.compositing.torch import TorchCompositor
from rvm_live.core import transfer
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.rvm.torch.engine import RvmEngine
from tests.conftest import ROOT, missing

WIDTH, HEIGHT = 160, 96


@pytest.fixture(params=["cpu", pytest.param("cuda:0", marks=pytest.mark.gpu)])
def engine(request: pytest.FixtureRequest, weights: Path) -> Iterator[RvmEngine]:
    made = RvmEngine(EngineSettings(weights=weights, device=request.param, downsample_ratio=0.5))
    made.open()
    made.prepare(WIDTH, HEIGHT)
    yield made
    made.close()


def frame(number: int) -> Frame:
    picture = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return Frame(picture, number, 0, number)


@pytest.mark.parametrize("layer", [Plate(np.full((HEIGHT, WIDTH, 3), 9, np.uint8), 1), Clear()], ids=["plate", "clear"])
def test_one_trip_up_and_one_down_for_each_frame(engine: RvmEngine, layer: Layer) -> None:
    compositor = TorchCompositor(engine.info.device)
    compositor.open()
    compositor.composite(engine.matte(frame(0)), layer)  # uploads the background, once
    before = transfer.counts()
    for number in range(1, 6):
        compositor.composite(engine.matte(frame(number)), layer)
    after = transfer.counts()
    compositor.close()
    assert after.uploads - before.uploads == 5
    assert after.downloads - before.downloads == 5


@pytest.mark.gpu
def test_no_stage_waits_for_the_whole_device(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    def forbidden(*_: object) -> None:
        raise AssertionError("torch.cuda.synchronize() waits for the whole device")

    monkeypatch.setattr(torch.cuda, "synchronize", forbidden)
    made = RvmEngine(EngineSettings(weights=weights, device="cuda"))
    made.open()
    made.prepare(WIDTH, HEIGHT)
    compositor = TorchCompositor(made.info.device)
    compositor.open()
    compositor.composite(made.matte(frame(0)), Clear())
    compositor.close()
    made.close()


def test_the_sources_never_ask_for_the_whole_device() -> None:
    sources = {path: path.read_text("utf-8") for path in (ROOT / "rvm_live").rglob("*.py")}
    assert any("torch.cuda.current_stream(" in text for text in sources.values()), "where is the program?"
    assert [path for path, text in sources.items() if "cuda.synchronize(" in text] == []


def test_a_skip_for_want_of_a_gpu_becomes_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "RVM_REQUIRE_CUDA", "1")
    with pytest.raises(pytest.fail.Exception, match="no CUDA device"):
        missing("no CUDA device", required="RVM_REQUIRE_CUDA")
