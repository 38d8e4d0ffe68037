"""Recordings: real encoders and real files, decoded again; full disks and impossible places."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rvm_live.core.errors import RvmLiveError, SettingsError, SinkError
from rvm_live.core.frames import Composite
from rvm_live.core.queues import Overflow
from rvm_live.media.alpha_bleed import bleed
from rvm_live.pipeline.fan_out import Fresh
from rvm_live.sinks.factory import check_recording_path, open_recorder
from rvm_live.sinks.recording.recorder import Recorder
from rvm_live.sinks.recording.recording_switch import RecordingSwitch
from rvm_live.sinks.recording.snapshot import cut_out, save_png
from rvm_live.sinks.recording.video_file import SUFFIXES, VideoFile
from rvm_live.sinks.recording.writers import PngSequence, Shot, Writer
from tests.conftest import ROOT
from tests.support.clock import FakeClock
from tests.support.movies import named
from tests.support.pictures import BACKGROUND, CAMERA, FOREGROUND, disc_alpha, make_composite
from tests.support.waiting import until

BLOCK, LIVE = Overflow.BLOCK, Overflow.DROP_OLDEST
TRANSPARENT = (".mov", ".webm")


def record(
    path: Path | str, composites: list[Composite], *, policy: Overflow = BLOCK, failed: bool = False
) -> Recorder:
    recorder = open_recorder(str(path), fps=30.0, policy=policy)
    recorder.open()
    try:
        for composite in composites:
            recorder.write(composite)
    finally:
        recorder.close(failed=failed)
    return recorder


def disc(seq: int = 0, **options: Any) -> Composite:
    """A disc that moves to the right over 30 pictures."""
    width, height = options.pop("width", 320), options.pop("height", 180)
    soft = options.pop("soft", 6.0)
    alpha = disc_alpha(width, height, centre=0.3 + 0.4 * seq / 30, soft=soft)
    return make_composite(width, height, seq=seq, alpha=alpha, **options)


class Film:
    """The content of a video file."""

    def __init__(self, path: Path) -> None:
        self.pictures: list[NDArray[np.uint8]] = []
        self.times: list[Fraction] = []
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            self.codec = stream.codec_context.name
            self.format = container.format.name
            decoder: Any = stream.codec_context
            if stream.codec_context.name == "vp9":  # FFmpeg's own decoder does not know VP9's alpha
                decoder = av.CodecContext.create("libvpx-vp9", "r")
            self.width, self.height = stream.width, stream.height
            self.tags = {
                "primaries": stream.codec_context.color_primaries,
                "transfer": stream.codec_context.color_trc,
                "matrix": stream.codec_context.colorspace,
                "range": stream.codec_context.color_range,
            }
            for packet in container.demux(stream):
                for frame in decoder.decode(packet if packet.size else None):
                    self._keep(frame, stream.time_base)

    def _keep(self, frame: Any, time_base: Fraction) -> None:
        self.pixels = frame.format.name
        target = "bgra" if "a" in frame.format.name.replace("gray", "") else "bgr24"
        self.times.append(frame.pts * time_base)
        self.pictures.append(
            frame.to_ndarray(
                format=target,
                src_colorspace="itu709",
                src_color_range="MPEG",
                dst_color_range="JPEG",
                interpolation=4
                | 0x40000
                | 0x2000,  # bicubic, rounded, full chroma: the decoder adds no error of its own
            )
        )

    @property
    def intervals(self) -> list[float]:
        return [float(b - a) for a, b in zip(self.times, self.times[1:], strict=False)]


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if ".part" in path.name)


# What is in the file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_opaque_recording_holds_every_picture_at_its_time_and_colour(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"take{suffix}"
    composites = [disc(seq) for seq in range(30)]
    recorder = record(path, composites)
    assert recorder.saved == path and recorder.queue.dropped == 0
    assert sorted(os.listdir(tmp_path)) == [path.name]
    film = Film(path)
    assert (film.width, film.height, len(film.pictures)) == (320, 180, 30)
    assert film.times[0] == 0
    assert film.intervals == pytest.approx([1 / 30] * 29, abs=1.1e-3)
    assert "a" not in film.pixels.replace("gray", "")
    assert film.tags == {"primaries": 1, "transfer": 1, "matrix": 1, "range": 1}
    for composite, picture in zip(composites, film.pictures, strict=True):
        flat = cv2.erode(np.uint8(composite.matte.alpha == 255), np.ones((9, 9))) > 0
        assert np.abs(np.median(picture[flat], axis=0) - FOREGROUND).max() <= 2
        ground = cv2.erode(np.uint8(composite.matte.alpha == 0), np.ones((9, 9))) > 0
        assert np.abs(np.median(picture[ground], axis=0) - BACKGROUND).max() <= 2
        assert np.abs(picture.astype(int) - composite.image).mean() < 1.0


@pytest.mark.parametrize(
    ("suffix", "transparent", "right"),
    [
        (".mp4", False, ("avc1", "High", "yuv420p")),
        (".mkv", False, ("", "High", "yuv420p")),
        (".mov", False, ("ap4h", "4444", "yuv444p12le")),
        (".mov", True, ("ap4h", "4444", "yuva444p12le")),
        (".webm", False, ("", "Profile 0", "yuv420p")),
        (".webm", True, ("", "Profile 0", "yuv420p")),  # alpha is beside the picture
    ],
)
def test_a_recording_is_named_as_what_it_is(
    tmp_path: Path, suffix: str, transparent: bool, right: tuple[str, str | None, str]
) -> None:
    record(tmp_path / f"take{suffix}", [disc(seq, transparent=transparent) for seq in range(8)])
    assert named(tmp_path / f"take{suffix}") == right


def test_h264_is_an_ordinary_file_once_it_is_whole(tmp_path: Path) -> None:
    record(tmp_path / "take.mp4", [disc(seq) for seq in range(5)])
    content = (tmp_path / "take.mp4").read_bytes()
    boxes, position = [], 0
    while position < len(content):
        boxes.append(content[position + 4 : position + 8].decode())
        position += int.from_bytes(content[position : position + 4], "big")
    assert boxes == ["ftyp", "free", "mdat", "moov"], "no fragments"
    film = Film(tmp_path / "take.mp4")
    assert film.codec == "h264" and film.pixels == "yuv420p"


def fringe(composite: Composite, picture: NDArray[np.uint8]) -> float:
    """How far off the colour is at the soft edge, as visible (times alpha): 95th percentile of the worst channel."""
    alpha = composite.image[:, :, 3]
    edge = (alpha > 20) & (alpha < 255)
    off = np.abs(picture[:, :, :3][edge].astype(int) - FOREGROUND).max(axis=1) * (alpha[edge] / 255)
    return float(np.percentile(off, 95))


@pytest.mark.parametrize(
    ("suffix", "codec", "alpha_error", "edge_error"), [(".mov", "prores", 1, 2), (".webm", "vp9", 8, 3)]
)
def test_alpha_and_a_clean_edge_come_back(
    tmp_path: Path, suffix: str, codec: str, alpha_error: int, edge_error: int
) -> None:
    path = tmp_path / f"take{suffix}"
    composites = [disc(seq, transparent=True, soft=soft) for seq, soft in enumerate((6, 6, 3, 2, 2, 2, 2, 2))]
    record(path, composites)
    film = Film(path)
    assert film.codec == codec and film.pixels.startswith("yuva") and len(film.pictures) == 8
    for composite, picture in zip(composites, film.pictures, strict=True):
        alpha = composite.image[:, :, 3].astype(int)
        difference = np.abs(picture[:, :, 3].astype(int) - alpha)
        assert difference.mean() < 0.5 and np.percentile(difference, 99) <= alpha_error
        assert fringe(composite, picture) <= edge_error, "a dark fringe"


def test_without_bleeding_the_edge_would_be_dark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shows that the test above can fail: this is what it guards against."""
    monkeypatch.setattr("rvm_live.media.encoder.bleed", lambda image: image)
    composite = disc(0, transparent=True, soft=2)
    record(tmp_path / "take.webm", [composite])
    picture = Film(tmp_path / "take.webm").pictures[0]
    assert fringe(composite, picture) > 8


