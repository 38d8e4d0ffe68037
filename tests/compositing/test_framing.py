"""Where the person is in the picture: set by hand, or followed. What is beyond the frame is never invented."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pytest

from rvm_live.backgrounds.blur import BlurBackground
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.backgrounds.transparent import TransparentBackground
from rvm_live.compositing.composer import Composer
from rvm_live.compositing.following import (
    DEAD,
    SPEED,
    WHOLE,
    Box,
    Follower,
    Placement,
    coarse,
    people_in,
    placed,
    within,
)
from rvm_live.compositing.output import Output
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import SettingsError
from rvm_live.core.frames import Composite, Frame, Matte
from rvm_live.core.framing import Framing, parse_shift
from rvm_live.core.notices import Notices
from tests.conftest import ROOT
from tests.support.clock import FakeClock

WIDTH, HEIGHT = 160, 96
ROOM, PERSON, BEHIND = (0, 0, 255), (255, 0, 0), (0, 255, 0)


def matte_of(*boxes: tuple[int, int, int, int], seq: int = 0, epoch: int = 0, soft: int = 255) -> Matte:
    """People as rectangles: left, top, right, bottom, pixels."""
    image = np.full((HEIGHT, WIDTH, 3), ROOM, np.uint8)
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    for left, top, right, bottom in boxes:
        image[top:bottom, left:right] = PERSON
        alpha[top:bottom, left:right] = soft
    return Matte(Frame(image, seq, epoch, seq * 33_000_000), alpha)


def composer_of(framing: Framing, background: object = None, **options: object) -> Composer:
    made = Composer(
        [background or ColorBackground("#00ff00")],  # type: ignore[list-item]
        compositor="cpu",
        framing=framing,
        clock=FakeClock(),
        **options,  # type: ignore[arg-type]
    )
    made.open(WIDTH, HEIGHT, "cpu")
    return made


def composed(framing: Framing, matte: Matte, background: object = None, **options: object) -> Composite:
    composer = composer_of(framing, background, **options)
    try:
        return composer.compose(matte)
    finally:
        composer.close()


def box_in(picture: Bytes) -> tuple[int, int, int, int]:
    """The box of the person's colour, where it is more than half of what is visible."""
    share = picture[..., 0] * (picture[..., 3] / 255 if picture.shape[2] == 4 else 1.0)
    rows, columns = np.nonzero(share > 127)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


@pytest.mark.parametrize(
    ("zoom", "shift", "box"),
    [
        (1.0, (0.0, 0.0), (60, 40, 100, 56)),
        (2.0, (0.0, 0.0), (40, 32, 120, 64)),
        (0.5, (0.0, 0.0), (70, 44, 90, 52)),
        (1.0, (0.25, 0.0), (100, 40, 140, 56)),
        (1.0, (-0.25, -0.25), (20, 16, 60, 32)),
        (2.0, (0.25, 0.5), (80, 80, 160, 96)),
    ],
)
def test_by_hand_the_person_is_where_and_as_large_as_one_says(
    zoom: float, shift: tuple[float, float], box: tuple[int, int, int, int]
) -> None:
    composite = composed(Framing(zoom=zoom, shift=shift), matte_of((60, 40, 100, 56)))
    assert box_in(composite.image) == box == box_in(composite.frame.image), "all of it is moved alike"
    assert box_in(composite.foreground) == pytest.approx(box, abs=1)
    assert (composite.seq, composite.epoch, composite.frame.width) == (0, 0, WIDTH)


def test_as_it_is_nothing_is_touched() -> None:
    matte = matte_of((60, 40, 100, 56))
    assert composed(Framing(), matte).matte is matte


@pytest.mark.parametrize("scale", [0.53, 0.9, 1.37, 2.9])
@pytest.mark.parametrize("foreground", ["model", "source"])
def test_nothing_of_the_room_comes_in_at_the_edges(scale: float, foreground: str) -> None:
    """Only the room is red, and there is no red in front of green."""
    framing = Framing(zoom=scale, shift=(0.123, -0.077))
    matte = matte_of((60, 40, 100, 56))
    composite = composed(framing, matte, foreground=foreground)
    assert composite.image[..., 2].max() == 0
    cut = composed(framing, matte, TransparentBackground(), foreground=foreground).image
    assert cut[..., 2].max() == 0 and (cut[cut[..., 3] == 0] == 0).all()
    assert set(np.unique(cut[..., 3])) & set(range(1, 8)) == set()


