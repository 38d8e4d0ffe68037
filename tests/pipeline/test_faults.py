"""Injected faults: whatever fails, the viewer sees the background, and the run goes on or ends cleanly, with a
message."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rvm_live.backgrounds.color import ColorBackground
from rvm_live.compositing.composer import Composer
from rvm_live.core.errors import EndOfSource, EngineError, NoMemoryError, SourceUnavailableError
from rvm_live.core.frames import Composite, Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.engines.base import Engine, EngineInfo
from rvm_live.engines.failover import FailoverEngine
from rvm_live.engines.lite.engine import LiteEngine
from rvm_live.pipeline.pipeline import Pipeline
from rvm_live.sinks.base import Sink
from rvm_live.sinks.stale_timeout import StaleTimeout
from rvm_live.sources.camera.camera import Camera
from rvm_live.sources.factory import open_source
from rvm_live.sources.reconnecting import ReconnectingSource, same_camera
from tests.support import engines
from tests.support.clock import FakeClock
from tests.support.display import Display
from tests.support.engines import LeftHalfEngine, PassThroughEngine
from tests.support.mjpeg import MjpegServer
from tests.support.pictures import share_of
from tests.support.program import finish, start

ROOM = (200, 0, 200)
GREEN = (0, 255, 0)


@contextmanager
def reconnected(url: str, told: list[str] | None = None) -> Iterator[ReconnectingSource]:
    source = ReconnectingSource(SourceSettings(url), open_source, (told if told is not None else []).append)
    try:
        source.open()
        yield source
    finally:
        source.release()


def after_a_loss(source: ReconnectingSource, seconds: float = 12) -> float:
    """Read until the source was lost and is back; returns how long that took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if source.read().restarted:
            return time.monotonic() - began
    raise AssertionError("it did not come back")


# Cameras and streams, through the real cv2.VideoCapture


def test_a_stream_that_is_cut_comes_back() -> None:
    told: list[str] = []
    with MjpegServer() as serving, reconnected(serving.url, told) as source:
        for _ in range(5):
            assert not source.read().restarted
        for _ in range(2):
            serving.cut()
            assert after_a_loss(source) < 5
            assert source.trouble == ""
        assert source.lost == 2
        assert serving.clients >= 3
    assert "ended; trying again until it is back" in told[0]
    assert told[1].endswith("is back")


@pytest.mark.slow
def test_a_stream_that_stalls_comes_back_when_it_delivers_again() -> None:
    with MjpegServer() as serving, reconnected(serving.url) as source:
        source.read()
        serving.stall()
        threading.Timer(2.0, serving.resume).start()
        assert 1.5 < after_a_loss(source) < 12
        assert source.lost >= 1


def test_a_server_that_is_gone_and_started_again_on_its_port() -> None:
    with MjpegServer() as serving:
        port = int(serving.url.split(":")[2].split("/")[0])
        source = ReconnectingSource(SourceSettings(serving.url), open_source)
        source.open()
        source.read()
    found: list[float] = []
    reader = threading.Thread(target=lambda: found.append(after_a_loss(source)), name="reader")
    reader.start()
    wait_for(lambda: "trying again" in source.trouble)
    with MjpegServer(port=port):
        reader.join(15)
        assert found
        source.release()


def test_release_ends_the_search_at_once() -> None:
    with MjpegServer() as serving:
        source = ReconnectingSource(SourceSettings(serving.url), open_source)
        source.open()
        source.read()
    ended: list[type[BaseException]] = []

    def read() -> None:
        try:
            after_a_loss(source, 60)
        except EndOfSource as error:
            ended.append(type(error))

    reader = threading.Thread(target=read, name="reader")
    reader.start()
    wait_for(lambda: "trying again" in source.trouble)
    began = time.monotonic()
    source.release()
    reader.join(20)
    assert ended == [EndOfSource]
    assert time.monotonic() - began < 4


def test_what_cannot_be_opened_at_first_is_an_error() -> None:
    source = ReconnectingSource(SourceSettings("http://127.0.0.1:9/video"), open_source)
    with pytest.raises(SourceUnavailableError):
        source.open()
    source.release()


@pytest.mark.slow
def test_garbled_pictures_do_not_end_the_stream() -> None:
    with MjpegServer() as serving, reconnected(serving.url) as source:
        source.read()
        serving.garbled = True
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            assert source.read().image.shape == (240, 320, 3)
        serving.garbled = False
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            image = source.read().image
        assert image.shape == (240, 320, 3)


@pytest.mark.slow
def test_a_picture_that_never_changes_is_told_once() -> None:
    told: list[str] = []
    with MjpegServer(fps=60) as serving, reconnected(serving.url, told) as source:
        serving.frozen = True
        until = time.monotonic() + 30
        while not told and time.monotonic() < until:
            source.read()
        for _ in range(60):
            source.read()
    assert [text for text in told if "has shown the same picture for 5 s" in text] == told
    assert len(told) == 1


