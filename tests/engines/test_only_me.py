"""--only-me: of several people one is kept, followed from frame to frame and found again; nobody else is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rvm_live.backgrounds.parse import parse
from rvm_live.compositing.composer import Composer
from rvm_live.core.arrays import Bytes
from rvm_live.core.controls import Control, Controls
from rvm_live.core.errors import SettingsError
from rvm_live.core.frames import LEAST_ALPHA, Frame, Matte
from rvm_live.core.framing import Framing
from rvm_live.core.only_me import OnlyMe, parse_person
from rvm_live.core.settings import EngineSettings
from rvm_live.core.stillness import LastMatte
from rvm_live.engines.base import Engine, EngineInfo
from rvm_live.engines.only_me.engine import OnlyMeEngine
from rvm_live.engines.only_me.tracker import FADE_S
from rvm_live.engines.select import AutoEngine
from rvm_live.finishing.estimate import Estimate, Found
from rvm_live.sinks.window.hotkeys import ViewState
from rvm_live.sinks.window.toolkits.base import Press
from rvm_live.sinks.window.window import WindowSink
from tests.support.program import call

WIDTH, HEIGHT = 320, 180
STEP_NS = 33_333_333
RED, BLUE, GREEN = (40, 40, 200), (200, 90, 30), (60, 170, 60)


class Person:
    """A drawn person: a head above a body with a shirt and dark trousers.

    Args:
        colour: of the shirt, BGR.
        middle: column of the middle, pixels.
        size: height, pixels.
        behind: other people may be drawn in front.
    """

    def __init__(self, colour: tuple[int, int, int], middle: float, size: int = 130) -> None:
        self.colour, self.middle, self.size = colour, middle, size

    def draw(self, image: Bytes, alpha: Bytes) -> Bytes:
        """Draw the person; returns where it is, bool (H, W)."""
        wide, top = self.size // 5, HEIGHT - self.size
        x, neck = round(self.middle), top + self.size // 4
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.rectangle(mask, (x - wide, neck), (x + wide, HEIGHT), 1, -1)
        body = mask > 0
        image[body] = self.colour
        image[body & (np.arange(HEIGHT)[:, None] > neck + self.size // 3)] = (50, 45, 40)
        head = np.zeros_like(mask)
        cv2.circle(head, (x, top + self.size // 8), self.size // 8, 1, -1)
        image[head > 0] = (140, 170, 220)
        alpha[body | (head > 0)] = 255
        return np.asarray(body | (head > 0), np.uint8)


def scene(*people: Person) -> tuple[Bytes, Bytes, list[Bytes]]:
    """Picture, alpha, and each person's place; later people are drawn in front."""
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    image += np.random.default_rng(1).integers(0, 12, image.shape, np.uint8)
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    places: list[Bytes] = []
    for person in people:
        place = person.draw(image, alpha)
        places = [np.asarray(each & (1 - place), np.uint8) for each in places] + [place]
    return image, alpha, places


class Given(Engine):
    """Returns given alphas, as bytes, numbers, tensors or estimates."""

    kind = "bytes"
    alpha: Bytes = np.zeros((HEIGHT, WIDTH), np.uint8)

    def open(self) -> EngineInfo:
        return self.info

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("given", "", "cpu", "", "fp32")

    def reset(self) -> None: ...

    def states(self) -> list[NDArray[np.float32]]:
        return []

    def restore(self, states: list[NDArray[np.float32]]) -> None: ...

    def matte(self, frame: Frame) -> Matte:
        if self.kind == "estimate":
            offset = self.alpha.astype(np.float32)
            found = Found(np.zeros_like(offset), offset)
            return Matte(frame, None, estimate=Estimate(frame.image, lambda: found, _Reference(), offset))
        alpha = {"bytes": self.alpha, "numbers": self.alpha / np.float32(255), "tensor": torch.from_numpy(self.alpha)}
        return Matte(frame, alpha[self.kind])


class _Reference:
    def alpha(self, image: Bytes, found: Found) -> Bytes:
        return np.asarray(np.clip(found.offset + 0.5, 0, 255), np.uint8)

    def colour(self, image: Bytes, alpha: Bytes, found: Found) -> Bytes:
        return image


