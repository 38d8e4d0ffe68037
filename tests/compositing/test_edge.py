"""The matte's edge: moved by some pixels, softened, in the person's own colours, and without the room's."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch

from rvm_live.backgrounds.color import ColorBackground
from rvm_live.backgrounds.transparent import TransparentBackground
from rvm_live.compositing import edge
from rvm_live.compositing.composer import Composer
from rvm_live.compositing.edge import carried, despilled, edged, moved, softened
from rvm_live.core import transfer
from rvm_live.core.arrays import Bytes
from rvm_live.core.frames import LEAST_ALPHA, Composite, Frame, Matte
from rvm_live.core.framing import Framing
from rvm_live.core.look import Look
from rvm_live.core.notices import Notices
from tests.support.clock import FakeClock

WIDTH, HEIGHT = 160, 96
ROOM, PERSON = (0, 0, 255), (200, 60, 0)
LEFT, TOP, RIGHT, BOTTOM = 50, 30, 110, 96


def matte_of(*, soft: bool = False, foreground: bool = True, seq: int = 0) -> Matte:
    """A rectangle as the person, down to the frame's edge, in a red room."""
    image = np.full((HEIGHT, WIDTH, 3), ROOM, np.uint8)
    image[TOP:BOTTOM, LEFT:RIGHT] = PERSON
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[TOP:BOTTOM, LEFT:RIGHT] = 255
    if soft:
        alpha = cv2.GaussianBlur(alpha, (0, 0), 3)
        share = alpha[..., None] / 255
        image = np.rint(share * np.array(PERSON) + (1 - share) * np.array(ROOM)).astype(np.uint8)
    colour = np.where((alpha >= LEAST_ALPHA)[..., None], np.array(PERSON, np.uint8), np.array(ROOM, np.uint8))
    return Matte(Frame(image, seq, 0, 0), alpha, np.ascontiguousarray(colour, np.uint8) if foreground else None)


@pytest.fixture
def cut_out() -> Iterator[Composer]:
    composer = Composer([TransparentBackground(), ColorBackground("#00ff00")], compositor="cpu", clock=FakeClock())
    composer.open(WIDTH, HEIGHT, "cpu")
    yield composer
    composer.close()


def composed(composer: Composer, look: Look, matte: Matte, background: str = "transparent") -> Composite:
    composer.show_background(background)
    composer.look = look
    return composer.compose(matte)


def box_of(alpha: Bytes) -> tuple[int, int, int, int]:
    x, y, wide, high = cv2.boundingRect(np.where(alpha > 127, 255, 0).astype(np.uint8))
    return x, y, x + wide, y + high


# Moved ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixels", [1, 2, 3, 5, 8, 20])
def test_a_point_grows_to_an_octagon_of_so_many_pixels(pixels: int) -> None:
    alpha = np.zeros((61, 61), np.uint8)
    alpha[30, 30] = 255
    y, x = np.mgrid[-30:31, -30:31]
    square = round(pixels * (2**0.5 - 1))
    octagon = (np.maximum(abs(x), abs(y)) <= pixels) & (abs(x) + abs(y) <= pixels + square)
    np.testing.assert_array_equal(moved(alpha, pixels) > 0, octagon)
    np.testing.assert_array_equal(moved(255 - alpha, -pixels) < 255, octagon)
    if pixels > 2:
        assert abs(np.hypot(x, y)[octagon].max() / pixels - 1) < 0.13


@pytest.mark.parametrize("pixels", [-7, -1, 0, 1, 7])
def test_straight_edges_move_by_so_many_pixels_and_the_frame_is_none(pixels: int) -> None:
    alpha = matte_of().alpha
    there = (LEFT - pixels, TOP - pixels, RIGHT + pixels, BOTTOM)
    assert box_of(moved(alpha, pixels)) == there
    assert set(np.unique(moved(alpha, pixels))) == {0, 255}


def test_parts_of_a_pixel_count() -> None:
    alpha = matte_of().alpha
    half = moved(alpha, 0.5)
    assert half[60, LEFT - 1] == 128 and half[60, LEFT - 2] == 0 and half[60, LEFT] == 255
    quarter = moved(alpha, -2.25)
    assert quarter[60, LEFT + 2] == 191 and quarter[60, LEFT + 1] == 0 and quarter[60, LEFT + 3] == 255


