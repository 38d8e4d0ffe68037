"""A picture that repeats is matted once, and composed again only when something moves."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import av
import cv2
import numpy as np
import pytest

from rvm_live.backgrounds.base import Background, Blur, Clear, Layer, Plate
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.compositing.composer import Composer
from rvm_live.compositing.cpu import CpuCompositor
from rvm_live.core.arrays import Bytes
from rvm_live.core.frames import Composite, Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.queues import Overflow
from rvm_live.core.settings import SourceSettings
from rvm_live.pipeline.pipeline import Pipeline
from rvm_live.sources.base import Grab, Source, SourceInfo
from rvm_live.sources.factory import open_source
from rvm_live.sources.image import ImageSource
from rvm_live.sources.reconnecting import ReconnectingSource
from tests.conftest import ROOT
from tests.support.clock import FakeClock
from tests.support.composers import DirectComposer, ListSink, next_background, next_compositor
from tests.support.display import open_display
from tests.support.engines import LeftHalfEngine
from tests.support.program import call
from tests.support.sources import numbered

LIVE, FILES = Overflow.DROP_OLDEST, Overflow.BLOCK


class CountingCompositor(CpuCompositor):
    """The reference back end with a counter; chosen by name, as users choose their own."""

    layers: ClassVar[list[Layer]] = []

    def composite(self, matte: Matte, layer: Layer, *, source_foreground: bool = False) -> Bytes:
        self.layers.append(layer)
        return super().composite(matte, layer, source_foreground=source_foreground)


COUNTING = "tests.pipeline.test_stillness:CountingCompositor"


@pytest.fixture
def composed() -> list[Layer]:
    """The layers that composites were made over, without those of the warm-up."""
    CountingCompositor.layers.clear()
    return CountingCompositor.layers


class Moving(Background):
    """A background with another colour each time."""

    label = "moving"

    def __init__(self) -> None:
        self.version = 0

    def layer(self, width: int, height: int, now_ns: int) -> Layer:
        self.version += 1
        return Plate(np.full((height, width, 3), self.version % 250, np.uint8), self.version)


class Shown(Source):
    """A live source of these pictures, 100 a second; the last one is repeated for ever."""

    def __init__(self, pictures: Sequence[Bytes]) -> None:
        self.pictures = list(pictures)
        self.delivered = 0
        self._over = threading.Event()

    def open(self) -> SourceInfo:
        height, width = self.pictures[0].shape[:2]
        return SourceInfo("shown", "camera", width, height, fps=100.0, live=True)

    def read(self) -> Grab:
        from rvm_live.core.clock import SYSTEM_CLOCK

        self._over.wait(0.01)
        picture = self.pictures[min(self.delivered, len(self.pictures) - 1)]
        self.delivered += 1
        return Grab(picture, SYSTEM_CLOCK.now_ns())

    def release(self) -> None:
        self._over.set()


@pytest.fixture
def still(tmp_path: Path) -> Path:
    path = tmp_path / "still.png"
    cv2.imwrite(str(path), numbered(96, 64, 5))
    return path


def run(
    source: Source,
    backgrounds: Sequence[Background],
    *,
    frames: int,
    act: Callable[[Pipeline, Composer, int], None] = lambda *_: None,
    overflow: Overflow = LIVE,
    mirror: bool = False,
) -> tuple[LeftHalfEngine, list[Composite], Pipeline]:
    engine, composites = LeftHalfEngine(), []
    composer = Composer(backgrounds, compositor=COUNTING, notices=Notices())

    def write(composite: Composite) -> None:
        composites.append(composite)
        if len(composites) == 1:  # earlier ones were the warm-up
            del CountingCompositor.layers[:-1]
        act(pipeline, composer, len(composites))

    pipeline = Pipeline(source, engine, composer, [ListSink(write)], overflow=overflow, mirror=mirror)
    pipeline.run(frames=frames)
    return engine, composites, pipeline


def mattes(engine: LeftHalfEngine) -> int:
    return engine.calls.count("matte")


def image_source(path: Path, fps: float = 100.0) -> ImageSource:
    return ImageSource(SourceSettings(source=str(path), fps=fps))


GREEN = ColorBackground("#00ff00")


@pytest.mark.parametrize("mirror", [False, True])
def test_a_still_picture_is_matted_and_composed_once(still: Path, composed: list[Layer], mirror: bool) -> None:
    engine, composites, pipeline = run(image_source(still), [GREEN], frames=30, mirror=mirror)
    assert mattes(engine) == 1
    assert len(composed) == 1
    assert len(composites) == 30 and pipeline.exit_reason == "frames reached"
    assert all(each.image is composites[0].image for each in composites)
    assert all(b.seq > a.seq and b.stamps.captured_ns > a.stamps.captured_ns for a, b in itertools.pairwise(composites))
    assert all(each.stamps.compositing_finished_ns >= each.stamps.captured_ns for each in composites)
    snapshot = pipeline.snapshot()
    assert snapshot.unique <= 1 and snapshot.unique + snapshot.repeated == 30  # a busy machine may drop the first
    assert 0 <= snapshot.latency_ms["total"].p50 < 1000


def test_a_still_picture_is_not_taken_for_a_camera_that_hangs(still: Path, clock: FakeClock) -> None:
    told: list[str] = []
    source = ReconnectingSource(SourceSettings(source=str(still), fps=2.0), open_source, told.append, clock)
    source.open()
    for _ in range(20):  # ten seconds
        source.read()
    source.release()
    assert told == []


def test_a_duration_ends_it(still: Path) -> None:
    done = call(
        *("--source", still, "--headless", "--duration", "0.5", "--engine", "tests.support.engines:LeftHalfEngine"),
        "--report",
    )
    assert done.code == 0
    assert "duration reached" in done.out


def test_what_moves_behind_a_still_picture_goes_on_moving(still: Path, composed: list[Layer]) -> None:
    engine, composites, _ = run(image_source(still), [Moving()], frames=20)
    assert mattes(engine) == 1
    assert len(composed) >= 20
    seen = [int(each.image[0, -1, 0]) for each in composites]
    assert all(b != a for a, b in itertools.pairwise(seen)), "the background stands still"
    assert all(np.array_equal(each.image[:, :48], composites[0].image[:, :48]) for each in composites)


@pytest.mark.parametrize("layer", [Blur(20.0), Clear()], ids=["blur", "transparent"])
def test_a_blur_and_transparency_stand_still_with_the_picture(
    still: Path, composed: list[Layer], layer: Layer, monkeypatch: pytest.MonkeyPatch
) -> None:
    background = ColorBackground("#010203")
    monkeypatch.setattr(background, "layer", lambda *_: layer)
    engine, composites, _ = run(image_source(still), [background], frames=12)
    assert (mattes(engine), len(composed)) == (1, 1)
    assert composites[-1].transparent == isinstance(layer, Clear)


def test_keys_still_change_what_is_shown(still: Path, composed: list[Layer]) -> None:
    def act(pipeline: Pipeline, composer: Composer, count: int) -> None:
        if count == 5:
            next_background(composer)
        elif count == 15:
            pipeline.mirror = True
        elif count == 25:
            pipeline.reset()
        elif count == 35:
            next_compositor(composer)

    red = ColorBackground("#ff0000")
    engine, composites, _ = run(image_source(still), [GREEN, red], frames=50, act=act)
    assert tuple(composites[0].image[0, -1]) == (0, 255, 0)
    assert tuple(composites[14].image[0, -1]) == (0, 0, 255), "the key b does nothing"
    picture = cv2.imread(str(still))
    assert np.array_equal(composites[14].image[:, :48], picture[:, :48])
    assert np.array_equal(composites[24].image[:, :48], picture[:, ::-1][:, :48]), "the key m does nothing"
    assert mattes(engine) == 3, "once, mirrored, and after the reset"
    assert engine.calls.count("reset") == 3
    assert composites[34].backend == COUNTING and composites[-1].backend != COUNTING, "the key g does nothing"
    assert np.array_equal(composites[-1].image, composites[24].image)


def test_a_camera_that_repeats_itself_is_matted_as_often_as_it_has_something_new() -> None:
    pictures = [numbered(64, 48, number // 5) for number in range(40)]
    engine, composites, _ = run(Shown(pictures), [GREEN], frames=40)
    assert mattes(engine) <= 8
    for each in composites:
        assert np.array_equal(each.image[:, :32], each.frame.image[:, :32])
        assert each.matte.frame is each.frame


def test_a_repeated_picture_is_never_taken_for_one_that_was_dropped() -> None:
    """Of A B B the first B is dropped. The second B is marked as a repeat of it, but the newest matte is A's."""
    from rvm_live.core.stillness import LastMatte, LastPicture

    last, newest = LastPicture(), LastMatte()
    first, second = numbered(64, 48, 1), numbered(64, 48, 2)
    frames = []
    for number, grabbed in enumerate([first, second, second.copy(), second, first.copy()]):
        image = last.known(grabbed, False)
        image = last.settled(grabbed, False, grabbed) if image is None else image
        frames.append(Frame(image, number, 0, number))
    assert [a.image is b.image for a, b in itertools.pairwise(frames)] == [False, True, True, False]
    assert all(
        np.array_equal(frame.image, wanted) for frame, wanted in zip(frames, [first, *[second] * 3, first], strict=True)
    )
    newest.remember(Matte(frames[0], np.zeros((48, 64), np.uint8)))
    assert [newest.again(frame) is None for frame in frames] == [False, True, True, True, True]
    assert newest.again(Frame(frames[0].image, 9, 1, 9)) is None, "of another epoch"
    newest.forget()
    assert newest.again(frames[0]) is None