class Run:
    """Sends one frame after another through the engine."""

    def __init__(self, person: str = "largest", *, on: bool = True, kind: str = "bytes") -> None:
        self.inner = Given(EngineSettings())
        self.inner.kind = kind
        self.asked = OnlyMe(on, person)
        self.engine = OnlyMeEngine(self.inner, self.asked)
        self.seq = 0

    def matte(self, *people: Person) -> tuple[Matte, list[Bytes]]:
        image, self.inner.alpha, places = scene(*people)
        moment = self.seq * STEP_NS
        frame = Frame(image, self.seq, 0, moment)
        self.seq += 1
        return self.engine.matte(frame), places

    def __call__(self, *people: Person) -> list[float]:
        """How much of each person is shown, 0 to 1; checks that nothing else is shown."""
        matte, places = self.matte(*people)
        alpha = matte.host().alpha
        everybody = np.max(places, axis=0) if places else np.zeros_like(alpha)
        assert not alpha[everybody == 0].any()
        return [float(alpha[place > 0].mean()) / 255 if place.any() else 0.0 for place in places]


def people() -> tuple[Person, Person]:
    return Person(RED, 80, 120), Person(BLUE, 230, 140)


@pytest.mark.parametrize("kind", ["bytes", "numbers", "tensor", "estimate"])
@pytest.mark.parametrize(
    ("person", "stays"), [("largest", 1), ("left", 0), ("right", 1), ("0.25,0.8", 0), ("0.72,0.8", 1)]
)
def test_who_is_named_stays_alone_from_the_first_frame_on(kind: str, person: str, stays: int) -> None:
    run = Run(person, kind=kind)
    for _ in range(3):
        matte, places = run.matte(*people())
        alpha = matte.host().alpha
        assert (alpha[places[stays] > 0] == 255).all()  # the edge is unchanged, too
        assert not alpha[places[stays] == 0].any()


@pytest.mark.parametrize("kind", ["bytes", "numbers", "tensor", "estimate"])
def test_off_the_very_matte_is_handed_on(kind: str) -> None:
    run = Run(on=False, kind=kind)
    matte, _ = run.matte(*people())
    if kind == "estimate":
        assert not (matte.deferred.found.slope.any() or (matte.deferred.found.offset != run.inner.alpha).any())
    else:
        plain = run.inner.matte(matte.frame)
        assert type(matte.alpha) is type(plain.alpha)
        assert (np.asarray(matte.alpha) == np.asarray(plain.alpha)).all()


def test_one_person_alone_is_as_without() -> None:
    run = Run()
    matte, _ = run.matte(people()[0])
    assert matte.alpha is run.inner.alpha  # nothing was multiplied


def test_the_others_fade_and_the_new_one_comes_in() -> None:
    run = Run("left")
    left, right = people()
    assert run(left, right) == [1.0, 0.0]
    run.asked.person = "right"
    seen = [run(left, right) for _ in range(12)]
    outgoing, incoming = zip(*seen, strict=True)
    steps = round(FADE_S * 1e9 / STEP_NS)
    assert all(0 < each < 1 for each in (*outgoing[: steps - 1], *incoming[: steps - 1]))
    assert outgoing[steps] == 0
    assert incoming[steps] == 1
    assert max(-np.diff([1.0, *outgoing])) < 0.15  # they fade, they do not blink
    assert max(np.diff([0.0, *incoming])) < 0.15


def test_switched_on_the_one_who_is_meant_does_not_blink() -> None:
    run = Run("left", on=False)
    assert run(*people()) == [1.0, 1.0]
    run.asked.on = True
    assert run(*people()) == [1.0, 0.0]


def test_who_walks_in_is_never_seen() -> None:
    """In the spirit of invariant 2: nobody who was not chosen is shown, not even for one frame."""
    run = Run()
    me = Person(RED, 160, 110)
    for step in range(80):
        other = Person(BLUE, -30 + 5 * step, 150)
        matte, places = run.matte(other, me)  # the other person passes behind, and is larger
        alpha = matte.host().alpha
        assert alpha[places[1] > 0].mean() > 0.85 * 255, step
        touching = 24 < step < 52
        seen = np.count_nonzero(alpha[places[0] > 0]) / np.count_nonzero(places[1])
        assert seen < (0.2 if touching else 1e-9), step  # where they touch, the split is not exact to the pixel


