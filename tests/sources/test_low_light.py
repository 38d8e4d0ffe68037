"""Low light: when it acts, how strongly, what it does to noise and motion, and where in the program it acts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from rvm_live.apps.report import LiveReport, Ran
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import SettingsError
from rvm_live.core.frames import Frame
from rvm_live.core.queues import Overflow
from rvm_live.core.settings import LiveSettings
from rvm_live.pipeline.metrics import Metrics
from rvm_live.pipeline.pipeline import Pipeline
from rvm_live.sinks.window.status import Status, statistics_rows
from rvm_live.sources.base import Grab
from rvm_live.sources.low_light import ENOUGH, MOST_GAIN, WANTED, LowLight, LowLightSource, _curve
from tests.support.composers import DirectComposer, ListSink
from tests.support.engines import LeftHalfEngine
from tests.support.sources import PatternSource

SIZE = (96, 160)
FRAME_NS = 33_000_000


def flat(level: int) -> Bytes:
    return np.full((*SIZE, 3), level, np.uint8)


def noisy(level: int, seed: int, spread: float = 4.0) -> Bytes:
    values = np.random.default_rng(seed).normal(level, spread, (*SIZE, 3))
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def after(pictures: list[Bytes], low_light: LowLight) -> list[Bytes]:
    return [low_light(each, number * FRAME_NS) for number, each in enumerate(pictures)]


def test_off_it_hands_on_what_it_is_given() -> None:
    low_light, dark = LowLight(), flat(10)
    assert low_light(dark, 0) is dark and low_light.gain == low_light.most == 1


@pytest.mark.parametrize("level", [ENOUGH, 180, 255])
def test_a_picture_that_is_bright_enough_passes_as_it_is(level: int) -> None:
    low_light, picture = LowLight(on=True), flat(level)
    assert low_light(picture, 0) is picture and low_light.gain == 1


def test_a_bright_person_before_a_dark_wall_is_no_dark_picture() -> None:
    picture = flat(8)
    picture[40:, 50:110] = 170
    assert picture.mean() < 60
    assert LowLight(on=True)(picture, 0) is picture


@pytest.mark.parametrize("level", [95, 105, 120])
def test_the_lights_are_brought_to_the_wanted_level(level: int) -> None:
    low_light = LowLight(on=True)
    lifted = low_light(flat(level), 0)
    assert abs(int(lifted[0, 0, 0]) - WANTED) <= 2
    assert 1 < low_light.gain < MOST_GAIN


def test_the_gain_is_bounded_and_the_lights_are_not_cut_off() -> None:
    low_light = LowLight(on=True)
    lifted = low_light(flat(5), 0)
    assert low_light.gain == pytest.approx(MOST_GAIN)
    for gain in (1.0, 1.7, MOST_GAIN):
        curve = _curve(gain).astype(int)
        assert curve[0] == 0 and curve[255] == 255 and (np.diff(curve) >= 0).all()
        levels = np.arange(1, 10)  # where light is level / 12.92
        assert np.abs(curve[levels] - np.minimum(gain * levels, curve[levels])).max() <= 1
        assert (curve >= np.arange(256)).all()
        assert (curve[1:10] <= gain * levels + 1).all()
    np.testing.assert_array_equal(_curve(1.0), np.arange(256))
    assert lifted.max() <= 4 * 5 + 1


def test_the_gain_follows_within_seconds_and_does_not_jump() -> None:
    low_light = LowLight(on=True)
    gains = []
    for number in range(300):
        low_light(noisy(200 if number < 30 else 30, number), number * FRAME_NS)
        gains.append(low_light.gain)
    assert gains[29] == 1
    assert max(after / before for before, after in pairwise(gains)) < 1.05
    assert gains[30 + 30] < 3 < gains[30 + 150] <= MOST_GAIN
    low_light(flat(200), 300 * FRAME_NS + 5_000_000_000)
    assert low_light.gain == 1  # after a gap, at once


def test_noise_is_averaged_where_nothing_moves() -> None:
    dark = [noisy(30, seed) for seed in range(40)]
    low_light = LowLight(on=True)
    calm = after(dark, low_light)
    gain = _curve(round(low_light.gain, 2)).astype(float)
    slope = (gain[36] - gain[24]) / 12
    alone = float(np.std([each[50, ::7, 1] for each in dark[20:]], axis=0).mean())
    left = float(np.std([each[50, ::7, 1] for each in calm[20:]], axis=0).mean()) / slope
    assert left < 0.5 * alone
    assert abs(float(calm[-1].mean()) - gain[30]) < 2


def test_what_moves_is_the_new_picture_alone() -> None:
    low_light, pictures = LowLight(on=True), []
    for number in range(30):
        picture = noisy(20, number, 1.5)
        picture[30:70, 4 * number : 4 * number + 20] = 90
        pictures.append(picture)
    shown = after(pictures, low_light)[-1]
    curve = _curve(round(low_light.gain, 2))
    assert np.abs(shown[34:66, 120:132].astype(int) - curve[90]).max() <= 3
    behind = shown[34:66, 60:108].astype(int)
    assert behind.mean() < curve[20] + 6  # no trail


def test_a_picture_that_is_repeated_stays_one_array() -> None:
    low_light, dark = LowLight(on=True), noisy(30, 1)
    first = low_light(dark, 0)
    assert low_light(dark, FRAME_NS) is first and low_light(dark.copy(), 2 * FRAME_NS) is first
    assert low_light(noisy(30, 2), 3 * FRAME_NS) is not first


def test_another_size_begins_anew() -> None:
    low_light = LowLight(on=True)
    low_light(flat(20), 0)
    other = np.full((50, 70, 3), 20, np.uint8)
    assert low_light(other, FRAME_NS).shape == other.shape


def test_what_it_is_given_is_not_written_to() -> None:
    low_light, dark = LowLight(on=True), [noisy(30, seed) for seed in range(4)]
    copies = [each.copy() for each in dark]
    for each in dark:
        each.flags.writeable = False
    after(dark, low_light)
    assert all((one == other).all() for one, other in zip(dark, copies, strict=True))


def test_settings_overlay_and_report_tell_it() -> None:
    assert LiveSettings().low_light == "off"
    with pytest.raises(SettingsError, match="unknown low light 'on': choose one of off, auto"):
        LiveSettings(low_light="on")
    rows = [row.label for row in statistics_rows(Status(low_light=2.5), "result")]
    assert "Low light" in rows
    assert "Low light" not in [row.label for row in statistics_rows(Status(), "result")]
    snapshot = Metrics().snapshot({})
    assert "low_light_gain" not in LiveReport(Ran(), snapshot).as_json()
    assert LiveReport(Ran(), snapshot, low_light=2.5).as_json()["low_light_gain"] == 2.5


class DarkSource(PatternSource):
    """Nearly black pictures, which it keeps."""

    def __init__(self, frames: int) -> None:
        super().__init__(frames=frames)
        self.gave: list[Bytes] = []

    def read(self) -> Grab:
        grab = super().read()
        self.gave.append(grab.image // 8)
        return Grab(self.gave[-1], grab.captured_ns, grab.media_ns)


class Watching(LeftHalfEngine):
    """Keeps the pictures that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Bytes] = []

    def alpha(self, frame: Frame) -> Bytes:
        self.seen.append(frame.image)
        return super().alpha(frame)


