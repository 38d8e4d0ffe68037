"""Counts, rates and percentiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvm_live.core.frames import Composite, Frame, Matte, Stamps
from rvm_live.pipeline.metrics import RECENT, LatencyTrack, Metrics, frame_rate
from rvm_live.pipeline.pacing import Pacer
from tests.support.clock import FakeClock


def composite(seq: int, captured_ns: int, *, repeated: bool = False) -> Composite:
    image = np.zeros((4, 4, 3), np.uint8)
    frame = Frame(image, seq, 0, captured_ns, repeated=repeated)
    matte = Matte(frame, np.zeros((4, 4), np.uint8))
    ms = 1_000_000
    stamps = Stamps(captured_ns, captured_ns + ms, captured_ns + 6 * ms, captured_ns + 7 * ms, captured_ns + 9 * ms)
    return Composite(image, matte, stamps)


def test_n_stamps_are_n_minus_one_intervals() -> None:
    assert frame_rate([0, 500_000_000, 1_000_000_000]) == pytest.approx(2.0)
    assert frame_rate([5]) == 0.0
    assert frame_rate([]) == 0.0


@given(st.lists(st.floats(0.01, 5000), min_size=1, max_size=400))
def test_percentiles_are_right_to_a_hundredth(values: list[float]) -> None:
    track = LatencyTrack()
    for value in values:
        track.add(value)
    exact = [float(np.percentile(values, q, method="inverted_cdf")) for q in (50, 95, 99)]
    overall = track.overall()
    assert [overall.p50, overall.p95, overall.p99] == pytest.approx(exact, rel=0.011)


def test_recent_percentiles_forget_the_past() -> None:
    track = LatencyTrack()
    for value in [1000.0] * 10 + [2.0] * RECENT:
        track.add(value)
    assert track.recent().p99 == 2.0
    assert track.overall().p99 > 900


def test_stages_are_told_apart_and_total_runs_from_the_grab(clock: FakeClock) -> None:
    metrics = Metrics(clock)
    item = composite(0, 0)
    metrics.captured(0)
    metrics.shown(item, 12_000_000)
    latency = metrics.snapshot({}).latency_ms
    assert latency["matting"].p50 == pytest.approx(5, rel=0.011)
    assert latency["compositing"].p50 == pytest.approx(2, rel=0.011)
    assert latency["display"].p50 == pytest.approx(3, rel=0.011)
    assert latency["total"].p50 == pytest.approx(12, rel=0.011)


def test_repeats_do_not_count_as_frames_per_second(clock: FakeClock) -> None:
    metrics = Metrics(clock)
    for n in range(61):
        clock.advance(1 / 60)
        metrics.captured(clock.now_ns())
        metrics.shown(composite(n, clock.now_ns(), repeated=n % 2 == 1), clock.now_ns())
    snapshot = metrics.snapshot({"captured": 3})
    assert (snapshot.unique, snapshot.repeated, snapshot.shown) == (31, 30, 61)
    assert snapshot.unique_fps == pytest.approx(30, rel=1e-6)
    assert snapshot.recent_fps == pytest.approx(30, rel=1e-6)
    assert snapshot.dropped == {"captured": 3}


def test_the_recent_rate_falls_to_zero_when_nothing_comes(clock: FakeClock) -> None:
    metrics = Metrics(clock)
    for n in range(30):
        clock.advance(1 / 30)
        metrics.shown(composite(n, clock.now_ns()), clock.now_ns())
    clock.advance(3)
    assert metrics.snapshot({}).recent_fps == 0.0


def show(pacer: Pacer, clock: FakeClock, arrival_ns: int) -> int:
    clock.time_ns = max(clock.time_ns, arrival_ns)
    while wait := pacer.wait_ns(clock.now_ns()):
        clock.time_ns += wait
    pacer.shown(clock.now_ns())
    return clock.now_ns()


@pytest.mark.slow
@given(st.floats(20, 120), st.integers(0, 2**32 - 1))
def test_the_pace_does_not_drift(fps: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    clock, pacer = FakeClock(0), Pacer(fps)
    period = 1e9 / fps
    # A source three times as fast; each picture is late by up to a millisecond of scheduling noise.
    shown = [show(pacer, clock, round(n * period / 3 + rng.uniform(0, 1e6))) for n in range(3000)]
    assert shown[-1] - shown[0] == pytest.approx((len(shown) - 1) * period, abs=1.5 * period)


def test_a_slower_source_is_never_held_up() -> None:
    clock, pacer = FakeClock(0), Pacer(60)
    arrivals = [round(n * 1e9 / 29.97) for n in range(300)]
    assert [show(pacer, clock, arrival) for arrival in arrivals] == arrivals


def test_a_source_of_the_same_rate_with_jitter_is_not_held_up() -> None:
    rng = np.random.default_rng(1)
    clock, pacer = FakeClock(0), Pacer(60)
    arrivals = [round(n * 1e9 / 60 + rng.uniform(0, 4e6)) for n in range(600)]
    assert [show(pacer, clock, arrival) for arrival in arrivals] == arrivals


def test_no_burst_after_a_pause() -> None:
    clock, pacer = FakeClock(0), Pacer(10)
    show(pacer, clock, 0)
    later = [show(pacer, clock, 5_000_000_000) for _ in range(4)]
    gaps = np.diff(later) / 1e9
    assert gaps.sum() >= 0.25 - 1e-6
    assert gaps.max() <= 0.1 + 1e-6
