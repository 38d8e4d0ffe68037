"""The embedded engine: its network, its weights, its full-size step."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from rvm_live import open_engine
from rvm_live.core.errors import EngineError, UnavailableError, WeightsError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.engines.common.openvino_models import keep_state, resized
from rvm_live.engines.lite.colours import Unmixer, contrast
from rvm_live.engines.lite.engine import EMBEDDED, LiteEngine, fit_alpha, ratio_for, trained_size
from rvm_live.engines.lite.in_torch import _Packed, openvino_model
from rvm_live.engines.lite.network import LiteNetwork, state_shapes
from rvm_live.engines.lite.weights import load_network
from rvm_live.sources.demo.demo import DemoSource
from tests.conftest import ROOT
from tests.support.threads import torch_threads  # noqa: F401
from tests.support.videos import read_frames

SIZES = [(176, 320), (96, 128), (32, 16), (16, 16)]


def settings(**changed: Any) -> EngineSettings:
    return EngineSettings(**{"engine": "lite", "device": "cpu", **changed})


def matted(engine: LiteEngine, frames: list[Frame]) -> list[Matte]:
    try:
        engine.open()
        return [engine.matte(frame) for frame in frames]
    finally:
        engine.close()


@pytest.fixture(scope="module")
def person(data: Path) -> list[Frame]:
    return read_frames(data / "clips" / "webcam" / "liveportrait_s18.mp4", 3)


# The network


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_multiples_of_16_go_through(height: int, width: int) -> None:
    network = LiteNetwork().eval()
    with torch.inference_mode():
        alpha, *states = network(torch.rand(2, 3, height, width))
        again, *_ = network(torch.rand(2, 3, height, width), *states)
    assert alpha.shape == again.shape == (2, 1, height, width)
    assert [(1, *state.shape[1:]) for state in states] == state_shapes(width, height)
    assert 0 <= float(alpha.min()) <= float(alpha.max()) <= 1


def test_no_state_is_a_state_of_zeros() -> None:
    network, picture = LiteNetwork().eval(), torch.rand(1, 3, 48, 64)
    zeros = [torch.zeros(shape) for shape in state_shapes(64, 48)]
    with torch.inference_mode():
        torch.testing.assert_close(network(picture)[0], network(picture, *zeros)[0])


def test_a_sequence_at_once_is_one_frame_after_the_other() -> None:
    torch.manual_seed(0)
    network, pictures = LiteNetwork().eval(), torch.rand(2, 3, 3, 48, 64)
    with torch.inference_mode():
        together, *last = network(pictures.flatten(0, 1), time=3)
        states: list[Any] = [None] * 3
        for number in range(3):
            alpha, *states = network(pictures[:, number], *states)
            torch.testing.assert_close(together.unflatten(0, (2, 3))[:, number], alpha, atol=1e-5, rtol=0)
    for ours, theirs in zip(last, states, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_every_state_matters() -> None:
    torch.manual_seed(0)
    network, picture = load_network(), torch.rand(1, 3, 48, 64)
    with torch.inference_mode():
        alone = network(picture)[0]
        for number in range(3):
            states = [torch.zeros(shape) for shape in state_shapes(64, 48)]
            states[number] = torch.randn(states[number].shape)
            assert float((network(picture, *states)[0] - alone).abs().max()) > 1e-3


# The weights


def test_the_embedded_weights_fit_strictly_and_are_small() -> None:
    assert EMBEDDED.stat().st_size <= 1_500_000
    network = load_network()
    count = sum(p.numel() for p in network.parameters())
    assert 100_000 < count < 500_000
    assert not network.training


def test_packing_changes_nothing() -> None:
    picture = torch.randint(0, 256, (1, 80, 128, 3), dtype=torch.uint8)
    states = [torch.randn(shape) for shape in state_shapes(128, 80)]
    with torch.inference_mode():
        shown = picture.permute(0, 3, 1, 2).flip(1).float() / 255
        wanted = load_network()(shown, *states)
        for ours, theirs in zip(_Packed(load_network())(picture, *states), wanted, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_openvino_moves_no_pixels_about() -> None:
    """No transposed or reordered picture, and no layer left to the slow code that runs on every processor."""
    openvino = pytest.importorskip("openvino")
    model = resized(openvino_model(load_network()), (320, 176), state_shapes(320, 176))
    keep_state(model, 3)
    options = {"INFERENCE_PRECISION_HINT": "f32", "PERF_COUNT": True, "INFERENCE_NUM_THREADS": 1}
    request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()
    request.infer([np.zeros((1, 176, 320, 3), np.uint8)])
    ran = [each for each in request.profiling_info if each.status == openvino.ProfilingInfo.Status.EXECUTED]
    assert len(ran) > 50
    slow = [(each.node_type, each.exec_type, each.node_name) for each in ran if each.exec_type.startswith("ref")]
    moved = [each.node_name for each in ran if each.node_type in ("Transpose", "Reorder")]
    assert slow == []
    assert [name for name in moved if not name.endswith(("_fake", "Result"))] == []


def test_weights_that_are_none(tmp_path: Path, weights: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, other)
    text = tmp_path / "text.safetensors"
    text.write_text("no weights at all")
    cases = [(text, "not a safetensors"), (other, "another network"), (weights, "another network")]
    for path, said in [*cases, (tmp_path / "none", "does not exist")]:
        with pytest.raises(WeightsError, match=said) as caught:
            LiteEngine(settings(weights=path)).open()
        assert "\n" not in str(caught.value)


# The engine


def test_it_finds_the_person_offline(person: list[Frame], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    mattes = matted(LiteEngine(settings(offline=True, foreground="source")), person)
    alpha = mattes[-1].host().alpha
    assert alpha.shape == (720, 1280)
    # The woman sits in the middle, chest-up; the upper corners are windows.
    assert alpha[500:700, 560:720].mean() > 200
    assert max(alpha[:150, :150].mean(), alpha[:150, -150:].mean()) < 50
    assert mattes[-1].foreground is None


@pytest.mark.slow
def test_it_cuts_out_the_demo_as_make_run_shows_it() -> None:
    pytest.importorskip("skimage")
    source = DemoSource(SourceSettings(source="demo", width=1280, height=720, fps=30))
    source.open()
    engine, apart, change = LiteEngine(settings()), [], []
    engine.open()
    before = None
    try:
        for number in range(45):
            picture, truth = source.frame_at(number)
            alpha = engine.matte(Frame(picture, number, 0, number)).host().alpha
            now = alpha.astype(np.float32) - truth
            apart.append(float(np.abs(now).mean()) / 255)
            if before is not None:
                change.append(float(np.sqrt(np.square(now - before).mean())) / 255)
            before = now
    finally:
        engine.close()
        source.release()
    assert max(apart[5:]) < 0.03
    assert np.mean(change) < 0.035


def test_it_agrees_with_rvm_on_a_webcam(person: list[Frame], weights: Path) -> None:
    with open_engine("rvm", device="cpu", weights=weights, downsample_ratio=0.4) as teacher:
        wanted = [teacher.matte(frame.image).host().alpha for frame in person]
    for ours, theirs in zip(matted(LiteEngine(settings()), person), wanted, strict=True):
        assert np.abs(ours.host().alpha.astype(int) - theirs).mean() / 255 < 0.015


def test_torch_and_openvino_agree(person: list[Frame], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    theirs = matted(LiteEngine(settings(precision="fp32")), person)
    rounded = matted(LiteEngine(settings(precision="auto")), person)

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("rvm_live.engines.lite.engine.import_quietly", missing)
    engine = LiteEngine(settings())
    ours = matted(engine, person)
    assert engine.info.precision == "fp32"
    assert any("OpenVINO" in note for note in engine.info.notes)
    for a, b, c in zip(ours, theirs, rounded, strict=True):
        assert np.abs(a.alpha.astype(int) - b.alpha.astype(int)).mean() < 0.02 * 2.55
        assert np.abs(c.alpha.astype(int) - b.alpha.astype(int)).mean() < 2 * 2.55


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"device": "cuda"}, "lite runs only on the cpu, not on cuda"),
        ({"precision": "fp16"}, "fp32 or bf16, not in fp16"),
    ],
)
def test_what_it_cannot_do_is_said(changed: dict[str, str], said: str) -> None:
    with pytest.raises(UnavailableError, match=said):
        LiteEngine(settings(**changed)).open()


@pytest.mark.parametrize(
    ("frame", "low"),
    [
        ((1280, 720), (320, 176)),
        ((640, 480), (320, 240)),
        ((720, 1280), (176, 320)),
        ((524, 404), (320, 240)),
        ((360, 312), (320, 272)),
        ((512, 444), (320, 272)),
        ((250, 130), (240, 128)),
        ((1000, 20), (800, 16)),
        ((40, 9), (32, 16)),
        ((1, 1), (16, 16)),
    ],
)
def test_the_network_works_at_sizes_it_was_trained_at(frame: tuple[int, int], low: tuple[int, int]) -> None:
    assert trained_size(*frame, ratio_for(*frame)) == low


def test_the_ratio(person: list[Frame]) -> None:
    assert ratio_for(1280, 720) == 0.25
    assert ratio_for(720, 1280) == 0.25
    assert ratio_for(200, 100) == 1.0
    assert ratio_for(4000, 100) * 100 >= 16
    engine = LiteEngine(settings(downsample_ratio=0.1))
    matted(engine, person[:1])
    assert engine.info.downsample_ratio == 0.1
    with pytest.raises(EngineError, match="is too small"):
        matted(LiteEngine(settings(downsample_ratio=0.001)), person[:1])


@pytest.mark.parametrize(("size", "refined"), [((320, 176), False), ((640, 352), True)])
def test_one_network_is_made_for_a_size(size: tuple[int, int], refined: bool) -> None:
    made: list[Any] = []

    class Counting(LiteEngine):
        def _made(self, key: Any) -> Any:
            made.append(key)
            return super()._made(key)

    engine = Counting(settings())
    try:
        engine.open()
        engine.prepare(*size)
        engine.matte(Frame(np.zeros((size[1], size[0], 3), np.uint8), 0, 0, 0)).host()
    finally:
        engine.close()
    assert made == [((320, 176), refined)]


def brute_force(grey: NDArray[np.float64], alpha: NDArray[np.float64], y: int, x: int) -> tuple[float, float]:
    a, b = grey[y - 1 : y + 2, x - 1 : x + 2].ravel(), alpha[y - 1 : y + 2, x - 1 : x + 2].ravel()
    slope = ((a * b).mean() - a.mean() * b.mean()) / ((a * a).mean() - a.mean() ** 2 + 1e-5)
    return slope, (b.mean() - slope * a.mean()) * 255


def test_the_guided_filter_is_that_of_the_formula() -> None:
    random = np.random.default_rng(3)
    picture = random.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    alpha = random.random((20, 30), np.float32)
    slope, offset = fit_alpha(picture, alpha)
    for y, x in ((1, 1), (7, 12), (18, 28)):
        expected = brute_force(picture.mean(2) / 255, alpha.astype(np.float64), y, x)
        np.testing.assert_allclose((slope[y, x], offset[y, x]), expected, rtol=2e-3, atol=1e-3)


# The person's colours


def mixture(height: int = 144, width: int = 256) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A red disc with a soft edge in a bright green room: the picture, and alpha, uint8."""
    y, x = np.mgrid[0:height, 0:width]
    distance = np.hypot(x - width / 2, y - height / 2)
    alpha = np.clip((height / 3 - distance) / 12 + 0.5, 0, 1)[..., None]
    picture = alpha * np.array([30, 40, 200]) + (1 - alpha) * np.array([60, 230, 60])
    return (picture + 0.5).astype(np.uint8), (alpha[..., 0] * 255 + 0.5).astype(np.uint8)


