"""Every source against the contract: real capture libraries, real files, a real server; time by a fake clock."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EndOfSource, RvmLiveError, SourceLostError, SourceUnavailableError
from rvm_live.core.settings import SourceSettings
from rvm_live.media.scaling import fit_inside, size_inside
from rvm_live.sources import auto
from rvm_live.sources.auto import AutoSource
from rvm_live.sources.base import Grab, Source, SourceInfo
from rvm_live.sources.camera import camera
from rvm_live.sources.camera.camera import Camera, CameraSource, find_camera
from rvm_live.sources.camera.capture import Capture
from rvm_live.sources.demo.demo import DemoSource
from rvm_live.sources.factory import open_source
from rvm_live.sources.image import ImageSource
from rvm_live.sources.release_guard import ReleaseGuard
from rvm_live.sources.stream import UrlSource
from rvm_live.sources.video.video import VideoFileSource
from rvm_live.system.installed import adding
from tests.conftest import ROOT
from tests.support.capture import FakeDevice
from tests.support.clock import FakeClock
from tests.support.mjpeg import MjpegServer
from tests.support.sources import numbered, read_number, reading
from tests.support.videos import make_sound, make_video
from tests.support.waiting import until


def settings(source: object, **options: Any) -> SourceSettings:
    return SourceSettings(source=str(source), **options)


def drain(source: Source, limit: int = 1000) -> list[Grab]:
    """Read until the source ends."""
    grabs: list[Grab] = []
    try:
        while len(grabs) < limit:
            grabs.append(source.read())
    except EndOfSource:
        pass
    return grabs


def play(path: Path, **options: Any) -> tuple[SourceInfo, list[Grab]]:
    """Every frame of a file."""
    source = VideoFileSource(settings(path, realtime=False, **options))
    info = source.open()
    grabs = drain(source)
    source.release()
    return info, grabs


def refusal(source: Source) -> str:
    """The message with which ``open`` refuses; it must be one line, and ``release`` must still work."""
    with pytest.raises(SourceUnavailableError) as caught:
        source.open()
    source.release()
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


def check_picture(grab: Grab, width: int, height: int) -> None:
    assert grab.image.shape == (height, width, 3)
    assert grab.image.dtype == np.uint8
    assert grab.image.flags.c_contiguous


# ------------------------------------------------------------------------------------------- the contract, for all


@pytest.fixture(scope="module")
def server() -> Iterator[MjpegServer]:
    with MjpegServer(width=128, height=96, fps=60) as serving:
        yield serving


@pytest.fixture(params=["video", "image", "demo", "url", "camera", "auto"])
def any_source(
    request: pytest.FixtureRequest, tmp_path: Path, server: MjpegServer, monkeypatch: pytest.MonkeyPatch
) -> Source:
    """A source of every kind, 128x96."""
    size = {"width": 128, "height": 96}
    match request.param:
        case "video":
            return open_source(settings(make_video(tmp_path / "a.mp4", width=128, height=96, fps=100)))
        case "image":
            cv2.imwrite(str(tmp_path / "a.png"), numbered(128, 96, 7))
            return open_source(settings(tmp_path / "a.png", fps=100))
        case "demo":
            return open_source(settings("demo", fps=100, **size))
        case "url":
            return open_source(settings(server.url))
    FakeDevice.plug_in(monkeypatch, FakeDevice(sizes=[(128, 96)], fps=100))
    return open_source(settings("0" if request.param == "camera" else "auto", **size))


def test_contract_frames_and_stamps(any_source: Source) -> None:
    info = any_source.open()
    began_ns = SYSTEM_CLOCK.now_ns()
    grabs = [any_source.read() for _ in range(5)]
    any_source.release()
    assert (info.width, info.height) == (128, 96)
    assert info.label
    assert "\n" not in info.label
    for grab in grabs:
        check_picture(grab, 128, 96)
        assert (grab.media_ns is None) or not info.live
    stamps = [grab.captured_ns for grab in grabs]
    assert all(earlier < later for earlier, later in pairwise(stamps))
    assert stamps[-1] <= SYSTEM_CLOCK.now_ns()
    assert stamps[0] > began_ns - 1_000_000_000


def test_contract_read_after_release(any_source: Source) -> None:
    any_source.open()
    any_source.read()
    any_source.release()
    for _ in range(2):
        with pytest.raises(EndOfSource):
            any_source.read()


def test_contract_pictures_belong_to_the_reader(any_source: Source) -> None:
    any_source.open()
    first = any_source.read()
    copy = first.image.copy()
    for _ in range(3):
        any_source.read()
    any_source.release()
    assert np.array_equal(first.image, copy)


def test_contract_release_unblocks_read(any_source: Source) -> None:
    """Whatever the reader is doing, it returns within two seconds, with EndOfSource."""
    any_source.open()
    reader, ended = reading(any_source)
    time.sleep(0.05)
    any_source.release()
    reader.join(10)
    assert not reader.is_alive()
    assert isinstance(ended[0], EndOfSource)


# ---------------------------------------------------------------------------------------------------------- streams


def test_stream_delivers_every_number_in_order(server: MjpegServer) -> None:
    source = UrlSource(settings(server.url))
    info = source.open()
    numbers = [read_number(source.read().image) for _ in range(20)]
    source.release()
    assert (info.kind, info.live, info.width, info.height) == ("url", True, 128, 96)
    assert all(earlier < later for earlier, later in pairwise(numbers))
    assert numbers[-1] - numbers[0] < 40  # none of them is old


def test_stream_is_scaled(server: MjpegServer) -> None:
    source = UrlSource(settings(server.url, width=64))
    info = source.open()
    grab = source.read()
    source.release()
    assert (info.width, info.height) == (64, 48)
    check_picture(grab, 64, 48)


def test_stream_is_fresh_after_a_pause() -> None:
    """Pictures that arrived while nobody read are discarded: stamped now, they would seem new."""
    for _ in range(5):  # on a busy machine even data that has arrived may need a wait
        with MjpegServer(64, 48, fps=50) as server:
            source = UrlSource(settings(server.url))
            source.open()
            assert until(lambda: server.sent >= 40)
            first, second = read_number(source.read().image), read_number(source.read().image)
            source.release()
        assert second == first + 1
        if first >= 30:
            break
    assert first >= 30


def test_stream_that_stalls_is_lost() -> None:
    with MjpegServer() as serving:
        source = UrlSource(settings(serving.url))
        source.open()
        source.read()
        serving.stall()
        began = time.monotonic()
        with pytest.raises(SourceLostError, match="stalled: no picture for"):
            for _ in range(100):
                source.read()
        assert time.monotonic() - began < 8
        source.release()


def test_stream_that_is_cut_is_lost() -> None:
    with MjpegServer() as serving:
        source = UrlSource(settings(serving.url))
        source.open()
        source.read()
        serving.cut()
        with pytest.raises(SourceLostError, match="ended"):
            for _ in range(100):
                source.read()
        source.release()


def test_release_while_stream_is_stalled() -> None:
    with MjpegServer() as serving:
        source = UrlSource(settings(serving.url))
        source.open()
        serving.stall()
        reader, ended = reading(source)
        time.sleep(0.3)  # it reads what was sent before, then waits for the network
        began = time.monotonic()
        source.release()
        assert time.monotonic() - began < 1  # release itself never waits
        reader.join(10)
        assert not reader.is_alive()
        assert isinstance(ended[0], EndOfSource)


def test_stream_where_nothing_answers_keeps_the_password() -> None:
    message = refusal(UrlSource(settings("http://anna:s3cr@t@127.0.0.1:9/video")))
    assert "http://127.0.0.1:9/video cannot be opened" in message
    assert "anna" not in message
    assert "t@" not in message


def test_file_over_http_keeps_the_password() -> None:
    source = open_source(settings("http://anna:s3cret@127.0.0.1:9/clip.mp4"))
    assert "s3cret" not in refusal(source)


# ------------------------------------------------------------------------------------------------------------ files


def test_every_frame_once_in_order(tmp_path: Path) -> None:
    info, grabs = play(make_video(tmp_path / "a.mp4", frames=30, fps=25))
    assert [read_number(grab.image) for grab in grabs] == list(range(30))
    assert [grab.media_ns for grab in grabs] == [number * 40_000_000 for number in range(30)]
    assert (info.kind, info.fps, info.frame_count, info.live, info.label) == ("video", 25.0, 30, False, "file a.mp4")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ten_bit.mkv", {"pix_fmt": "yuv420p10le"}),
        ("gray.mkv", {"codec": "ffv1", "pix_fmt": "gray"}),
        ("alpha.mkv", {"codec": "ffv1", "pix_fmt": "bgra"}),
        ("loop.gif", {"codec": "gif", "pix_fmt": "rgb8"}),
        ("motion.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
        ("stream.ts", {}),
        ("raw.h264", {}),
        ("old.mpg", {"codec": "mpeg2video"}),
        ("odd.mp4", {"pix_fmt": "yuv444p", "width": 97, "height": 65}),
    ],
)
def test_formats(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    info, grabs = play(make_video(tmp_path / name, fps=25, frames=12, **options))
    width, height = options.get("width", 96), options.get("height", 64)
    assert (info.width, info.height, info.fps) == (width, height, 25.0)
    for grab in grabs:
        check_picture(grab, width, height)
    assert [read_number(grab.image) for grab in grabs] == list(range(12))
    assert [grab.media_ns for grab in grabs] == [number * 40_000_000 for number in range(12)]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_is_obeyed(tmp_path: Path, rotation: int) -> None:
    """Turned as other players do, OpenCV's among them."""
    path = make_video(tmp_path / "turned.mp4", rotation=rotation)
    info, grabs = play(path)
    other = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    _, expected = other.read()
    other.release()
    size = (64, 96) if rotation in (90, 270) else (96, 64)
    assert (info.width, info.height) == size
    check_picture(grabs[0], *size)
    assert np.abs(grabs[0].image.astype(int) - expected).mean() < 3
    assert read_number(np.rot90(grabs[5].image, -rotation // 90)) == 5


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        pytest.param({}, 6, id="unmarked SD is 601"),
        pytest.param({"matrix": 5}, 6, id="601"),
        pytest.param({"matrix": 1}, 6, id="709"),
        pytest.param({"matrix": 5, "full_range": True}, 6, id="601 full range"),
        pytest.param({"matrix": 5, "width": 1280, "height": 720}, 6, id="marked 601 in HD"),
        pytest.param({"matrix": 1, "width": 1280, "height": 720}, 6, id="709 in HD"),
    ],
)
def test_colours(tmp_path: Path, options: dict[str, Any], tolerance: int) -> None:
    """Colours on which the two matrices differ by 20 levels and more."""
    width, height = options.get("width", 96), options.get("height", 64)
    for colour in ((30, 40, 200), (40, 200, 60)):
        flat = np.full((height, width, 3), colour, np.uint8)
        path = make_video(tmp_path / "flat.mp4", frames=1, draw=lambda _, flat=flat: flat, **options)
        _, (grab,) = play(path)
        assert np.abs(grab.image.mean(axis=(0, 1)) - colour).max() < tolerance