def test_a_camera_is_found_again_by_what_it_is_not_by_its_number() -> None:
    camera = Camera(0, "HD Webcam", "/dev/v4l/a")
    there = [
        Camera(0, "Other", "/dev/v4l/b"),
        Camera(1, "HD Webcam", "/dev/v4l/c"),
        Camera(2, "HD Webcam", "/dev/v4l/a"),
    ]
    assert same_camera(camera, there).index == 2
    assert same_camera(camera, there[:2]).index == 1
    assert same_camera(camera, there[:1]) == camera
    assert same_camera(Camera(3), there).index == 3


class Last(Sink):
    """Keeps the composites it is given."""

    def __init__(self) -> None:
        self.composites: list[Composite] = []

    def open(self) -> None:
        pass

    def write(self, composite: Composite) -> None:
        self.composites.append(composite)

    def close(self, *, failed: bool) -> None:
        pass


def green() -> Composer:
    return Composer([ColorBackground("#00ff00")], notices=Notices())


def cut_and_stop(pipeline: Pipeline, cut: Callable[[], None], sink: Last, wanted: Callable[[Composite], bool]) -> None:
    """Run until the source was cut and enough pictures have come out."""

    def act() -> None:
        wait_for(lambda: len(sink.composites) > 10, 30)
        cut()
        wait_for(lambda: bool(sink.composites) and wanted(sink.composites[-1]), 30)
        pipeline.stop("seen")

    acting = threading.Thread(target=act, name="acting")
    acting.start()
    pipeline.run(duration=60)
    acting.join()


def test_after_a_reconnect_the_state_is_new_and_nothing_is_lost_of_the_program() -> None:
    engine, sink, notices = LeftHalfEngine(), Last(), Notices()
    with MjpegServer(fps=60) as serving:
        source = ReconnectingSource(SourceSettings(serving.url), open_source, notices.again, tell_back=notices.news)
        pipeline = Pipeline(source, engine, green(), [sink], scene_reset=False, notices=notices)
        cut_and_stop(pipeline, serving.cut, sink, lambda composite: composite.epoch == 1)
    epochs = [composite.epoch for composite in sink.composites]
    assert source.lost == 1
    assert sorted(set(epochs)) == [0, 1]
    assert epochs == sorted(epochs)
    assert engine.calls.count("reset") == 2
    assert any("trying again" in text for text in notices.fallbacks)
    assert any(text.endswith("video is back") for text in notices.messages)
    assert not any(text.endswith("video is back") for text in notices.fallbacks), "which is as it was asked for"


def test_a_stream_that_changes_its_size_goes_on() -> None:
    engine, sink = PassThroughEngine(), Last()
    with MjpegServer(320, 240, fps=60) as serving:
        source = ReconnectingSource(SourceSettings(serving.url), open_source)
        pipeline = Pipeline(source, engine, green(), [sink])

        def change() -> None:
            serving.width, serving.height = 160, 120
            serving.cut()

        cut_and_stop(pipeline, change, sink, lambda composite: composite.image.shape[0] == 120)
    sizes = [composite.image.shape[:2] for composite in sink.composites]
    assert sizes[0] == (240, 320)
    assert sizes[-1] == (120, 160)


# Engines


def failover(
    kind: type[PassThroughEngine], *, settings: EngineSettings | None = None, clock: FakeClock | None = None
) -> tuple[FailoverEngine, Notices, list[Engine]]:
    made: list[Engine] = []
    notices = Notices()

    def make(asked: EngineSettings) -> Engine:
        engine: Engine = LiteEngine(asked) if asked.engine == "lite" else kind(asked)
        made.append(engine)
        return engine

    asked = settings or EngineSettings(engine="custom")
    engine = FailoverEngine(make, asked, notices, **({} if clock is None else {"clock": clock}))
    engine.open()
    engine.prepare(64, 48)
    return engine, notices, made


def frame(number: int) -> Frame:
    return Frame(np.full((48, 64, 3), 90, np.uint8), number, 0, number)


def test_an_engine_that_fails_once_gets_the_frame_again() -> None:
    engine, notices, made = failover(engines.FailsOnceEngine)
    mattes = [engine.matte(frame(number)) for number in range(12)]
    engine.close()
    assert [matte.frame.seq for matte in mattes] == list(range(12))
    assert len(made) == 1
    assert notices.fallbacks == ("matting failed once (the engine failed on purpose): continued with an empty state",)


