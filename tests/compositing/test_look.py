"""How the person fits the background: through the composer, on every back end, and no change unless asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from rvm_live.backgrounds.base import Background, Layer, Plate
from rvm_live.backgrounds.blur import BlurBackground
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.backgrounds.cycle import BackgroundCycle
from rvm_live.backgrounds.transparent import TransparentBackground
from rvm_live.compositing.composer import Composer
from rvm_live.compositing.cpu import CpuCompositor
from rvm_live.compositing.lighting import Glows, Lighting, glow_of, rim_of
from rvm_live.compositing.output import Output
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import SettingsError
from rvm_live.core.frames import Composite, Frame, Matte
from rvm_live.core.look import Look
from rvm_live.core.notices import Notices
from tests.support.clock import FakeClock
from tests.support.fast import FastCpu

WIDTH, HEIGHT = 160, 96
ROOM, PERSON = (0, 0, 255), (200, 60, 0)


def matte_of(*, soft: int = 255, seq: int = 0, epoch: int = 0, image: Bytes | None = None) -> Matte:
    """A rectangle as the person in a red room, with a border of another alpha around."""
    if image is None:
        image = np.full((HEIGHT, WIDTH, 3), ROOM, np.uint8)
        image[30:66, 50:110] = PERSON
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[28:68, 48:112] = 128
    alpha[30:66, 50:110] = soft
    foreground = np.full_like(image, ROOM)
    foreground[28:68, 48:112] = PERSON
    return Matte(Frame(image, seq, epoch, seq * 33_000_000), alpha, foreground)


def composer_of(
    look: Look | None, background: Background | None = None, compositor: str = "cpu", **options: Any
) -> Composer:
    shown = [ColorBackground("#00ff00")] if background is None else [background]
    made = Composer(shown, compositor=compositor, look=look, **{"clock": FakeClock(), **options})
    made.open(WIDTH, HEIGHT, "cpu")
    return made


def composed(
    look: Look | None, matte: Matte | None = None, background: Background | None = None, **options: Any
) -> Composite:
    composer = composer_of(look, background, **options)
    try:
        return composer.compose(matte_of() if matte is None else matte)
    finally:
        composer.close()


class Still(Background):
    """A background of one picture."""

    label = "still"

    def __init__(self, image: Bytes) -> None:
        self.plate = Plate(image, 1)

    def layer(self, width: int, height: int, now_ns: int) -> Layer:
        return self.plate


def halves() -> Bytes:
    """A picture with a black left half and a white right half."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:, WIDTH // 2 :] = 255
    return image


# Nothing is asked for ------------------------------------------------------------------------------------------


def test_as_it_is_nothing_is_touched_and_nothing_loaded() -> None:
    matte = matte_of(soft=200)
    one, other = composed(None, matte), composed(Look(), matte)
    np.testing.assert_array_equal(one.image, other.image)
    assert one.matte is matte is other.matte
    assert Look().plain and Look(grow=3, shrink=3).plain and not Look().words