def test_unmarked_hd_is_709(tmp_path: Path) -> None:
    """Encoded with BT.601 but not marked, a 720p file is read by the rule for HD, so its colours change."""
    flat = np.full((720, 1280, 3), (40, 200, 60), np.uint8)
    _, (grab,) = play(make_video(tmp_path / "hd.mp4", frames=1, width=1280, height=720, draw=lambda _: flat))
    ycc = cv2.cvtColor(flat[:1, :1].astype(np.float32) / 255, cv2.COLOR_BGR2YCrCb)[0, 0]
    red = ycc[0] + 1.5748 * (ycc[1] - 0.5) * (0.5 / 0.701) / 0.713
    assert grab.image[..., 2].mean() == pytest.approx(red * 255, abs=6)
    assert abs(grab.image[..., 2].mean() - 60) > 8


def test_scaled_to_fit(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", width=192, height=128, frames=3)
    for box, size in [
        ({"width": 96}, (96, 64)),
        ({"height": 64}, (96, 64)),
        ({"width": 96, "height": 96}, (96, 64)),
        ({"width": 384, "height": 999}, (384, 256)),
        ({}, (192, 128)),
    ]:
        info, grabs = play(path, **box)
        assert (info.width, info.height) == size
        check_picture(grabs[0], *size)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.mp4", b"", "is empty"),
        ("text.mp4", b"dear diary\n" * 50, "is not a video that can be read"),
        ("page.mp4", b"<!doctype html><html><body>404</body></html>", "is not a video that can be read"),
        ("zeros.mkv", bytes(5000), "is not a video that can be read"),
    ],
)
def test_no_video(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    message = refusal(open_source(settings(path)))
    assert said in message
    assert name in message


def test_sound_only(tmp_path: Path) -> None:
    assert "contains no picture: only sound" in refusal(open_source(settings(make_sound(tmp_path / "song.m4a"))))


def test_cut_short_without_an_index(tmp_path: Path) -> None:
    """An MP4 keeps its index at the end: without it nothing can be read."""
    path = make_video(tmp_path / "whole.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "whole.mp4" in refusal(open_source(settings(path)))


def test_cut_short_plays_what_is_there(tmp_path: Path) -> None:
    path = make_video(tmp_path / "part.mkv", frames=60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    _, grabs = play(path)
    numbers = [read_number(grab.image) for grab in grabs]
    assert 5 < len(numbers) < 60
    assert numbers[:5] == [0, 1, 2, 3, 4]


def test_damage_in_the_middle_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = make_video(tmp_path / "hurt.avi", frames=40, codec="mjpeg", pix_fmt="yuvj420p")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)
    _, grabs = play(path)
    numbers = [read_number(grab.image) for grab in grabs]
    assert numbers[:5] == [0, 1, 2, 3, 4]
    assert numbers[-1] == 39


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_video(tmp_path / "secret.mp4")
    source = open_source(settings(path))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert refusal(source) == f"cannot read {path}: Permission denied"


def test_file_that_vanishes_while_it_loops(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=4)
    source = VideoFileSource(settings(path, loop=True, realtime=False))
    source.open()
    path.unlink()
    with pytest.raises(SourceLostError, match="cannot be played again"):
        for _ in range(9):
            source.read()
    source.release()


# ----------------------------------------------------------------------------------------------- files in real time


def open_paced(path: Path, clock: FakeClock, **options: Any) -> VideoFileSource:
    source = VideoFileSource(settings(path, **options), clock)
    source.open()
    return source


def test_frames_are_due_by_their_own_stamps(tmp_path: Path, clock: FakeClock) -> None:
    times = [0, 0.1, 0.5, 0.55, 0.8, 0.9]
    source = open_paced(make_video(tmp_path / "vfr.mp4", frames=6, times=times), clock)
    clock.advance(5)  # time between open and the first read does not count
    grabs = [source.read() for _ in range(6)]
    source.release()
    start = grabs[0].captured_ns
    assert [read_number(grab.image) for grab in grabs] == list(range(6))
    assert [round((grab.captured_ns - start) / 1e9, 6) for grab in grabs] == times
    assert [round(grab.media_ns / 1e9, 6) for grab in grabs if grab.media_ns is not None] == times


def test_late_reader_gets_the_frame_that_is_due(tmp_path: Path, clock: FakeClock) -> None:
    source = open_paced(make_video(tmp_path / "a.mp4", frames=60, fps=20), clock)
    assert read_number(source.read().image) == 0
    clock.advance(1.02)  # frame 20 was due at 1.00; 18 is the oldest within the tolerance of 0.1 s
    late = read_number(source.read().image)
    assert 18 <= late <= 21
    on_time = [source.read() for _ in range(10)]
    source.release()
    assert [read_number(grab.image) for grab in on_time] == list(range(late + 1, late + 11))
    last = on_time[-1]
    assert last.media_ns is not None
    assert abs((last.captured_ns - 1_000_000_000) - last.media_ns) < 1_000  # in step with the clock again


def test_slightly_late_reader_loses_nothing(tmp_path: Path, clock: FakeClock) -> None:
    source = open_paced(make_video(tmp_path / "a.mp4", frames=40, fps=20), clock)
    numbers = []
    for _ in range(20):
        numbers.append(read_number(source.read().image))
        clock.advance(0.045)
    source.release()
    assert numbers == list(range(20))


@pytest.mark.parametrize("name", ["a.mp4", "raw.h264", "a.gif"])
def test_loop_without_a_hitch(tmp_path: Path, clock: FakeClock, name: str) -> None:
    gif = name.endswith("gif")
    path = make_video(tmp_path / name, frames=5, fps=25, **({"codec": "gif", "pix_fmt": "rgb8"} if gif else {}))
    source = open_paced(path, clock, loop=True)
    grabs = [source.read() for _ in range(17)]
    source.release()
    assert [read_number(grab.image) for grab in grabs] == [number % 5 for number in range(17)]
    assert [grab.media_ns for grab in grabs] == [number % 5 * 40_000_000 for number in range(17)]
    gaps = {later.captured_ns - earlier.captured_ns for earlier, later in pairwise(grabs)}
    assert gaps == {40_000_000}


def test_real_time_ends(tmp_path: Path, clock: FakeClock) -> None:
    source = open_paced(make_video(tmp_path / "a.mp4", frames=5), clock)
    assert len(drain(source)) == 5
    source.release()


def test_decoder_that_cannot_keep_up_slows_down(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When each frame takes longer than its time, frames still come, in order, and the program does not spin."""
    source = open_paced(make_video(tmp_path / "a.mp4", frames=60, fps=20), clock)
    decode = source._next

    def slowly() -> tuple[Any, int]:
        clock.advance(0.2)
        return decode()

    monkeypatch.setattr(source, "_next", slowly)
    numbers = [read_number(grab.image) for grab in drain(source)]
    source.release()
    assert 10 < len(numbers) < 60
    assert numbers == sorted(set(numbers))


def test_real_clip(data: Path, clock: FakeClock) -> None:
    path = data / "clips" / "webcam" / "liveportrait_d9.mp4"
    source = open_paced(path, clock)
    grabs = [source.read() for _ in range(10)]
    source.release()
    other = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    for grab in grabs:
        _, expected = other.read()
        assert grab.image.shape == expected.shape
        assert np.abs(grab.image.astype(int) - expected).mean() < 4
    other.release()
    media = [grab.media_ns for grab in grabs if grab.media_ns is not None]
    assert media[0] == 0
    assert all(earlier < later for earlier, later in pairwise(media))
    assert [grab.captured_ns - grabs[0].captured_ns for grab in grabs] == media


# ------------------------------------------------------------------------------------------- stamps before conversion


def test_video_stamps_before_conversion(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_paced(make_video(tmp_path / "a.mp4", fps=20), clock, realtime=False)
    convert = source._picture

    def slowly(frame: Any) -> Any:
        clock.advance(0.03)
        return convert(frame)

    monkeypatch.setattr(source, "_picture", slowly)
    began_ns = clock.now_ns()
    assert source.read().captured_ns == began_ns
    assert clock.now_ns() == began_ns + 30_000_000
    source.release()


def test_capture_stamps_between_grab_and_retrieve(clock: FakeClock) -> None:
    class Slow:
        def grab(self) -> bool:
            clock.advance(1.0)
            return True

        def retrieve(self) -> tuple[bool, Any]:
            clock.advance(0.5)
            return True, np.zeros((4, 6), np.uint8)

        def get(self, what: int) -> float:
            return 0.0

        def release(self) -> None:
            pass

    capture = Capture(clock)
    capture._capture = Slow()
    began_ns = clock.now_ns()
    grab = capture.grab()
    capture.release()
    assert grab is not None
    assert grab.captured_ns == began_ns + 1_000_000_000
    assert grab.image.shape == (4, 6, 3)  # grey cameras deliver colour


def test_demo_stamps_before_drawing(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    source = DemoSource(settings("demo", width=64, height=48), clock)
    source.open()

    def draw(number: int) -> Any:
        clock.advance(0.01)
        return np.zeros((48, 64, 3), np.uint8)

    monkeypatch.setattr(source, "_drawn", draw)
    began_ns = clock.now_ns()
    assert source.read().captured_ns == began_ns
    source.release()


# ---------------------------------------------------------------------------------------------------------- cameras


def test_capture_libraries_keep_quiet() -> None:
    """OpenCV's and FFmpeg's messages about what cannot be opened are suppressed: our own error says it."""
    code = """if True:
        from rvm_live.core.errors import SourceUnavailableError
        from rvm_live.core.settings import SourceSettings
        from rvm_live.sources.factory import open_source
        from rvm_live.sources.camera.opencv_logging import silence_backends
        silence_backends()
        for spec in ("97", "http://127.0.0.1:9/video", "rtsp://127.0.0.1:9/video"):
            try:
                open_source(SourceSettings(source=spec)).open()
            except SourceUnavailableError as error:
                print(error)
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV_")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=60, cwd=ROOT, env=clean
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 3


def test_camera_reads_back_what_it_got(monkeypatch: pytest.MonkeyPatch) -> None:
    device = FakeDevice(sizes=[(320, 240), (64, 48)], fps=25)
    FakeDevice.plug_in(monkeypatch, device)
    source = CameraSource(settings("0", width=1920, height=1080, fps=60))
    info = source.open()
    grab = source.read()
    source.release()
    assert (info.width, info.height, info.fps, info.live) == (320, 240, 25.0, True)
    assert info.label == "camera 0 (Fake Cam)"
    check_picture(grab, 320, 240)
    assert source.capture.backend == "FAKE"
    assert device.asked[0] == "MJPG"  # the pixel format first: it determines the available sizes


def test_camera_by_part_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [Camera(0, "Front"), Camera(4, "Logi HD Pro"), Camera(6)]
    monkeypatch.setattr(camera, "list_cameras", lambda: known)
    assert find_camera("hd pro") == known[1]
    assert find_camera("4") == known[1]
    assert find_camera("9") == Camera(9)
    with pytest.raises(SourceUnavailableError, match=r"'nikon'; this machine has camera 0 \(Front\), camera 4"):
        find_camera("nikon")
    monkeypatch.setattr(camera, "list_cameras", list)
    with pytest.raises(SourceUnavailableError, match="this machine has no camera at all"):
        find_camera("nikon")


def test_camera_that_is_not_there() -> None:
    assert "camera 97 cannot be opened" in refusal(CameraSource(settings("97")))


def test_camera_that_opens_but_stays_dark(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    FakeDevice.plug_in(monkeypatch, FakeDevice(frames=0))
    assert "delivered no picture in 5 s" in refusal(CameraSource(settings("0"), clock))


def test_camera_with_a_closed_cover(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    FakeDevice.plug_in(monkeypatch, FakeDevice())
    dark = Grab(np.full((48, 64, 3), 3, np.uint8), 0)

    def grab(_: Capture) -> Grab:
        clock.advance(0.03)
        return dark

    monkeypatch.setattr(Capture, "grab", grab)
    assert "only black pictures" in refusal(CameraSource(settings("0"), clock))


def test_camera_that_begins_in_the_dark(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    FakeDevice.plug_in(monkeypatch, FakeDevice())
    pictures = [np.zeros((48, 64, 3), np.uint8)] * 5 + [numbered(64, 48, 7)]
    monkeypatch.setattr(Capture, "grab", lambda _: Grab(pictures.pop(0), clock.now_ns()))
    source = CameraSource(settings("0"), clock)
    source.open()
    assert read_number(source.read().image) == 7
    source.release()


def test_camera_that_one_may_not_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    device = tmp_path / "video5"
    device.touch()
    monkeypatch.setattr(camera, "list_cameras", lambda: [Camera(5, "Locked", str(device))])
    monkeypatch.setattr("rvm_live.sources.camera.camera.os.access", lambda *_: False)
    said = refusal(CameraSource(settings("5")))
    assert str(device) in said and "usermod -aG video" in said


def test_camera_that_is_unplugged(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeDevice.plug_in(monkeypatch, FakeDevice(frames=3))
    source = CameraSource(settings("0"))
    source.open()
    with pytest.raises(SourceLostError, match="stopped delivering"):
        for _ in range(5):
            source.read()
    source.release()


# ------------------------------------------------------------------------------------------------------------- auto


def test_auto_without_a_camera_shows_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "list_cameras", list)
    source = AutoSource(settings("auto", width=64, height=48))
    info = source.open()
    grab = source.read()
    source.release()
    assert (info.kind, info.width, info.height) == ("demo", 64, 48)
    assert info.notes == ("no camera delivers pictures (no camera was found): showing the demo instead",)
    check_picture(grab, 64, 48)


def test_auto_tries_numbers_where_cameras_cannot_be_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError("no such library")

    monkeypatch.setattr("cv2_enumerate_cameras.enumerate_cameras", broken)
    source = AutoSource(settings("auto", width=64, height=48))
    info = source.open()
    source.release()
    (note,) = info.notes
    assert all(f"camera {index} cannot be opened" in note for index in range(4))


def test_auto_names_every_camera_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [Camera(97, "Broken Cam"), Camera(98, "Other Cam")]
    monkeypatch.setattr(auto, "list_cameras", lambda: broken)
    monkeypatch.setattr(camera, "list_cameras", lambda: broken)
    source = AutoSource(settings("auto", width=64, height=48))
    told: list[str] = []
    open_camera = CameraSource.open

    def opened(self: CameraSource) -> SourceInfo:
        told.append(source.trouble)
        return open_camera(self)

    monkeypatch.setattr(CameraSource, "open", opened)
    info = source.open()
    source.release()
    assert told == ["looking for cameras: Broken Cam", "looking for cameras: Other Cam"] and source.trouble == ""
    assert info.kind == "demo"
    (note,) = info.notes
    for name in ("camera 97 (Broken Cam)", "camera 98 (Other Cam)"):
        assert f"{name} cannot be opened" in note


def test_auto_takes_the_first_that_delivers(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeDevice.plug_in(monkeypatch, FakeDevice(index=2))
    known = [Camera(97, "Broken Cam"), Camera(2, "Good Cam")]
    monkeypatch.setattr(auto, "list_cameras", lambda: known)
    monkeypatch.setattr(camera, "list_cameras", lambda: known)
    source = AutoSource(settings("auto"))
    info = source.open()
    source.read()
    source.release()
    assert info.label == "camera 2 (Good Cam)"
    assert "Broken Cam" in info.notes[0]


def test_auto_without_camera_and_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "list_cameras", list)
    monkeypatch.setattr("rvm_live.sources.demo.portrait.find_spec", lambda _: None)
    message = refusal(AutoSource(settings("auto")))
    assert "no camera was found" in message
    assert adding("demo") in message


# ----------------------------------------------------------------------------------------------------------- stills


def test_still_at_its_rate(tmp_path: Path, clock: FakeClock) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), numbered(97, 65, 5))
    source = ImageSource(settings(tmp_path / "a.png", fps=24), clock)
    info = source.open()
    clock.advance(3)
    grabs = [source.read() for _ in range(49)]
    source.release()
    assert (info.kind, info.width, info.height, info.fps, info.frame_count) == ("image", 97, 65, 24.0, None)
    assert grabs[48].captured_ns - grabs[0].captured_ns == 2_000_000_000
    assert np.array_equal(grabs[0].image, numbered(97, 65, 5))


def test_still_once_when_not_in_real_time(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), numbered(64, 48, 5))
    source = ImageSource(settings(tmp_path / "a.png", realtime=False, width=32))
    info = source.open()
    grabs = drain(source)
    source.release()
    assert info.frame_count == len(grabs) == 1
    check_picture(grabs[0], 32, 24)


@pytest.mark.parametrize("kind", ["gray", "alpha", "sixteen"])
def test_still_of_any_kind_is_colour(tmp_path: Path, kind: str) -> None:
    picture = numbered(64, 48, 9)
    made = {
        "gray": picture[..., 0],
        "alpha": np.dstack([picture, picture[..., 0]]),
        "sixteen": picture.astype(np.uint16) * 257,
    }[kind]
    cv2.imwrite(str(tmp_path / "a.png"), made)
    source = ImageSource(settings(tmp_path / "a.png"))
    source.open()
    grab = source.read()
    source.release()
    check_picture(grab, 64, 48)
    assert read_number(grab.image) == 9


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is empty"), (b"not a picture", "is not a picture"), (b"\x89PNG\r\n\x1a\n", "not a pict")],
)
def test_no_still(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    assert said in refusal(open_source(settings(path)))


def test_still_that_vanished(tmp_path: Path) -> None:
    assert "cannot read" in refusal(ImageSource(settings(tmp_path / "gone.png")))


# --------------------------------------------------------------------------------------------------------- the demo


def open_demo(clock: FakeClock | None = None, **options: Any) -> DemoSource:
    source = DemoSource(settings("demo", **options), clock or SYSTEM_CLOCK)
    source.open()
    return source


def test_demo_is_the_same_everywhere() -> None:
    one, two = (open_demo(width=160, height=90) for _ in range(2))
    for number in (0, 7, 300):
        for first, second in zip(one.frame_at(number), two.frame_at(number), strict=True):
            assert np.array_equal(first, second)


def test_demo_never_stands_still() -> None:
    demo = open_demo(width=320, height=180, fps=60)
    pictures = [demo.frame_at(number)[0].astype(int) for number in range(0, 12)]
    assert all(np.abs(later - earlier).mean() > 0.2 for earlier, later in pairwise(pictures))
    # And the person moves, not just the noise.
    assert np.abs(demo.frame_at(0)[1].astype(int) - demo.frame_at(90)[1]).mean() > 1


@pytest.mark.few(1)
@pytest.mark.parametrize(("width", "height"), [(16, 16), (97, 65), (320, 180), (1280, 720), (180, 320), (64, 480)])
def test_demo_at_any_size(width: int, height: int) -> None:
    demo = open_demo(width=width, height=height)
    for number in (0, 50):
        picture, alpha = demo.frame_at(number)
        assert picture.shape == (height, width, 3)
        assert alpha.shape == (height, width)
        assert alpha.max() == 255  # there is a person
        assert alpha.min() == 0  # and a room around the person


def test_demo_rate_does_not_change_the_motion() -> None:
    slow, fast = open_demo(width=160, height=90, fps=15), open_demo(width=160, height=90, fps=60)
    assert np.array_equal(slow.frame_at(30)[1], fast.frame_at(120)[1])


def test_demo_person_is_never_cut_off_below() -> None:
    """The lower edge of the portrait is never visible: the person reaches the picture's last row."""
    demo = open_demo(width=320, height=180, fps=5)
    for number in range(0, 400, 3):
        _, alpha = demo.frame_at(number)
        across = np.count_nonzero(alpha[-1] > 250)
        assert across > 60
        assert across > 0.9 * np.count_nonzero(alpha[-12] > 250)


@pytest.mark.parametrize("size", [(1280, 720), (200, 300), (97, 61)])
def test_demo_draws_the_person_in_bands_as_wide_as_they_are_there_and_loses_nothing(size: tuple[int, int]) -> None:
    demo = open_demo(width=size[0], height=size[1])
    drawn, boxed = 0, 0
    for number in range(0, 600, 37):
        matrix, box = demo._placement(number / 60)
        whole = cv2.warpAffine(demo._person[..., 3], matrix, size, flags=cv2.INTER_LINEAR)
        assert np.abs(demo.frame_at(number)[1].astype(int) - whole).max() <= 1
        drawn += sum((right - left) * (bottom - top) for left, top, right, bottom in demo._bands(matrix, box))
        boxed += (box[2] - box[0]) * (box[3] - box[1])
    assert size[1] < 300 or drawn < 0.75 * boxed


def test_demo_alpha_is_true() -> None:
    """Where alpha is 0 only the room is visible, where it is 255 only the person, in every scene."""
    demo = open_demo(width=320, height=180)
    assert demo._scenery is not None
    picture, alpha = demo.frame_at(40)
    empty = demo._scenery.at(40 / 60)
    demo._scenery.grain(empty, 40)
    assert np.array_equal(picture[alpha == 0], empty[alpha == 0])
    assert 0.1 < (alpha == 255).mean() < 0.6
    assert 0.005 < ((alpha > 0) & (alpha < 255)).mean() < 0.2  # soft edges: hair
    # Another room behind the same person changes nothing inside the person.
    blank = np.zeros_like(empty)
    scenery = demo._scenery

    class Dark:
        def at(self, seconds: float) -> Any:
            return blank.copy()

        def grain(self, picture: Any, number: int) -> None:
            scenery.grain(picture, number)

    demo._scenery = Dark()  # type: ignore[assignment]
    dark, _ = demo.frame_at(40)
    assert np.array_equal(picture[alpha == 255], dark[alpha == 255])
    # In between, the picture is the composite that alpha describes.
    share = alpha[..., None] / 255.0
    scenery_part = scenery.at(40 / 60) * (1 - share)
    clipped = picture.max(axis=2) > 248  # brighter levels would clip the sensor's noise
    assert np.abs(dark + scenery_part - picture)[~clipped].max() < 3


def test_demo_is_paced(clock: FakeClock) -> None:
    demo = open_demo(clock, width=64, height=48, fps=30)
    clock.advance(2)
    grabs = [demo.read() for _ in range(61)]
    assert round((grabs[60].captured_ns - grabs[0].captured_ns) / 1e6) == 2000
    assert grabs[0].media_ns is None
    clock.advance(1.0)  # after a pause the reader gets the present frame, not those it missed
    late = demo.read()
    expected, _ = demo.frame_at(90)
    assert np.array_equal(late.image, expected)
    demo.release()


def test_demo_as_fast_as_it_is_read(clock: FakeClock) -> None:
    demo = open_demo(clock, width=64, height=48, fps=30, realtime=False)
    grabs = [demo.read() for _ in range(4)]
    demo.release()
    assert clock.slept == []
    assert [grab.media_ns for grab in grabs] == [round(number * 1e9 / 30) for number in range(4)]


def test_demo_without_its_portrait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rvm_live.sources.demo.portrait.find_spec", lambda _: None)
    assert adding("demo") in refusal(DemoSource(settings("demo")))


# ------------------------------------------------------------------------------------------------------ the factory


def test_factory_choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "a.mp4", frames=2)
    (tmp_path / "7").write_bytes(b"a file that happens to be called like a camera")
    cv2.imwrite(str(tmp_path / "A.JPG"), numbered(64, 48, 0))
    for spec, kind in {
        "auto": AutoSource,
        "demo": DemoSource,
        "0": CameraSource,
        "12": CameraSource,
        "7": VideoFileSource,
        "HD Webcam": CameraSource,
        "a.mp4": VideoFileSource,
        str(tmp_path / "A.JPG"): ImageSource,
        "http://camera/video": UrlSource,
        "http://camera/clip.mp4": UrlSource,  # its kind is known once it is open
        "https://camera/clip.webm?x=1": UrlSource,
        "http://camera/video.mjpg": UrlSource,
        "RTSP://camera/clip.mp4": UrlSource,
        (tmp_path / "a.mp4").as_uri(): VideoFileSource,
    }.items():
        source = open_source(settings(spec))
        assert type(source) is kind, spec


def test_factory_takes_a_device_path_for_the_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "video3").touch()
    (tmp_path / "usb-Logi-index0").symlink_to(tmp_path / "video3")
    pattern = re.compile(re.escape(str(tmp_path.resolve())) + r"/video(\d+)")
    monkeypatch.setattr("rvm_live.sources.factory._V4L_DEVICE", pattern)
    monkeypatch.setattr(camera, "list_cameras", list)
    assert "camera 3 cannot be opened" in refusal(open_source(settings(tmp_path / "usb-Logi-index0")))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("/dev/null", "neither a file nor a camera"),
        ("file:///nowhere/at/all", "there is no file /nowhere/at/all"),
        ("gone.mp4", "there is no file gone.mp4"),
        ("/nowhere/at/all", "there is no file /nowhere/at/all"),
        (".", "is a folder"),
        ("x" * 5000, "cannot look for a file"),
        ("a\0b", ""),
    ],
)
def test_factory_refusals(spec: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(camera, "list_cameras", list)
    with pytest.raises(SourceUnavailableError) as caught:
        open_source(settings(spec)).open()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


# --------------------------------------------------------------------------------------------- the guard and scaling


@pytest.mark.slow
def test_guard_never_frees_while_busy() -> None:
    """Two threads race, many times: the resource is freed exactly once, and never while it is used."""
    for _ in range(300):
        busy, freed, wrong = [False], [0], [0]

        def free(busy: list[bool] = busy, freed: list[int] = freed, wrong: list[int] = wrong) -> None:
            wrong[0] += busy[0]
            freed[0] += 1

        guard = ReleaseGuard(free)
        started = threading.Event()

        def uses(guard: ReleaseGuard = guard, busy: list[bool] = busy, started: threading.Event = started) -> None:
            try:
                while True:
                    with guard:
                        busy[0] = True
                        started.set()
                        sum(range(200))
                        busy[0] = False
            except EndOfSource:
                pass

        user = threading.Thread(target=uses, name="rvm-test-user")
        user.start()
        started.wait(2)
        guard.release()
        guard.release()
        user.join(2)
        assert not user.is_alive()
        assert (freed[0], wrong[0]) == (1, 0)


def test_guard_frees_at_once_when_idle() -> None:
    freed: list[str] = []
    guard = ReleaseGuard(lambda: freed.append(threading.current_thread().name))
    with guard:
        pass
    guard.release()
    assert freed == [threading.current_thread().name]
    with pytest.raises(EndOfSource), guard:
        pass
    with pytest.raises(EndOfSource):
        guard.check()


def test_guard_frees_after_an_error() -> None:
    freed: list[int] = []
    guard = ReleaseGuard(lambda: freed.append(1))
    with pytest.raises(ZeroDivisionError), guard:
        guard.release()
        assert freed == []
        _ = 1 / 0
    assert freed == [1]


def test_guard_wakes_a_sleeper() -> None:
    guard = ReleaseGuard(lambda: None)
    threading.Timer(0.1, guard.release).start()
    began = time.monotonic()
    with pytest.raises(EndOfSource):
        guard.wait_until(SYSTEM_CLOCK.now_ns() + 60_000_000_000, SYSTEM_CLOCK)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("size", "box", "expected"),
    [
        ((1920, 1080), (None, None), (1920, 1080)),
        ((97, 65), (None, None), (97, 65)),
        ((1920, 1080), (1280, None), (1280, 720)),
        ((1920, 1080), (None, 720), (1280, 720)),
        ((1080, 1920), (1280, 720), (404, 720)),
        ((640, 480), (1280, 720), (960, 720)),
        ((4000, 10), (16, 16), (16, 2)),
    ],
)
def test_size_inside(size: tuple[int, int], box: tuple[int | None, int | None], expected: tuple[int, int]) -> None:
    assert size_inside(*size, box) == expected
    scaled = fit_inside(np.zeros((size[1], size[0], 3), np.uint8), box)
    assert scaled.shape == (expected[1], expected[0], 3)


