"""Judging mattes without their truth: each figure on mattes whose value is known, and which parts of a clip are
examined."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rvm_live.apps.check.advice import Advice, Sample, Tried, proposals
from rvm_live.apps.check.figures import (
    FIGURES,
    Look,
    Motion,
    area_jump,
    change,
    disagreement,
    flicker,
    measured,
    motion,
)
from rvm_live.apps.check.judging import Judged, Summary, summed
from rvm_live.apps.check.page import page
from rvm_live.apps.check.report import Report, Worst
from rvm_live.apps.check.run import CheckSettings, _worst_samples, check
from rvm_live.apps.check.windows import LENGTH, MOST, WARM_UP, Window, spread, thinned
from rvm_live.core.errors import EndOfSource, SettingsError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.engines.base import EngineInfo
from rvm_live.sources.base import Grab, Source, SourceInfo
from tests.support.chromium import open_browser
from tests.support.engines import PassThroughEngine
from tests.support.program import call
from tests.support.videos import make_film

GREY = np.full((160, 320, 3), 90, np.uint8)


def square(left: int = 100, top: int = 40, side: int = 80, size: tuple[int, int] = (160, 320)) -> np.ndarray:
    alpha = np.zeros(size, np.uint8)
    alpha[top : top + side, left : left + side] = 255
    return alpha


def still(shape: tuple[int, int] = (80, 160)) -> Motion:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return Motion(x, y, np.ones(shape, np.bool_))


# Figures


def test_a_look_knows_area_and_outline() -> None:
    look = Look.of(GREY, square())
    assert (look.area, look.outline) == (6400.0, 320.0)


def test_where_the_person_leaves_the_picture_is_no_outline() -> None:
    assert Look.of(GREY, square(top=80)).outline == 80 + 2 * 80


def test_a_large_picture_is_judged_at_a_size_of_all() -> None:
    large = cv2.resize(square(), (5120, 2560), interpolation=cv2.INTER_NEAREST)
    look = Look.of(np.zeros((2560, 5120, 3), np.uint8), large)
    assert look.alpha.shape == (640, 1280) and look.outline == 4 * 320


def test_disagreement_is_a_share_of_the_person() -> None:
    look = Look.of(GREY, square())
    assert disagreement(look, square()) == 0
    assert disagreement(look, square(side=40)) == pytest.approx(75.0)
    assert disagreement(look, np.full_like(look.alpha, 0)) == pytest.approx(100.0)


def test_nobody_in_the_picture_divides_by_nothing() -> None:
    empty = Look.of(GREY, np.zeros((160, 320), np.uint8))
    assert measured(empty, empty, still(), empty.alpha) == {"flicker": 0.0, "area_jump": 0.0, "disagreement": 0.0}


def test_an_outline_that_moves_outwards_by_two_pixels_jumps_by_two() -> None:
    before, now = Look.of(GREY, square()), Look.of(GREY, square(98, 38, 84))
    assert area_jump(now, change(now, before, still())) == pytest.approx((84**2 - 80**2) / (4 * 84), rel=1e-5)
    assert area_jump(before, change(before, before, still())) == 0


def test_flicker_is_what_the_outline_moves_by_where_the_picture_does_not() -> None:
    before, now = Look.of(GREY, square()), Look.of(GREY, square(98, 38, 84))
    assert flicker(before, change(before, before, still())) == 0
    assert flicker(now, change(now, before, still())) == pytest.approx((84**2 - 80**2) / (4 * 84), rel=1e-5)


def test_what_moves_with_the_picture_does_not_flicker() -> None:
    """With flow that was measured: the whole picture moves four pixels to the right."""
    rng = np.random.default_rng(3)
    room = cv2.GaussianBlur(rng.integers(0, 256, (160, 320, 3), np.uint8), (0, 0), 3)
    before, now = Look.of(room, square(100)), Look.of(np.roll(room, 4, axis=1), square(104))
    moved = motion(now.image, before.image)
    assert flicker(now, change(now, before, still())) == pytest.approx(2 * 4 * 80 / 320, rel=1e-4)
    assert flicker(now, change(now, before, moved)) < 0.1
    stuck = Look(now.image, before.alpha, before.solid, before.outline)
    assert flicker(stuck, change(stuck, before, moved)) == pytest.approx(2, abs=0.3), "it stays behind, which is seen"


def test_what_was_covered_does_not_count() -> None:
    before, now = Look.of(GREY, square()), Look.of(GREY, square(98, 38, 84))
    nothing = replace(still(), known=np.zeros((80, 160), np.bool_))
    assert flicker(now, change(now, before, nothing)) == 0


def test_covered_spots_are_found() -> None:
    rng = np.random.default_rng(5)
    before = cv2.GaussianBlur(rng.integers(0, 256, (160, 320, 3), np.uint8), (0, 0), 2)
    now = before.copy()
    now[40:120, 100:180] = 250
    known = motion(now, before).known
    assert known[25:55, 55:85].mean() < 0.5 < 0.95 < known[5:-5, 115:-5].mean()


def test_figures_are_summed_over_the_frames_that_have_them() -> None:
    frames = tuple(Judged(n, n / 30, {"flicker": float(n)} if n else {}) for n in range(101))
    assert {name: vars(each) for name, each in summed(frames).items()} == {
        "flicker": {"mean": 50.5, "p95": 95.0, "most": 100.0, "count": 100}
    }


# Windows


class Numbered(Source):
    """Frames that show their number, with a cut where one is asked for."""

    on_demand = True

    def __init__(self, count: int, cuts: tuple[int, ...] = (), sizes: tuple[int, ...] = ()) -> None:
        self.count, self.cuts, self.sizes, self.number = count, cuts, sizes, 0
        rng = np.random.default_rng(0)
        self.rooms = [cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (64, 48)) for _ in range(len(cuts) + 1)]

    def open(self) -> SourceInfo:
        return SourceInfo("numbered", "video", 64, 48, 30.0, False)

    def read(self) -> Grab:
        if self.number == self.count:
            raise EndOfSource
        room = self.rooms[sum(self.number >= cut for cut in self.cuts)]
        if self.number in self.sizes:
            room = cv2.resize(room, (32, 24))
        self.number += 1
        return Grab(room.copy(), 0, round((self.number - 1) * 1e9 / 30))

    def release(self) -> None:
        pass


def firsts(source: Numbered, frames: int | None, limit: float | None = None) -> list[tuple[int, int]]:
    """The first frames of the windows that are kept, and their length."""
    kept: list[tuple[int, int]] = []
    for window in spread(source, replace(source.open(), frame_count=frames), limit):
        kept = thinned([*kept, (window.first, len(window.images))])
    return kept


def test_a_short_clip_is_looked_at_whole() -> None:
    assert firsts(Numbered(40), 40) == [(0, 14), (14, 14), (28, 12)]
    assert firsts(Numbered(1), 1) == [(0, 1)]
    assert firsts(Numbered(16), None) == [(0, 14)], "two frames tell nothing that the others do not"
    assert firsts(Numbered(0), None) == []


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
def test_windows_of_a_long_clip_are_few_and_spread_over_all_of_it(known: bool) -> None:
    count = 12_000
    kept = firsts(Numbered(count), count if known else None)
    assert MOST // 2 - 1 <= len(kept) < MOST
    starts = [first for first, _ in kept]
    gaps = set(np.diff(starts).tolist())
    assert starts[0] == 0 and len(gaps) == 1 and count - starts[-1] <= 2 * gaps.pop()


def test_a_window_lies_in_one_scene_and_has_one_size() -> None:
    kept = firsts(Numbered(60, cuts=(20, 22, 40)), None)
    assert kept == [(0, 14), (14, 6), (22, 14), (36, 4), (40, 14), (54, 6)]
    assert firsts(Numbered(20, sizes=(9,)), None) == [(0, 9), (10, 10)]


def test_the_limit_is_of_the_clips_own_time() -> None:
    assert firsts(Numbered(300), None, limit=0.5) == [(0, 14)]
    assert firsts(Numbered(300), None, limit=0.6) == [(0, 14), (14, 4)]


@pytest.mark.parametrize(
    ("frames", "judged"), [(LENGTH, range(WARM_UP, LENGTH)), (12, range(6, 12)), (4, range(2, 4)), (1, range(1))]
)
def test_a_network_settles_before_it_is_judged(frames: int, judged: range) -> None:
    assert Window(0, (GREY,) * frames, (0.0,) * frames).judged == judged


# The whole


BOX = EngineSettings(engine="tests.support.engines:LeftHalfEngine")


def clip(path: Path, frames: int = 30, pictures: Sequence[np.ndarray] = ()) -> Path:
    return make_film(path, pictures or [np.full((64, 96, 3), 40 + n * 5 % 200, np.uint8) for n in range(frames)])


def test_a_matte_that_stands_still_is_beyond_reproach(tmp_path: Path) -> None:
    path = clip(tmp_path / "clip.mp4")
    told: list[str] = []
    report = check(CheckSettings(SourceSettings(str(path), realtime=False), BOX), told.append)
    assert (report.windows, len(report.frames)) == (2, 16)
    assert {name: each.most for name, each in report.summary.items()} == {"flicker": 0.0, "area_jump": 0.0}
    assert report.other_ratio is None, "it works at one size"
    assert [each.number for each in report.frames] == [*range(6, 14), *range(20, 28)]
    assert report.frames[0].figures.keys() == {"flicker", "area_jump"}
    assert told == ["opening the source", "opening the engine", *["measuring at 0 s"] * 2]


def test_a_photograph_has_no_figures_of_time(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "me.png"), GREY)
    report = check(CheckSettings(SourceSettings(str(tmp_path / "me.png"), realtime=False), BOX))
    assert len(report.frames) == 1 and report.summary == {}


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), 1e9])
def test_seconds_out_of_range(seconds: float) -> None:
    with pytest.raises(SettingsError, match="out of range"):
        CheckSettings(seconds=seconds)


def test_the_command_prints_a_table_or_json(tmp_path: Path) -> None:
    path = clip(tmp_path / "clip.mp4")
    said = ["check", path, "--engine", BOX.engine, "-o", tmp_path / "page.html"]
    done = call(*said)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == str(tmp_path / "page.html")
    assert "file clip.mp4, 96x64: 16 frames measured, in 2 parts" in done.out
    assert "disagreement  cannot be measured" in done.out
    told = json.loads(call(*said, "--json").out)
    assert told["figures"]["flicker"] == {"unit": "pixels", "mean": 0.0, "p95": 0.0, "most": 0.0, "count": 16}
    assert told["engine"]["name"] == "pass-through" and len(told["frames"]) == 16


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none.mp4"], "there is no file none.mp4"),
        (["."], "is a folder"),
        (["demo", "--seconds", "0"], "seconds 0 is out of range"),
        (["demo", "--engine", "magic"], "unknown engine"),
        (["demo", "-o", "clip.mp4"], "ends in .html"),
        (["demo", "-o", "no/page.html"], "there is no folder no"),
        (["demo", "--downsample-ratio", "2"], "downsample ratio 2.0 is out of range"),
        ([], "Missing argument"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call("check", *arguments)
    assert done.code == 2 and told in done.complaint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_real_person_is_judged_at_two_sizes(data: Path, tmp_path: Path) -> None:
    path = data / "clips" / "webcam" / "liveportrait_s18.mp4"
    said = ["check", path, "--seconds", "1", "--engine", "openvino", "--weights", data / "weights", "--json"]
    done = call(*said, "--downsample-ratio", "0.4", "-o", tmp_path / "page.html")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["other_ratio"] == pytest.approx(0.6)
    text = (tmp_path / "page.html").read_text("utf-8")
    assert text.count("<svg") == 3 and 'src="data:image/jpeg;base64,' in text
    assert set(told["figures"]) == {each.name for each in FIGURES}
    assert 0 < told["figures"]["disagreement"]["mean"] < 20 and 0 < told["figures"]["flicker"]["mean"] < 5


# The page


ADVICE = Advice(Tried("--steady", "flicker", "it <trembles>", 1.2, 0.8, True), (), ("weights are not here",))


def report(name: str = "me.mp4") -> Report:
    """Two windows a minute apart, the second of which flickers."""
    frames = tuple(
        Judged(number, number / 25, {"flicker": 0.2 + (number > 1000), "area_jump": 0.1, "disagreement": 1.5})
        for number in (*range(6, 14), *range(1406, 1414))
    )
    image = np.full((180, 320, 3), (40, 200, 40), np.uint8)
    worst = Worst(frames[-1], image, cv2.resize(square(), (320, 180)), "flicker")
    source = SourceInfo(f"file {name}", "video", 1280, 720, 25.0, False)
    engine = EngineInfo("openvino", "mobilenetv3", "cpu", "CPU", "fp32", 0.4)
    return Report(source, engine, 0.6, 2, frames, summed(frames), (worst,), ADVICE, ("decoded with <care>",))


def test_the_page_needs_nothing_else_and_says_what_was_found() -> None:
    text = page(report("<b>&me.mp4"))
    assert not re.search(r"(?:https?:)?//[a-z]|<script|<link|url\(", text), "it asks for nothing"
    assert "&lt;b&gt;&amp;me.mp4" in text and "<b>&" not in text and "decoded with &lt;care&gt;" in text
    assert "--steady would help: it &lt;trembles&gt;." in text and "weights are not here" in text
    assert text.count("<svg") == 3 and text.count("<polyline") == 6, "a line for each stretch"
    assert '<td class="bad">' not in text.split("area jumps")[1].split("<tr>")[0]
    assert "56.52 s, frame 1413, flicker 1.20 pixels" in text


def test_the_room_is_not_on_the_page() -> None:
    """What alpha leaves out is not visible on the page."""
    (data,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page(report()))
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(picture[:20].astype(int) - (120, 190, 70)).max() < 8
    assert np.abs(picture[90, 140].astype(int) - (40, 200, 40)).max() < 8


@pytest.mark.slow
def test_the_page_is_seen_in_a_browser(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page(report()), "utf-8")
    with open_browser() as browser:
        shown = browser.page((tmp_path / "page.html").as_uri())
        assert shown.evaluate("[...document.images].every(each => each.complete && each.naturalWidth === 320)")
        assert shown.evaluate("document.querySelectorAll('polyline').length") == 6
        assert shown.evaluate("getComputedStyle(document.querySelector('.values')).stroke") == "rgb(11, 107, 203)"
        wide = "document.documentElement.scrollWidth <= innerWidth"
        assert shown.evaluate(wide)
        shown.size(390, 844, mobile=True)
        assert shown.evaluate(wide), "a telephone scrolls down alone"
        assert browser.complaints() == []


# Advice


class ShakyEngine(PassThroughEngine):
    """Named like RVM: the left side of the picture, whose edge is further off the smaller the ratio is, and jumps back
    and forth where ``key`` is set."""

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self._info = EngineInfo("rvm", "none", "cpu", "CPU", "fp32", 0.0)

    def prepare(self, width: int, height: int) -> None:
        self._info = self._info.at_ratio(self.settings.downsample_ratio or 0.4)

    def alpha(self, frame: Frame) -> np.ndarray:
        alpha = np.zeros(frame.image.shape[:2], np.uint8)
        jump = 3 * (frame.seq % 2) if self.settings.key else 0
        alpha[:, : round(60 + 8 / self._info.downsample_ratio) + jump] = 255
        return alpha


class HarmfulEngine(ShakyEngine):
    """The same, but its edge jumps where the ratio is large."""

    def alpha(self, frame: Frame) -> np.ndarray:
        alpha = super().alpha(frame)
        return np.roll(alpha, 3 * (frame.seq % 2) if self._info.downsample_ratio > 0.5 else 0, axis=1) | alpha


SHAKY = EngineSettings(engine="tests.apps.test_check:ShakyEngine", foreground="source")


def advised(path: Path, **changes: Any) -> Advice:
    return check(CheckSettings(SourceSettings(str(path), realtime=False), replace(SHAKY, **changes))).advice


def test_a_larger_size_is_told_where_it_was_tried_and_helps(tmp_path: Path) -> None:
    advice = advised(clip(tmp_path / "clip.mp4"))
    # at 0.4 the edge is at 80, at 0.6 at 73, at 0.9 at 69
    (tried,) = advice.tried
    assert (tried.option, tried.helps) == ("--downsample-ratio 0.6", True)
    assert (tried.before, tried.after) == pytest.approx((7 / 80 * 100, 4 / 73 * 100))
    assert advice.best == tried
    assert next(iter(advice.words())) == "--downsample-ratio 0.6 would help: the network's picture is too small."


def test_what_was_tried_and_does_not_help_is_not_told_as_help(tmp_path: Path) -> None:
    advice = advised(clip(tmp_path / "clip.mp4"), downsample_ratio=0.9)
    # at 0.9 the edge is at 69, at 0.6 at 73; at 1 at 68, at 0.67 at 72
    assert [(each.option, each.helps) for each in advice.tried] == [("--downsample-ratio 1", False)]
    assert advice.best is None
    assert next(iter(advice.words())).startswith("None of the settings tried")


def test_what_mends_one_figure_and_harms_another_is_not_told_as_help(tmp_path: Path) -> None:
    advice = advised(clip(tmp_path / "clip.mp4"), engine="tests.apps.test_check:HarmfulEngine")
    (tried,) = advice.tried
    assert tried.option == "--downsample-ratio 0.6" and tried.after is not None
    assert tried.after < 0.9 * tried.before and not tried.helps
    assert tried.instead.startswith("flicker rises to")
    assert advice.best is None


def test_steadying_is_tried_against_flicker(tmp_path: Path) -> None:
    picture = np.full((64, 96, 3), 90, np.uint8)
    path = clip(tmp_path / "clip.mkv", pictures=[picture] * 30)
    advice = advised(path, key="#00ff00", downsample_ratio=1.0)
    by_option = {each.option: each for each in advice.tried}
    steady = by_option["--steady"]
    assert steady.before == pytest.approx(3, rel=0.01) and steady.helps and steady.after is not None
    assert steady.after == pytest.approx(0.4 / 1.6 * 3, rel=0.02), "a mean that keeps 0.6 of what was"
    assert advice.best == steady


def test_rules_ask_for_a_cause() -> None:
    def asked(
        settings: EngineSettings, engine: str = "rvm", ratio: float = 0.4, level: int = 120, side: int = 80
    ) -> list[str]:
        info = EngineInfo(engine, "", "cpu", "CPU", "fp32", ratio)
        image = np.full((160, 320, 3), level, np.uint8)
        sample = Sample(Window(0, (image,), (0.0,)), (square(side=side),), ())
        high = {each.name: Summary(9.0, 9.0, 9.0, 9) for each in FIGURES}
        return [each.option for each in proposals(settings, info, high, [sample])]

    plain = EngineSettings(require_licence=("apache",))
    assert asked(plain) == ["--downsample-ratio 0.6", "--box", "--steady"]
    assert asked(replace(plain, box=True, steady=True), ratio=1.0) == []
    assert asked(plain, side=110, level=30) == ["--downsample-ratio 0.6", "--box", "--steady", "more light"]
    assert asked(plain, engine="lite", level=30, side=120) == ["more light"], "it is steady, and RVM is refused"
    low = {each.name: Summary(0.0, 0.0, 0.0, 9) for each in FIGURES}
    assert [*proposals(plain, EngineInfo("rvm", "", "cpu", "CPU", "fp32", 0.4), low, [])] == []


def test_what_is_kept_for_trying_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those windows that look worst are kept, as many as fit; at least one."""
    size = GREY.nbytes

    def sample(number: int, flickers: float) -> Sample:
        return Sample(Window(number, (GREY,), (0.0,)), (square(),), (Judged(number, 0.0, {"flicker": flickers}),))

    def kept(limit: int) -> list[int]:
        monkeypatch.setattr("rvm_live.apps.check.run._SAMPLE_BYTES", limit)
        samples: list[Sample] = []
        for number, flickers in enumerate((1.0, 5.0, 2.0, 4.0, 3.0)):
            samples = _worst_samples([*samples, sample(number, flickers)])
        return [each.window.first for each in samples]

    assert kept(100 * size) == [1, 3, 4]
    assert kept(2 * size) == [1, 3]
    assert kept(size // 2) == [1]
