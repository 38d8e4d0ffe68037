"""The composer: choosing a back end, falling back, changing backgrounds; and the room is never shown."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Background, Clear, Layer, Plate
from rvm_live.backgrounds.blur import BlurBackground
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.backgrounds.cycle import PLAIN
from rvm_live.backgrounds.parse import parse
from rvm_live.backgrounds.transparent import TransparentBackground
from rvm_live.compositing.base import Compositor
from rvm_live.compositing.composer import Composer
from rvm_live.compositing.cpu import CpuCompositor
from rvm_live.core import registry
from rvm_live.core.colors import parse_color
from rvm_live.core.errors import (
    BackgroundError,
    CompositorError,
    MatteError,
    SettingsError,
    UnavailableError,
    words_of,
)
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.failover import FailoverEngine
from rvm_live.sinks.recording.snapshot import cut_out
from rvm_live.sinks.window import views
from tests.conftest import ROOT
from tests.support.clock import FakeClock
from tests.support.composers import next_background, next_compositor
from tests.support.engines import LateFault, LeftHalfEngine

WIDTH, HEIGHT = 48, 32
ROOM = (1, 2, 3)


class Scripted(CpuCompositor):
    """A back end that follows the test's script: takes time, fails, counts."""

    def __init__(self, name: str, log: list[str], clock: FakeClock, seconds: float, refuses: str = "") -> None:
        super().__init__()
        self.name = name
        self.log, self.clock, self.seconds, self.refuses = log, clock, seconds, refuses
        self.error: Exception | None = None

    def open(self) -> None:
        self.log.append(f"open {self.name}")
        if self.refuses:
            raise UnavailableError(self.refuses)

    def composite(self, matte: Matte, layer: Layer, *, source_foreground: bool = False) -> NDArray[np.uint8]:
        self.clock.advance(self.seconds)
        if self.error is not None:
            raise self.error
        return super().composite(matte, layer, source_foreground=source_foreground)

    def close(self) -> None:
        self.log.append(f"close {self.name}")
        super().close()


