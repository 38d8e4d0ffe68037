"""The controller on a simulated machine and clock; then real engines that change size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo, Rung
from rvm_live.engines.common.ladder import FACTORS, SIDES, rungs_for
from rvm_live.engines.rvm.openvino.engine import OpenVinoEngine
from rvm_live.engines.rvm.torch.engine import RvmEngine
from rvm_live.engines.select import AutoEngine
from rvm_live.pipeline.adaptive import PATIENCE_S, Controller, Governor
from tests.support.clock import FakeClock
from tests.support.engines import PassThroughEngine
from tests.support.videos import read_frames
from tests.support.waiting import until

RUNGS = rungs_for(1280, 720, ("fp32", "bf16"))
COSTS = [rung.cost / RUNGS[-1].cost for rung in RUNGS]
BUDGET_MS = 30.0


def simulate(
    load: Callable[[float], float], seconds: float, rung: int = 3, seed: int = 0
) -> list[tuple[float, int, float]]:
    """(time, rung, milliseconds) of every frame at 30 fps, on a machine whose cheapest rung takes ``load(t)``."""
    rng = np.random.default_rng(seed)
    clock = FakeClock(0)
    controller = Controller(COSTS, rung, clock)
    taken = []
    while clock.time_ns < seconds * 1e9:
        now = clock.time_ns / 1e9
        ms = load(now) * COSTS[controller.rung] * float(rng.lognormal(0, 0.04))
        taken.append((now, controller.rung, ms))
        clock.advance(ms / 1000)
        wanted = controller.observe(ms, BUDGET_MS)
        if wanted is not None:
            controller.moved(wanted)
        clock.advance(max(0.0, 1 / 30 - ms / 1000))
    return taken


def moves(taken: list[tuple[float, int, float]]) -> int:
    return sum(a[1] != b[1] for a, b in pairwise(taken))


def late(taken: list[tuple[float, int, float]], after: float = 0.0) -> float:
    """Share of the frames after ``after`` that took longer than the budget."""
    times = [ms for when, _, ms in taken if when >= after]
    return sum(ms > BUDGET_MS for ms in times) / len(times)


def test_a_steady_load_leads_to_the_best_rung_that_keeps_the_budget_and_stays_there() -> None:
    taken = simulate(lambda t: 10.0, 60, rung=0)
    best = next(rung for rung, cost in enumerate(COSTS) if 10 * cost * 1.08 <= BUDGET_MS)
    assert taken[-1][1] == best
    assert moves([each for each in taken if each[0] > 20]) == 0
    assert late(taken, after=20) <= 0.05


@pytest.mark.parametrize("fps", [2, 4, 8, 15])
@pytest.mark.parametrize("good_s", [0.0, 10.0])
def test_a_run_that_is_far_too_slow_has_moved_within_a_second_and_a_half(fps: int, good_s: float) -> None:
    """From its start, or when a machine that kept up no longer does: time counts, not the number of frames."""
    slow, quick = 1000 / fps / COSTS[1], 0.8 * BUDGET_MS / COSTS[1]
    taken = simulate(lambda t: slow if t >= good_s else quick, good_s + 4, rung=1)
    moved = next(when for when, rung, _ in taken if rung != 1)
    assert good_s < moved <= good_s + 1.5
    if slow < BUDGET_MS:  # the lowest rung keeps within it
        assert late(taken, after=good_s + 3) <= 0.1


@pytest.mark.parametrize("fps", [4, 15, 30])
def test_one_late_frame_is_no_reason_to_move(fps: int) -> None:
    clock = FakeClock(0)
    controller = Controller(COSTS, 1, clock)
    for number in range(fps * 20):
        clock.advance(1 / fps)
        assert controller.observe(400.0 if number % (fps * 4) == fps else 900 / fps, 1000 / fps) is None


RESORT = [*COSTS, 0.5]  # another engine, at half the cost of the smallest size


def resorting(
    load: Callable[[float], float], seconds: float, pressed: Callable[[float], bool] = lambda t: False
) -> Any:
    """(time, rung) of every frame where the last rung is another engine; a frame may take 33 ms."""
    clock = FakeClock(0)
    controller = Controller(RESORT, 5, clock, resort=True)
    taken = []
    while clock.time_ns < seconds * 1e9:
        now = clock.time_ns / 1e9
        ms = load(now) * RESORT[controller.rung]
        taken.append((now, controller.rung))
        clock.advance(ms / 1000)
        wanted = controller.observe(ms, 1000 / 30, pressed=pressed(now))
        if wanted is not None:
            controller.moved(wanted)
        clock.advance(max(0.0, 1 / 30 - ms / 1000))
    return taken


def test_the_last_resort_is_for_what_does_not_keep_24() -> None:
    lowest = len(COSTS) - 1
    assert {rung for when, rung in resorting(lambda t: 40.0, 30) if when > 2} == {lowest}  # 25 fps; 30 are asked for
    taken = resorting(lambda t: 45.0 if t < 60 else 12.0, 90)
    assert taken[-1][1] < lowest, "the machine is quieter, and it did not come back"
    there = [when for when, rung in taken if rung == lowest + 1]
    assert there[0] < 3 and 60 + 4 * PATIENCE_S - 0.5 < there[-1] < 60 + 4 * PATIENCE_S + 3


def test_what_does_not_last_after_the_last_resort_is_tried_ever_more_rarely() -> None:
    """From the other engine the smallest size looks affordable, but it is too slow."""
    clock = FakeClock(0)
    controller = Controller([1.0, 0.5], 0, clock, resort=True)
    tried = []
    while clock.time_ns < 1200e9:
        ms = 60.0 if controller.rung == 0 else 10.0
        clock.advance(max(ms / 1000, 1 / 30))
        wanted = controller.observe(ms, 1000 / 30)
        if wanted is not None:
            controller.moved(wanted)
            tried += [clock.time_ns / 1e9] if wanted == 0 else []
    apart = [b - a for a, b in pairwise(tried)]
    assert len(tried) <= 7
    assert all(later > 1.5 * earlier for earlier, later in pairwise(apart[:5]))


def test_where_other_programs_wait_there_is_a_step_down_every_other_second_and_none_up() -> None:
    taken = resorting(lambda t: 5.0, 40, pressed=lambda t: 20 <= t < 30)
    steps = [(when, b) for (_, a), (when, b) in pairwise(taken) if a != b]
    assert taken[0][1] > 0 and next(rung for when, rung in taken if when > 19.9) == 0
    pressed = [step for step in steps if 20 <= step[0] < 30.1]
    assert [rung for _, rung in pressed] == list(range(1, 1 + len(pressed)))
    assert len(pressed) == 5
    assert steps[-1][1] < pressed[-1][1]


def test_a_rising_load_is_answered_within_seconds() -> None:
    taken = simulate(lambda t: 6.0 if t < 20 else 14.0, 60)
    assert late(taken, after=24) <= 0.05
    assert taken[-1][1] > next(rung for when, rung, _ in taken if when > 19)


def test_a_falling_load_is_used_but_not_at_once() -> None:
    taken = simulate(lambda t: 14.0 if t < 20 else 5.0, 90, rung=5)
    before = next(rung for when, rung, _ in taken if when > 19)
    soon = next(rung for when, rung, _ in taken if when > 20 + PATIENCE_S * 0.9)
    assert soon == before
    assert taken[-1][1] < before
    assert late(taken, after=24) <= 0.05


def test_an_oscillating_load_does_not_make_the_picture_change_with_it() -> None:
    taken = simulate(lambda t: 6.0 if int(t / 8) % 2 else 12.0, 240)
    assert moves(taken) <= 16  # the load changes thirty times
    assert moves([each for each in taken if each[0] > 120]) <= 4


@settings(max_examples=30, deadline=None)
@given(st.floats(0.5, 200), st.integers(0, 5), st.integers(0, 1000))
def test_whatever_the_load_it_settles(load: float, rung: int, seed: int) -> None:
    taken = simulate(lambda t: load, 120, rung=rung, seed=seed)
    assert moves([each for each in taken if each[0] > 60]) <= 2
    assert all(0 <= each[1] < len(COSTS) for each in taken)
    if load * 1.3 < BUDGET_MS:
        assert late(taken, after=60) <= 0.08
    else:
        assert taken[-1][1] == len(COSTS) - 1 or load <= BUDGET_MS


@given(st.tuples(st.integers(16, 4000), st.integers(16, 4000)), st.sampled_from([("fp32",), ("fp32", "bf16")]))
def test_every_rung_is_cheaper_than_the_one_above_and_precision_goes_before_size(
    size: tuple[int, int], precisions: tuple[str, ...]
) -> None:
    rungs = rungs_for(*size, precisions)
    assert all(above.cost > below.cost and above.ratio >= below.ratio for above, below in pairwise(rungs))
    assert [rung.precision for rung in rungs if rung.ratio == rungs[0].ratio] == list(precisions) if rungs else True
    assert {rung.precision for rung in rungs if rung.ratio != rungs[0].ratio} <= {precisions[-1]}


def test_a_fast_machine_goes_up_to_single_precision_and_gives_that_up_first() -> None:
    """As soon as the load grows a little, precision is reduced and the size stays."""
    spare = BUDGET_MS / COSTS[0]
    taken = simulate(lambda t: spare * (0.7 if t < 60 else 1.2), 90, rung=3)
    assert next(rung for when, rung, _ in taken if when > 55) == 0
    assert taken[-1][1] == 1
    assert RUNGS[0].ratio == RUNGS[1].ratio and (RUNGS[0].precision, RUNGS[1].precision) == ("fp32", "bf16")


def rungs_of(*ratios: float) -> tuple[Rung, ...]:
    return tuple(Rung(ratio, "fp32", ratio**2) for ratio in ratios)


class Ladder(PassThroughEngine):
    """Takes as long as its ratio costs; a new ratio is ready when it is asked for a second time."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.asked: list[float] = []
        self._info = EngineInfo("ladder", "none", "cpu", "CPU", "fp32", 0.4)

    @property
    def rungs(self) -> tuple[Rung, ...]:
        return rungs_of(0.4, 0.3, 0.2)

    def use_rung(self, rung: Rung) -> bool:
        self.asked.append(rung.ratio)
        if self.asked.count(rung.ratio) < 2:
            return False
        self._info = self._info.on(rung)
        return True

    def matte(self, frame: Frame) -> Matte:
        started = self.clock.now_ns()
        self.clock.advance(self.info.downsample_ratio**2 / 4)  # 40 ms, 22 ms, 10 ms
        return Matte(frame, self.alpha(frame), started_ns=started, finished_ns=self.clock.now_ns())


