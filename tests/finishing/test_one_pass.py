"""The kernels' one pass over the full picture: within one level of OpenCV's result, and when it is computed."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Blur, Clear, Layer, Plate
from rvm_live.backgrounds.parse import parse
from rvm_live.compositing import cpu
from rvm_live.compositing.composer import Composer
from rvm_live.compositing.cpu import CpuCompositor
from rvm_live.core.arrays import Bytes, Floats
from rvm_live.core.errors import MatteError
from rvm_live.core.frames import LEAST_ALPHA, Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.common.guided_upsampling import GuidedUpsampler
from rvm_live.engines.lite.colours import Unmixer
from rvm_live.engines.lite.engine import LiteEngine
from rvm_live.engines.smoothing import SmoothedEngine, TemporalSmoother
from rvm_live.finishing import compiled, one_pass
from rvm_live.finishing.compiled import Kernels, kernels
from rvm_live.finishing.estimate import Common, Estimate, Found
from rvm_live.media.colour import yuv_of
from tests.conftest import ROOT
from tests.support.fast import FastCpu, fast

SIZES = st.sampled_from(
    [(1, 1), (1, 40), (37, 1), (2, 2), (16, 32), (33, 65), (48, 64), (72, 128), (121, 203), (90, 97)]
)
LAYERS: dict[str, Layer | None] = {"plate": None, "clear": Clear(), "blur": Blur(25), "a light blur": Blur(1)}


class Upsampler(GuidedUpsampler):
    """Like lite's: the picture's own colours without the room's."""

    def __init__(self, full: tuple[int, int], low: tuple[int, int]) -> None:
        super().__init__(full, low)
        self._unmixer = Unmixer(*full)

    def colour(self, image: Bytes, alpha: Bytes, found: Found) -> Bytes:
        if found.difference is None:
            return super().colour(image, alpha, found)
        return self._unmixer.apply(image, alpha, found.difference)


