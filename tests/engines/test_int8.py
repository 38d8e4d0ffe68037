"""The network in 8-bit integers: made by the program itself from a clip, without reporting to anybody."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from rvm_live.apps.calibrate import LEAST_FRAMES
from rvm_live.core.errors import UnavailableError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.common.openvino_models import folder
from rvm_live.engines.rvm.openvino.engine import OpenVinoEngine
from rvm_live.engines.rvm.torch.engine import RvmEngine
from tests.conftest import ROOT
from tests.engines.test_openvino import run
from tests.support.program import Outcome, call
from tests.support.videos import read_frames

RATIO = 0.2

# Calibrates in a separate process, since under pytest NNCF is silent anyway; nothing may leave the machine.
ALONE = """
import socket, sys

def forbidden(*arguments, **options):
    sys.stderr.write("THE NETWORK WAS USED")
    raise OSError("the network was used")

socket.socket.connect = socket.getaddrinfo = socket.create_connection = forbidden
if sys.argv[1] == "before":
    import nncf  # by the host program, telemetry and all: what that import sends is its own affair
from rvm_live.cli import main
try:
    main(sys.argv[2:])
except SystemExit as leaving:
    from nncf.telemetry import wrapper
    silent = not isinstance(wrapper.telemetry, wrapper.NNCFTelemetry) or "_impl" not in vars(wrapper.telemetry)
    sys.exit(leaving.code if silent else 99)
