"""The person's light and colours drawn towards the background's: by an exact amount, and never so that it pumps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Background, Blur, Clear, Layer, Plate
from rvm_live.compositing import matching
from rvm_live.compositing.composer import Composer
from rvm_live.compositing.matching import LUMA, Affine, Matcher, Measured, affine, measured, table_of
from rvm_live.compositing.output import Output
from rvm_live.core.arrays import Bytes
from rvm_live.core.controls import Control, Controls, number
from rvm_live.core.errors import SettingsError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.look import Look
from rvm_live.core.notices import Notices
from rvm_live.finishing.light import DECODED, decoded, encoded
from rvm_live.sinks.window.commands import Commands
from rvm_live.sinks.window.hotkeys import ViewState, WindowActions
from tests.support.clock import FakeClock

WIDTH, HEIGHT = 160, 96
SECOND = 1_000_000_000
NOTHING = np.zeros(3)


def of(mean: float = -2.0, deviation: float = 1.0, light: Any = NOTHING, known: float = 1.0) -> Measured:
    return Measured(np.asarray(light, float), known, mean, mean - 0.5, deviation)


def picture(dark: float, bright: float, tint: tuple[float, float, float] = (1, 1, 1)) -> Bytes:
    """A picture with two levels of light, side by side."""
    light = np.empty((HEIGHT, WIDTH, 3))
    light[:, : WIDTH // 2], light[:, WIDTH // 2 :] = dark * np.array(tint), bright * np.array(tint)
    return encoded(light.astype(np.float32))


def matte_of(person: Bytes | None = None, *, epoch: int = 0, seq: int = 0, nobody: bool = False) -> Matte:
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[10:, 40:120] = 0 if nobody else 255
    image[10:, 40:120] = (picture(0.05, 0.4) if person is None else person)[10:, 40:120]
    return Matte(Frame(image, seq, epoch, 0, seq * 40_000_000), alpha)


class Still(Background):
    """A picture that may be replaced by another one."""

    def __init__(self, image: Bytes, label: str = "still") -> None:
        self.label, self.image = label, image

    def layer(self, width: int, height: int, now_ns: int) -> Layer:
        return Plate(self.image, 0)


# What is measured ----------------------------------------------------------------------------------------------


def test_grey_light_is_measured_exactly() -> None:
    found = measured(np.repeat([[0.125] * 3, [0.5] * 3], 50, axis=0))
    assert found.mean == pytest.approx(np.log2(0.3125)) and found.middle == pytest.approx(-2)
    assert found.deviation == pytest.approx(1) and found.known == 1
    np.testing.assert_allclose(found.light, 0, atol=1e-9)


def test_the_colour_of_light_is_that_of_grey_things_not_of_the_greenest() -> None:
    warm = np.array([0.7, 1.0, 1.3]) * 0.3
    green = np.array([0.02, 0.6, 0.02])
    found = measured(np.vstack([np.tile(warm, (10, 1)), np.tile(green, (90, 1))]))
    assert np.abs(found.light - (np.log2(warm) - np.log2(warm).mean())).max() < 0.05
    assert measured(np.tile(green, (100, 1))).known < 1e-3


# The step ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skin", [None, np.array([0.15, 0.2, 0.3])])
def test_what_fits_already_and_what_nobody_asks_for_is_left_as_it_is(skin: NDArray[np.float64] | None) -> None:
    for behind, share in ((of(), 1.0), (of(-4.0, 0.2, (0.2, 0, -0.2)), 0.0)):
        step = affine(of(), skin, behind, share)
        np.testing.assert_allclose(step.gain, 1, atol=1e-9)
        np.testing.assert_allclose(step.offset, 0, atol=1e-9)
        np.testing.assert_array_equal(table_of(step), np.tile(np.arange(256), (3, 1)))


@pytest.mark.parametrize(
    ("stops", "share", "gained"),
    [(0.4, 1.0, 0.4), (0.4, 0.5, 0.2), (3.0, 1.0, 0.6), (-0.5, 1.0, -0.5), (-5, 1.0, -0.8)],
)
def test_exposure_goes_so_far_and_no_further(stops: float, share: float, gained: float) -> None:
    step = affine(of(-2.0), None, of(-2.0 + stops), share)
    np.testing.assert_allclose(step.gain, 2.0**gained)
    np.testing.assert_allclose(step.offset, 0, atol=1e-12)


def test_colour_goes_so_far_and_grey_keeps_its_luminance() -> None:
    step = affine(of(), None, of(light=(0.1, 0.0, -0.1)), 1.0)
    assert np.log2(step.gain[0] / step.gain[2]) == pytest.approx(0.2) and step.gain @ LUMA == pytest.approx(1)
    most = affine(of(), None, of(light=(2.0, 0.0, -2.0)), 1.0).gain
    assert most[0] / most[2] == pytest.approx(1.25**2) and most @ LUMA == pytest.approx(1)
    np.testing.assert_allclose(affine(of(known=0.0), None, of(light=(2.0, 0, -2)), 1.0).gain, 1, atol=1e-9)


@pytest.mark.parametrize(("deviation", "contrast"), [(0.9, 0.9), (0.1, 0.85), (1.1, 1.1), (9.0, 1.15)])
def test_contrast_turns_around_the_middle(deviation: float, contrast: float) -> None:
    step = affine(of(), None, of(deviation=deviation), 1.0)
    middle = 2.0**-2.5
    np.testing.assert_allclose(step.gain, contrast)
    np.testing.assert_allclose(step.gain * middle + step.offset, middle)


def test_skin_turns_by_four_degrees_at_most() -> None:
    skin = np.array([0.15, 0.22, 0.35])
    for light in ((0.32, 0.0, -0.32), (-0.32, 0.32, 0.0), (0.0, -0.3, 0.3)):
        gain = affine(of(), skin, of(light=light), 1.0).gain
        other = skin * gain
        turned = np.degrees(np.arccos(skin @ other / np.linalg.norm(skin) / np.linalg.norm(other)))
        assert 2 < turned <= 4.01


@pytest.mark.parametrize(("level", "stops"), [(0.3, 0.6), (0.5, 0.6), (0.11, -0.8), (0.05, -0.8)])
def test_skin_is_neither_burnt_nor_darkened_away(level: float, stops: float) -> None:
    gain = affine(of(), np.full(3, level), of(-2 + stops), 1.0).gain[0]
    if stops > 0:
        assert gain == pytest.approx(max(0.38 / level, 1))
    else:
        assert gain == pytest.approx(min(0.1 / level, 1))


def test_the_table_is_one_affine_step_in_linear_light() -> None:
    step = Affine(np.array([0.8, 1.0, 1.3]), np.array([0.01, 0.0, -0.02]))
    light = decoded(np.arange(256.0))
    for channel in range(3):
        made = np.clip(step.gain[channel] * light + step.offset[channel], 0, 1)
        error = np.abs(decoded(table_of(step)[channel].astype(float)) - made)
        assert (error <= np.gradient(decoded(np.arange(-1, 257.0)))[1:-1].max() / 2 + 1e-3).all()
    assert (np.diff(table_of(step).astype(int), axis=1) >= 0).all()


# Over time -----------------------------------------------------------------------------------------------------


def table(matcher: Matcher, layer: Layer, moment: float, name: str = "a", **more: Any) -> Bytes:
    made = matcher.table(matte_of(**more), layer, "", name, round(moment * SECOND), 1.0)
    assert made is not None
    return made


DIM, BRIGHT = Plate(picture(0.02, 0.3), 0), Plate(picture(0.1, 0.8), 0)


def test_the_first_picture_is_right_and_another_background_is_met_at_once() -> None:
    matcher = Matcher()
    dim = table(matcher, DIM, 10)
    np.testing.assert_array_equal(table(matcher, DIM, 11), dim)
    bright = table(matcher, BRIGHT, 11.04, "b")
    np.testing.assert_array_equal(bright, table(Matcher(), BRIGHT, 0))
    assert (bright.astype(int) - dim).max() > 20


def test_one_that_moves_is_followed_over_seconds() -> None:
    matcher, last = Matcher(), None
    first, final = table(matcher, DIM, 0), table(Matcher(), BRIGHT, 0)
    steps, level = [], 150
    for frame in range(1, 200):
        made = table(matcher, BRIGHT, frame * 0.04)
        steps.append(int(made[1, level]))
        last = made
    assert last is not None and abs(int(last[1, level]) - int(final[1, level])) <= 2
    changes = np.diff([int(first[1, level]), *steps])
    assert changes.min() >= -1 and changes.max() <= 2, "no jump"
    share = (steps[36] - int(first[1, level])) / (int(final[1, level]) - int(first[1, level]))
    assert 0.5 < share < 0.95, "after the time constant of 1.5 s most is done, not all"
    assert len(set(steps[-40:])) == 1, "and then it rests"


def test_a_film_behind_is_measured_a_few_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Bytes] = []
    look = matching._light_of
    monkeypatch.setattr(matching, "_light_of", lambda image: seen.append(image) or look(image))
    matcher = Matcher()
    for frame in range(50):
        table(matcher, Plate(BRIGHT.image, frame), frame * 0.04)
    assert len(seen) == 10
    table(matcher, Plate(DIM.image, 50), 1.96, "b")
    assert len(seen) == 11, "another one at once"


def test_nothing_pumps_where_a_little_changes() -> None:
    matcher = Matcher()
    pictures = [Plate(picture(0.1 * each, 0.5 * each), 0) for each in (1.0, 1.02, 0.99)]
    made = {table(matcher, pictures[frame % 3], frame * 0.04).tobytes() for frame in range(100)}
    assert len(made) == 1


def test_a_person_who_changes_is_followed_and_another_scene_begins_anew() -> None:
    matcher = Matcher()
    bright = picture(0.3, 0.9)
    first = table(matcher, DIM, 0)
    later = [table(matcher, DIM, frame * 0.04, person=bright) for frame in range(1, 100)]
    changes = np.abs(np.diff(np.array([first, *later]).astype(int), axis=0))
    assert changes.max() <= 3 and (later[-1] != first).any()
    np.testing.assert_array_equal(table(matcher, DIM, 4.1, person=bright, epoch=1),
                                  table(Matcher(), DIM, 0, person=bright))  # fmt: skip


def test_where_nobody_is_or_no_light_is_nothing_is_done() -> None:
    matcher = Matcher()
    assert matcher.table(matte_of(nobody=True), DIM, "", "a", 0, 1.0) is None
    for layer in (Blur(20), Clear(), Plate(np.full((HEIGHT, WIDTH, 3), (0, 200, 0), np.uint8), 0)):
        assert matcher.table(matte_of(), layer, "", "a", 0, 1.0) is None
    seen = table(matcher, DIM, 1)
    gone = matcher.table(matte_of(nobody=True), DIM, "", "a", 2 * SECOND, 1.0)
    assert gone is not None
    np.testing.assert_array_equal(gone, seen)


# In the composer -----------------------------------------------------------------------------------------------


def composed(look: Look, *backgrounds: Background, frames: int = 1, **options: Any) -> list[Any]:
    composer = Composer(backgrounds, compositor="cpu", look=look, from_files=True, clock=FakeClock(), **options)
    composer.open(WIDTH, HEIGHT, "cpu")
    try:
        return [composer.compose(matte_of(seq=seq)) for seq in range(frames)]
    finally:
        composer.close()


def test_the_person_is_changed_and_what_is_behind_is_not() -> None:
    background = Still(BRIGHT.image)
    (plain,), (matched,) = composed(Look(), background), composed(Look(match=100), background)
    alpha = plain.alpha
    np.testing.assert_array_equal(matched.image[alpha == 0], BRIGHT.image[alpha == 0])
    expected = table_of_frame(matte_of(), BRIGHT)
    person = plain.image[alpha == 255]
    made = np.stack([expected[c][person[:, c]] for c in range(3)], axis=1)
    np.testing.assert_array_equal(matched.image[alpha == 255], made)
    np.testing.assert_array_equal(matched.foreground, plain.foreground)  # unchanged, for outputs that put it elsewhere


def table_of_frame(matte: Matte, plate: Plate) -> Bytes:
    made = Matcher().table(matte, plate, "", "a", 0, 1.0)
    assert made is not None
    return made


def test_the_same_file_gives_the_same_bytes_again() -> None:
    runs = [
        b"".join(each.image.tobytes() for each in composed(Look(match=60), Still(DIM.image), frames=30))
        for _ in range(2)
    ]
    assert runs[0] == runs[1]


def test_each_output_is_matched_to_its_own_background() -> None:
    (made,) = composed(Look(match=100), Still(DIM.image), outputs={"bright": Output(Still(BRIGHT.image, "bright"))})
    np.testing.assert_array_equal(made.image, composed(Look(match=100), Still(DIM.image))[0].image)
    np.testing.assert_array_equal(made.outputs["bright"], composed(Look(match=100), Still(BRIGHT.image))[0].image)


def test_matching_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise ValueError("no colours here")

    monkeypatch.setattr(Matcher, "table", failing)
    notices = Notices()
    (made,) = composed(Look(match=60), Still(DIM.image), notices=notices)
    assert notices.fallbacks == ("matching failed (no colours here): the person keeps their own light",)
    np.testing.assert_array_equal(made.image, composed(Look(), Still(DIM.image))[0].image)


def test_key_l_matches_and_goes_back_by_as_much_as_before() -> None:
    value, said = [0.0], []
    controls = Controls(
        [Control("match", lambda: value[0], lambda wish: value.__setitem__(0, wish), check=number("match", 0, 100))]
    )
    commands = Commands(ViewState(), controls, WindowActions(), said.append, said.append, lambda: "", lambda: None)
    for wanted in (60, 0):
        commands.do("match")
        assert value[0] == wanted
    controls.match = 35
    commands.do("match")
    commands.do("match")
    assert value[0] == 35
    assert said == [
        "match 60: light as in the background",
        "match off",
        "match off",
        "match 35: light as in the background",
    ]
    with pytest.raises(SettingsError):
        controls.match = 120
    assert DECODED[0] == 0