@pytest.mark.parametrize("enlarged", [1, 3])
def test_the_room_is_taken_out_of_the_edge(enlarged: int) -> None:
    picture, alpha = mixture()
    difference = contrast(picture, alpha.astype(np.float32) / 255)
    large = cv2.resize(picture, None, fx=enlarged, fy=enlarged, interpolation=cv2.INTER_CUBIC)
    matte = cv2.resize(alpha, None, fx=enlarged, fy=enlarged, interpolation=cv2.INTER_CUBIC)
    found = Unmixer(large.shape[1], large.shape[0]).apply(large, matte, difference)
    edge = (matte > 60) & (matte < 245)
    assert np.abs(large[edge].astype(int) - (30, 40, 200)).mean() > 30
    assert np.abs(found[edge].astype(int) - (30, 40, 200)).mean() < 6
    solid = matte == 255
    np.testing.assert_array_equal(found[solid], large[solid])


def test_without_an_edge_the_colours_are_the_pictures_own() -> None:
    picture, _ = mixture(40, 64)
    for level in (0, 255):
        alpha = np.full((40, 64), level, np.uint8)
        found = Unmixer(64, 40).apply(picture, alpha, contrast(picture, alpha.astype(np.float32) / 255))
        np.testing.assert_array_equal(found, picture)
        assert not np.shares_memory(found, picture)