@pytest.mark.parametrize("on", [False, True])
def test_the_network_and_the_composite_see_the_same_picture(on: bool) -> None:
    """Invariant 1 with low light; without it, each picture is the very array that the source gave."""
    source, engine, sink = DarkSource(frames=12), Watching(), ListSink()
    low_light = LowLight(on=on)
    lit = LowLightSource(source, low_light)
    Pipeline(lit, engine, DirectComposer(), [sink], overflow=Overflow.BLOCK, scene_reset=False).run()
    assert source.releases == 1
    assert len(sink.composites) == len(engine.seen) == 12
    for gave, seen, composite in zip(source.gave, engine.seen, sink.composites, strict=True):
        assert composite.frame.image is seen
        assert (seen is gave) is not on
        assert not on or seen.mean() > 1.5 * gave.mean()
    assert (low_light.most > 3) is on


def test_over_a_film_the_same_film_gives_the_same_pictures() -> None:
    """The film's own time counts, not the reader's speed."""
    made = []
    for _ in range(2):
        sink = ListSink()
        low_light = LowLight(on=True)
        lit = LowLightSource(DarkSource(frames=8), low_light)
        Pipeline(lit, LeftHalfEngine(), DirectComposer(), [sink], overflow=Overflow.BLOCK).run()
        made.append([each.frame.image for each in sink.composites])
    for one, other in zip(*made, strict=True):
        np.testing.assert_array_equal(one, other)