def test_a_frame_without_a_look_names_no_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be hundreds of backgrounds, and each frame would go through all of them."""
    composer = composer_of(None)
    try:
        monkeypatch.setattr(BackgroundCycle, "_named", lambda self: pytest.fail("a frame asked for names"))
        composer.compose(matte_of())
    finally:
        monkeypatch.undo()
        composer.close()


@pytest.mark.slow
def test_without_a_look_none_of_it_is_imported() -> None:
    code = (
        "import numpy as np, sys; from rvm_live.backgrounds.color import ColorBackground as C\n"
        "from rvm_live.compositing.composer import Composer; from rvm_live.core.frames import Frame, Matte\n"
        "c = Composer([C('#00ff00')], compositor='torch'); c.open(16, 16, 'cpu')\n"
        "c.compose(Matte(Frame(np.zeros((16, 16, 3), np.uint8), 0, 0, 0), np.zeros((16, 16), np.uint8))); c.close()\n"
        "print([m for m in sys.modules if m in ('rvm_live.compositing.edge', 'rvm_live.compositing.matching')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"match": 101}, "match 101 is out of range: it must be between 0 and 100"),
        ({"light_wrap": -1}, "light wrap -1 is out of range: it must be between 0 and 100"),
        ({"grow": 21}, "grow 21 is out of range: it must be between 0 and 20"),
        ({"soften": float("nan")}, "soften nan is out of range"),
        ({"blend": "screen"}, "unknown blend 'screen': choose gamma or linear"),
    ],
)
def test_what_cannot_be_is_told(values: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Look(**values)


# Blending ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("back_end", [CpuCompositor, FastCpu])
@pytest.mark.parametrize("source", [True, False])
def test_light_is_mixed_on_the_processor(back_end: type[CpuCompositor], source: bool) -> None:
    """Half of white over black is half the light, level 188; mixing the pixels' values gives 128."""
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    matte = Matte(Frame(white, 0, 0, 0), np.full((HEIGHT, WIDTH), 128, np.uint8))
    compositor = back_end()
    compositor.open()
    try:
        black = Plate(np.zeros_like(white), 0)
        for look, level in ((Look(blend="linear"), 188), (Look(), 128)):
            made = compositor.composite(matte, black, source_foreground=source, lighting=Lighting(look, Glows()))
            assert set(made.flatten()) == {level}
        np.testing.assert_array_equal(made, compositor.composite(matte, black))
    finally:
        compositor.close()


@pytest.mark.parametrize("background", [None, BlurBackground(25)])
def test_whoever_nobody_stands_before_and_who_is_all_there_look_as_ever(background: Background | None) -> None:
    one, other = (composed(look, background=background).image for look in (None, Look(blend="linear")))
    alpha = matte_of().alpha
    sure = (alpha == 0) | (alpha == 255)
    np.testing.assert_array_equal(one[sure], other[sure])
    assert (one != other).any(axis=2)[~sure].all() or background is not None


def test_a_cut_out_is_mixed_by_whoever_gets_it() -> None:
    one, other = (composed(look, background=TransparentBackground()).image for look in (None, Look(blend="linear")))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("tensors", [False, True])
def test_what_runs_is_told(tensors: bool) -> None:
    """The look is computed on the CPU, whichever back end was asked for; without the look that back end runs again."""
    notices = Notices()
    composer = composer_of(Look(blend="linear"), compositor="torch", notices=notices)
    matte = matte_of()
    if tensors:
        frame, alpha, colour = matte.frame, torch.from_numpy(matte.alpha), torch.from_numpy(matte.foreground)
        matte = Matte(frame, alpha, colour, torch.from_numpy(frame.image))
    try:
        lit = composer.compose(matte)
        assert (lit.backend, composer.backend) == ("cpu", "cpu")
        assert any("cpu composes instead of torch" in each for each in notices.messages), notices.messages
        np.testing.assert_array_equal(lit.image, composed(Look(blend="linear")).image)
        composer.look = Look()
        assert composer.compose(matte).backend == "torch" == composer.backend
    finally:
        composer.close()


def test_a_look_that_fails_is_told_and_the_picture_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise ValueError("no light here")

    monkeypatch.setattr(Lighting, "light", failing)
    notices = Notices()
    composer = composer_of(Look(blend="linear"), notices=notices)
    try:
        made = [composer.compose(matte_of(seq=seq)) for seq in range(2)]
        assert notices.fallbacks == (
            "the look failed (no light here): continuing without match, light wrap and linear blend",
        )
        np.testing.assert_array_equal(made[0].image, composed(None).image)
        assert made[1].backend == "cpu"
    finally:
        composer.close()


def test_a_look_that_changes_is_seen_at_once_also_where_nothing_moves() -> None:
    composer = composer_of(Look())
    matte = matte_of()
    try:
        first = composer.compose(matte).image
        composer.look = Look(blend="linear")
        assert (composer.compose(matte).image != first).any()
        again = composer.compose(matte).image
        assert again is composer.compose(matte).image, "what stands still is worked out once"
        composer.look = Look()
        np.testing.assert_array_equal(composer.compose(matte).image, first)
    finally:
        composer.close()


