"""``rvm-live soak``: real runs with faults, and a verdict that can be negative."""

from __future__ import annotations

import csv
import signal
import time
from pathlib import Path

import pytest
from PIL import Image

from rvm_live.apps.soak.faults import Chance
from rvm_live.apps.soak.run import Sample, SoakSettings, verdict
from rvm_live.core.errors import SettingsError
from tests.support.program import call, finish, start


def sample(second: int, **other: float) -> Sample:
    values = {"rss_mb": 400.0, "threads": 12, "descriptors": 9, "p99_ms": 20.0, **other}
    counts = (int(values["threads"]), int(values["descriptors"]), 0, 0, 0)
    return Sample(float(second), second * 100, values["rss_mb"], None, *counts, 100.0, 10.0, values["p99_ms"])


def bad(samples: list[Sample]) -> list[str]:
    return [finding.what for finding in verdict(samples) if not finding.good]


def test_the_verdict_sees_what_grows() -> None:
    assert bad([sample(n) for n in range(100)]) == []
    assert bad([sample(n, rss_mb=400 + 0.02 * n) for n in range(100)]) == ["memory"]  # 2 MB per 10,000 frames
    assert bad([sample(n, rss_mb=400 + 0.008 * n) for n in range(100)]) == []
    assert bad([sample(n, rss_mb=200 if n < 8 else 400) for n in range(100)]) == [], "warm-up is not growth"
    assert bad([sample(n, threads=12 + n // 30) for n in range(100)]) == ["threads"]
    assert bad([sample(n, descriptors=9 + n // 30) for n in range(100)]) == ["descriptors"]
    assert bad([sample(n, p99_ms=20 + 0.1 * n) for n in range(100)]) == ["p99 latency"]
    assert bad([sample(n) for n in range(5)]) == ["length"]


def test_faults_come_by_the_seed() -> None:
    def picked(seed: int) -> list[str]:
        chance = Chance(seed, 0.1)
        return [chance.pick(("a", "b")) for _ in range(500)]

    assert picked(1) == picked(1) != picked(2)
    assert 20 < sum(bool(each) for each in picked(1)) < 90
    assert not any(Chance(1, 0.0).pick(("a",)) for _ in range(100))


@pytest.mark.slow
def test_a_short_run_with_faults(tmp_path: Path) -> None:
    options = ("--frames", "6000", "--width", "128", "--height", "72", "--faults", "--seed", "3")
    with start("soak", *options, "-o", tmp_path) as process:
        done = finish(process, timeout=200)
    # In so short a run memory still grows, and latency depends on other programs; what counts is that it ends in good
    # order.
    assert done.code in (0, 1), done.err
    assert "6000 frames" in done.out
    assert "faults: " in done.out and " x " in done.out
    assert "good threads" in done.out
    assert "good descriptors" in done.out
    with (tmp_path / "soak.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 5
    assert all(float(row["rss_mb"]) > 50 and int(row["threads"]) > 2 for row in rows)
    with Image.open(tmp_path / "soak.png") as plot:
        assert plot.size[0] > 500


@pytest.mark.slow
def test_ctrl_c_ends_with_a_verdict(tmp_path: Path) -> None:
    with start("soak", "--hours", "1", "--width", "128", "--height", "72", "-o", tmp_path) as process:
        time.sleep(8)
        process.send_signal(signal.SIGINT)
        done = finish(process)
    assert done.code == 130, done.err
    assert "interrupted" in done.out
    assert (tmp_path / "soak.csv").exists()


def test_bad_usage(tmp_path: Path) -> None:
    assert "choose how long to run" in call("soak", "-o", tmp_path).complaint
    assert "out of range" in call("soak", "--frames", "3", "-o", tmp_path).complaint
    with pytest.raises(SettingsError):
        SoakSettings(hours=-1)
