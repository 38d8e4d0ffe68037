"""Where the training of ``lite`` starts: MediaPipe's weights, read from its wheel into this project's network."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rvm_live.core.settings import SourceSettings
from rvm_live.engines.lite.network import LiteNetwork, state_shapes
from rvm_live.sources.demo.demo import DemoSource
from tests.support.threads import torch_threads  # noqa: F401
from training.jury import Jury
from training.mediapipe import constants, layers, load_start, pretrained

WHEEL = os.environ.get("RVM_LIVE_MEDIAPIPE_WHEEL", "")
"""``pip download --no-deps mediapipe==0.10.21`` fetches it; without it nothing here can be compared with MediaPipe."""
THEIRS = {
    "general": ((256, 256), 0.28545, {(3, 1): 0.4174, (3, 2): 1.0, (1, 3): 1.0, (0, 0): 0.0, (4, 4): 0.0, (5, 4): 1.0}),
    "landscape": ((256, 144), 0.26236, {(5, 1): 0.5608, (5, 0): 0.0, (1, 3): 1.0, (2, 2): 0.0, (5, 4): 1.0}),
}
"""Of each model: width and height, then what mediapipe 0.10.21 itself finds in the demo's first frame at 640x360: the
mean of alpha, and alpha at some places of a 6x6 grid (row, column)."""


def model_of(kernels: list[tuple[int, NDArray[np.float16], NDArray[np.float16]]]) -> bytes:
    """A ``.tflite`` file with convolutions (operator's number, kernel, bias) whose constants are in half precision."""
    flatbuffers = pytest.importorskip("flatbuffers")
    b = flatbuffers.Builder(1024)

    def vector(items: list[int], add: str, size: int) -> int:
        b.StartVector(size, len(items), size)
        for item in reversed(items):
            getattr(b, add)(item)
        return int(b.EndVector())

    def table(fields: dict[int, tuple[str, int]], count: int) -> int:
        b.StartObject(count)
        for slot, (kind, value) in fields.items():
            if kind == "offset":
                b.PrependUOffsetTRelativeSlot(slot, value, 0)
            else:
                getattr(b, f"Prepend{kind}Slot")(slot, value, 0)
        return int(b.EndObject())

    def tables(found: list[int]) -> int:
        return vector(found, "PrependUOffsetTRelative", 4)

    buffers, tensors, operators, codes = [], [], [], []

    def constant(values: NDArray[np.float16]) -> int:
        buffers.append(table({0: ("offset", b.CreateNumpyVector(values.view(np.uint8).ravel()))}, 1))
        shape = vector(list(values.shape), "PrependInt32", 4)
        tensors.append(table({0: ("offset", shape), 1: ("Int8", 1), 2: ("Uint32", len(buffers) - 1)}, 3))
        tensors.append(table({0: ("offset", vector(list(values.shape), "PrependInt32", 4))}, 3))
        given, made = (vector([len(tensors) - n], "PrependInt32", 4) for n in (2, 1))
        operators.append(table({0: ("Uint32", 0), 1: ("offset", given), 2: ("offset", made)}, 3))
        return len(tensors) - 1

    codes.append(table({0: ("Int8", 6)}, 4))
    for code, kernel, bias in kernels:
        given = [0, constant(kernel), constant(bias)]
        codes.append(table({0: ("Int8", code)}, 4))
        inputs = vector(given, "PrependInt32", 4)
        operators.append(table({0: ("Uint32", len(codes) - 1), 1: ("offset", inputs)}, 3))
    graph = table({0: ("offset", tables(tensors)), 3: ("offset", tables(operators))}, 4)
    parts = {1: tables(codes), 2: tables([graph]), 4: tables(buffers)}
    b.Finish(table({slot: ("offset", part) for slot, part in parts.items()}, 5))
    return bytes(b.Output())


def test_what_convolutions_hold_is_read_from_the_file() -> None:
    random = np.random.default_rng(0)
    kernel = random.normal(size=(5, 3, 3, 4)).astype(np.float16)  # out, k, k, in
    depthwise = random.normal(size=(1, 3, 3, 6)).astype(np.float16)
    biases = [random.normal(size=n).astype(np.float16) for n in (5, 6)]
    (a, bias), (c, other) = constants(model_of([(3, kernel, biases[0]), (4, depthwise, biases[1])]))
    np.testing.assert_array_equal(a, kernel.transpose(0, 3, 1, 2).astype(np.float32))
    np.testing.assert_array_equal(c, depthwise.transpose(3, 0, 1, 2).astype(np.float32))
    np.testing.assert_array_equal(bias, biases[0].astype(np.float32))
    np.testing.assert_array_equal(other, biases[1].astype(np.float32))


def test_what_is_new_has_no_effect_before_it_has_learnt() -> None:
    torch.manual_seed(0)
    network, picture = LiteNetwork().eval(), torch.rand(1, 3, 48, 64)
    states = [torch.randn(shape) for shape in state_shapes(64, 48)]
    old = pretrained(network)
    assert len(old) == 2 * len(list(layers(network)))
    with torch.inference_mode():
        before = network(picture, *states)[0]
        for value in network.parameters():
            if id(value) not in old and value.abs().max() > 0:
                value.mul_(-3)
        torch.testing.assert_close(network(picture)[0], before)


@pytest.fixture(scope="module")
def wheel() -> Path:
    if not WHEEL:
        pytest.skip("RVM_LIVE_MEDIAPIPE_WHEEL names no wheel of mediapipe 0.10.21")
    return Path(WHEEL)


@pytest.fixture(scope="module")
def first() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The demo's first frame, and its alpha."""
    pytest.importorskip("skimage")
    source = DemoSource(SourceSettings(source="demo", width=640, height=360, fps=30))
    source.open()
    try:
        return source.frame_at(0)
    finally:
        source.release()


@pytest.mark.parametrize("model", list(THEIRS))
def test_it_computes_what_mediapipe_computes(
    model: str, wheel: Path, first: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> None:
    size, mean, places = THEIRS[model]
    small = cv2.resize(first[0], size, interpolation=cv2.INTER_AREA)
    picture = torch.from_numpy(small[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        found = load_start(wheel, model).eval().logits(picture, None, None, None, 1)[0].sigmoid()[0, 0].numpy()
    assert found.mean() == pytest.approx(mean, abs=2e-5)
    height, width = found.shape
    grid = found[height // 12 :: height // 6, width // 12 :: width // 6]
    for (row, column), value in places.items():
        assert grid[row, column] == pytest.approx(value, abs=1e-4)


def test_the_jury_sees_the_person(wheel: Path, first: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    picture, truth = first
    opinion = Jury(wheel).opinion(picture)
    assert opinion.shape == (360, 640)
    assert np.abs(opinion - truth / 255).mean() < 0.04
