"""Every compositor on the same cases: compared with the CPU reference, which is compared with exact arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Blur, Clear, Layer, Plate
from rvm_live.compositing import opencv_cuda
from rvm_live.compositing.base import Compositor
from rvm_live.compositing.common import plan_blur
from rvm_live.compositing.cpu import CpuCompositor
from rvm_live.compositing.opencv_cuda import OpenCvCudaCompositor
from rvm_live.compositing.torch import TorchCompositor
from rvm_live.core import transfer
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import CompositorError, MatteError, UnavailableError
from rvm_live.core.frames import LEAST_ALPHA, Frame, Matte
from tests.support.fast import FastCpu
from tests.support.opencv_cuda import FakeCuda

BACKENDS = ("cpu", "cpu in one pass", "torch", "opencv-cuda on a stand-in")
SIZES = ((1, 1), (1, 9), (13, 1), (2, 2), (3, 5), (17, 33), (90, 160), (121, 203))


def matte_of(image: Bytes, alpha: Bytes, foreground: Bytes | None = None, *, tensors: bool = False) -> Matte:
    frame = Frame(image, seq=3, epoch=1, captured_ns=5)
    if not tensors:
        return Matte(frame, alpha, foreground)
    colour = None if foreground is None else torch.from_numpy(foreground)
    return Matte(frame, torch.from_numpy(alpha), colour, torch.from_numpy(image))


def random_matte(rng: np.random.Generator, height: int, width: int, kind: str = "noise") -> Matte:
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    foreground = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    alpha = rng.integers(0, 256, (height, width), dtype=np.uint8)
    if kind == "person":
        y, x = np.mgrid[0:height, 0:width]
        inside = 0.35 - np.hypot(x / width - 0.5, (y / height - 0.6) * 0.6)
        alpha = np.clip(inside * 2000 + 128, 0, 255).astype(np.uint8)
    elif kind != "noise":
        alpha[:] = int(kind)
    return matte_of(image, alpha, foreground)


def plate_for(rng: np.random.Generator, matte: Matte) -> Plate:
    return Plate(rng.integers(0, 256, matte.frame.image.shape, dtype=np.uint8), version=1)


def over(front: Bytes, alpha: Bytes, back: NDArray[np.generic]) -> NDArray[np.float64]:
    """Porter and Duff's *over*, computed exactly; faint alpha counts as 0."""
    share = np.where(alpha < LEAST_ALPHA, 0, alpha)[..., None] / 255.0
    return front * share + back * (1 - share)


@pytest.fixture
def cpu() -> Iterator[CpuCompositor]:
    yield from opened(CpuCompositor())


@pytest.fixture(params=BACKENDS)
def compositor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Compositor]:
    if request.param == "cpu":
        yield from opened(CpuCompositor())
    elif request.param == "cpu in one pass":
        yield from opened(FastCpu())
    elif request.param == "torch":
        yield from opened(TorchCompositor())
    else:
        monkeypatch.setattr(cv2, "cuda", FakeCuda())
        yield from opened(OpenCvCudaCompositor())


def opened(compositor: Compositor) -> Iterator[Compositor]:
    compositor.open()
    yield compositor
    compositor.close()


# The reference -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_cpu_is_within_one_level_of_exact_arithmetic(cpu: CpuCompositor, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(size[0])
    matte = random_matte(rng, *size)
    plate = plate_for(rng, matte)
    exact = over(matte.foreground, matte.alpha, plate.image)
    assert np.abs(cpu.composite(matte, plate) - exact).max() <= 1


def test_cpu_is_within_one_level_for_every_alpha_and_colour(cpu: CpuCompositor) -> None:
    alpha, colour = np.mgrid[0:256, 0:256].astype(np.uint8)
    foreground = np.dstack([colour] * 3)
    for level in (0, 1, 77, 128, 254, 255):
        plate = Plate(np.full_like(foreground, level), 0)
        result = cpu.composite(matte_of(foreground, alpha, foreground), plate)
        assert np.abs(result - over(foreground, alpha, plate.image)).max() <= 1


