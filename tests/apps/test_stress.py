"""``rvm-live stress``: real networks under load, the temperature guard, the table, the files."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from rvm_live.apps.monitor import read_samples
from rvm_live.apps.stress.configs import SIZES, Config, defaults, parse
from rvm_live.apps.stress.guard import Guard
from rvm_live.apps.stress.run import Row, StressReport, StressSettings, run
from rvm_live.core.errors import SettingsError
from tests.conftest import ROOT
from tests.support.clock import FakeClock
from tests.support.nvml import build
from tests.support.program import call, start
from tests.support.waiting import until

SMALL = "lite/lite/auto/320x192/1,rvm/mobilenetv3/fp32/320x192/2x2"


def test_configurations_in_words() -> None:
    (one, other) = parse("rvm/resnet50/fp16/1080p/8x2, lite/lite/auto/640x360/1")
    assert one == Config("rvm", "resnet50", "fp16", 1920, 1080, 8, 2)
    assert one.label == "rvm/resnet50/fp16/1080p/8x2"
    assert other == Config("lite", "lite", "auto", 640, 360)
    assert parse(other.label) == (other,)
    assert one.ratio == 0.25
    assert parse("openvino/mobilenetv3/auto/2160p/1")[0].ratio == 0.125
    for text, said in (
        ("", "no configuration"),
        ("rvm", "cannot be read"),
        ("rvm/vgg/fp32/720p/1", "unknown model 'vgg'"),
        ("rvm/mobilenetv3/fp7/720p/1", "unknown precision"),
        ("rvm/mobilenetv3/fp32/720/1", "must be one of 720p"),
        ("rvm/mobilenetv3/fp32/720p/0", "not a number of frames"),
        ("lite/lite/auto/720p/1x2", "one video at a time"),
        ("rvm/mobilenetv3/fp32/99999x20/1", "out of range"),
    ):
        with pytest.raises(SettingsError, match=said):
            parse(text)


def test_what_is_run_unasked() -> None:
    cuda = defaults("cuda")
    assert {each.model for each in cuda} == {"mobilenetv3", "resnet50"}
    assert {each.precision for each in cuda} == {"fp32", "fp16"}
    assert {(each.width, each.height) for each in cuda} == {SIZES[name] for name in ("720p", "1080p", "2160p")}
    assert len({each.chunk for each in cuda}) > 1
    assert any(each.batch > 1 for each in cuda)
    for device in ("cpu", "cuda"):
        for each in defaults(device):
            assert parse(each.label) == (each,)
    assert all(each.precision != "fp16" for each in defaults("cpu"))


@pytest.mark.slow
def test_real_networks_under_load_table_samples_and_plot(weights: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "RVM_LIVE_WEIGHTS": str(weights)}
    with start("stress", "--minutes", "0.05", "--device", "cpu", "--configs", SMALL + ",rvm/resnet50/fp32/320x192/1",
               "-o", tmp_path, env=environment) as process:  # fmt: skip
        out, err = process.communicate()
    assert process.returncode == 0, err
    with (tmp_path / "stress.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["config"] for row in rows] == [*SMALL.split(","), "rvm/resnet50/fp32/320x192/1"]
    for row in rows:
        assert float(row["fps"]) > 1
        assert float(row["megapixels_s"]) == pytest.approx(float(row["fps"]) * 320 * 192 / 1e6, rel=0.01)
        assert float(row["p50_ms"]) <= float(row["p95_ms"])
        assert int(row["frames"]) >= 3
        assert row["error"] == ""
    assert int(rows[1]["frames"]) % 4 == 0, "two videos, two frames of each at once"
    assert [row["real_weights"] for row in rows] == ["True", "True", "False"]
    assert "random weights were used" in out
    assert "by network" in out
    assert len(read_samples(tmp_path / "samples_lite-lite-auto-320x192-1.csv")) >= 2
    with Image.open(tmp_path / "stress.png") as plot:
        assert plot.size[0] > 500


def test_the_setting_that_uses_the_machine_best() -> None:
    rows = (
        Row("rvm/mobilenetv3/fp16/720p/1", fps=300.0, megapixels_s=276.0),
        Row("rvm/mobilenetv3/fp16/1080p/8", fps=200.0, megapixels_s=414.0),
        Row("rvm/mobilenetv3/fp16/1080p/1", fps=120.0, megapixels_s=249.0),
        Row("rvm/resnet50/fp16/2160p/1", fps=20.0, megapixels_s=166.0),
        Row("rvm/resnet50/fp32/2160p/6", error="out of memory"),
    )
    report = StressReport("cuda:0", "a card", rows)
    assert [row.config for row in report.bests] == ["rvm/mobilenetv3/fp16/1080p/8", "rvm/resnet50/fp16/2160p/1"]
    live = report.live()
    assert live is not None
    assert live.config == "rvm/mobilenetv3/fp16/1080p/1"


@pytest.mark.slow
def test_what_does_not_fit_is_a_row_and_the_rest_goes_on(tmp_path: Path) -> None:
    configs = parse("openvino/mobilenetv3/fp16/320x192/1,lite/lite/auto/320x192/1")
    report = run(StressSettings(0.02, configs, "cpu", output=tmp_path))
    assert "not in fp16" in report.rows[0].error
    assert report.rows[0].fps is None
    assert (report.rows[1].fps or 0) > 1


@pytest.mark.slow
def test_ctrl_c_ends_with_the_table_so_far(tmp_path: Path) -> None:
    with start("stress", "--minutes", "5", "--device", "cpu", "--configs", SMALL, "-o", tmp_path) as process:
        until(lambda: list(tmp_path.glob(".samples*")), 60)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted" in out
    assert (tmp_path / "stress.csv").exists()


def test_bad_usage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for arguments, said in (
        (("--minutes", "0"), "out of range"),
        (("--max-temperature", "400"), "out of range"),
        (("--device", "cuda:7"), "not available"),
        (("--configs", "rvm"), "cannot be read"),
        (("-o", tmp_path / "file"), "cannot make the folder"),
    ):
        done = call("stress", "--minutes", "0.01", "-o", tmp_path, *arguments)
        assert (done.code, said in done.complaint) == (2, True), done.err


# The guard


class Oven:
    """Hardware that gets hotter while it works, and cools while the clock sleeps."""

    def __init__(self, degrees: float, cooling: float) -> None:
        self.degrees, self.cooling, self.clock = degrees, cooling, FakeClock()
        self._seen_ns = self.clock.now_ns()

    def read(self) -> float:
        now_ns = self.clock.now_ns()
        self.degrees -= self.cooling * (now_ns - self._seen_ns) / 1e9
        self._seen_ns = now_ns
        return self.degrees

    def guard(self, limit: float = 80.0) -> Guard:
        return Guard(limit, self.read, threading.Event(), self.clock)

    def work(self, degrees: float) -> None:
        self.clock.advance(1.1)
        self._seen_ns = self.clock.now_ns()
        self.degrees += degrees


def test_cool_work_is_not_held_up() -> None:
    oven = Oven(50.0, 1.0)
    guard = oven.guard()
    for _ in range(10):
        assert guard.may_go_on()
        oven.work(0.5)
    assert guard.paused_s == 0
    assert guard.hottest == pytest.approx(54.5)


def test_near_the_limit_it_slows_down_and_at_the_limit_it_pauses_until_it_has_cooled() -> None:
    oven = Oven(78.0, 2.0)
    guard = oven.guard()
    assert guard.may_go_on()
    assert 0 < guard.paused_s < 1
    oven.work(5.0)
    assert guard.may_go_on()
    assert oven.degrees <= 75.0
    assert not guard.reason


def test_what_does_not_cool_or_runs_away_is_stopped() -> None:
    stuck = Oven(81.0, 0.0)
    guard = stuck.guard()
    assert not guard.may_go_on()
    assert "did not cool below 75 degrees" in guard.reason
    away = Oven(86.0, 0.0)
    guard = away.guard()
    assert not guard.may_go_on()
    assert "stopped at 86 degrees, the limit is 80" in guard.reason
    assert guard.paused_s == 0
    assert not guard.may_go_on(), "over is over"


def test_without_a_thermometer_it_lets_everything_pass() -> None:
    clock = FakeClock()
    guard = Guard(80.0, lambda: None, threading.Event(), clock)
    assert guard.may_go_on()
    assert guard.hottest is None


@pytest.mark.few(1)
@pytest.mark.parametrize(("visible", "degrees"), [("", 61), ("1,0", 71), ("GPU-1b2c", 71)])
def test_the_temperature_comes_through_nvml(tmp_path: Path, visible: str, degrees: int) -> None:
    """Through a real shared library under NVML's name, whose cards report 61 and 71 degrees."""
    code = (
        "import threading\n"
        "from rvm_live.apps.stress.guard import Guard, temperature\n"
        "guard = Guard(56.0, lambda: temperature('cuda:0'), threading.Event())\n"
        "print(temperature('cuda:0'), guard.may_go_on(), guard.reason)\n"
    )
    environment = {**os.environ, "LD_LIBRARY_PATH": str(build(tmp_path)), "PYTHONPATH": str(ROOT)}
    environment["CUDA_VISIBLE_DEVICES"] = visible
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.strip() == f"{degrees}.0 False stopped at {degrees} degrees, the limit is 56"