def test_foregrounds_in_use_are_left_alone() -> None:
    picture, alpha = mixture(40, 64)
    difference = contrast(picture, alpha.astype(np.float32) / 255)
    unmixer = Unmixer(64, 40)
    first = unmixer.apply(picture, alpha, difference)
    kept = first.copy()
    unmixer.apply(255 - picture, alpha, difference)
    np.testing.assert_array_equal(first, kept)


def test_the_engine_gives_the_foreground_that_is_asked_for(person: list[Frame]) -> None:
    theirs = matted(LiteEngine(settings(foreground="source")), person[:1])[0]
    ours = matted(LiteEngine(settings()), person[:1])[0]
    assert theirs.foreground is None
    np.testing.assert_array_equal(ours.alpha, theirs.alpha)
    changed = np.abs(ours.foreground.astype(int) - person[0].image.astype(int)).max(2) > 3
    assert changed.any()
    assert not changed[ours.alpha == 255].any()


# A quick start --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_from_the_second_start_on_torch_is_not_loaded_and_the_matte_is_the_same(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np, rvm_live\n"
        "picture = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)\n"
        "with rvm_live.open_engine('lite', precision='fp32') as engine:\n"
        "    alphas = [engine.matte(picture).host().alpha for _ in range(3)]\n"
        "print('torch' in sys.modules, np.stack(alphas).tobytes().hex())\n"
    )
    environment = {**os.environ, "RVM_LIVE_CACHE": str(tmp_path)}
    kept = tmp_path / "weights" / "openvino"

    def start() -> tuple[str, str]:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, cwd=ROOT, env=environment)
        loaded, alphas = done.stdout.split()
        return loaded, alphas

    loaded, alphas = start()
    assert loaded == "True"
    assert start() == ("False", alphas)
    (model,) = kept.glob("lite-*/model.xml")
    model.write_text("<net")
    assert start() == ("True", alphas), "what is damaged is made anew"
    assert start() == ("False", alphas)