def test_a_device_that_fails_at_a_reset_is_left_as_at_any_frame() -> None:
    """An error of work launched earlier shows up wherever the device is used next, at a cut for example."""

    class FailsAtReset(engines.LeftHalfEngine):
        def open(self) -> EngineInfo:
            self.broken = len(made) == 0
            return super().open()

        def reset(self) -> None:
            if self.broken and self.calls.count("matte") > 2:
                raise RuntimeError("CUDA error: unspecified launch failure")
            super().reset()

    made: list[Engine] = []
    engine, notices, made = failover(FailsAtReset)
    for number in range(6):
        if number in (0, 4):
            engine.reset()
        assert engine.matte(frame(number)).frame.seq == number
    engine.close()
    assert len(made) == 2
    assert made[1].calls.count("reset") == 1  # type: ignore[attr-defined]
    assert "continuing with the same engine, opened again" in notices.fallbacks[0]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (engines.NanEngine, "alpha contains NaN or infinite values"),
        (engines.WrongSizeEngine, "alpha has the shape (24, 32)"),
    ],
)
def test_nonsense_is_not_shown_and_the_engine_is_opened_anew(kind: type[PassThroughEngine], said: str) -> None:
    engine, notices, made = failover(kind)
    for number in range(9):
        alpha = engine.matte(frame(number)).host().alpha
        assert alpha.shape == (48, 64)
        assert alpha[:, :32].min() == 255
        assert alpha[:, 32:].max() == 0
    engine.close()
    assert len(made) == 2
    assert said in notices.fallbacks[0]
    assert notices.fallbacks[0].endswith("continuing with the same engine, opened again")


def test_with_auto_the_embedded_engine_stands_in_and_the_other_comes_back() -> None:
    clock = FakeClock()
    broken = [True]

    class Moody(LeftHalfEngine):
        def matte(self, frame: Frame) -> Matte:
            if broken[0]:
                raise EngineError("the driver is gone")
            return super().matte(frame)

    broken[0] = False
    engine, notices, made = failover(Moody, settings=EngineSettings(), clock=clock)
    engine.matte(frame(0))
    broken[0] = True
    matte = engine.matte(frame(1))
    assert matte.host().alpha.shape == (48, 64)
    assert isinstance(made[-1], LiteEngine)
    assert engine.info.engine == "lite"
    assert notices.fallbacks == ("matting failed (the driver is gone): continuing with the embedded engine lite",)
    for _ in range(2):  # not yet: it is tried on another thread, and fails
        clock.advance(31)
        engine.matte(frame(2))
        wait_for(lambda: engine._returning is None or engine._returning.done)
        engine.matte(frame(3))
        assert engine.info.engine == "lite"
    broken[0] = False
    clock.advance(31)
    engine.matte(frame(4))
    wait_for(lambda: engine._returning is not None and engine._returning.done)
    assert engine.matte(frame(5)).host().alpha[0, 0] == 255
    assert engine.info.engine == "pass-through"
    assert notices.messages[-1] == "matting is back on cpu with pass-through"
    assert not any("is back" in text for text in notices.fallbacks)
    engine.close()


def test_another_device_is_left_for_the_cpu() -> None:
    class OnGpu(LeftHalfEngine):
        def open(self) -> EngineInfo:
            super().open()
            device = "cpu" if self.settings.device == "cpu" else "cuda:0"
            self._info = EngineInfo("fake", "none", device, device, "fp32")
            return self._info

        def matte(self, frame: Frame) -> Matte:
            if self._info.device != "cpu":
                raise EngineError("CUDA error: an illegal memory access was encountered")
            return super().matte(frame)

    engine, notices, _ = failover(OnGpu)
    engine.matte(frame(0))
    engine.close()
    assert notices.fallbacks[0].endswith("an illegal memory access was encountered): continuing on the CPU")


def test_out_of_memory_means_a_smaller_ratio_then_the_cpu() -> None:
    """The old engine is closed before the next one is opened, which needs its memory."""
    held = [0]

    class Greedy(LeftHalfEngine):
        def open(self) -> EngineInfo:
            super().open()
            device = "cpu" if self.settings.device == "cpu" else "cuda:0"
            ratio = self.settings.downsample_ratio or 1.0
            self._info = EngineInfo("fake", "none", device, device, "fp32", ratio)
            if device != "cpu":
                held[0] += 1
                if held[0] > 1:
                    raise NoMemoryError("out of memory on cuda:0, for two at once")
            return self._info

        def prepare(self, width: int, height: int) -> None:
            pass

        def matte(self, frame: Frame) -> Matte:
            if self._info.device != "cpu" and self._info.downsample_ratio > limit[0]:
                raise NoMemoryError("out of memory on cuda:0")
            return super().matte(frame)

        def close(self) -> None:
            held[0] -= self._info.device != "cpu"
            super().close()

    limit = [1.0]
    engine, notices, _ = failover(Greedy)
    large = Frame(np.zeros((400, 512, 3), np.uint8), 0, 0, 0)
    engine.matte(large)
    limit[0] = 0.6
    assert engine.matte(large).host().alpha.shape == (400, 512)
    assert notices.fallbacks[-1] == "matting failed (out of memory on cuda:0): continuing at ratio 0.5"
    limit[0] = 0.0
    engine.matte(large)
    assert notices.fallbacks[-1] == "matting failed (out of memory on cuda:0): continuing on the CPU"
    assert held == [0]
    engine.close()


