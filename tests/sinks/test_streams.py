"""Streams, with real connections to the tests' own servers: what is sent, and what happens when a server is gone or
silent."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import SettingsError
from rvm_live.pipeline.fan_out import Fresh
from rvm_live.sinks.base import Surroundings
from rvm_live.sinks.stream import connection, muxed, stream
from rvm_live.sinks.stream.stream import StreamSink, bitrate_for
from rvm_live.sinks.stream.targets import target_of
from tests.support.claps import check_in_step, run_with_claps, sound_server
from tests.support.clock import FakeClock
from tests.support.pictures import BACKGROUND, CAMERA, make_composite
from tests.support.program import call
from tests.support.receiver import free_port, receiving
from tests.support.waiting import until

SECRET = "live_4711_secret"


def background(width: int, height: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def send(sink: StreamSink, pictures: int, first: int = 0, width: int = 320, height: int = 180) -> None:
    """Send thirty pictures a second, in real time."""
    for seq in range(first, first + pictures):
        sink.write(make_composite(width, height, seq=seq, captured_ns=SYSTEM_CLOCK.now_ns()))
        time.sleep(1 / 30)


def live(sink: StreamSink) -> bool:
    """Send until the server accepts the stream."""
    return until(lambda: (send(sink, 3), sink.state == "live")[1], 40)


def decoded(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="bgr24") for frame in file.decode(video=0)]


# What arrives ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["rtmp", "tcp", "udp"])
def test_every_picture_arrives_with_its_colours(scheme: str, tmp_path: Path) -> None:
    port = free_port(socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM)
    address = f"{scheme}://127.0.0.1:{port}" + ("/live/" + SECRET if scheme == "rtmp" else "")
    path = tmp_path / "received.mkv"
    sink = StreamSink(address, fps=30)
    heard = address + "?listen=1" if scheme == "tcp" else address
    with receiving(heard, path, listen=scheme == "rtmp") as server:
        sink.open()
        assert live(sink)
        send(sink, 45)
        sink.close(failed=False)
        server.wait(20)
    pictures = decoded(path)
    assert len(pictures) >= (46 if scheme != "udp" else 30)
    last = pictures[-1]
    assert last.shape == (180, 320, 3)
    assert np.abs(last[5, 5].astype(int) - BACKGROUND).max() <= 6, "the colours are those of BT.709, limited"
    assert np.abs(last[90, 160].astype(int) - (40, 200, 60)).max() <= 6


@pytest.mark.slow
def test_hls_is_a_playlist_and_its_segments_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "live here"
    sink = StreamSink(f"hls:{folder}", fps=30)
    sink.open()
    send(sink, 75)
    sink.close(failed=False)
    playlist = folder / "stream.m3u8"
    assert playlist.read_text().startswith("#EXTM3U")
    assert 60 <= len(decoded(playlist)) <= 75
    assert not list(folder.glob("*.tmp")), "nothing half-written"


def test_a_key_picture_comes_every_two_seconds_also_from_a_slow_camera(tmp_path: Path) -> None:
    sink = StreamSink(f"hls:{tmp_path}", fps=60)  # claims 60 fps, and gets 10
    sink.open()
    for seq in range(50):
        sink.write(make_composite(64, 48, seq=seq, captured_ns=10**9 + seq * 10**8))
    sink.close(failed=False)
    with av.open(str(tmp_path / "stream.m3u8")) as file:
        keys = [float(packet.pts * packet.time_base) for packet in file.demux(video=0) if packet.is_keyframe]
    assert [round(each - keys[0], 1) for each in keys] == [0.0, 2.0, 4.0]


def test_odd_sizes_alpha_and_a_size_that_changes(tmp_path: Path) -> None:
    sink = StreamSink(f"hls:{tmp_path}", fps=30)
    sink.open()
    for seq, (width, height, transparent) in enumerate([(161, 91, True)] * 5 + [(320, 180, False)] * 5):
        made = make_composite(width, height, seq=seq, captured_ns=10**9 + seq * 33_000_000, transparent=transparent)
        sink.write(made)
    sink.close(failed=False)
    pictures = decoded(tmp_path / "stream.m3u8")
    assert {each.shape for each in pictures} == {(92, 162, 3)}
    assert pictures[0][5, 5].max() < 12, "alpha is shown over black"
    assert np.abs(pictures[-1][20, 20].astype(int) - BACKGROUND).max() < 12


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[bytes]]:
    with pytest.MonkeyPatch.context() as patch, sound_server(patch) as started:
        yield started


@pytest.mark.slow
def test_sound_is_in_step_with_the_picture(server: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole program on a real sound server; a flash and a tone come at the same time."""
    port, path = free_port(), tmp_path / "received.mkv"
    with receiving(f"rtmp://127.0.0.1:{port}/live/key", path, listen=True) as receiver:
        run_with_claps(monkeypatch, streams=(f"rtmp://127.0.0.1:{port}/live/key",), duration=8)
        receiver.wait(20)
    check_in_step(path)


