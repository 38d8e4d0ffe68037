"""Promises that the tests of single parts do not check: `python -m tools.mutations` found these gaps."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rvm_live.apps.assembly import failover
from rvm_live.apps.batch.media import count_frames
from rvm_live.apps.batch.tracks import BatchSink, Track
from rvm_live.apps.live import _App
from rvm_live.backgrounds.base import Layer
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.compositing.composer import Composer
from rvm_live.compositing.cpu import CpuCompositor
from rvm_live.core import transfer
from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import CompositorError, EngineError, SinkError
from rvm_live.core.frames import Composite, Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.queues import FrameQueue, Overflow
from rvm_live.core.settings import EngineSettings, LiveSettings, SourceSettings
from rvm_live.engines.base import Engine, EngineInfo
from rvm_live.engines.failover import FailoverEngine
from rvm_live.engines.lite.engine import LiteEngine
from rvm_live.engines.rvm.openvino.engine import OpenVinoEngine
from rvm_live.engines.rvm.torch.engine import RvmEngine
from rvm_live.pipeline.pipeline import Pipeline
from rvm_live.pipeline.stage import Epoch, is_stale
from rvm_live.sinks.recording.writers import PngSequence
from rvm_live.sources.base import Source, SourceInfo
from rvm_live.sources.reconnecting import ReconnectingSource
from tests.support.clock import FakeClock
from tests.support.composers import DirectComposer, ListSink
from tests.support.engines import LeftHalfEngine, PassThroughEngine
from tests.support.movies import make_movie
from tests.support.program import call
from tests.support.sources import FailingSource, PatternSource, draw_number, read_number
from tests.support.videos import read_frames
from tests.support.waiting import until

BOTH = pytest.mark.parametrize("overflow", list(Overflow))


# 1. Alpha stays on its own frame.


class NumberedEngine(PassThroughEngine):
    """Alpha holds the number drawn into the picture that it was made from. Takes time, so that frames queue up."""

    def alpha(self, frame: Frame) -> NDArray[np.uint8]:
        time.sleep(0.001)
        alpha = np.full(frame.image.shape[:2], 255, np.uint8)
        draw_number(alpha, read_number(frame.image))
        return alpha


@BOTH
def test_alpha_and_picture_are_of_one_frame(overflow: Overflow) -> None:
    sink = ListSink()
    Pipeline(PatternSource(frames=200), NumberedEngine(), DirectComposer(), [sink], overflow=overflow).run()
    assert sink.composites
    for item in sink.composites:
        assert read_number(item.matte.host().alpha) == read_number(item.frame.image) == item.seq


def test_a_composite_is_of_its_own_matte() -> None:
    composer = Composer([ColorBackground("#000000")], compositor="cpu", notices=Notices())
    composer.open(64, 48, "cpu")
    for number in range(1, 4):
        image = np.full((48, 64, 3), 50 * number, np.uint8)
        matte = Matte(Frame(image, number, 0, number), np.full((48, 64), 255, np.uint8))
        assert (composer.compose(matte).image == 50 * number).all()
    composer.close()


@pytest.mark.parametrize("kind", [LiteEngine, OpenVinoEngine, RvmEngine])
def test_an_engine_gives_the_alpha_of_the_picture_it_sees(kind: type[Engine], data: Path, weights: Path) -> None:
    """A person left of the middle, then the same picture mirrored: alpha and colours must move with the person."""
    whole = read_frames(data / "clips" / "webcam" / "liveportrait_s18.mp4", 1)[0].image
    picture = np.ascontiguousarray(whole[:, : whole.shape[1] * 2 // 3])
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    own, ratio = (None, None) if kind is LiteEngine else (weights, 0.5)
    engine = kind(EngineSettings(device="cpu", weights=own, downsample_ratio=ratio))
    engine.open()
    try:
        engine.prepare(picture.shape[1], picture.shape[0])
        first = engine.matte(Frame(picture, 0, 0, 0)).host()
        second = engine.matte(Frame(mirrored, 1, 0, 1)).host()
    finally:
        engine.close()
    before, alpha = first.alpha.astype(float), second.alpha.astype(float)
    assert np.abs(before - before[:, ::-1]).mean() > 20, "this clip's person is in the middle"
    stayed, moved = np.abs(alpha - before).mean(), np.abs(alpha - before[:, ::-1]).mean()
    assert moved < stayed / 2
    person = second.alpha == 255
    assert np.abs(second.foreground[person].astype(int) - mirrored[person]).mean() < 10


# 3. Newest wins, and frames dropped for that are counted.


def test_every_stale_frame_is_counted_under_its_queue() -> None:
    pipeline: Pipeline

    def reset_now_and_then(item: Composite) -> None:
        if item.seq % 8 == 0:
            before = pipeline._epoch.current
            pipeline.reset()
            until(lambda: pipeline._epoch.current > before or pipeline.captured.closed)

    sink = ListSink(reset_now_and_then)
    pipeline = Pipeline(PatternSource(frames=1500), PassThroughEngine(), DirectComposer(), [sink])
    snapshot = pipeline.run()
    assert sink.composites[-1].epoch > 3
    assert snapshot.captured == 1500 == snapshot.shown + sum(snapshot.dropped.values())


def test_a_stale_item_is_counted_at_once() -> None:
    epoch = Epoch()
    live: FrameQueue[int] = FrameQueue("matted", 2, Overflow.DROP_OLDEST)
    file: FrameQueue[int] = FrameQueue("matted", 2, Overflow.BLOCK)
    assert not is_stale(0, epoch, live)
    epoch.advance()
    assert is_stale(0, epoch, live)
    assert not is_stale(1, epoch, live)
    assert not is_stale(0, epoch, file), "files lose nothing"
    assert (live.dropped, file.dropped) == (1, 0)


def test_a_slow_engine_costs_a_file_no_frame(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=30)
    done = call("batch", "--engine", "tests.support.engines:SlowEngine", clip, "-o", tmp_path / "out", "-b", "red")
    assert done.code == 0, done.err + done.out
    assert count_frames(tmp_path / "out" / "output_clip.mp4") == 30


# 4. A source that was lost and is back starts a new epoch. 7. And that is reported.


def test_a_source_that_was_lost_and_found_starts_a_new_epoch() -> None:
    parts: list[Source] = [FailingSource(after=3), PatternSource(frames=3, live=True)]

    def make(settings: SourceSettings, clock: Clock) -> Source:
        return PatternSource() if made else parts.pop(0)

    made: list[str] = ["not yet: what is made first only tells whether it waits"]
    notices, engine, sink = Notices(), PassThroughEngine(), ListSink()
    source = ReconnectingSource(SourceSettings("camera"), make, notices.again)
    made.clear()
    pipeline = Pipeline(
        source, engine, DirectComposer(), [sink], overflow=Overflow.BLOCK, scene_reset=False, notices=notices
    )
    pipeline.run()
    assert [item.epoch for item in sink.composites] == [0, 0, 0, 1, 1, 1]
    assert engine.calls.count("reset") == 2
    assert notices.fallbacks == (
        "the test source failed on purpose; trying again until it is back",
        "pattern 64x48 is back",
    )


# 5. Errors travel along the data path.


def test_an_error_while_closing_is_raised() -> None:
    class Unfinished(ListSink):
        def close(self, *, failed: bool) -> None:
            super().close(failed=failed)
            raise SinkError("the disk is full")

    first, second, source = Unfinished(), ListSink(), PatternSource(frames=3)
    with pytest.raises(SinkError, match="the disk is full"):
        Pipeline(source, PassThroughEngine(), DirectComposer(), [first, second], overflow=Overflow.BLOCK).run()
    assert second.calls == ["open", "close(failed=False)"], "the others are closed all the same"
    assert source.releases == 1


def test_a_batch_encoders_error_at_the_end_is_raised(tmp_path: Path) -> None:
    class Full(PngSequence):
        def finish(self) -> bool:
            raise SinkError(f"disk full while writing {self.path}")

    sink = BatchSink([Track("composite", Full(tmp_path / "out"))], lambda: True, lambda count: None)
    sink.open()
    with pytest.raises(SinkError, match="disk full while writing"):
        sink.close(failed=False)


def test_an_engine_that_fails_on_the_way_leaves_nothing_of_a_batch_run(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=12)
    options = ("--engine", "tests.support.engines:FailingEngine", "--seq-chunk", "1")
    done = call("batch", *options, clip, "-o", tmp_path / "out")
    assert done.code == 1
    assert "the engine failed on purpose" in done.out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["log_output_clip.txt"]


# 6. No thread is abandoned.


@BOTH
def test_leaving_waits_for_every_stage(overflow: Overflow) -> None:
    class SlowToClose(PassThroughEngine):
        def close(self) -> None:
            time.sleep(0.2)
            super().close()

    engine = SlowToClose()
    Pipeline(PatternSource(), engine, DirectComposer(), overflow=overflow).run(frames=3)
    assert engine.calls[-1] == "close"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("rvm-")]


@BOTH
def test_leaving_with_every_queue_full_does_not_hang(overflow: Overflow) -> None:
    pipeline = Pipeline(PatternSource(), PassThroughEngine(), DirectComposer(), overflow=overflow)
    queues = (pipeline.captured, pipeline.matted, pipeline.composed)
    pipeline.__enter__()
    leaving = threading.Thread(target=pipeline.__exit__, args=(None, None, None), name="leaving")
    # In live video only the last queue fills up: the others' readers never wait.
    filling = queues[1:] if overflow is Overflow.BLOCK else queues[2:]
    full = until(lambda: all(len(queue) == queue.maxsize for queue in filling))
    leaving.start()
    leaving.join(3)
    left = not leaving.is_alive()
    for queue in queues:
        queue.cancel()  # otherwise a failed test would hang, too
    leaving.join()
    assert full and left


def test_leaving_wakes_a_stage_that_waits_for_another() -> None:
    """While the engine still loads, the stages that wait for it end at once, and the camera's light goes off."""
    started, go_on, ended = threading.Event(), threading.Event(), list[bool]()

    class SlowToOpen(PassThroughEngine):
        def open(self) -> EngineInfo:
            started.set()
            assert go_on.wait(30)
            return super().open()

    source = PatternSource()

    def watch() -> None:
        waiting = {"rvm-capture", "rvm-compositing"}
        until(lambda: source.releases > 0)
        ended.append(until(lambda: not waiting & {thread.name for thread in threading.enumerate()}, 1.0))
        go_on.set()

    watching = threading.Thread(target=watch, name="watching")
    with Pipeline(source, SlowToOpen(), DirectComposer()):
        assert started.wait(30)
        watching.start()
    watching.join()
    assert ended == [True]