def test_a_mirrored_picture_is_another() -> None:
    from rvm_live.core.stillness import LastPicture

    last, picture = LastPicture(), numbered(64, 48, 1)
    assert last.settled(picture, False, picture) is picture
    assert last.known(picture, True) is None
    flipped = last.settled(picture, True, np.ascontiguousarray(picture[:, ::-1]))
    assert last.known(picture, True) is flipped


def test_files_are_matted_frame_by_frame_as_ever(tmp_path: Path) -> None:
    """A network's state changes with every frame: the same bytes come out whatever repeats in the file."""

    class Film(Shown):
        on_demand = True

        def open(self) -> SourceInfo:
            return SourceInfo("film", "video", 64, 48, fps=25.0, live=False, frame_count=12)

        def read(self) -> Grab:
            from rvm_live.core.errors import EndOfSource

            if self.delivered == 12:
                raise EndOfSource
            self.delivered += 1
            return Grab(self.pictures[0], self.delivered, media_ns=self.delivered * 40_000_000)

    engine, composites, _ = run(Film([numbered(64, 48, 3)]), [GREEN], frames=99, overflow=FILES)
    assert mattes(engine) == len(composites) == 12


def test_a_matte_that_turned_out_bad_is_made_anew(still: Path) -> None:
    class FirstIsBad(LeftHalfEngine):
        def matte(self, frame: Frame) -> Matte:
            made = super().matte(frame)
            if self.calls.count("matte") > 1:
                return made
            return Matte(frame, made.alpha[:-1], started_ns=made.started_ns, finished_ns=made.finished_ns)

    engine, sink = FirstIsBad(), ListSink()
    pipeline = Pipeline(
        image_source(still), engine, Composer([GREEN], compositor="cpu", notices=Notices()), [sink], overflow=LIVE
    )
    pipeline.run(frames=10)
    assert mattes(engine) in (2, 3)
    assert len(sink.composites) == 10


