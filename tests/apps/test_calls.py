"""The calls that a developer tries first: stream(), cut_out(), convert(), session.composite()."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

import rvm_live
from rvm_live.engines.common.device import downsample_ratio
from rvm_live.sources.base import Source
from tests.conftest import ROOT
from tests.support.movies import make_movie
from tests.support.program import call
from tests.support.sources import FailingSource, PatternSource, numbered, read_number
from tests.support.videos import make_video

HALF = "tests.support.engines:LeftHalfEngine"
GREEN = (0, 255, 0)


def workers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("rvm-")]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return make_video(tmp_path / "in" / "clip.mp4", frames=12)


# stream() -------------------------------------------------------------------------------------------------------


def test_a_file_comes_whole_and_in_order_over_the_background(clip: Path) -> None:
    numbers = []
    for frame in rvm_live.stream(clip, "color:#00ff00", engine=HALF):
        numbers.append(read_number(frame.frame.image))
        assert frame.image.shape == (64, 96, 3) and frame.image.dtype == np.uint8
        assert frame.alpha.shape == (64, 96) and (frame.alpha[:, :48] == 255).all() and not frame.alpha[:, 48:].any()
        assert (frame.image[:, 48:] == GREEN).all() and not frame.foreground[:, 48:].any()
        time.sleep(0.01)  # however slow the loop is
    assert numbers == list(range(12)) and workers() == []


def test_a_stream_is_transparent_where_nothing_is_said(clip: Path) -> None:
    frame = next(iter(frames := rvm_live.stream(clip, engine=HALF)))
    assert frame.image.shape == (64, 96, 4) and np.array_equal(frame.image[..., 3], frame.alpha)
    frames.close()  # type: ignore[attr-defined]


def test_a_picture_is_a_stream_of_one(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "still.png"), numbered(96, 64, 5))
    assert [read_number(f.frame.image) for f in rvm_live.stream(tmp_path / "still.png", engine=HALF)] == [5]


class Paused(Exception):
    pass


def by_break(source: Any) -> None:
    for _ in rvm_live.stream(source, engine=HALF):
        break


def by_an_error(source: Any) -> None:
    with pytest.raises(Paused):
        for _ in rvm_live.stream(source, engine=HALF):
            raise Paused


def by_closing(source: Any) -> None:
    frames = rvm_live.stream(source, engine=HALF)
    next(frames)
    frames.close()  # type: ignore[attr-defined]


def by_never_beginning(source: Any) -> None:
    rvm_live.stream(source, engine=HALF)


@pytest.mark.parametrize("leave", [by_break, by_an_error, by_closing, by_never_beginning])
@pytest.mark.parametrize("live", [True, False])
def test_leaving_the_loop_ends_everything(clip: Path, leave: Callable[[Any], None], live: bool) -> None:
    source = PatternSource(fps=200.0) if live else clip
    leave(source)
    assert workers() == []
    if isinstance(source, PatternSource):
        assert source.releases == (leave is not by_never_beginning)


def test_a_live_source_gives_the_newest_and_waits_for_nobody() -> None:
    before, jumped = -1, False
    for frame in rvm_live.stream(PatternSource(fps=500.0), engine=HALF):
        jumped = frame.seq > before + 1 > 0
        before = frame.seq
        if jumped or frame.seq > 5000:
            break
        time.sleep(0.05)
    assert jumped


class Waits(PatternSource):
    on_demand = True


def test_a_source_of_ones_own_that_waits_loses_nothing() -> None:
    source = Waits(frames=30)
    seen = []
    for frame in rvm_live.stream(source, engine=HALF):
        seen.append(frame.seq)
        time.sleep(0.005)
    assert seen == list(range(30))


def test_errors_are_raised_in_the_loop(tmp_path: Path) -> None:
    frames = rvm_live.stream(FailingSource(after=3, frames=10), engine=HALF)
    with pytest.raises(rvm_live.SourceLostError):
        for _ in frames:
            pass
    assert workers() == []
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing of a film" * 99)
    with pytest.raises(rvm_live.SourceUnavailableError, match=r"broken\.mp4"):
        next(rvm_live.stream(broken, engine=HALF))
    assert workers() == []


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (lambda: rvm_live.stream("no-such.mp4"), rvm_live.SourceUnavailableError, "there is no file no-such.mp4"),
        (lambda: rvm_live.stream(None), rvm_live.SettingsError, "the source must be a camera's number, a name"),  # type: ignore[arg-type]
        (lambda: rvm_live.stream(True), rvm_live.SettingsError, "the source must be a camera's number, a name"),
        (lambda: rvm_live.stream(PatternSource), rvm_live.SettingsError, "the source is the class PatternSource"),  # type: ignore[arg-type]
        (lambda: rvm_live.stream(0, "no-such.jpg"), rvm_live.BackgroundError, "no-such.jpg"),
        (lambda: rvm_live.stream(0, 7), rvm_live.SettingsError, "the background is of type int"),  # type: ignore[arg-type]
        (lambda: rvm_live.stream(0, "assets/backgrounds"), rvm_live.SettingsError, "name one of them"),
        (lambda: rvm_live.stream(0, device=3), rvm_live.SettingsError, "device must be text, not 3"),  # type: ignore[arg-type]
        (lambda: rvm_live.stream(0, fps="fast"), rvm_live.SettingsError, "fps must be a number"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_meant_is_told_at_once(
    call: Callable[[], object], error: type[Exception], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "assets" / "backgrounds"
    folder.mkdir(parents=True)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), numbered(64, 64, 1))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=told):
        call()


# cut_out() and composite() --------------------------------------------------------------------------------------


def test_one_still_is_cut_out(tmp_path: Path) -> None:
    picture = numbered(96, 64, 9)
    found = rvm_live.cut_out(picture, engine=HALF)
    assert found.shape == (64, 96, 4) and found.dtype == np.uint8
    assert (found[:, :48, :3] == picture[:, :48]).all() and (found[:, :48, 3] == 255).all() and not found[:, 48:].any()
    cv2.imwrite(str(tmp_path / "still.png"), picture)
    assert np.array_equal(rvm_live.cut_out(tmp_path / "still.png", engine=HALF), found)
    assert np.array_equal(rvm_live.cut_out(str(tmp_path / "still.png"), engine=HALF), found)


@pytest.mark.parametrize(
    ("image", "error", "told"),
    [
        ("no-such.png", rvm_live.SourceUnavailableError, "there is no picture no-such.png"),
        (__file__, rvm_live.SourceUnavailableError, "test_calls.py"),
        (str(ROOT), rvm_live.SourceUnavailableError, "cannot read"),
        (7, rvm_live.SettingsError, "the picture is of type int"),
        (np.zeros((9, 9), np.uint8), rvm_live.SettingsError, r"the picture has shape \(9, 9\)"),
        (np.zeros((9, 9, 3), np.float32), rvm_live.SettingsError, "the picture is float32"),
    ],
)
def test_what_is_no_picture_is_told(image: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        rvm_live.cut_out(image, engine=HALF)


def test_a_person_is_cut_out_of_a_real_picture(data: Path) -> None:
    capture = cv2.VideoCapture(str(data / "clips" / "webcam" / "volcomix_Doctor_26732.mp4"))
    image = capture.read()[1]
    capture.release()
    alpha = rvm_live.cut_out(image, engine="lite")[..., 3]
    assert 0.05 < (alpha > 200).mean() < 0.9 and (alpha < 20).mean() > 0.05


def test_composites_of_a_session(tmp_path: Path) -> None:
    picture = numbered(96, 64, 3)
    cv2.imwrite(str(tmp_path / "red.png"), np.full((30, 50, 3), (0, 0, 255), np.uint8))
    film = make_video(tmp_path / "film.mp4", frames=4)
    with rvm_live.open_engine(HALF) as session:
        assert session.composite(picture).shape == (64, 96, 4)
        over = {
            "color:#00ff00": GREEN,
            str(tmp_path / "red.png"): (0, 0, 255),
            tmp_path / "red.png": (0, 0, 255),
        }
        for background, colour in over.items():
            for _ in range(2):
                found = session.composite(picture, background)
                assert found.shape == (64, 96, 3) and (found[:, :48] == picture[:, :48]).all()
                assert (found[:, 48:] == colour).all()
        given = session.composite(picture, np.full((10, 10, 3), (1, 2, 3), np.uint8))
        assert (given[:, 48:] == (1, 2, 3)).all()
        assert session.composite(picture, film).shape == session.composite(picture, "blur").shape == (64, 96, 3)
        for wrong in (np.zeros((5, 5), np.uint8), 3, tmp_path, "no-such-thing"):
            with pytest.raises(rvm_live.RvmLiveError):
                session.composite(picture, wrong)  # type: ignore[arg-type]
        assert (session.composite(picture, "color:#00ff00")[:, 48:] == GREEN).all()
        session.composite(picture, film)  # the film is open when the session ends
    with pytest.raises(rvm_live.EngineError, match="closed"):
        session.composite(picture)


# convert() ------------------------------------------------------------------------------------------------------


def pictures(path: Path, form: str = "bgra") -> list[Any]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if path.suffix == ".webm":  # FFmpeg's own decoder leaves out alpha
            decoder = av.CodecContext.create("libvpx-vp9", "r")
            decoder.extradata = stream.codec_context.extradata
            packets = [packet for packet in container.demux(stream) if packet.size]
            found = [frame for packet in packets for frame in decoder.decode(packet)] + list(decoder.decode(None))
        else:
            found = list(container.decode(stream))
        return [frame.to_ndarray(format=form) for frame in found]


@pytest.mark.parametrize("suffix", [".mov", ".mkv", ".webm", ".MOV"])
def test_a_film_is_cut_out_into_just_the_file_that_is_named(clip: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    heard: list[rvm_live.Progress] = []
    done = rvm_live.convert(clip, out / f"cut{suffix}", on_progress=heard.append, engine=HALF)
    assert list(out.iterdir()) == [out / f"cut{suffix}"] == [done.output] and done.frames == 12
    assert heard[-1].fraction == 1.0 and heard[-1].frames == 12 and "100 % · 0 s left" in str(heard[-1])
    found = pictures(done.output)
    assert len(found) == 12
    for image in found:
        assert (image[:, :44, 3] > 250).all() and (image[:, 52:, 3] < 5).all()


def test_a_background_makes_a_picture_and_sound_is_kept(tmp_path: Path) -> None:
    source = make_movie(tmp_path / "both.mp4", sound=("aac",))
    done = rvm_live.convert(source, tmp_path / "cut.mp4", "color:#00ff00", engine=HALF)
    with av.open(str(done.output)) as container:
        assert len(container.streams.audio) == 1
    image = pictures(done.output, "bgr24")[5].astype(int)
    assert abs(image[:, 56:] - GREEN).max() < 30


@pytest.mark.slow
def test_the_published_ratio_is_taken(weights: Path, tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", frames=2, width=640, height=360)
    done = rvm_live.convert(clip, tmp_path / "cut.mov", engine="openvino", weights=weights)
    assert done.ran is not None and done.ran.downsample_ratio == downsample_ratio(None, 640, 360) == 0.8


def everything_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


class Stop(Exception):
    pass


def stop(progress: rvm_live.Progress) -> None:
    raise Stop


@pytest.mark.parametrize(
    ("output", "options", "error", "told"),
    [
        (
            "cut.mp4",
            {},
            rvm_live.SettingsError,
            ".mp4 cannot store alpha: write .mov, .mkv or .webm, or name a background",
        ),
        ("cut.mp4", {"background": "transparent"}, rvm_live.SettingsError, ".mp4 cannot store alpha: write .mov"),
        ("cut.mov", {"codec": "h264"}, rvm_live.SettingsError, "h264 cannot store alpha: leave --codec out"),
        ("cut.mov", {"codec": "vp9"}, rvm_live.SettingsError, "vp9"),
        ("cut.avi", {}, rvm_live.SettingsError, "the suffix of cut.avi does not name a format: choose from .mp4"),
        ("cut", {}, rvm_live.SettingsError, "the suffix of cut does not name a format"),
        ("none/cut.mov", {}, rvm_live.SinkError, "there is no folder"),
        ("folder.mov", {}, rvm_live.SinkError, "is a folder: name a file in it"),
        ("there.mov", {}, rvm_live.KeptError, "exists: pass overwrite=True to replace it"),
        ("in/clip.mov", {"overwrite": True}, rvm_live.KeptError, "is the source itself"),
        ("cut.mov", {"background": "no-such.jpg"}, rvm_live.BackgroundError, "no-such.jpg"),
        ("cut.mov", {"device": 3}, rvm_live.SettingsError, "device must be text"),
        ("cut.mov", {"engine": "no.such:Thing"}, rvm_live.SettingsError, "cannot load engine"),
        ("cut.mov", {"engine": "tests.support.engines:FailingEngine"}, rvm_live.EngineError, ""),
        ("cut.mov", {"engine": "tests.support.engines:BuggyEngine"}, rvm_live.RvmLiveError, ""),
        ("cut.mov", {"on_progress": stop}, Stop, ""),
        ("there.mov", {"on_progress": stop, "overwrite": True}, Stop, ""),
    ],
)
def test_what_cannot_be_leaves_all_as_it_was(
    tmp_path: Path, output: str, options: dict[str, Any], error: type[Exception], told: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "folder.mov").mkdir()
    (tmp_path / "there.mov").write_bytes(b"mine")
    source = make_video(tmp_path / "in" / "clip.mov", frames=30)
    before = everything_in(tmp_path)
    with pytest.raises(error) as caught:
        rvm_live.convert(source, tmp_path / output, **{"engine": HALF, **options})
    assert told in str(caught.value) and "\n" not in str(caught.value)
    assert everything_in(tmp_path) == before and workers() == []


@pytest.mark.parametrize("source", ["no-such.mp4", ".", "broken.mp4"])
def test_a_source_that_is_none_is_told(tmp_path: Path, source: str) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no film" * 99)
    with pytest.raises(rvm_live.SourceUnavailableError):
        rvm_live.convert(tmp_path / source, tmp_path / "cut.mov", engine=HALF)
    assert [path.name for path in tmp_path.iterdir()] == ["broken.mp4"]


def test_an_output_is_replaced_where_that_was_said(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.mkv").write_bytes(b"old")
    rvm_live.convert(clip, tmp_path / "cut.mkv", overwrite=True, engine=HALF)
    assert len(pictures(tmp_path / "cut.mkv")) == 12


def converting(folder: Path) -> subprocess.Popen[str]:
    """A program in the middle of a long conversion into ``out``; prints "mine" if Ctrl-C reaches its own handler."""
    (folder / "out").mkdir()
    make_video(folder / "clip.mp4", frames=600)
    program = (
        "import rvm_live\n"
        "try:\n"
        "    rvm_live.convert('clip.mp4', 'out/cut.mov', on_progress=lambda p: print(p, flush=True),"
        " engine='tests.support.engines:SlowEngine')\n"
        "except KeyboardInterrupt: print('mine')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, "-c", program], cwd=folder, env=environment, stdout=subprocess.PIPE, encoding="utf-8"
    )
    assert child.stdout is not None
    assert "fps" in child.stdout.readline()
    return child


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_is_the_callers_and_leaves_nothing(tmp_path: Path) -> None:
    child = converting(tmp_path)
    child.send_signal(signal.SIGINT)
    rest, _ = child.communicate(timeout=60)
    assert rest.splitlines()[-1] == "mine" and child.returncode == 0
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_what_a_killed_one_leaves_is_found_by_tidy_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    child = converting(tmp_path)
    (left,) = (tmp_path / "out").iterdir()
    assert call("tidy", tmp_path / "out").out == "0 renamed\n" and left.is_dir(), "it is in use"
    child.kill()
    child.communicate()
    (tmp_path / "out" / ".rvm-live-other.part").mkdir()  # somebody else may be about to use it
    for options, would in ((("--dry-run",), "would be "), ((), "")):
        told = f"{left.name}: left over from a conversion that was killed, {would}removed\n0 {would}renamed\n"
        assert left.is_dir()
        assert call("tidy", tmp_path / "out", *options).out == told
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".rvm-live-other.part"]


def test_a_still_becomes_a_picture(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "photo.jpg"), np.full((64, 96, 3), 200, np.uint8))
    done = rvm_live.convert(tmp_path / "photo.jpg", tmp_path / "cut.png", engine=HALF)
    image = cv2.imread(str(done.output), cv2.IMREAD_UNCHANGED)
    assert image.shape == (64, 96, 4) and image[:, :44, 3].min() > 250 and not image[:, 52:, 3].any()
    assert sorted(os.listdir(tmp_path)) == ["cut.png", "photo.jpg"]
    with pytest.raises(rvm_live.SettingsError, match=r"cut\.png is a picture format, but clip\.mp4 is a film"):
        rvm_live.convert(make_video(tmp_path / "clip.mp4", frames=2), tmp_path / "cut.png", overwrite=True, engine=HALF)


# The package ----------------------------------------------------------------------------------------------------


def test_whatever_a_plug_in_needs_comes_from_the_package_itself() -> None:
    from rvm_live.core import errors

    public = {name for name in errors.__all__ if isinstance(getattr(errors, name), type)}
    public -= {"MonitorError", "QueueClosed", "TidyError"}
    assert public <= set(rvm_live.__all__)
    assert issubclass(PatternSource, rvm_live.Source) and rvm_live.Source is Source
    assert rvm_live.parse_background("blur")[0].label
