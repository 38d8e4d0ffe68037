"""The figures of `rvm-live check` rank mattes as the truth does, by the committed results."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from benchmarks.check import BREAKS, LEAST, broken, holes, islands, misplaced, softness, spearman
from benchmarks.report import RESULTS
from rvm_live.apps.check.figures import FIGURES, Look

GREY = np.full((160, 320, 3), 90, np.uint8)


def square(left: int = 100, top: int = 40, side: int = 80) -> np.ndarray:
    alpha = np.zeros((160, 320), np.uint8)
    alpha[top : top + side, left : left + side] = 255
    return alpha


def test_what_is_told_has_passed_and_what_has_not_is_not_told() -> None:
    result = json.loads((RESULTS / "check.json").read_text("utf-8"))
    rows = {row["figure"]: row for row in result["rows"]}
    assert {name for name, row in rows.items() if row["of four"] >= LEAST} == {each.name for each in FIGURES}
    assert all(row["told"] == (row["of four"] >= LEAST) for row in rows.values())
    assert result["clips"] == 9 and not result["left_out"]
    for each in FIGURES:
        found = rows[each.name]["usual from"], rows[each.name]["usual to"]
        assert each.usual == tuple(float(f"{value:.2g}") for value in found), each.name


def test_ranks_correlate_whatever_the_values_are() -> None:
    assert spearman([1, 2, 3, 4], [10, 20, 30, 1000]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(0.8)
    assert spearman([1, 1, 2], [5, 5, 9]) == pytest.approx(1)
    assert spearman([0, 0, 0], [1, 2, 3]) == 0


def test_figures_that_were_tried_and_left_out() -> None:
    look = Look.of(GREY, square())
    assert (softness(look), islands(look), holes(look)) == (0, 0, 0)
    ring = square()
    ring[39:121, 99:181][square()[39:121, 99:181] == 0] = 64
    assert softness(Look.of(GREY, ring)) == pytest.approx((82**2 - 80**2) / 320)
    two = square()
    two[10:30, 250:270] = 255
    assert islands(Look.of(GREY, two)) == pytest.approx(100 * 400 / 6800)
    holed = square()
    holed[70:90, 130:150] = 0
    assert holes(Look.of(GREY, holed)) == pytest.approx(100 * 400 / 6000)
    picture = GREY.copy()
    picture[square() > 0] = (30, 60, 200)
    assert misplaced(Look.of(picture, square())) < 30 < 50 < misplaced(Look.of(picture, square(96, 36, 88)))


def test_mattes_are_broken_as_they_are_said_to_be() -> None:
    whole = [square(100 + 2 * number) for number in range(6)]
    areas = {kind: [int((alpha > 127).sum()) for alpha in broken(whole, kind)] for kind in BREAKS}
    assert areas["eroded"] == [76**2] * 6
    assert areas["late"] == [6400] * 6
    assert [int(alpha.argmax(1).max()) for alpha in broken(whole, "late")] == [100, 100, 100, 102, 104, 106]
    assert all(5400 < area < 6300 for area in areas["holes"])
    assert areas["trembling"][::2] == [6400] * 3 and set(areas["trembling"][1::2]) == {cross(80)}
    assert np.array_equal(whole[0], square()), "what was given stays as it is"


def cross(side: int) -> int:
    """Number of pixels of a square that was grown by a disc of radius 1."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    return int(cv2.dilate(np.pad(np.ones((side, side), np.uint8), 2), disc).sum())
