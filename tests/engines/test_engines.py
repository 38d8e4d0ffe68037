"""The contract that every engine keeps, and what each engine promises besides."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import rvm_live
from rvm_live.core import transfer
from rvm_live.core.errors import (
    EngineError,
    NoMemoryError,
    RvmLiveError,
    SettingsError,
    UnavailableError,
    WeightsError,
)
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.registry import Registry
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo, Rung
from rvm_live.engines.common.device import choose_device, choose_precision, downsample_ratio
from rvm_live.engines.lite.engine import LiteEngine
from rvm_live.engines.onnx.engine import OnnxEngine
from rvm_live.engines.rvm.openvino.engine import OpenVinoEngine
from rvm_live.engines.rvm.torch.cuda_graph import Step
from rvm_live.engines.rvm.torch.engine import RvmEngine
from rvm_live.engines.select import AutoEngine
from rvm_live.engines.session import EngineSession, open_engine
from rvm_live.engines.torchscript import TorchScriptEngine
from rvm_live.network.network import MattingNetwork
from tests.support.engines import LeftHalfEngine, PassThroughEngine
from tests.support.onnx_files import save_fixed
from tests.support.scripted import KINDS, save_module, save_scripted
from tests.support.threads import exact, torch_threads  # noqa: F401

GOOD_KINDS = ("alpha", "flat alpha", "both", "recurrent", "recurrent alpha", "smaller", "wild")
RECURRENT_KINDS = ("recurrent", "recurrent alpha")
RVM = ("rvm", "rvm full ratio", "openvino", "openvino full ratio", "torchscript rvm", "onnx", "auto")
LITE = ("lite", "lite full ratio")
ENGINES = (*RVM, *LITE, "pass-through", "left half", *GOOD_KINDS)
STATEFUL = (*RVM, *LITE, *RECURRENT_KINDS)

Make = Callable[[str], Engine]


@pytest.fixture(scope="session")
def onnx_file(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_fixed(weights, tmp_path_factory.mktemp("onnx") / "model.onnx", 96, 80, 0.5)


@pytest.fixture(scope="module")
def make(weights: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Make:
    def build(name: str) -> Engine:
        match name:
            case "rvm":
                return RvmEngine(EngineSettings(weights=weights, downsample_ratio=0.5, device="cpu"))
            case "rvm full ratio":
                return RvmEngine(EngineSettings(weights=weights, device="cpu"))
            case "openvino":
                return OpenVinoEngine(EngineSettings(weights=weights, downsample_ratio=0.5, device="cpu"))
            case "openvino full ratio":
                return OpenVinoEngine(EngineSettings(weights=weights, downsample_ratio=1.0, device="cpu"))
            case "onnx":
                return OnnxEngine(EngineSettings(weights=request.getfixturevalue("onnx_file"), device="cpu"))
            case "lite":
                return LiteEngine(EngineSettings(downsample_ratio=0.5, device="cpu"))
            case "lite full ratio":
                return LiteEngine(EngineSettings(device="cpu"))
            case "auto":
                return AutoEngine(EngineSettings(weights=weights, device="cpu"))
            case "pass-through":
                return PassThroughEngine(EngineSettings())
            case "left half":
                return AutoEngine(EngineSettings(engine="tests.support.engines:LeftHalfEngine"))
        path = tmp_path_factory.mktemp("scripted") / f"{name}.pt"
        if name == "torchscript rvm":
            network = MattingNetwork("mobilenetv3", "fast_guided_filter").eval()
            network.load_state_dict(torch.load(weights, weights_only=True))
            save_module(network, path)
        else:
            save_scripted(name, path)
        return TorchScriptEngine(EngineSettings(weights=path, downsample_ratio=0.5, device="cpu"))

    return build


@contextmanager
def opened(engine: Engine, width: int = 96, height: int = 80) -> Iterator[Engine]:
    try:
        engine.open()
        engine.prepare(width, height)
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="module")
def at_start(make: Make) -> Iterator[Make]:
    """Engines that are opened once for all of these tests, and reset before each."""
    with ExitStack() as stack:
        engines: dict[str, Engine] = {}

        def get(name: str) -> Engine:
            if name not in engines:
                engines[name] = stack.enter_context(opened(make(name)))
            engines[name].reset()
            return engines[name]

        yield get


@pytest.fixture(scope="session")
def video(data: Path) -> NDArray[np.uint8]:
    """Six real frames, uint8 (6, 270, 480, 3) BGR."""
    frames: NDArray[np.uint8] = np.load(data / "reference" / "real_mobilenetv3_fast_guided_filter.npz")["src_u8"]
    return np.ascontiguousarray(frames[..., ::-1])


@pytest.fixture(scope="session")
def frames(video: NDArray[np.uint8]) -> list[Frame]:
    """The same frames cropped to 96x80."""
    small = [np.ascontiguousarray(picture[40:200:2, 150:342:2]) for picture in video]
    return [Frame(picture, number, 0, number) for number, picture in enumerate(small)]


ROUNDING = 0.5 / 255
"""Mattes that come in 8 bits are half a grey level off at most."""


def alpha_of(matte: Matte) -> NDArray[np.float32]:
    alpha = matte.alpha if isinstance(matte.alpha, np.ndarray) else matte.alpha.cpu().numpy()
    return alpha.astype(np.float32) / (255 if alpha.dtype == np.uint8 else 1)


# The contract


@pytest.mark.parametrize("name", ENGINES)
def test_contract_a_matte_belongs_to_its_frame(at_start: Make, frames: list[Frame], name: str) -> None:
    engine = at_start(name)
    info = engine.info
    assert isinstance(info, EngineInfo)
    assert info.device == "cpu"
    assert info.device_name
    assert 0 < info.downsample_ratio <= 1
    for frame in frames[:3]:
        before = frame.image.copy()
        matte = engine.matte(frame)
        assert matte.frame is frame
        assert np.array_equal(frame.image, before), "the engine wrote into the frame"
        alpha = alpha_of(matte)
        assert alpha.shape == (80, 96)
        assert 0 <= alpha.min() <= alpha.max() <= 1
        assert 0 < matte.started_ns <= matte.finished_ns
        if matte.foreground is not None:
            assert tuple(matte.foreground.shape) == (80, 96, 3)
            top = 255 if matte.foreground.dtype in (np.uint8, torch.uint8) else 1
            assert 0 <= float(matte.foreground.min()) <= float(matte.foreground.max()) <= top
        if matte.image is not None:
            assert np.array_equal(matte.image.numpy(), frame.image)
        host = matte.host()
        assert (host.alpha.dtype, host.alpha.shape) == (np.uint8, (80, 96))
        assert (host.foreground.dtype, host.foreground.shape) == (np.uint8, (80, 96, 3))
        assert matte.tensor("cpu").alpha.shape == (80, 96)


@pytest.mark.few(3)
@pytest.mark.parametrize("name", ENGINES)
def test_contract_reset_is_a_fresh_start(make: Make, frames: list[Frame], name: str) -> None:
    with opened(make(name)) as engine:
        first = [alpha_of(engine.matte(frame)) for frame in frames[:3]]
        engine.reset()
        again = [alpha_of(engine.matte(frame)) for frame in frames[:3]]
    for ours, theirs in zip(again, first, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", STATEFUL)
def test_contract_the_state_advances(at_start: Make, frames: list[Frame], name: str) -> None:
    engine = at_start(name)
    alpha = [alpha_of(engine.matte(frame)) for frame in (frames[0], frames[1])]
    engine.reset()
    alone = alpha_of(engine.matte(frames[1]))
    assert np.abs(alpha[1] - alone).max() > 1e-3


@pytest.mark.parametrize("name", ENGINES)
def test_contract_a_chunk_gives_what_its_frames_give(at_start: Make, frames: list[Frame], name: str) -> None:
    engine = at_start(name)
    single = [alpha_of(engine.matte(frame)) for frame in frames]
    engine.reset()
    chunks = [*engine.matte_chunk(frames[:4]), *engine.matte_chunk(frames[4:])]
    assert [matte.frame for matte in chunks] == frames
    for matte, expected in zip(chunks, single, strict=True):
        assert np.abs(alpha_of(matte) - expected).max() <= 1.01 / 255


def test_rvm_goes_on_after_memory_ran_out(weights: Path, frames: list[Frame], monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk that does not fit leaves the state unchanged: smaller chunks give the results of single frames."""
    settings = EngineSettings(weights=weights, downsample_ratio=0.5, device="cpu")
    with opened(RvmEngine(settings)) as engine:
        single = [alpha_of(engine.matte(frame)) for frame in frames]
    with opened(RvmEngine(settings)) as engine:
        found = [alpha_of(matte) for matte in engine.matte_chunk(frames[:2])]
        made = Step.__call__
        with monkeypatch.context() as patch:

            def refuse(step: Step, *images: torch.Tensor) -> object:
                if len(images) > 2:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
                return made(step, *images)

            patch.setattr(Step, "__call__", refuse)
            with pytest.raises(NoMemoryError, match=r"out of memory on cpu \(2.00 GiB more\)"):
                engine.matte_chunk(frames[2:])
            for part in (frames[2:4], frames[4:]):
                found += [alpha_of(matte) for matte in engine.matte_chunk(part)]
    for ours, theirs in zip(found, single, strict=True):
        assert np.abs(ours - theirs).max() <= 1.01 / 255


