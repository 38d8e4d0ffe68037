"""Whether other programs wait for the processor: by readings that are made up, and one beside a real hog."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from rvm_live.system.pressure import CpuTimes, Pressure, cpu_times
from tests.support.clock import FakeClock


def verdicts(clock: FakeClock, *per_second: tuple[float, float, float, float | None]) -> list[bool]:
    """What is said each second of two cores, of which so much was used by all, was idle, was used by this process, and
    was waited for."""
    totals = [100.0, 50.0, 20.0, 5.0]
    now: list[CpuTimes] = []

    def read() -> CpuTimes:
        return now[-1]

    def taken(stalled: bool) -> CpuTimes:
        busy, idle, own, waited = totals
        return CpuTimes(busy, idle, own, waited if stalled else None)

    now.append(taken(per_second[0][3] is not None))
    pressure = Pressure(read, clock)
    assert not pressure(), "one reading tells nothing"
    said = []
    for each in per_second:
        for index, seconds in enumerate(each):
            totals[index] += seconds or 0.0
        clock.advance(1.0)
        now.append(taken(each[3] is not None))
        said.append(pressure())
        clock.advance(-0.5)
        now[-1] = CpuTimes(0, 0, 0, 0)  # not looked at before the second is over
        assert pressure() == said[-1]
        clock.advance(0.5)
        now[-1] = taken(each[3] is not None)
    return said


@pytest.mark.parametrize(
    ("reading", "pressed"),
    [
        ((2.0, 0.0, 1.0, 0.9), True),  # a hog on one core, this program on the other
        ((2.0, 0.0, 1.95, 0.9), False),  # all of it is this program's own
        ((1.5, 0.5, 0.7, 0.9), False),  # there is time left
        ((2.0, 0.0, 1.0, 0.1), False),  # all is used, and nobody waits
        ((2.0, 0.0, 1.0, None), True),  # a system that does not tell who waits
        ((1.5, 0.5, 0.7, None), False),
        ((0.0, 0.0, 0.0, 0.0), False),  # counters that stand still
    ],
)
def test_what_a_second_tells(
    clock: FakeClock, reading: tuple[float, float, float, float | None], pressed: bool
) -> None:
    assert verdicts(clock, reading) == [pressed]


def test_it_is_over_when_it_is_over(clock: FakeClock) -> None:
    hog, quiet = (2.0, 0.0, 1.0, 0.9), (1.0, 1.0, 0.9, 0.0)
    assert verdicts(clock, quiet, hog, hog, quiet) == [False, True, True, False]


def test_what_the_system_tells_of_stalls(tmp_path: Path) -> None:
    told = tmp_path / "cpu"
    assert cpu_times(told).stalled is None
    told.write_text("some avg10=96.91 avg60=97.15 avg300=87.72 total=22583112999\nfull avg10=0.00 total=0\n")
    assert cpu_times(told).stalled == pytest.approx(22583.112999)
    for text in ("", "full total=3\n", "some\n", "some total=x\n"):
        told.write_text(text)
        assert cpu_times(told).stalled is None


def test_what_a_hog_takes_is_counted_as_others_and_what_this_process_takes_is_not() -> None:
    """Inequalities that hold however busy the machine is: a part is no more than the whole."""
    import psutil  # type: ignore[import-untyped]

    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as hog:
        try:
            watched = psutil.Process(hog.pid)

            def taken() -> float:
                times = watched.cpu_times()
                return float(times.user + times.system)

            before, hog_before, own_before = cpu_times(), taken(), time.process_time()
            while taken() - hog_before < 1.0 or time.process_time() - own_before < 0.5:
                sum(range(20_000))
            hog_taken, own_taken = taken() - hog_before, time.process_time() - own_before
            now = cpu_times()
        finally:
            hog.kill()
    busy, own = now.busy - before.busy, now.own - before.own
    tick = 0.3  # the system counts in hundredths, for each kind of time and core
    assert own >= own_taken - tick > 0
    assert busy - own >= hog_taken - tick >= 0.7
    assert now.stalled is None or now.stalled >= (before.stalled or 0.0)