class Bench:
    """Three scripted back ends, ``fast``, ``slow`` and ``broken``, in place of the real ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
        self.log: list[str] = []
        self.made: dict[str, Scripted] = {}
        self.clock = clock
        plans: dict[str, tuple[float, str]] = {"broken": (0.0, "no such chip"), "slow": (0.02, ""), "fast": (0.002, "")}

        class Fake(registry.Registry[Any]):
            def load(self_, name: str) -> Callable[..., Any]:
                def make(device: str) -> Compositor:
                    self.made[name] = Scripted(name, self.log, clock, *plans[name])
                    return self.made[name]

                if name not in plans:
                    return super().load(name)
                return make

        fake = Fake("compositors", dict.fromkeys(plans, ""), tuple(plans))
        for module in ("back_ends", "composer"):
            monkeypatch.setattr(f"rvm_live.compositing.{module}.COMPOSITORS", fake)


class Failing(Background):
    """A background that opens, draws a few times, then fails."""

    label = "failing"

    def __init__(self, good: int, error: Exception | None = None, *, opens: bool = True) -> None:
        self.good, self.opens, self.log = good, opens, [""]
        self.error = error or BackgroundError("the disk is gone")

    def open(self) -> None:
        self.log.append("open")
        if not self.opens:
            raise BackgroundError("cannot be opened")

    def layer(self, width: int, height: int, now_ns: int) -> Plate:
        self.good -= 1
        if self.good < 0:
            raise self.error
        return Plate(np.full((height, width, 3), 77, np.uint8), self.good)

    def close(self) -> None:
        self.log.append("close")


def matte(alpha: int = 0, width: int = WIDTH, height: int = HEIGHT) -> Matte:
    image = np.empty((height, width, 3), np.uint8)
    image[:] = ROOM
    return Matte(
        Frame(image, seq=5, epoch=2, captured_ns=11),
        np.full((height, width), alpha, np.uint8),
        np.full((height, width, 3), 200, np.uint8),
        started_ns=22,
        finished_ns=33,
    )


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Bench:
    return Bench(monkeypatch, clock)


def composer(bench: Bench, backgrounds: list[Background] | None = None, **options: Any) -> tuple[Composer, Notices]:
    notices = Notices()
    chosen = backgrounds or [ColorBackground("#102030")]
    return Composer(chosen, notices=notices, clock=bench.clock, **options), notices


def is_plain(image: NDArray[np.uint8], color: str = PLAIN) -> bool:
    return bool((image == parse_color(color)).all())


# Choosing a back end -------------------------------------------------------------------------------------------


def test_auto_takes_the_fastest_that_works_and_keeps_the_reasons(bench: Bench) -> None:
    subject, notices = composer(bench)
    assert subject.backend == "" and subject.working == []
    subject.open(WIDTH, HEIGHT, "cpu")
    assert subject.backend == "fast"
    assert subject.working == ["slow", "fast"]
    assert subject.refusals == {"broken": "no such chip"}
    assert subject.timings == pytest.approx({"slow": 20, "fast": 2})
    assert notices.fallbacks == ()
    subject.close()
    assert sorted(bench.log) == [
        *("close broken", "close fast", "close slow"),
        *("open broken", "open fast", "open slow"),
    ]


def test_a_back_end_asked_for_by_name_is_taken_or_refused(bench: Bench) -> None:
    subject, _ = composer(bench, compositor="slow")
    subject.open(WIDTH, HEIGHT, "cpu")
    assert subject.backend == "slow" == subject.compose(matte()).backend
    subject.close()
    subject, _ = composer(bench, compositor="broken")
    with pytest.raises(UnavailableError, match=r"broken does not work here: no such chip; .*slow, fast") as caught:
        subject.open(WIDTH, HEIGHT, "cpu")
    assert caught.value.reasons == {"broken": "no such chip"}
    subject.close()
    opened = [entry for entry in bench.log if entry.startswith("open")]
    assert len(opened) == len(bench.log) - len(opened), "each is closed once"


def test_names_that_do_not_exist_are_refused_at_once(bench: Bench) -> None:
    with pytest.raises(SettingsError, match="unknown compositor 'warp'"):
        composer(bench, compositor="warp")
    with pytest.raises(SettingsError, match="unknown foreground"):
        composer(bench, foreground="other")
    with pytest.raises(SettingsError, match="no background"):
        Composer([], notices=Notices())


def test_a_class_of_ones_own(bench: Bench) -> None:
    subject, _ = composer(bench, compositor="rvm_live.compositing.cpu:CpuCompositor")
    subject.open(WIDTH, HEIGHT, "cpu")
    assert subject.compose(matte()).backend == "rvm_live.compositing.cpu:CpuCompositor"
    subject.close()


def test_the_next_back_end_is_one_that_works(bench: Bench) -> None:
    subject, _ = composer(bench)
    subject.open(WIDTH, HEIGHT, "cpu")
    names = []
    for _ in range(3):
        names.append(subject.compose(matte()).backend)
        next_compositor(subject)
        assert subject.backend == names[-1], "in effect from the next frame on"
    assert names == ["fast", "slow", "fast"]
    assert subject.compose(matte()).backend == "slow"
    with pytest.raises(SettingsError, match="compositor none cannot be used: there is no compositor of that name"):
        subject.use_compositor("none")
    subject.close()


# Composites ----------------------------------------------------------------------------------------------------


def test_a_composite_carries_its_frame_and_every_stamp(bench: Bench) -> None:
    subject, _ = composer(bench)
    subject.open(WIDTH, HEIGHT, "cpu")
    source = matte(255)
    began = bench.clock.now_ns()
    done = subject.compose(source)
    assert done.matte is source and done.frame is source.frame
    assert done.stamps.captured_ns == 11
    assert (done.stamps.matting_started_ns, done.stamps.matting_finished_ns) == (22, 33)
    assert done.stamps.compositing_started_ns == began
    assert done.stamps.compositing_finished_ns == began + 2_000_000
    assert (done.backend, done.background) == ("fast", "color #102030")
    assert (done.image == 200).all()
    subject.close()


def test_waiting_for_a_gpu_is_matting_and_not_compositing(bench: Bench) -> None:
    subject, _ = composer(bench)
    subject.open(WIDTH, HEIGHT, "cpu")
    began = bench.clock.now_ns()
    frame = Frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), 0, 0, began)
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    # Launched at once. Of the 2 ms for which compositing has the frame, the first 1.5 are still matting.
    matte = Matte(frame, alpha, started_ns=began, finished_ns=began, elapsed_ns=lambda: 1_500_000)
    stamps = subject.compose(matte).stamps
    assert stamps.matting_finished_ns == stamps.compositing_started_ns == began + 1_500_000
    assert stamps.compositing_finished_ns == began + 2_000_000
    subject.close()


def test_source_foreground_takes_the_cameras_pixels(bench: Bench) -> None:
    subject, _ = composer(bench, foreground="source")
    subject.open(WIDTH, HEIGHT, "cpu")
    assert (subject.compose(matte(255)).image == ROOM).all()
    subject.close()


def test_backgrounds_go_round(bench: Bench) -> None:
    subject, _ = composer(bench, [ColorBackground("red"), TransparentBackground(), BlurBackground(30)])
    subject.open(WIDTH, HEIGHT, "cpu")
    seen = []
    for _ in range(4):
        done = subject.compose(matte())
        seen.append((done.background, done.transparent))
        assert subject.background_label == done.background
        next_background(subject)
    assert seen == [("color #ff0000", False), ("transparent", True), ("blur 30", False), ("color #ff0000", False)]
    subject.close()


def test_real_back_ends_agree_when_switched(clock: FakeClock) -> None:
    subject = Composer([BlurBackground(25)], notices=Notices(), clock=clock)
    subject.open(WIDTH, HEIGHT, "cpu")
    assert {"cpu", "torch"} <= set(subject.working)
    assert set(subject.working) | set(subject.refusals) == {"cpu", "torch", "opencv-cuda"}
    assert all(subject.refusals.values())
    results = {}
    for _ in subject.working:
        done = subject.compose(matte(100))
        results[done.backend] = done.image.astype(int)
        next_compositor(subject)
    assert set(results) == set(subject.working)
    for image in results.values():
        assert np.abs(image - results["cpu"]).max() <= 1
    subject.close()


# Falling back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [CompositorError("out of memory"), RuntimeError("device\nlost"), MemoryError()])
def test_a_failing_back_end_is_replaced_within_the_same_frame(bench: Bench, error: Exception) -> None:
    subject, notices = composer(bench)
    subject.open(WIDTH, HEIGHT, "cpu")
    bench.made["fast"].error = error
    source = matte(255)
    done = subject.compose(source)
    assert done.matte is source and done.backend == "slow" and (done.image == 200).all()
    (told,) = notices.fallbacks
    reason = words_of(error)
    assert told == f"compositor fast failed ({reason}): continuing with slow"
    assert subject.working == ["slow"] and subject.refusals["fast"] == reason
    assert bench.log[-1] == "close fast"
    next_compositor(subject)
    assert subject.compose(matte()).backend == "slow"
    subject.close()
    assert bench.log.count("close fast") == 1


def test_when_all_fail_it_says_why_each_did(bench: Bench) -> None:
    subject, _ = composer(bench)
    subject.open(WIDTH, HEIGHT, "cpu")
    for made in bench.made.values():
        made.error = CompositorError(f"{made.name} burnt")
    with pytest.raises(
        CompositorError, match=r"every compositor failed \(broken: no such chip; fast: fast burnt; slow: slow burnt"
    ):
        subject.compose(matte())
    assert is_plain(subject.background_only(WIDTH, HEIGHT), "#102030")
    subject.close()


BAD: dict[str, tuple[Callable[[Matte], Matte], str]] = {
    "of another size": (lambda good: replace(good, alpha=good.alpha[1:]), "alpha has the shape"),
    "with a foreground of another size": (lambda good: replace(good, foreground=good.foreground[1:]), "foreground has"),
    "of a GPU that failed": (
        lambda good: replace(good, alpha=LateFault(*good.alpha.shape)),
        "CUDA error: unspecified launch failure",
    ),
    "without any memory behind it": (
        lambda good: replace(
            good,
            alpha=torch.empty(good.alpha.shape, dtype=torch.uint8, device="meta"),
            foreground=torch.empty(good.foreground.shape, dtype=torch.uint8, device="meta"),
        ),
        "cannot be read",
    ),
    "of no numbers": (lambda good: replace(good, alpha=np.full(good.alpha.shape, None)), "cannot be read"),
    "whose work failed in the end": (lambda good: replace(good, elapsed_ns=lambda: int("not")), "cannot be read"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("real", [False, True])
def test_no_back_end_is_blamed_for_a_bad_matte(request: pytest.FixtureRequest, real: bool, kind: str) -> None:
    """It is refused with one line; the same back end composes the next one, and no back end was given up."""
    spoil, words = BAD[kind]
    notices = Notices()
    if real:
        subject = Composer([ColorBackground("red")], notices=notices)
    else:
        subject, notices = composer(request.getfixturevalue("bench"))
    subject.open(WIDTH, HEIGHT, "cpu")
    working = subject.working
    assert len(working) >= 2
    for _ in working:
        backend = subject.compose(matte()).backend
        with pytest.raises(MatteError, match=words) as caught:
            subject.compose(spoil(matte()))
        assert "\n" not in str(caught.value)
        assert subject.compose(matte()).backend == backend
        next_compositor(subject)
    assert subject.working == working and notices.fallbacks == ()
    subject.close()


@pytest.mark.parametrize("error", [BackgroundError("the disk is gone"), ZeroDivisionError("oh")])
def test_a_failing_background_becomes_a_plain_colour_in_the_same_frame(bench: Bench, error: Exception) -> None:
    failing = Failing(good=2, error=error)  # one for the warm-up, one for the first frame
    subject, notices = composer(bench, [failing, ColorBackground("red")])
    subject.open(WIDTH, HEIGHT, "cpu")
    assert (subject.compose(matte()).image == 77).all()
    done = subject.compose(matte())
    assert is_plain(done.image) and done.background == f"color {PLAIN}"
    assert failing.log == ["", "open", "close"], "what is broken is closed at once"
    assert notices.fallbacks == (f"background failing failed ({words_of(error)}): showing a plain colour instead",)
    assert is_plain(subject.background_only(WIDTH, HEIGHT))
    next_background(subject)
    assert subject.compose(matte()).background == "color #ff0000"
    next_background(subject)
    assert subject.compose(matte()).background == "color #ff0000", "what is broken has left the cycle"
    subject.close()
    assert failing.log == ["", "open", "close"]


@pytest.fixture
def several_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the program; the other tests would only wait for it."""
    monkeypatch.setattr("rvm_live.backgrounds.cycle._READY_COUNT", 12)


