"""Whether other programs wait for the processor: from made-up readings, and beside a real busy program."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from rvm_live.system.pressure import CpuTimes, Pressure, cpu_times
from tests.support.clock import FakeClock


def verdicts(clock: FakeClock, *per_second: tuple[float, float, float, float | None]) -> list[bool]:
    """The verdict for each second on two cores, from the time that was used by all, idle, used by this process, and
    spent waiting."""
    totals = [100.0, 50.0, 20.0, 5.0]
    now: list[CpuTimes] = []

    def read() -> CpuTimes:
        return now[-1]

    def taken(stalled: bool) -> CpuTimes:
        busy, idle, own, waited = totals
        return CpuTimes(busy, idle, {1: own}, waited if stalled else None)

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
        now[-1] = CpuTimes(0, 0, {}, 0)  # not read before the second is over
        assert pressure() == said[-1]
        clock.advance(0.5)
        now[-1] = taken(each[3] is not None)
    return said


@pytest.mark.parametrize(
    ("reading", "pressed"),
    [
        ((2.0, 0.0, 1.0, 0.9), True),  # a busy program on one core, this program on the other
        ((2.0, 0.0, 1.95, 0.9), False),  # all of it is this program's own
        ((1.5, 0.5, 0.7, 0.9), False),  # there is idle time
        ((2.0, 0.0, 1.0, 0.1), False),  # everything is used, but nobody waits
        ((2.0, 0.0, 1.0, None), True),  # a system that does not report waiting
        ((1.5, 0.5, 0.7, None), False),
        ((0.0, 0.0, 0.0, 0.0), False),  # counters that do not change
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


def test_what_this_process_has_started_is_its_own(clock: FakeClock) -> None:
    """A child uses one of two cores, and this program the other; then another program comes, then the child ends."""
    readings = [
        CpuTimes(10.0, 5.0, {1: 4.0}, 1.0),
        CpuTimes(12.0, 5.0, {1: 5.0, 2: 0.95}, 1.9),  # the other program has come
        CpuTimes(14.0, 5.0, {1: 6.0, 2: 1.95}, 2.8),
        CpuTimes(16.0, 5.0, {1: 6.7, 2: 2.65}, 3.7),  # it gets a third
        CpuTimes(18.0, 5.0, {1: 7.9}, 4.6),  # the child's last share is not known
        CpuTimes(20.0, 5.0, {1: 8.9}, 5.5),
    ]
    left = iter(readings)
    pressure = Pressure(lambda: next(left), clock)
    said = []
    for _ in readings:
        said.append(pressure())
        clock.advance(1.0)
    assert said == [False, False, False, True, False, True]


_HOG = """
import time
ends = time.monotonic() + 60  # nobody's child must not stay
while time.monotonic() < ends:
    pass
"""
_ORPHAN = """
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid)
"""


def test_a_hog_is_of_others_and_this_process_and_a_child_are_not() -> None:
    """Inequalities that hold however busy the machine is: a part is never more than the whole."""
    import psutil  # type: ignore[import-untyped]

    started = subprocess.run([sys.executable, "-c", _ORPHAN, _HOG], check=True, capture_output=True, encoding="utf-8")
    hog = psutil.Process(int(started.stdout))  # its parent has ended, so it is nobody's child
    try:
        with subprocess.Popen([sys.executable, "-c", _HOG]) as child:
            try:
                both = hog, psutil.Process(child.pid)

                def taken() -> list[float]:
                    return [*(sum(each.cpu_times()[:2]) for each in both), time.process_time()]

                before, first = cpu_times(), taken()
                while min(now - then for now, then in zip(taken(), first, strict=True)) < 0.6:
                    sum(range(20_000))
                of_hog, of_child, of_this = (now - then for now, then in zip(taken(), first, strict=True))
                now = cpu_times()
            finally:
                child.kill()
    finally:
        hog.kill()
    busy = now.busy - before.busy
    tick = 0.3  # the system counts in hundredths of a second, for each kind of time and core
    assert hog.pid not in now.own
    assert now.own[child.pid] - before.own[child.pid] >= of_child - tick > 0
    own = sum(now.own.values()) - sum(before.own.values())
    assert own >= of_child + of_this - tick
    assert busy - own >= of_hog - tick > 0
    assert now.stalled is None or now.stalled >= (before.stalled or 0.0)
