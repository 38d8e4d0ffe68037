"""The metrics of matting quality, on cases computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.quality.metrics import Quality, Scorer, conn, dtssd, grad, mad, mean_of, mse
from rvm_live.core.arrays import Bytes


def matte(*rows: list[int]) -> Bytes:
    return np.array(rows, np.uint8)


def test_mad_and_mse_by_hand() -> None:
    # Differences 0.2, 0, 1, 0.4 of alpha: mean 1.6 / 4; squares 0.04 + 0 + 1 + 0.16, mean 0.3.
    predicted, truth = matte([51, 7], [255, 0]), matte([0, 7], [0, 102])
    assert mad(predicted, truth) == pytest.approx(400)
    assert mse(predicted, truth) == pytest.approx(300)


def test_one_grey_level_is_not_lost() -> None:
    predicted = np.full((10, 10), 100, np.uint8)
    assert mad(predicted, predicted + 1) == pytest.approx(1000 / 255)
    assert mse(predicted, predicted - 1) == pytest.approx(1000 / 255**2)


def gaussian(at: int) -> float:
    return math.exp(-(at**2) / (2 * 1.4**2))


def test_grad_of_a_step_by_hand() -> None:
    """A vertical edge against nothing at all.

    The kernel is a Gaussian down times the derivative across, of norm one, reaching ceil(1.4 * sqrt(-2 ln(sqrt(2 pi)
    1.4 0.01))) = 4 pixels. On a step it gives sum(down) times the part of the derivative's sum beyond the edge.
    """
    assert math.ceil(1.4 * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * 1.4 * 0.01))) == 4
    reach = range(-4, 5)
    down = [gaussian(at) for at in reach]
    across = [at * gaussian(at) for at in reach]
    norm = math.sqrt(sum(a * a for a in across)) * math.sqrt(sum(d * d for d in down))
    width, height, edge = 20, 7, 10
    expected = 0.0
    for column in range(width):
        inside = sum(across[offset + 4] for offset in reach if min(max(column + offset, 0), width - 1) >= edge)
        expected += height * (sum(down) * inside / norm) ** 2
    truth = np.zeros((height, width), np.uint8)
    truth[:, edge:] = 255
    assert grad(np.zeros_like(truth), truth) == pytest.approx(expected / 1000, rel=1e-9)


def test_grad_stretches_each_matte() -> None:
    truth = np.zeros((12, 12), np.uint8)
    truth[4:9, 3:8] = 255
    faint = (truth // 255 * 60 + 20).astype(np.uint8)
    assert grad(faint, truth) == pytest.approx(0, abs=1e-9)


def test_conn_of_a_loose_island_by_hand() -> None:
    # Both say 1 on the left column. The truth has nothing on the right, the prediction an island of 0.8: it exceeds its
    # level, which is 0 (both reach 0 there, and no more), by 0.8; the truth exceeds it by 0.
    truth = matte([255, 0, 0], [255, 0, 0])
    predicted = matte([255, 0, 204], [255, 0, 0])
    assert conn(predicted, truth) == pytest.approx(0.8 / 1000)


def test_conn_counts_an_island_that_both_have_only_by_its_difference() -> None:
    # The island is separate at every threshold above 0 in both mattes: lacks of 0.8 and 0.6, which differ by 0.2.
    truth = matte([255, 0, 153], [255, 0, 0])
    predicted = matte([255, 0, 204], [255, 0, 0])
    assert conn(predicted, truth) == pytest.approx(0.2 / 1000)


def test_conn_looks_away_from_what_is_below_the_cut() -> None:
    # Connected down to the level both reach, 0.5; 0.6 exceeds that by 0.1 < 0.15, 0.7 by 0.2.
    truth = matte([255, 128])
    assert conn(matte([255, 153]), truth) == 0
    # 128 / 255 is 0.00196 above its level of 0.5: nothing; 179 / 255 = 0.70196 is 0.20196 above it.
    assert conn(matte([255, 179]), truth) == pytest.approx((179 / 255 - 0.5) / 1000)


def test_conn_is_four_connected() -> None:
    # The lower right pixel touches the larger region by its corner alone: an island, at level 0 in both. The truth
    # exceeds that by 1, the prediction by 0.102, which is below the cut. By its corner it would be at level 0.1.
    truth = matte([255, 255, 0], [255, 255, 0], [0, 0, 255])
    predicted = matte([255, 255, 0], [255, 255, 0], [0, 0, 26])
    assert conn(predicted, truth) == pytest.approx(1.0 / 1000)


def test_conn_a_threshold_that_is_met_exactly_counts() -> None:
    # 0.6 = 153 / 255 in both: the level is 0.6, nothing exceeds it.
    truth = matte([255, 153])
    assert conn(truth, truth) == 0
    # The prediction is 1 there: 0.4 above the common level of 0.6.
    assert conn(matte([255, 255]), truth) == pytest.approx(0.4 / 1000)


def test_dtssd_by_hand() -> None:
    # Changes of the prediction +0.2 and 0, of the truth 0 and -0.4: differences 0.2 and 0.4, squares' mean 0.1.
    before, after = matte([51, 102]), matte([102, 102])
    true_before, true_after = matte([0, 153]), matte([0, 51])
    assert dtssd(after, true_after, before, true_before) == pytest.approx(math.sqrt(0.1) * 100)


def test_dtssd_does_not_mind_a_constant_error() -> None:
    truth = matte([0, 100], [200, 50])
    assert dtssd(truth + 20, truth, truth + 20, truth) == pytest.approx(0, abs=1e-9)


ALL = (mad, mse, grad, conn)
SIZES = ((1, 1), (1, 9), (9, 1), (8, 6))


@pytest.mark.parametrize("measure", ALL)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_identical_constant_mattes_are_perfect(measure: object, size: tuple[int, int], level: int) -> None:
    constant = np.full(size, level, np.uint8)
    assert measure(constant, constant) == 0  # type: ignore[operator]


def test_one_pixel() -> None:
    nothing, everything = matte([0]), matte([255])
    assert mad(everything, nothing) == 1000
    assert mse(everything, nothing) == 1000
    assert grad(everything, nothing) == 0  # a constant has no gradient
    assert conn(everything, nothing) == pytest.approx(1 / 1000)
    assert dtssd(everything, nothing, nothing, nothing) == 100


def test_everything_against_nothing() -> None:
    nothing, everything = np.zeros((5, 4), np.uint8), np.full((5, 4), 255, np.uint8)
    assert mad(nothing, everything) == mse(nothing, everything) == 1000
    assert grad(nothing, everything) == 0
    assert conn(nothing, everything) == pytest.approx(20 / 1000)


MATTES = arrays(np.uint8, (7, 9), elements=st.integers(0, 255))


@settings(max_examples=40, deadline=None)
@given(MATTES, MATTES)
def test_invariances(one: Bytes, other: Bytes) -> None:
    """Swapping truth and prediction does not matter, and neither does mirroring or turning both."""
    for measure in ALL:
        value = measure(one, other)
        assert value >= 0
        assert measure(one, one) == 0
        assert measure(other, one) == pytest.approx(value, abs=1e-12)
        if measure is not conn:  # of two equal regions the first is taken, and mirroring may swap them
            assert measure(one[:, ::-1], other[:, ::-1]) == pytest.approx(value, rel=1e-9, abs=1e-12)
            assert measure(one.T.copy(), other.T.copy()) == pytest.approx(value, rel=1e-9, abs=1e-12)
    assert mse(one, other) <= mad(one, other) + 1e-9
    assert dtssd(one, other, one, other) == 0


def test_mattes_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="of one size"):
        mad(np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8))
    with pytest.raises(ValueError, match="must be uint8"):
        mse(np.zeros((4, 4), np.float32), np.zeros((4, 4), np.uint8))  # type: ignore[arg-type]


def test_a_clip_is_averaged_over_its_frames_and_its_changes() -> None:
    scorer = Scorer()
    truth = matte([0, 0])
    for level in (0, 51, 51):
        scorer.add(matte([level, level]), truth)
    found = scorer.result()
    assert found.mad == pytest.approx((0 + 200 + 200) / 3)
    assert found.mse == pytest.approx((0 + 40 + 40) / 3)
    assert found.dtssd == pytest.approx((20 + 0) / 2)


def test_grad_and_conn_may_be_of_some_frames_alone() -> None:
    some, every = Scorer(every=2), Scorer()
    truth = matte([0, 0, 255])
    for level in (51, 255, 102):
        some.add(matte([level, 0, 255]), truth)
        if level != 255:
            every.add(matte([level, 0, 255]), truth)
    assert (some.result().grad, some.result().conn) == (every.result().grad, every.result().conn)
    assert some.result().mad > every.result().mad


def test_a_single_picture_has_no_change() -> None:
    scorer = Scorer()
    scorer.add(matte([3]), matte([3]))
    assert math.isnan(scorer.result().dtssd)
    assert scorer.result().mad == 0
    nothing = Scorer().result()
    assert math.isnan(nothing.mad)


def test_clips_count_alike_and_the_unmeasured_not_at_all() -> None:
    found = mean_of([Quality(1, 2, 3, 4, 5), Quality(3, 4, 5, 6, math.nan)])
    assert found == Quality(2, 3, 4, 5, 5)