@pytest.mark.usefixtures("several_ready")
def test_a_background_that_cannot_be_opened_is_told_and_left_out(bench: Bench) -> None:
    failing = Failing(good=9, opens=False)
    subject, notices = composer(bench, [ColorBackground("red"), failing, ColorBackground("blue")])
    subject.open(WIDTH, HEIGHT, "cpu")
    assert notices.fallbacks == ("background failing failed (cannot be opened): it is left out",)
    next_background(subject)
    assert subject.compose(matte()).background == "color #0000ff"
    subject.close()
    assert failing.log == ["", "open", "close"]


def test_a_plate_of_the_wrong_size_is_the_backgrounds_fault(bench: Bench) -> None:
    class Wrong(Failing):
        def layer(self, width: int, height: int, now_ns: int) -> Plate:
            return Plate(np.zeros((3, 3, 3), np.uint8), 0)

    subject, notices = composer(bench, [Wrong(9)])
    subject.open(WIDTH, HEIGHT, "cpu")
    assert is_plain(subject.compose(matte()).image)
    assert "drew uint8 (3, 3, 3)" in notices.fallbacks[0]
    assert subject.working == ["slow", "fast"]
    subject.close()


@pytest.mark.usefixtures("several_ready")
def test_many_backgrounds_are_opened_when_they_come_up(bench: Bench) -> None:
    backgrounds = [Failing(good=99) for _ in range(30)]
    subject, _ = composer(bench, list(backgrounds))
    subject.open(WIDTH, HEIGHT, "cpu")
    ready = sum("open" in background.log for background in backgrounds)
    assert 2 <= ready < 30
    for _ in range(29):
        next_background(subject)
    subject.compose(matte())
    assert backgrounds[29].log == ["", "open"]
    subject.close()
    assert all(b.log in ([""], ["", "open", "close"]) for b in backgrounds)


