"""Outputs side by side: each at its own rate, none outdated, and one that fails or hangs ends alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rvm_live.core.errors import SettingsError, SinkError
from rvm_live.core.frames import Composite
from rvm_live.core.notices import Notices
from rvm_live.core.queues import Overflow
from rvm_live.pipeline.fan_out import Fresh
from rvm_live.pipeline.pipeline import Pipeline
from rvm_live.sinks.base import PictureSink, Shot
from tests.support.clock import FakeClock
from tests.support.composers import DirectComposer, ListSink
from tests.support.engines import PassThroughEngine
from tests.support.pictures import make_composite
from tests.support.sources import PatternSource, StuckSource
from tests.support.waiting import until

BLOCK, LIVE = Overflow.BLOCK, Overflow.DROP_OLDEST


class Beside(ListSink):
    """A sink on its own thread."""

    runs_on = "own"
    name = "beside"

    def __init__(self, on_write: Callable[[Composite], None] | None = None, fail_after: int | None = None) -> None:
        super().__init__(on_write, fail_after)
        self.threads: set[threading.Thread] = set()

    def open(self) -> None:
        self.threads.add(threading.current_thread())
        super().open()

    def write(self, composite: Composite) -> None:
        self.threads.add(threading.current_thread())
        super().write(composite)

    def idle(self) -> None:
        self.threads.add(threading.current_thread())
        super().idle()

    def clear(self) -> None:
        self.threads.add(threading.current_thread())
        self.calls.append("clear")

    def close(self, *, failed: bool) -> None:
        self.threads.add(threading.current_thread())
        super().close(failed=failed)


class Pictures(PictureSink):
    """Takes pictures as a virtual camera does."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    def open(self) -> None:
        pass

    def write_picture(self, shot: Shot) -> None:
        self.taken.append(shot)

    def close(self, *, failed: bool) -> None:
        pass


def pipeline_of(*sinks: Any, source: Any = None, overflow: Overflow = LIVE, **options: Any) -> Pipeline:
    frames = PatternSource(fps=200) if source is None else source
    return Pipeline(frames, PassThroughEngine(), DirectComposer(), sinks, overflow=overflow, **options)


def wait_for(true: Callable[[], object]) -> None:
    assert until(true, 20)


def test_a_sink_lives_on_one_thread_of_its_own() -> None:
    first, second = Beside(), Beside()
    pipeline_of(first, second, source=PatternSource(frames=40), overflow=BLOCK).run()
    names = [{thread.name for thread in sink.threads} for sink in (first, second)]
    assert names == [{"rvm-beside"}, {"rvm-beside 2"}]
    assert first.calls == second.calls == ["open", "close(failed=False)"]
    assert [each.seq for each in first.composites] == [each.seq for each in second.composites] == list(range(40))


def test_of_a_file_every_output_gets_as_many_as_are_wanted() -> None:
    sinks = [Beside(), ListSink(), Beside()]
    pipeline = pipeline_of(*sinks, overflow=BLOCK)
    assert pipeline.run(frames=7).shown == 7
    assert pipeline.exit_reason == "frames reached"
    assert [len(sink.composites) for sink in sinks] == [7, 7, 7]


@pytest.mark.parametrize("window", [True, False])
def test_a_slow_output_holds_up_no_other_and_what_it_misses_is_counted(window: bool) -> None:
    go = threading.Event()
    slow, quick = Beside(lambda composite: go.wait(20) and None), ListSink() if window else Beside()
    quick.on_write = lambda composite: go.set() if len(quick.composites) == 60 else None
    snapshot = pipeline_of(slow, quick).run(frames=80)
    assert len(quick.composites) >= 60
    assert snapshot.dropped["beside"] > 30
    assert slow.composites[-1].seq > 60, "the newest, once it takes some again"


def test_each_output_has_its_rate() -> None:
    class Slower(Beside):
        fps = 20.0

    taken: list[float] = []
    slower, quick = Slower(lambda composite: taken.append(time.perf_counter())), Beside()
    pipeline_of(slower, quick).run(frames=100)
    assert len(quick.composites) > 2 * len(taken) > 8
    assert len(taken) <= (taken[-1] - taken[0]) * 20 + 4, "what waits at the end comes at once"


