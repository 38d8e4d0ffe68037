"""The blur of a lens: its size, discs around lamps, and that nothing is easier to see through it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Blur
from rvm_live.backgrounds.parse import default_cycle, parse
from rvm_live.compositing.base import Compositor
from rvm_live.compositing.common import plan_blur
from rvm_live.compositing.cpu import CpuCompositor
from rvm_live.compositing.lens import LEVEL_STEPS, LEVELS, LIGHT, STRETCH, disc
from rvm_live.core.errors import SettingsError
from rvm_live.sinks.web.gallery import _facts
from rvm_live.sinks.web.wishes import _PLAIN
from tests.compositing.test_compositors import Bytes, compositor, cpu, matte_of, random_matte  # noqa: F401

SIZE = (360, 640)


def nobody(image: Bytes, compositor: Compositor, strength: float = 25, lens: bool = True) -> NDArray[np.int64]:  # noqa: F811
    result = compositor.composite(matte_of(image, np.zeros(image.shape[:2], np.uint8)), Blur(strength, lens))
    return result.astype(np.int64)


def lamp(radius: int = 3, level: int = 255) -> Bytes:
    image = np.full((*SIZE, 3), 40, np.uint8)
    cv2.circle(image, (320, 180), radius, (level, level, level), -1)
    return image


def test_what_can_be_written() -> None:
    assert parse("blur:lens")[0].layer(4, 4, 0) == Blur(25, lens=True)
    assert parse(" Blur:Lens:40 ")[0].layer(4, 4, 0) == Blur(40, lens=True)
    assert parse("blur:lens:40")[0].label == "blur lens 40"
    assert parse("blur:25")[0].layer(4, 4, 0) == Blur(25) != Blur(25, lens=True)
    for spec, words in (
        ("blur:lens:", "'' is not a number"),
        ("blur:lens:0", "between 1 and 100"),
        ("blur:lens:much", "'much' is not a number"),
        ("blur:lense", "'lense' is not a number"),
    ):
        with pytest.raises(SettingsError, match=words):
            parse(spec)
    labels = [each.label for each in default_cycle(["blur:lens:30"])]
    assert labels[0] == "blur lens 30" and "blur 25" not in labels
    assert _facts(parse("blur:lens:30")[0]) == {"kind": "blur", "strength": 30, "lens": True}
    assert _facts(parse("blur:30")[0]) == {"kind": "blur", "strength": 30}
    assert _PLAIN.fullmatch("blur:lens:30") and _PLAIN.fullmatch("blur:lens") and not _PLAIN.fullmatch("blur:lens:x")


def test_every_level_keeps_its_value_through_the_tables() -> None:
    light = LIGHT.astype(np.float64)
    back = LEVELS[np.rint(light / (1 + STRETCH * light) * LEVEL_STEPS).astype(int)]
    np.testing.assert_array_equal(back, np.arange(256))
    assert LIGHT[255] == pytest.approx(10)


@pytest.mark.parametrize("sigma", [0.01, 0.5, 1.0, 2.0, 3.3, 4.0, 20.0])
def test_the_disc_is_round_and_weighs_one(sigma: float) -> None:
    kernel = disc(sigma)
    assert kernel.sum() == pytest.approx(1, abs=1e-5) and kernel.min() >= 0 and len(kernel) % 2
    for turned in (kernel.T, kernel[::-1], kernel[:, ::-1]):
        np.testing.assert_allclose(kernel, turned, atol=1e-7)
    if sigma >= 2:
        place = np.arange(len(kernel)) - len(kernel) // 2
        spread = np.sqrt((kernel.sum(axis=0) * place**2).sum())
        assert spread > 1.2 * sigma  # the Gaussian's is sigma


def test_no_pattern_of_lines_keeps_more_contrast_than_under_the_gaussian() -> None:
    """The transfer function in every direction, compared with the Gaussian's."""
    for sigma in (2.0, 2.7, 3.9):
        kernel = disc(sigma).astype(np.float64)
        y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
        frequency = np.linspace(0, 0.5, 251)
        gauss = np.exp(-2 * (np.pi * frequency * sigma) ** 2)
        for angle in (0, 20, 45):
            along = x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))
            kept = np.abs((kernel * np.cos(2 * np.pi * frequency[:, None, None] * along)).sum(axis=(1, 2)))
            assert (kept <= np.maximum(gauss, 0.01) + 1e-6).all()