def test_softness_keeps_its_shape_where_an_edge_moves() -> None:
    alpha = matte_of(soft=True).alpha
    np.testing.assert_array_equal(moved(alpha, 3)[60, : WIDTH // 2 - 3], alpha[60, 3 : WIDTH // 2])


def test_an_edge_is_softened_by_a_gaussian_of_half_as_many_pixels() -> None:
    alpha = softened(matte_of().alpha, 4.0)
    row = alpha[80].astype(float)
    assert row[LEFT - 1] + row[LEFT] == pytest.approx(255, abs=1) and (np.diff(row[30:80]) >= 0).all()
    gauss = np.exp(-0.5 * (np.arange(-8, 9) / 2.0) ** 2)
    exact = 255 * np.convolve(matte_of().alpha[80] / 255, gauss / gauss.sum(), mode="same")
    np.testing.assert_allclose(row[20:140], exact[20:140], atol=1.5)
    assert (alpha[HEIGHT - 1, 70:90] == 255).all()
    np.testing.assert_array_equal(softened(alpha, 0), alpha)


# The person's own colours, never the room's ---------------------------------------------------------------------

LOOKS = [Look(grow=8), Look(grow=20), Look(grow=1.5), Look(soften=6), Look(grow=5, soften=12), Look(despill=True),
         Look(shrink=2, soften=3, despill=True), Look(grow=20, soften=20, despill=True)]  # fmt: skip


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.words)
@pytest.mark.parametrize("soft", [False, True])
def test_what_is_new_is_the_persons_own_colour(cut_out: Composer, look: Look, soft: bool) -> None:
    cut = composed(cut_out, look, matte_of(soft=soft)).image
    seen = cut[..., 3] > 0
    assert np.abs(cut[seen][:, :3].astype(int) - PERSON).max() <= 1
    assert not cut[~seen].any() and not ((cut[..., 3] > 0) & (cut[..., 3] < LEAST_ALPHA)).any()
    if look.grow:
        assert seen.sum() > (matte_of(soft=soft).host().alpha > 0).sum()


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.words)
def test_with_the_cameras_own_colours_the_room_gets_no_further_in(look: Look) -> None:
    """A sharp edge has nothing of the room."""
    composer = Composer([ColorBackground("#00ff00")], compositor="cpu", foreground="source", clock=FakeClock())
    composer.open(WIDTH, HEIGHT, "cpu")
    try:
        image = composed(composer, look, matte_of(foreground=False), "color #00ff00").image
    finally:
        composer.close()
    assert image[..., 2].max() <= 1


def test_a_single_hair_grows_in_its_own_colour() -> None:
    image = np.full((64, 64, 3), ROOM, np.uint8)
    colour, alpha = image.copy(), np.zeros((64, 64), np.uint8)
    alpha[10:50, 32], colour[10:50, 32] = 90, (10, 120, 30)
    made = edged(Matte(Frame(image, 0, 0, 0), alpha, colour), Look(grow=2)).host()
    assert (made.alpha[30, 30:35] == 90).all() and not made.alpha[30, :30].any()
    assert np.abs(made.foreground[30, 30:35].astype(int) - (10, 120, 30)).max() <= 1


def test_what_was_there_keeps_its_colour() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)
    alpha = np.zeros((90, 120), np.uint8)
    cv2.circle(alpha, (60, 45), 25, 255, -1)
    made = edged(Matte(Frame(image, 0, 0, 0), alpha), Look(grow=4)).host()
    np.testing.assert_array_equal(made.colour[alpha == 255], image[alpha == 255])
    small, there = carried(image, np.zeros_like(alpha), 8)
    assert not small.any() and not there.any()


def test_nobody_stays_nobody(cut_out: Composer) -> None:
    empty = Matte(matte_of().frame, np.zeros((HEIGHT, WIDTH), np.uint8))
    trace = Matte(matte_of().frame, np.full((HEIGHT, WIDTH), LEAST_ALPHA - 1, np.uint8))
    for matte in (empty, trace):
        assert not composed(cut_out, Look(grow=20, soften=5, despill=True), matte).image.any()


# Despill -------------------------------------------------------------------------------------------------------


def spilled(room: tuple[int, int, int], spill: tuple[int, int, int]) -> tuple[Bytes, Bytes, Bytes]:
    """A grey person in a room, with another colour on the outer six pixels; returns colour, alpha and image."""
    image = np.full((240, 240, 3), room, np.uint8)
    alpha = np.zeros((240, 240), np.uint8)
    alpha[60:, 60:180] = 255
    image[60:, 60:180] = 100
    rim = alpha.copy()
    rim[66:, 66:174] = 0
    colour = image.copy()
    colour[rim > 0] = spill
    image[rim > 0] = spill
    return colour, alpha, image