def test_closing_waits_for_an_engine_that_is_on_its_way_back() -> None:
    clock, opening, broken = FakeClock(), threading.Event(), [False]
    made: list[PassThroughEngine] = []

    class Moody(LeftHalfEngine):
        def open(self) -> EngineInfo:
            made.append(self)
            if len(made) > 1 and not broken[0]:
                opening.set()
                time.sleep(0.3)
            return super().open()

        def matte(self, frame: Frame) -> Matte:
            if broken[0]:
                raise EngineError("the driver is gone")
            return super().matte(frame)

    def make(settings: EngineSettings) -> Engine:
        return LiteEngine(settings) if settings.engine == "lite" else Moody(settings)

    engine = FailoverEngine(make, EngineSettings(), Notices(), clock)
    engine.open()
    engine.prepare(64, 48)
    frame = Frame(np.full((48, 64, 3), 90, np.uint8), 0, 0, 0)
    engine.matte(frame)
    broken[0] = True
    assert engine.matte(frame).frame is frame
    broken[0] = False
    clock.advance(31)
    engine.matte(frame)
    assert opening.wait(30)
    engine.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "rvm-returning"]
    assert made[-1].calls[-1] == "close"


# 7. A fallback is reported, and the report names what really ran.


def test_a_passed_over_source_is_told() -> None:
    class Second(PatternSource):
        def open(self) -> SourceInfo:
            return replace(super().open(), notes=("no camera: a pattern",))

    pipeline = Pipeline(Second(frames=2), PassThroughEngine(), DirectComposer())
    pipeline.run()
    assert pipeline.notices.fallbacks == ("no camera: a pattern",)