def test_beyond_the_frame_there_is_the_background_and_nothing_else() -> None:
    everywhere = matte_of((0, 0, WIDTH, HEIGHT))
    framing = Framing(zoom=0.5)
    image = composed(framing, everywhere).image
    assert box_in(image) == (40, 24, 120, 72)
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[24:72, 40:120] = False
    assert (image[outside] == BEHIND).all()
    cut = composed(framing, everywhere, TransparentBackground())
    assert (cut.image[outside] == 0).all() and (cut.image[~outside] == (*PERSON, 255)).all()
    assert (cut.frame.image[outside] == 0).all() and (cut.alpha[outside] == 0).all()


@pytest.mark.parametrize(("zoom", "shift"), [(0.5, (0.0, 0.0)), (1.5, (0.9, 0.0)), (1.0, (0.4, 0.4))])
def test_where_the_room_is_seen_the_picture_stays_within_it(zoom: float, shift: tuple[float, float]) -> None:
    composite = composed(Framing(zoom=zoom, shift=shift), matte_of((60, 40, 100, 56)), BlurBackground(2.0))
    assert composite.frame.image.max(axis=-1).min() > 120, "no black beyond an edge"
    assert composite.image[..., 2].max() > 200, "the room, out of focus"


@pytest.mark.parametrize("kind", ["uint8", "float32"])
@pytest.mark.parametrize(
    "placement", [Placement(1.37, 0.41, 0.55), Placement(0.7, 0.45, 0.6), Placement(2.0, 0.9, 0.1)]
)
def test_on_a_device_it_is_the_same(placement: Placement, kind: str) -> None:
    torch = pytest.importorskip("torch")
    from rvm_live.compositing.reframing import _Reframed, reframed
    from rvm_live.compositing.reframing_torch import reframed_on_device

    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[20:, 50:110] = np.linspace(0, 255, 60, dtype=np.uint8)
    frame = Frame(image, 3, 1, 0)
    here = reframed(Matte(frame, alpha), placement)
    given = torch.from_numpy(alpha) if kind == "uint8" else torch.from_numpy(alpha.astype(np.float32) / 255)
    matte = Matte(frame, given)
    there = reframed_on_device(matte, _Reframed.of(frame, placement), placement, source_foreground=False)
    one, other = here.host(), there.host()
    assert np.abs(one.alpha.astype(int) - other.alpha).max() <= 1
    weighted = [each.foreground.astype(float) * (each.alpha[..., None] / 255) for each in (one, other)]
    assert np.abs(weighted[0] - weighted[1]).max() <= 3
    assert np.abs(here.frame.image.astype(int) - there.image.numpy()).max() <= 3


def test_mattes_that_lie_in_torch_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from rvm_live.compositing import reframing

    monkeypatch.setattr(reframing, "_on_host", lambda matte: False)
    composer = composer_of(Framing(follow=True))
    for seq in range(3):
        matte = matte_of((100, 30, 130, 70), seq=seq, epoch=seq)
        composite = composer.compose(dataclasses.replace(matte, alpha=torch.from_numpy(matte.alpha)))
    composer.close()
    left, _, right, _ = box_in(composite.image)
    assert abs((left + right) / 2 - WIDTH / 2) <= 3


# Whom to follow -----------------------------------------------------------------------------------------------


def test_all_people_are_followed_and_specks_are_none() -> None:
    alone = people_in(coarse(matte_of((60, 40, 100, 96)).alpha))
    assert alone is not None and alone == pytest.approx((60 / 160, 40 / 96, 100 / 160, 1.0), abs=0.02)
    two = people_in(coarse(matte_of((20, 40, 40, 96), (100, 30, 140, 96), (0, 0, 2, 2)).alpha))
    assert two is not None and two == pytest.approx((20 / 160, 30 / 96, 140 / 160, 1.0), abs=0.02)
    assert people_in(coarse(matte_of().alpha)) is None
    assert people_in(coarse(matte_of((50, 20, 90, 90), soft=40).alpha)) is None


