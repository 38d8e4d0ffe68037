"""Another camera or a stream as the background: real streams, cameras without a driver, losses, refusals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rvm_live.apps.batch.run import run as run_batch
from rvm_live.apps.batch.settings import BatchSettings
from rvm_live.apps.live import run
from rvm_live.apps.live_controls import _background, _Cameras
from rvm_live.apps.preflight import refuse_live
from rvm_live.backgrounds.base import Plate
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.backgrounds.cycle import PLAIN
from rvm_live.backgrounds.live import LiveBackground
from rvm_live.backgrounds.parse import parse
from rvm_live.compositing.composer import Composer
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import BackgroundError, SettingsError
from rvm_live.core.notices import Notices
from rvm_live.core.settings import EngineSettings, LiveSettings, SourceSettings
from rvm_live.sources.camera import camera
from rvm_live.sources.factory import open_source
from rvm_live.sources.switched import SwitchedSource
from tests.support.capture import FakeDevice
from tests.support.clock import FakeClock
from tests.support.mjpeg import MjpegServer
from tests.support.waiting import until

SIZE = (64, 48)
PLAIN_PICTURE = ColorBackground(PLAIN).layer(*SIZE, 0).image
ROOM = (40, 200, 90)


def wait_for(true: Callable[[], object], seconds: float = 20.0) -> None:
    assert until(true, seconds)


def seen(background: LiveBackground) -> np.ndarray:
    layer = background.layer(*SIZE, SYSTEM_CLOCK.now_ns())
    assert isinstance(layer, Plate) and layer.image.shape == (SIZE[1], SIZE[0], 3)
    return layer.image


def plain(background: LiveBackground) -> bool:
    return bool((seen(background) == PLAIN_PICTURE).all())


def shows_room(background: LiveBackground) -> bool:
    return bool(np.abs(seen(background)[:, -10:].astype(int) - ROOM).max() < 30)


def opened(background: LiveBackground) -> LiveBackground:
    background.notices = Notices()
    background.open()
    return background


@pytest.fixture
def server() -> Iterator[MjpegServer]:
    with MjpegServer() as serving:
        serving.room = ROOM
        yield serving


@pytest.fixture
def cameras(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeDevice]:
    devices = {"Front Cam": FakeDevice(index=0), "Side Cam": FakeDevice(index=2)}
    FakeDevice.plug_in_all(monkeypatch, devices)
    monkeypatch.setattr("rvm_live.backgrounds.live.list_cameras", camera.list_cameras)
    return devices


def test_a_stream_is_lost_after_half_a_second_told_found_again_and_told() -> None:
    with MjpegServer() as serving:
        serving.room = ROOM
        port = int(serving.url.split(":")[2].split("/")[0])
        [background] = parse(serving.url)
        assert isinstance(background, LiveBackground)
        opened(background)
        assert background.notices is not None
        try:
            assert plain(background)  # compositing does not wait
            wait_for(lambda: shows_room(background))
            assert background.notices.messages == ()
        except BaseException:
            background.close()
            raise
    try:
        wait_for(lambda: plain(background), 10)
        wait_for(lambda: any("trying again until it is back" in each for each in background.notices.fallbacks), 10)
        assert background.notices.fallbacks[-1].startswith("background: stream http://")
        with MjpegServer(port=port) as serving:
            serving.room = ROOM
            wait_for(lambda: shows_room(background), 15)
            wait_for(lambda: background.notices.messages[-1].endswith("is back"), 5)
    finally:
        background.close()


def test_the_last_picture_stands_for_half_a_second_and_no_longer(server: MjpegServer) -> None:
    background = opened(LiveBackground(server.url))
    try:
        wait_for(lambda: shows_room(background))
        server.stall()
        wait_for(lambda: background._feed is not None and len(background._feed._worker.queue) == 0)
        now_ns = SYSTEM_CLOCK.now_ns()
        background._taken_ns, background._longest_ns = now_ns, 500_000_000
        layers = [background.layer(*SIZE, now_ns + passed * 1_000_000) for passed in (0, 400, 500, 501, 600)]
        gone = [bool((each.image == PLAIN_PICTURE).all()) for each in layers]
        assert gone == [False, False, False, True, True]
    finally:
        background.close()


def test_pictures_that_nobody_took_are_dropped(server: MjpegServer) -> None:
    server.fps = 100
    background = opened(LiveBackground(server.url))
    try:
        wait_for(lambda: shows_room(background))
        assert background._feed is not None
        queue = background._feed._worker.queue
        before = queue.dropped
        wait_for(lambda: queue.dropped > before + 5)
        assert len(queue) <= 1
    finally:
        background.close()


def test_another_size_is_shown_at_once(server: MjpegServer) -> None:
    background = opened(LiveBackground(server.url, "stretch"))
    try:
        wait_for(lambda: shows_room(background))
        server.stall()
        layer = background.layer(100, 80, background._taken_ns)
        assert layer.image.shape == (80, 100, 3) and layer.image[40, 90].max() > 150
    finally:
        background.close()


def test_what_is_not_shown_frees_the_device_and_comes_again(cameras: dict[str, FakeDevice]) -> None:
    clock = FakeClock()
    background = LiveBackground("Side", camera=True, clock=clock, make=lambda settings, _: open_source(settings))
    opened(background)
    device = cameras["Side Cam"]
    try:
        assert not device.held  # until it is asked for
        wait_for(lambda: not plain(background))
        assert device.held and not cameras["Front Cam"].held
        clock.advance(6)
        wait_for(lambda: not device.held)
        wait_for(lambda: len(background._feed._worker.queue) == 0)  # type: ignore[union-attr]
        wait_for(lambda: not plain(background) and device.held)
        assert device.opened == 2
    finally:
        background.close()
    assert not device.held


def test_a_camera_that_is_not_there_yet_is_waited_for(
    cameras: dict[str, FakeDevice], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = cameras["Side Cam"]
    device.index = 99
    background = opened(LiveBackground("2", camera=True))
    assert background.notices is not None
    try:
        wait_for(lambda: plain(background) and bool(background.notices.messages))
        assert "waiting for it" in background.notices.messages[0]
        device.index = 2
        wait_for(lambda: not plain(background), 10)
        wait_for(lambda: background.notices.messages[-1] == "background: camera 2 (Side Cam) is available", 5)
    finally:
        background.close()


def test_leaving_does_not_wait_for_what_never_answers() -> None:
    with MjpegServer() as serving:
        serving.delay_s = 30
        background = opened(LiveBackground(serving.url))
        assert plain(background)
        wait_for(lambda: serving.clients == 1)
        background.close()
        wait_for(lambda: not any(each.name == "rvm-background" for each in threading.enumerate()))


def test_what_can_be_written(cameras: dict[str, FakeDevice], tmp_path: Path) -> None:
    for spec, label, fit in (
        ("camera:2", "camera 2 (Side Cam)", "cover"),
        ("Camera:side", "camera 2 (Side Cam)", "cover"),
        ("camera:0?fit=contain", "camera 0 (Front Cam)", "contain"),
        ("rtsp://me:secret@desk.local/1?fit=stretch", "stream rtsp://desk.local/1", "stretch"),
        ("http://desk.local/video?x=1", "stream http://desk.local/video?x=1", "cover"),
    ):
        [found] = parse(spec)
        assert isinstance(found, LiveBackground)
        assert (found.label, found.fit) == (label, fit)
    [found] = parse("camera:side?fit=contain")
    assert isinstance(found, LiveBackground) and found.words == "camera:Side Cam?fit=contain"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("camera:", "does not name a camera: write camera:1 or camera:NAME"),
        ("camera:Attic", "there is no camera 'Attic': this machine has camera 0 .*Side Cam"),
        ("camera:0?fit=zoom", "unknown fit 'zoom'"),
        ("image:http://desk.local/a.png", "takes a file, not an address: save http://desk.local/a.png as a file"),
        ("http://", "the address 'http://' has no host"),
    ],
)
def test_what_cannot_be_meant(spec: str, words: str, cameras: dict[str, FakeDevice]) -> None:
    with pytest.raises((SettingsError, BackgroundError), match=words) as caught:
        parse(spec)
    assert "\n" not in str(caught.value)


def test_what_films_the_person_is_no_background(cameras: dict[str, FakeDevice]) -> None:
    front, side = parse("camera:0") + parse("camera:side")
    for source in ("auto", "0", "Front Cam", "front"):
        with pytest.raises(
            SettingsError, match=r"^camera 0 \(Front Cam\) is the camera that films you: name another camera"
        ):
            refuse_live([side, front], SourceSettings(source))
        refuse_live([side, ColorBackground("red")], SourceSettings(source))
    refuse_live([front], SourceSettings("2"))
    refuse_live([front], SourceSettings("demo"))
    refuse_live([front], SourceSettings("nothing-of-the-kind.mp4"))
    stream = parse("http://desk.local/video")
    with pytest.raises(SettingsError, match="is the camera that films you"):
        refuse_live(stream, SourceSettings("http://desk.local/video"))
    refuse_live(stream, SourceSettings("http://desk.local/other"))
    with pytest.raises(SettingsError, match="the camera that films you"):
        run(LiveSettings(source=SourceSettings("0"), engine=EngineSettings("chroma"), backgrounds=("camera:0",)))


def test_neither_is_a_background_or_a_camera_that_is_changed_to(cameras: dict[str, FakeDevice]) -> None:
    composer = Composer([ColorBackground("red")])
    source = SwitchedSource(SourceSettings("0"), open_source)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="is the camera that films you"):
        _background(composer, "camera:0", source.settings)
    [side] = _background(composer, "camera:2", source.settings)
    assert isinstance(side, LiveBackground)
    choice = _Cameras(source, lambda: None, composer)
    assert choice.check("Side Cam") == "Side Cam"
    composer.add_background(side)
    with pytest.raises(SettingsError, match=r"camera 2 \(Side Cam\) is used as a background: name another camera"):
        choice.check("Side Cam")
    assert choice.check("Front Cam") == "Front Cam"


def test_films_have_none(tmp_path: Path, cameras: dict[str, FakeDevice]) -> None:
    with pytest.raises(SettingsError, match="--no-realtime is for files, but the background camera 0"):
        refuse_live(parse("camera:0"), SourceSettings("film.mp4", realtime=False))
    background = LiveBackground("0", camera=True)
    background.exact = True
    with pytest.raises(BackgroundError, match="is live, but files need a background that can be repeated"):
        background.open()
    (tmp_path / "film.mp4").write_bytes(b"never looked into")
    with pytest.raises(SettingsError, match="is live"):
        run_batch(BatchSettings(inputs=(str(tmp_path / "film.mp4"),), background="camera:0"))
