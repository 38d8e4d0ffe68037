"""The hardware test: with a real server, real clips, a stand-in for a camera, and in a real window."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from rich.console import Console

from rvm_live.apps.hwtest import HwTestSettings, run
from rvm_live.apps.hwtest.advice import TARGETS, choose, frame_sizes, walk
from rvm_live.apps.hwtest.modes import measure_modes
from rvm_live.apps.hwtest.preview import TITLE, drawn
from rvm_live.apps.hwtest.probe import Glimpse, Probe
from rvm_live.apps.hwtest.report import Mode, ModeResult, SourceReport, Timing
from rvm_live.apps.hwtest.rhythm import rhythm_of
from rvm_live.cli.hwtest_tables import print_report
from rvm_live.core.errors import RvmLiveError, SettingsError
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.engines.base import Rung
from rvm_live.engines.common.ladder import rungs_for
from rvm_live.sources.camera import camera
from rvm_live.sources.camera.camera import Camera
from rvm_live.sources.factory import open_source
from rvm_live.system.gpu import GpuReading
from tests.support import engines
from tests.support.capture import FakeDevice
from tests.support.display import Display, open_display
from tests.support.mjpeg import MjpegServer
from tests.support.program import Outcome, call, finish, start
from tests.support.sources import FailingSource, PatternSource, StuckSource
from tests.support.videos import make_sound, make_video


@pytest.fixture(autouse=True)
def no_weights_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RVM_LIVE_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")


def probe(*arguments: str | Path) -> dict[str, Any]:
    """The JSON of a quick test that succeeds."""
    outcome = call("hwtest", "--quick", "--json", *arguments)
    assert outcome.code == 0, outcome.err
    return parsed(outcome)


def parsed(outcome: Outcome) -> dict[str, Any]:
    """Standard output as one JSON document with sorted keys, and nothing else."""
    document: dict[str, Any] = json.loads(outcome.out)
    assert outcome.out == json.dumps(document, indent=2, sort_keys=True) + "\n"
    return document


# ----------------------------------------------------------------------------------------------------------- rhythm


def test_rhythm_of_a_steady_source() -> None:
    rhythm = rhythm_of([round(number * 1e9 / 29.97) for number in range(31)])
    assert rhythm.fps == pytest.approx(29.97)
    assert rhythm.seconds == pytest.approx(30 / 29.97)
    assert (rhythm.frames, rhythm.gaps, rhythm.dropped) == (31, 0, 0)
    assert rhythm.jitter_ms < 1e-3


def test_rhythm_counts_what_is_missing() -> None:
    stamps = [number * 20_000_000 for number in range(100) if number not in (10, 50, 51, 52)]
    rhythm = rhythm_of(stamps)
    assert (rhythm.frames, rhythm.gaps, rhythm.dropped) == (96, 2, 4)
    assert rhythm.interval_ms == pytest.approx(20)
    assert rhythm.p95_ms == pytest.approx(20)
    assert rhythm.fps == pytest.approx(95 / 1.98)


def test_rhythm_of_an_uneven_source() -> None:
    intervals = [30, 36] * 50
    rhythm = rhythm_of(np.cumsum([0, *intervals]) * 1_000_000)
    assert rhythm.jitter_ms == pytest.approx(3.0)
    assert rhythm.p95_ms == pytest.approx(36)
    assert (rhythm.gaps, rhythm.dropped) == (0, 0)


@pytest.mark.parametrize("stamps", [[], [5], [5, 5]])
def test_rhythm_of_next_to_nothing(stamps: list[int]) -> None:
    rhythm = rhythm_of(stamps)
    assert (rhythm.frames, rhythm.fps, rhythm.dropped) == (len(stamps), 0.0, 0)


# --------------------------------------------------------------------------------------------------------- measuring


@pytest.mark.slow
def test_stream_is_measured() -> None:
    with MjpegServer(width=160, height=120, fps=25) as server:
        report = probe("--source", server.url, "--seconds", "1.5")
    source = report["source"]
    assert report["delivered"] is True
    assert (source["kind"], source["backend"]) == ("url", "FFmpeg (PyAV)")
    assert (source["actual"]["width"], source["actual"]["height"]) == (160, 120)
    assert source["actual"]["fourcc"].upper() in ("MJPG", "MJPEG")
    rhythm = source["rhythm"]
    assert rhythm["fps"] == pytest.approx(25, rel=0.15)
    assert rhythm["seconds"] == pytest.approx(1.5, abs=0.5)
    assert rhythm["frames"] == pytest.approx(rhythm["fps"] * rhythm["seconds"] + 1, abs=0.1)
    assert rhythm["repeated"] == 0
    assert 0 < source["open_s"] < 5


def test_stream_that_ends_is_measured_up_to_there() -> None:
    with MjpegServer(fps=50) as server:
        source = open_source(SourceSettings(source=server.url))
        seen: list[int] = []

        def watch(glimpse: Glimpse | None) -> bool:
            if glimpse is not None:
                seen.append(glimpse.number)
                if glimpse.number >= 40 and server.clients == 1:
                    server.cut()
            return False

        report = Probe(source, SourceSettings(source=server.url), 60, watch=watch).run()
    assert report.ended == f"stream {server.url} ended"
    assert report.rhythm.frames > 10
    assert seen == sorted(set(seen))


@pytest.mark.slow
def test_real_clip_is_measured(data: Path) -> None:
    report = probe("--source", data / "clips" / "webcam" / "liveportrait_s18.mp4", "--seconds", "0.7")
    source = report["source"]
    assert source["actual"] == {"width": 1280, "height": 720, "fps": 30.0, "fourcc": "avc1"}
    assert source["rhythm"]["fps"] == pytest.approx(30, rel=0.15)
    assert source["requested"] is None


def test_short_file_plays_over_and_over(tmp_path: Path) -> None:
    report = probe("--source", make_video(tmp_path / "a.mp4", frames=5, fps=50), "--seconds", "0.6")
    assert report["source"]["rhythm"]["frames"] > 20
    assert report["source"]["ended"] is None


def test_a_source_that_repeats_itself_is_found_out() -> None:
    class Sticky(PatternSource):
        def read(self) -> Any:
            grab = super().read()
            if self.delivered % 2:
                self.kept = grab.image
            return type(grab)(self.kept, grab.captured_ns)

    report = Probe(Sticky(fps=100), SourceSettings(source="test"), 0.5).run()
    assert report.rhythm.repeated == pytest.approx(report.rhythm.frames / 2, abs=2)


def test_a_source_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rvm_live.apps.hwtest.probe._READ_LIMIT_S", 0.3)
    source = StuckSource(after=3)
    with pytest.raises(RvmLiveError, match=r"hangs: no picture for 0\.3 s"):
        Probe(source, SourceSettings(source="test"), 10).run()
    assert source.releases == 1


@pytest.mark.parametrize("how", ["open", "read", "end"])
def test_a_source_that_fails_is_released_once(how: str) -> None:
    error = RvmLiveError("as planned")
    source = {
        "open": FailingSource(open_error=error),
        "read": FailingSource(error=error),
        "end": PatternSource(frames=0),
    }[how]
    with pytest.raises(RvmLiveError, match="delivered no picture" if how == "end" else "as planned"):
        Probe(source, SourceSettings(source="test"), 1).run()
    assert source.releases == 1


# ----------------------------------------------------------------------------------------------------------- cameras


def test_camera_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    device = FakeDevice(sizes=[(320, 240), (160, 120)], fps=40)
    FakeDevice.plug_in(monkeypatch, device, "HD Cam")
    report = probe("--seconds", "0.5")
    assert report["cameras"] == [{"index": 0, "name": "HD Cam", "path": "/dev/fake0"}]
    source = report["source"]
    assert (source["label"], source["backend"]) == ("camera 0 (HD Cam)", "FAKE")
    assert source["requested"] == {"width": 1280, "height": 720, "fps": 60.0, "fourcc": "MJPG"}
    assert source["actual"] == {"width": 320, "height": 240, "fps": 40.0, "fourcc": "MJPG"}
    assert source["controls"] == {"brightness": 128, "contrast": 32, "exposure": 156, "gain": 0}  # focus cannot be read
    assert source["rhythm"]["fps"] == pytest.approx(40, rel=0.15)
    assert not device.held


def test_camera_by_its_device_path(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeDevice.plug_in(monkeypatch, FakeDevice())
    there = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/video0" or there(path))
    report = probe("--source", "/dev/video0", "--seconds", "0.2")
    assert report["source"]["label"] == "camera 0 (Fake Cam)"


@pytest.mark.slow
def test_modes_have_their_true_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    device = FakeDevice(sizes=[(640, 480), (320, 240)], fps=60, raw_fps=20)
    FakeDevice.plug_in(monkeypatch, device)
    small, large = (320, 240), (3840, 2160)
    asked = [Mode(*small, 30, "MJPG"), Mode(*small, 60, "MJPG"), Mode(*small, 60, "YUYV"), Mode(*large, 60, "MJPG")]
    results = measure_modes(SourceSettings(source="0"), open_source, 0.4, modes=asked)
    rates = [result.rhythm.fps if result.rhythm else 0 for result in results]
    assert rates == pytest.approx([30, 60, 20, 60], rel=0.2)
    assert [str(result.got) for result in results] == [
        "320x240 30 fps MJPG",
        "320x240 60 fps MJPG",
        "320x240 20 fps YUYV",
        "640x480 60 fps MJPG",  # the nearest mode that it has
    ]
    assert not device.held


def test_a_mode_met_again_is_not_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeDevice.plug_in(monkeypatch, FakeDevice(sizes=[(320, 240)], fps=50))
    asked = [Mode(width, 720, 60, "MJPG") for width in (640, 1280, 1920)]
    first, *others = measure_modes(SourceSettings(source="0"), open_source, 0.3, modes=asked)
    assert first.rhythm is not None
    assert [other.rhythm for other in others] == [first.rhythm] * 2


def test_a_mode_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeDevice.plug_in(monkeypatch, FakeDevice(index=0))
    (result,) = measure_modes(SourceSettings(source="5"), open_source, 0.3, modes=[Mode(640, 480, 30, "MJPG")])
    assert result.got is None
    assert "camera 5 cannot be opened" in str(result.reason)


def test_cameras_that_fail_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "list_cameras", lambda: [Camera(97, "Broken Cam"), Camera(98)])
    outcome = call("hwtest", "--quick", "--json", "--seconds", "0.3")
    assert outcome.code == 1
    report = parsed(outcome)
    assert report["source"] is None
    assert report["delivered"] is False
    assert [attempt["source"] for attempt in report["attempts"]] == ["camera 97", "camera 98"]
    assert "camera 97 (Broken Cam) cannot be opened" in report["attempts"][0]["reason"]


def test_no_camera_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "list_cameras", list)
    outcome = call("hwtest", "--quick")
    assert outcome.code == 1
    assert "none found" in outcome.out
    assert "camera 0 cannot be opened" in outcome.out
    assert "no source delivered frames" in outcome.out


def test_stream_that_does_not_answer() -> None:
    outcome = call("hwtest", "--quick", "--json", "--source", "http://127.0.0.1:9/video")
    assert outcome.code == 1
    assert "cannot be opened" in parsed(outcome)["attempts"][0]["reason"]


# --------------------------------------------------------------------------------------------------------- bad input


def test_bad_sources_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "list_cameras", list)
    (tmp_path / "text.mp4").write_text("not a film\n" * 30)
    (tmp_path / "empty.mp4").touch()
    for source, said in {
        tmp_path / "gone.mp4": "there is no file",
        tmp_path: "is a folder",
        tmp_path / "text.mp4": "is not a video",
        tmp_path / "empty.mp4": "is empty",
        make_sound(tmp_path / "song.m4a"): "only sound",
        "Nikon": "there is no camera, file or URL 'Nikon'",
        " ": "the source's name is empty",
    }.items():
        outcome = call("hwtest", "--quick", "--source", str(source))
        assert outcome.code == 2
        assert outcome.out == ""
        assert said in outcome.complaint


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seconds", "0"], "seconds 0 is out of range"),
        (["--seconds", "nan"], "seconds nan is out of range"),
        (["--seconds", "many"], "not a valid float"),
        (["--weights", "/nowhere/w.pth"], "weights /nowhere/w.pth does not exist"),
        (["--device", "abacus"], "unknown device 'abacus'"),
        (["--width", "3"], "width 3 is out of range"),
        (["--fourcc", "RGB"], "must be four characters"),
    ],
)
def test_bad_options_are_one_line(options: list[str], said: str) -> None:
    outcome = call("hwtest", *options)
    assert outcome.code == 2
    assert said in outcome.complaint


def test_settings_are_checked() -> None:
    with pytest.raises(SettingsError):
        HwTestSettings(seconds=-1)


def test_preview_without_a_display(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    outcome = call("hwtest", "--quick", "--preview", "--source", make_video(tmp_path / "a.mp4"))
    assert outcome.code == 2
    assert "leave out --preview" in outcome.complaint


# ------------------------------------------------------------------------------------------------ machine and advice


def test_machine_is_told(tmp_path: Path) -> None:
    import cv2
    import torch

    machine = probe("--source", make_video(tmp_path / "a.mp4"), "--seconds", "0.2")["machine"]
    assert machine["torch"]["version"] == torch.__version__
    assert machine["opencv"]["version"] == cv2.__version__
    assert machine["opencv"]["gui"]
    assert machine["torch"]["devices"][-1] == "cpu"
    assert machine["cores"] >= machine["usable_cores"] >= 1
    assert machine["memory_bytes"] > machine["memory_free_bytes"] > 0
    assert (machine["gpu"] is None) == bool(machine["gpu_reason"])
    compositors = {found["name"]: found for found in machine["compositors"]}
    assert compositors["cpu"]["works"]
    assert compositors["torch"]["works"]
    assert compositors["opencv-cuda"]["works"] or compositors["opencv-cuda"]["detail"]
    engines = {found["name"]: found for found in machine["engines"]}
    assert not engines["rvm"]["works"]
    assert "--weights PATH" in engines["rvm"]["detail"]
    assert "--weights" in engines["torchscript"]["detail"]


def test_a_plug_in_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    from rvm_live.apps.hwtest.machine import inspect_machine
    from rvm_live.core.registry import COMPOSITORS

    monkeypatch.setitem(COMPOSITORS.builtin, "broken", "json:JSONDecodeError")
    monkeypatch.setitem(COMPOSITORS.builtin, "absent", "no.such.module:Class")
    found = {each.name: each for each in inspect_machine(EngineSettings()).compositors}
    assert "missing 2 required positional arguments" in found["broken"].detail
    assert "cannot load compositor 'absent'" in found["absent"].detail
    assert not (found["broken"].works or found["absent"].works)


@pytest.mark.slow
def test_advice_without_weights_is_for_the_embedded_engine_and_fetches_nothing(tmp_path: Path) -> None:
    outcome = call("hwtest", "--json", "--seconds", "0.2", "--source", make_video(tmp_path / "a.mp4"))
    advice = parsed(outcome)["advice"]
    assert outcome.code == 0
    assert {timing["model"] for timing in advice["timings"]} == {"lite"}
    assert "--engine lite" in advice["command"]
    assert "no weights for mobilenetv3" in advice["note"]


@pytest.mark.slow
def test_advice_by_measurement(weights: Path, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "a.mp4", width=128, height=96, frames=10)
    outcome = call("hwtest", "--json", "--seconds", "0.2", "--source", clip, "--weights", weights, "--device", "cpu")
    report = parsed(outcome)
    advice = report["advice"]
    timing, *_, lite = advice["timings"]  # a picture this small has one ratio; some processors have two precisions
    assert (lite["model"], lite["device"]) == ("lite", "cpu")
    assert (timing["model"], timing["device"]) == ("mobilenetv3", "cpu")
    assert timing["precision"] in ("fp32", "bf16")  # depends on the processor
    assert (timing["width"], timing["height"], timing["downsample_ratio"]) == (128, 96, 1.0)
    assert timing["fps"] > 0
    assert timing["p95_ms"] >= 0.5 * 1000 / timing["fps"]
    keeps = [next((target for target in TARGETS if each["fps"] >= target), None) for each in (timing, lite)]
    if keeps[0] != keeps[1]:
        return  # so busy that the faster engine is the better choice
    assert advice["best"] == timing
    assert advice["keeps_fps"] == keeps[0]
    assert advice["command"] == (f"rvm-live --source {clip} --downsample-ratio 1 --weights {weights} --device cpu")
    assert {found["name"]: found["works"] for found in report["machine"]["engines"]} == {
        "chroma": True,
        "lite": False,  # the named weights are RVM's
        "onnx": False,
        "openvino": True,
        "rvm": True,
        "torchscript": False,
    }


@pytest.mark.slow
def test_measuring_takes_any_size_without_pictures(weights: Path) -> None:
    (timing,) = walk(EngineSettings(weights=weights, device="cpu", downsample_ratio=0.5), [], 64, 48, 0.05)
    assert (timing.width, timing.height, timing.downsample_ratio) == (64, 48, 0.5)
    assert timing.frames >= 4


def timed(fps: float, width: int, height: int, ratio: float, model: str = "mobilenetv3") -> Timing:
    return Timing(model, "cpu", "fp32", width, height, ratio, fps, 1000 / fps, 9)


def test_the_largest_that_keeps_the_rate_is_chosen() -> None:
    small, large = timed(90, 640, 360, 0.8), timed(31, 1280, 720, 0.3)
    finer, huge = timed(30.2, 1280, 720, 0.4), timed(25, 1920, 1080, 0.2)
    assert choose([small, large, finer, huge]) == (finer, 30)
    assert choose([small, huge]) == (small, 30)
    assert choose([timed(29.9, 640, 360, 0.8), huge]) == (huge, 24)
    assert choose([timed(16, 640, 360, 0.4), timed(14.9, 1280, 720, 0.2)]) == (timed(16, 640, 360, 0.4), 15)
    assert choose([timed(3, 1280, 720, 0.2), timed(4, 640, 360, 0.4)]) == (timed(4, 640, 360, 0.4), None)
    assert choose([]) == (None, None)
    better = timed(30.1, 1280, 720, 0.4, "resnet50")
    assert choose([better, finer]) == (better, 30)


def test_the_ladder_is_walked_from_its_cheapest_rung_until_one_is_hopeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps are those that live video uses, prepared in the same way."""

    class Walked(engines.PassThroughEngine):
        asked: ClassVar[list[float]] = []

        def __init__(self, settings: EngineSettings) -> None:
            super().__init__(settings)
            self.settings = settings

        @property
        def rungs(self) -> tuple[Rung, ...]:
            return rungs_for(1280, 720, ("fp32",))

        def use_rung(self, rung: Rung) -> bool:
            self.asked.append(rung.ratio)
            self._info = self._info.on(rung)
            return self.asked.count(rung.ratio) > 1

    monkeypatch.setattr(engines, "Walked", Walked, raising=False)
    asked = EngineSettings(engine="tests.support.engines:Walked")
    found = list(walk(asked, [], 1280, 720, 0.01))
    assert [timing.downsample_ratio for timing in found] == pytest.approx([0.2, 0.25, 0.3, 0.35, 0.4])
    assert {(timing.width, timing.height) for timing in found} == {(1280, 720)}
    monkeypatch.setattr("rvm_live.apps.hwtest.advice._HOPELESS_FPS", 1e9)
    assert [timing.downsample_ratio for timing in walk(asked, [], 1280, 720, 0.01)] == [0.2]