@pytest.mark.parametrize("mine", [0, 1], ids=["behind", "in front"])
def test_who_crosses_is_found_again(mine: int) -> None:
    run = Run("left")
    for step in range(90):
        crossing = [Person(RED, 60 + 2.2 * step, 120), Person(BLUE, 260 - 2.2 * step, 125)]
        if mine:
            crossing.reverse()
            # The red person is drawn last, so in front; at first they are on the left.
        which = 1 if mine else 0
        seen = run(*crossing)
        if step < 25 or step > 75:
            assert seen[which] > 0.95, step
            assert seen[1 - which] < 0.05, step


def test_who_has_left_is_waited_for_and_known_again() -> None:
    run = Run("left")
    me, other = people()
    run(me, other)
    for _ in range(60):
        assert run(other) == [0.0]  # after two seconds there is still nobody else
    back = [run(Person(RED, 120, 120), other) for _ in range(15)]
    assert back[-1] == [1.0, 0.0]
    assert [seen[1] for seen in back] == [0.0] * 15


def test_whoever_comes_into_an_empty_picture_is_taken() -> None:
    run = Run()
    run(Person(RED, 80))
    for _ in range(30):
        run()
    assert [run(Person(GREEN, 200)) for _ in range(15)][-1] == [1.0]


def test_a_coat_gives_way_to_the_person_who_sits_down() -> None:
    run = Run()
    coat = Person(GREEN, 30, 40)
    assert run(coat) == [1.0]
    assert [run(coat, Person(RED, 180, 150)) for _ in range(50)][-1] == [0.0, 1.0]


def test_an_arm_that_comes_in_first_is_part_of_its_body() -> None:
    run = Run()
    for step in range(40):
        seen = run(Person(RED, -20 + 5 * step, 150))
    assert seen == [1.0]


def test_a_new_epoch_chooses_anew() -> None:
    run = Run()
    run(people()[0])
    run.engine.reset()
    assert run(*people()) == [0.0, 1.0]


def test_faint_alpha_far_from_everybody_is_nobody() -> None:
    run = Run()
    image, alpha, (me,) = scene(Person(RED, 80))
    alpha[40:100, 250:290] = 60  # somebody who is about to appear
    run.inner.alpha = alpha
    found = run.engine.matte(Frame(image, 0, 0, 0)).host().alpha
    assert (found[me > 0] == 255).all()
    assert not found[:, 240:].any()


def test_a_still_picture_is_worked_out_again_where_somebody_else_is_meant() -> None:
    run, last = Run("left"), LastMatte()
    matte, _ = run.matte(*people())
    last.remember(matte)
    later = replace(matte.frame, seq=5)
    assert last.again(later) is not None
    run.asked.person = "right"
    assert last.again(later) is None
    fading = run.engine.matte(replace(later, captured_ns=STEP_NS))
    last.remember(fading)
    assert last.again(later) is None  # until it is over
    for number in range(2, 20):
        last.remember(run.engine.matte(replace(later, captured_ns=number * STEP_NS)))
    assert last.again(later) is not None
    for on in (False, True):
        run.asked.on = on
        assert last.again(later) is None
        last.remember(run.engine.matte(replace(later, captured_ns=20 * STEP_NS)))


def test_it_goes_on_from_its_states_to_the_byte() -> None:
    def of(run: Run, steps: range) -> list[Bytes]:
        found = []
        for step in steps:
            run.seq = step
            found.append(run.matte(Person(RED, 40 + 4 * step), Person(BLUE, 280 - 4 * step, 100))[0].host().alpha)
        return found

    whole, first, second = Run("left"), Run("left"), Run("left")
    expected = of(whole, range(60))
    of(first, range(30))
    second.engine.restore([each.copy() for each in first.engine.states()])
    assert all((a == b).all() for a, b in zip(of(second, range(30, 60)), expected[30:], strict=True))


@pytest.mark.parametrize("wish", ["", "middle", "0.5", "0.5,1.5", "1,2,3", "nan,0.5", "left,right"])
def test_who_cannot_be_meant_is_refused(wish: str) -> None:
    with pytest.raises(SettingsError, match="person must be largest, left, right, or a place"):
        parse_person(wish)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("follow", [False, True])