@pytest.mark.parametrize("suffix", [*TRANSPARENT, "/"])
def test_no_pixel_of_the_room_is_in_a_transparent_recording(tmp_path: Path, suffix: str) -> None:
    """The camera's picture is magenta all over; no pixel may be, visible or hidden."""
    record(f"{tmp_path}/take{suffix}", [disc(seq, transparent=True) for seq in range(3)])
    if suffix == "/":
        pictures = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((tmp_path / "take").iterdir())]
    else:
        pictures = Film(tmp_path / f"take{suffix}").pictures
    assert len(pictures) == 3
    for picture in pictures:
        blue, green, red = (picture[:, :, channel].astype(int) for channel in range(3))
        assert not ((red > green + 40) & (blue > green + 40)).any(), "magenta"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_odd_sizes_lose_nothing(tmp_path: Path, suffix: str) -> None:
    image = np.zeros((91, 163, 3), np.uint8)
    image[:, -1] = image[-1] = (0, 255, 255)  # the last row and column are yellow
    composite = make_composite(163, 91)
    odd = Composite(image, composite.matte, composite.stamps)
    record(tmp_path / f"odd{suffix}", [odd])
    film = Film(tmp_path / f"odd{suffix}")
    assert film.width in (163, 164) and film.height in (91, 92)
    assert film.pictures[0][-1, 40:].mean(axis=0)[2] > 150, "the last row is gone"
    assert film.pictures[0][40:, -1].mean(axis=0)[2] > 150, "the last column is gone"


