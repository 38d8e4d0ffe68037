"""--steady: still parts flicker less, moving parts keep their own alpha."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rvm_live import open_engine
from rvm_live.core.arrays import Bytes
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.select import AutoEngine
from rvm_live.engines.smoothing import KEPT, SmoothedEngine, TemporalSmoother


def picture(seed: int = 0) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def matte(image: Bytes, level: int | Bytes, epoch: int = 0, seq: int = 0) -> Matte:
    alpha = np.full(image.shape[:2], level, np.uint8) if isinstance(level, int) else level
    return Matte(Frame(image, seq, epoch, seq), alpha)


def test_what_stands_still_flickers_less() -> None:
    smoother, image = TemporalSmoother(), picture()
    levels = [100 + 40 * (n % 2) for n in range(10)]
    found = [int(np.asarray(smoother(matte(image, level)).alpha).mean()) for level in levels]
    assert found[0] == 100
    assert found[1] == pytest.approx(100 + 40 * (1 - KEPT), abs=1)
    assert np.abs(np.diff(found[2:])).max() < 40 * 0.5


def test_what_moves_keeps_its_own_alpha() -> None:
    smoother, before, after = TemporalSmoother(), np.full((48, 64, 3), 60, np.uint8), np.full((48, 64, 3), 60, np.uint8)
    after[:, 32:] = 200
    smoother(matte(before, 0))
    alpha = np.asarray(smoother(matte(after, 255)).alpha)
    assert (alpha[:, 40:] == 255).all()
    assert np.abs(alpha[:, :24].astype(int) - 255 * (1 - KEPT)).max() <= 2


@given(start=st.integers(0, 255), end=st.integers(0, 255))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_in_a_still_picture_alpha_gets_to_where_it_is_going(start: int, end: int) -> None:
    smoother, image = TemporalSmoother(), picture()
    levels = [np.asarray(smoother(matte(image, level)).alpha) for level in (start, *[end] * 16)]
    assert all(level.min() == level.max() for level in levels)
    way = np.diff([int(level[0, 0]) for level in levels]) * np.sign(end - start)
    assert way.min() >= 0 and levels[-1][0, 0] == end, "never back, never beyond, and there in a quarter of a second"


def test_another_epoch_size_or_reset_begins_anew() -> None:
    smoother, image = TemporalSmoother(), picture()
    smoother(matte(image, 0))
    assert smoother(matte(image, 200, epoch=1)).alpha.min() == 200
    smoother(matte(image, 0, epoch=1))
    assert smoother(matte(image[:40], 200, epoch=1)).alpha.min() == 200
    smoother(matte(image, 0, epoch=1))
    smoother.reset()
    assert smoother(matte(image, 200, epoch=1)).alpha.min() == 200


def test_mattes_that_are_held_do_not_change() -> None:
    smoother, image = TemporalSmoother(), picture()
    held = [smoother(matte(image, level)) for level in (0, 90, 180, 250)]
    kept = [np.asarray(each.alpha).copy() for each in held]
    for level in range(0, 250, 10):
        smoother(matte(image, level))
    for each, copy in zip(held, kept, strict=True):
        np.testing.assert_array_equal(each.alpha, copy)


def test_alpha_elsewhere_is_left_alone() -> None:
    image = picture()
    given = Matte(Frame(image, 0, 0, 0), torch.zeros(48, 64))
    assert TemporalSmoother()(given) is given


def test_the_engine_does_it_when_asked() -> None:
    name = "tests.support.engines:LeftHalfEngine"
    image = picture()
    for steady in (False, True):
        engine = AutoEngine(EngineSettings(engine=name, steady=steady))
        engine.open()
        try:
            engine.matte(Frame(image, 0, 0, 0))
            mirrored = engine.matte(Frame(np.ascontiguousarray(image), 1, 0, 1))
            assert (mirrored.finished_ns > 0) or not steady
            assert isinstance(engine._inner, SmoothedEngine) == steady
        finally:
            engine.close()


def test_lite_has_it_unless_it_is_unwanted() -> None:
    for wanted, found in ((None, True), (True, True), (False, False)):
        engine = AutoEngine(EngineSettings(engine="lite", device="cpu", steady=wanted))
        engine.open()
        assert isinstance(engine._inner, SmoothedEngine) == found
        engine.close()


def test_in_the_library_a_still_matte_comes_to_rest() -> None:
    frames = [picture(1)] * 6
    sessions = [open_engine("lite", device="cpu", steady=steady) for steady in (True, False)]
    with sessions[0] as ours, sessions[1] as theirs:
        steady, plain = ([np.asarray(each.matte(f).host().alpha, np.int64) for f in frames] for each in (ours, theirs))
    change = [[np.abs(b - a).mean() for a, b in itertools.pairwise(found)] for found in (steady, plain)]
    assert sum(change[0]) <= sum(change[1])
