"""The virtual camera of a whole run: when it works, what it shows, and what it costs while nobody uses it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvm_live.apps import live_camera
from rvm_live.apps.live_camera import OnDemand, camera_size
from rvm_live.apps.preflight import without_display
from rvm_live.core.settings import LiveSettings, SourceSettings
from rvm_live.sinks.recording.recording_switch import RecordingSwitch
from rvm_live.sources.base import Grab, Source, SourceInfo
from rvm_live.sources.switched import SwitchedSource
from tests.apps.test_live_controls import running
from tests.support.cameras import KeptCamera
from tests.support.clock import FakeClock
from tests.support.pictures import make_composite
from tests.support.waiting import until

GREEN = (0, 255, 0)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> KeptCamera:
    """The device that ``--virtual-camera`` opens."""
    device = KeptCamera()
    monkeypatch.setattr("rvm_live.sinks.camera.sink.devices_for", lambda words: [device])
    monkeypatch.setattr("rvm_live.sinks.camera.sink.unseen_because", lambda device: None)
    monkeypatch.setattr(live_camera, "_PATIENT_NS", 200_000_000)
    return device


@contextmanager
def camera_of(folder: Path, **options: Any) -> Iterator[Any]:
    with running(folder, virtual_camera="auto", virtual_camera_size=(640, 360), **options) as app:
        yield app


def alone(picture: Any) -> bool:
    return bool((np.abs(picture.astype(int) - GREEN).max(axis=2) < 12).mean() > 0.99)


def test_it_shows_the_person_over_the_background(kept: KeptCamera, tmp_path: Path) -> None:
    with camera_of(tmp_path) as app:
        assert until(lambda: len(kept.sent) > 20 and not alone(kept.picture()))
        assert kept.size == (640, 360)
        assert np.ptp(kept.picture(0), axis=(0, 1)).max() < 6, "before the backgrounds are open a plain colour"
        right = kept.picture()[:, 340:]
        assert alone(right), "of the room nothing is seen"
        assert app.status().camera == "kept" and app.status().camera_ms > 0
    assert alone(kept.picture()) and kept.calls == ["open", "close"], "at the end, too"


def test_privacy_acts_at_once(kept: KeptCamera, tmp_path: Path) -> None:
    with camera_of(tmp_path) as app:
        assert until(lambda: len(kept.sent) > 20 and not alone(kept.picture()))
        app.controls.privacy = True
        count = len(kept.sent) + 1  # one may be on its way
        assert until(lambda: len(kept.sent) > count + 10)
        assert all(alone(kept.picture(index)) for index in range(count, count + 10))
        app.controls.privacy = False
        assert until(lambda: not alone(kept.picture()))


@pytest.mark.slow
def test_while_it_is_paused_the_background_is_seen(kept: KeptCamera, tmp_path: Path) -> None:
    with camera_of(tmp_path) as app:
        assert until(lambda: len(kept.sent) > 20 and not alone(kept.picture()))
        app.controls.paused = True
        assert until(lambda: alone(kept.picture()))
        count = len(kept.sent)
        assert until(lambda: len(kept.sent) > count + 10), "and goes on being sent"


def captured(app: Any) -> int:
    return int(app.pipeline.snapshot().captured)


def still(app: Any) -> bool:
    """Whether nothing is captured for a while."""
    before = captured(app)
    time.sleep(0.3)
    return captured(app) <= before + 1


@pytest.mark.slow
def test_while_nobody_watches_capture_and_matting_rest(kept: KeptCamera, tmp_path: Path) -> None:
    with camera_of(tmp_path) as app:
        kept.watched = False
        assert until(lambda: app.source.resting)
        assert until(lambda: still(app))
        assert app.source.trouble == "nobody watches"
        assert until(lambda: app.camera._newest is None), "what is seen first is never a face of before"
        kept.watched = True
        began = time.monotonic()
        count = len(kept.sent)
        assert until(lambda: len(kept.sent) > count + 10 and not alone(kept.picture()))
        assert time.monotonic() - began < 10
        assert not any("no progress" in line for line in app.notices.fallbacks)
        kept.watched = False
        assert until(lambda: still(app))


@pytest.mark.few(1)
@pytest.mark.parametrize("more", [{"always": True}, {"record": "a.mkv"}, {"virtual_camera": None}])
def test_it_does_not_rest_where_that_was_said_or_something_else_goes_on(
    more: dict[str, Any], kept: KeptCamera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with running(tmp_path, **{"virtual_camera": "auto", **more}) as app:
        kept.watched = False
        before = captured(app)
        time.sleep(0.6)
        assert until(lambda: captured(app) > before + 15)
        assert not app.source.resting


def test_it_rests_only_after_a_while_and_wakes_at_once(clock: FakeClock) -> None:
    told: list[bool] = []
    watched, unknown = KeptSink(False), KeptSink(False)
    demand = OnDemand([watched, unknown], told.append, clock)
    for _ in range(30):
        clock.advance(0.099)
        demand.idle()
    assert told == []
    clock.advance(0.2)
    demand.write(make_composite())
    assert told == [True]
    unknown.watched = None
    demand.idle()
    assert told == [True, False]
    clock.advance(2.9)
    unknown.watched = False
    demand.idle()
    assert told == [True, False], "it was watched until now, as far as is known"


class KeptSink:
    def __init__(self, watched: bool | None) -> None:
        self.watched = watched


def test_a_recording_counts_as_a_watcher_while_there_is_one() -> None:
    switch = RecordingSwitch(lambda path: None)  # type: ignore[arg-type, return-value]
    assert switch.watched is False
    switch.use("a.mp4")
    assert switch.watched is True


class Light(Source):
    """A camera, or a file, whose capture light can be checked."""

    def __init__(self, live: bool) -> None:
        self.live, self.on = live, False
        self.calls: list[str] = []
        self._gone = threading.Event()

    def open(self) -> SourceInfo:
        self.calls.append("open")
        self.on = True
        self._gone.clear()
        return SourceInfo("light", "camera" if self.live else "file", 64, 48, 30.0, live=self.live)

    def read(self) -> Grab:
        self._gone.wait(0.01)
        return Grab(np.zeros((48, 64, 3), np.uint8), time.monotonic_ns())

    def release(self) -> None:
        self.on = False
        self._gone.set()


@pytest.mark.parametrize("live", [True, False])
def test_the_light_of_a_camera_goes_out_and_a_file_stays_open(live: bool) -> None:
    light = Light(live)
    source = SwitchedSource(SourceSettings("0"), lambda settings: light)
    source.open()
    grabs: list[Grab] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            try:
                grabs.append(source.read())
            except Exception:
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert until(lambda: len(grabs) > 3)
        source.rest(True)
        assert until(lambda: light.on is not live)
        count = len(grabs)
        time.sleep(0.1)
        assert len(grabs) <= count + 1
        source.pause(True)
        source.rest(False)
        assert until(lambda: not light.on), "somebody paused it meanwhile"
        source.pause(False)
        assert until(lambda: len(grabs) > count + 3) and light.on
    finally:
        stop.set()
        source.release()
        thread.join()


def test_without_a_display_it_runs_as_a_camera_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rvm_live.apps.preflight.display_available", lambda: "no display")
    settings, told = without_display(LiveSettings(virtual_camera="auto"))
    assert settings.headless and settings.record is None and settings.duration is None
    assert told == "rvm-live: no window: no display; running headless, as a camera"


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({}, (1280, 720)),
        ({"width": 320, "height": 240}, (640, 360)),
        ({"width": 640, "height": 480}, (1280, 720)),
        ({"width": 1920, "height": 1080}, (1920, 1080)),
        ({"width": 3840, "height": 2160}, (1920, 1080)),
    ],
)
def test_its_size_is_the_smallest_that_holds_the_picture(asked: dict[str, int], size: tuple[int, int]) -> None:
    assert camera_size(LiveSettings(SourceSettings("demo", **asked))) == size
    fixed = LiveSettings(SourceSettings("demo", **asked), virtual_camera_size=(640, 360))
    assert camera_size(fixed) == (640, 360)