KEEPS_STATES = ("rvm", "rvm full ratio", "openvino", "openvino full ratio", *LITE, "auto")


@pytest.mark.few(3)
@pytest.mark.parametrize("name", STATEFUL)
def test_contract_a_state_can_be_taken_up(make: Make, frames: list[Frame], name: str) -> None:
    with opened(make(name)) as engine:
        for frame in frames[:3]:
            engine.matte(frame)
        states = engine.states()
        expected = [engine.matte(frame).host().alpha for frame in frames[3:]]
        if name not in KEEPS_STATES:
            assert states is None
            with pytest.raises(EngineError, match="cannot load a state"):
                engine.restore([])
            return
    assert states
    with opened(make(name)) as engine:
        engine.restore(states)
        for frame, alpha in zip(frames[3:], expected, strict=True):
            assert np.array_equal(engine.matte(frame).host().alpha, alpha)
        with pytest.raises(EngineError, match="does not fit"):
            engine.restore(states[:2])


@pytest.mark.few(3)
@pytest.mark.parametrize("name", ENGINES)
def test_contract_another_size_starts_anew(
    at_start: Make, frames: list[Frame], video: NDArray[np.uint8], name: str
) -> None:
    other = Frame(np.ascontiguousarray(video[0, 100:167, 200:251]), 9, 0, 9)
    engine = at_start(name)
    engine.matte(frames[0])
    changed = alpha_of(engine.matte(other))
    assert changed.shape == (67, 51)
    engine.reset()
    np.testing.assert_allclose(alpha_of(engine.matte(other)), changed, rtol=0, atol=1e-6)