def test_a_middle_click_means_who_is_there(mirror: bool, follow: bool) -> None:
    """The click is converted to a place in the captured picture: the window may be scaled, mirrored, and follow
    people."""
    asked = OnlyMe()
    view = ViewState(mirror=mirror)
    controls = Controls(
        [
            Control("only_me", lambda: asked.on, lambda on: setattr(asked, "on", on), kind="switch"),
            Control("person", lambda: asked.person, lambda who: setattr(asked, "person", who), check=parse_person),
        ]
    )
    window = WindowSink(view, controls=controls, size=(WIDTH, HEIGHT))
    image, alpha, _ = scene(*people())
    composer = Composer(parse("color:#00ff00"), framing=Framing(zoom=1.5, shift=(0.1, 0.0)) if follow else None)
    composer.open(WIDTH, HEIGHT, "cpu")
    composite = composer.compose(Matte(Frame(image, 0, 0, 0), alpha))
    window._size = (2 * WIDTH, 2 * HEIGHT + 100)  # bars above and below
    window._take(Press(300, 300, "middle"))
    assert not asked.on  # there is nobody yet
    window._composite = composite
    window._take(Press(100, 10, "middle"))
    assert not asked.on  # that is a bar
    for number, person in enumerate(people()):
        x, y = person.middle / WIDTH, 0.75
        if follow:  # the frame's middle, enlarged, and moved to the right
            x, y = (x - 0.5) * 1.5 + 0.5 + 0.1, (y - 0.5) * 1.5 + 0.5
        x = 1 - x if mirror else x
        window._take(Press(round(x * 2 * WIDTH), 50 + round(y * 2 * HEIGHT), "middle"))
        assert asked.on
        assert Run(asked.person)(*people()) == [float(number == 0), float(number == 1)]
    composer.close()


def test_files_have_one_person_too(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(4):
        cv2.imwrite(str(tmp_path / "in" / f"{number:03}.png"), scene(*people())[0])
    asked = ("batch", tmp_path / "in", "--engine", "tests.engines.test_only_me:Grounded", "--container", "png")
    for out, more in (("all", ()), ("left", ("--only-me", "--person", "left"))):
        done = call(*asked, "--write", "alpha", "-o", tmp_path / out, *more)
        assert done.code == 0, done
        alphas = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted((tmp_path / out).rglob("*.png"))]
        assert len(alphas) == 4
        _, everybody, (left, _) = scene(*people())
        for alpha in alphas:
            expected = everybody if out == "all" else everybody * left
            assert np.count_nonzero(cv2.absdiff(alpha, expected) > 8) < 0.01 * alpha.size
    assert "made with another choice of people" in call(*asked, "--write", "alpha", "-o", tmp_path / "left").out
    done = call(*asked, "--only-me", "--person", "tallest", "-o", tmp_path / "none")
    assert done.code == 2
    assert "person must be largest, left, right" in done.err


class Grounded(Given):
    """Finds everything that does not have the drawn room's grey."""

    def prepare(self, width: int, height: int) -> None: ...

    def matte(self, frame: Frame) -> Matte:
        apart = cv2.absdiff(frame.image, np.full_like(frame.image, 134)).max(axis=2)
        return Matte(frame, np.where(apart > 20, 255, 0).astype(np.uint8))


def frames_of(path: Path) -> list[Bytes]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (got := capture.read())[0]:
        frames.append(got[1])
    capture.release()
    return frames


@pytest.mark.slow
@pytest.mark.parametrize("person", ["left", "right"])
def test_two_people_at_a_desk(data: Path, person: str) -> None:
    """A real clip of a man and a woman side by side: one of them stays whole, and nothing of the other is shown."""
    path = data / "clips" / "multi" / "intel_head-pose-face-detection-female-and-male.gif"
    inner = AutoEngine(EngineSettings(engine="lite"))
    engine = OnlyMeEngine(inner, OnlyMe(True, person))
    images = frames_of(path)[:24]
    engine.open()
    try:
        engine.prepare(images[0].shape[1], images[0].shape[0])
        both = AutoEngine(EngineSettings(engine="lite"))
        both.open()
        both.prepare(images[0].shape[1], images[0].shape[0])
        split = images[0].shape[1] // 2
        mine, others = (slice(0, split), slice(split + 10, None))
        if person == "right":
            mine, others = slice(split + 10, None), slice(0, split)
        for number, image in enumerate(images):
            frame = Frame(np.ascontiguousarray(image), number, 0, number * 40_000_000)
            alone, everybody = engine.matte(frame).host().alpha, both.matte(frame).host().alpha
            assert everybody[:, others].mean() > 20  # the others are in the picture
            assert not alone[:, others].any()
            apart = cv2.absdiff(alone[:, mine], everybody[:, mine])
            assert np.count_nonzero(apart > LEAST_ALPHA) < 0.002 * apart.size
        both.close()
    finally:
        engine.close()