def test_whip_to_a_server_of_webrtc() -> None:
    """aiortc to aiortc, through HTTP as in RFC 9725: offer, answer, pictures, and the end of the session."""
    pytest.importorskip("aiortc")
    with WhipServer() as server:
        said: list[str] = []
        sink = StreamSink(f"whip+http://{SECRET}@127.0.0.1:{server.port}/whip", fps=30, bitrate=2_000_000)
        assert SECRET not in sink.label
        sink.meet(Surroundings(told=said.append))
        sink.open()
        assert said == [f"--stream-bitrate is not for {sink.label}: WebRTC chooses the rate itself"]
        assert until(lambda: (send(sink, 3), len(server.pictures) >= 10)[1], 40)
        assert sink.state == "live"
        sink.close(failed=False)
        assert until(lambda: server.deleted)
    assert server.token == f"Bearer {SECRET}"
    last = server.pictures[-1]
    assert last.shape == (180, 320, 3)
    assert np.abs(last[5, 5].astype(int) - BACKGROUND).max() < 30


class WhipServer:
    """Accepts one session."""

    def __init__(self) -> None:
        self.port = free_port()
        self.pictures: list[NDArray[np.uint8]] = []
        self.token, self.deleted = "", False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._ready = threading.Event()

    def __enter__(self) -> WhipServer:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        from aiohttp import web

        self._stop = asyncio.Event()
        self._peers: list[Any] = []
        app = web.Application()
        app.router.add_post("/whip", self._offer)
        app.router.add_delete("/session/1", self._delete)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        self._ready.set()
        await self._stop.wait()
        for peer in self._peers:
            await peer.close()
        await runner.cleanup()

    async def _offer(self, request: Any) -> Any:
        from aiohttp import web
        from aiortc import RTCPeerConnection, RTCSessionDescription

        self.token = request.headers["Authorization"]
        assert request.headers["Content-Type"] == "application/sdp"
        peer = RTCPeerConnection()
        self._peers.append(peer)
        peer.on("track", lambda track: asyncio.ensure_future(self._take(track)))
        await peer.setRemoteDescription(RTCSessionDescription(sdp=await request.text(), type="offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        return web.Response(
            text=peer.localDescription.sdp,
            status=201,
            content_type="application/sdp",
            headers={"Location": "/session/1"},
        )

    async def _delete(self, request: Any) -> Any:
        from aiohttp import web

        self.deleted = True
        return web.Response()

    async def _take(self, track: Any) -> None:
        from aiortc.mediastreams import MediaStreamError

        while track.kind == "video":
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            self.pictures.append(frame.to_ndarray(format="bgr24"))


# Failures -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_server_that_comes_back_is_found_again_and_both_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_BACK_OFF_S", (0.3,))
    port, said, news = free_port(), [], []
    address = f"tcp://127.0.0.1:{port}"
    sink = StreamSink(address, fps=30)
    sink.meet(Surroundings(told=said.append, news=news.append))
    sink.open()
    try:
        assert until(lambda: (send(sink, 3), said)[1])
        assert sink.state == "lost"
        assert len(said) == 1
        assert said[0].startswith(f"the stream to {address} cannot be started (")
        assert said[0].endswith("): trying again until it works")
        with receiving(address + "?listen=1", tmp_path / "one.mkv") as server:
            assert live(sink)
            assert news == [f"the stream to {address} is live again"]
            server.kill()
        assert until(lambda: (send(sink, 3), len(said) == 2)[1])
        assert said[1].startswith(f"the stream to {address} was lost (")
        with receiving(address + "?listen=1", tmp_path / "two.mkv"):
            assert live(sink)
            send(sink, 30)
            sink.close(failed=False)
    finally:
        sink.close(failed=False)
    assert len(news) == 2
    assert decoded(tmp_path / "two.mkv"), "the second connection begins with a whole picture"
    assert sink.dropped > 0
    assert sink.story.startswith(f"{address}, ")


@pytest.mark.slow
def test_a_server_that_never_answers_holds_up_nothing_but_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """While libav connects it holds Python's lock: in this process nothing else would run."""
    monkeypatch.setattr(muxed, "_STUCK_S", 1.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        said: list[str] = []
        sink = StreamSink(f"rtmp://127.0.0.1:{silent.getsockname()[1]}/live/{SECRET}", fps=30)
        sink.meet(Surroundings(told=said.append))
        sink.open()
        stamps = []
        ended = threading.Event()
        ticking = threading.Thread(target=lambda: [stamps.append(time.monotonic()) for _ in iter(
            lambda: ended.wait(0.02), True)])  # fmt: skip
        ticking.start()
        sending = threading.Thread(target=lambda: [send(sink, 5, width=640, height=360) for _ in iter(
            lambda: bool(said), True)])  # fmt: skip
        sending.start()
        assert until(lambda: said, 40)
        sending.join()
        ended.set()
        ticking.join()
        sink.close(failed=False)
    assert "the server has accepted nothing for 1 s" in said[0]
    assert SECRET not in said[0]
    assert len(stamps) > 20, "other threads went on"


def test_closing_does_not_wait_for_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_SILENT_END_S", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        sink = StreamSink(f"rtmp://127.0.0.1:{silent.getsockname()[1]}/live/x", fps=30)
        sink.open()
        link = (send(sink, 2), sink._way._connection)[1]  # type: ignore[union-attr]
        assert until(lambda: (send(sink, 2), link._connecting)[1])
        process = link._process
        began = time.monotonic()
        sink.close(failed=True)
        assert time.monotonic() - began < 10
        assert process.returncode is not None, "no program is left behind"


@pytest.mark.expects_errors
def test_the_key_is_told_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "rvm_live")
    port, told = free_port(), tmp_path / "stats.json"
    outcome = call(
        "--source", "demo", "--engine", "tests.support.engines:LeftHalfEngine", "--headless", "--frames", "20",
        "--width", "160", "--height", "90", "--report", "--stats-json", told, "--log-level", "debug",
        "--stream", f"rtmp://user:{SECRET}@127.0.0.1:{port}/live/{SECRET}",
    )  # fmt: skip
    assert outcome.code == 0
    assert f"rtmp://127.0.0.1:{port}, never live" in outcome.out
    assert SECRET not in outcome.out + outcome.err + caplog.text + told.read_text()


def test_the_key_is_not_among_the_arguments_of_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every user of a machine can read those."""
    monkeypatch.setattr(connection, "_END_S", 0.3)
    psutil = pytest.importorskip("psutil")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        sink = StreamSink(f"rtmp://127.0.0.1:{silent.getsockname()[1]}/live/{SECRET}", fps=30)
        sink.open()
        send(sink, 1)
        pid = sink._way._connection._process.pid  # type: ignore[union-attr]
        assert SECRET not in " ".join(psutil.Process(pid).cmdline())
        sink.close(failed=True)


# No frozen person -----------------------------------------------------------------------------------------------------


class Kept(muxed.MuxedWay):
    """Keeps what would be sent."""

    def __init__(self, *_: object, **__: object) -> None:
        self.pictures: list[NDArray[np.uint8]] = []

    live, gone, reason = True, False, ""  # type: ignore[assignment]

    def add(self, picture: NDArray[np.uint8], shot: Any) -> None:
        self.pictures.append(picture)

    def hear(self, until_ns: int) -> None:
        pass

    def close(self) -> None:
        pass


def test_what_stands_too_long_becomes_the_background_and_goes_on_being_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(muxed, "MuxedWay", Kept)
    clock = FakeClock()
    sink = StreamSink("udp://127.0.0.1:5004", fps=30, clock=clock)
    sink.meet(Surroundings(background))
    fresh = Fresh(sink, clock)
    sink.open()
    fresh.write(make_composite(seq=0))
    way = sink._way
    assert isinstance(way, Kept)
    for _ in range(60):
        clock.advance(0.05)
        fresh.idle()
    assert np.array_equal(way.pictures[-1], background(320, 180)), "nobody freezes in a stream"
    assert 4 <= len(way.pictures) <= 8, "and it is sent again, or the server would end it"
    assert not any((picture == CAMERA).all(2).any() for picture in way.pictures)
    sink.close(failed=False)


# Addresses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("", "is not an address"),
        ("me.mp4", "is not an address"),
        ("C:\\live", "is not an address"),
        ("rtmp://", "needs a host"),
        ("rtmp://host", "needs the application and stream key"),
        ("udp://host", "needs a port"),
        ("tcp://host:99999", "the port must be a number"),
        ("http://host/x", "cannot send http://"),
        (f"srt://host:5/{SECRET}", "ffmpeg -i udp://127.0.0.1:5004 -c copy -f mpegts srt://host:5"),
        ("rtsp://host/x", "cannot send"),
        ("hls:", "needs a folder"),
        ("hls:/dev/null/live", "cannot be used as a folder"),
    ],
)
def test_an_address_that_means_nothing_is_told_in_one_line(words: str, complaint: str) -> None:
    outcome = call("--source", "demo", "--headless", "--frames", "1", f"--stream={words}")
    assert outcome.code == 2
    assert complaint in outcome.complaint
    assert SECRET not in outcome.complaint


@pytest.mark.parametrize(
    ("words", "muxer", "label"),
    [
        (f"rtmps://a.example.org/app/{SECRET}", "flv", "rtmps://a.example.org"),
        ("udp://127.0.0.1:5004", "mpegts", "udp://127.0.0.1:5004"),
        ("whip+https://TOKEN@a.example.org/x?y", "whip", "whip+https://a.example.org"),
        ("RTMP://a.example.org:1936/app/key", "flv", "RTMP://a.example.org:1936"),
    ],
)
def test_what_addresses_mean(words: str, muxer: str, label: str) -> None:
    target = target_of(words)
    assert (target.muxer, target.label) == (muxer, label)
    assert SECRET not in repr(target)


def test_without_aiortc_whip_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"need aiortc, with Python 3\.11 or newer: .*whip"):
        StreamSink("whip+https://a.example.org/x")


def test_streams_are_live_alone() -> None:
    outcome = call("--source", "demo", "--no-realtime", "--headless", "--stream", "udp://127.0.0.1:5004")
    assert outcome.code == 2
    assert "leave out --no-realtime" in outcome.complaint


@pytest.mark.parametrize(
    ("size", "expected"), [((1280, 720), 2_764_800), ((160, 90), 600_000), ((3840, 2160), 9_000_000)]
)
def test_rates(size: tuple[int, int], expected: int) -> None:
    assert bitrate_for(*size, 30) == expected