def test_live_recordings_keep_the_real_times(tmp_path: Path) -> None:
    gaps_ms = [33, 20, 250, 33, 0, 0, 40]  # two frames with one time stamp, as some cameras deliver them
    stamps = np.cumsum([5_000_000_000] + [gap * 1_000_000 for gap in gaps_ms])
    record(tmp_path / "take.mp4", [disc(seq, captured_ns=int(ns)) for seq, ns in enumerate(stamps)], policy=LIVE)
    film = Film(tmp_path / "take.mp4")
    assert len(film.pictures) == 8 and film.times[0] == 0
    assert all(gap > 0 for gap in film.intervals)
    assert np.diff([0, *np.cumsum(film.intervals)]) == pytest.approx(np.array(gaps_ms) / 1000, abs=1e-3)


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_picture_that_stands_by_itself_comes_every_two_seconds_however_slow_the_camera(
    tmp_path: Path, suffix: str
) -> None:
    """So a power cut loses little, and the reported size is never far behind: 4 pictures a second, not 30."""
    path = tmp_path / f"take{suffix}"
    record(path, [disc(seq, captured_ns=seq * 250_000_000) for seq in range(40)])
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        keys = [float(packet.pts * stream.time_base) for packet in container.demux(stream) if packet.is_keyframe]
    assert keys == pytest.approx([0, 2, 4, 6, 8], abs=0.01)


def test_recordings_of_files_keep_the_files_times_over_a_loop(tmp_path: Path) -> None:
    media = [0, 40_000_000, 80_000_000, 0, 40_000_000, 80_000_000]
    composites = [disc(seq, captured_ns=seq * 1000, media_ns=ns) for seq, ns in enumerate(media)]
    record(tmp_path / "take.mkv", composites)
    film = Film(tmp_path / "take.mkv")
    assert [float(t) for t in film.times] == pytest.approx([0, 0.04, 0.08, 0.113, 0.153, 0.193], abs=2e-3)


def test_a_later_change_of_size_or_alpha_does_not_break_the_file(tmp_path: Path) -> None:
    changing = [disc(0), disc(1, width=200, height=200), disc(2, transparent=True), disc(3, width=641, height=99)]
    record(tmp_path / "opaque.mp4", changing)
    film = Film(tmp_path / "opaque.mp4")
    assert [picture.shape for picture in film.pictures] == [(180, 320, 3)] * 4
    assert film.pictures[1][90, 5].max() < 30, "no bars beside the square picture"
    assert np.abs(film.pictures[1][20, 160].astype(int) - BACKGROUND).max() < 20
    assert film.pictures[2][5, 5].max() < 30, "transparent becomes black"
    turned = [disc(0, transparent=True), disc(1), disc(2, transparent=True, width=160, height=160)]
    record(tmp_path / "clear.mov", turned)
    film = Film(tmp_path / "clear.mov")
    assert [int(picture[2, 2, 3]) for picture in film.pictures] == [0, 255, 0]
    assert np.abs(film.pictures[1][2, 2, :3].astype(int) - BACKGROUND).max() < 8


