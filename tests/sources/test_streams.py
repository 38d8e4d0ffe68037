"""What an address delivers is found out from the demuxer, not from the address; real servers, in real time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from rvm_live.core.errors import EndOfSource, SourceLostError, SourceUnavailableError
from rvm_live.core.settings import SourceSettings
from rvm_live.sources.base import Grab
from rvm_live.sources.factory import open_source
from rvm_live.sources.reconnecting import ReconnectingSource
from rvm_live.sources.rhythm import Playout, Rhythm
from rvm_live.sources.stream import UrlSource
from tests.support.hls import FPS, HlsServer
from tests.support.mirror import Answer, send, serving
from tests.support.mjpeg import MjpegServer
from tests.support.sources import read_number, reading
from tests.support.videos import make_video

SECOND = 1_000_000_000


@contextmanager
def reconnected(url: str, **more: object) -> Iterator[tuple[ReconnectingSource, list[str]]]:
    """The source through which the program reads an address, and its notices."""
    told: list[str] = []
    source = ReconnectingSource(SourceSettings(url, **more), open_source, told.append)  # type: ignore[arg-type]
    try:
        yield source, told
    finally:
        source.release()


def played(source: ReconnectingSource, seconds: float) -> tuple[list[int], list[Grab], bool]:
    """Numbers and grabs of so many seconds, and whether the source ended before."""
    numbers, grabs = [], []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            grab = source.read()
        except EndOfSource:
            return numbers, grabs, True
        numbers.append(read_number(grab.image))
        grabs.append(grab)
    return numbers, grabs, False


# ------------------------------------------------------------------------------------------------------- segments


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "segment_s", "fragmented", "begun"),
    [
        ("live", 2, False, 3),
        pytest.param("live", 4, False, 3, marks=pytest.mark.slow),
        pytest.param("live", 4, True, 1, marks=pytest.mark.slow),
        pytest.param("event", 4, False, 2, marks=pytest.mark.slow),
        pytest.param("event", 2, True, 1, marks=pytest.mark.slow),
    ],
)
def test_a_live_playlist_plays_at_its_own_pace_without_a_break(
    tmp_path: Path, kind: str, segment_s: int, fragmented: bool, begun: int
) -> None:
    with (
        HlsServer(tmp_path, kind=kind, segment_s=segment_s, fragmented=fragmented, begun=begun) as server,
        reconnected(server.url) as (source, told),
    ):
        info = source.open()
        seconds = 3.0 * segment_s
        numbers, grabs, ended = played(source, seconds)
    assert (info.kind, info.live, info.fps) == ("url", True, FPS)
    assert not ended
    assert told == []
    assert source.lost == 0
    assert all(after > before for before, after in pairwise(numbers))
    # Not faster than real time: a burst is spread out. A busy machine may skip some.
    assert 0.8 < (numbers[-1] - numbers[0]) / ((grabs[-1].captured_ns - grabs[0].captured_ns) / SECOND) / FPS < 1.2
    assert len(numbers) > 0.6 * FPS * seconds


@pytest.mark.slow
@pytest.mark.parametrize("fragmented", [False, True])
def test_a_finished_playlist_plays_once_in_its_own_time(tmp_path: Path, fragmented: bool) -> None:
    with (
        HlsServer(tmp_path, kind="finished", segment_s=2, count=2, fragmented=fragmented) as server,
        reconnected(server.url) as (source, told),
    ):
        info = source.open()
        began = time.monotonic()
        numbers, _, ended = played(source, 20)
        took = time.monotonic() - began
    assert (info.kind, info.live) == ("video", False)
    assert ended
    assert told == []
    assert numbers[-1] == 2 * 2 * FPS - 1
    assert all(after > before for before, after in pairwise(numbers))
    assert took > 3.5


def test_every_frame_of_a_finished_playlist_can_be_had(tmp_path: Path) -> None:
    with (
        HlsServer(tmp_path, kind="finished", segment_s=2, count=3) as server,
        reconnected(server.url, realtime=False) as (source, _),
    ):
        assert source.on_demand
        source.open()
        numbers, _, ended = played(source, 60)
    assert ended
    assert numbers == list(range(3 * 2 * FPS))


def test_every_frame_of_a_live_one_can_not(tmp_path: Path) -> None:
    with (
        HlsServer(tmp_path, segment_s=2, count=4) as server,
        reconnected(server.url, realtime=False) as (source, _),
        pytest.raises(SourceUnavailableError, match=r"--no-realtime is for files, but stream .* is live"),
    ):
        source.open()


# --------------------------------------------------------------------------------------------- films at an address


@pytest.mark.parametrize("path", ["clip", "clip?id=1", "watch/7/", "clip.php", "clip.mp4"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.few(1)
def test_a_film_is_one_whatever_its_address_is_called(tmp_path: Path, path: str, suffix: str) -> None:
    content = make_video(tmp_path / f"film{suffix}", frames=20, fps=40).read_bytes()
    with (
        serving(lambda handler, n: send(handler, content)) as (base, _),
        reconnected(f"{base}/{path}") as (source, told),
    ):
        info = source.open()
        numbers, _, ended = played(source, 20)
    assert not info.live
    assert ended
    assert told == []
    assert numbers[0] == 0
    assert numbers[-1] == 19


def test_a_film_plays_again_where_that_is_asked_for(tmp_path: Path) -> None:
    content = make_video(tmp_path / "film.mp4", frames=5, fps=50).read_bytes()
    with (
        serving(lambda handler, n: send(handler, content)) as (base, _),
        reconnected(f"{base}/clip", loop=True) as (s, _),
    ):
        s.open()
        numbers = [read_number(s.read().image) for _ in range(12)]
    assert numbers.count(0) >= 2


def test_a_film_whose_server_falls_silent_can_be_left(tmp_path: Path) -> None:
    content = make_video(tmp_path / "film.ts", frames=200, fps=50).read_bytes()
    wait = threading.Event()

    def answer(handler, n):  # type: ignore[no-untyped-def]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 4])
        wait.wait(20)

    with serving(answer) as (base, _):
        source = UrlSource(SourceSettings(f"{base}/clip"))
        reader, ended = reading(source, opens=True)
        time.sleep(1.5)
        source.release()
        reader.join(10)
        wait.set()
        assert not reader.is_alive()
        assert isinstance(ended[0], EndOfSource)


# ---------------------------------------------------------------------------------------------------------- rhythm


@pytest.mark.slow
def test_a_picture_every_two_seconds_is_no_loss_and_while_it_is_silent_that_is_said() -> None:
    with MjpegServer(64, 48, fps=0.5) as server, reconnected(server.url) as (source, told):
        source.open()
        said: list[str] = []
        watching = threading.Event()

        def watch() -> None:
            while not watching.wait(0.02):
                said.append(source.trouble)

        watcher = threading.Thread(target=watch)
        watcher.start()
        numbers = [read_number(source.read().image) for _ in range(4)]
        watching.set()
        watcher.join()
        assert any("no picture for" in text for text in said)
        assert source.trouble == ""
        assert told == []
        assert source.lost == 0
        assert server.clients == 1
    assert numbers == list(range(numbers[0], numbers[0] + 4))


def test_how_long_a_silence_may_be_follows_the_pictures() -> None:
    quick = Rhythm(SECOND // 5, 1.5, 30.0)
    assert quick.limit_s == 1.5
    for number in range(300):
        quick.waited(number * SECOND // 30, SECOND // 30)
    assert quick.limit_s == 1.5
    quick.waited(11 * SECOND, SECOND)  # once, a second without data that was no silence
    assert quick.limit_s == 3.0
    for number in range(12 * 30, 90 * 30):
        quick.waited(number * SECOND // 30, SECOND // 30)
    assert quick.limit_s == 1.5, "what lies more than a minute back does not count"

    slow = Rhythm(2 * SECOND, 1.5, 30.0)
    assert slow.limit_s == 6.0, "how long it took to open is all that is known"
    for number in range(5):
        slow.waited(number * 2 * SECOND, 2 * SECOND)
    assert slow.limit_s == 6.0
    slow.waited(100 * SECOND, 20 * SECOND)
    assert slow.limit_s == 30.0

    waking = Rhythm(9 * SECOND, 1.5, 30.0)  # slow to open, then fast: pictures that are there at once prove nothing yet
    for number in range(20):
        waking.waited(number, 1000)
    assert waking.limit_s == 27.0
    for number in range(3):
        waking.waited(number * SECOND // 30, SECOND // 30)
    assert waking.limit_s == 1.5


def test_what_comes_in_bursts_is_spread() -> None:
    playout = Playout()
    frame = SECOND // 25
    now = 7 * SECOND
    # The first segment is there at once; each picture is asked for when the one before was shown.
    for number in range(100):
        due = playout.due_ns(now, number * frame, 0)
        assert due == 7 * SECOND + number * frame
        now = due
    # The next one is a second late: from then on everything is a second later, and nothing is left out.
    now += SECOND
    for number in range(100, 150):
        due = playout.due_ns(now, number * frame, SECOND if number == 100 else 0)
        assert due == 7 * SECOND + number * frame + SECOND - frame
        now = due


def test_what_nobody_took_in_time_is_passed_over() -> None:
    playout = Playout()
    frame = SECOND // 25
    assert playout.due_ns(0, 0, 0) == 0
    late = 10 * frame  # the reader was busy
    taken = [number for number in range(1, 12) if playout.due_ns(late, number * frame, 0) is not None]
    assert taken[0] == 8  # within a tenth of a second


@pytest.mark.parametrize("leap_s", [-3600, -5, 60, 95443])
def test_time_stamps_that_leap_begin_a_new_count(leap_s: int) -> None:
    playout = Playout()
    frame = SECOND // 25
    now = 0
    for number in range(50):
        now = playout.due_ns(now, number * frame, 0) or now
    shown = []
    for number in range(50, 200):
        due = playout.due_ns(now, number * frame + leap_s * SECOND, 0)
        now = now + frame // 2 if due is None else due  # decoding takes some time
        if due is not None:
            shown.append(due)
    assert shown[0] <= 3 * SECOND
    assert {after - before for before, after in pairwise(shown)} == {frame}


@pytest.mark.slow
def test_a_stream_of_segments_whose_server_is_gone_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rvm_live.sources.stream.SEGMENT_SILENT_S", 1.0)
    monkeypatch.setattr("rvm_live.sources.stream.MOST_SILENT_S", 2.0)
    with HlsServer(tmp_path, segment_s=1, count=4, begun=3) as server:
        source = UrlSource(SourceSettings(server.url))
        source.open()
        with pytest.raises(SourceLostError, match="no picture for"):
            for _ in range(200):
                source.read()
        source.release()


@pytest.mark.slow
def test_a_playlist_that_stands_still_shows_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time it is opened it begins with its last segments again: they were already shown, and are not new."""
    monkeypatch.setattr("rvm_live.sources.stream.SEGMENT_SILENT_S", 1.0)
    monkeypatch.setattr("rvm_live.sources.stream.OPEN_TIMEOUT_MS", 2000)
    monkeypatch.setattr("rvm_live.sources.stream.MOST_SILENT_S", 2.0)
    numbers: list[int] = []
    with HlsServer(tmp_path, segment_s=1, count=20, begun=3) as server, reconnected(server.url) as (source, told):
        server.most = 4
        source.open()

        def reads() -> None:
            try:
                while True:
                    numbers.append(read_number(source.read().image))
            except EndOfSource:
                pass

        reader = threading.Thread(target=reads, name="rvm-test-reader")
        reader.start()
        until = time.monotonic() + 40
        while source.lost == 0 and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(3)  # it is opened again, without any change
        server.most = 20
        while not (numbers and numbers[-1] > 4 * FPS) and time.monotonic() < until:
            time.sleep(0.02)
        source.release()
        reader.join(15)
    assert source.lost >= 1
    assert numbers[-1] > 4 * FPS, told
    assert all(after > before for before, after in pairwise(numbers))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda handler, n: send(handler, b"<html>Sign in" + bytes(9999)), "what answers is not a video"),
        (lambda handler, n: send(handler, b"", status=404), "404 Not Found"),
        (lambda handler, n: send(handler, b"", status=401), "401 Unauthorized"),
    ],
)
def test_why_an_address_cannot_be_opened_is_said_without_its_password(answer: Answer, said: str) -> None:
    with serving(answer) as (base, _):
        source = UrlSource(SourceSettings(f"{base.replace('//', '//anna:s3cret@')}/clip"))
        with pytest.raises(SourceUnavailableError, match=said) as error:
            source.open()
        source.release()
    assert "s3cret" not in str(error.value)
    assert "anna" not in str(error.value)