@pytest.mark.parametrize(
    ("source_fps", "max_fps", "expected"), [(60.0, 60.0, 0.2), (30.0, 60.0, 0.3), (60.0, 30.0, 0.3), (20.0, 60.0, 0.4)]
)
def test_the_budget_is_a_frame_of_the_display_or_of_a_slower_source(
    clock: FakeClock, source_fps: float, max_fps: float, expected: float
) -> None:
    engine = Ladder(clock)
    governor = Governor(engine, max_fps, clock)
    picture = np.zeros((8, 8, 3), np.uint8)
    start = clock.now_ns()
    for _ in range(400):
        seq = int((clock.now_ns() - start) / 1e9 * source_fps) + 1
        frame = Frame(picture, seq, 0, start + round(seq * 1e9 / source_fps))
        clock.time_ns = max(clock.time_ns, frame.captured_ns)
        governor.observe(engine.matte(frame))
    assert engine.info.downsample_ratio == expected
    if expected < 0.4:
        assert engine.asked.count(expected) >= 2  # it kept the old size until the new one was ready


def test_frames_that_the_network_did_not_see_do_not_make_it_larger(clock: FakeClock) -> None:
    """While nobody moves, nearly every frame costs nothing; somebody who then moves needs a size that is fast
    enough."""
    engine = Ladder(clock)
    engine._info = engine.info.at_ratio(0.3)
    governor = Governor(engine, 60, clock)
    for number in range(900):
        frame = Frame(np.zeros((8, 8, 3), np.uint8), number, 0, round((1 + number / 30) * 1e9))
        clock.time_ns = max(clock.time_ns, frame.captured_ns)
        matte = engine.matte(frame)
        if number % 31:
            matte = replace(matte, finished_ns=matte.started_ns + 1, spared=True)
        assert governor.observe(matte) is None
    assert engine.info.downsample_ratio == 0.3