@pytest.mark.few(3)
@pytest.mark.parametrize("name", [name for name in ENGINES if name not in ("pass-through", "left half")])
def test_contract_before_open_and_after_close(make: Make, frames: list[Frame], name: str) -> None:
    engine = make(name)
    with pytest.raises(EngineError, match="not open"):
        engine.matte(frames[0])
    with opened(engine):
        pass
    with pytest.raises(EngineError, match="not open"):
        engine.matte(frames[0])


@pytest.mark.parametrize("name", ["rvm", "rvm full ratio", "both"])
def test_a_frame_goes_up_once(at_start: Make, frames: list[Frame], name: str) -> None:
    engine = at_start(name)
    before = transfer.counts()
    engine.matte(frames[0])
    after = transfer.counts()
    assert (after.uploads - before.uploads, after.downloads - before.downloads) == (1, 0)


# RVM


@pytest.mark.slow
@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("case", ["full", "half"])
def test_rvm_agrees_with_the_official_network(data: Path, weights: Path, video: NDArray[np.uint8], case: str) -> None:
    """The engine rearranges the network (folding, transposing, memory layout): none of that may change results."""
    reference = np.load(data / "reference" / "real_mobilenetv3_fast_guided_filter.npz")
    settings = EngineSettings(weights=weights, device="cpu", downsample_ratio=float(reference[f"{case}_ratio"]))
    with opened(RvmEngine(settings), 480, 270) as engine:
        for number, picture in enumerate(video):
            matte = engine.matte(Frame(picture, number, 0, 0))
            truth = reference[f"{case}_pha_u16"][number] / 65535
            assert np.abs(alpha_of(matte) - truth).max() <= 1e-4 + ROUNDING, f"alpha of frame {number}"
    foreground = matte.foreground.numpy()[..., ::-1].transpose(2, 0, 1) / 255
    assert np.abs(foreground - reference[f"{case}_fgr_last"].astype(np.float32)).max() <= 2e-3 + ROUNDING