@pytest.mark.parametrize(
    ("box", "scale", "middle"),
    [
        (Box(0.6, 0.3, 0.8, 0.7), 2.0, (0.7, 0.5)),
        (Box(0.1, 0.45, 0.9, 0.55), 1.125, (0.5, 0.5)),
        (Box(0.4, 0.4, 0.42, 0.42), 4.0, (0.41, 0.41)),
        # The person is cut off below: the frame's edge stays at the picture's edge, and a fifth is free above the head.
        (Box(0.5, 0.2, 0.8, 1.0), 1.0, (0.65, 0.5)),
        (Box(0.5, 0.5, 0.8, 1.0), 1.6, (0.65, 1 - 0.5 / 1.6)),
        (Box(0.3, 0.0, 0.7, 1.0), 1.0, (0.5, 0.5)),
        (Box(0.0, 0.2, 0.4, 1.0), 1.0, (0.5, 0.5)),
        (Box(0.7, 0.1, 1.0, 1.0), 0.8 / 0.9, (1 - 0.5 / (0.8 / 0.9), 1 - 0.5 / (0.8 / 0.9))),
    ],
)
def test_people_stand_in_the_middle_and_nobody_who_is_cut_off_floats(
    box: Box, scale: float, middle: tuple[float, float]
) -> None:
    found = placed(Framing(follow=True), box)
    assert found == pytest.approx(Placement(scale, *middle))
    kept = within(found)
    assert kept.scale >= 1
    assert all(0.5 / kept.scale - 1e-9 <= each <= 1 - 0.5 / kept.scale + 1e-9 for each in (kept.x, kept.y))


def test_the_size_and_the_place_are_chosen() -> None:
    box = Box(0.45, 0.4, 0.55, 0.6)
    assert placed(Framing(follow=True, zoom=0.5), box) == pytest.approx(Placement(2.0, 0.5, 0.5))
    assert placed(Framing(follow=True, zoom=0.5, shift=(0.25, 0)), box) == pytest.approx(Placement(2.0, 0.375, 0.5))


# How the crop moves ------------------------------------------------------------------------------------------

STEP_NS = 33_000_000


def walked(follower: Follower, boxes: list[Box | None], epoch: int = 0, begin: int = 0) -> list[Placement]:
    return [follower.placement(box, epoch, (begin + n) * STEP_NS) for n, box in enumerate(boxes)]


def at(middle: float, tall: float = 0.4) -> Box:
    return Box(middle - 0.1, 0.5 - tall / 2, middle + 0.1, 0.5 + tall / 2)


def test_a_trifle_moves_nothing_and_a_step_is_followed_calmly_to_its_end() -> None:
    follower = Follower(Framing(follow=True))
    first = walked(follower, [at(0.5)] * 5)
    assert set(first) == {placed(Framing(follow=True), at(0.5))}, "it begins where it belongs"
    trifles = [at(0.5 + 0.9 * DEAD / 2 * math.sin(n), 0.4 + 0.01 * math.cos(n)) for n in range(60)]
    assert set(walked(follower, trifles, begin=5)) == {first[0]}
    way = walked(follower, [at(0.8)] * 90, begin=65)
    steps = np.diff([first[0].x, *(each.x for each in way)])
    assert (steps >= 0).all(), "not beyond, and back"
    assert steps.max() * way[0].scale <= SPEED * STEP_NS / 1e9 * 1.01, "no faster than it may"
    assert np.abs(np.diff(steps)).max() < steps.max() / 2, "nor at once"
    assert way[-1] == placed(Framing(follow=True), at(0.8))