def test_what_is_ready_below_is_taken_where_frames_take_far_too_long(clock: FakeClock) -> None:
    class Unready(Ladder):
        def use_rung(self, rung: Rung) -> bool:
            self.asked.append(rung.ratio)
            if rung.ratio == 0.3:  # still compiling, on a machine with no time for it
                return False
            self._info = self._info.on(rung)
            return True

    for source_fps, expected in ((25.0, 0.2), (5.0, 0.4)):
        engine = Unready(clock)
        engine._info = engine.info.at_ratio(0.4)
        governor, moves = Governor(engine, 60, clock), []
        for number in range(40):
            frame = Frame(np.zeros((8, 8, 3), np.uint8), number, 0, round((1 + number / source_fps) * 1e9))
            clock.time_ns = max(clock.time_ns, frame.captured_ns)
            matte = engine.matte(frame)
            clock.advance(0.1)
            moves.append(governor.observe(replace(matte, finished_ns=clock.now_ns())))
        assert engine.info.downsample_ratio == expected
        moved = [each for each in moves if each is not None]
        assert [(each.before.downsample_ratio, each.after.downsample_ratio) for each in moved] == (
            [(0.4, 0.2)] if expected < 0.4 else []
        )


class Precise(Ladder):
    """Has single precision at the top; every rung is ready at once."""

    speed = 1.0

    @property
    def rungs(self) -> tuple[Rung, ...]:
        pairs = ((0.4, "fp32"), (0.4, "bf16"), (0.3, "bf16"), (0.2, "bf16"))
        return tuple(Rung(ratio, precision, ratio**2 * FACTORS[precision]) for ratio, precision in pairs)

    def use_rung(self, rung: Rung) -> bool:
        self._info = self._info.on(rung)
        return True

    def matte(self, frame: Frame) -> Matte:
        started = self.clock.now_ns()
        self.clock.advance(FACTORS[self.info.precision] * self.info.downsample_ratio**2 / 8 / self.speed)
        return Matte(frame, self.alpha(frame), started_ns=started, finished_ns=self.clock.now_ns())


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_governor_moves_precision_and_size_and_the_engine_says_where_it_is(
    clock: FakeClock, wrapped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = Precise(clock)
    engine: Engine = inner
    if wrapped:
        engine = AutoEngine(EngineSettings())
        monkeypatch.setattr(engine, "_inner", inner)
    inner.use_rung(inner.rungs[2])
    governor = Governor(engine, 60, clock)
    visited = [(engine.info.downsample_ratio, engine.info.precision)]
    picture = np.zeros((8, 8, 3), np.uint8)
    for number in range(2400):
        inner.speed = 2.0 if number < 1200 else 0.75
        frame = Frame(picture, number, 0, round((1 + number / 60) * 1e9))
        clock.time_ns = max(clock.time_ns, frame.captured_ns)
        governor.observe(engine.matte(frame))
        now = (engine.info.downsample_ratio, engine.info.precision)
        if now != visited[-1]:
            visited.append(now)
    assert visited[:3] == [(0.3, "bf16"), (0.4, "bf16"), (0.4, "fp32")]
    assert visited[3:] == [(0.4, "bf16")]


@pytest.mark.parametrize(("speed", "slow"), [(1.0, False), (0.04, True)])
def test_a_machine_that_is_too_slow_for_the_lowest_rung_is_told(clock: FakeClock, speed: float, slow: bool) -> None:
    engine = Precise(clock)
    engine.speed = speed
    governor, told = Governor(engine, 60, clock), []
    picture = np.zeros((8, 8, 3), np.uint8)
    for number in range(600):
        frame = Frame(picture, number, 0, round((1 + number / 60) * 1e9))
        clock.time_ns = max(clock.time_ns, frame.captured_ns)
        governor.observe(engine.matte(frame))
        told.append(governor.too_slow_ms)
    assert (told[-1] is not None) == slow
    assert told[5] is None
    if slow:
        assert told[-1] == pytest.approx(1000 * FACTORS["bf16"] * 0.04 / 8 / speed)


class Launching(Ladder):
    """Returns a matte when it is launched, as an engine on a GPU does; its time is known one frame later."""

    last: Matte | None = None

    def matte(self, frame: Frame) -> Matte:
        done = super().matte(frame)
        taken = done.finished_ns - done.started_ns

        def elapsed_ns() -> int:
            assert self.last is not matte, "waited for a frame that the GPU is still at work on"
            return taken

        matte = Matte(frame, done.alpha, started_ns=done.started_ns, finished_ns=done.started_ns, elapsed_ns=elapsed_ns)
        self.last = matte
        return matte


def test_work_that_a_gpu_still_does_is_counted_and_not_waited_for(clock: FakeClock) -> None:
    engine = Launching(clock)
    governor = Governor(engine, 60, clock)
    for number in range(400):
        frame = Frame(np.zeros((8, 8, 3), np.uint8), number, 0, round((1 + number / 60) * 1e9))
        clock.time_ns = max(clock.time_ns, frame.captured_ns)
        governor.observe(engine.matte(frame))
    assert engine.info.downsample_ratio == 0.2, "the launch alone takes no time at all, so it would have stayed"


class Gpu(Ladder):
    """Launches a frame when the frame before the last is done, as a lane does; the GPU runs one after the other."""

    def __init__(self, clock: FakeClock, top_ms: float) -> None:
        super().__init__(clock)
        self.top_ms = top_ms
        self.done_ns = [0, 0]
        self.made: list[float] = []

    @property
    def rungs(self) -> tuple[Rung, ...]:
        return rungs_of(0.4, 0.35, 0.3, 0.25, 0.2)

    def use_rung(self, rung: Rung) -> bool:
        self.made.append(rung.ratio)
        self._info = self._info.on(rung)
        return True

    def matte(self, frame: Frame) -> Matte:
        self.clock.time_ns = launched_ns = max(self.clock.time_ns, self.done_ns[-2])
        work_ns = round(self.top_ms * 1e6 * (self.info.downsample_ratio / 0.4) ** 2)
        done_ns = max(launched_ns, self.done_ns[-1]) + work_ns
        self.done_ns.append(done_ns)
        alpha = self.alpha(frame)
        return Matte(
            frame, alpha, started_ns=launched_ns, finished_ns=launched_ns, elapsed_ns=lambda: done_ns - launched_ns
        )


@pytest.mark.parametrize(
    ("top_ms", "moves"), [(14.0, []), (17.5, [0.35]), (20.0, [0.35]), (26.0, [0.3]), (40.0, [0.25])]
)
def test_waiting_for_the_frame_before_is_no_work(clock: FakeClock, top_ms: float, moves: list[float]) -> None:
    """A GPU that is slightly too slow goes down by one rung at the first move, and stays there."""
    engine = Gpu(clock, top_ms)
    governor = Governor(engine, 60, clock)
    for number in range(3000):
        frame = Frame(np.zeros((8, 8, 3), np.uint8), number, 0, round((1 + number / 60) * 1e9))
        clock.time_ns = max(clock.time_ns, frame.captured_ns)
        governor.observe(engine.matte(frame))
    assert engine.made == moves


def test_a_matte_whose_work_failed_has_no_time(clock: FakeClock) -> None:
    engine = Gpu(clock, 14.0)
    governor = Governor(engine, 60, clock)

    def failed() -> int:
        raise RuntimeError("CUDA error: unspecified launch failure")

    for number in range(300):
        frame = Frame(np.zeros((8, 8, 3), np.uint8), number, 0, round((1 + number / 60) * 1e9))
        clock.time_ns = max(clock.time_ns, frame.captured_ns)
        matte = engine.matte(frame)
        governor.observe(replace(matte, elapsed_ns=failed) if number in (5, 200, 201) else matte)
    assert engine.made == []


def test_frames_of_another_size_have_another_ladder(clock: FakeClock) -> None:
    class Resized(Ladder):
        @property
        def rungs(self) -> tuple[Rung, ...]:
            return rungs_of(0.4, 0.3, 0.2) if self.small else rungs_of(0.4, 0.15, 0.1)

        small = True

    engine = Resized(clock)
    governor = Governor(engine, 60, clock)
    picture = np.zeros((8, 8, 3), np.uint8)
    for number in range(300):
        engine.small = number < 20
        frame = Frame(picture, number, 0, round(number * 1e9 / 60))
        governor.observe(engine.matte(frame))
    assert set(engine.asked) <= {0.4, 0.15, 0.1}
    assert engine.info.downsample_ratio == 0.15


def test_an_engine_that_cannot_move_is_left_alone(clock: FakeClock) -> None:
    engine = PassThroughEngine()
    governor = Governor(engine, 60, clock)
    for number in range(200):
        frame = Frame(np.zeros((8, 8, 3), np.uint8), number, 0, number)
        governor.observe(Matte(frame, engine.alpha(frame), started_ns=0, finished_ns=10**9))


# Real engines


@pytest.fixture(scope="module")
def clip(data: Path) -> list[Frame]:
    return read_frames(data / "clips" / "webcam" / "volcomix_Doctor_26732.mp4", 24)


def alphas(engine: Engine, frames: list[Frame]) -> list[NDArray[np.float32]]:
    return [engine.matte(frame).host().alpha.astype(np.float32) / 255 for frame in frames]


def distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.abs(one - other).mean())


