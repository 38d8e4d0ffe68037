"""Blending person and background as light, compared with the same arithmetic in 64-bit floating point."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes
from rvm_live.core.frames import LEAST_ALPHA
from rvm_live.finishing import one_pass
from rvm_live.finishing.light import BOUNDS, DECODED, FIRST, STEPS, Light, coloured, decoded, encoded, over_linear
from tests.support.fast import fast

Exact = NDArray[np.float64]


def level_of(light: Exact) -> Exact:
    """The inverse of IEC 61966-2-1's curve, not rounded."""
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


def reference(colour: Bytes, alpha: Bytes, plate: Bytes, light: Light) -> Exact:
    """The composite as levels; rounded only where colours are, before gamma's blend."""
    front = decoded(colour.astype(np.float64))
    if light.table is not None:
        front = decoded(np.stack([light.table[c][colour[..., c]] for c in range(3)], axis=-1).astype(np.float64))
    if light.rim is not None and light.glow is not None:
        front = front + light.rim[..., None] / 255 * decoded(light.glow.astype(np.float64)) * (1 - front)
    share = np.where(alpha < LEAST_ALPHA, 0, alpha)[..., None] / 255
    if light.linear:
        return level_of(share * front + (1 - share) * decoded(plate.astype(np.float64)))
    return share * level_of(front) + (1 - share) * plate


def by_numpy(colour: Bytes, alpha: Bytes, plate: Bytes, light: Light) -> Bytes:
    alpha = np.where(alpha < LEAST_ALPHA, 0, alpha).astype(np.uint8)
    front = coloured(colour, alpha, light)
    if light.linear:
        return over_linear(front, alpha, plate)
    share = alpha[..., None] / 255.0
    return np.rint(front * share + plate * (1 - share)).astype(np.uint8)


def by_kernels(colour: Bytes, alpha: Bytes, plate: Bytes, light: Light) -> Bytes:
    with fast():
        made = one_pass.made_of(colour, alpha, one_pass.OVER, plate, None, light=light)
    assert made is not None
    return made


def test_the_curve_is_srgb() -> None:
    assert decoded(np.array([0.0, 255.0, 10.0])).tolist() == pytest.approx([0, 1, 10 / 255 / 12.92])
    assert decoded(np.array([187.516])).item() == pytest.approx(0.5, abs=1e-5)  # the level of half the light
    assert decoded(np.array([119.0])).item() == pytest.approx(0.184475, abs=1e-6)


def test_every_level_comes_back_and_every_light_gets_the_level_that_is_nearest() -> None:
    np.testing.assert_array_equal(encoded(DECODED), np.arange(256))
    light = np.concatenate([np.linspace(0, 1, 1_000_003), BOUNDS[:-1], np.nextafter(BOUNDS[:-1], np.float32(0))])
    light = light.astype(np.float32)
    np.testing.assert_array_equal(encoded(light), np.searchsorted(BOUNDS, light, side="right"))
    assert np.abs(encoded(light) - level_of(light.astype(np.float64))).max() < 0.5 + 1e-3
    assert encoded(np.array([-0.1, 1.7], np.float32)).tolist() == [0, 255]


def test_no_two_bounds_share_a_step() -> None:
    assert np.diff(np.floor(BOUNDS[:-1] * STEPS)).min() >= 1
    assert FIRST[0] == 0 and FIRST[-1] == 255


@pytest.mark.parametrize("way", [by_numpy, by_kernels])
def test_black_and_white_half_and_half_are_half_the_light(way: Callable[..., Bytes]) -> None:
    white, black = np.full((1, 64, 3), 255, np.uint8), np.zeros((1, 64, 3), np.uint8)
    alpha = np.full((1, 64), 128, np.uint8)
    assert set(way(white, alpha, black, Light(linear=True)).flatten()) == {188}
    assert set(way(white, alpha, black, Light()).flatten()) == {128}


@pytest.mark.parametrize("way", [by_numpy, by_kernels])
@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("with_table", [True, False])
@pytest.mark.parametrize("with_rim", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (17, 33), (64, 96), (90, 161)])
def test_both_forms_are_within_a_level_of_the_reference(
    way: Callable[..., Bytes], linear: bool, with_table: bool, with_rim: bool, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(shape[0])
    colour, plate, glow = rng.integers(0, 256, (3, *shape, 3), dtype=np.uint8)
    alpha = np.clip(rng.normal(128, 300, shape), 0, 255).astype(np.uint8)  # a third nobody, a third all
    alpha[: shape[0] // 3] = 255  # whole blocks of full alpha
    rim = rng.integers(0, 256, shape, dtype=np.uint8) * (rng.random(shape) < 0.5)
    table = encoded(np.linspace(0.1, 0.9, 256)[None].astype(np.float32) * np.array([[0.8], [1.0], [1.1]], np.float32))
    light = Light(
        linear, table if with_table else None, rim.astype(np.uint8) if with_rim else None, glow if with_rim else None
    )
    exact = reference(colour, alpha, plate, light)
    made = way(colour, alpha, plate, light)
    assert np.abs(made - exact).max() <= 1.5
    nobody = alpha < LEAST_ALPHA
    np.testing.assert_array_equal(made[nobody], plate[nobody])
    if linear and not with_rim:
        assert np.abs(made - exact).max() < 0.51  # nothing is rounded on the way
    if not with_table and not with_rim:
        np.testing.assert_array_equal(made[alpha == 255], colour[alpha == 255])


def test_white_is_not_made_brighter_and_black_gets_the_glow() -> None:
    colour = np.array([[[255, 255, 255], [0, 0, 0]]], np.uint8)
    glow, full = np.full_like(colour, 90), np.full((1, 2), 255, np.uint8)
    assert coloured(colour, full, Light(rim=full, glow=glow)).tolist() == [[[255] * 3, [90] * 3]]
    assert coloured(colour, full, Light(rim=0 * full, glow=glow)).tolist() == colour.tolist()
    grey = coloured(np.full_like(colour, 188), full, Light(rim=full, glow=glow))
    assert (grey == encoded(DECODED[188:189] + DECODED[90] * (1 - DECODED[188]))).all()