@pytest.mark.parametrize("transparent", [False, True])
def test_a_png_sequence_is_exact_and_named_by_the_frames_number(tmp_path: Path, transparent: bool) -> None:
    composites = [disc(seq, transparent=transparent) for seq in (0, 1, 5, 12)]
    recorder = record(f"{tmp_path}/deep/shots/", composites)
    folder = tmp_path / "deep" / "shots"
    assert recorder.saved == folder
    assert sorted(os.listdir(folder)) == ["000000.png", "000001.png", "000005.png", "000012.png"]
    for composite in composites:
        read = cv2.imread(str(folder / f"{composite.seq:06d}.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(read, composite.image)


def test_an_existing_folder_takes_a_png_sequence(tmp_path: Path) -> None:
    record(tmp_path, [disc(3)])
    assert os.listdir(tmp_path) == ["000003.png"]


# Complete or absent --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [*(f"take{suffix}" for suffix in SUFFIXES), "shots/"])
def test_without_a_picture_there_is_no_file(tmp_path: Path, target: str) -> None:
    recorder = record(f"{tmp_path}/{target}", [])
    assert recorder.saved is None
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_run_keeps_what_was_recorded(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"take{suffix}"
    record(path, [disc(seq) for seq in range(4)], failed=True)
    assert len(Film(path).pictures) == 4 and leftovers(tmp_path) == []


def test_while_it_records_the_file_is_hidden_and_the_old_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "take.webm"
    path.write_bytes(b"old")
    recorder = open_recorder(str(path), fps=30.0, policy=BLOCK)
    recorder.open()
    for seq in range(12):
        recorder.write(disc(seq))
    until(lambda: leftovers(tmp_path), 10)
    assert leftovers(tmp_path) == [".take.part.webm"] and path.read_bytes() == b"old"
    recorder.close(failed=False)
    assert leftovers(tmp_path) == [] and len(Film(path).pictures) == 12


@pytest.mark.parametrize("target", [*(f"take{suffix}" for suffix in SUFFIXES), "shots/"])
def test_a_second_recording_of_the_same_path_is_refused_and_takes_nothing(tmp_path: Path, target: str) -> None:
    path = f"{tmp_path}/{target}"
    first, late = (open_recorder(path, fps=30.0, policy=BLOCK) for _ in range(2))  # both before any file is there
    first.open()
    for seq in range(12):
        first.write(disc(seq))
    deadline = time.monotonic() + 10
    while not (found := [p for p in tmp_path.rglob("*") if not p.is_dir()]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert found
    for again in (lambda: open_recorder(path, fps=30.0, policy=BLOCK), lambda: record_with(late)):
        with pytest.raises(SinkError, match=rf"is in use by another run \(process {os.getpid()} of .*: choose another"):
            again()
    first.close(failed=False)
    if target == "shots/":
        assert sorted(os.listdir(path)) == [f"{seq:06d}.png" for seq in range(12)]
    else:
        assert os.listdir(tmp_path) == [target]
        assert len(Film(Path(path)).pictures) == 12
    record(path, [disc(seq) for seq in range(3)])


def record_with(recorder: Recorder) -> None:
    recorder.open()
    try:
        recorder.write(disc())
    finally:
        recorder.close(failed=False)


def test_a_writer_that_was_refused_leaves_the_others_part_alone(tmp_path: Path) -> None:
    first, second = (VideoFile(tmp_path / "take.mkv", fps=30) for _ in range(2))
    for seq in range(12):
        first.write(Shot.of(disc(seq)))
    with pytest.raises(SinkError, match="is in use by another run"):
        second.write(Shot.of(disc()))
    assert second.rescue() is None
    assert first.finish()
    assert len(Film(tmp_path / "take.mkv").pictures) == 12
    assert os.listdir(tmp_path) == ["take.mkv"]


FULL = """
import resource, signal, sys
from rvm_live.core.errors import SinkError
from rvm_live.core.queues import Overflow
from rvm_live.sinks.factory import open_recorder
from tests.support.pictures import make_composite
import numpy as np
path, limit = sys.argv[1], int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
noise = np.random.default_rng(0)
recorder = open_recorder(path, fps=30.0, policy=Overflow.BLOCK)
recorder.open()
try:
    try:
        for seq in range(120):
            picture = noise.integers(0, 255, (180, 320, 3), np.uint8)
            recorder.write(make_composite(seq=seq, foreground=picture, alpha=np.full((180, 320), 255, np.uint8)))
    finally:
        recorder.close(failed=False)
except SinkError as error:
    sys.stdout.write(str(error))
    sys.exit(2)
"""


def run_full(path: str, limit: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", FULL, path, str(limit)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=120)


def incomplete(target: str) -> str:
    return target.replace(".", ".incomplete.")


def assert_only_the_incomplete(folder: Path, target: str) -> None:
    """What was recorded before the end is there, under a name that says it is incomplete, and nothing else."""
    assert os.listdir(folder) == [incomplete(target)]
    with av.open(str(folder / incomplete(target))) as container:
        frames = 0
        with contextlib.suppress(av.FFmpegError):  # its last picture may be incomplete
            for _ in container.decode(video=0):
                frames += 1
    assert frames >= 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs more rights")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.few(1)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a tmpfs")
@pytest.mark.parametrize("target", [*(f"take{suffix}" for suffix in SUFFIXES), "shots/"])
def test_a_full_disk_is_one_clear_line_and_leaves_nothing_half_written(small_disk: Path, target: str) -> None:
    done = run_full(f"{small_disk}/{target}", 0)
    assert done.returncode == 2, done.stderr
    assert done.stdout.startswith("disk full while writing ") and str(small_disk) in done.stdout
    assert "\n" not in done.stdout and done.stderr == ""
    if target == "shots/":
        names = sorted(os.listdir(small_disk / "shots"))
        assert names == [f"{seq:06d}.png" for seq in range(len(names))]
        assert all(cv2.imread(str(small_disk / "shots" / name)) is not None for name in names)
    else:
        assert_only_the_incomplete(small_disk, target)
        assert done.stdout.endswith(f"; the part recorded until then is {small_disk}/{incomplete(target)}")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no such limit")
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.few(1)
def test_a_limit_on_the_files_size_is_one_clear_line(tmp_path: Path, suffix: str) -> None:
    done = run_full(f"{tmp_path}/take{suffix}", 300_000)
    assert done.returncode == 2, done.stderr
    assert "too large for the file system" in done.stdout and done.stderr == ""
    assert_only_the_incomplete(tmp_path, f"take{suffix}")


KILLED = """
import sys, time
from rvm_live.core.queues import Overflow
from rvm_live.sinks.factory import open_recorder
from tests.support.pictures import make_composite
import numpy as np
noise = np.random.default_rng(0)
recorder = open_recorder(sys.argv[1], fps=30.0, policy=Overflow.BLOCK)
recorder.open()
for seq in range(160):
    recorder.write(make_composite(seq=seq, foreground=noise.integers(0, 255, (180, 320, 3), np.uint8)))
sys.stdout.write("written\\n")
sys.stdout.flush()
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process")
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.few(1)
def test_what_a_killed_program_recorded_is_found_by_the_next(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"take{suffix}"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    process.kill()
    process.wait()
    process.stdout.close()
    assert leftovers(tmp_path) == [f".take.part{suffix}"]
    record(path, [disc(seq) for seq in range(4)])
    assert sorted(os.listdir(tmp_path)) == [f"take.incomplete{suffix}", path.name]
    assert len(Film(path).pictures) == 4
    with av.open(str(tmp_path / f"take.incomplete{suffix}")) as container, contextlib.suppress(av.FFmpegError):
        seconds = 0.0
        for frame in container.decode(video=0):
            seconds = frame.time
    assert seconds > 160 / 30 - 3, "at most the last seconds are lost"
    assert "could not finish" in caplog.text


def test_what_earlier_runs_left_is_kept_if_it_plays(tmp_path: Path) -> None:
    path, part = tmp_path / "take.mkv", tmp_path / ".take.part.mkv"
    for _ in range(3):
        record(tmp_path / "other.mkv", [disc(seq) for seq in range(3)])
        (tmp_path / "other.mkv").rename(part)
        record(path, [disc(0)])
    part.write_bytes(b"half a header")
    record(path, [disc(0)])
    kept = ["take.incomplete-2.mkv", "take.incomplete-3.mkv", "take.incomplete.mkv", "take.mkv"]
    assert sorted(os.listdir(tmp_path)) == kept


def test_a_folder_that_goes_away_is_noticed_while_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rvm_live.sinks.recording.video_file._LOOK_S", 0.05)
    folder = tmp_path / "gone"
    folder.mkdir()
    recorder = open_recorder(str(folder / "take.mkv"), fps=30.0, policy=LIVE)
    recorder.open()
    noise = np.random.default_rng(0)
    with pytest.raises(SinkError, match=r"cannot write .*take\.mkv: No such file"):
        for seq in range(400):
            picture = noise.integers(0, 255, (180, 320, 3), np.uint8)
            recorder.write(make_composite(seq=seq, foreground=picture, alpha=np.full((180, 320), 255, np.uint8)))
            time.sleep(0.005)
            if seq == 20:
                shutil.rmtree(folder)
    recorder.close(failed=True)


def test_with_a_window_a_failed_recording_is_told_and_the_run_goes_on() -> None:
    told: list[str] = []
    writer = Slow(fail_at=2, kept=Path("slow.incomplete.mp4"))
    writer.go.set()
    recorder = Recorder(writer, policy=LIVE, on_failure=told.append)
    recorder.open()
    for seq in range(50):
        recorder.write(disc(seq))
        time.sleep(0.002)
    recorder.close(failed=False)
    said = "cannot record slow.mp4: the encoder burst; the part recorded until then is slow.incomplete.mp4"
    assert told == [said] == [recorder.failure]
    assert recorder.saved == Path("slow.incomplete.mp4")


# No frozen person in a recording -------------------------------------------------------------------------------


@pytest.mark.parametrize(("transparent", "suffix"), [(False, ".mkv"), (True, ".mov")])
def test_after_half_a_second_without_a_picture_the_background_alone_is_recorded(
    tmp_path: Path, transparent: bool, suffix: str, clock: FakeClock
) -> None:
    def background(width: int, height: int) -> NDArray[np.uint8]:
        return np.full((height, width, 3), (10, 200, 10), np.uint8)

    recorder = open_recorder(str(tmp_path / f"take{suffix}"), fps=30.0, policy=LIVE, background=background, clock=clock)
    recorder.open()
    output = Fresh(recorder, clock)
    for seq in range(10):
        output.write(disc(seq, captured_ns=clock.now_ns(), transparent=transparent))
        output.idle()
        clock.advance(1 / 30)
    for _ in range(60):  # three seconds without a picture
        clock.advance(0.05)
        output.idle()
    output.write(disc(10, captured_ns=clock.now_ns(), transparent=transparent))
    recorder.close(failed=False)
    film = Film(tmp_path / f"take{suffix}")
    assert len(film.pictures) == 12, "one picture for the whole gap"
    assert 0.5 <= film.intervals[9] < 0.6
    assert 2.3 < film.intervals[10] < 2.6
    alone = film.pictures[10].astype(int)
    if transparent:
        assert alone[:, :, 3].max() == 0
    else:
        assert np.abs(alone - (10, 200, 10)).max() < 12


def test_numbered_pictures_have_no_times_and_so_no_gaps(tmp_path: Path, clock: FakeClock) -> None:
    recorder = open_recorder(f"{tmp_path}/shots/", fps=30.0, policy=LIVE, clock=clock)
    recorder.open()
    output = Fresh(recorder, clock)
    output.write(disc(0))
    clock.advance(5)
    output.idle()
    recorder.close(failed=False)
    assert len(list((tmp_path / "shots").iterdir())) == 1


# Places that cannot be written ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("{tmp}/take.avi", SettingsError, "unknown suffix '.avi'; use .mp4, .mkv, .mov, .webm, or a folder"),
        ("{tmp}/take", SettingsError, "unknown suffix ''"),
        ("", SettingsError, "the recording's path is empty"),
        ("{tmp}/nowhere/take.mp4", SinkError, "nowhere does not exist"),
        ("{tmp}/file/take.mp4", SinkError, "file is not a folder"),
        ("{tmp}/file/shots/", SinkError, "file is not a folder"),
        ("{tmp}/folder.mp4", SinkError, "it is a folder"),
        ("/proc/take.mp4", SinkError, "cannot write /proc/take.mp4"),
        ("/proc/shots/", SinkError, "cannot write /proc/shots"),
    ],
)
def test_an_impossible_path_is_refused_before_anything_starts(
    tmp_path: Path, path: str, kind: type[RvmLiveError], words: str
) -> None:
    if path.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("no /proc")
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder.mp4").mkdir()
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(kind) as told:
        check_recording_path(path.format(tmp=tmp_path))
    assert words in str(told.value) and "\n" not in str(told.value)
    with pytest.raises(kind):
        open_recorder(path.format(tmp=tmp_path), fps=30.0, policy=LIVE)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("target", ["take.mp4", "TAKE.MP4", "new/deep/", "."])
def test_a_good_path_is_checked_without_a_trace(tmp_path: Path, target: str) -> None:
    check_recording_path(f"{tmp_path}/{target}")
    assert os.listdir(tmp_path) == []


# The thread ---------------------------------------------------------------------------------------------------


class Slow(Writer):
    """A writer that works, and fails, when told to."""

    def __init__(self, *, fail_at: int | None = None, fail_at_end: bool = False, kept: Path | None = None) -> None:
        self.path = Path("slow.mp4")
        self._kept = kept
        self.go = threading.Event()
        self.seen: list[int] = []
        self.ended: list[str] = []
        self.thread: threading.Thread | None = None
        self._fail_at, self._fail_at_end = fail_at, fail_at_end

    def write(self, shot: Shot) -> None:
        self.thread = threading.current_thread()
        assert self.go.wait(30)
        if shot.seq == self._fail_at:
            raise ValueError("the encoder burst")
        self.seen.append(shot.seq)

    def finish(self) -> bool:
        self.ended.append("finish")
        if self._fail_at_end:
            raise SinkError("disk full while writing slow.mp4")
        return True

    def rescue(self) -> Path | None:
        self.ended.append("rescue")
        return self._kept


def test_a_slow_encoder_holds_up_nobody_and_what_it_misses_is_counted() -> None:
    writer = Slow()
    recorder = Recorder(writer, policy=LIVE)
    recorder.open()
    for seq in range(100):
        recorder.write(disc(seq))  # would never return if it waited for the writer
    assert recorder.queue.name == "recording"
    assert 100 - recorder.queue.maxsize - 1 <= recorder.queue.dropped <= 100 - recorder.queue.maxsize
    dropped = recorder.queue.dropped
    writer.go.set()
    recorder.close(failed=False)
    assert len(writer.seen) == 100 - dropped and writer.seen[-1] == 99, "the newest are kept"
    assert writer.thread is not None and writer.thread.name == "rvm-recording" and not writer.thread.is_alive()


def test_a_file_is_recorded_whole_however_slow_the_encoder() -> None:
    writer = Slow()
    recorder = Recorder(writer, policy=BLOCK)
    recorder.open()
    threading.Timer(0.1, writer.go.set).start()
    for seq in range(40):
        recorder.write(disc(seq))
    recorder.close(failed=False)
    assert writer.seen == list(range(40)) and recorder.queue.dropped == 0


@pytest.mark.parametrize("policy", [LIVE, BLOCK])
def test_an_encoders_error_reaches_the_next_write_once(policy: Overflow) -> None:
    writer = Slow(fail_at=2)
    writer.go.set()
    recorder = Recorder(writer, policy=policy)
    recorder.open()
    with pytest.raises(SinkError, match=r"cannot record slow\.mp4: the encoder burst") as told:
        for seq in range(100):
            recorder.write(disc(seq))
            time.sleep(0.002)
    assert isinstance(told.value.__cause__, ValueError)
    recorder.close(failed=True)
    assert writer.ended == ["rescue"] and recorder.saved is None


def test_an_error_at_the_end_is_raised_by_close() -> None:
    writer = Slow(fail_at_end=True)
    writer.go.set()
    recorder = Recorder(writer, policy=BLOCK)
    recorder.open()
    recorder.write(disc(0))
    with pytest.raises(SinkError, match="disk full while writing"):
        recorder.close(failed=False)
    assert writer.ended == ["finish", "rescue"] and recorder.saved is None


@pytest.mark.slow
def test_an_encoder_that_hangs_does_not_hang_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rvm_live.sinks.recording.recorder._CLOSE_SECONDS", 0.1)
    writer = Slow()
    recorder = Recorder(writer, policy=LIVE)
    recorder.open()
    recorder.write(disc(0))
    with pytest.raises(SinkError, match="could not be finished"):
        recorder.close(failed=False)
    writer.go.set()


def test_a_slow_encoder_does_not_hold_up_the_end_of_a_live_run(tmp_path: Path) -> None:
    """What still waits after a second and a half is left out and counted; what was encoded is a complete file."""

    class Sluggish(VideoFile):
        def write(self, shot: Shot) -> None:
            time.sleep(0.4)
            super().write(shot)

    recorder = Recorder(Sluggish(tmp_path / "take.mkv", fps=30), policy=LIVE)
    recorder.open()
    for seq in range(16):
        recorder.write(disc(seq))
    began = time.monotonic()
    recorder.close(failed=False)
    assert time.monotonic() - began < 5
    assert recorder.saved == tmp_path / "take.mkv"
    frames = len(Film(tmp_path / "take.mkv").pictures)
    assert 2 <= frames <= 8
    assert frames + recorder.queue.dropped == 16


def test_closing_without_opening_is_harmless() -> None:
    recorder = Recorder(PngSequence(Path("nowhere")), policy=LIVE)
    recorder.close(failed=True)
    assert recorder.saved is None


def test_the_queue_holds_pictures_not_mattes() -> None:
    recorder = Recorder(Slow(), policy=LIVE)
    composite = disc(4, media_ns=7)
    recorder.write(composite)
    shot = recorder.queue.get()
    assert isinstance(shot, Shot) and shot.image is composite.image
    assert (shot.seq, shot.captured_ns, shot.media_ns) == (4, composite.stamps.captured_ns, 7)
    assert not hasattr(shot, "matte")


# Pictures -----------------------------------------------------------------------------------------------------


def test_bleeding_changes_neither_alpha_nor_anything_that_is_seen() -> None:
    image = disc(10, transparent=True).image
    before = image.copy()
    filled = bleed(image)
    assert np.array_equal(image, before)
    assert np.array_equal(filled[:, :, 3], image[:, :, 3])
    seen = image[:, :, 3] > 0
    assert np.array_equal(filled[seen], image[seen])
    near = (cv2.dilate(np.uint8(seen), np.ones((9, 9))) > 0) & ~seen
    assert np.abs(filled[near][:, :3].astype(int) - FOREGROUND).max() <= 2
    assert filled[0, 0, :3].max() == 0, "far away there is nothing"
    assert np.array_equal(bleed(np.zeros((50, 60, 4), np.uint8)), np.zeros((50, 60, 4), np.uint8))


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (5, 400)])
def test_bleeding_copes_with_any_size(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 4), 200, np.uint8)
    assert np.array_equal(bleed(image), image)


@pytest.mark.parametrize("transparent", [False, True])
def test_a_snapshot_holds_the_person_alone(tmp_path: Path, transparent: bool) -> None:
    composite = disc(3, transparent=transparent)
    save_png(composite, tmp_path / "new" / "me.png")
    assert os.listdir(tmp_path / "new") == ["me.png"]
    read = cv2.imread(str(tmp_path / "new" / "me.png"), cv2.IMREAD_UNCHANGED)
    alpha = composite.matte.host().alpha
    assert np.array_equal(read[:, :, 3], alpha)
    assert (read[alpha > 0][:, :3] == FOREGROUND).all(), "not the estimated foreground"
    assert (read[alpha == 0] == 0).all(), "something of the room hides under transparent pixels"
    assert CAMERA not in {tuple(pixel) for pixel in np.unique(read[:, :, :3].reshape(-1, 3), axis=0)}
    assert np.array_equal(cut_out(composite), read)


def test_a_snapshot_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(SinkError, match=r"cannot write .*me\.png"):
        save_png(disc(0), tmp_path / "file" / "me.png")
    (tmp_path / "me.png").mkdir()
    with pytest.raises(SinkError, match=r"cannot write .*me\.png"):
        save_png(disc(0), tmp_path / "me.png")
    assert leftovers(tmp_path) == []


def test_a_recording_is_told_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "rvm_live"):
        record(tmp_path / "take.mp4", [disc(0)])
    assert f"recorded {tmp_path / 'take.mp4'}" in caplog.text


def test_one_that_is_ended_before_a_picture_came_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    switch = RecordingSwitch(lambda path: open_recorder(path, fps=30.0, policy=BLOCK), None, told.append)
    switch.open()
    switch.use(path := str(tmp_path / "clip.mp4"))
    switch.idle()
    switch.use(None)
    switch.idle()
    assert told == [f"nothing was recorded to {path}, because no picture had come yet"]
    assert not switch.saved and not list(tmp_path.iterdir())
    switch.close(failed=False)