def test_what_waits_for_an_output_from_before_a_reset_is_not_shown() -> None:
    pipeline: Pipeline
    seen: list[int] = []

    def on_write(item: Composite) -> None:
        seen.append(item.epoch)
        if len(seen) == 5:
            pipeline.reset()
            wait_for(lambda: pipeline._epoch.current == 1)

    pipeline = pipeline_of(Beside(on_write))
    pipeline.run(frames=100)
    assert seen[:5] == [0] * 5
    assert set(seen[5:]) == {1}


# No output shows a frozen person.


def test_every_output_is_cleared_when_nothing_comes(clock: FakeClock) -> None:
    outputs = [Fresh(sink, clock) for sink in (Beside(), ListSink(), Pictures(), object())]
    for each in outputs[:2]:
        for _ in range(3):
            each.write(make_composite())
            each.idle()
            clock.advance(1 / 30)
        clock.advance(0.45)
        each.idle()
        assert "clear" not in each.sink.calls  # type: ignore[attr-defined]
        clock.advance(0.1)
        each.idle()
        each.idle()
    assert outputs[0].sink.calls == ["clear"], "once"  # type: ignore[attr-defined]
    outputs[3].idle()  # a sink that needs neither call


@pytest.mark.parametrize("runs_on", ["own", "run"])
def test_in_a_run_no_face_stays_on_any_output(runs_on: str, clock: FakeClock) -> None:
    sink = Beside()
    sink.runs_on = runs_on
    pipeline = pipeline_of(sink, source=StuckSource(after=1), clock=clock)
    pipeline.start()
    wait_for(lambda: sink.composites)
    clock.advance(0.49)
    wait_for(lambda: sink.idles > 5)
    assert "clear" not in sink.calls
    clock.advance(0.02)
    wait_for(lambda: "clear" in sink.calls)
    pipeline.stop()
    pipeline.join()
    assert sink.calls == ["open", "clear", "close(failed=False)"] and len(sink.composites) == 1


# One output ends alone.


@pytest.mark.parametrize("other", [ListSink, Beside], ids=["window", "beside"])
def test_one_that_fails_ends_alone_and_is_told(other: Callable[[], ListSink]) -> None:
    failing, going_on, notices = Beside(fail_after=5), other(), Notices()
    pipeline = pipeline_of(failing, going_on, notices=notices)
    pipeline.run(frames=60)
    assert pipeline.exit_reason == "frames reached"
    assert len(going_on.composites) > 40
    assert notices.fallbacks == ("the sink failed on purpose: the other outputs continue",)
    assert failing.calls == ["open", "close(failed=True)"]
    assert going_on.calls[-1] == "close(failed=False)"


class Aside(ListSink):
    aside = True


@pytest.mark.parametrize("others", [[], [Aside()]], ids=["alone", "nothing but a listener beside it"])
def test_the_last_that_fails_ends_the_run(others: list[ListSink]) -> None:
    pipeline = pipeline_of(Beside(fail_after=5), *others)
    with pytest.raises(SinkError, match="on purpose"):
        pipeline.run()
    assert pipeline.exit_reason == "error"


def test_a_file_is_whole_on_every_output_or_the_run_ends() -> None:
    failing, other = Beside(fail_after=5), Beside()
    with pytest.raises(SinkError, match="on purpose"):
        pipeline_of(failing, other, overflow=BLOCK).run()
    assert other.calls == ["open", "close(failed=True)"]


def test_one_that_does_not_open_ends_the_run_before_it_begins() -> None:
    class Closed(Beside):
        def open(self) -> None:
            super().open()
            raise SinkError("no such device")

    first, second, last, source = Beside(), Closed(), ListSink(), PatternSource()
    with pytest.raises(SinkError, match="no such device"):
        pipeline_of(first, second, last, source=source).run()
    assert first.calls == second.calls == ["open", "close(failed=True)"]
    assert last.calls == [] and source.releases == 0


def test_an_error_at_the_end_is_raised() -> None:
    class Full(Beside):
        def close(self, *, failed: bool) -> None:
            super().close(failed=failed)
            raise SinkError("the disk is full")

    other = Beside()
    with pytest.raises(SinkError, match="disk is full"):
        pipeline_of(Full(), other, source=PatternSource(frames=5), overflow=BLOCK).run()
    assert other.calls == ["open", "close(failed=False)"]