def test_what_fails_always_is_an_error_in_the_end() -> None:
    engine, _, made = failover(engines.AlwaysFailsEngine)
    with pytest.raises(EngineError, match="on purpose"):
        engine.matte(frame(0))
    engine.close()
    assert 2 <= len(made) <= 4
    assert all(isinstance(each, PassThroughEngine) and each.calls.count("close") == 1 for each in made)


def wait_for(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_a_stage_that_hangs_is_named() -> None:
    notices, stuck = Notices(), list[str]()
    with MjpegServer(fps=60) as serving:
        source = ReconnectingSource(SourceSettings(serving.url), open_source)
        pipeline = Pipeline(source, engines.HangingEngine(), green(), [Last()], notices=notices)

        def look() -> None:
            wait_for(lambda: bool(pipeline.stuck), 30)
            stuck.append(pipeline.stuck)
            wait_for(lambda: not pipeline.stuck, 30)
            pipeline.stop("seen")

        looking = threading.Thread(target=look, name="looking")
        looking.start()
        pipeline.run(duration=60)
        looking.join()
    assert stuck[0].startswith("matting has made no progress for ")
    assert "matting has made no progress for 2 s" in notices.fallbacks
    assert pipeline.stuck == "", "it went on afterwards"


# What the viewer sees


def test_nothing_stands_for_longer_than_half_a_second() -> None:
    clock = FakeClock()
    timeout = StaleTimeout(clock)
    assert not timeout.over
    for _ in range(10):
        timeout.shown()
        clock.advance(1 / 30)
        assert not timeout.over
    clock.advance(0.5)
    assert timeout.over
    assert not timeout.over, "told once"
    for _ in range(5):  # a source of two pictures a second
        timeout.shown()
        clock.advance(0.5)
        assert not timeout.over
    clock.advance(1.1)
    assert timeout.over
    timeout.shown()
    clock.advance(3.0)
    timeout.shown()
    clock.advance(3.01)
    assert timeout.over, "three seconds at most, however slow the source"


def share(picture: NDArray[np.uint8], colour: tuple[int, int, int], tolerance: int = 40) -> float:
    return share_of(picture, colour, tolerance)


def test_in_the_window_a_person_does_not_freeze_and_the_room_is_never_seen(display: Display) -> None:
    """While a stream stalls, is cut, is garbled and comes back, every screenshot shows the background, or a person in
    front of it."""
    with MjpegServer(640, 360, fps=30) as serving:
        serving.room = ROOM
        options = ["--engine", "tests.support.engines:LeftHalfEngine", "--no-stats", "--background", "color:#00ff00"]
        with start("--source", serving.url, *options, env=display.env) as process:
            display.wait_for(lambda p: 0.3 < share(p, GREEN) < 0.7)
            for fault in (serving.stall, serving.cut, lambda: setattr(serving, "garbled", True)):
                fault()
                seen: list[float] = []
                alone = fault != serving.stall
                while len(seen) < 15 or (not alone and len(seen) < 300):  # slow on a busy machine
                    picture = display.screenshot("rvm-live")
                    # What remains of a garbled picture may have any colour where the engine finds a person.
                    assert share(picture[:, picture.shape[1] // 2 + 10 :], ROOM) == 0
                    seen.append(share(picture, GREEN))
                    alone = alone or seen[-1] > 0.8
                    time.sleep(0.05)
                assert alone, "the background alone, half a second after the last frame"
                serving.resume()
                serving.garbled = False
                display.wait_for(lambda p: 0.3 < share(p, GREEN) < 0.7)
            display.key("q")
            done = finish(process)
    assert done.code == 0, done.err
    assert "trying again until it is back" in done.err


@pytest.mark.slow
def test_headless_it_says_what_happened_and_goes_on(tmp_path: Path) -> None:
    recording = tmp_path / "out.mp4"
    with MjpegServer(320, 240, fps=30) as serving:
        options = [
            "--engine",
            "tests.support.engines:FailsOnceEngine",
            "--headless",
            "--duration",
            "5",
            "--record",
            recording,
        ]
        with start("--source", serving.url, *options) as process:
            wait_for(lambda: serving.clients > 0, 30)
            time.sleep(1.5)
            serving.cut()
            done = finish(process)
    assert done.code == 0, done.err
    assert "continued with an empty state" in done.err
    assert "is back" in done.err
    assert recording.exists()