def test_a_picture_that_is_large_enough_is_better_with_rvm_than_larger_with_lite() -> None:
    rvm, small = timed(31, 1280, 720, 0.2), timed(90, 640, 360, 0.8)
    lite, larger = timed(90, 1280, 720, 0.2, "lite"), timed(60, 1920, 1080, 0.133, "lite")
    assert choose([rvm, small, lite, larger]) == (rvm, 30)
    assert choose([small, lite]) == (lite, 30), "360 lines are few"
    assert choose([timed(4.7, 640, 360, 0.4), timed(19, 1280, 720, 0.2), lite]) == (lite, 30)
    assert choose([timed(4.7, 640, 360, 0.4), timed(19, 1280, 720, 0.2)]) == (timed(19, 1280, 720, 0.2), 15)


@pytest.mark.parametrize(("share", "offered"), [(0.62, True), (0.74, False)])
def test_int8_is_offered_where_it_pays(share: float, offered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from rvm_live.apps.hwtest import advice

    monkeypatch.setattr("rvm_live.engines.common.micro_benchmark.int8_share", lambda *_: share)
    timings = [timed(20, 1280, 720, 0.2), timed(30, 1280, 720, 0.2, "lite")]
    told = advice._hint(timings, "my clip.mp4")
    assert (told is not None) == offered
    if told is not None:
        assert "0.6 of the network's time" in told and "rvm-live calibrate --source 'my clip.mp4'" in told
        assert advice._hint([*timings, replace(timings[0], precision="int8")], "auto") is None
        assert advice._hint([*timings, replace(timings[0], device="cuda:0")], "auto") is None
    assert advice._hint(timings[1:], "auto") is None, "there is no RVM to make it of"


def test_sizes_are_those_the_source_has() -> None:
    rhythm = rhythm_of([0, 1])

    def source(kind: str, width: int, height: int) -> SourceReport:
        return SourceReport("x", kind, "x", None, Mode(width, height, 30, ""), 0.1, rhythm, {})

    got = [ModeResult(Mode(9, 9, 9, "MJPG"), Mode(*size, 30, "MJPG"), rhythm) for size in ((1280, 720), (640, 480))]
    got.append(ModeResult(Mode(9, 9, 9, "MJPG"), None, None, "no"))
    assert frame_sizes(source("camera", 640, 480), got, fast=True) == [(640, 480), (1280, 720)]
    assert frame_sizes(source("camera", 640, 480), [], fast=True) == [(640, 480)]
    assert frame_sizes(source("video", 1280, 720), [], fast=False) == [(640, 360), (960, 540), (1280, 720)]
    assert frame_sizes(source("video", 200, 100), [], fast=False) == [(200, 100)]
    assert frame_sizes(None, [], fast=False)[-1] == (1920, 1080)
    assert frame_sizes(None, [], fast=True)[-1] == (3840, 2160)


# ------------------------------------------------------------------------------------------------------------ tables


@pytest.mark.slow
def test_tables_say_everything(monkeypatch: pytest.MonkeyPatch, weights: Path, tmp_path: Path) -> None:
    """A camera's full report, 100 columns wide: nothing is cut off or left out."""
    FakeDevice.plug_in(monkeypatch, FakeDevice(sizes=[(64, 48)], fps=60, raw_fps=15), "HD Cam [1]")
    monkeypatch.setattr("rvm_live.apps.hwtest.modes.COMMON_MODES", ())
    asked = [Mode(640, 480, 30, "MJPG"), Mode(640, 480, 30, "YUYV")]
    monkeypatch.setattr(measure_modes, "__kwdefaults__", {**(measure_modes.__kwdefaults__ or {}), "modes": asked})
    reading = GpuReading("NVIDIA GeForce RTX 4070", "560.35", 7, 1 << 30, 12 << 30)
    monkeypatch.setattr("rvm_live.system.gpu.read", lambda *_: reading)
    report = run(HwTestSettings(engine=EngineSettings(weights=weights, device="cpu"), seconds=0.4))
    out = io.StringIO()
    print_report(report, Console(file=out, width=100))
    text = out.getvalue()
    for words in (
        "0  HD Cam [1]  /dev/fake0",
        "camera 0 (HD Cam [1])",
        "1280x720 60 fps MJPG",
        "64x48 60 fps MJPG",
        "brightness 128, contrast 32, exposure 156, gain 0",
        "opened in",
        "standard deviation",
        "gaps of over 1.5 intervals",
        "Modes of this camera",
        "640x480 30 fps YUYV",
        "64x48 15 fps YUYV",
        "true fps",
        "NVIDIA GeForce RTX 4070, 12.0 GiB, driver 560.35",
        "OpenCV",
        "opencv-cuda",
        "torchscript",
        "mobilenetv3, fp32 on cpu",
        "fps measured",
        "rvm-live --width 64 --height 48 --fps 30 --fourcc MJPG --downsample-ratio 1",
    ):
        assert words in text, words
    assert "…" not in text
    assert all(len(line) <= 100 for line in text.splitlines() if "rvm-live --" not in line)


# ----------------------------------------------------------------------------------------------------------- preview


def test_preview_draws_on_a_copy() -> None:
    image = np.full((240, 320, 3), 90, np.uint8)
    picture = drawn(Glimpse(image, 12, 5_000_000_000, 400_000_000, 29.97))
    assert picture.shape == image.shape
    assert (image == 90).all()
    changed = (picture != 90).any(axis=2)
    assert changed[:130, :170].mean() > 0.3
    assert not changed[200:].any()


@pytest.fixture(scope="module")
def display() -> Iterator[Display]:
    with open_display(1000, 700) as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.window
@pytest.mark.parametrize("how", ["q", "Escape", "close"])
def test_preview_in_a_window(display: Display, how: str) -> None:
    assert shutil.which("xdotool")
    with (
        MjpegServer(width=640, height=480, fps=30) as server,
        start("hwtest", "--quick", "--json", "--preview", "--source", server.url, env=display.env) as program,
    ):
        before = display.wait_for(lambda shot: shot.max() > 0, TITLE, 20)
        after = display.wait_for(lambda shot: not np.array_equal(shot, before), TITLE)
        assert not np.array_equal(before, after)
        Display.wait(lambda: False, 1.0)  # let it count for a while
        if how == "close":
            display.close_window(TITLE)
        else:
            display.key(how, TITLE)
        outcome = finish(program)
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    report = parsed(outcome)
    assert report["source"]["rhythm"]["fps"] == pytest.approx(30, rel=0.2)
    assert report["source"]["rhythm"]["frames"] > 10