def test_the_pace_is_the_same_at_every_rate() -> None:
    quick, slow = Follower(Framing(follow=True)), Follower(Framing(follow=True))
    walked(quick, [at(0.5)])
    walked(slow, [at(0.5)])
    ways = [
        [follower.placement(at(0.8), 0, n * STEP_NS // each).x for n in range(1, 15 * each)][each - 1 :: each]
        for follower, each in ((quick, 2), (slow, 1))
    ]
    assert np.abs(np.subtract(*[way[:14] for way in ways])).max() < 0.02


def test_another_scene_begins_where_it_belongs_and_nobody_is_waited_for() -> None:
    framing = Framing(follow=True)
    follower = Follower(framing)
    here, there = placed(framing, at(0.3)), placed(framing, at(0.8))
    assert set(walked(follower, [at(0.3)] * 3)) == {here}
    assert walked(follower, [at(0.8)], epoch=1, begin=3) == [there]
    gone = walked(follower, [None] * 200, epoch=1, begin=4)
    assert set(gone[: round(1.9e9 / STEP_NS)]) == {there}, "behind a chair for a moment"
    assert gone[-1] == WHOLE, "else the whole frame"


def test_on_and_off_it_goes_there_and_back() -> None:
    framing = Framing()
    follower = Follower(framing)
    assert set(walked(follower, [None] * 3)) == {WHOLE}
    framing.follow = True
    way = walked(follower, [at(0.7)] * 120, begin=3)
    assert way[0] != way[-1] == placed(framing, at(0.7))
    framing.follow = False
    assert walked(follower, [None] * 120, begin=123)[-1] == WHOLE


# In the composer ----------------------------------------------------------------------------------------------


def test_every_output_shows_the_same_place() -> None:
    outputs = {
        "cut": Output(TransparentBackground()),
        "camera": Output(pixels="nv12"),
        "blurred": Output(BlurBackground(2.0)),
    }
    composite = composed(Framing(follow=True), matte_of((100, 40, 120, 60)), outputs=outputs)
    box = box_in(composite.image)
    assert box == box_in(composite.outputs["cut"])
    left, top, right, bottom = box
    assert abs((left + right) - WIDTH) <= 4 and abs((top + bottom) - HEIGHT) <= 4
    luma = composite.outputs["camera"][:HEIGHT].astype(int)
    assert len(np.unique(luma[top + 2 : bottom - 2, left + 2 : right - 2])) == 1, "the person"
    assert luma[HEIGHT // 2, WIDTH // 2] != luma[0, 0]
    assert box_in(composite.outputs["blurred"])[0] > 0


def test_what_stands_still_is_made_once() -> None:
    composer = composer_of(Framing(zoom=1.5))
    first = composer.compose(matte := matte_of((60, 40, 100, 56)))
    again = composer.compose(dataclasses.replace(matte, frame=dataclasses.replace(matte.frame, seq=1)))
    composer.close()
    assert again.image is first.image and again.alpha is first.alpha
    assert (first.seq, again.seq) == (0, 1) and again.frame.image is first.frame.image


def test_while_nobody_is_to_be_seen_nobody_is_framed() -> None:
    composer = composer_of(Framing(follow=True))
    composer.hide(True)
    composite = composer.compose(matte_of((60, 40, 100, 56)))
    composer.close()
    assert (composite.image == BEHIND).all() and (composite.frame.image == BEHIND).all()


def test_where_framing_fails_the_frame_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no memory")

    notices = Notices()
    composer = composer_of(Framing(zoom=2.0), notices=notices)
    monkeypatch.setattr("rvm_live.compositing.reframing.reframed", broken)
    composite = composer.compose(matte_of((60, 40, 100, 56)))
    composer.close()
    assert box_in(composite.image) == (60, 40, 100, 56)
    assert notices.fallbacks == ("framing failed (no memory): the frame is shown unchanged",)


@pytest.mark.parametrize("wish", ["a", "0.1,b", "0,0,0", "2,0", (0.1, -1.5), None, True, []])
def test_a_shift_is_two_numbers(wish: object) -> None:
    with pytest.raises(SettingsError, match="shift"):
        parse_shift(wish)
    assert parse_shift("0.2,-0.1") == parse_shift([0.2, -0.1]) == (0.2, -0.1)
    assert parse_shift(0.2) == parse_shift("0.2") == (0.2, 0.0)


def test_what_is_out_of_range_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"zoom 5 is out of range: it must be between 0\.5 and 4"):
        Framing(zoom=5)
    assert Framing(True, 1.5, (0.2, 0)).words == "follow · zoom 1.5 · shift 0.2,0"


@pytest.mark.slow
def test_the_example_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "controls.md").read_text("utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    exec(compile(example, "controls.md", "exec"), {"__name__": "example"})
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "{'follow': True, 'background': 'blur 25'}" and "'kind': 'switch'" in told[1]
