"""The sink that other programs see as a camera: its rate, what it shows when, and what it does on failures."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import pytest

from rvm_live.core.errors import SettingsError, SinkError
from rvm_live.core.settings import LiveSettings, SourceSettings
from rvm_live.sinks.base import Shot, Surroundings
from rvm_live.sinks.camera import outputs
from rvm_live.sinks.camera.sink import VirtualCamera
from rvm_live.sinks.camera.steady_rate import SteadyRate
from rvm_live.sinks.factory import open_sink
from rvm_live.sinks.window.status import Status, statistics_rows
from tests.support.cameras import KeptCamera
from tests.support.clock import FakeClock
from tests.support.pictures import BACKGROUND, FOREGROUND, make_composite

SIZE = (320, 180)
ALONE = (10, 20, 200)


class Feed:
    """A camera whose devices keep the pictures they get."""

    def __init__(self, clock: FakeClock, *devices: KeptCamera, **options: object) -> None:
        self.clock, self.devices = clock, devices or (KeptCamera(),)
        self.private = False
        self.told: list[str] = []
        self.camera = VirtualCamera(size=SIZE, clock=clock, devices=lambda: self.devices, **options)  # type: ignore[arg-type]
        self.camera.meet(
            Surroundings(
                lambda width, height: np.full((height, width, 3), ALONE, np.uint8),
                lambda: self.private,
                self.told.append,
                self.told.append,
            )
        )

    @property
    def kept(self) -> KeptCamera:
        return self.devices[0]

    def write(self, number: int = 0, **options: object) -> None:
        shot = Shot.of(make_composite(*SIZE, seq=number, captured_ns=self.clock.now_ns() - 20_000_000, **options))  # type: ignore[arg-type]
        self.camera.write_picture(shot)

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * 100)):
            self.clock.advance(0.01)
            self.camera.idle()

    def middle(self, index: int = -1) -> list[int]:
        return [int(value) for value in self.kept.picture(index)[90, 160]]

    def corner(self, index: int = -1) -> list[int]:
        return [int(value) for value in self.kept.picture(index)[2, 2]]


def near(one: object, other: object) -> bool:
    return bool(np.abs(np.subtract(one, other, dtype=int)).max() <= 4)  # type: ignore[call-overload]


@pytest.fixture
def feed(clock: FakeClock) -> Feed:
    made = Feed(clock)
    made.camera.open()
    return made


# The rate ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [24.0, 29.97, 30.0, 30.03, 60.0, 5.0])
def test_the_rate_is_constant_whatever_the_source_does(fps: float) -> None:
    """In the long run 30 a second, each at most half a period away from its time; new pictures are sent at once."""
    rate, sent, delays = SteadyRate(30), [], []
    rate.sent(0)
    jitter = np.random.default_rng(0).uniform(-0.004, 0.004, 2000)
    arrivals = [round((number / fps + jitter[number]) * 1e9) for number in range(round(20 * fps))]
    pending = 0
    for now_ns in range(1, 20_000_000_000, 1_000_000):
        while arrivals and arrivals[0] <= now_ns:
            pending = arrivals.pop(0)
            rate.came(now_ns)
        if rate.due(now_ns):
            if rate.new:
                delays.append(now_ns - pending)
            rate.sent(now_ns)
            sent.append(now_ns)
    assert abs(len(sent) - 600) <= 2
    gaps = [later - sooner for sooner, later in pairwise(sent)]
    assert max(gaps) <= 2e9 / 30 + 3e6, "one half a period early, the next as late"
    if fps in (29.97, 30.0, 30.03):
        assert np.percentile(delays[60:], 90) <= 2e6, "a source of the same rate is not held up"


def test_what_is_missing_is_repeated(feed: Feed) -> None:
    feed.write()
    feed.wait(0.4)
    assert 11 <= len(feed.kept.sent) <= 14
    assert all(near(feed.middle(index), FOREGROUND) for index in range(1, len(feed.kept.sent)))


def test_the_same_picture_is_converted_once(feed: Feed) -> None:
    feed.write()
    feed.wait(0.3)
    assert len({id(each) for each in feed.kept.sent[1:]}) == 1


def test_after_a_stall_nothing_is_caught_up_with(feed: Feed) -> None:
    feed.write()
    feed.clock.advance(5)
    before = len(feed.kept.sent)
    for _ in range(20):
        feed.camera.idle()
    assert len(feed.kept.sent) - before <= 1


# What is shown ----------------------------------------------------------------------------------------------


def test_before_the_first_picture_the_background(feed: Feed) -> None:
    assert near(feed.middle(), ALONE), "at once: some programs see a camera only then"
    feed.wait(0.2)
    assert all(near(feed.middle(index), ALONE) for index in range(len(feed.kept.sent)))


def test_the_pixels_are_the_composite_s(feed: Feed) -> None:
    feed.write()
    feed.wait(0.1)
    assert feed.kept.sent[-1].shape == (270, 320)
    expected = make_composite(*SIZE).image
    seen = feed.kept.picture()
    flat = cv2.erode(np.uint8(np.abs(expected.astype(int) - FOREGROUND).max(axis=2) == 0), np.ones((5, 5)))
    assert np.abs(seen[flat > 0].astype(int) - FOREGROUND).max() <= 3
    assert near(feed.corner(), BACKGROUND)


def test_when_the_last_picture_has_stood_for_too_long_the_background(feed: Feed) -> None:
    feed.write()
    feed.wait(0.1)
    feed.camera.clear()
    feed.wait(0.1)
    assert near(feed.middle(), ALONE)


def test_privacy_acts_on_the_next_picture_though_nothing_new_comes(feed: Feed) -> None:
    feed.write()
    feed.wait(0.1)
    assert near(feed.middle(), FOREGROUND)
    feed.private, before = True, len(feed.kept.sent)
    feed.wait(0.1)
    assert len(feed.kept.sent) > before
    assert all(near(feed.middle(index), ALONE) for index in range(before, len(feed.kept.sent)))
    feed.write(1)  # composed before privacy was asked for, but late
    feed.wait(0.1)
    assert near(feed.middle(), ALONE)


def test_at_the_end_and_when_it_goes_the_background(feed: Feed) -> None:
    feed.write()
    feed.wait(0.1)
    feed.camera.use(False)
    feed.wait(0.02)
    assert near(feed.middle(), ALONE) and feed.kept.calls == ["open", "close"]
    feed.wait(0.2)
    count = len(feed.kept.sent)
    feed.write(1)
    assert len(feed.kept.sent) == count
    feed.camera.use(True)
    feed.wait(0.1)
    feed.write(2)
    feed.wait(0.1)
    assert near(feed.middle(), FOREGROUND)
    feed.camera.close(failed=True)
    assert near(feed.middle(), ALONE) and feed.kept.calls == ["open", "close"] * 2


def test_at_the_end_a_reader_without_room_is_waited_for_but_not_for_ever(feed: Feed) -> None:
    feed.write()
    feed.wait(0.1)
    feed.kept.full, own = True, feed.clock.sleep

    def sleep(seconds: float) -> None:
        own(seconds)
        feed.kept.full = len(feed.clock.slept) < 20

    feed.clock.sleep = sleep  # type: ignore[method-assign]
    feed.camera.close(failed=False)
    assert near(feed.middle(), ALONE)
    feed.camera.use(True)
    feed.wait(0.02)
    feed.kept.full, feed.clock.sleep = True, own  # type: ignore[method-assign]
    before = feed.clock.now_ns()
    feed.camera.close(failed=False)
    assert feed.clock.now_ns() - before < 3e9


@pytest.mark.parametrize(("width", "height"), [(240, 180), (320, 100), (641, 361)])
def test_pictures_of_another_size_are_fitted_and_nothing_is_invented_beside_them(
    width: int, height: int, feed: Feed
) -> None:
    feed.camera.write_picture(Shot(np.full((height, width, 3), FOREGROUND, np.uint8), 0, 0, None))
    feed.wait(0.1)
    seen = feed.kept.picture()
    person = np.abs(seen.astype(int) - FOREGROUND).max(axis=2) < 20
    black = seen.max(axis=2) < 12
    scale = min(SIZE[0] / width, SIZE[1] / height)
    assert abs(person.mean() - (width * scale) * (height * scale) / (SIZE[0] * SIZE[1])) < 0.03
    assert (person | black).mean() > 0.96


def test_a_cut_out_goes_over_black_and_to_a_device_with_alpha_as_it_is(clock: FakeClock) -> None:
    plain, clear = KeptCamera(), KeptCamera(clear=True)
    feed = Feed(clock, plain, clear)
    feed.camera.open()
    feed.write(transparent=True)
    feed.wait(0.1)
    assert near(feed.middle(), FOREGROUND) and near(feed.corner(), (0, 0, 0))
    np.testing.assert_array_equal(clear.sent[-1], make_composite(*SIZE, transparent=True).image)


# Who uses the camera ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "watched"),
    [([False], False), ([True, False], True), ([None], None), ([None, False], None), ([None, True], True)],
)
def test_it_is_watched_where_one_device_is_and_unknown_where_one_is(
    seen: list[bool | None], watched: bool | None, clock: FakeClock
) -> None:
    devices = [KeptCamera() for _ in seen]
    for device, each in zip(devices, seen, strict=True):
        device.watched = each
    feed = Feed(clock, *devices)
    feed.camera.open()
    assert feed.camera.watched is watched
    feed.camera.use(False)
    assert feed.camera.watched is False


def test_others_ask_and_the_devices_are_asked_on_their_own_thread_alone(clock: FakeClock) -> None:
    """A kernel module reports each change only once: two readers at the same time would mix up the order."""
    asked = 0

    class Asked(KeptCamera):
        @property
        def watched(self) -> bool | None:  # type: ignore[override]
            nonlocal asked
            asked += 1
            return True

    feed = Feed(clock, Asked())
    feed.camera.open()
    before = asked
    assert feed.camera.watched and feed.camera.label == "kept"
    assert asked == before > 0


def test_where_nobody_watches_nothing_is_sent(feed: Feed) -> None:
    feed.kept.watched = False
    feed.wait(0.1)
    before = len(feed.kept.sent)
    feed.write()
    feed.wait(0.3)
    assert len(feed.kept.sent) == before
    feed.kept.watched = True
    feed.wait(0.05)
    assert near(feed.middle(), FOREGROUND)


def test_the_delay_is_counted_from_the_grab(feed: Feed) -> None:
    assert feed.camera.delay_ms == 0
    for number in range(9):
        feed.write(number)
        feed.wait(0.03)
    assert 20 <= feed.camera.delay_ms < 45


# Failures ---------------------------------------------------------------------------------------------------


def test_a_device_that_is_lost_is_told_and_opened_again(feed: Feed) -> None:
    feed.write()
    feed.kept.error = "the camera kept is gone"
    feed.wait(0.1)
    assert feed.told == ["the camera kept is gone; trying again until it is back"]
    feed.kept.error, feed.kept.refusal = "", "not yet"
    feed.wait(2.5)
    assert feed.kept.calls == ["open", "close", "open", "open"] and len(feed.told) == 1
    feed.kept.refusal = ""
    feed.wait(1.1)
    assert feed.told[1:] == ["the virtual camera is back (kept)"]
    feed.write(1)
    feed.wait(0.1)
    assert near(feed.middle(), FOREGROUND)
    feed.camera.close(failed=False)
    assert feed.kept.calls[-1] == "close"


def test_one_that_is_found_again_is_fed_at_once_though_nobody_watches(feed: Feed) -> None:
    """As at the start: some programs see a camera only then."""
    feed.kept.error = "gone"
    feed.wait(0.1)
    before = len(feed.kept.sent)
    feed.kept.error, feed.kept.watched = "", False
    feed.wait(1.2)
    assert feed.told[1:] == ["the virtual camera is back (kept)"]
    assert len(feed.kept.sent) == before + 1 and near(feed.middle(), ALONE)


def test_one_that_is_lost_holds_up_no_other(clock: FakeClock) -> None:
    failing, other = KeptCamera(), KeptCamera()
    feed = Feed(clock, failing, other)
    feed.camera.open()
    failing.error = "gone"
    feed.write()
    feed.wait(0.3)
    assert len(other.sent) > 8


def test_of_several_one_that_does_not_work_is_no_fault(clock: FakeClock) -> None:
    feed = Feed(clock, KeptCamera(refusal="no module"), KeptCamera())
    feed.camera.open()
    assert feed.camera.label == "kept" and feed.told == []


def test_where_none_works_every_reason_is_told(clock: FakeClock) -> None:
    feed = Feed(clock, KeptCamera(refusal="no module: load it"), KeptCamera(refusal="no PipeWire: start it"))
    with pytest.raises(SinkError, match="no virtual camera can be made: no module: load it; no PipeWire: start it"):
        feed.camera.open()


def test_one_that_is_switched_on_and_cannot_be_is_told_and_off(clock: FakeClock) -> None:
    feed = Feed(clock, KeptCamera(refusal="no module"), on=False)
    feed.camera.open()
    assert feed.kept.calls == []
    feed.camera.use(True)
    feed.wait(0.1)
    assert feed.told == ["no virtual camera can be made: no module"] and not feed.camera.on


# By name ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "words", "names"),
    [
        ("linux", "auto", ["PipeWire", "v4l2loopback"]),
        ("linux", "pipewire", ["PipeWire"]),
        ("linux", "v4l2loopback", ["v4l2loopback"]),
        ("linux", "/dev/video7", ["/dev/video7"]),
        ("win32", "auto", ["obs", "unitycapture"]),
        ("win32", "Unity Video Capture #2", ["Unity Video Capture #2"]),
        ("darwin", "auto", ["obs"]),
        ("darwin", "obs", ["obs"]),
    ],
)
def test_the_devices_of_a_system(system: str, words: str, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", system)
    assert [device.name for device in outputs.devices_for(words)] == names


@pytest.mark.parametrize(
    ("system", "words", "complaint"),
    [
        ("linux", "obs", "no virtual camera obs on this system: choose one of auto, pipewire, v4l2loopback"),
        ("darwin", "pipewire", "no virtual camera pipewire on this system: choose one of auto, obs"),
        ("linux", "beach", r"no virtual camera 'beach': choose one of auto, pipewire, v4l2loopback, or a device"),
    ],
)
def test_what_is_none_is_refused(system: str, words: str, complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", system)
    with pytest.raises(SettingsError, match=complaint):
        outputs.devices_for(words)


def test_it_is_a_sink_of_the_registry() -> None:
    made = open_sink("virtual-camera:pipewire")
    assert isinstance(made, VirtualCamera) and made.words == "pipewire"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"virtual_camera": " "}, "the virtual camera's name is empty"),
        (
            {"virtual_camera": "auto", "source": SourceSettings("a.mp4", realtime=False)},
            "a virtual camera needs live video",
        ),
        ({"virtual_camera_size": (800, 600)}, "can have these sizes: 640x360, 1280x720, 1920x1080"),
    ],
)
def test_what_cannot_be_is_told(options: dict[str, object], complaint: str) -> None:
    make: Callable[..., LiveSettings] = LiveSettings
    with pytest.raises(SettingsError, match=complaint):
        make(**options)


@pytest.mark.parametrize(
    ("watched", "told"),
    [(True, "PipeWire · 43 ms"), (None, "PipeWire · 43 ms"), (False, "PipeWire · nobody watches")],
)
def test_the_table_tells_the_camera_and_its_delay(watched: bool | None, told: str) -> None:
    status = Status(camera="PipeWire", camera_ms=43.2, camera_watched=watched)
    (row,) = [row for row in statistics_rows(status, "result") if row.label == "Camera"]
    assert row.text == told
    assert not [row for row in statistics_rows(Status(), "result") if row.label == "Camera"]