@pytest.mark.slow
def test_a_recording_of_a_still_picture_has_its_rate(still: Path, tmp_path: Path) -> None:
    done = call(
        *("--source", still, "--headless", "--frames", "40", "--fps", "40", "--record", tmp_path / "still.mp4"),
        *("--engine", "tests.support.engines:LeftHalfEngine", "--background", "color:#00ff00"),
    )
    assert done.code == 0, done.err
    with av.open(str(tmp_path / "still.mp4")) as film:
        times = [frame.pts * frame.time_base for frame in film.decode(video=0)]
    # A busy machine may miss some; each one that is there has its own time.
    assert len(times) >= 30
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert sorted(gaps)[len(gaps) // 2] == pytest.approx(Fraction(1, 40), abs=0.005)
    assert float(times[-1]) == pytest.approx(39 / 40, abs=0.3)


@pytest.mark.slow
@pytest.mark.window
def test_the_window_is_drawn_again_only_when_something_moves(tmp_path: Path) -> None:
    """A real window: drawings to the screen are counted; keys and the overlay still work."""
    with open_display() as display:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.support.window_app",
                json.dumps({"still": True, "limit": 6}),
            ],
            env=display.env,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        with process:
            display.window()
            display.key("o")
            out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    events = [json.loads(line) for line in out.splitlines()]
    assert any(event.get("view", {}).get("display") == "comparison" for event in events)
    end = events[-1]
    assert end["written"] > 60
    # Five times a second for the overlay, and for the key's change.
    assert end["drawn"] < 6 * 5 + 15


def test_the_governor_learns_nothing_from_what_was_not_worked_out(still: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Matte] = []
    monkeypatch.setattr("rvm_live.pipeline.adaptive.Governor.observe", lambda self, matte: seen.append(matte))
    pipeline = Pipeline(
        image_source(still), LeftHalfEngine(), DirectComposer(), [ListSink()], overflow=LIVE, adaptive_fps=60.0
    )
    pipeline.run(frames=10)
    assert len(seen) == 1
