"""Counts, rates and percentiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvm_live.frames import Composite, Frame, Matte, Stamps
from rvm_live.metrics import RECENT, LatencyTrack, Metrics, frame_rate
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