@pytest.mark.parametrize("variant", ["mobilenetv3", "resnet50"])
@pytest.mark.parametrize("refiner", ["deep_guided_filter", "fast_guided_filter"])
@pytest.mark.few(1)
def test_rvm_runs_every_network(data: Path, tmp_path: Path, frames: list[Frame], variant: str, refiner: str) -> None:
    from safetensors.torch import save_file

    from tests.support.parity import formula_network

    network = formula_network(data, variant, refiner)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    settings = EngineSettings(weights=tmp_path, device="cpu", downsample_ratio=0.5)
    with opened(RvmEngine(settings)) as engine:
        assert engine.info.model == variant
        states: list[torch.Tensor | None] = [None] * 4
        for frame in frames[:2]:
            matte = engine.matte(frame)
            src = torch.from_numpy(frame.image[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
            with torch.inference_mode():
                out = network(src, *states, downsample_ratio=0.5)
            states = list(out[2:])
            # Formula weights amplify rounding (see tests/support/parity.py), so single pixels may differ more.
            for ours, theirs in ((matte.alpha, out.pha[0, 0]), (matte.foreground.flip(2).permute(2, 0, 1), out.fgr[0])):
                assert (ours.float() - theirs.mul(255).add(0.5).floor()).abs().mean() < 1e-4 * 255


def test_rvm_sees_the_person(weights: Path, video: NDArray[np.uint8]) -> None:
    with opened(RvmEngine(EngineSettings(weights=weights, device="cpu")), 480, 270) as engine:
        alpha = engine.matte(Frame(video[0], 0, 0, 0)).host().alpha
    assert 0.1 < (alpha > 200).mean() < 0.9
    assert alpha[:40, :40].max() < 30, "the corner of the room is no person"


def test_rvm_takes_read_only_frames(weights: Path, frames: list[Frame]) -> None:
    image = frames[0].image.copy()
    image.flags.writeable = False
    with opened(RvmEngine(EngineSettings(weights=weights, device="cpu"))) as engine:
        assert engine.matte(Frame(image, 0, 0, 0)).alpha.shape == (80, 96)


@pytest.mark.parametrize(("width", "height"), [(16, 16), (1, 1), (17, 301), (1200, 18)])
def test_rvm_takes_any_size(weights: Path, width: int, height: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    with opened(RvmEngine(EngineSettings(weights=weights, device="cpu")), width, height) as engine:
        assert engine.matte(Frame(image, 0, 0, 0)).host().alpha.shape == (height, width)


def test_rvm_with_a_ratio_that_leaves_nothing(weights: Path, frames: list[Frame]) -> None:
    engine = RvmEngine(EngineSettings(weights=weights, device="cpu", downsample_ratio=0.001))
    engine.open()
    with pytest.raises(EngineError, match=r"downsample ratio 0\.001 is too small for a 96x80 frame"):
        engine.matte(frames[0])
    engine.close()


def test_rvm_maps_torch_errors_to_one_line_and_forgets_its_state(
    weights: Path, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(RvmEngine(EngineSettings(weights=weights, device="cpu"))) as engine:
        first = alpha_of(engine.matte(frames[0]))

        def fail(*args: object) -> None:
            raise RuntimeError("CUDA error: invalid configuration argument\nCUDA kernel errors might be late")

        with monkeypatch.context() as patch:
            patch.setattr(MattingNetwork, "coarse", fail)
            with pytest.raises(EngineError) as error:
                engine.matte(frames[1])
        assert str(error.value) == "matting failed on cpu: CUDA error: invalid configuration argument"
        assert isinstance(error.value.__cause__, RuntimeError)
        np.testing.assert_allclose(alpha_of(engine.matte(frames[0])), first, rtol=0, atol=1e-6)


def test_rvm_without_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        RvmEngine(EngineSettings(weights=tmp_path / "none.pth")).open()


# Devices


@pytest.mark.parametrize(
    ("size", "ratio"),
    [((1280, 720), 0.4), ((1920, 1080), 512 / 1920), ((720, 1280), 0.4), ((512, 512), 1.0), ((320, 240), 1.0)],
)
def test_published_ratio(size: tuple[int, int], ratio: float) -> None:
    assert downsample_ratio(None, *size) == pytest.approx(ratio)
    assert downsample_ratio(0.25, *size) == 0.25


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_that_is_not_there(weights: Path) -> None:
    for asked in ("cuda", "cuda:3"):
        with pytest.raises(UnavailableError, match=f"device {asked} is not available: "):
            choose_device(asked)
        with pytest.raises(UnavailableError, match=f"device {asked} is not available: "):
            RvmEngine(EngineSettings(weights=weights, device=asked)).open()


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this machine has MPS")
def test_mps_that_is_not_there() -> None:
    with pytest.raises(UnavailableError, match="device mps is not available: "):
        choose_device("mps")


def test_auto_device_is_one_that_works() -> None:
    device = choose_device("auto")
    assert torch.ones(1, device=device).item() == 1


def test_half_precision_on_the_cpu_is_refused(weights: Path) -> None:
    assert choose_precision("auto", torch.device("cpu")) == "fp32"
    with pytest.raises(SettingsError, match="fp16 needs a GPU"):
        RvmEngine(EngineSettings(weights=weights, device="cpu", precision="fp16")).open()


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 2e-3), ("fp16", 3e-2)])
def test_cuda_agrees_with_the_cpu(weights: Path, video: NDArray[np.uint8], precision: str, tolerance: float) -> None:
    settings = EngineSettings(weights=weights, device="cuda", precision=precision, downsample_ratio=0.5)
    with (
        opened(RvmEngine(settings), 480, 270) as gpu,
        opened(RvmEngine(EngineSettings(weights=weights, device="cpu", downsample_ratio=0.5)), 480, 270) as cpu,
    ):
        assert gpu.info.device == f"cuda:{torch.cuda.current_device()}"
        assert gpu.info.precision == precision
        for number, picture in enumerate(video):
            frame = Frame(picture, number, 0, 0)
            ours, theirs = gpu.matte(frame), cpu.matte(frame)
            assert ours.ready is not None
            assert ours.alpha.is_cuda
            assert np.abs(alpha_of(ours) - alpha_of(theirs)).mean() < tolerance / 10
            assert np.quantile(np.abs(alpha_of(ours) - alpha_of(theirs)), 0.999) < tolerance


# TorchScript


def scripted(tmp_path: Path, kind: str, **settings: object) -> TorchScriptEngine:
    save_scripted(kind, tmp_path / "model.pt")
    return TorchScriptEngine(EngineSettings(weights=tmp_path / "model.pt", device="cpu", **settings))  # type: ignore[arg-type]


def mean_of(frame: Frame) -> NDArray[np.float32]:
    return frame.image.astype(np.float32).mean(2) / 255


@pytest.mark.parametrize("kind", ["alpha", "flat alpha", "both"])
def test_torchscript_alpha_and_colours(tmp_path: Path, frames: list[Frame], kind: str) -> None:
    with opened(scripted(tmp_path, kind)) as engine:
        matte = engine.matte(frames[0])
        assert engine.info.engine == "torchscript"
        assert engine.info.model == "model.pt"
        assert engine.info.downsample_ratio == 1.0
    np.testing.assert_allclose(alpha_of(matte), mean_of(frames[0]), atol=1e-5)
    if kind == "both":
        expected = frames[0].image.astype(np.float32) / 255 * 0.5
        np.testing.assert_allclose(matte.foreground.numpy(), expected, atol=1e-5)
    else:
        assert matte.foreground is None


@pytest.mark.parametrize("kind", RECURRENT_KINDS)
def test_torchscript_states_travel(tmp_path: Path, frames: list[Frame], kind: str) -> None:
    expected = np.zeros((80, 96), np.float32)
    with opened(scripted(tmp_path, kind, downsample_ratio=0.25)) as engine:
        assert engine.info.downsample_ratio == 0.25
        for frame in frames[:3]:
            expected = 0.5 * expected + 0.5 * mean_of(frame)
            np.testing.assert_allclose(alpha_of(engine.matte(frame)), expected, atol=1e-5)


def test_torchscript_results_of_another_size_are_scaled(tmp_path: Path, video: NDArray[np.uint8]) -> None:
    frame = Frame(video[0], 0, 0, 0)
    with opened(scripted(tmp_path, "smaller"), 480, 270) as engine:
        matte = engine.matte(frame)
    assert np.abs(alpha_of(matte) - mean_of(frame)).mean() < 0.03
    assert matte.foreground.shape == (270, 480, 3)


@pytest.mark.slow
def test_torchscript_rvm_agrees_with_the_engine(make: Make, frames: list[Frame]) -> None:
    with opened(make("torchscript rvm")) as theirs, opened(make("rvm")) as ours:
        for frame in frames[:3]:
            a, b = theirs.matte(frame), ours.matte(frame)
            assert np.abs(alpha_of(a) - alpha_of(b)).max() < 1e-3 + ROUNDING
            assert (a.foreground - b.foreground / 255).abs().max() < 1e-3 + ROUNDING


def test_torchscript_follows_the_models_precision(tmp_path: Path, frames: list[Frame]) -> None:
    path = tmp_path / "half.pt"
    save_module(torch.nn.Sequential(torch.nn.Conv2d(3, 1, 1), torch.nn.Sigmoid()).half(), path)
    with opened(TorchScriptEngine(EngineSettings(weights=path, device="cpu"))) as engine:
        assert engine.info.precision == "fp16"
        assert engine.matte(frames[0]).alpha.dtype == torch.float32
    with opened(TorchScriptEngine(EngineSettings(weights=path, device="cpu", precision="fp32"))) as engine:
        assert engine.info.precision == "fp32"
    with pytest.raises(SettingsError, match="fp16 needs a GPU"):
        TorchScriptEngine(EngineSettings(weights=path, device="cpu", precision="fp16")).open()


@pytest.mark.parametrize(
    ("kind", "error", "expected"),
    [
        ("too many", EngineError, "takes 0 recurrent states and returns 3 tensors: expected 1"),
        ("wrong shape", EngineError, "returns alpha of shape [1, 3, 80, 96]: expected [1, 1, H, W] or [1, H, W]"),
        ("wrong type", EngineError, "returns alpha as torch.uint8"),
        ("no tensor", EngineError, "returns a dict"),
        ("failing", EngineError, "failed on cpu: shape '[7, 7]' is invalid"),
        ("wants more", WeightsError, "forward wants 'strength' (float)"),
    ],
)
def test_torchscript_models_that_do_not_fit(
    tmp_path: Path, kind: str, error: type[RvmLiveError], expected: str
) -> None:
    assert kind in KINDS
    engine = scripted(tmp_path, kind)
    with pytest.raises(error) as caught:
        engine.open()
        engine.prepare(96, 80)
    engine.close()
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_torchscript_files_that_are_none(tmp_path: Path, weights: Path) -> None:
    def complaint(path: Path | None) -> str:
        with pytest.raises(WeightsError) as caught:
            TorchScriptEngine(EngineSettings(weights=path, device="cpu")).open()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    path = tmp_path / "model.pt"
    assert "--weights MODEL.pt" in complaint(None)
    assert "does not exist" in complaint(path)
    assert "is a folder" in complaint(tmp_path)
    assert "a checkpoint: run it with --engine rvm" in complaint(weights)
    path.write_text("<html>")
    assert "not a TorchScript model" in complaint(path)
    save_scripted("alpha", path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "truncated or damaged" in complaint(path)


# The choice


class Refusing(PassThroughEngine):
    closed = 0

    def open(self) -> EngineInfo:
        raise UnavailableError("no such chip here")

    def close(self) -> None:
        Refusing.closed += 1


class TakesNothing:
    def __init__(self) -> None:
        pass


class Incomplete:
    def __init__(self, settings: EngineSettings) -> None:
        pass

    def open(self) -> None:
        pass


class Abstract(Engine):
    def open(self) -> EngineInfo:
        raise NotImplementedError


class Duck:
    """Keeps the contract without deriving from it; leaves out ``prepare`` and ``close``."""

    def __init__(self, settings: EngineSettings) -> None:
        self.info = EngineInfo("duck", "none", "cpu", "CPU", "none", 1.0)

    def open(self) -> EngineInfo:
        return self.info

    def reset(self) -> None:
        pass

    def matte(self, frame: Frame) -> Matte:
        return Matte(frame, np.zeros(frame.image.shape[:2], np.uint8))


class Mallard(Duck):
    """Also has the optional methods."""

    chunked = True
    phase = "swimming"
    rungs = (Rung(1.0, "none", 1.0), Rung(0.5, "none", 0.25))

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self.calls: list[str] = []

    def prepare(self, width: int, height: int) -> None:
        self.calls.append(f"prepare {width}x{height}")

    def use_rung(self, rung: Rung) -> bool:
        self.calls.append(f"rung {rung.ratio}")
        return True

    def matte_chunk(self, frames: list[Frame]) -> list[Matte]:
        self.calls.append(f"chunk {len(frames)}")
        return [self.matte(frame) for frame in frames]

    def states(self) -> list[np.ndarray]:
        return [np.ones(1, np.float32)]

    def restore(self, states: list[np.ndarray]) -> None:
        self.calls.append(f"restore {len(states)}")

    def close(self) -> None:
        self.calls.append("close")


class Late(PassThroughEngine):
    """Returns the matte of the frame before."""

    before: Frame | None = None

    def matte(self, frame: Frame) -> Matte:
        matte = super().matte(self.before or frame)
        self.before = frame
        return matte


class Buggy(PassThroughEngine):
    def matte(self, frame: Frame) -> Matte:
        raise ZeroDivisionError("division by zero")


def own(cls: type) -> AutoEngine:
    return AutoEngine(EngineSettings(engine=f"{cls.__module__}:{cls.__qualname__}"))


def test_auto_keeps_each_refusal_and_tells_it(
    weights: Path, monkeypatch: pytest.MonkeyPatch, frames: list[Frame]
) -> None:
    registry: Registry[object] = Registry(
        "engines",
        {"chip": f"{__name__}:Refusing", "rvm": "rvm_live.engines.rvm.torch.engine:RvmEngine"},
        auto=("chip", "rvm"),
    )
    monkeypatch.setattr("rvm_live.engines.select.ENGINES", registry)
    monkeypatch.setattr("rvm_live.engines.choice.ENGINES", registry)
    monkeypatch.setattr(Refusing, "closed", 0)
    engine = AutoEngine(EngineSettings(weights=weights, device="cpu"))
    assert engine.info.engine == "auto"
    with opened(engine):
        assert engine.refusals == {"chip": "no such chip here"}
        assert engine.info.engine == "rvm"
        assert engine.info.notes == ("engine chip was skipped: no such chip here",)
        assert engine.matte(frames[0]).alpha.shape == (80, 96)
    assert Refusing.closed == 1


def test_auto_with_nothing_that_works_says_why(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry: Registry[object] = Registry("engines", {"chip": f"{__name__}:Refusing"}, auto=("chip",))
    monkeypatch.setattr("rvm_live.engines.select.ENGINES", registry)
    monkeypatch.setattr("rvm_live.engines.choice.ENGINES", registry)
    engine = AutoEngine(EngineSettings(weights=weights))
    with pytest.raises(UnavailableError, match=r"no engine works here \(chip: no such chip here\)") as caught:
        engine.open()
    assert caught.value.reasons == {"chip": "no such chip here"}
    engine.close()


def test_auto_lets_missing_weights_through(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        AutoEngine(EngineSettings(weights=tmp_path / "none")).open()


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (TakesNothing, "must take one argument when it is made,  the EngineSettings"),
        (Incomplete, "does not define info, reset, matte"),
        (Abstract, "does not define info, matte, reset"),
    ],
)
def test_a_class_that_does_not_meet_the_contract(cls: type, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        own(cls).open()
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["nonsense", "no.such.module:Class", "tests.support.engines:Nothing"])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(SettingsError, match="engine"):
        AutoEngine(EngineSettings(engine=name)).open()


def test_a_class_that_only_looks_like_an_engine_works(frames: list[Frame]) -> None:
    with opened(own(Duck)) as engine:
        assert alpha_of(engine.matte(frames[0])).max() == 0
        engine.reset()
        assert engine.info.engine == "duck"


def test_what_it_leaves_out_is_that_of_any_engine(frames: list[Frame]) -> None:
    with opened(own(Duck)) as engine:
        engine.prepare(96, 80)
        assert (engine.rungs, engine.chunked, engine.phase, engine.states()) == ((), False, "", None)
        assert not engine.use_rung(Rung(0.5, "none", 0.25))
        assert [matte.frame for matte in engine.matte_chunk(frames[:3])] == frames[:3]
        with pytest.raises(EngineError, match="duck cannot load a state"):
            engine.restore([])


def test_what_it_has_is_used(frames: list[Frame]) -> None:
    engine = own(Mallard)
    with opened(engine):
        calls: list[str] = engine._inner._inner._engine.calls  # type: ignore[attr-defined]
        assert (engine.rungs, engine.chunked, engine.phase) == (Mallard.rungs, True, "swimming")
        assert engine.use_rung(engine.rungs[1])
        assert [matte.frame for matte in engine.matte_chunk(frames[:3])] == frames[:3]
        states = engine.states()
        assert states is not None
        engine.restore(states)
    assert calls == ["prepare 96x80", "rung 0.5", "chunk 3", "restore 1", "close"]


def test_an_engine_that_is_not_open_says_so(frames: list[Frame]) -> None:
    engine = own(Duck)
    with opened(engine):
        pass
    calls: list[Callable[[], object]] = [
        engine.reset,
        lambda: engine.prepare(96, 80),
        lambda: engine.matte(frames[0]),
        lambda: engine.matte_chunk(frames[:2]),
        lambda: engine.restore([]),
    ]
    for call in calls:
        with pytest.raises(EngineError, match="the engine is not open"):
            call()


def test_a_matte_of_another_frame_is_refused(frames: list[Frame]) -> None:
    with opened(own(Late)) as engine:
        engine.matte(frames[0])
        with pytest.raises(EngineError, match="returned the matte of another frame"):
            engine.matte(frames[1])


def test_a_bug_keeps_its_own_traceback(frames: list[Frame]) -> None:
    with opened(own(Buggy)) as engine, pytest.raises(ZeroDivisionError):
        engine.matte(frames[0])


def test_choosing_an_engine_imports_nothing_heavy() -> None:
    code = (
        "import sys; from rvm_live.engines.select import AutoEngine\n"
        "from rvm_live.core.settings import EngineSettings\n"
        "import rvm_live.engines.session, rvm_live.weights, rvm_live.cli.weights\n"
        "AutoEngine(EngineSettings()).info\n"
        "print([m for m in ('torch', 'cv2', 'pooch', 'requests', 'rich', 'safetensors') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"


# Sessions


def test_a_session_keeps_the_state(weights: Path, frames: list[Frame], make: Make) -> None:
    with opened(make("rvm full ratio")) as engine:
        expected = [alpha_of(engine.matte(frame)) for frame in frames[:3]]
    with rvm_live.open_engine("rvm", weights=weights, device="cpu") as session:
        mattes = [session.matte(frame.image) for frame in frames[:3]]
        assert [matte.frame.seq for matte in mattes] == [0, 1, 2]
        for ours, theirs in zip(mattes, expected, strict=True):
            np.testing.assert_allclose(alpha_of(ours), theirs, rtol=0, atol=1e-6)
        session.reset()
        matte = session.matte(frames[0].image)
        assert (matte.frame.seq, matte.frame.epoch) == (3, 1)
        np.testing.assert_allclose(alpha_of(matte), expected[0], rtol=0, atol=1e-6)
        assert session.info.engine == "rvm"


def test_a_session_starts_anew_at_another_size() -> None:
    engine = PassThroughEngine()
    with EngineSession(engine) as session:
        session.matte(np.zeros((20, 30, 3), np.uint8))
        session.matte(np.zeros((20, 30, 3), np.uint8))
        matte = session.matte(np.zeros((30, 20, 3), np.uint8))
        assert matte.frame.epoch == 1
        assert engine.frames_since_reset == 1
    assert engine.calls == ["open", "prepare", "matte", "matte", "reset", "matte", "close"]


def test_a_session_copies_the_picture() -> None:
    buffer = np.full((4, 6, 3), 7, np.uint8)
    with EngineSession(LeftHalfEngine()) as session:
        matte = session.matte(buffer)
        buffer[:] = 0
        assert matte.frame.image.min() == 7
        flipped = session.matte(np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)[:, ::-1])
        assert flipped.frame.image.flags.c_contiguous


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("picture.png", "the picture is of type str: it must be a numpy array"),
        (np.zeros((4, 4, 3), np.float32), "the picture is float32: it must be uint8"),
        (np.zeros((4, 4), np.uint8), r"the picture has shape \(4, 4\): it must be \(height, width, 3\)"),
        (np.zeros((4, 4, 4), np.uint8), r"the picture has shape \(4, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), "it is empty"),
    ],
)
def test_a_session_refuses_what_is_no_picture(image: object, expected: str) -> None:
    with EngineSession(PassThroughEngine()) as session, pytest.raises(SettingsError, match=expected):
        session.matte(image)  # type: ignore[arg-type]


def test_a_closed_session_says_so() -> None:
    engine = PassThroughEngine()
    session = EngineSession(engine)
    session.close()
    session.close()
    assert engine.calls == ["open", "close"]
    for call in (lambda: session.matte(np.zeros((4, 4, 3), np.uint8)), session.reset):
        with pytest.raises(EngineError, match="the session is closed"):
            call()


def test_a_session_that_cannot_open_closes_its_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Refusing, "closed", 0)
    with pytest.raises(UnavailableError):
        EngineSession(Refusing())
    assert Refusing.closed == 1