"""


def calibrate(order: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", ALONE, order, "calibrate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT, timeout=200)


@pytest.fixture(scope="module")
def made(data: Path, weights: Path) -> subprocess.CompletedProcess[str]:
    """int8 for 1280x720 at one ratio, calibrated on a clip of another person."""
    clip = data / "clips" / "webcam" / "volcomix_Doctor_26732.mp4"
    size = ("--width", 1280, "--height", 720)
    return calibrate(
        "after", "--source", clip, *size, "--frames", 36, "--weights", weights, "--downsample-ratio", RATIO
    )


@pytest.mark.slow
def test_it_is_made_without_a_word_to_anybody(made: subprocess.CompletedProcess[str]) -> None:
    assert made.returncode == 0, made.stderr
    assert "THE NETWORK WAS USED" not in made.stderr
    assert "256x144 (ratio 0.2): alpha differs by" in made.stdout and "--precision int8" in made.stdout


@pytest.mark.slow
def test_nor_where_the_host_program_loaded_nncf_before(weights: Path, data: Path) -> None:
    clip = data / "clips" / "webcam" / "liveportrait_s18.mp4"
    done = calibrate(
        "before", "--source", clip, "--frames", LEAST_FRAMES, "--weights", weights, "--downsample-ratio", 0.05
    )
    assert done.returncode == 0, done.stderr  # 99: it could still send


@pytest.mark.slow
def test_alpha_is_that_of_the_plain_network_on_another_clip(
    made: subprocess.CompletedProcess[str], weights: Path, data: Path
) -> None:
    frames = read_frames(data / "clips" / "webcam" / "liveportrait_s18.mp4", 14)
    asked = EngineSettings(weights=weights, device="cpu", downsample_ratio=RATIO, precision="int8")
    ours, _ = run(OpenVinoEngine(asked), frames)
    theirs, _ = run(RvmEngine(EngineSettings(weights=weights, device="cpu", downsample_ratio=RATIO)), frames)
    assert 0.1 < theirs.mean() < 0.9
    worst = np.abs(ours - theirs).mean(axis=(1, 2)).max()
    assert 1e-5 < worst <= 4e-3  # it differs from single precision, but not by much


@pytest.mark.slow
@pytest.mark.parametrize(("share", "taken"), [("0.62", True), ("0.85", True), ("0.95", False), ("none", False)])
def test_auto_takes_it_once_it_is_calibrated_where_it_pays(
    made: subprocess.CompletedProcess[str], weights: Path, share: str, taken: bool
) -> None:
    assert "of its time" in made.stdout
    kept = [path for path in folder().glob("*-256x144-int8-*") if (path / "share.txt").is_file()]
    assert len(kept) == 1, "it is not measured when it is calibrated"
    told = kept[0] / "share.txt"
    before = told.read_text()
    assert 0.1 < float(before) < 3
    told.write_text(share)
    try:
        for keep_up in (True, False):
            engine = OpenVinoEngine(EngineSettings(weights=weights, keep_up=keep_up, device="cpu"))
            engine._measured = lambda *_: lambda side: 1000.0  # type: ignore[method-assign]  # the smallest it is
            engine.open()
            try:
                engine.prepare(1280, 720)
                plain = engine._precision
                smallest = engine.rungs[-1]
                assert smallest.precision == ("int8" if taken else plain)
                assert {rung.precision for rung in engine.rungs if rung.ratio != smallest.ratio} <= {"fp32", plain}
                assert all(above.cost > below.cost for above, below in pairwise(engine.rungs))
                if keep_up:
                    assert engine.info.precision == smallest.precision
                else:
                    assert engine.info.precision == plain, "files are the same with it and without it"
            finally:
                engine.close()
    finally:
        told.write_text(before)


@pytest.mark.slow
def test_its_state_starts_anew_and_is_kept(made: subprocess.CompletedProcess[str], weights: Path, data: Path) -> None:
    frames = read_frames(data / "clips" / "webcam" / "liveportrait_s18.mp4", 4)
    engine = OpenVinoEngine(EngineSettings(weights=weights, downsample_ratio=RATIO, precision="int8"))
    engine.open()
    try:
        engine.prepare(1280, 720)
        assert engine.info.precision == "int8"
        first = [engine.matte(frame).alpha.copy() for frame in frames]
        engine.reset()
        again = [engine.matte(frame).alpha.copy() for frame in frames]
        engine.reset()
        last_alone = engine.matte(frames[-1]).alpha
        assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
        assert not np.array_equal(last_alone, first[-1])
    finally:
        engine.close()


@pytest.mark.slow
@pytest.mark.parametrize("keep_up", [False, True])
def test_one_calibration_serves_a_box_and_what_bridges_to_it(
    made: subprocess.CompletedProcess[str], weights: Path, data: Path, keep_up: bool
) -> None:
    frames = read_frames(data / "clips" / "webcam" / "liveportrait_s18.mp4", 14)
    asked = EngineSettings(weights=weights, downsample_ratio=RATIO, precision="int8")
    engine = OpenVinoEngine(replace(asked, box=True, gate=False, keep_up=keep_up))
    ours, _ = run(engine, frames[:12])
    theirs, _ = run(OpenVinoEngine(asked), frames[:12])
    assert 0.1 < theirs.mean() < 0.9
    assert 0 < np.abs(ours - theirs).mean(axis=(1, 2)).max() <= 6e-3


def complaint(outcome: Outcome) -> str:
    assert outcome.code == 2
    return outcome.complaint


def test_without_calibration_it_says_what_to_run(weights: Path) -> None:
    engine = OpenVinoEngine(EngineSettings(weights=weights, downsample_ratio=0.5, precision="int8"))
    engine.open()
    try:
        with pytest.raises(UnavailableError, match="not calibrated for 48x40: run `rvm-live calibrate`"):
            engine.matte(Frame(np.zeros((80, 96, 3), np.uint8), 0, 0, 0))
    finally:
        engine.close()


@pytest.mark.slow
def test_a_size_that_is_not_calibrated_is_looked_for_once_and_is_no_rung(
    weights: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))  # without other tests' calibrations
    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    engine = OpenVinoEngine(EngineSettings(weights=weights, precision="int8"))
    engine.open()
    try:
        steps, tried = engine._compiled(), set()
        for _ in range(3):
            assert not steps.ready((66, 38), "int8", refined=True)
            steps._requests.join()
            tried.add(steps._requests._making)
        assert len(tried) == 1, "a thread a frame"
        assert not died
        assert [record.getMessage() for record in caplog.records] == [
            "the network keeps its size, because another size cannot be prepared: int8 is not calibrated for "
            "66x38: run "
            "`rvm-live calibrate` with your own --source"
        ]
        engine._size = (1280, 720)
        assert engine.rungs == ()
        monkeypatch.setattr(steps, "calibrated", lambda low, refined: low in ((512, 288), (256, 144)))
        assert [round(rung.ratio * 1280) for rung in engine.rungs] == [512, 256]
    finally:
        engine._size = None
        engine.close()


def test_whatever_compiling_fails_of_its_thread_does_not_die_at_every_frame(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    engine = OpenVinoEngine(EngineSettings(weights=weights, precision="fp32"))
    engine.open()
    try:
        steps = engine._compiled()

        def fail(*arguments: object, **options: object) -> None:
            raise OSError("the disk is gone")

        monkeypatch.setattr(steps._requests, "_make", fail)
        assert steps.usable((64, 36), "fp32", refined=True)
        assert not steps.ready((64, 36), "fp32", refined=True)
        steps._requests.join()
        assert not died
        assert not steps.usable((64, 36), "fp32", refined=True)
    finally:
        engine.close()


def test_without_nncf_it_says_what_to_install(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    assert "[int8]" in complaint(call("calibrate", "--source", "demo", "--weights", weights))


def test_too_few_frames_are_refused(weights: Path) -> None:
    assert "at least" in complaint(call("calibrate", "--source", "demo", "--frames", "3", "--weights", weights))
    with pytest.raises(UnavailableError, match="int8 only works with --engine openvino"):
        RvmEngine(EngineSettings(weights=weights, device="cpu", precision="int8")).open()