def switch(engine: Engine, rung: Rung) -> None:
    """Move to a rung, waiting until it is ready."""
    assert until(lambda: engine.use_rung(rung), 60)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [RvmEngine, OpenVinoEngine])
def test_a_change_of_size_keeps_the_person(kind: type[Engine], weights: Path, clip: list[Frame]) -> None:
    """After a step the network still knows who was there, as if it had used that size all along."""
    engine = kind(EngineSettings(weights=weights, device="cpu", precision="fp32"))
    engine.open()
    try:
        engine.prepare(clip[0].width, clip[0].height)
        sizes = engine.rungs
        assert len(sizes) == len(SIDES)
        larger, smaller = sizes[1], sizes[3]
        vague = Frame(cv2.GaussianBlur(clip[12].image, (0, 0), 25), 12, 0, 12)  # so blurred that only the state helps
        switch(engine, smaller)
        engine.reset()
        settled = alphas(engine, [*clip[:12], vague])[-1]  # as with that size all along
        engine.reset()
        fresh = alphas(engine, [vague])[0]  # as without any state
        switch(engine, larger)
        engine.reset()
        alphas(engine, clip[:12])
        assert engine.use_rung(smaller)
        assert engine.info.downsample_ratio == pytest.approx(smaller.ratio)
        carried = alphas(engine, [vague])[0]
        assert distance(carried, settled) < 0.5 * distance(fresh, settled)
    finally:
        engine.close()