@pytest.mark.slow
def test_lines_are_no_better_seen_than_through_the_gaussian(compositor: Compositor) -> None:  # noqa: F811
    """The same on pictures, with the blur's tables, its grid and the extra weight of bright pixels."""
    x = np.arange(SIZE[1])
    for width in (4, 8, 12, 20, 32):
        for low, high in ((0, 255), (60, 120), (0, 60), (180, 255)):
            lines = np.where(x // width % 2, high, low).astype(np.uint8)
            image = np.ascontiguousarray(np.broadcast_to(lines[None, :, None], (*SIZE, 3)))
            ours, other = (int(np.ptp(nobody(image, compositor, 25, lens)[100:260, 200:440])) for lens in (True, False))
            assert ours <= max(other, 3), (width, low, high)


def test_noise_is_gone_as_under_the_gaussian(compositor: Compositor) -> None:  # noqa: F811
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (180, 320, 3), dtype=np.uint8)
    assert nobody(image, compositor).std() < nobody(image, compositor, lens=False).std() < 6 < image.std()


def test_a_lamp_is_a_round_spot_of_one_brightness(compositor: Compositor) -> None:  # noqa: F811
    seen = nobody(lamp(), compositor)[..., 1]
    gauss = nobody(lamp(), compositor, lens=False)[..., 1]
    assert seen.max() > 2 * (gauss.max() - 40) + 40
    radius = 2.5 * 25 * SIZE[0] / 720
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    distance = np.hypot(y - 180, x - 320)
    inside, outside = seen[distance < 0.6 * radius], seen[distance > 1.9 * radius]
    assert np.ptp(inside) <= 0.15 * (seen.max() - 40)
    assert (outside == 40).all()
    half = distance[(seen > 40 + (seen.max() - 40) / 2)]
    assert np.abs(np.array([half.max(), np.sqrt(len(half) / np.pi)]) / radius - 1).max() < 0.2


def test_flat_rooms_keep_their_colour(compositor: Compositor) -> None:  # noqa: F811
    for level in (0, 1, 5, 40, 128, 200, 254, 255):
        image = np.full((90, 160, 3), (level, 255 - level, level // 2), np.uint8)
        assert (nobody(image, compositor) == image).all()


def test_it_is_the_normalised_convolution_it_is_said_to_be(cpu: CpuCompositor) -> None:  # noqa: F811
    rng = np.random.default_rng(4)
    height, width, strength = 180, 320, 40.0
    image = cv2.resize(rng.integers(0, 256, (9, 16, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    alpha = np.zeros((height, width), np.uint8)
    cv2.circle(alpha, (160, 110), 40, 255, -1, cv2.LINE_AA)
    weight = (1 - alpha / 255.0)[..., None]
    kernel = disc(strength * height / 720).astype(np.float64)

    def spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.filter2D(values, -1, kernel, borderType=cv2.BORDER_CONSTANT)).reshape(height, width, -1)

    mean = spread(LIGHT[image].astype(np.float64) * weight) / np.maximum(spread(weight), 1e-9)
    linear = mean / (1 + STRETCH * mean)
    room = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
    share = alpha[..., None] / 255.0
    difference = np.abs(
        cpu.composite(matte_of(image, alpha), Blur(strength, lens=True)) - image * share - room * (1 - share)
    )
    seen = alpha < 250
    assert difference[seen].mean() < 1 and difference[seen].max() < 12  # in the corner itself


@pytest.mark.parametrize("strength", [1, 25, 100])
def test_plates_agree_at_real_sizes(compositor: Compositor, cpu: CpuCompositor, strength: float) -> None:  # noqa: F811
    for size in ((720, 1280), (361, 643)):
        matte = random_matte(np.random.default_rng(int(strength)), *size, kind="person")
        expected = cpu.composite(matte, Blur(strength, lens=True)).astype(int)
        assert np.abs(compositor.composite(matte, Blur(strength, lens=True)) - expected).max() <= 1


def test_the_back_end_that_has_none_says_who_makes_it(compositor: Compositor) -> None:  # noqa: F811
    told = "opencv-cuda cannot blur like a lens: the CPU does it"
    nobody(lamp(), compositor, lens=False)
    assert told not in compositor.trouble
    nobody(lamp(), compositor)
    assert (compositor.trouble == told) is (compositor.name == "opencv-cuda")


def test_without_it_nothing_is_planned_for_it() -> None:
    assert plan_blur(1280, 720, 25).disc is None
    assert plan_blur(1280, 720, 25).coarse == plan_blur(1280, 720, 25).levels