def test_a_session_takes_an_engine_by_name_and_checks_its_settings() -> None:
    with open_engine("tests.support.engines:LeftHalfEngine") as session:
        alpha = session.matte(np.zeros((4, 6, 3), np.uint8)).host().alpha
    assert (alpha[:, :3] == 255).all()
    assert (alpha[:, 3:] == 0).all()
    with pytest.raises(SettingsError, match="downsample ratio"):
        open_engine(downsample_ratio=2.0)


# NaN or infinite values: converted to bytes they all look valid


def test_numbers_that_are_none_in_an_onnx_file_are_an_error(weights: Path, frames: list[Frame], tmp_path: Path) -> None:
    height, width = frames[0].image.shape[:2]
    file = save_fixed(weights, tmp_path / "model.onnx", width, height, 0.5)
    engine = OnnxEngine(EngineSettings(weights=file, device="cpu"))
    with opened(engine):
        fresh = alpha_of(engine.matte(frames[0]))
        name, value = next(iter(engine._states.items()))
        poisoned = np.full_like(value.numpy(), np.nan)
        engine._states[name] = engine._ort.OrtValue.ortvalue_from_numpy(poisoned, "cpu", 0)
        with pytest.raises(EngineError, match="NaN or infinite values"):
            engine.matte(frames[1])
        np.testing.assert_allclose(alpha_of(engine.matte(frames[0])), fresh, rtol=0, atol=1e-6)


class Divides(torch.nn.Module):
    def forward(self, src: torch.Tensor) -> torch.Tensor:
        return src.mean(1, keepdim=True) / src.amax()


def test_so_are_those_of_a_torchscript_file(frames: list[Frame], tmp_path: Path) -> None:
    save_module(Divides(), tmp_path / "model.pt")
    engine = TorchScriptEngine(EngineSettings(weights=tmp_path / "model.pt", device="cpu"))
    engine.open()
    engine.matte(frames[0])
    with pytest.raises(EngineError, match="NaN or infinite values"):
        engine.matte(Frame(np.zeros_like(frames[0].image), 1, 0, 0))
    engine.close()
