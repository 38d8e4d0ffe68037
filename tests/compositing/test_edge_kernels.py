"""The edge computed with Numba's kernels and without them: the same within one grey level."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from rvm_live.compositing.edge import edged
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.look import Look
from rvm_live.finishing.compiled import kernels
from tests.support.fast import fast


def scene(width: int, height: int, at: tuple[float, float]) -> Matte:
    """A person with soft hair, noisy and coloured, in a green room; of any size, and cut off by the frame."""
    rng = np.random.default_rng(width)
    alpha = np.zeros((height, width), np.uint8)
    middle = round(at[0] * width), round(at[1] * height)
    cv2.ellipse(alpha, middle, (width // 5, height // 3), 20, 0, 360, 255, -1)
    for turn in range(0, 360, 12):
        end = np.add(middle, np.multiply((np.cos(turn), np.sin(turn)), 0.4 * height)).astype(int)
        cv2.line(alpha, middle, tuple(map(int, end)), int(rng.integers(20, 255)), 1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 1.2)
    room = np.full((height, width, 3), (50, 190, 60), np.uint8) + rng.integers(0, 20, (height, width, 3), np.uint8)
    own = cv2.resize(rng.integers(0, 255, (5, 5, 3), np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    share = alpha[..., None] / 255
    image = np.rint(share * own + (1 - share) * room).astype(np.uint8)
    foreground = np.rint(0.8 * own + 0.2 * room).astype(np.uint8)
    return Matte(Frame(image, 0, 0, 0), np.asarray(alpha, np.uint8), foreground)


LOOKS = [Look(grow=4), Look(grow=1.5), Look(shrink=2), Look(soften=4), Look(despill=True),
         Look(grow=20, soften=20, despill=True)]  # fmt: skip


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.words)
@pytest.mark.parametrize(("size", "at"), [((320, 180), (0.5, 0.6)), ((317, 179), (0.13, 0.9)), ((61, 47), (0.9, 0.2))])
@pytest.mark.parametrize("source", [False, True])
def test_kernels_and_numpy_give_the_same_edge(
    look: Look,
    size: tuple[int, int],
    at: tuple[float, float],
    source: bool,
) -> None:
    matte = scene(*size, at)
    given = [np.array(each) for each in (matte.alpha, matte.foreground, matte.frame.image)]
    with fast():
        quick = edged(matte, look, source_foreground=source).host()
    for each, before in zip((matte.alpha, matte.foreground, matte.frame.image), given, strict=True):
        np.testing.assert_array_equal(each, before)  # the inputs are not written to
    slow = edged(matte, look, source_foreground=source).host()
    apart = np.abs(quick.alpha.astype(int) - slow.alpha)
    assert apart.max() <= 1 or np.count_nonzero(apart > 1) < 1e-3 * apart.size
    seen = (quick.alpha > 0) & (slow.alpha > 0)
    assert seen.any()
    assert np.abs(quick.foreground.astype(int) - slow.foreground)[seen].max() <= 1


def test_kernels_that_fail_leave_it_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    matte, called = scene(320, 180, (0.5, 0.6)), []

    class Failing:
        def __getattr__(self, name: str) -> Any:
            called.append(name)
            raise RuntimeError("no such code")

    wanted = edged(matte, Look(grow=3, despill=True)).host()
    monkeypatch.setattr(kernels, "_module", Failing())
    for name in ("_why", "failed"):
        monkeypatch.setattr(kernels, name, getattr(kernels, name))
    made = edged(matte, Look(grow=3, despill=True)).host()
    assert called and kernels.failed and "no such code" in kernels.why_not
    np.testing.assert_array_equal(made.alpha, wanted.alpha)
    np.testing.assert_array_equal(made.foreground, wanted.foreground)
