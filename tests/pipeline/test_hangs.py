"""Devices, models and displays that are slow or never return: nothing waits for them longer than a person would."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from rvm_live.backgrounds.color import ColorBackground
from rvm_live.compositing.composer import Composer
from rvm_live.core.errors import EndOfSource, SourceUnavailableError, WeightsError
from rvm_live.core.frames import Composite, Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.settings import SourceSettings
from rvm_live.engines.base import EngineInfo
from rvm_live.pipeline.pipeline import Pipeline
from rvm_live.pipeline.watchdog import GRACE_S
from rvm_live.sinks.base import Sink
from rvm_live.sources.base import Grab, Source, SourceInfo
from rvm_live.sources.camera.camera import CameraSource
from rvm_live.sources.driver_thread import DriverThread
from rvm_live.sources.factory import open_source
from rvm_live.sources.reconnecting import ReconnectingSource
from rvm_live.system.signals import TOGETHER_S
from tests.pipeline.test_faults import share, wait_for
from tests.support.capture import FakeDevice
from tests.support.display import Display, open_display
from tests.support.engines import LeftHalfEngine
from tests.support.mjpeg import MjpegServer
from tests.support.program import finish, start
from tests.support.sources import FailingSource, PatternSource

GREEN = (0, 255, 0)


def green() -> Composer:
    return Composer([ColorBackground("#00ff00")], notices=Notices())


class Hanging:
    """A call that does not return until it is let go."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.entered = threading.Event()

    def __call__(self, *_: Any, **__: Any) -> bool:
        self.entered.set()
        self.free.wait(60)
        return False


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.free.set()


# Calls that may never return


def test_a_call_into_a_driver_is_made_elsewhere_and_its_result_and_error_come_back() -> None:
    driver = DriverThread("test")
    assert driver.call(threading.current_thread, lambda: None, 5).name == "rvm-test"
    with pytest.raises(ZeroDivisionError):
        driver.call(lambda: 1 // 0, lambda: None, 5)
    driver.end()


def test_a_call_into_a_driver_is_given_up_and_so_is_the_next_while_it_hangs(hanging: Hanging) -> None:
    driver = DriverThread("test")
    with pytest.raises(TimeoutError, match=r"no answer in 0\.2 s"):
        driver.call(hanging, lambda: None, 0.2)
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="earlier call"):
        driver.call(lambda: 1, lambda: None, 5)
    assert time.monotonic() - began < 2
    hanging.free.set()
    wait_for(lambda: driver._last is not None and driver._last.done())
    assert driver.call(lambda: 1, lambda: None, 5) == 1
    driver.end()


# Cameras


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    made = FakeDevice()
    FakeDevice.plug_in(monkeypatch, made)
    return made


def released_within(source: Source, act: Callable[[], object], entered: threading.Event, seconds: float) -> None:
    """``act`` hangs; a release from another thread ends it."""
    ended: list[type[BaseException]] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:
            ended.append(type(error))

    thread = threading.Thread(target=run, name="caller")
    thread.start()
    assert entered.wait(30)
    began = time.monotonic()
    source.release()
    thread.join(10)
    assert ended == [EndOfSource]
    assert time.monotonic() - began < seconds


