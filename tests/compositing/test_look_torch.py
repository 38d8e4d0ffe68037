"""The look where mattes are on a device: the same result as on the CPU, and nothing large is downloaded for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from rvm_live.backgrounds.base import Blur, Clear, Layer, Plate
from rvm_live.compositing import edge, matching
from rvm_live.compositing.composer import Composer
from rvm_live.compositing.cpu import CpuCompositor
from rvm_live.compositing.edge import edged
from rvm_live.compositing.edge_torch import edged_on_device
from rvm_live.compositing.lighting import Glows, Lighting
from rvm_live.compositing.torch import TorchCompositor
from rvm_live.core import transfer
from rvm_live.core.arrays import Bytes
from rvm_live.core.frames import LEAST_ALPHA, Frame, Matte
from rvm_live.core.look import Look
from rvm_live.core.notices import Notices
from rvm_live.finishing.light import DECODED
from tests.compositing.test_edge import PERSON
from tests.compositing.test_edge import matte_of as room_matte
from tests.compositing.test_edge_kernels import scene
from tests.compositing.test_look import Still
from tests.support.clock import FakeClock

WIDTH, HEIGHT = 322, 182
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
TABLE: Bytes = np.stack([np.clip(np.arange(256) * gain + 4, 0, 255) for gain in (0.9, 1.0, 1.2)]).astype(np.uint8)
LOOKS = [Look(blend="linear"), Look(light_wrap=100), Look(light_wrap=40, blend="linear"), Look(match=60)]


EDGES = [Look(grow=4), Look(grow=1.5), Look(shrink=2), Look(soften=4), Look(despill=True),
         Look(grow=20, soften=6, despill=True), Look(shrink=2.25, soften=20)]  # fmt: skip


def parts() -> tuple[Bytes, Bytes, Bytes]:
    """A frame, alpha of every value around a person, and the person's colours."""
    rng = np.random.default_rng(3)
    image, colour = rng.integers(0, 256, (2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(alpha, (150, 130), (60, 90), 0, 0, 360, 255, -1)
    return image, np.asarray(cv2.GaussianBlur(alpha, (0, 0), 4), np.uint8), colour


def matte_on(device: str, seq: int = 0) -> Matte:
    image, alpha, colour = parts()
    frame = Frame(image, seq, 0, seq * 33_000_000)
    return Matte(frame, *(torch.from_numpy(each).to(device) for each in (alpha, colour, image)))


def matte_in_a_green_room(device: str) -> Matte:
    """A soft and noisy matte, with some of the room in the colours."""
    plain = scene(WIDTH, HEIGHT, (0.4, 0.7))
    given = plain.alpha, plain.foreground, plain.frame.image
    return Matte(plain.frame, *(torch.from_numpy(each).to(device) for each in given))


def behind() -> Bytes:
    rng = np.random.default_rng(4)
    picture = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(picture)


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    yield str(request.param)


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.words)
@pytest.mark.parametrize("layer", [Plate(behind(), 1), Blur(25.0), Clear()], ids=["plate", "blur", "clear"])
@pytest.mark.parametrize("source", [False, True])
def test_it_is_what_the_processor_makes(device: str, look: Look, layer: Layer, source: bool) -> None:
    """Equal to the last bit, except rim and glow: a hundredth of white's light there, and half a level on average."""
    made = []
    for compositor in (CpuCompositor("cpu"), TorchCompositor(device)):
        compositor.open()
        asked = Lighting(look, Glows(), TABLE if look.match else None)
        made.append(compositor.composite(matte_on(device), layer, source_foreground=source, lighting=asked).astype(int))
        compositor.close()
    apart = np.abs(made[0] - made[1])
    if look.light_wrap:
        assert np.abs(DECODED[made[0]] - DECODED[made[1]]).max() < 0.01 and apart.mean() < 0.5
    else:
        assert apart.max() <= (0 if isinstance(layer, Plate) else 1), "a blur is within a level anyway"
    plain = TorchCompositor(device)
    plain.open()
    as_it_is = plain.composite(matte_on(device), layer, source_foreground=source)
    plain.close()
    assert (as_it_is != made[1]).any() is not isinstance(layer, Clear) or (isinstance(layer, Clear) and look.match)


def test_the_glow_of_a_picture_that_stands_is_made_once(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compositor = TorchCompositor(device)
    compositor.open()
    plate, light = Plate(behind(), 1), Lighting(Look(light_wrap=50), Glows())
    first = compositor.composite(matte_on(device), plate, lighting=light)
    assert compositor._light is not None
    kept = dict(compositor._light._glows._kept)
    assert len(kept) == 1
    np.testing.assert_array_equal(first, compositor.composite(matte_on(device), plate, lighting=light))
    assert all(compositor._light._glows._kept[each] is glow for each, glow in kept.items())
    compositor.close()


@pytest.mark.parametrize("look", EDGES, ids=lambda look: look.words)
@pytest.mark.parametrize("source", [False, True])
def test_an_edge_is_what_the_processor_makes(device: str, look: Look, source: bool) -> None:
    """Alpha within one level, and colours weighted by alpha; three levels where alpha is a quarter."""
    matte = matte_in_a_green_room(device)
    one = edged(matte, look, source_foreground=source).host()
    other = edged_on_device(matte, look, source_foreground=source).host()
    cut = LEAST_ALPHA - 1  # lower values are 0
    assert np.abs(np.maximum(one.alpha, cut).astype(int) - np.maximum(other.alpha, cut)).max() <= 1
    seen = (one.alpha > 0) & (other.alpha > 0)
    apart = np.abs(one.colour.astype(int) - other.colour).max(axis=2)
    assert (apart * (one.alpha / 255))[seen].max() <= 1 and apart[seen & (one.alpha >= 64)].max() <= 3
    assert apart[seen].mean() < 0.1
    given = matte_in_a_green_room(device).host()
    np.testing.assert_array_equal(matte.host().alpha, given.alpha)
    np.testing.assert_array_equal(matte.host().colour, given.colour)  # the inputs are not written to


@pytest.mark.parametrize("look", [Look(grow=8), Look(grow=20, soften=12, despill=True)], ids=lambda look: look.words)
def test_what_is_new_is_the_persons_own_colour_on_a_device(device: str, look: Look) -> None:
    """Invariant 2: the room is not shown, however large the edge; and a picture without a person stays without one."""
    plain = room_matte()
    frame = plain.frame
    there = Matte(frame, *(torch.from_numpy(each).to(device) for each in (plain.alpha, plain.foreground, frame.image)))
    made = edged_on_device(there, look).host()
    seen = made.alpha > 0
    assert seen.sum() > (plain.alpha > 0).sum()
    assert np.abs(made.colour[seen].astype(int) - PERSON).max() <= 1
    assert not (seen & (made.alpha < LEAST_ALPHA)).any()
    nobody = Matte(frame, torch.zeros(frame.image.shape[:2], dtype=torch.uint8, device=device))
    assert not edged_on_device(nobody, look).host().alpha.any()


@pytest.mark.parametrize("size", [(64, 36), (40, 64)])
def test_small_alpha_is_the_same_from_a_device(device: str, size: tuple[int, int]) -> None:
    small = matching._brought_down(matte_on(device), size).astype(int)
    wanted = cv2.resize(parts()[1], size, interpolation=cv2.INTER_AREA)
    assert small.shape == wanted.shape
    assert np.abs(small - wanted).mean() < 1.5


@pytest.fixture
def as_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat main memory as a device's, from which data must be downloaded."""
    monkeypatch.setattr(TorchCompositor, "lights", True)
    monkeypatch.setattr(matching, "_alpha_of", lambda matte, size: matching._brought_down(matte, size))
    monkeypatch.setattr(edge, "on_device", lambda matte: True)


def composer_of(look: Look, **more: Any) -> Composer:
    composer = Composer([Still(behind())], compositor="torch", look=look, clock=FakeClock(), **more)
    composer.open(WIDTH, HEIGHT, "cpu")
    return composer


EVERYTHING = Look(match=80, light_wrap=50, blend="linear", grow=3, soften=2, despill=True)


@pytest.mark.parametrize("look", [*LOOKS, *EDGES, EVERYTHING], ids=lambda look: look.words)
def test_a_frame_comes_down_once_and_what_composes_is_told(as_on_a_device: None, look: Look) -> None:
    """Invariant 8, with a look: only the finished picture is downloaded, and a few times a second a small alpha for
    matching."""
    notices = Notices()
    composer = composer_of(look, notices=notices)
    try:
        composer.compose(matte_on("cpu"))  # uploads the background
        matte = matte_on("cpu", 1)
        before = transfer.counts()
        composite = composer.compose(matte)
        after = transfer.counts()
        assert (after.uploads - before.uploads) <= (1 if look.match else 0)
        assert after.downloads - before.downloads == 1
        assert composite.backend == composer.backend == "torch" and notices.messages == ()
    finally:
        composer.close()


def test_light_that_fails_on_a_device_is_told_and_the_picture_goes_on(
    as_on_a_device: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: object) -> None:
        raise RuntimeError("no light here")

    monkeypatch.setattr(TorchCompositor, "_lighting", failing)
    notices = Notices()
    composer = composer_of(Look(blend="linear"), notices=notices)
    try:
        assert composer.compose(matte_on("cpu")).backend == "torch"
        assert len(notices.fallbacks) == 1 and "the look failed" in notices.fallbacks[0]
    finally:
        composer.close()