# The background alone ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("background", [ColorBackground("#102030"), BlurBackground(), TransparentBackground()])
def test_the_background_alone_holds_no_camera_pixel(bench: Bench, background: Background) -> None:
    subject, _ = composer(bench, [background])
    alone = [subject.background_only(WIDTH, HEIGHT)]
    subject.open(WIDTH, HEIGHT, "cpu")
    alone.append(subject.background_only(WIDTH, HEIGHT))
    subject.compose(matte(128))
    alone += [subject.background_only(WIDTH, HEIGHT), subject.background_only(31, 77)]
    for image in alone:
        assert image.dtype == np.uint8 and image.shape[2] == 3 and image.flags.writeable
        assert not (image == ROOM).all(axis=2).any()
    assert is_plain(alone[0]) and alone[3].shape == (77, 31, 3)
    layer = background.layer(WIDTH, HEIGHT, 0)
    if isinstance(layer, Plate):
        assert is_plain(alone[1], "#102030") and is_plain(alone[3], "#102030")
    elif isinstance(layer, Clear):
        assert len(np.unique(alone[1])) == 2, "a checkerboard"
    else:
        assert is_plain(alone[2])
    alone[2][:] = 0
    assert subject.background_only(WIDTH, HEIGHT).any(), "a copy: the caller may draw on it"
    subject.close()


