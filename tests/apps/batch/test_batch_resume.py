"""Long files: segments, and continuing at the last segment after a kill, with the same result as without it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from rvm_live.apps.batch.segments import Segments
from tests.support.movies import hidden, inside, make_movie, pictures, since_start
from tests.support.program import call, finish, start
from tests.support.videos import beginning_of
from tests.support.waiting import until

REMEMBERING = ("--engine", "tests.support.engines:RememberingEngine")
COUNTING = ("--engine", "tests.support.engines:CountingEngine")
FILM = ("--segment", "1", "--seq-chunk", "6", "--background", "color:#000000")


def killed(out: Path, *arguments: str | Path, segments: int = 3, sign: int = signal.SIGKILL) -> None:
    """Start a batch run, and kill it when so many segments are complete."""
    with start("batch", "-o", out, *FILM, *arguments) as process:
        until(lambda: list(out.glob(f".*.parts/{segments - 1:05d}.json")), 60)
        process.send_signal(sign)
        process.communicate()
    assert list(out.glob(f".*.parts/{segments - 1:05d}.json")), "it was over too soon"


@pytest.fixture(scope="module")
def broken_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of six seconds, and what a run had written when it was killed in the fourth second."""
    folder = tmp_path_factory.mktemp("broken")
    clip = make_movie(folder / "clip.mp4", frames=24 * 6)
    killed(folder / "out", clip, *REMEMBERING, segments=3)
    return folder


@pytest.fixture
def left(broken_off: Path, tmp_path: Path) -> tuple[Path, Path]:
    """That clip, and a copy of the folder that the killed run left."""
    shutil.copytree(broken_off / "out", tmp_path / "out", ignore=shutil.ignore_patterns(".rvm-live.lock"))
    return broken_off / "clip.mp4", tmp_path / "out"