def test_a_camera_that_takes_for_ever_to_open_can_be_left(
    device: FakeDevice, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.capture._FakeCapture.open", hanging)
    source = CameraSource(SourceSettings("0"))
    released_within(source, source.open, hanging.entered, 3)


def test_a_camera_that_does_not_open_is_an_error_in_the_end(
    device: FakeDevice, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.capture._FakeCapture.open", hanging)
    monkeypatch.setattr("rvm_live.sources.camera.capture.OPEN_LIMIT_S", 0.3)
    source = CameraSource(SourceSettings("0"))
    with pytest.raises(SourceUnavailableError, match="did not open in"):
        source.open()
    source.release()


def test_a_camera_that_opens_and_never_delivers_is_an_error(
    device: FakeDevice, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.capture._FakeCapture.grab", hanging)
    monkeypatch.setattr("rvm_live.sources.camera.capture.SILENT_S", 0.3)
    monkeypatch.setattr("rvm_live.sources.camera.camera._FIRST_FRAME_S", 1.0)
    source = CameraSource(SourceSettings("0"))
    with pytest.raises(SourceUnavailableError, match="delivered no picture"):
        source.open()
    source.release()


def test_a_camera_whose_driver_sleeps_is_lost_and_comes_back(
    device: FakeDevice, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's thread is abandoned where it is; a new thread opens the camera again."""
    monkeypatch.setattr("rvm_live.sources.camera.capture.SILENT_S", 0.3)
    told: list[str] = []
    source = ReconnectingSource(SourceSettings("0"), open_source, told.append)
    source.open()
    source.read()
    with monkeypatch.context() as patch:
        patch.setattr("tests.support.capture._FakeCapture.grab", hanging)
        patch.setattr("rvm_live.sources.reconnecting._WAITS_S", (0.1,))
        reading: list[Grab] = []
        thread = threading.Thread(target=lambda: reading.append(source.read()), name="reader")
        thread.start()
        wait_for(lambda: source.lost == 1)
        assert "stopped delivering" in source.trouble
        patch.undo()
        device.held = False  # as a driver does when its handle is closed; this one still sleeps
        thread.join(10)
    assert reading[0].restarted
    assert told[-1] == "camera 0 (Fake Cam) is back"
    source.release()


def test_odd_pictures_of_a_camera_are_passed_over_or_taken_as_they_are(
    device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty pictures and missing ones; a grey one, and one of another size, in the middle of the stream."""
    source = ReconnectingSource(SourceSettings("0"), open_source)
    source.open()
    usual = source.read().image.shape
    odd: list[tuple[bool, Any]] = [
        (True, None),
        (True, np.empty((0, 0, 3), np.uint8)),
        (True, np.full((48, 64), 90, np.uint8)),
        (False, None),
        (False, None),
        (True, np.full((24, 32, 3), 90, np.uint8)),
    ]
    with monkeypatch.context() as patch:
        patch.setattr("tests.support.capture._FakeCapture.retrieve", lambda self: odd.pop(0))
        assert source.read().image.shape == (48, 64, 3)
        assert source.read().image.shape == (24, 32, 3)
    assert source.read().image.shape == usual
    assert source.lost == 0
    source.release()


def test_a_camera_taken_by_another_program_says_so(device: FakeDevice) -> None:
    device.held = True
    source = CameraSource(SourceSettings("0"))
    with pytest.raises(SourceUnavailableError, match="used by another program"):
        source.open()
    source.release()


# Streams, through the real cv2.VideoCapture


def test_a_stream_that_accepts_and_sends_nothing_can_be_left() -> None:
    with MjpegServer() as serving:
        serving.silent = True
        source = open_source(SourceSettings(serving.url))
        entered = threading.Event()
        threading.Thread(target=lambda: (wait_for(lambda: serving.clients > 0), entered.set()), name="watch").start()
        released_within(source, source.open, entered, 3)


@pytest.mark.slow
def test_a_stream_that_never_delivers_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rvm_live.sources.stream.OPEN_TIMEOUT_MS", 2000)
    with MjpegServer() as serving:
        serving.silent = True
        source = open_source(SourceSettings(serving.url))
        with pytest.raises(SourceUnavailableError):
            source.open()
        source.release()


@pytest.mark.slow
def test_a_host_that_does_not_answer_is_told_within_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    def silence(*_: object, timeout: float, **__: object) -> object:
        time.sleep(timeout)
        raise TimeoutError("timed out")

    monkeypatch.setattr("rvm_live.sources.stream.socket.create_connection", silence)
    with MjpegServer() as serving:
        serving.delay_s = 30
        source = open_source(SourceSettings(serving.url))
        began = time.monotonic()
        with pytest.raises(SourceUnavailableError, match="that a server runs there"):
            source.open()
        assert time.monotonic() - began < 10
        source.release()


def test_a_source_that_is_not_there_yet_is_waited_for_where_that_is_wanted() -> None:
    with MjpegServer() as serving:
        port = int(serving.url.split(":")[2].split("/")[0])
    told: list[str] = []
    url = f"http://127.0.0.1:{port}/video"
    source = ReconnectingSource(SourceSettings(url, wait=True), open_source, told.append)
    opened: list[SourceInfo] = []
    thread = threading.Thread(target=lambda: opened.append(source.open()), name="opener")
    thread.start()
    wait_for(lambda: "waiting for it" in source.trouble)
    with MjpegServer(port=port):
        thread.join(15)
        assert opened[0].kind == "url"
        assert source.trouble == ""
        assert not source.read().restarted
        source.release()
    assert told[0].endswith("waiting for it")


# Stages that hang


class Stuck(LeftHalfEngine):
    """Does not return from frame 5 on until it is let go."""

    free = threading.Event()

    def matte(self, frame: Frame) -> Matte:
        if frame.seq >= 5:
            self.free.wait(60)
        return super().matte(frame)


class Keeps(Sink):
    runs_on = "run"

    def __init__(self, delay_s: float = 0.0) -> None:
        self.composites: list[Composite] = []
        self.closed: bool | None = None
        self._delay_s = delay_s

    def open(self) -> None:
        pass

    def write(self, composite: Composite) -> None:
        time.sleep(self._delay_s)
        self.composites.append(composite)

    def close(self, *, failed: bool) -> None:
        self.closed = failed


def test_a_stage_that_never_ends_is_left_and_named_after_everything_else_is_closed() -> None:
    Stuck.free = threading.Event()
    sink, notices = Keeps(), Notices()
    source = PatternSource(frames=10_000, fps=60)
    pipeline = Pipeline(source, Stuck(), green(), [sink], notices=notices)
    began = time.monotonic()
    pipeline.run(duration=0.3)
    took = time.monotonic() - began
    try:
        assert pipeline.left == ("matting",)
        assert "matting did not end within 2 s; its thread was left running" in notices.fallbacks
        assert took < 0.3 + GRACE_S + 5
        assert sink.closed is False
    finally:
        Stuck.free.set()


SLOW_TO_OPEN = "tests.support.engines:SlowToOpenEngine"
STUCK_ENGINE = "tests.support.engines:NeverReturnsEngine"


@pytest.mark.slow
@pytest.mark.parametrize("signals", [1, 2])
def test_a_program_with_a_hung_model_ends_with_its_files_finished(tmp_path: Path, signals: int) -> None:
    """One signal: an orderly end within about two seconds. A second one: an end at once."""
    recording = tmp_path / "out.mov"  # its encoder buffers nothing
    options = ["--source", "demo", "--width", "320", "--height", "240", "--headless", "--engine", STUCK_ENGINE]
    with start(*options, "--record", recording) as process:
        part = tmp_path / ".out.part.mov"
        wait_for(part.exists, 30)
        time.sleep(1.0)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        if signals == 2:
            time.sleep(TOGETHER_S + 0.7)
            process.send_signal(signal.SIGINT)
        done = finish(process)
        took = time.monotonic() - began
    if signals == 2:
        assert done.code == -signal.SIGINT
        assert took < 10
        return
    assert done.code == 130, done.err
    assert "matting did not end within 2 s" in done.err
    assert took < 20, "and not for ever"
    with av.open(str(recording)) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 4


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no such signal here")
def test_a_closed_terminal_ends_the_run_in_good_order(tmp_path: Path) -> None:
    recording = tmp_path / "out.mp4"
    options = ["--source", "demo", "--width", "320", "--height", "240", "--headless"]
    with start(*options, "--engine", "tests.support.engines:LeftHalfEngine", "--record", recording) as process:
        wait_for((tmp_path / ".out.part.mp4").exists, 30)
        process.send_signal(signal.SIGHUP)
        done = finish(process)
    assert done.code == 129, done.err
    assert recording.exists()


# A start that fails while another part still loads


class Loading(LeftHalfEngine):
    """Does not return from opening until it is let go."""

    def __init__(self, hanging: Hanging) -> None:
        super().__init__()
        self._hanging = hanging

    def open(self) -> EngineInfo:
        self._hanging()
        return super().open()


class LateToOpen(PatternSource):
    """Does not return from opening until it is let go, whether released or not."""

    def __init__(self, hanging: Hanging) -> None:
        super().__init__(fps=60)
        self._hanging = hanging

    def open(self) -> SourceInfo:
        self._hanging()
        return super().open()


class Unreadable(LeftHalfEngine):
    def open(self) -> EngineInfo:
        raise WeightsError("the weights are none")


@pytest.mark.parametrize("which", ["source", "engine"])
def test_where_a_start_fails_what_still_loads_is_not_named(
    hanging: Hanging, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left to end by itself; only the reason is reported."""
    monkeypatch.setattr("rvm_live.pipeline.watchdog.GRACE_S", 0.3)
    notices = Notices()
    if which == "source":
        wrong = FailingSource(open_error=SourceUnavailableError("there is no camera 7"))
        pipeline = Pipeline(wrong, Loading(hanging), green(), [Keeps()], notices=notices)
    else:
        pipeline = Pipeline(LateToOpen(hanging), Unreadable(), green(), [Keeps()], notices=notices)
    with pytest.raises((SourceUnavailableError, WeightsError)) as caught:
        pipeline.run()
    assert ("camera 7" if which == "source" else "none") in str(caught.value)
    assert pipeline.left == (("matting",) if which == "source" else ("capture",))
    assert notices.fallbacks == ()
    hanging.free.set()
    wait_for(lambda: not any(stage._thread.is_alive() for stage in pipeline._stages))


@pytest.mark.slow
def test_a_wrong_source_is_one_line_however_long_the_engine_loads() -> None:
    with start("--source", "/no/such/clip.mp4", "--headless", "--engine", SLOW_TO_OPEN) as process:
        done = finish(process, 60)
    assert done.code == 2
    assert "/no/such/clip.mp4" in done.complaint
    with start("--source", "http://127.0.0.1:9/video", "--headless", "--engine", SLOW_TO_OPEN) as process:
        done = finish(process, 60)
    assert done.code == 2
    assert "127.0.0.1:9" in done.complaint


# Displays


def test_a_slow_display_holds_up_nobody() -> None:
    """A quarter of a second per picture: matting continues at the source's rate, and the oldest pictures are
    dropped."""
    engine, sink = LeftHalfEngine(), Keeps(0.25)
    source = PatternSource(frames=10_000, fps=60, live=True)
    pipeline = Pipeline(source, engine, green(), [sink])
    snapshot = pipeline.run(duration=1.5)
    assert 3 <= len(sink.composites) <= 8
    matted = sum(call == "matte" for call in engine.calls)
    assert matted > 5 * len(sink.composites)
    assert snapshot.dropped["composed"] > 4 * len(sink.composites)
    waits = [each.stamps.compositing_finished_ns - each.stamps.captured_ns for each in sink.composites]
    assert max(waits) < 1e9, "what is shown was not held up before it"


@pytest.fixture
def display() -> Iterator[Display]:
    with open_display() as opened:
        yield opened


@pytest.mark.slow
def test_the_window_is_up_while_a_camera_opens_and_takes_keys(display: Display) -> None:
    with MjpegServer(640, 360) as serving:
        serving.delay_s = 4
        options = ["--engine", "tests.support.engines:LeftHalfEngine", "--background", "color:#00ff00"]
        with start("--source", serving.url, *options, env=display.env) as process:
            display.window()
            assert serving.answered == 0
            plain = display.wait_for(lambda p: share(p, GREEN) > 0.8)
            assert share(plain, (255, 255, 255)) > 0.0005, "a word on the screen"
            display.wait_for(lambda p: 0.3 < share(p, GREEN) < 0.7, timeout=30)
            assert 0.3 < share(display.screenshot("rvm-live"), GREEN) < 0.7
            display.key("q")
            assert finish(process).code == 0


@pytest.mark.slow
def test_while_a_camera_opens_it_is_the_users_background_that_is_seen(display: Display, tmp_path: Path) -> None:
    picture = np.zeros((90, 160, 3), np.uint8)
    picture[:] = (40, 160, 220)
    cv2.imwrite(str(tmp_path / "b.png"), picture)
    with MjpegServer(640, 360) as serving:
        serving.delay_s = 60
        with start("--source", serving.url, "--background", tmp_path / "b.png", env=display.env) as process:
            seen = display.wait_for(lambda p: share(p, (40, 160, 220)) > 0.8, timeout=40)
            assert share(seen, (40, 160, 220)) > 0.8
            display.key("q")
            assert finish(process).code == 0


@pytest.mark.slow
def test_a_source_that_says_itself_what_is_wrong_is_not_named_as_stuck_besides() -> None:
    notices = Notices()
    with MjpegServer(fps=60) as serving:
        source = ReconnectingSource(SourceSettings(serving.url), open_source, notices.again)
        pipeline = Pipeline(source, LeftHalfEngine(), green(), [Keeps()], notices=notices)
        threading.Timer(1.0, serving.stall).start()
        pipeline.run(duration=6)
    assert any("stalled" in text for text in notices.fallbacks)
    assert not any("no progress" in text for text in notices.fallbacks)


def test_the_program_can_be_left_while_a_camera_opens(display: Display) -> None:
    with MjpegServer(640, 360) as serving:
        serving.delay_s = 25
        with start("--source", serving.url, "--engine", STUCK_ENGINE, env=display.env) as process:
            display.window()
            wait_for(lambda: serving.clients > 0)
            began = time.monotonic()
            display.key("q")
            done = finish(process)
            assert time.monotonic() - began < 20
    assert done.code == 0, done.err


@pytest.mark.slow
def test_when_the_display_goes_away_the_recording_is_finished(tmp_path: Path) -> None:
    recording = tmp_path / "out.mp4"
    options = ["--source", "demo", "--engine", "tests.support.engines:LeftHalfEngine", "--record", recording]
    with open_display() as display, start(*options, env=display.env) as process:
        wait_for((tmp_path / ".out.part.mp4").exists, 30)
        time.sleep(0.5)
        display.die()
        done = finish(process)
    assert done.code == 2
    assert "the display was closed" in done.err.splitlines()[-1]
    assert str(recording) in done.err.splitlines()[-1]
    with av.open(str(recording)) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 10
    assert os.listdir(tmp_path) == ["out.mp4"]