@pytest.mark.slow
def test_a_change_of_precision_is_not_seen(weights: Path, clip: list[Frame], monkeypatch: pytest.MonkeyPatch) -> None:
    engine = OpenVinoEngine(EngineSettings(weights=weights))
    engine.open()
    try:
        if engine.info.precision != "bf16":
            pytest.skip("this processor has no bf16: there is one precision")
        monkeypatch.setattr(OpenVinoEngine, "_measured", lambda *_: lambda side: 1.0)  # as if compiling cost no time
        engine.prepare(clip[0].width, clip[0].height)
        half, single = engine.rungs[1], engine.rungs[0]
        assert (half.precision, single.precision) == ("bf16", "fp32") and half.ratio == single.ratio
        assert (engine.info.downsample_ratio, engine.info.precision) == (half.ratio, "bf16")
        switch(engine, single)
        engine.reset()
        settled = alphas(engine, clip[:8])
        switch(engine, half)
        engine.reset()
        alphas(engine, clip[:7])
        assert engine.use_rung(single)
        assert engine.info.precision == "fp32"
        assert distance(alphas(engine, clip[7:8])[0], settled[-1]) < 2e-3
    finally:
        engine.close()


@pytest.mark.parametrize("asked", [{"precision": "fp32"}, {"downsample_ratio": 0.25}])
@pytest.mark.few(1)
def test_what_the_user_fixed_is_no_rung(weights: Path, asked: dict[str, Any]) -> None:
    engine = OpenVinoEngine(EngineSettings(weights=weights, **asked))
    engine.open()
    engine.prepare(320, 180)
    assert {rung.precision for rung in engine.rungs} <= {asked.get("precision")}
    assert bool(engine.rungs) == ("downsample_ratio" not in asked)
    engine.close()


def test_a_fixed_ratio_stays(weights: Path) -> None:
    engine = RvmEngine(EngineSettings(weights=weights, device="cpu", downsample_ratio=0.5))
    engine.open()
    engine.prepare(96, 80)
    assert engine.rungs == ()
    engine.close()