@pytest.mark.parametrize(
    "more",
    [
        ("--write", "composite,alpha"),
        ("--container", "mkv", "--background", "transparent"),
        ("--container", "webm", "--background", "transparent"),
        ("--container", "tiff", "--write", "alpha"),
        ("--codec", "hevc"),
        ("--codec", "av1"),
    ],
    ids=lambda more: "-".join(more).replace("--", ""),
)
@pytest.mark.few(1)
def test_a_killed_run_gives_the_bytes_of_one_that_was_not(tmp_path: Path, more: tuple[str, ...]) -> None:
    # In small pictures x264 and x265 read uninitialised memory, and results differ by a bit at times.
    size = (96, 64) if "--container" in more else (640, 384)
    frames = 24 * 3 + 5
    clip = make_movie(tmp_path / "clip.mp4", frames=frames, size=size)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert call("batch", clip, "-o", whole, *FILM, *REMEMBERING, *more).code == 0
    killed(cut, clip, *REMEMBERING, *more, segments=1)
    done = call("batch", clip, "-o", cut, *FILM, *REMEMBERING, *more, "--resume", "--json")
    assert done.code == 0, done.out + done.err
    event = json.loads(done.out.splitlines()[-1])
    assert event["frames"] == frames
    assert event["resumed"] >= 24
    assert event["resumed"] % 24 == 0
    assert any("continued at frame" in note for note in event["notes"])
    assert not hidden(cut)
    ours, theirs = (
        sorted(p for p in each.rglob("*") if p.is_file() and p.suffix not in (".txt", ".json")) for each in (cut, whole)
    )
    assert [p.relative_to(cut) for p in ours] == [p.relative_to(whole) for p in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


@pytest.mark.slow
def test_with_the_embedded_network_too(data: Path, tmp_path: Path) -> None:
    source = sorted((data / "clips" / "webcam").glob("*.mp4"))[0]
    clip = beginning_of(source, tmp_path / "person.mp4", 200, (640, 360))
    options = ("--engine", "lite", "--background", "transparent", "--container", "mkv")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert call("batch", clip, "-o", whole, *FILM, *options).code == 0
    killed(cut, clip, *options, segments=1)
    assert call("batch", clip, "-o", cut, *FILM, *options, "--resume").code == 0
    assert (cut / "output_person.mkv").read_bytes() == (whole / "output_person.mkv").read_bytes()


@pytest.mark.slow
def test_an_engine_that_cannot_write_its_state_down_sees_the_frames_before(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=24 * 6)
    killed(tmp_path / "out", clip, *COUNTING, "--write", "alpha", "--container", "png", segments=2)
    done = call(
        "batch", clip, "-o", tmp_path / "out", *FILM, *COUNTING, "--write", "alpha", "--container", "png", "--resume"
    )
    assert done.code == 0, done.out
    import cv2

    levels = [int(cv2.imread(str(p), 0).max()) for p in sorted((tmp_path / "out" / "output_clip_alpha").iterdir())]
    # Ten levels for each frame since the engine began, modulo 24: the lead-in has 24 of them.
    assert levels == [10 * (number % 24) for number in range(24 * 6)]


@pytest.mark.slow
def test_what_was_made_with_other_settings_is_not_mixed_in(left: tuple[Path, Path]) -> None:
    clip, out = left
    done = call("batch", clip, "-o", out, *FILM, *REMEMBERING, "--background", "color:blue", "--resume")
    assert done.code == 0
    assert "started again: the rest of an earlier run was made from another file or with other settings" in done.out
    first, *_ = pictures(out / "output_clip.mp4", "bgr24")
    assert first[..., 0].mean() > first[..., 2].mean() + 50


@pytest.mark.slow
def test_a_damaged_segment_is_done_again(left: tuple[Path, Path]) -> None:
    clip, out = left
    damaged = out / ".output_clip.parts" / "composite-00001.mp4"
    damaged.write_bytes(damaged.read_bytes()[:400])
    done = call("batch", clip, "-o", out, *FILM, *REMEMBERING, "--resume")
    assert done.code == 0, done.out
    assert "continued at frame 24," in done.out
    assert inside(out / "output_clip.mp4").times == inside(clip).times


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


DAMAGES = {
    "empty, as after a power cut": lambda data: b"",
    "cut short": lambda data: data[: len(data) // 2],
    "zeros of the right length": lambda data: bytes(len(data)),
    "one bit flipped": lambda data: flipped(data, data.find(b"NUMPY") + 128),
    "something else": lambda data: b"[]",
}


@pytest.mark.parametrize("damage", ["empty, as after a power cut", "one bit flipped"])
@pytest.mark.slow
def test_a_damaged_state_is_told_and_its_segment_done_anew_to_the_same_bytes(tmp_path: Path, damage: str) -> None:
    clip, out = make_movie(tmp_path / "clip.mp4", frames=24 * 5, size=(640, 384)), tmp_path / "out"
    assert call("batch", clip, "-o", tmp_path / "whole", *FILM, *REMEMBERING).code == 0
    killed(out, clip, *REMEMBERING, segments=3)
    parts = out / ".output_clip.parts"
    count = len(list(parts.glob("0*.json")))
    state = parts / f"state-{count:05d}.npz"
    state.write_bytes(DAMAGES[damage](state.read_bytes()))
    done = call("batch", clip, "-o", out, *FILM, *REMEMBERING, "--resume")
    assert done.code == 0, done.out + done.err
    assert "Traceback" not in done.out + done.err
    assert f"segment {count} of an earlier run is made again: its recurrent state is damaged" in done.out
    assert f"continued at frame {24 * (count - 1)}," in done.out
    assert (out / "output_clip.mp4").read_bytes() == (tmp_path / "whole" / "output_clip.mp4").read_bytes()


def segments_in(folder: Path, count: int) -> Segments:
    """Segments of a run that was killed after so many segments of two pictures."""
    segments = Segments(folder, ("composite",), 2, {"a": 1})
    segments.begin(resume=True)
    for number in range(len(segments.pts), count):
        (folder / "composite").mkdir(exist_ok=True)
        for each in range(2 * number, 2 * number + 2):
            (folder / "composite" / f"{each:06d}.png").write_bytes(b"picture")
        segments.keep(number + 1, [np.full(90, number + 1, np.float32)])
        segments.done("composite", number, [2 * number, 2 * number + 1])
    return segments


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["state-*.npz", "0*.json", "about.json", "composite/*.png"])
def test_whatever_is_damaged_a_run_goes_on_at_what_is_not(tmp_path: Path, kind: str, damage: str) -> None:
    if kind != "state-*.npz" and damage == "one bit flipped":
        pytest.skip("too short")
    folder = tmp_path / "parts"
    segments_in(folder, 4)
    for path in [max(folder.glob(kind))]:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    again = Segments(folder, ("composite",), 2, {"a": 1})
    again.begin(resume=True)
    usable = kind == "composite/*.png" and damage != "empty, as after a power cut"  # their bytes are not read
    start = {"about.json": 0, "composite/*.png": 8 if usable else 6}.get(kind, 6)
    assert again.start == start
    assert bool(again.note) == (not usable)
    states = again.states()
    assert (states is None) == (start == 0)
    if states is not None:
        assert states[0].tolist() == [start // 2] * 90
    assert segments_in(folder, 4).start == 8, "what is done anew counts again"


def test_without_any_state_that_can_be_read_a_run_begins_at_the_beginning(tmp_path: Path) -> None:
    segments_in(tmp_path, 3)
    for path in tmp_path.glob("state-*.npz"):
        path.write_bytes(b"")
    again = Segments(tmp_path, ("composite",), 2, {"a": 1})
    again.begin(resume=True)
    assert again.start == 0
    assert again.note == "segment 1 of an earlier run is made again: its recurrent state is damaged"


def test_a_record_is_written_when_what_it_speaks_of_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    flush, rename = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda file: (order.append("sync " + Path(f"/proc/self/fd/{file}").resolve().name), flush(file))
    )
    monkeypatch.setattr(os, "replace", lambda one, two: (order.append(f"name {Path(two).name}"), rename(one, two)))
    segments_in(tmp_path, 1)
    order = order[3:]  # of about.json
    part = f".{os.getpid()}.part"
    assert order == [
        f"sync .state-00001.npz{part}", "name state-00001.npz", f"sync {tmp_path.name}",
        "sync 000000.png", "sync 000001.png", "sync composite",
        f"sync .00000.json{part}", "name 00000.json", f"sync {tmp_path.name}",
    ]  # fmt: skip


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_whole_for_later(tmp_path: Path) -> None:
    clip, out = make_movie(tmp_path / "clip.mp4", frames=24 * 6), tmp_path / "out"
    killed(out, clip, *REMEMBERING, segments=2, sign=signal.SIGINT)
    assert not (out / "output_clip.mp4").exists()
    done = call("batch", clip, "-o", out, *FILM, *REMEMBERING, "--resume")
    assert done.code == 0
    assert "continued at frame" in done.out
    assert inside(out / "output_clip.mp4").times == inside(clip).times
    assert not hidden(out)


@pytest.mark.slow
def test_a_second_run_in_the_same_folder_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    clip, out = make_movie(tmp_path / "clip.mp4", frames=24 * 6), tmp_path / "out"
    other = make_movie(tmp_path / "other.mp4", frames=2)
    assert call("batch", other, "-o", tmp_path / "elsewhere", *REMEMBERING).code == 0  # loads all that is needed
    with start("batch", "-o", out, *FILM, *REMEMBERING, clip) as process:
        until(lambda: (out / ".output_clip.parts" / "00001.json").exists(), 60)
        process.send_signal(signal.SIGSTOP)  # until the others have tried
        (tmp_path / "link").symlink_to(out)
        for arguments in ((clip, "-o", out), (clip, "-o", out, "--resume"), (other, "-o", tmp_path / "link")):
            second = call("batch", *arguments, *FILM, *REMEMBERING)
            assert second.code == 2
            assert f"is in use by another run (process {process.pid} of " in second.complaint
            assert second.out == ""
        assert process.poll() is None, "it was over too soon"
        process.send_signal(signal.SIGCONT)
        first = finish(process)
    assert first.code == 0, first.out + first.err
    assert len(inside(out / "output_clip.mp4").times) == 24 * 6
    assert not (out / "output_other.mp4").exists()
    assert not (out / ".rvm-live.lock").exists()


@pytest.mark.slow
def test_without_resume_a_run_begins_at_the_beginning(left: tuple[Path, Path]) -> None:
    clip, out = left
    done = call("batch", clip, "-o", out, *FILM, *REMEMBERING)
    assert done.code == 0
    assert "continued at" not in done.out
    assert len(inside(out / "output_clip.mp4").times) == 24 * 6


def test_time_stamps_of_many_segments_are_those_of_the_input(tmp_path: Path) -> None:
    from tests.support.videos import make_video

    rng = np.random.default_rng(4)
    times = list(np.cumsum(rng.uniform(0.004, 0.21, 120)).round(3))
    clip = make_video(tmp_path / "vfr.mkv", frames=len(times), times=times)
    for codec in ("h264", "hevc"):
        done = call("batch", "--engine", "tests.support.engines:LeftHalfEngine", clip, "-o", tmp_path / codec, *FILM,
                    "--codec", codec, "--container", "mp4")  # fmt: skip
        assert done.code == 0, done.out
        ours, theirs = inside(tmp_path / codec / "output_vfr.mp4"), inside(clip)
        assert [float(t) for t in ours.times] == pytest.approx(since_start(theirs), abs=1e-6)
        assert ours.codec == codec


def test_segments_count_only_when_every_track_has_written_them(tmp_path: Path) -> None:
    segments = Segments(tmp_path / "parts", ("composite", "alpha"), 4, {"a": 1})
    segments.begin(resume=False)
    segments.done("composite", 0, [0, 1, 2, 3])
    assert segments.start == 0
    segments.keep(1, [np.arange(3, dtype=np.float32)])
    segments.done("alpha", 0, [0, 1, 2, 3])
    assert segments.start == 4
    states = segments.states()
    assert states is not None
    assert states[0].tolist() == [0, 1, 2]
    segments.keep(2, [np.zeros(1, np.float32)])
    for track in ("alpha", "composite"):
        segments.done(track, 1, [4, 5, 6, 7])
    assert [p.name for p in sorted(segments.folder.glob("state-*"))] == ["state-00001.npz", "state-00002.npz"]
    segments.end(keep=True)
    assert segments.folder.exists()
    segments.end(keep=False)
    assert not segments.folder.exists()
    shutil.rmtree(tmp_path / "parts", ignore_errors=True)


@pytest.mark.slow
def test_a_signal_while_the_segments_are_joined(tmp_path: Path) -> None:
    clip, out = make_movie(tmp_path / "clip.mp4", frames=24 * 4), tmp_path / "out"
    with start("batch", "-o", out, *FILM, *REMEMBERING, clip) as process:
        until(lambda: (out / ".output_clip.parts" / "00002.json").exists(), 30)
        process.send_signal(signal.SIGINT)
        done = finish(process)
    assert done.code in (0, 130)
    assert (done.code == 0) == (out / "output_clip.mp4").exists()
    assert call("batch", clip, "-o", out, *FILM, *REMEMBERING, "--resume").code == 0
    assert inside(out / "output_clip.mp4").times == inside(clip).times