def test_requests_and_questions_may_come_from_other_threads(bench: Bench) -> None:
    subject, notices = composer(bench, [ColorBackground("red"), TransparentBackground(), BlurBackground()])
    subject.open(WIDTH, HEIGHT, "cpu")
    stop, problems = threading.Event(), []

    def press() -> None:
        try:
            while not stop.is_set():
                next_background(subject)
                next_compositor(subject)
                subject.background_only(WIDTH, HEIGHT)
                assert subject.backend in subject.working and subject.background_label
        except Exception as error:
            problems.append(error)

    thread = threading.Thread(target=press, name="rvm-test-keys")
    thread.start()
    for _ in range(200):
        assert subject.compose(matte()).image.shape[:2] == (HEIGHT, WIDTH)
    stop.set()
    thread.join()
    subject.close()
    assert not problems and not notices.fallbacks


def test_a_new_frame_size_needs_no_new_composer(bench: Bench) -> None:
    subject, _ = composer(bench, [ColorBackground("#102030"), BlurBackground()])
    subject.open(WIDTH, HEIGHT, "cpu")
    for size in ((WIDTH, HEIGHT), (64, 20), (5, 5)):
        assert subject.compose(matte(0, *size)).image.shape == (size[1], size[0], 3)
    subject.close()


# Privacy -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["color:#00ff00", "transparent", "blur"])
def test_privacy_leaves_no_camera_pixel_anywhere(spec: str) -> None:
    subject = Composer(parse(spec), compositor="cpu", notices=Notices())
    subject.open(WIDTH, HEIGHT, "cpu")
    seen = subject.compose(matte(200))
    assert (seen.matte.host().alpha > 0).any()
    subject.hide(True)
    hidden = subject.compose(matte(200))
    assert hidden.seq == seen.seq and hidden.transparent == seen.transparent
    for display in ("result", "comparison", "matte"):  # every view, also the comparison
        shown = views.render(hidden, display, WIDTH, HEIGHT)
        assert not (np.abs(shown.astype(int) - ROOM).max(2) < 3).any(), display
    assert (hidden.matte.host().alpha == 0).all() and (cut_out(hidden) == 0).all()
    assert not (hidden.frame.image == matte(200).frame.image).all()
    subject.hide(False)
    assert (subject.compose(matte(200)).matte.host().alpha > 0).any()
    subject.close()


def test_an_away_picture_stands_in_and_one_that_fails_is_told() -> None:
    notices = Notices()
    red, broken = ColorBackground("#ff0000"), Failing(BackgroundError("gone"))
    for away, colour in ((red, (0, 0, 255)), (broken, (0, 255, 0))):
        subject = Composer([ColorBackground("#00ff00")], compositor="cpu", notices=notices, away=away)
        subject.open(WIDTH, HEIGHT, "cpu")
        subject.compose(matte())
        subject.hide(True)
        assert (subject.compose(matte()).image == colour).all()
        subject.close()
    assert len(notices.fallbacks) == 1 and notices.fallbacks[0].startswith("the away picture failed (")


def test_backgrounds_have_names_of_their_own_and_new_ones_join_them() -> None:
    same = [ColorBackground("#ff0000"), ColorBackground("#ff0000"), ColorBackground("#0000ff")]
    subject = Composer(same, compositor="cpu", notices=Notices())
    assert subject.backgrounds == ["color #ff0000", "color #ff0000 (2)", "color #0000ff"]
    subject.open(WIDTH, HEIGHT, "cpu")
    name = subject.add_background(ColorBackground("#123456"))
    subject.show_background(name)
    assert subject.background == name == "color #123456"
    assert subject.compose(matte()).background == name and subject.background == name
    with pytest.raises(SettingsError, match="there is no background 'sea': choose one of color #ff0000"):
        subject.show_background("sea")
    subject.close()


