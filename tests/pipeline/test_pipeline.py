"""The pipeline's invariants, each with a test that fails when it is broken."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Container
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rvm_live.backgrounds.color import ColorBackground
from rvm_live.compositing.composer import Composer
from rvm_live.core.errors import (
    CompositorError,
    EngineError,
    MatteError,
    SettingsError,
    SinkError,
    SourceLostError,
    SourceUnavailableError,
    WeightsError,
)
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.queues import Overflow
from rvm_live.engines.base import EngineInfo
from rvm_live.pipeline.pipeline import Pipeline
from rvm_live.sources.base import Grab
from tests.conftest import ROOT
from tests.support.clock import FakeClock
from tests.support.composers import DirectComposer, ListSink
from tests.support.engines import FailingEngine, LateFault, PassThroughEngine
from tests.support.sources import FailingSource, PatternSource, StuckSource, read_number
from tests.support.waiting import until

BOTH = pytest.mark.parametrize("overflow", list(Overflow))


class SlowEngine(PassThroughEngine):
    """Takes time, so that live queues overflow."""

    def matte(self, frame: Frame) -> Matte:
        time.sleep(0.002)
        return super().matte(frame)


class ThreadNotingEngine(PassThroughEngine):
    def __init__(self) -> None:
        super().__init__()
        self.threads: set[str] = set()

    def open(self) -> EngineInfo:
        self.threads.add(threading.current_thread().name)
        return super().open()

    def reset(self) -> None:
        self.threads.add(threading.current_thread().name)
        super().reset()

    def matte(self, frame: Frame) -> Matte:
        self.threads.add(threading.current_thread().name)
        return super().matte(frame)

    def close(self) -> None:
        self.threads.add(threading.current_thread().name)
        super().close()


class ScriptedSource(PatternSource):
    """Hands out prepared grabs, one for each read."""

    def __init__(self, grabs: list[Grab]) -> None:
        super().__init__(grabs[0].image.shape[1], grabs[0].image.shape[0], frames=len(grabs), live=True)
        self.grabs = grabs

    def read(self) -> Grab:
        number = self.delivered
        super().read()
        return self.grabs[number]


# 1. Alpha stays on its own frame.


@BOTH
def test_a_composite_is_made_of_the_frame_its_matte_came_from(overflow: Overflow) -> None:
    sink = ListSink()
    Pipeline(PatternSource(frames=300), SlowEngine(), DirectComposer(), [sink], overflow=overflow).run()
    assert sink.composites
    for item in sink.composites:
        assert read_number(item.image) == item.seq == read_number(item.matte.frame.image)


# 3. Newest wins; files lose nothing.


def test_a_live_run_drops_the_oldest_and_counts_every_one() -> None:
    sink = ListSink()
    pipeline = Pipeline(PatternSource(frames=400), SlowEngine(), DirectComposer(), [sink])
    snapshot = pipeline.run()
    shown = [item.seq for item in sink.composites]
    assert shown == sorted(set(shown))
    assert shown[-1] == 399  # the newest frame is never dropped
    assert snapshot.dropped["captured"] > 0
    assert snapshot.captured == 400 == snapshot.shown + sum(snapshot.dropped.values())


def test_a_blocking_run_shows_every_frame_in_order() -> None:
    sink = ListSink()
    snapshot = Pipeline(
        PatternSource(frames=200), SlowEngine(), DirectComposer(), [sink], overflow=Overflow.BLOCK
    ).run()
    assert [item.seq for item in sink.composites] == list(range(200))
    assert snapshot.dropped == {"captured": 0, "matted": 0, "composed": 0}


# 4. Recurrent state has one owner.


def test_the_engine_is_touched_on_the_matting_thread_alone() -> None:
    engine = ThreadNotingEngine()
    pipeline = Pipeline(PatternSource(frames=50), engine, DirectComposer(), [], overflow=Overflow.BLOCK)
    pipeline.reset()
    pipeline.run()
    assert engine.threads == {"rvm-matting"}
    assert engine.calls[:2] == ["open", "prepare"]
    assert engine.calls[-1] == "close"
    assert engine.calls.count("close") == 1


def grabs(*spans_s: float, size: tuple[int, int] = (48, 64)) -> list[Grab]:
    """Numbered pictures, each so many seconds after the one before."""
    now, made = 0, []
    for number, span in enumerate(spans_s):
        now += round(span * 1e9)
        image = np.full((*size, 3), number, np.uint8)
        made.append(Grab(image, now))
    return made


def epochs_of(source: PatternSource, overflow: Overflow, act: Callable[[Pipeline, int], None] | None = None) -> Any:
    """(epochs of the frames shown, number of resets)."""
    engine = PassThroughEngine()
    seen: list[int] = []
    pipeline: Pipeline

    def on_write(item: Any) -> None:
        seen.append(item.epoch)
        if act is not None:
            act(pipeline, item.seq)

    pipeline = Pipeline(source, engine, DirectComposer(), [ListSink(on_write)], overflow=overflow)
    pipeline.run()
    return seen, engine.calls.count("reset")


class GatedSource(ScriptedSource):
    """Hands out the next grab only after the one before was shown, so that a live run shows every picture."""

    def __init__(self, grabs: list[Grab]) -> None:
        super().__init__(grabs)
        self.turn = threading.Semaphore(1)

    def read(self) -> Grab:
        assert self.turn.acquire(timeout=5)
        return super().read()

    def release(self) -> None:
        super().release()
        self.turn.release()


def live_epochs(source: GatedSource) -> Any:
    return epochs_of(source, Overflow.DROP_OLDEST, lambda pipeline, seq: source.turn.release())


def test_a_gap_of_over_a_second_starts_a_new_epoch() -> None:
    assert live_epochs(GatedSource(grabs(0, 0.03, 0.9, 1.1, 0.03))) == ([0, 0, 0, 1, 1], 2)


def test_a_slow_file_has_no_gaps() -> None:
    assert epochs_of(ScriptedSource(grabs(0, 2, 2)), Overflow.BLOCK) == ([0, 0, 0], 1)


def test_another_size_starts_a_new_epoch() -> None:
    pictures = grabs(0, 0.03) + grabs(0.06, 0.03, size=(40, 64))
    assert live_epochs(GatedSource(pictures)) == ([0, 0, 1, 1], 2)


def test_a_loop_starts_a_new_epoch() -> None:
    pictures = [Grab(g.image, g.captured_ns, media) for g, media in zip(grabs(0, 0.1, 0.1), (0, 100, 0), strict=True)]
    assert live_epochs(GatedSource(pictures)) == ([0, 0, 1], 2)


def test_reset_and_mirror_start_a_new_epoch() -> None:
    source = GatedSource(grabs(0, 0.03, 0.03, 0.03))

    def act(pipeline: Pipeline, seq: int) -> None:
        if seq == 0:
            pipeline.reset()
        if seq == 2:
            pipeline.mirror = True
        source.turn.release()

    assert epochs_of(source, Overflow.DROP_OLDEST, act) == ([0, 1, 1, 2], 3)


def test_frames_from_before_a_reset_are_not_shown_after_it() -> None:
    """A composite that waits while a new epoch begins is thrown away instead of being shown late."""
    source = PatternSource(frames=None, live=False)
    seen: list[int] = []
    pipeline: Pipeline

    class Held(PassThroughEngine):
        """Gives nothing of a new epoch before the last queue is empty."""

        epoch = 0

        def matte(self, frame: Frame) -> Matte:
            if frame.epoch != self.epoch:
                self.epoch = frame.epoch
                assert until(lambda: not len(pipeline.composed), 20)
            return super().matte(frame)

    def on_write(item: Any) -> None:
        before = pipeline._epoch.current
        assert item.epoch == before
        seen.append(item.epoch)
        if before == 4:
            source.frames = source.delivered
        elif seen.count(before) == 3:
            assert until(lambda: len(pipeline.composed), 20)
            pipeline.reset()
            assert until(lambda: pipeline._epoch.current != before, 20)

    pipeline = Pipeline(source, Held(), DirectComposer(), [ListSink(on_write)], overflow=Overflow.DROP_OLDEST)
    pipeline.run()
    assert seen == sorted(seen) and set(seen) == {0, 1, 2, 3, 4}
    assert pipeline.composed.dropped >= 4


def test_the_mirror_flips_frames_at_capture() -> None:
    sink = ListSink()
    Pipeline(PatternSource(frames=1), PassThroughEngine(), DirectComposer(), [sink], mirror=True).run()
    assert read_number(sink.composites[0].image[:, ::-1]) == 0
    assert sink.composites[0].image.flags.c_contiguous


def test_a_mirrored_frame_has_the_same_bytes_as_a_copy_backwards_and_costs_a_fraction_of_it() -> None:
    image = np.random.default_rng(5).integers(0, 256, (720, 1280, 3), np.uint8)
    pipeline = Pipeline(PatternSource(), PassThroughEngine(), DirectComposer(), mirror=True, scene_reset=False)
    backwards = np.ascontiguousarray(image[:, ::-1])
    assert np.array_equal(pipeline._capture._frame(Grab(image, 0)).image, backwards)

    def processor_s(work: Callable[[], object]) -> float:
        """Processor time of this thread only, the best of many runs: other programs do not count."""
        spent = []
        for _ in range(30):
            began = time.thread_time()
            work()
            spent.append(time.thread_time() - began)
        return min(spent)

    mirrored = processor_s(lambda: pipeline._capture._frame(Grab(image, 0)))
    assert mirrored < processor_s(lambda: np.ascontiguousarray(image[:, ::-1])) / 3


# 5. Errors travel the data path. 6. No thread is abandoned.


def boom() -> None:
    raise RuntimeError("a bug")


class BuggyEngine(PassThroughEngine):
    def matte(self, frame: Frame) -> Matte:
        boom()
        return super().matte(frame)


class EngineWithoutWeights(PassThroughEngine):
    def open(self) -> EngineInfo:
        raise WeightsError("no weights")


FAILURES: dict[str, tuple[Callable[[], dict[str, Any]], type[Exception]]] = {
    "source does not open": (
        lambda: {"source": FailingSource(open_error=SourceUnavailableError("no camera"))},
        SourceUnavailableError,
    ),
    "source fails at once": (lambda: {"source": FailingSource(after=0)}, SourceLostError),
    "source fails later": (lambda: {"source": FailingSource(after=30)}, SourceLostError),
    "engine does not open": (lambda: {"engine": EngineWithoutWeights()}, WeightsError),
    "engine fails": (lambda: {"engine": FailingEngine()}, EngineError),
    "engine has a bug": (lambda: {"engine": BuggyEngine()}, RuntimeError),
    "composer fails at once": (lambda: {"composer": DirectComposer(fail_after=0)}, CompositorError),
    "composer fails later": (lambda: {"composer": DirectComposer(fail_after=30)}, CompositorError),
    "sink fails": (lambda: {"sinks": [ListSink(fail_after=5)]}, SinkError),
    "source gets stuck and engine fails": (
        lambda: {"source": StuckSource(after=1), "engine": BuggyEngine()},
        RuntimeError,
    ),
}


@BOTH
@pytest.mark.parametrize("failure", FAILURES, ids=str)
def test_an_error_anywhere_is_raised_by_run_and_every_thread_ends(failure: str, overflow: Overflow) -> None:
    make, kind = FAILURES[failure]
    # Endless and without pauses, so that every queue is full when it happens.
    parts: dict[str, Any] = {"source": PatternSource(), "engine": PassThroughEngine(), "composer": DirectComposer()}
    sink = ListSink()
    parts.update({"sinks": [sink]} | make())
    pipeline = Pipeline(**parts, overflow=overflow)
    with pytest.raises(kind) as caught:
        pipeline.run()
    assert not [t for t in threading.enumerate() if t.name.startswith("rvm-")]
    assert parts["source"].releases == 1
    assert parts["sinks"][0].calls == ["open", "close(failed=True)"]
    assert pipeline.exit_reason == "error"
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert frames[-1].filename != __import__("rvm_live.pipeline.pipeline", fromlist=["x"]).__file__


def test_a_stage_that_fails_tells_the_one_before_it() -> None:
    with Pipeline(PatternSource(), BuggyEngine(), DirectComposer()) as pipeline:
        until(lambda: pipeline.captured.closed, 5)
        assert isinstance(pipeline.captured.error, RuntimeError)


def test_the_traceback_shows_where_it_happened_in_the_thread() -> None:
    with pytest.raises(RuntimeError) as caught:
        Pipeline(PatternSource(), BuggyEngine(), DirectComposer()).run()
    assert [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)][-2:] == ["matte", "boom"]


@BOTH
def test_leaving_unblocks_a_stuck_read(overflow: Overflow) -> None:
    source = StuckSource(after=2)
    with Pipeline(source, PassThroughEngine(), DirectComposer(), overflow=overflow):
        assert source.stuck.wait(30)
    assert source.releases == 1


@BOTH
def test_leaving_while_an_exception_flies_shuts_down(overflow: Overflow) -> None:
    sink, source = ListSink(), PatternSource()
    pipeline = Pipeline(source, PassThroughEngine(), DirectComposer(), [sink], overflow=overflow)
    with pytest.raises(KeyboardInterrupt), pipeline:
        raise KeyboardInterrupt
    assert pipeline.exit_reason == "interrupted"
    assert sink.calls == ["open", "close(failed=False)"]
    assert source.releases == 1


def test_leaving_before_the_engine_is_ready() -> None:
    started = threading.Event()
    go_on = threading.Event()

    class SlowToOpen(PassThroughEngine):
        def open(self) -> EngineInfo:
            started.set()
            assert go_on.wait(30)
            return super().open()

    engine = SlowToOpen()
    with Pipeline(PatternSource(), engine, DirectComposer()):
        assert started.wait(30)
        threading.Timer(0.05, go_on.set).start()
    assert engine.calls[-1] == "close"


def test_a_sink_that_does_not_open_leaves_nothing_running() -> None:
    class ClosedSink(ListSink):
        def open(self) -> None:
            super().open()
            raise SinkError("no display")

    first, second, source = ListSink(), ClosedSink(), PatternSource()
    with pytest.raises(SinkError):
        Pipeline(source, PassThroughEngine(), DirectComposer(), [first, second, ListSink()]).run()
    assert first.calls == second.calls == ["open", "close(failed=True)"]
    assert source.opened is False and source.releases == 0


# 12. A bad matte is not the fault of the back end.


class SpoilingEngine(PassThroughEngine):
    """Returns mattes on a device that has failed, for some frames."""

    def __init__(self, bad: Container[int]) -> None:
        super().__init__()
        self.bad = bad

    def matte(self, frame: Frame) -> Matte:
        good = super().matte(frame)
        return replace(good, alpha=LateFault(frame.height, frame.width)) if frame.seq in self.bad else good


class Spoiled(ScriptedSource):
    """Hands out the next grab once the one before was shown or left out."""

    def __init__(self, grabs: list[Grab]) -> None:
        super().__init__(grabs)
        self.pipeline: Pipeline | None = None

    def read(self) -> Grab:
        pipeline = self.pipeline
        assert pipeline is not None
        deadline = time.monotonic() + 10
        while (seen := pipeline.snapshot()).shown + sum(seen.dropped.values()) < self.delivered:
            if pipeline.composed.closed or time.monotonic() > deadline:
                break
            time.sleep(0.001)
        return super().read()


def spoiled(bad: Container[int], spans_s: list[float], overflow: Overflow = Overflow.DROP_OLDEST) -> Pipeline:
    """A run with the real composer, whose frames have these distances in time."""
    source, notices = Spoiled(grabs(*spans_s)), Notices()
    composer = Composer([ColorBackground("#00ff00")], notices=notices)
    sinks = [ListSink()]
    pipeline = Pipeline(
        source, SpoilingEngine(bad), composer, sinks, overflow=overflow, scene_reset=False, notices=notices
    )
    source.pipeline = pipeline
    return pipeline


def seqs_of(pipeline: Pipeline) -> list[int]:
    (sink,) = pipeline._sinks
    assert isinstance(sink.sink, ListSink)
    return [item.seq for item in sink.sink.composites]


@pytest.mark.parametrize("bad", [{0}, {4}, {3, 5, 7}, {4, 5, 6}, {11}], ids=str)
def test_a_live_run_goes_on_behind_a_matte_that_cannot_be_read(bad: set[int]) -> None:
    pipeline = spoiled(bad, [0.0] + [0.03] * 11)
    snapshot = pipeline.run()
    assert seqs_of(pipeline) == [seq for seq in range(12) if seq not in bad]
    assert snapshot.dropped == {"captured": 0, "matted": len(bad), "composed": 0}
    (told,) = pipeline.notices.fallbacks
    assert told == "the matte cannot be read (CUDA error: unspecified launch failure): its frame was left out"


def test_an_end_comes_only_after_seconds_of_bad_mattes() -> None:
    """2.9 s of bad mattes are tolerated, as often as they come; the fourth case is longer."""
    spans = [0.0] + [0.1] * 200
    good = {0, 30, 60, 90}
    pipeline = spoiled([seq for seq in range(201) if seq not in good], spans)
    with pytest.raises(MatteError, match="cannot be read"):
        pipeline.run()
    assert seqs_of(pipeline) == sorted(good)
    assert pipeline.snapshot().dropped["matted"] == 3 * 29 + 31


def test_a_file_loses_no_frame_to_a_bad_matte() -> None:
    pipeline = spoiled({4}, [0.0] + [0.03] * 11, Overflow.BLOCK)
    with pytest.raises(MatteError, match="cannot be read"):
        pipeline.run()
    assert pipeline.notices.fallbacks == ()


# 7. The report names what really ran.


def test_a_passed_over_engine_or_source_is_told() -> None:
    class Fallen(PassThroughEngine):
        def open(self) -> EngineInfo:
            return EngineInfo("second", "none", "cpu", "CPU", "fp32", notes=("first engine: not here",))

    pipeline = Pipeline(PatternSource(frames=3), Fallen(), DirectComposer())
    pipeline.run()
    assert pipeline.notices.fallbacks == ("first engine: not here",)


# 9. Latency from the grab; unique frames and repeats.


def test_a_camera_that_repeats_itself_does_not_look_fast() -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    other = picture.copy()
    other[5, 5] = 1  # a difference that the coarse grid misses
    sequence = [picture, picture.copy(), other, other, picture]
    source = ScriptedSource([Grab(image, n * 1000) for n, image in enumerate(sequence)])
    snapshot = Pipeline(source, PassThroughEngine(), DirectComposer(), overflow=Overflow.BLOCK).run()
    assert (snapshot.unique, snapshot.repeated) == (3, 2)


def test_total_latency_counts_from_the_grab(clock: FakeClock) -> None:
    class TakesFortyMs(PassThroughEngine):
        def matte(self, frame: Frame) -> Matte:
            clock.advance(0.04)
            return super().matte(frame)

    source = PatternSource(frames=1, clock=clock)
    pipeline = Pipeline(source, TakesFortyMs(), DirectComposer(clock), clock=clock)
    assert pipeline.run().latency_ms["total"].p50 == pytest.approx(40, rel=0.02)


# How a run ends.


def test_the_reasons_for_an_end() -> None:
    pipeline = Pipeline(PatternSource(frames=100), PassThroughEngine(), DirectComposer(), overflow=Overflow.BLOCK)
    assert pipeline.run().shown == 100
    assert pipeline.exit_reason == "end of source"
    pipeline = Pipeline(PatternSource(fps=100), PassThroughEngine(), DirectComposer())
    pipeline.run(duration=0.05)
    assert pipeline.exit_reason == "duration reached"


def test_idle_sinks_are_called_while_nothing_comes() -> None:
    source = StuckSource(after=0)
    sink = ListSink()
    pipeline: Pipeline

    def stop_soon() -> None:
        sink.idles += 1
        if sink.idles > 5:
            pipeline.stop("enough")

    sink.idle = stop_soon  # type: ignore[method-assign]
    pipeline = Pipeline(source, PassThroughEngine(), DirectComposer(), [sink])
    assert pipeline.run().shown == 0
    assert pipeline.exit_reason == "enough"


# Beside the caller's main loop.


def test_a_run_beside_the_main_loop_ends_when_it_is_stopped() -> None:
    sink, shown = ListSink(), threading.Event()
    sink.on_write = lambda composite: shown.set()
    pipeline = Pipeline(PatternSource(fps=200), PassThroughEngine(), DirectComposer(), [sink])
    pipeline.start()
    assert shown.wait(30)
    assert pipeline.join(timeout=0.01) is None, "it goes on"
    pipeline.stop()
    snapshot = pipeline.join()
    assert snapshot is not None and snapshot.shown == len(sink.composites) > 0
    assert pipeline.exit_reason == "stopped"
    assert sink.calls == ["open", "close(failed=False)"]
    assert not [t for t in threading.enumerate() if t.name.startswith("rvm-")]
    with pytest.raises(SettingsError, match="runs only once"):
        pipeline.start()


def test_a_run_beside_the_main_loop_ends_as_any_other() -> None:
    pipeline = Pipeline(PatternSource(frames=30), PassThroughEngine(), DirectComposer(), overflow=Overflow.BLOCK)
    pipeline.start()
    snapshot = pipeline.join()
    assert snapshot is not None and snapshot.shown == 30
    assert pipeline.exit_reason == "end of source"


@pytest.mark.parametrize("failure", ["source does not open", "engine has a bug", "sink fails"])
def test_what_fails_beside_the_main_loop_is_raised_by_join(failure: str) -> None:
    make, kind = FAILURES[failure]
    parts: dict[str, Any] = {"source": PatternSource(), "engine": PassThroughEngine(), "composer": DirectComposer()}
    pipeline = Pipeline(**{**parts, **make()})
    pipeline.start()
    with pytest.raises(kind):
        pipeline.join()
    assert pipeline.exit_reason == "error"


def test_what_cannot_be_begun_beside_a_main_loop_is_refused() -> None:
    class Window(ListSink):
        runs_on = "main"

    pipeline = Pipeline(PatternSource(frames=3), PassThroughEngine(), DirectComposer(), [Window()])
    with pytest.raises(SettingsError, match="call run"):
        pipeline.start()
    with pytest.raises(SettingsError, match="call start"):
        pipeline.join()


def test_a_program_that_ends_without_stopping_it_ends_it_in_good_order() -> None:
    program = """if True:
        from rvm_live.pipeline import Pipeline
        from tests.support.composers import DirectComposer, ListSink
        from tests.support.engines import PassThroughEngine
        from tests.support.sources import PatternSource
        class Telling(ListSink):
            def close(self, *, failed):
                print("closed", failed, flush=True)
        Pipeline(PatternSource(fps=100), PassThroughEngine(), DirectComposer(), [Telling()]).start()
    """
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed False\n", "")
