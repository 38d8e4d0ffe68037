"""Every registered engine against the plain network: real weights, a real clip, the state carried along."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from benchmarks.plain import PlainEngine
from rvm_live.core.arrays import Bytes
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.registry import ENGINES
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine
from rvm_live.engines.select import AutoEngine
from rvm_live.network.network import MattingNetwork
from rvm_live.weights import load
from tests.support.scripted import save_module
from tests.support.threads import torch_threads  # noqa: F401
from tests.support.videos import read_frames

FRAMES, STRIDE = 12, 3
"""Every third frame of the clip, so that something happens from one to the next."""

ALPHA_BOUND = 5e-4
"""Mean difference of a frame's alpha. The engines lie at 0 to 0.2e-3, in fp32 and in bf16; one that loses its state is
at 1e-3, and a frame is 1.1e-3 from the next."""
COLOUR_BOUND = 1e-3
"""Mean difference of the foreground where alpha is above a half; measured: 0.05e-3 in fp32, 0.2e-3 in bf16."""


class Size(NamedTuple):
    width: int
    height: int
    ratio: float


SIZES = (Size(256, 144, 1.0), Size(1280, 720, 0.25), Size(1280, 720, 0.3337))
"""The last one leaves no whole number of pixels, nor of lines."""


class Result(NamedTuple):
    """Alphas (H, W) and foregrounds (H, W, 3) of consecutive frames."""

    alpha: list[Bytes]
    foreground: list[Bytes]


class Case(NamedTuple):
    """How an engine is asked to compute what the plain network does.

    Attributes:
        engine: its name in the registry.
        precision: the precision that is asked for.
        model: makes the file that the engine runs from the checkpoint: (checkpoint, folder, size) -> file.
        needs: a package without which the engine does not work.
    """

    engine: str
    precision: str
    model: Callable[[Path, Path, Size], Path]
    needs: str = "torch"


def _checkpoint(weights: Path, folder: Path, size: Size) -> Path:
    return weights


def _scripted(weights: Path, folder: Path, size: Size) -> Path:
    network = MattingNetwork("mobilenetv3", "fast_guided_filter").eval()
    network.load_state_dict(load(weights).state_dict)
    save_module(network, folder / "network.pt")
    return folder / "network.pt"


def _exported(weights: Path, folder: Path, size: Size) -> Path:
    from tests.support.onnx_files import save_fixed

    return save_fixed(weights, folder / "network.onnx", *size)


CASES = (
    Case("rvm", "fp32", _checkpoint),
    Case("openvino", "fp32", _checkpoint, needs="openvino"),
    Case("openvino", "auto", _checkpoint, needs="openvino"),
    Case("torchscript", "fp32", _scripted),
    Case("onnx", "fp32", _exported, needs="onnxruntime"),
)

OTHERS = {"chroma", "lite"}
"""Not this network, and not meant to do what it does: a key, and a network with weights of its own."""


@pytest.fixture(scope="module")
def clip(data: Path) -> Callable[[Size], list[Frame]]:
    """The clip's frames at a given size."""
    whole = read_frames(data / "clips" / "webcam" / "liveportrait_s18.mp4", FRAMES * STRIDE)[::STRIDE]

    @cache
    def at(size: Size) -> list[Frame]:
        shape = (size.width, size.height)
        images = [frame.image for frame in whole]
        if images[0].shape[1::-1] != shape:
            images = [cv2.resize(image, shape, interpolation=cv2.INTER_AREA) for image in images]
        return [Frame(image, number, 0, number) for number, image in enumerate(images)]

    return at


@pytest.fixture(scope="module")
def truth(weights: Path, clip: Callable[[Size], list[Frame]]) -> Callable[[Size], Result]:
    """The plain network's result on the frames, computed once for each size."""

    @cache
    def at(size: Size) -> Result:
        asked = EngineSettings(weights=weights, device="cpu", downsample_ratio=size.ratio)
        return run(PlainEngine(asked), clip(size))

    return at


