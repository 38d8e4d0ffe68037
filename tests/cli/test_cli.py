"""The command line: reports, recordings, and one clear line for every kind of bad input."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.support.mjpeg import MjpegServer
from tests.support.program import call, finish, start
from tests.support.videos import make_film, make_sound

THROUGH = ["--engine", "tests.support.engines:LeftHalfEngine"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty different frames, 96x64, at 30 per second."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_clip(path, frames=30)
    return path


def write_clip(path: Path, frames: int) -> None:
    make_film(path, [np.full((64, 96, 3), 40 + number * 5, np.uint8) for number in range(frames)])


def headless(*arguments: str | Path) -> list[str | Path]:
    return [*THROUGH, "--headless", "--no-realtime", *arguments]


def test_the_report_in_json(clip: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = call(*headless("--source", clip, "--stats-json", report, "--compositor", "cpu", "--report"))
    assert (done.code, done.err) == (0, "")
    told = json.loads(report.read_text())
    assert told["ran"] == {
        "compositor": "cpu",
        "device": "cpu",
        "downsample_ratio": 1.0,
        "engine": "pass-through",
        "focus": "",
        "height": 64,
        "model": "none",
        "precision": "uint8",
        "source": told["ran"]["source"],
        "width": 96,
    }
    assert "clip.mp4" in told["ran"]["source"]
    assert told["frames"] == {
        "captured": 30,
        "unique": 30,
        "repeated": 0,
        "dropped": {"captured": 0, "composed": 0, "matted": 0},
    }
    assert told["fps"]["unique"] > 0
    for stage in ("matting", "compositing", "display", "total"):
        track = told["latency_ms"][stage]
        assert 0 < track["p50"] <= track["p95"] <= track["p99"]
    assert told["exit_reason"] == "end of source"
    assert told["fallbacks"] == []
    assert "engine      pass-through none on cpu" in done.out
    for word in ("30 unique shown", "captured 0", "cpu", "end of source"):
        assert word in done.out


def test_a_recording_holds_every_frame(clip: Path, tmp_path: Path) -> None:
    done = call(*headless("--source", clip, "--record", tmp_path / "out.mp4", "--background", "color:#0000ff"))
    assert done.code == 0, done.err
    with av.open(str(tmp_path / "out.mp4")) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert len(frames) == 30
    assert np.abs(frames[10][32, 80].astype(int) - (255, 0, 0)).max() < 30
    assert np.abs(frames[10][32, 20].astype(int) - 90).max() < 30
    saved = re.escape(str(tmp_path / "out.mp4"))
    assert re.fullmatch(rf"\d+ s · \d+\.\d fps · \d+ ms · saved {saved}, \d+ kB\n", done.out), done.out


@pytest.mark.parametrize("suffix", [".mov", ".webm"])
def test_a_transparent_recording_has_real_alpha(clip: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    done = call(*headless("--source", clip, "--record", path, "--background", "transparent"))
    assert done.code == 0, done.err
    with av.open(str(path)) as container:
        decoder = av.CodecContext.create("libvpx-vp9", "r") if suffix == ".webm" else None
        frames = []
        for packet in container.demux(video=0):
            frames += decoder.decode(packet) if decoder else packet.decode()
    assert len(frames) == 30
    alpha = frames[5].reformat(format="rgba").to_ndarray()[..., 3]
    assert alpha[:, :40].min() > 240 and alpha[:, 56:].max() < 15


def test_a_sequence_is_named_by_frame_number(clip: Path, tmp_path: Path) -> None:
    folder = f"{tmp_path}/pictures/"
    done = call(*headless("--source", clip, "--record", folder, "--background", "transparent", "--frames", "4"))
    assert done.code == 0, done.err
    names = sorted(path.name for path in Path(folder).iterdir())
    assert names == [f"{n:06d}.png" for n in range(4)]
    picture = cv2.imread(folder + names[2], cv2.IMREAD_UNCHANGED)
    assert picture.shape == (64, 96, 4)
    assert (picture[:, 48:] == 0).all() and (picture[:, :48, 3] == 255).all()


def test_the_demo_is_matted_with_real_weights(weights: Path, tmp_path: Path) -> None:
    from rvm_live.core.settings import SourceSettings
    from rvm_live.sources.demo.demo import DemoSource

    size = ["--width", "480", "--height", "270"]
    record = f"{tmp_path}/out/"
    options = ["--source", "demo", "--headless", "--no-realtime", "--frames", "12", "--background", "transparent"]
    done = call(*options, *size, "--weights", weights, "--record", record)
    assert done.code == 0, done.err
    alpha = cv2.imread(f"{record}000011.png", cv2.IMREAD_UNCHANGED)[..., 3]
    source = DemoSource(SourceSettings(source="demo", width=480, height=270))
    source.open()
    truth = source.frame_at(11)[1]
    source.release()
    assert np.abs(alpha.astype(float) - truth.astype(float)).mean() / 255 < 0.05


def test_a_camera_that_is_not_there_by_default_leads_to_the_demo_and_says_so(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    options = ["--headless", "--frames", "2", "--width", "320", "--height", "180", "--stats-json", report]
    done = call(*THROUGH, *options)
    assert done.code == 0, done.err
    told = json.loads(report.read_text())
    if "camera" not in told["ran"]["source"]:  # the test machine may have a camera
        assert "demo" in told["ran"]["source"]
        assert any("camera" in line for line in told["fallbacks"])
        assert "camera" in done.err and "camera" in done.out


BAD_VALUES = {
    "width": (["--width", "0"], "width 0 is out of range"),
    "height": (["--height", "100000"], "height 100000 is out of range"),
    "fps": (["--fps", "0"], "fps 0 is out of range"),
    "fps not a number": (["--fps", "nan"], "fps nan is out of range"),
    "ratio": (["--downsample-ratio", "1.5"], "ratio 1.5 is out of range"),
    "ratio word": (["--downsample-ratio", "half"], "is not a number: write 'auto'"),
    "fourcc": (["--fourcc", "MJPEG"], "four characters"),
    "device": (["--device", "tpu"], "unknown device 'tpu'"),
    "precision": (["--precision", "int3"], "unknown precision"),
    "frames": (["--frames", "0"], "frames 0 is out of range"),
    "duration": (["--duration", "-1"], "duration -1"),
    "engine": (["--engine", "magic"], "unknown engine 'magic'"),
    "engine module": (["--engine", "no.such:Thing"], "cannot load engine"),
    "engine that is none": (["--engine", "rvm_live.core.errors:RvmLiveError"], "engine"),
    "compositor": (["--compositor", "magic"], "unknown compositor 'magic'"),
    "compositor that cannot work": (["--compositor", "opencv-cuda"], "opencv-cuda"),
    "background": (["--background", "sky"], "sky"),
    "background file": (["--background", "image:/no/such.png"], "/no/such.png"),
    "colour": (["--background", "color:#12345"], "#12345"),
    "blur": (["--background", "blur:-3"], "blur"),
    "source": (["--source", "/no/such/clip.mp4"], "/no/such/clip.mp4"),
    "camera": (["--source", "97"], "camera 97"),
    "camera by name": (["--source", "No Such Camera"], "No Such Camera"),
    "folder as source": (["--source", "/"], "folder"),
    "recording suffix": (["--record", "out.xyz"], ".xyz"),
    "recording folder": (["--record", "/proc/none/out.mp4"], "/proc/none"),
    "report folder": (["--stats-json", "/no/such/report.json"], "/no/such"),
    "option": (["--no-such-option"], "--no-such-option"),
    "command": (["bacth"], "unknown command 'bacth': did you mean 'batch'?"),
    "two sources": (["dance"], "only one source can be used"),
    "address as background": (["-b", "https://a.example/b//c.jpg?d=1"], "save https://a.example/b//c.jpg?d=1 as"),
    "address as picture": (["-b", "image:file:///a/b.jpg"], "save file:///a/b.jpg as"),
    "bare colour": (["-b", "#12345"], "unknown colour '#12345'"),
    "size": (["--size", "1280"], "'1280' is not a size: write it like 1280x720"),
    "size twice": (["--size", "96x64", "--width", "96"], "--width and --height, not both"),
    "blur without a number": (["--blur=much"], "blur strength 'much'"),
}


@pytest.mark.parametrize("case", BAD_VALUES, ids=str)
def test_bad_input_is_one_clear_line(case: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, words = BAD_VALUES[case]
    base = ["--headless", "--frames", "2"]
    base += [] if "--engine" in arguments else THROUGH
    base += [] if "--source" in arguments else ["--source", str(clip)]
    done = call(*base, *arguments)
    assert done.code == 2
    assert words in done.complaint
    assert list(tmp_path.iterdir()) == []


def test_bad_files_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    make_sound(tmp_path / "sound.mp4")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    for name, word in {
        "empty.mp4": "empty",
        "text.mp4": "text.mp4",
        "sound.mp4": "no picture",
        "broken.png": "broken.png",
    }.items():
        done = call(*headless("--source", tmp_path / name, "--record", tmp_path / "out.mp4"))
        assert done.code == 2, name
        assert word in done.complaint, done.complaint
    assert not list(tmp_path.glob("*out.mp4*"))


def test_a_stream_that_nobody_serves(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    done = call(*THROUGH, "--headless", "--source", f"http://127.0.0.1:{port}/video")
    assert done.code == 2
    assert f"127.0.0.1:{port}" in done.complaint


@pytest.mark.slow
def test_a_stream_that_ends_is_found_again_and_the_recording_goes_on(tmp_path: Path) -> None:
    with MjpegServer(width=96, height=64) as server:
        threading.Timer(1.5, server.cut).start()
        options = ("--headless", "--duration", "4", "--source", server.url, "--record", tmp_path / "out.mp4")
        done = call(*THROUGH, *options)
    assert done.code == 0
    assert "ended; trying again until it is back" in done.err
    assert "is back" in done.err
    with av.open(str(tmp_path / "out.mp4")) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    assert len(times) > 20
    assert times[-1] > 2.5
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_weights_that_cannot_be_had_name_both_ways(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RVM_LIVE_WEIGHTS", raising=False)
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    done = call("--source", clip, "--headless", "--offline", "--engine", "rvm")
    assert done.code == 2
    assert "weights pull" in done.complaint and "--weights" in done.complaint


def test_debug_shows_the_traceback(clip: Path) -> None:
    done = call("--debug", *headless("--source", clip, "--compositor", "opencv-cuda"))
    assert done.code == 2
    assert "Traceback" in done.err


def test_a_bug_in_an_engine_is_no_traceback(clip: Path) -> None:
    done = call("--engine", "tests.support.engines:BuggyEngine", "--headless", "--no-realtime", "--source", clip)
    assert done.code == 1
    assert "unexpected ZeroDivisionError" in done.complaint


def test_no_realtime_wants_a_source_that_waits() -> None:
    done = call(*headless("--source", "0"))
    assert done.code == 2
    assert "--no-realtime" in done.complaint


@pytest.mark.slow
def test_recording_to_a_full_disk_leaves_nothing_that_looks_whole(clip: Path, tmp_path: Path) -> None:
    """A limit on file size stands in for the full disk where no small file system can be mounted."""
    script = tmp_path / "limited.py"
    script.write_text(
        "import resource, runpy, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "sys.argv[0] = 'rvm-live'\n"
        "runpy.run_module('rvm_live', run_name='__main__')\n"
    )
    import subprocess
    import sys

    from tests.conftest import ROOT

    folder = tmp_path / "out"
    folder.mkdir()
    options = headless("--source", "demo", "--width", "640", "--height", "360", "--frames", "60")
    done = subprocess.run(
        [sys.executable, str(script), *map(str, options), "--record", str(folder / "out.mp4")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert "out.mp4" in done.stderr
    assert {path.name for path in folder.iterdir()} <= {"out.incomplete.mp4"}


def test_python_dash_m_is_the_same_program() -> None:
    with start("--version") as process:
        done = finish(process)
    assert done.code == 0
    assert done.out.startswith("rvm-live")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--record", "x.avi"), "unknown suffix '.avi'"),
        (("--record", "nowhere/x.mp4"), "nowhere does not exist"),
        (("--background", "image:nothing.png"), "nothing.png"),
        (("--background", "colour:nosuch"), "nosuch"),
        (("--compositor", "nosuch"), "nosuch"),
        (("--stats-json", "nowhere/x.json"), "no folder nowhere"),
        (("--source", "nothing.mp4"), "there is no file nothing.mp4"),
        (("--engine", "nosuch"), "nosuch"),
        (("--engine", "rvm", "--weights", "nothing.pth"), "nothing.pth does not exist"),
        (("--device", "cuda:7"), "cuda:7"),
    ],
)
@pytest.mark.few(1)
def test_what_is_wrong_is_told_before_what_will_be_done(tmp_path: Path, wrong: tuple[str, ...], said: str) -> None:
    env = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    with start("--source", "demo", "--engine", "lite", "--offline", *wrong, env=env, cwd=tmp_path) as process:
        done = finish(process)
    assert done.code == 2
    assert said in done.complaint
    assert not any(tmp_path.iterdir()), "nothing is left behind"


def test_a_tilde_stands_for_home_in_every_path(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.mp4").write_bytes(clip.read_bytes())
    cv2.imwrite(str(tmp_path / "b.png"), np.full((64, 96, 3), 200, np.uint8))
    for source, folder in (("~/a.mp4", "one/"), ("~/b.png", "two")):
        (tmp_path / "two").mkdir(exist_ok=True)
        done = call(
            *("--source", source, "--headless", *THROUGH, "--frames", "2", "--background", "image:~/b.png"),
            *("--record", f"~/{folder}", "--stats-json", "~/report.json"),
        )
        assert done.code == 0, done.err
        assert len(list((tmp_path / folder).iterdir())) == 2
        assert json.loads((tmp_path / "report.json").read_text())["exit_reason"] == "frames reached"
    done = call("--source", "~/nothing.mp4", "--headless", *THROUGH)
    assert (done.code, done.complaint) == (2, f"there is no file {tmp_path}/nothing.mp4")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~").mkdir()
    (tmp_path / "~" / "a.mp4").write_bytes(b"a file that is really called so")
    assert "a.mp4" in call("--source", "~/a.mp4", "--headless", *THROUGH, "--frames", "1").complaint