def test_every_error_is_one_of_ours(tmp_path: Path) -> None:
    """Only RvmLiveError leaves open(), whatever bytes a file holds."""
    rng = np.random.default_rng(0)
    real = make_video(tmp_path / "real.mkv", frames=8).read_bytes()
    openers: list[Callable[[bytes], bytes]] = [
        lambda data: rng.bytes(3000),
        lambda data: data[: len(data) // 3],
        lambda data: data[:40] + rng.bytes(4000),
        lambda data: data[:600],
    ]
    for index, spoil in enumerate(openers):
        path = tmp_path / f"spoilt{index}.mkv"
        path.write_bytes(spoil(real))
        source = VideoFileSource(settings(path, realtime=False))
        try:
            source.open()
            drain(source)
        except RvmLiveError as error:
            assert "\n" not in str(error)
        source.release()


def combed(number: int) -> NDArray[np.uint8]:
    """A bar that moves between the two fields of a frame, so that its edges look like combs."""
    image = np.full((64, 96, 3), 30, np.uint8)
    for field in range(2):
        left = 20 + 6 * number + 3 * field
        image[field::2, left : left + 24] = 220
    return image


def test_interlaced_pictures_are_made_whole(tmp_path: Path) -> None:
    path = tmp_path / "tv.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.options = {"crf": "4", "x264-params": "tff=1", "flags": "+ildct+ilme"}
        for number in range(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(combed(number), format="bgr24")))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        raw = list(container.decode(video=0))
    assert all(frame.interlaced_frame for frame in raw)
    source = VideoFileSource(SourceSettings(str(path), realtime=False))
    source.open()
    grabs = []
    with pytest.raises(EndOfSource):
        while True:
            grabs.append(source.read())
    source.release()
    assert [grab.media_ns for grab in grabs] == [n * 40_000_000 for n in range(8)]

    def teeth(image: NDArray[np.uint8]) -> float:
        rows = image[..., 0].astype(int)
        return float(np.abs(2 * rows[1:-1] - rows[:-2] - rows[2:]).mean())

    for frame, grab in zip(raw[1:], grabs[1:], strict=True):
        assert teeth(grab.image) < 0.3 * teeth(frame.to_ndarray(format="bgr24"))