def test_a_fallback_is_in_the_log_once_and_a_repeated_event_each_time(caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices()
    with caplog.at_level(logging.WARNING, "rvm_live"):
        for _ in range(2):
            notices.fallback("the CPU does it")
            notices.again("the camera is back")
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told.count(("WARNING", "the CPU does it")) == 1
    assert told.count(("WARNING", "the camera is back")) == 2
    assert notices.fallbacks == ("the CPU does it", "the camera is back")


class BreaksDown(CpuCompositor):
    """Works until the first captured frame, then fails."""

    def composite(self, matte: Matte, layer: Layer, *, source_foreground: bool = False) -> NDArray[np.uint8]:
        if matte.frame.captured_ns:
            raise CompositorError("the card is gone")
        return super().composite(matte, layer, source_foreground=source_foreground)


def test_overlay_and_report_name_what_ran(tmp_path: Path) -> None:
    asked = f"{__name__}:BreaksDown"
    settings = LiveSettings(
        SourceSettings(str(make_movie(tmp_path / "clip.mp4", frames=4)), realtime=False),
        EngineSettings(engine="tests.support.engines:PassThroughEngine"),
        compositor=asked,
        backgrounds=("color:#00ff00",),
        headless=True,
        record=str(tmp_path / "out.mp4"),
    )
    engine = failover(settings.engine, notices := Notices(), live=False)
    app = _App(settings, engine, notices, Overflow.BLOCK, SYSTEM_CLOCK)
    recorder = app.recording._recorder
    assert recorder is not None
    recorder.queue.count_drop()
    assert app.status().drops["recording"] == 1
    snapshot = app.pipeline.run()
    status, report = app.status(), app.report(snapshot)
    assert status.backend == report.ran.compositor == app.composer.backend != asked
    assert status.device == report.ran.device == "cpu" != settings.engine.device
    assert status.precision == report.ran.precision == "uint8" != settings.engine.precision
    assert status.engine == report.ran.engine == "pass-through"
    told = f"compositor {asked} failed (the card is gone): continuing with {status.backend}"
    assert told in status.messages and told in report.fallbacks
    assert status.drops["recording"] == report.snapshot.dropped["recording"] == 1
    assert report.recording == str(tmp_path / "out.mp4")


# 8. What is on a device stays there.


def test_a_matte_goes_up_once_however_often_it_is_asked_for() -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    matte = Matte(Frame(image, 0, 0, 0), np.zeros((48, 64), np.uint8), image.copy())
    before = transfer.counts()
    assert matte.tensor("cpu") is matte.tensor("cpu")
    assert transfer.counts().uploads - before.uploads == 3, "picture, alpha and foreground"


# 9. Latency.


def test_the_clock_is_monotonic() -> None:
    """It is one of the clocks that nobody can set."""
    clocks: dict[str, Callable[[], int]] = {"perf_counter": time.perf_counter_ns, "monotonic": time.monotonic_ns}

    def is_that(name: str, read: Callable[[], int]) -> bool:
        before, now, after = read(), SYSTEM_CLOCK.now_ns(), read()
        return time.get_clock_info(name).monotonic and before <= now <= after

    assert any(is_that(name, read) for name, read in clocks.items())