def test_one_that_hangs_ends_alone_is_told_and_is_not_waited_for(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rvm_live.pipeline.fan_out.GRACE_S", 0.2)
    entered, free = threading.Event(), threading.Event()

    def hang(composite: Composite) -> None:
        entered.set()
        free.wait(60)

    hanging, other, notices = Beside(hang), ListSink(), Notices()
    pipeline = pipeline_of(hanging, other, notices=notices, clock=clock)
    pipeline.start()
    assert entered.wait(20)
    before = len(other.composites)
    clock.advance(Beside.patience_s + 1)
    wait_for(lambda: notices.fallbacks)
    wait_for(lambda: len(other.composites) > before + 5)
    pipeline.stop()
    pipeline.join(20)
    free.set()
    assert pipeline.left == ("beside",)
    assert notices.fallbacks == (
        "the output beside hangs: the other outputs continue",
        "beside did not end; its thread was left running",
    )
    assert other.calls == ["open", "close(failed=False)"]
    wait_for(lambda: not any(thread.is_alive() for thread in hanging.threads))


# What an output receives.


def test_an_output_of_pictures_holds_no_matte() -> None:
    sink = Pictures()
    pipeline = pipeline_of(sink, source=PatternSource(frames=5), overflow=BLOCK)
    pipeline.run()
    assert [type(each) for each in sink.taken] == [Shot] * 5
    assert all(isinstance(each.image, np.ndarray) for each in sink.taken)


def test_what_waits_for_an_output_of_pictures_is_no_matte_either() -> None:
    pipeline = pipeline_of(Pictures(), Beside())
    composite = make_composite()
    pictures, whole = pipeline.outputs.outputs
    for each in (pictures, whole):
        each.put(composite)
    assert isinstance(pictures.queue.get().picture, Shot)
    assert whole.queue.get().picture is composite


class Late(Beside):
    """Fails to open, or to write."""

    def __init__(self, fails: str) -> None:
        super().__init__()
        self.fails = fails

    def open(self) -> None:
        super().open()
        if self.fails == "open":
            raise SinkError("no such device")

    def write(self, composite: Composite) -> None:
        super().write(composite)
        if self.fails == "write":
            raise SinkError("nobody takes it")


def test_outputs_come_and_go_while_it_runs() -> None:
    lead, one, other = ListSink(), Beside(), Beside()
    pipeline = pipeline_of(lead)
    run = iter(pipeline.composites(frames=4000))
    next(run)
    pipeline.outputs.add(one)
    while len(one.composites) < 5:
        next(run)
    assert pipeline.outputs.has(one) and not pipeline.outputs.has(other)
    pipeline.outputs.add(other)
    pipeline.outputs.remove(one)
    pipeline.outputs.remove(one)
    while len(other.composites) < 5 or len(one.calls) < 2:
        next(run)
    taken = len(one.composites)
    for _ in range(20):
        next(run)
    assert len(one.composites) == taken and not pipeline.outputs.has(one)
    run.close()  # type: ignore[attr-defined]
    assert one.calls == other.calls == ["open", "close(failed=False)"]
    with pytest.raises(SettingsError, match="the run is over"):
        pipeline.outputs.add(Beside())


@pytest.mark.parametrize("fails", ["open", "write"])
def test_no_run_ends_for_the_sake_of_an_output_that_came_later(fails: str) -> None:
    aside, late = ListSink(), Late(fails)
    aside.aside = True
    pipeline = pipeline_of(aside)
    run = iter(pipeline.composites())
    next(run)
    pipeline.outputs.add(late)
    while pipeline.outputs.has(late):
        next(run)
    for _ in range(5):
        next(run)
    run.close()  # type: ignore[attr-defined]
    reason = {"open": "no such device", "write": "nobody takes it"}[fails]
    assert pipeline.notices.fallbacks == (f"{reason}: the other outputs continue",)
    assert late.calls == ["open", "close(failed=True)"]


def test_of_a_file_and_on_the_thread_of_the_run_no_output_comes_later() -> None:
    for pipeline, sink in ((pipeline_of(overflow=BLOCK), Beside()), (pipeline_of(), ListSink())):
        with pytest.raises(SettingsError, match="in live video"):
            pipeline.outputs.add(sink)