def test_while_nothing_comes_the_chosen_background_is_brought_and_no_other_opened(clock: FakeClock) -> None:
    """Opening the other backgrounds takes time that the next frame may need."""
    opened: list[str] = []

    class Slow(ColorBackground):
        def open(self) -> None:
            clock.advance(1)
            opened.append(self.label)

    names = ["#100000", "#200000", "#300000", "#400000", "#500000"]
    composer = Composer([Slow(name) for name in names], clock=clock)
    composer.open_backgrounds(WIDTH, HEIGHT)
    ready = len(opened)
    assert ready < len(names)
    composer.open_backgrounds(WIDTH, HEIGHT)
    assert len(opened) == ready
    composer.show_background("color #500000")
    composer.open_backgrounds(WIDTH, HEIGHT)
    assert tuple(composer.background_only(2, 2)[0, 0]) == (0, 0, 0x50) and len(opened) == ready + 1
    composer.close()


def test_the_shape_of_a_matte_is_looked_at_once_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever asks first: the engine's guard, the composer or the back end; after that it is known."""
    looked: list[int] = []
    look = Matte._fits.func
    remembers = cached_property(lambda self: looked.append(self.frame.seq) or look(self))
    remembers.__set_name__(Matte, "_fits")
    monkeypatch.setattr(Matte, "_fits", remembers)
    notices = Notices()
    engine = FailoverEngine(lambda settings: LeftHalfEngine(settings), EngineSettings(), notices)
    engine.open()
    subject = Composer([ColorBackground("red"), BlurBackground(25)], notices=notices)
    subject.open(WIDTH, HEIGHT, "cpu")
    looked.clear()
    for number in range(6):
        subject.compose(engine.matte(Frame(np.full((HEIGHT, WIDTH, 3), number, np.uint8), number, 0, number)))
        next_background(subject)
        next_compositor(subject)
    assert looked == list(range(6))
    subject.close()
    engine.close()


@pytest.mark.parametrize(
    "convert", [Matte.host, lambda bad: bad.tensor("cpu"), Matte.check], ids=["host", "tensor", "check"]
)
@pytest.mark.parametrize("part", ["alpha", "foreground"])
@pytest.mark.parametrize("tensors", [False, True])
def test_no_pixel_of_a_matte_that_does_not_fit_is_given_out(
    convert: Callable[[Matte], Any], part: str, tensors: bool
) -> None:
    good = matte()
    image = getattr(good, part)[1:]
    bad = replace(good, **{part: torch.from_numpy(image) if tensors else image})
    for _ in range(2):
        with pytest.raises(MatteError, match=f"the engine's {part} has the shape"):
            convert(bad)


# torch, which takes seconds to load -----------------------------------------------------------------------------

LATER = """
import sys, time
import numpy as np
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.compositing.composer import Composer
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.notices import Notices

if sys.argv[1] == "broken":
    class NoTorch:
        def find_spec(self, name, path=None, target=None):
            if name == "torch":
                raise ImportError("torch is broken")
    sys.meta_path.insert(0, NoTorch())
notices = Notices()
composer = Composer([ColorBackground("green")], notices=notices)
composer.open(64, 48, "cpu")
assert "torch" not in sys.modules and "torch" in composer.working and composer.backend == "cpu"
if sys.argv[1] == "needed":
    from rvm_live.compositing.cpu import CpuCompositor
    def fail(*args, **kwargs):
        raise RuntimeError("it broke")
    CpuCompositor.composite = fail
else:
    composer.use_compositor("torch")
image = np.full((48, 64, 3), 90, np.uint8)
for number in range(2000):
    frame = Frame(image, number, 0, number)
    composite = composer.compose(Matte(frame, np.full((48, 64), 128, np.uint8), image))
    assert (composite.image == (45, 172, 45)).all(), composite.image[0, 0]
    if composite.backend == "torch" or notices.fallbacks:
        break
    time.sleep(0.01)
print(composite.backend, sorted(composer.working), *notices.fallbacks, sep="; ")
composer.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("whole", "torch; ['cpu', 'torch']"),
        ("needed", "torch; ['torch']; compositor cpu failed (it broke): continuing with torch"),
        ("broken", "cpu; ['cpu']; compositor torch cannot be used: cannot load compositor 'torch': torch is broken"),
    ],
)
def test_torch_is_loaded_when_its_back_end_is_asked_for_while_the_other_goes_on(how: str, expected: str) -> None:
    done = subprocess.run([sys.executable, "-c", LATER, how], capture_output=True, encoding="utf-8", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == expected