@pytest.mark.parametrize(
    ("room", "spill"),
    [((40, 220, 40), (90, 130, 90)), ((220, 60, 40), (130, 92, 88)), ((40, 60, 220), (85, 95, 125))],
    ids=["green", "blue", "red"],
)
def test_the_rooms_hue_is_taken_off_the_rim(room: tuple[int, int, int], spill: tuple[int, int, int]) -> None:
    colour, alpha, image = spilled(room, spill)
    made = despilled(colour, alpha, image, 8.0)
    hue = np.array(room) - np.mean(room)
    hue = hue / np.linalg.norm(hue)
    before, after = (float((each[150, 60].astype(float) - each[150, 60].mean()) @ hue) for each in (colour, made))
    assert before > 20 and -1 <= after < 0.35 * before
    assert abs(float(made[150, 60].mean()) - np.mean(spill)) <= 1.5, "brightness stays"
    np.testing.assert_array_equal(made[150, 90:150], colour[150, 90:150])


def test_before_a_grey_room_and_for_a_hue_that_is_the_persons_own_nothing_is_taken() -> None:
    colour, alpha, image = spilled((128, 128, 128), (90, 130, 90))
    np.testing.assert_array_equal(despilled(colour, alpha, image, 8.0), colour)
    colour, alpha, image = spilled((40, 220, 40), (60, 160, 60))
    colour[alpha > 0] = (60, 160, 60)  # somebody dressed all in green
    assert np.abs(despilled(colour, alpha, image, 8.0).astype(int) - colour).max() <= 1


# In the composer -----------------------------------------------------------------------------------------------


def test_alpha_and_colours_that_are_written_have_the_edge_too(cut_out: Composer) -> None:
    composite = composed(cut_out, Look(shrink=3), matte_of())
    assert box_of(composite.alpha) == (LEFT + 3, TOP + 3, RIGHT - 3, BOTTOM)
    np.testing.assert_array_equal(composite.alpha, composite.image[..., 3])
    assert not composite.foreground[composite.alpha == 0].any()
    assert (composite.seq, composite.backend) == (0, "cpu")


def test_a_still_picture_is_worked_out_once(cut_out: Composer, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Matte] = []
    monkeypatch.setattr(edge, "edged", lambda matte, *_, **more: calls.append(matte) or edged(matte, *_, **more))
    matte = matte_of()
    first = composed(cut_out, Look(grow=2), matte)
    again = composed(cut_out, Look(grow=2), matte.again(Frame(matte.frame.image, 1, 0, 0)))
    assert len(calls) == 1 and again.image is first.image and again.seq == 1
    composed(cut_out, Look(grow=3), matte)
    assert len(calls) == 2


def test_framing_comes_before_the_edge() -> None:
    """The pixels of the edge are counted in the output picture."""
    composer = Composer(
        [TransparentBackground()], compositor="cpu", framing=Framing(zoom=0.5), look=Look(grow=4), clock=FakeClock()
    )
    composer.open(WIDTH, HEIGHT, "cpu")
    try:
        composite = composer.compose(matte_of())
    finally:
        composer.close()
    assert box_of(composite.alpha)[0] == 40 + LEFT // 2 - 4
    assert np.abs(composite.image[composite.alpha > 0][:, :3].astype(int) - PERSON).max() <= 1


def test_a_frame_still_goes_up_once_and_comes_down_once() -> None:
    matte = matte_of()
    frame = matte.frame
    there = Matte(
        frame, torch.from_numpy(matte.alpha), torch.from_numpy(matte.foreground), torch.from_numpy(frame.image)
    )
    composer = Composer([ColorBackground("#00ff00")], compositor="torch", look=Look(grow=2, blend="linear"))
    composer.open(WIDTH, HEIGHT, "cpu")
    try:
        before = transfer.counts()
        composer.compose(there)
        after = transfer.counts()
    finally:
        composer.close()
    assert (after.uploads - before.uploads, after.downloads - before.downloads) == (0, 2)  # alpha, colours: views


def test_an_edge_that_fails_is_told_and_the_matte_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise ValueError("no edge here")

    monkeypatch.setattr(edge, "edged", failing)
    notices = Notices()
    composer = Composer([TransparentBackground()], compositor="cpu", look=Look(grow=4), notices=notices)
    composer.open(WIDTH, HEIGHT, "cpu")
    try:
        composite = composer.compose(matte_of())
    finally:
        composer.close()
    assert notices.fallbacks == ("the matte's edge failed (no edge here): it is shown unchanged",)
    assert box_of(composite.alpha) == (LEFT, TOP, RIGHT, BOTTOM)