def test_blur_is_the_normalised_convolution_it_is_said_to_be(cpu: CpuCompositor) -> None:
    rng = np.random.default_rng(4)
    height, width, strength = 180, 320, 40.0  # a standard deviation of 10 pixels
    image = cv2.resize(rng.integers(0, 256, (9, 16, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    alpha = np.zeros((height, width), np.uint8)
    cv2.circle(alpha, (160, 110), 40, 255, -1, cv2.LINE_AA)
    weight = (1 - alpha / 255.0)[..., None]
    sigma = strength * height / 720

    def gauss(values: NDArray[np.float64]) -> NDArray[np.float64]:
        done = cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
        return done.reshape(height, width, -1)

    exact = over(image, alpha, gauss(image * weight) / np.maximum(gauss(weight), 1e-9))
    result = cpu.composite(matte_of(image, alpha), Blur(strength))
    seen = alpha < 250
    difference = np.abs(result - exact)[seen]
    assert difference.mean() < 0.6
    assert difference.max() < 5  # in the corner itself, the enlarged picture is flat for half a cell


# Every back end ------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(("noise", "person", "0", "255", "254")),
    layer=st.one_of(
        st.just("plate"),
        st.just(Clear()),
        *(st.floats(*of).map(Blur) for of in ((1, 100), (100, 5000))),
        st.builds(Blur, st.floats(1, 5000), st.just(True)),
    ),
    source_foreground=st.booleans(),
    tensors=st.booleans(),
)
def test_all_agree_with_the_cpu_within_one_level(
    compositor: Compositor,
    cpu: CpuCompositor,
    size: tuple[int, int],
    seed: int,
    kind: str,
    layer: Layer | str,
    source_foreground: bool,
    tensors: bool,
) -> None:
    rng = np.random.default_rng(seed)
    matte = random_matte(rng, *size, kind=kind)
    behind = plate_for(rng, matte) if isinstance(layer, str) else layer
    expected = cpu.composite(matte, behind, source_foreground=source_foreground)
    again = matte_of(matte.frame.image, matte.alpha, matte.foreground, tensors=tensors)
    result = compositor.composite(again, behind, source_foreground=source_foreground)
    assert result.dtype == np.uint8 and result.shape == expected.shape and result.flags.c_contiguous
    assert np.abs(result.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("strength", [1, 2, 10, 25, 50, 100])
@pytest.mark.parametrize("size", [(720, 1280), (361, 643)])
@pytest.mark.few(8)
def test_blurred_plates_agree_at_real_sizes(
    compositor: Compositor, cpu: CpuCompositor, size: tuple[int, int], strength: float
) -> None:
    rng = np.random.default_rng(int(strength))
    matte = random_matte(rng, *size, kind="person")
    expected = cpu.composite(matte, Blur(strength)).astype(int)
    assert np.abs(compositor.composite(matte, Blur(strength)) - expected).max() <= 1


@pytest.mark.parametrize("size", SIZES)
def test_zero_alpha_is_the_plate_and_full_alpha_the_foreground(compositor: Compositor, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    nobody, somebody = random_matte(rng, *size, kind="0"), random_matte(rng, *size, kind="255")
    plate = plate_for(rng, nobody)
    np.testing.assert_array_equal(compositor.composite(nobody, plate), plate.image)
    np.testing.assert_array_equal(compositor.composite(somebody, plate), somebody.foreground)
    np.testing.assert_array_equal(compositor.composite(somebody, plate, source_foreground=True), somebody.frame.image)
    np.testing.assert_array_equal(compositor.composite(somebody, Blur(25)), somebody.foreground)


def test_nothing_hides_under_transparent_pixels(compositor: Compositor) -> None:
    rng = np.random.default_rng(2)
    matte = random_matte(rng, 90, 160, kind="person")
    for source_foreground in (False, True):
        result = compositor.composite(matte, Clear(), source_foreground=source_foreground)
        colour = matte.frame.image if source_foreground else matte.foreground
        seen = matte.alpha >= LEAST_ALPHA
        assert result.shape == (90, 160, 4)
        np.testing.assert_array_equal(result[..., 3][seen], matte.alpha[seen])
        np.testing.assert_array_equal(result[..., :3][seen], colour[seen])
        assert (~seen).any() and not result[~seen].any()


@pytest.mark.parametrize("lens", [False, True])
def test_the_person_does_not_bleed_into_the_blur(compositor: Compositor, lens: bool) -> None:
    """A magenta person in front of a grey wall: everything outside the matte stays grey."""
    height, width = 360, 640
    image = np.full((height, width, 3), 120, np.uint8)
    alpha = np.zeros((height, width), np.uint8)
    cv2.ellipse(alpha, (320, 260), (110, 170), 0, 0, 360, 255, -1)
    image[alpha == 255] = (255, 0, 255)
    result = compositor.composite(matte_of(image, alpha), Blur(25, lens))
    assert np.abs(result[alpha == 0].astype(int) - 120).max() <= 1
    np.testing.assert_array_equal(result[alpha == 255], image[alpha == 255])


def test_blur_removes_detail_and_keeps_the_mean(compositor: Compositor) -> None:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (180, 320, 3), dtype=np.uint8)
    result = compositor.composite(matte_of(image, np.zeros((180, 320), np.uint8)), Blur(25))
    assert result.std() < 6 < image.std()
    assert abs(result.mean() - image.mean()) < 1


@pytest.mark.parametrize("lens", [False, True])
def test_a_gap_deep_inside_the_person_shows_its_own_colour(compositor: Compositor, lens: bool) -> None:
    """Far from all other background, a half-covered pixel still gets the room's colour, neither grey nor the
    person's."""
    image = np.full((180, 320, 3), (40, 90, 140), np.uint8)
    image[:, 40:] = (255, 0, 255)
    alpha = np.full((180, 320), 255, np.uint8)
    alpha[:, :40] = 0
    foreground = np.zeros_like(image)
    solid = compositor.composite(matte_of(image, alpha, foreground), Blur(20, lens))
    np.testing.assert_array_equal(solid[:, 300:], 0)
    alpha[90, 310] = 128
    image[90, 310] = (40, 90, 140)
    result = compositor.composite(matte_of(image, alpha, foreground), Blur(20, lens))
    assert np.abs(result[90, 310].astype(int) - np.array([20, 45, 70])).max() <= 2


def test_an_engine_without_foreground_gives_the_frames_own_colours(compositor: Compositor) -> None:
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    alpha = np.full((40, 50), 255, np.uint8)
    for tensors in (False, True):
        matte = matte_of(image, alpha, tensors=tensors)
        np.testing.assert_array_equal(compositor.composite(matte, Plate(np.zeros_like(image), 0)), image)


def test_floating_point_mattes_are_taken_as_they_come(compositor: Compositor) -> None:
    frame = Frame(np.zeros((8, 8, 3), np.uint8), 0, 0, 0)
    matte = Matte(frame, torch.full((8, 8), 0.5), torch.full((8, 8, 3), 1.0), torch.from_numpy(frame.image))
    assert np.abs(compositor.composite(matte, Plate(frame.image, 0)).astype(int) - 128).max() <= 1


def test_results_are_new_and_inputs_untouched(compositor: Compositor) -> None:
    rng = np.random.default_rng(6)
    matte = random_matte(rng, 30, 40)
    plate = plate_for(rng, matte)
    before = [array.copy() for array in (matte.frame.image, matte.alpha, matte.foreground, plate.image)]
    for layer in (plate, Clear(), Blur(25)):
        first = compositor.composite(matte, layer)
        kept = first.copy()
        second = compositor.composite(random_matte(rng, 30, 40), layer)
        assert not np.shares_memory(first, second)
        np.testing.assert_array_equal(first, kept)
    for array, was in zip((matte.frame.image, matte.alpha, matte.foreground, plate.image), before, strict=True):
        np.testing.assert_array_equal(array, was)


def test_size_may_change_from_frame_to_frame(compositor: Compositor, cpu: CpuCompositor) -> None:
    rng = np.random.default_rng(7)
    for size in ((40, 60), (21, 33), (40, 60), (60, 40)):
        matte = random_matte(rng, *size)
        for layer in (plate_for(rng, matte), Clear(), Blur(50)):
            expected = cpu.composite(matte, layer).astype(int)
            assert np.abs(compositor.composite(matte, layer) - expected).max() <= 1


def test_what_does_not_fit_is_refused(compositor: Compositor) -> None:
    rng = np.random.default_rng(8)
    matte = random_matte(rng, 30, 40)
    with pytest.raises(CompositorError, match=r"background is uint8 \(40, 30, 3\)"):
        compositor.composite(matte, Plate(np.zeros((40, 30, 3), np.uint8), 0))
    with pytest.raises(CompositorError, match="background is float64"):
        compositor.composite(matte, Plate(np.zeros((30, 40, 3)), 0))
    with pytest.raises(MatteError, match="alpha has the shape"):
        compositor.composite(matte_of(matte.frame.image, matte.alpha[:-1]), Clear())
    with pytest.raises(MatteError, match="foreground has the shape"):
        compositor.composite(matte_of(matte.frame.image, matte.alpha, matte.foreground[:, :-1]), Clear())


def test_plates_of_two_backgrounds_with_one_version_are_told_apart(compositor: Compositor) -> None:
    matte = random_matte(np.random.default_rng(9), 8, 8, kind="0")
    for level in (10, 200):
        plate = Plate(np.full((8, 8, 3), level, np.uint8), version=0)
        assert (compositor.composite(matte, plate) == level).all()


# torch ---------------------------------------------------------------------------------------------------------


def test_a_frame_comes_down_once_and_goes_up_never() -> None:
    rng = np.random.default_rng(10)
    compositor = TorchCompositor()
    compositor.open()
    plate = plate_for(rng, random_matte(rng, 30, 40))
    for number, layer in enumerate((plate, plate, Clear(), Blur(25))):
        source = random_matte(rng, 30, 40)
        before = transfer.counts()
        compositor.composite(matte_of(source.frame.image, source.alpha, source.foreground, tensors=True), layer)
        after = transfer.counts()
        assert after.downloads - before.downloads == 1
        assert after.uploads - before.uploads == (1 if number == 0 else 0), "a plate goes up once, when it is new"
    compositor.close()


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "mps", "nonsense"])
def test_torch_says_why_a_device_cannot_be_used(device: str) -> None:
    if (device == "cuda" and torch.cuda.is_available()) or (device == "mps" and torch.backends.mps.is_available()):
        pytest.skip(f"{device} is there")
    with pytest.raises(UnavailableError, match="torch"):
        TorchCompositor(device).open()


# opencv-cuda ---------------------------------------------------------------------------------------------------


def test_pips_opencv_is_a_reason_and_not_a_crash() -> None:
    if hasattr(cv2.cuda, "multiply"):
        pytest.skip("this OpenCV is built with CUDA")
    with pytest.raises(UnavailableError, match="built without CUDA"):
        OpenCvCudaCompositor().open()


def test_each_reason_has_its_words() -> None:
    assert opencv_cuda.why_not(FakeCuda()) is None
    assert "built without CUDA" in (opencv_cuda.why_not(None) or "")
    assert "finds no CUDA device" in (opencv_cuda.why_not(FakeCuda(devices=0)) or "")
    assert "driver is not installed" in (opencv_cuda.why_not(FakeCuda(devices=-1)) or "")

    class WithoutFilters(FakeCuda):
        @property
        def createSeparableLinearFilter(self) -> None:
            raise AttributeError

    assert "without its modules cudafilters" in (opencv_cuda.why_not(WithoutFilters()) or "")


def test_a_failing_cuda_call_is_a_compositor_error(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeCuda()
    monkeypatch.setattr(cv2, "cuda", fake)
    compositor = OpenCvCudaCompositor()
    compositor.open()
    fake.failing = True
    rng = np.random.default_rng(11)
    matte = random_matte(rng, 8, 8)
    with pytest.raises(CompositorError, match="out of memory"):
        compositor.composite(matte, plate_for(rng, matte))
    compositor.close()


def test_kernels_are_short_enough_for_opencvs_cuda_filters() -> None:
    for height in (1, 45, 240, 720, 1080, 2160, 4320):
        for strength in np.geomspace(1, 100, 40):
            plan = plan_blur(height * 16 // 9 + 1, height, float(strength))
            assert len(plan.kernel) <= 25 and plan.levels <= 7
            assert plan.kernel.sum() == pytest.approx(1, abs=1e-6)
            assert plan.padded_height >= height and plan.padded_width >= height * 16 // 9 + 1


# On a GPU ------------------------------------------------------------------------------------------------------


def cuda_matte(source: Matte) -> Matte:
    parts = [torch.from_numpy(part).cuda() for part in (source.alpha, source.foreground, source.frame.image)]
    ready = torch.cuda.Event()
    ready.record()
    return Matte(source.frame, *parts, ready)


@pytest.mark.gpu
@pytest.mark.parametrize("backend", [TorchCompositor, OpenCvCudaCompositor])
def test_on_a_gpu_too(backend: type[Compositor], cpu: CpuCompositor) -> None:
    compositor = backend("cuda:0")
    if backend is OpenCvCudaCompositor and opencv_cuda.why_not(cv2.cuda) is not None:
        pytest.skip(opencv_cuda.why_not(cv2.cuda) or "")
    compositor.open()
    rng = np.random.default_rng(12)
    for size in (*SIZES, (720, 1280), (1080, 1920)):
        source = random_matte(rng, *size, kind="person")
        for layer in (plate_for(rng, source), Clear(), Blur(1), Blur(25), Blur(100)):
            expected = cpu.composite(source, layer).astype(int)
            matte = cuda_matte(source)
            before = transfer.counts()
            result = compositor.composite(matte, layer)
            assert transfer.counts().downloads - before.downloads == 1
            assert np.abs(result - expected).max() <= 1, (size, layer)
    compositor.close()


@pytest.mark.gpu
def test_the_stream_waits_for_the_engines_work() -> None:
    compositor = TorchCompositor("cuda:0")
    compositor.open()
    size = (720, 1280)
    frame = Frame(np.zeros((*size, 3), np.uint8), 0, 0, 0)
    plate = Plate(np.zeros((*size, 3), np.uint8), 0)
    engine = torch.cuda.Stream()
    with torch.cuda.stream(engine):
        alpha = torch.zeros(size, dtype=torch.uint8, device="cuda")
        colour = torch.full((*size, 3), 200, dtype=torch.uint8, device="cuda")
        torch.cuda._sleep(200_000_000)
        alpha.fill_(255)
        ready = torch.cuda.Event()
        ready.record(engine)
    assert (compositor.composite(Matte(frame, alpha, colour, colour, ready), plate) == 200).all()
    compositor.close()