def run(engine: Engine, frames: list[Frame]) -> Result:
    """Feed frames to an engine, and check that every matte belongs to its frame."""
    mattes: list[Matte] = []
    try:
        engine.open()
        engine.prepare(frames[0].width, frames[0].height)
        for frame in frames:
            mattes.append(engine.matte(frame))
            mattes[-1].host()  # before the next frame: an engine may reuse its memory
    finally:
        engine.close()
    assert all(matte.frame is frame for matte, frame in zip(mattes, frames, strict=True))
    hosts = [matte.host() for matte in mattes]
    return Result([host.alpha.copy() for host in hosts], [host.foreground.copy() for host in hosts])


def apart(one: Bytes, other: Bytes) -> float:
    """Mean absolute difference, on a scale where white is 1."""
    return float(cv2.absdiff(one, other).mean()) / 255


def agree(ours: Result, theirs: Result) -> None:
    """Assert that two results are the same, frame by frame."""
    assert 0.1 < float(np.mean(theirs.alpha)) / 255 < 0.9, "the plain network sees nobody, or nothing else"
    for number, (alpha, foreground) in enumerate(zip(ours.alpha, ours.foreground, strict=True)):
        own = apart(alpha, theirs.alpha[number])
        assert own <= ALPHA_BOUND, f"alpha of frame {number}"
        inside = theirs.alpha[number] > 127
        assert apart(foreground[inside], theirs.foreground[number][inside]) <= COLOUR_BOUND, f"colours of {number}"
        for other in {number - 1, number + 1} & set(range(len(theirs.alpha))):
            assert own < apart(alpha, theirs.alpha[other]), f"the alpha of frame {number} is that of frame {other}"


def test_every_registered_engine_has_a_case() -> None:
    plugins = {point.name for point in entry_points(group="rvm_live.engines")}
    assert set(ENGINES.names()) - plugins - OTHERS == {case.engine for case in CASES}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size.width}x{size.height}-{size.ratio}")
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.engine}-{case.precision}")
@pytest.mark.few(1)
def test_it_does_what_the_plain_network_does(
    weights: Path,
    tmp_path: Path,
    clip: Callable[[Size], list[Frame]],
    truth: Callable[[Size], Result],
    case: Case,
    size: Size,
) -> None:
    pytest.importorskip(case.needs)
    asked = EngineSettings(
        engine=case.engine,
        weights=case.model(weights, tmp_path, size),
        device="cpu",
        precision=case.precision,
        downsample_ratio=size.ratio,
    )
    agree(run(AutoEngine(asked), clip(size)), truth(size))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("size", SIZES[1:], ids=lambda size: f"{size.ratio}")
def test_it_does_so_on_a_gpu(
    weights: Path,
    clip: Callable[[Size], list[Frame]],
    truth: Callable[[Size], Result],
    size: Size,
    precision: str,
) -> None:
    """The same bounds in half precision: the plain network in fp16 differs by 0.03e-3 from itself in fp32."""
    asked = EngineSettings(
        engine="rvm", weights=weights, device="cuda", precision=precision, downsample_ratio=size.ratio
    )
    agree(run(AutoEngine(asked), clip(size)), truth(size))


@pytest.mark.slow
def test_the_bounds_see_a_lost_state_and_a_late_frame(
    weights: Path, clip: Callable[[Size], list[Frame]], truth: Callable[[Size], Result]
) -> None:
    """An engine that forgets its state, or is one frame late, exceeds the bounds."""

    class Forgetful(PlainEngine):
        def matte(self, frame: Frame) -> Matte:
            self.reset()
            return super().matte(frame)

    size = SIZES[1]
    theirs = truth(size)
    asked = EngineSettings(weights=weights, device="cpu", downsample_ratio=size.ratio)
    forgetful = run(Forgetful(asked), clip(size))
    assert np.median(list(map(apart, forgetful.alpha, theirs.alpha))) > 1.5 * ALPHA_BOUND
    with pytest.raises(AssertionError, match="alpha of frame"):
        agree(forgetful, theirs)
    with pytest.raises(AssertionError, match="alpha of frame"):
        agree(Result([theirs.alpha[0], *theirs.alpha[:-1]], theirs.foreground), theirs)
    with pytest.raises(AssertionError, match="colours of"):
        agree(Result(theirs.alpha, [picture[..., ::-1].copy() for picture in theirs.foreground]), theirs)
