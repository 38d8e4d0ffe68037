"""Holding ``--fps``: no frame waits for it, and a steady rate comes out. The pacer; the pipeline in virtual time."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvm_live.errors import SettingsError
from rvm_live.frames import Composite, Frame, Matte
from rvm_live.pacing import Pacer
from rvm_live.pipeline import Pipeline
from rvm_live.queues import Overflow
from rvm_live.sources.base import Grab
from tests.support.clock import FakeClock
from tests.support.composers import DirectComposer, ListSink
from tests.support.engines import PassThroughEngine
from tests.support.simulated import Run, grabs, simulate
from tests.support.sources import PatternSource
from tests.test_faults import wait_for

SEED = 20


def taken(pacer: Pacer, arrivals_ms: list[float]) -> list[float]:
    return [when for when in arrivals_ms if pacer.lets_through(round(when * 1e6))]


@given(st.floats(20, 120), st.floats(1.05, 8), st.integers(0, 2**32 - 1))
def test_the_pace_does_not_drift(fps: float, quicker: float, seed: int) -> None:
    """Whatever the source, each frame late by up to a millisecond of scheduling noise."""
    rng = np.random.default_rng(seed)
    went = taken(Pacer(fps), list(grabs(quicker * fps, 3000, lambda: rng.uniform(0, 1))))
    went = went[130:]  # once the source is known
    assert (went[-1] - went[0]) * fps / 1000 == pytest.approx(len(went) - 1, rel=0.002, abs=2)


@pytest.mark.parametrize("source", [5, 29.97, 59.94, 60, 60.06, 60.6, 61])
def test_a_source_of_about_the_same_rate_or_a_slower_one_keeps_every_frame(source: float) -> None:
    """Also with the jitter of a camera, and after hiccups in which frames come late and all at once."""
    rng = np.random.default_rng(SEED)
    for jitter in (lambda: 0.0, lambda: rng.uniform(0, 6), lambda: 150.0 * (rng.random() < 0.01)):
        arrivals = list(grabs(source, 4000, jitter))
        assert taken(Pacer(60), arrivals) == arrivals


@pytest.mark.parametrize(("source", "every"), [(60, 2), (90, 3), (120, 4)])
def test_of_a_multiple_every_nth_frame_is_taken(source: float, every: int) -> None:
    rng = np.random.default_rng(SEED)
    arrivals = list(grabs(source, 2000, lambda: rng.uniform(0, 4)))
    assert taken(Pacer(30), arrivals)[20:] == arrivals[::every][20 : 20 + len(arrivals)]


def test_no_burst_after_a_pause() -> None:
    pacer = Pacer(10)
    arrivals = list(grabs(100, 300))
    steady = taken(pacer, arrivals)
    later = taken(pacer, [when + 13_000 for when in arrivals])
    assert len(later) <= len(steady) + 1
    assert np.diff(later).min() >= 50


def test_a_camera_that_changes_its_rate_is_followed() -> None:
    pacer = Pacer(30)
    slow = taken(pacer, list(grabs(25, 250)))
    quick = taken(pacer, [10_000 + when for when in grabs(60, 600)])
    assert len(slow) == 250
    assert len([when for when in quick if when >= 12_000]) == pytest.approx(240, abs=2)


def test_a_limit_must_be_a_rate() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Pacer(0)


# The pipeline in virtual time


STAGES = [lambda: 5.0, lambda: 2.0, lambda: 1.0]


@pytest.mark.parametrize(
    ("source", "max_fps"), [(30, 30), (30.3, 30), (60, 30), (60.06, 60), (60.6, 60), (33, 30), (75, 60), (144, 60)]
)
@pytest.mark.parametrize("hiccups", [False, True])
def test_no_frame_waits_for_the_pace(source: float, max_fps: float, hiccups: bool) -> None:
    """From the grab to the screen a frame takes what the stages take, also after a hiccup of matting."""
    rng = np.random.default_rng(SEED)
    stages = [lambda: 150.0 if hiccups and rng.random() < 0.002 else 5.0, *STAGES[1:]]
    run = simulate(grabs(source, 3000), stages, max_fps)
    assert np.median(run.latencies_ms) == pytest.approx(8)
    assert np.percentile(run.latencies_ms, 90) == pytest.approx(8)
    wanted = min(source, max_fps * 1.02 if source <= max_fps * 1.02 else max_fps)
    assert run.fps == pytest.approx(wanted, rel=0.005 if not hiccups else 0.05)


@pytest.mark.parametrize("slowest", [0, 1, 2])
@pytest.mark.parametrize("load", [0.85, 0.95, 1.02])
def test_a_stage_that_is_a_hair_slow_costs_no_more_than_its_share(slowest: int, load: float) -> None:
    """Mailboxes of one beside queues of two: as many frames from a stage whose times jitter, and younger ones."""

    def run(size: int) -> Run:
        rng = np.random.default_rng(SEED)
        stages = list(STAGES)
        stages[slowest] = lambda: float(rng.normal(load * 1000 / 60, 1.5))
        return simulate(grabs(60, 6000, lambda: float(rng.uniform(0, 3))), stages, 60, size)

    ones, twos = run(1), run(2)
    assert ones.fps > 0.99 * twos.fps
    assert ones.fps > 0.97 * min(60, 60 / load)
    assert np.mean(ones.latencies_ms) <= np.mean(twos.latencies_ms) + 0.01


# The real one


@pytest.mark.parametrize(("source", "limit"), [(60, 30), (30.3, 30), (60.06, 60), (30, None)])
def test_the_pace_is_held_at_the_grab(clock: FakeClock, source: float, limit: float | None) -> None:
    """What is left out is never matted, and is counted; of a source of about the same rate that is nothing."""
    matted: list[int] = []

    class Noting(PassThroughEngine):
        def matte(self, frame: Frame) -> Matte:
            matted.append(frame.captured_ns)
            return super().matte(frame)

    class Ticking(PatternSource):
        """Its own time moves on by one interval a frame, when the frame before has been matted or dropped."""

        def read(self) -> Grab:
            wait_for(lambda: len(matted) + pipeline.captured.dropped == self.delivered)
            clock.advance(1 / source)
            return super().read()

    camera = Ticking(frames=200, live=True, clock=clock)
    pipeline = Pipeline(camera, Noting(), DirectComposer(clock), [], max_fps=limit, scene_reset=False, clock=clock)
    snapshot = pipeline.run()
    assert snapshot.captured == 200 == len(matted) + snapshot.dropped["captured"]
    if source == 60 == 2 * (limit or 0):
        assert len(matted) == pytest.approx(100, abs=1)
        assert np.diff(matted)[10:] == pytest.approx(1e9 / 30, abs=10)
    else:
        assert len(matted) == 200


def test_what_is_shown_next_is_the_newest() -> None:
    """While the screen is busy with one picture five more are finished: the last of them comes next."""
    sink = ListSink()
    turn = threading.Semaphore(1)

    class Gated(PatternSource):
        def read(self) -> Grab:
            assert turn.acquire(timeout=10)
            return super().read()

    def busy(composite: Composite) -> None:
        if composite.seq == 0:
            for number in range(1, 6):
                turn.release()
                wait_for(lambda: composer.calls.count("compose") == number + 1)  # noqa: B023
            turn.release()
            wait_for(lambda: pipeline.composed.closed)

    composer = DirectComposer()
    sink.on_write = busy
    pipeline = Pipeline(Gated(frames=6, live=True), PassThroughEngine(), composer, [sink])
    pipeline.run()
    assert [item.seq for item in sink.composites] == [0, 5]


def test_a_limit_is_for_live_video() -> None:
    with pytest.raises(SettingsError, match="a file loses no frame"):
        Pipeline(PatternSource(), PassThroughEngine(), DirectComposer(), overflow=Overflow.BLOCK, max_fps=30)
