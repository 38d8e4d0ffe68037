"""``rvm-live batch``: real files in, real files out, decoded again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvm_live.apps.batch.inputs import find, jobs
from rvm_live.apps.batch.settings import PRESETS, BatchSettings, ratio_for
from rvm_live.apps.monitor import read_samples
from rvm_live.core.errors import SettingsError
from rvm_live.engines.common.ladder import low_size
from tests.conftest import ROOT
from tests.support.movies import hidden, inside, make_movie, names, pictures, since_start
from tests.support.program import call, finish, start
from tests.support.videos import make_sound, make_video
from tests.support.waiting import until

HALF = ("--engine", "tests.support.engines:LeftHalfEngine", "--background", "color:#000000")


def work(*arguments: str | Path) -> None:
    done = call("batch", *HALF, *arguments)
    assert done.code == 0, done.err + done.out


# Outputs equal inputs except for the picture


def test_count_times_length_and_sound_are_those_of_the_input(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "a clip.mp4", sound=("aac", "ac3"))
    work(clip, "-o", tmp_path / "out")
    ours, theirs = inside(tmp_path / "out" / "output_a_clip.mp4"), inside(clip)
    assert ours.times == theirs.times
    assert ours.seconds == pytest.approx(theirs.seconds, abs=1e-3)
    assert ours.sound == theirs.sound
    assert ours.sound_times == pytest.approx(theirs.sound_times, abs=1e-3)
    assert [codec for codec, _ in ours.sound] == ["aac", "ac3"]


def test_a_variable_rate_stays_variable(tmp_path: Path) -> None:
    times = [0.0, 0.05, 0.31, 0.35, 1.2, 1.21, 2.0]
    clip = make_video(tmp_path / "vfr.mkv", frames=len(times), times=times)
    work(clip, "-o", tmp_path / "out")
    assert [float(t) for t in inside(tmp_path / "out" / "output_vfr.mp4").times] == pytest.approx(times, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("odd.mkv", {"size": (95, 63), "pix_fmt": "yuv444p"}),
        ("ten.mkv", {"pix_fmt": "yuv420p10le"}),
        ("silent.mp4", {"sound": ()}),
        ("old.mpg", {"codec": "mpeg1video", "sound": ("mp2",)}),
        ("web.webm", {"codec": "libvpx-vp9", "sound": ("libopus",)}),
        ("pcm.mov", {"codec": "mpeg4", "sound": ("pcm_s16le",)}),
        ("lossless.mkv", {"codec": "ffv1", "sound": ("flac", "aac")}),
    ],
)
def test_every_kind_of_file(tmp_path: Path, name: str, made: dict[str, object]) -> None:
    clip = make_movie(tmp_path / name, **made)  # type: ignore[arg-type]
    done = call("batch", *HALF, clip, "-o", tmp_path / "out")
    assert done.code == 0, done.out + done.err
    ours, theirs = inside(tmp_path / "out" / f"output_{clip.stem}.mp4"), inside(clip)
    assert [float(t) for t in ours.times] == pytest.approx(since_start(theirs), abs=2e-3)
    assert len(ours.sound) == len(theirs.sound)
    for (codec, packets), (before, originals) in zip(ours.sound, theirs.sound, strict=True):
        if codec == before:
            assert packets == originals
        else:
            assert f"{before} cannot be stored in mp4, encoded as aac" in done.out
            assert codec == "aac"
    assert ours.size == tuple(side + side % 2 for side in theirs.size)


def test_a_turned_clip_comes_out_upright(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "phone.mp4", width=96, height=64, rotation=90)
    work(clip, "-o", tmp_path / "out")
    assert inside(tmp_path / "out" / "output_phone.mp4").size == (64, 96)


# Alpha


@pytest.mark.parametrize(
    ("container", "codec", "tolerance"), [("mkv", "ffv1", 0), ("mov", "prores", 1), ("webm", "vp9", 6)]
)
def test_alpha_in_is_alpha_out(tmp_path: Path, container: str, codec: str, tolerance: int) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=8)
    work(clip, "-o", tmp_path / "out", "--background", "transparent", "--container", container)
    path = tmp_path / "out" / f"output_clip.{container}"
    assert inside(path).codec == codec
    if container == "webm":  # FFmpeg's own decoder leaves alpha out
        with av.open(str(path)) as file:
            decoder = av.CodecContext.create("libvpx-vp9", "r")
            frames = [f for p in file.demux(video=0) for f in decoder.decode(p)]
        alphas = [frame.to_ndarray(format="bgra")[..., 3] for frame in frames]
    else:
        alphas = [picture[..., 3] for picture in pictures(path, "bgra")]
    assert len(alphas) == 8
    for alpha in alphas:
        assert np.abs(alpha[:, :44].astype(int) - 255).max() <= tolerance
        assert alpha[:, 52:].max() <= tolerance


def test_pngs_hold_alpha_without_loss_and_the_folder_appears_whole(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=5)
    work(clip, "-o", tmp_path / "out", "--background", "transparent", "--container", "png")
    files = sorted((tmp_path / "out" / "output_clip").iterdir())
    assert [each.name for each in files] == [f"{n:06d}.png" for n in range(5)]
    picture = cv2.imread(str(files[2]), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(picture[..., 3])) == {0, 255}
    assert not picture[picture[..., 3] == 0].any()


def test_alpha_and_foreground_on_their_own(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=6)
    work(clip, "-o", tmp_path / "out", "--write", "composite,alpha,foreground", "--container", "mkv")
    out = tmp_path / "out"
    (alpha, *_) = pictures(out / "output_clip_alpha.mkv", "gray")
    assert set(np.unique(alpha)) == {0, 255}
    source, (colours, *_) = pictures(clip, "bgr24")[0], pictures(out / "output_clip_foreground.mkv", "bgr24")
    assert not colours[:, 48:].any(), "the room shows in the foreground"
    assert np.abs(colours[:, :48].astype(int) - source[:, :48]).mean() < 3
    assert inside(out / "output_clip_alpha.mkv").times == inside(out / "output_clip.mkv").times
    assert names(out) == [
        "log_output_clip.txt", "output_clip.mkv", "output_clip_alpha.mkv", "output_clip_foreground.mkv"
    ]  # fmt: skip


def test_alpha_as_h264_spans_black_to_white(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=4)
    work(clip, "-o", tmp_path / "out", "--write", "alpha")
    alpha = pictures(tmp_path / "out" / "output_clip_alpha.mp4", "bgr24")[1]
    assert alpha[:, :40].min() >= 250
    assert alpha[:, 56:].max() <= 5


# Inputs and names


def test_folders_patterns_and_names(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("b.mp4", "deep/a.MKV", "notes.txt", ".hidden.mp4", "deep/c.mov"):
        (tmp_path / "in" / name).touch()
    (tmp_path / "in" / "round").symlink_to(tmp_path / "in")
    found = [path.relative_to(tmp_path / "in").as_posix() for path in find([str(tmp_path / "in")])]
    assert found == ["b.mp4", "deep/a.MKV", "deep/c.mov"]
    assert find([str(tmp_path / "in" / "**" / "*.mov"), str(tmp_path / "in" / "deep" / "c.mov")]) == [
        tmp_path / "in" / "deep" / "c.mov"
    ]
    for text, said in (("nothing.mp4", "does not exist"), ("*.none", "matches no file"), ("a\0b", "zero byte")):
        with pytest.raises(SettingsError, match=said):
            find([text])
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match="contains no video"):
        find([str(tmp_path / "empty")])


def test_names_are_tidied_and_never_shared(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my  clip with a very very long name.mp4").touch()
    made = jobs(BatchSettings((str(tmp_path),), tmp_path / "out", quality="ultra"))
    assert [job.stem for job in made] == ["ultra_output_my_clip_very_long", "ultra_output_my_clip_very_long_2"]
    named = jobs(BatchSettings((str(tmp_path / "one"),), tmp_path, name_template="{stem}-cut"))
    assert [job.stem for job in named] == ["my  clip with a very very long name-cut"]


@pytest.mark.parametrize(
    ("size", "sides"),
    [
        ((1920, 1080), {"standard": 480, "resnet": 480, "high": 960, "ultra": 1920}),
        ((3840, 2160), {"standard": 480, "resnet": 480, "high": 960, "ultra": 3840}),
        ((720, 1280), {"standard": 480, "resnet": 480, "high": 960, "ultra": 1280}),
        ((524, 524), {"standard": 480, "resnet": 480, "high": 524, "ultra": 524}),
        ((320, 180), {"standard": 320, "resnet": 320, "high": 320, "ultra": 320}),
        ((96, 64), {"standard": 96, "resnet": 96, "high": 96, "ultra": 96}),
    ],
)
def test_a_preset_is_the_longer_side_of_the_networks_picture(size: tuple[int, int], sides: dict[str, int]) -> None:
    seen = {name: max(low_size(*size, ratio_for(preset, *size))) for name, preset in PRESETS.items()}
    assert seen == sides


@given(st.integers(16, 8192), st.integers(16, 8192))
def test_no_preset_shows_the_network_less_than_it_can_use(width: int, height: int) -> None:
    for preset in PRESETS.values():
        ratio = ratio_for(preset, width, height)
        assert 0 < ratio <= 1
        longer, shorter = sorted(low_size(width, height, ratio), reverse=True)
        assert longer >= min(256, max(width, height)) and shorter >= min(16, width, height) - 1


@pytest.mark.slow
def test_the_network_of_a_file_gets_the_presets_side(weights: Path, tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=2, size=(524, 524), sound=())
    done = call("batch", clip, "-o", tmp_path / "out", "--engine", "openvino", "--weights", weights, "--json")
    ratio = json.loads(done.out.splitlines()[-1])["ran"]["downsample_ratio"]
    assert low_size(524, 524, ratio) == (480, 480)


def test_every_preset_has_a_prefix_of_its_own_and_the_old_name_of_one_stays(tmp_path: Path) -> None:
    assert len({preset.prefix for preset in PRESETS.values()}) == len(PRESETS)
    assert (PRESETS["resnet"].model, PRESETS["resnet"].prefix) == ("resnet50", "resnet_output_")
    settings = BatchSettings((__file__,), tmp_path, quality="high-performance")
    assert settings.quality == "resnet"
    assert [job.stem for job in jobs(settings)] == ["resnet_output_test_batch"]
    told = call("batch", "--help").out
    assert "resnet" in told and "high-performance" not in told


# What goes wrong


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    make_movie(folder / "a.mp4", frames=6)
    (folder / "b.mp4").write_bytes(b"this is no video" * 100)
    make_sound(folder / "c.mp4")
    (folder / "d.mp4").touch()
    make_movie(folder / "e.mp4", frames=6)
    done = call("batch", *HALF, folder, "-o", tmp_path / "out")
    assert done.code == 1
    assert done.out.splitlines()[-1] == "2 done, 3 failed"
    assert "Traceback" not in done.err + done.out
    assert names(tmp_path / "out") == [*(f"log_output_{n}.txt" for n in "abcde"), "output_a.mp4", "output_e.mp4"]
    assert "contains no picture" in (tmp_path / "out" / "log_output_c.txt").read_text()
    log = (tmp_path / "out" / "log_output_a.txt").read_text()
    for word in ("state        done", "6 frames", "pass-through", "matting", "GPU", "torch", "quality      standard"):
        assert word in log, word


def test_a_truncated_file_gives_what_it_holds(tmp_path: Path) -> None:
    whole = make_movie(tmp_path / "whole.mkv", frames=60, sound=())
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    work(cut, "-o", tmp_path / "out")
    assert 5 < len(inside(tmp_path / "out" / "output_cut.mp4").times) < 60


def test_an_engine_that_fails_leaves_nothing_half(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4")
    done = call("batch", "--engine", "tests.support.engines:BuggyEngine", clip, "-o", tmp_path / "out")
    assert done.code == 1
    assert "ZeroDivisionError" in done.out
    log = (tmp_path / "out" / "log_output_clip.txt").read_text()
    assert "Traceback (most recent call last):" in log
    assert "in matte" in log
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["log_output_clip.txt"]


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=4)
    before = clip.read_bytes()
    done = call("batch", *HALF, clip, "-o", tmp_path, "--name-template", "{name}")
    assert done.code == 1
    assert "is the input itself" in done.out
    assert clip.read_bytes() == before


def test_bad_usage_is_one_line(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=4)
    (tmp_path / "file").touch()
    out = ("-o", tmp_path / "out")
    for arguments, said in (
        (("none.mp4", *out), "does not exist"),
        ((clip, *out, "--write", "matte"), "cannot write 'matte'"),
        ((clip, *out, "--write", ","), "no output is chosen"),
        ((clip, *out, "--background", "transparent", "--container", "mp4"), "mp4 cannot store alpha"),
        ((clip, *out, "--background", "color:#nope"), "unknown colour"),
        ((clip, *out, "--name-template", "../{name}"), "not a path"),
        ((clip, *out, "--name-template", "same"), "every file the same name"),
        ((clip, *out, "--name-template", "{nome}"), "cannot be filled in"),
        ((clip, *out, "--downsample-ratio", "2"), "out of range"),
        ((clip, "-o", tmp_path / "file"), "cannot make the folder"),
        ((clip, *out, "--weights", tmp_path / "none.pth", "--engine", "auto"), "does not exist"),
    ):
        done = call("batch", *HALF, *arguments)
        assert (done.code, said in done.complaint) == (2, True), done.err
    assert not (tmp_path / "out").exists()


# Stopping and continuing


def slow(folder: Path) -> Path:
    (folder / "in").mkdir()
    make_movie(folder / "in" / "a.mp4", frames=12)
    make_movie(folder / "in" / "b.mp4", frames=240)
    return folder / "in"


def wait_for(path: Path) -> None:
    until(path.exists, 30)
    assert path.exists()


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    clips, out = slow(tmp_path), tmp_path / "out"
    slowly = ("batch", *HALF, "--engine", "tests.support.engines:SlowEngine", clips, "-o", out)
    with start(*slowly) as process:
        wait_for(out / ".output_b.parts" / "composite-00000.mp4")
        time.sleep(0.5)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    whole = out / "output_a.mp4"
    stamp = whole.stat().st_mtime_ns
    assert not (out / "output_b.mp4").exists()
    done = call(*slowly, "--resume")
    assert done.code == 0, done.out
    assert done.out.splitlines()[-1] == "1 done, 1 kept (--force overwrites it)"
    assert whole.stat().st_mtime_ns == stamp
    assert len(inside(out / "output_b.mp4").times) == 240
    assert not hidden(out)


def test_ctrl_c_ends_in_good_order(tmp_path: Path) -> None:
    clips, out = slow(tmp_path), tmp_path / "out"
    with start("batch", *HALF, "--engine", "tests.support.engines:SlowEngine", clips, "-o", out) as process:
        wait_for(out / ".output_b.parts" / "composite-00000.mp4")
        process.send_signal(signal.SIGINT)
        done = finish(process)
    assert done.code == 130
    assert done.out.splitlines()[-1] == "1 done, 1 unfinished, interrupted"
    assert (out / "output_a.mp4").exists()
    assert not (out / "output_b.mp4").exists()
    assert not hidden(out)
    assert "interrupted" in (out / "log_output_b.txt").read_text()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from rvm_live.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as leaving: assert leaving.code == 0\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
    )
    peaks = []
    for frames in (300, 3000):
        clip = make_movie(tmp_path / f"{frames}.mp4", frames=frames, fps=60, size=(192, 128))
        command = [sys.executable, "-c", code, "batch", *HALF, str(clip), "-o", str(tmp_path / "out")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True)
        peaks.append(float(done.stdout.splitlines()[-1]))
    assert peaks[1] - peaks[0] < 50, f"{peaks} MB"


def test_a_monitor_beside_each_file(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=6)
    work(clip, "-o", tmp_path / "out", "--monitor")
    assert len(read_samples(tmp_path / "out" / "gpu_output_clip.csv")) >= 2
    assert (tmp_path / "out" / "gpu_output_clip.png").stat().st_size > 1000


@pytest.mark.slow
def test_without_weights_it_says_why_lite_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "cache"))
    clip = make_movie(tmp_path / "clip.mp4", frames=3)
    done = call("batch", clip, "-o", tmp_path / "out", "--device", "cpu")
    assert done.code == 0, done.out + done.err
    log = (tmp_path / "out" / "log_output_clip.txt").read_text()
    for told in (done.out, log):
        assert "the embedded engine lite runs: RVM's weights are not here" in told
    done = call("batch", clip, "-o", tmp_path / "out", "--quality", "high-performance", "--engine", "rvm", "--offline")
    assert done.code == 1
    assert "no weights for resnet50" in done.out


def test_events_for_programs(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=6)
    done = call("batch", *HALF, clip, "-o", tmp_path / "out", "--json")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert [event["event"] for event in events if event["event"] not in ("preparing", "progress")] == ["start", "file"]
    assert events[0]["files"] == 1
    assert (events[-1]["state"], events[-1]["frames"]) == ("done", 6)
    assert events[-1]["outputs"] == [str(tmp_path / "out" / "output_clip.mp4")]


def test_with_a_real_network_a_real_person_is_cut_out(data: Path, tmp_path: Path) -> None:
    source = data / "clips" / "webcam" / "liveportrait_s18.mp4"
    short = tmp_path / "person.mp4"
    with av.open(str(source)) as file:
        frames = [frame for frame, _ in zip(file.decode(video=0), range(4), strict=False)]
        with av.open(str(short), "w") as out:
            stream = out.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
            for number, frame in enumerate(frames):
                frame.pts, frame.time_base = number, Fraction(1, 25)
                out.mux(stream.encode(frame))
            out.mux(stream.encode())
    done = call("batch", "--engine", "lite", short, "-o", tmp_path / "out", "--background", "color:#00ff00")
    assert done.code == 0, done.out + done.err
    picture = pictures(tmp_path / "out" / "output_person.mp4", "bgr24")[-1].astype(int)
    assert np.abs(picture[:100, :100] - (0, 255, 0)).mean() < 12
    assert np.abs(picture[500:700, 560:720] - (0, 255, 0)).mean() > 60