def smooth(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float) -> Floats:
    """Values that change over several pixels, as a network's results do."""
    coarse = rng.uniform(low, high, (max(shape[0] // 4, 1), max(shape[1] // 4, 1), *shape[2:])).astype(np.float32)
    return np.asarray(cv2.resize(coarse, shape[1::-1], interpolation=cv2.INTER_LINEAR)).reshape(shape)


def found_in(rng: np.random.Generator, low: tuple[int, int], colours: str, somebody: str = "a person") -> Found:
    """A linear model with areas of no person, of a person, and an edge."""
    offset = np.clip(smooth(rng, low, -400, 650), 0, 255).astype(np.float32)
    slope = smooth(rng, low, -0.4, 0.4) * ((offset > 0) & (offset < 255))
    if somebody != "a person":
        offset[:], slope[:] = {"nobody": 0, "all": 255, "NaN": offset}[somebody], 0
    if somebody == "NaN":
        offset[:: max(low[0] // 3, 1)] = np.nan
    if colours == "linear":
        return Found(slope, offset, smooth(rng, (*low, 3), 0.6, 1.2), smooth(rng, (*low, 3), -40, 40))
    half = (max(low[0] // 2, 1), max(low[1] // 2, 1), 3)
    return Found(slope, offset, difference=smooth(rng, half, -90, 90) if colours == "unmixed" else None)


def matte_of(
    image: Bytes, found: Found, smoother: TemporalSmoother | None = None, seq: int = 0, epoch: int = 0
) -> Matte:
    upsampler = Upsampler(image.shape[1::-1], found.slope.shape[::-1])
    estimate = Estimate(image, lambda: found, upsampler, found.offset)
    matte = Matte(Frame(image, seq, epoch, seq), None, estimate=estimate)
    return matte if smoother is None else smoother(matte)


def apart(one: NDArray[np.generic], other: NDArray[np.generic]) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max(initial=0))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    size=SIZES,
    coarser=st.sampled_from([1, 2, 5, 7.5]),
    seed=st.integers(0, 2**32 - 1),
    colours=st.sampled_from(["linear", "unmixed", "own"]),
    layer=st.sampled_from([*LAYERS]),
    somebody=st.sampled_from(["a person", "a person", "nobody", "all", "NaN"]),
    source=st.booleans(),
)
def test_the_kernels_make_what_opencv_makes(
    size: tuple[int, int], coarser: float, seed: int, colours: str, layer: str, somebody: str, source: bool
) -> None:
    rng = np.random.default_rng(seed)
    low = (max(int(size[0] / coarser), 1), max(int(size[1] / coarser), 1))
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    found = found_in(rng, low, colours, somebody)
    behind = LAYERS[layer] or Plate(rng.integers(0, 256, (*size, 3), dtype=np.uint8), 1)
    ours, theirs = matte_of(image, found), matte_of(image, found)
    made = FastCpu().composite(ours, behind, source_foreground=source)
    expected = CpuCompositor().composite(theirs, behind, source_foreground=source)
    assert made.shape == expected.shape and made.dtype == np.uint8 and made.flags.c_contiguous
    if somebody == "NaN":  # the kernels see no person there, nor right beside it
        assert (ours.alpha <= np.minimum(theirs.alpha, 254) + 1).all()
        return
    assert apart(ours.alpha, theirs.alpha) <= 1
    # Alpha that is rounded the other way moves the picture by one level, and the colour may add another one.
    same = ours.host().alpha == theirs.host().alpha
    assert apart(made[same], expected[same]) <= 1
    assert apart(made, expected) <= 2 and (same.mean() > 0.99 or same.size < 200)
    with fast():
        colour = matte_of(image, found).host().foreground
    seen = (theirs.host().alpha > 0) & (ours.host().alpha > 0)
    assert apart(colour[seen], theirs.host().foreground[seen]) <= 1


@settings(max_examples=25, deadline=None, derandomize=True)
@given(size=SIZES, seed=st.integers(0, 2**32 - 1), every=st.booleans())
def test_steadied_alpha_is_what_opencv_makes_of_it(size: tuple[int, int], seed: int, every: bool) -> None:
    rng = np.random.default_rng(seed)
    low = (max(size[0] // 3, 1), max(size[1] // 3, 1))
    still = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    plate = Plate(np.ascontiguousarray(still[::-1]), 1)
    smoothers = TemporalSmoother(every=every), TemporalSmoother(every=every)
    for seq in range(4):
        image = still.copy()
        image[:, : size[1] * seq // 6] //= 2
        found = found_in(rng, low, "own")
        ours, theirs = (matte_of(image, found, each, seq) for each in smoothers)
        made, expected = FastCpu().composite(ours, plate), CpuCompositor().composite(theirs, plate)
        assert apart(ours.alpha, theirs.alpha) <= 1 + seq  # a difference of one partly stays in the next frame
        assert np.mean(ours.alpha != theirs.alpha) < 0.05 or image.size < 600
        same = ours.alpha == theirs.alpha
        assert apart(made[same], expected[same]) <= 1


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 130)),
    low=st.tuples(st.integers(1, 30), st.integers(1, 40)),
    seed=st.integers(0, 2**32 - 1),
)
def test_smaller_pictures_and_those_of_cameras_are_what_others_make(
    size: tuple[int, int], low: tuple[int, int], seed: int
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    low = (min(low[0], size[1]), min(low[1], size[0]))
    even = np.ascontiguousarray(image[: size[0] // 2 * 2, : size[1] // 2 * 2])
    with fast():
        small = one_pass.shrunk(image, low)
        kinds = {kind: one_pass.yuv_of(even, kind) for kind in ("nv12", "i420")} if even.size else {}
        if size[0] % 2 or size[1] % 2:
            assert one_pass.yuv_of(image, "nv12") is None, "of odd sides others take care"
    assert small is not None and apart(small, cv2.resize(image, low, interpolation=cv2.INTER_AREA)) <= 1
    for kind, planes in kinds.items():
        assert planes is not None and apart(planes, yuv_of(even, kind)) <= 1


def test_at_real_sizes_the_kernels_agree_and_threads_change_nothing() -> None:
    rng = np.random.default_rng(3)
    for height, width in ((720, 1280), (1080, 1920), (359, 641)):
        image = np.ascontiguousarray(smooth(rng, (height, width, 3), 0, 255).astype(np.uint8))
        plate = np.ascontiguousarray(image[::-1])
        found = found_in(rng, (144, 256), "linear")
        expected = CpuCompositor().composite(matte_of(image, found), Plate(plate, 1))
        with fast(), ThreadPoolExecutor(2) as pool:
            alone = one_pass.all_of(image, found, None, one_pass.OVER, plate, one_pass.NOBODY_ELSE, source=False)
            workers = one_pass.Workers(pool, 3)
            shared = one_pass.all_of(image, found, None, one_pass.OVER, plate, workers, source=False)
        assert alone is not None and shared is not None
        assert apart(alone[1], expected) <= 1
        for one, other in zip(alone, shared, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("composite", [FastCpu().composite, CpuCompositor().composite], ids=["kernels", "OpenCV"])
def test_nothing_of_the_room_is_in_a_cut_out(composite: Callable[..., Bytes]) -> None:
    image = np.full((48, 96, 3), (250, 20, 250), np.uint8)
    # Alpha of 0 to 11, side by side in each block: a block without anybody never reaches the code for a pixel.
    offset = np.tile(np.arange(0, 12, dtype=np.float32), 8)[None].repeat(48, axis=0)
    made = composite(matte_of(image, Found(np.zeros_like(offset), offset)), Clear())
    seen = np.rint(offset) >= LEAST_ALPHA
    assert not made[~seen].any() and (made[seen][:, 3] >= LEAST_ALPHA).all() and (~seen).any()
    plate = np.full_like(image, 77)
    over = composite(matte_of(image, Found(np.zeros_like(offset), offset)), Plate(plate, 0))
    np.testing.assert_array_equal(over[~seen], plate[~seen])


def lite(*, steady: bool = False) -> LiteEngine | SmoothedEngine:
    engine = LiteEngine(EngineSettings(engine="lite", device="cpu", precision="fp32"))
    return SmoothedEngine(engine) if steady else engine


def test_the_engine_hands_over_what_it_found_and_full_size_comes_when_asked() -> None:
    image = np.random.default_rng(0).integers(0, 256, (180, 320, 3), dtype=np.uint8)
    engine = lite()
    engine.open()
    try:
        matte = engine.matte(Frame(image, 0, 0, 0))
        later = engine.matte(Frame(image[::-1].copy(), 1, 0, 1))
        estimate = matte.deferred
        assert estimate is not None
        matte.check()
        assert matte.again(Frame(image, 2, 0, 2)).deferred is estimate and "to come" in repr(matte)
        assert estimate._common.found is None and estimate._common.alpha is None, "nothing has been worked out yet"
        alpha = matte.host().alpha
        assert estimate._colour is None and alpha.shape == (180, 320), "nor have colours that nobody asked for"
        assert matte.host().colour.shape == (180, 320, 3)
        engine.reset()
        fresh = engine.matte(Frame(image, 3, 1, 3))
        np.testing.assert_array_equal(fresh.alpha, matte.alpha)
        assert later.alpha.dtype == np.uint8, "what it was found in is still there"
    finally:
        engine.close()


def test_a_picture_goes_with_the_last_who_has_it_and_waits_for_no_collector() -> None:
    image = np.zeros((36, 64, 3), np.uint8)
    gone = weakref.ref(image)
    gc.disable()
    try:
        matte = matte_of(image, found_in(np.random.default_rng(2), (9, 16), "own"))
        assert matte.host().alpha.shape == (36, 64)  # colours are not read
        del image, matte
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("composite", [FastCpu, CpuCompositor])
def test_frames_since_which_nothing_moved_share_an_alpha_and_have_each_its_own_colours(
    composite: Callable[[], CpuCompositor],
) -> None:
    rng, smoother, common = np.random.default_rng(4), TemporalSmoother(every=False), Common()
    found = found_in(rng, (9, 16), "own")
    compositor, layer = composite(), Plate(np.full((36, 64, 3), 90, np.uint8), version=1)
    alphas = []
    for seq in range(3):
        image = rng.integers(100 + 40 * seq, 110 + 40 * seq, (36, 64, 3), dtype=np.uint8)
        upsampler = Upsampler((64, 36), (16, 9))
        estimate = Estimate(image, lambda: found, upsampler, found.offset, common)
        matte = smoother(Matte(Frame(image, seq, 0, seq), None, estimate=estimate))
        made = compositor.composite(matte, layer, source_foreground=True)
        alphas.append(matte.host().alpha)
        alone = Matte(matte.frame, matte.host().alpha)
        assert apart(made, CpuCompositor().composite(alone, layer, source_foreground=True)) <= 1
    assert alphas[0].max() > 250 and all(np.array_equal(each, alphas[0]) for each in alphas)


@pytest.mark.parametrize("size", [(36, 64), (40, 64)])
def test_an_estimate_of_another_picture_is_refused(size: tuple[int, int]) -> None:
    matte = matte_of(np.zeros((36, 64, 3), np.uint8), found_in(np.random.default_rng(1), (9, 16), "own"))
    wrong = Matte(Frame(np.zeros((*size, 3), np.uint8), 0, 0, 0), None, estimate=matte.estimate)
    for compositor in (FastCpu(), CpuCompositor()):
        with pytest.raises(MatteError, match="belongs to another picture"):
            compositor.composite(wrong, Clear())


def test_what_cannot_be_worked_out_is_the_mattes_fault_and_the_kernels_stay() -> None:
    def find() -> Found:
        raise RuntimeError("the network's memory is gone")

    image = np.zeros((36, 64, 3), np.uint8)
    matte = Matte(
        Frame(image, 0, 0, 0), None, estimate=Estimate(image, find, Upsampler((64, 36), (16, 9)), image[..., 0])
    )
    with pytest.raises(MatteError, match="memory is gone"):
        FastCpu().composite(matte, Clear())
    with fast():
        CpuCompositor().composite(matte_of(image, found_in(np.random.default_rng(0), (9, 16), "own")), Clear())
        assert kernels.module is not None


def test_kernels_that_fail_are_told_and_opencv_goes_on_in_the_same_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    notices = Notices()
    composer = Composer(parse("color:#090909"), compositor="cpu", notices=notices)
    image = np.zeros((36, 64, 3), np.uint8)
    matte = matte_of(image, found_in(np.random.default_rng(0), (9, 16), "own", "nobody"))

    def broken(*_: object) -> None:
        raise ValueError("no such instruction")

    composer.open(64, 36, "cpu")
    try:
        with fast() as module:
            monkeypatch.setattr(module, "finish", broken)
            made = composer.compose(matte)
        assert (made.image == 9).all() and made.backend == "cpu"
        assert notices.fallbacks == ("compositing continues with OpenCV: its kernels failed (no such instruction)",)
    finally:
        composer.close()


def test_why_opencv_does_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RVM_LIVE_FAST")
    monkeypatch.setattr(compiled, "find_spec", lambda name: None)
    monkeypatch.setattr(cpu, "kernels", Kernels())
    notices = Notices()
    composer = Composer(parse("color:#000000"), compositor="cpu", notices=notices)
    composer.open(64, 36, "cpu")
    composer.compose(Matte(Frame(np.zeros((36, 64, 3), np.uint8), 0, 0, 0), np.zeros((36, 64), np.uint8)))
    composer.close()
    assert any(text.startswith("compositing with OpenCV: ") for text in notices.remarks)
    assert notices.fallbacks == ()


def test_they_are_compiled_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RVM_LIVE_FAST")
    monkeypatch.setattr(compiled, "_compiled", lambda home: one_pass)
    found = Kernels()
    assert found.module is None and "still being compiled" in found.why_not
    found.begin()
    assert found.wait(30) is one_pass and found.why_not == ""

    def refused(home: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(compiled, "_compiled", refused)
    bad = Kernels()
    assert bad.wait(30) is None and bad.failed and "the disk is full" in bad.why_not
    monkeypatch.setattr(compiled, "find_spec", lambda name: None)
    without = Kernels()
    assert without.wait(30) is None and not without.failed and "Numba is not installed" in without.why_not


@pytest.mark.parametrize("every", [True, False])
def test_mattes_are_steadied_in_their_order_whoever_asks_first(every: bool) -> None:
    """As if one by one, where every frame counts; in live video a matte that comes too late keeps its own alpha."""
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    models = [found_in(rng, (12, 16), "own") for _ in range(5)]
    plain = [np.array(matte_of(image, found).alpha) for found in models]
    one_by_one = TemporalSmoother()
    expected = [np.array(matte_of(image, found, one_by_one, seq).alpha) for seq, found in enumerate(models)]
    smoother = TemporalSmoother(every=every)
    mattes = [matte_of(image, found, smoother, seq) for seq, found in enumerate(models)]
    newest = np.array(mattes[3].alpha)
    if every:
        for matte, alpha in zip(mattes, expected, strict=True):
            np.testing.assert_array_equal(matte.alpha, alpha)
    else:
        np.testing.assert_array_equal(newest, plain[3])  # nothing was steadied before it
        np.testing.assert_array_equal(mattes[1].alpha, plain[1])
        after = TemporalSmoother()
        both = [np.array(matte_of(image, models[seq], after, seq).alpha) for seq in (3, 4)]
        np.testing.assert_array_equal(mattes[4].alpha, both[1])


def test_only_so_many_mattes_wait_and_the_state_is_that_after_the_last() -> None:
    rng = np.random.default_rng(6)
    image = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    models = [found_in(rng, (12, 16), "own") for _ in range(20)]
    smoother, one_by_one = TemporalSmoother(), TemporalSmoother()
    mattes = [matte_of(image, found, smoother, seq) for seq, found in enumerate(models)]
    expected = [np.array(matte_of(image, found, one_by_one, seq).alpha) for seq, found in enumerate(models)]
    waiting = sum(matte.deferred is not None and matte.deferred._common.alpha is None for matte in mattes)
    assert 0 < waiting <= 9
    for one, other in zip(smoother.memory, one_by_one.memory, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(mattes[-1].alpha, expected[-1])
    smoother.reset()
    begun = matte_of(image, models[0], smoother, 20, epoch=1)
    np.testing.assert_array_equal(begun.alpha, expected[0])


@pytest.mark.slow
def test_who_leaves_while_they_are_compiled_leaves_at_once(tmp_path: object) -> None:
    code = "from rvm_live.finishing.compiled import kernels; kernels.begin(); import time; time.sleep(1.5)"
    environment = {**os.environ, "RVM_LIVE_FAST": "", "RVM_LIVE_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