# Light wrap ----------------------------------------------------------------------------------------------------


def test_the_rim_is_most_outside_and_nothing_inside_or_where_the_frame_cuts() -> None:
    alpha = np.zeros((360, 640), np.uint8)
    alpha[100:, 200:440] = 255  # down to the frame's edge
    rim = rim_of(alpha, 1.0)
    assert (rim[230, 300:340] == 0).all() and (rim[359, 300:340] == 0).all()
    row = rim[230, 200:240].astype(int)
    assert (np.diff(row) <= 0).all() and 90 <= row[0] <= 135 and row[20] == 0
    np.testing.assert_allclose(rim_of(alpha, 0.5), rim / 2, atol=0.51)
    assert not rim_of(np.full((90, 160), 255, np.uint8), 1.0).any()


def test_the_glow_is_the_mean_of_light() -> None:
    """Halfway between black and white there is half the light, level 188."""
    glow = glow_of(cv2.resize(halves(), (640, 360), interpolation=cv2.INTER_NEAREST))
    assert np.abs(glow[:, 318:322].mean() - 188) < 4 and (glow[:, 600:] == 255).all() and not glow[:, :40].any()
    np.testing.assert_array_equal(glow_of(np.full((50, 60, 3), 77, np.uint8)), 77)


@pytest.mark.parametrize("back_end", [CpuCompositor, FastCpu])
def test_light_falls_around_the_person_from_where_it_is_bright(back_end: type[CpuCompositor]) -> None:
    compositor = back_end()
    compositor.open()
    try:
        plate = Plate(halves(), 0)
        plain, wrapped = (
            compositor.composite(matte_of(), plate, lighting=Lighting(look, Glows())).astype(int)
            for look in (Look(), Look(light_wrap=100))
        )
    finally:
        compositor.close()
    more = (wrapped - plain).sum(axis=2)
    assert more.min() == 0, "light is added, and none taken away"
    assert (more[48, 108:110] > 60).all() and (more[48, 50:52] == 0).all(), "only where it is bright"
    assert (more[48, 70:95] == 0).all(), "not inside"
    alpha = matte_of().alpha
    assert not more[alpha == 0].any(), "nor beside the person"


def test_more_light_wrap_is_more_light() -> None:
    background = Still(np.full((HEIGHT, WIDTH, 3), 200, np.uint8))
    sums = [int(composed(Look(light_wrap=each), background=background).image.sum()) for each in (0, 25, 50, 100)]
    assert sums == sorted(set(sums))


def test_each_output_has_the_light_of_its_own_background() -> None:
    dark, bright = (Still(np.full((HEIGHT, WIDTH, 3), level, np.uint8)) for level in (0, 255))
    made = composed(Look(light_wrap=80), background=dark, outputs={"bright": Output(bright)})
    np.testing.assert_array_equal(made.image, composed(None, background=dark).image)
    np.testing.assert_array_equal(made.outputs["bright"], composed(Look(light_wrap=80), background=bright).image)
    assert (made.outputs["bright"][48, 50] > np.array(PERSON)).any()


def test_nothing_of_the_room_comes_in() -> None:
    """Only the room is red."""
    for look in LOOKS:
        composite = composed(look)
        assert composite.image[..., 2].max() == 0, look
        cut = composed(look, background=TransparentBackground()).image
        assert cut[..., 2].max() == 0 and (cut[cut[..., 3] == 0] == 0).all(), look
        assert set(np.unique(cut[..., 3])) & set(range(1, 8)) == set(), look
        assert not composite.foreground[composite.alpha == 0].any()


LOOKS: Sequence[Look] = (Look(blend="linear"), Look(light_wrap=100), Look(light_wrap=60, blend="linear"))
