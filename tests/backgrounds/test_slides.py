"""The slide show: order, times, crossfade, a folder that changes, pictures that cannot be shown."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from rvm_live.apps.batch.made import _background
from rvm_live.backgrounds.base import Plate
from rvm_live.backgrounds.cycle import BackgroundCycle
from rvm_live.backgrounds.parse import parse
from rvm_live.backgrounds.slides import SlideShow
from rvm_live.cli.params import absolute_place
from rvm_live.core.errors import BackgroundError, SettingsError
from rvm_live.core.notices import Notices
from rvm_live.sinks.web.gallery import drawn

SECOND = 1_000_000_000


def picture(path: Path, level: int) -> Path:
    assert cv2.imwrite(str(path), np.full((24, 32, 3), level, np.uint8))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "holidays"
    made.mkdir()
    for name, level in (("B.png", 100), ("a.png", 20), ("c.png", 200)):
        picture(made / name, level)
    (made / "notes.txt").write_text("no picture")
    return made


@pytest.fixture
def show(folder: Path) -> Iterator[SlideShow]:
    background = SlideShow(folder, every_s=10)
    background.notices = Notices()
    background.open()
    yield background
    background.close()


def level(background: SlideShow, now_s: float, size: tuple[int, int] = (32, 24)) -> int:
    layer = background.layer(*size, round(now_s * SECOND))
    assert isinstance(layer, Plate) and layer.image.shape == (size[1], size[0], 3)
    assert layer.image.min() == layer.image.max()
    return int(layer.image[0, 0, 0])


class Watched:
    """Asks for a picture four times a second, as a run would, on a clock that only this class moves."""

    def __init__(self, background: SlideShow) -> None:
        self.background, self.now_s = background, 100.0
        self.seen: list[int] = []

    def until(self, now_s: float, *, loaded: bool = True) -> list[int]:
        """The levels that were shown."""
        self.seen = []
        while self.now_s < now_s:
            self.seen.append(level(self.background, self.now_s))
            coming = self.background._coming
            if loaded and coming is not None:
                coming.result(5)
            self.now_s += 0.25
        return self.seen


def test_pictures_come_by_name_each_for_its_time_and_fade_over_a_second(show: SlideShow) -> None:
    watched = Watched(show)
    assert set(watched.until(110)) == {20}
    fading = watched.until(112)
    assert fading[0] == 20 and fading[-1] == 100
    assert all(after >= before for before, after in pairwise(fading))
    assert len({each for each in fading if 20 < each < 100}) == 3  # at four pictures a second
    assert set(watched.until(120.25)) == {100}
    watched.until(122)
    assert set(watched.until(130)) == {200}
    watched.until(132.5)
    assert set(watched.until(140)) == {20}


def test_a_picture_that_stands_is_one_plate_and_a_fade_is_many(show: SlideShow) -> None:
    watched = Watched(show)
    first = show.layer(32, 24, 100 * SECOND)
    watched.until(105)
    assert show.layer(32, 24, 105 * SECOND) == first
    watched.until(111)
    one, other = show.layer(32, 24, round(110.85 * SECOND)), show.layer(32, 24, round(110.9 * SECOND))
    assert one != other


def test_compositing_never_waits_for_the_disk(show: SlideShow, monkeypatch: pytest.MonkeyPatch) -> None:
    from threading import Event

    goes_on, real = Event(), show._following

    def slow(*given: object) -> object:
        assert goes_on.wait(10)
        return real(*given)  # type: ignore[arg-type]

    watched = Watched(show)
    watched.until(105)
    monkeypatch.setattr(show, "_following", slow)
    assert set(watched.until(160, loaded=False)) == {20}
    goes_on.set()
    watched.until(162)
    assert watched.seen[-1] == 100


def test_the_folder_is_read_again(folder: Path, show: SlideShow) -> None:
    watched = Watched(show)
    watched.until(105)
    picture(folder / "ab.png", 60)
    (folder / "B.png").unlink()
    watched.until(115)
    assert watched.seen[-1] == 60
    watched.until(125)
    assert watched.seen[-1] == 200


def test_what_cannot_be_shown_is_told_once_and_passed_over(folder: Path, show: SlideShow) -> None:
    (folder / "B.png").write_bytes(b"no picture at all")
    watched = Watched(show)
    watched.until(115)
    assert watched.seen[-1] == 200
    watched.until(145)
    assert show.notices is not None
    [told] = show.notices.messages
    assert "B.png" in told and "skips it" in told


def test_a_folder_that_goes_leaves_the_picture_that_stands(folder: Path, show: SlideShow) -> None:
    watched = Watched(show)
    watched.until(105)
    shutil.rmtree(folder)
    assert set(watched.until(135)) == {20}
    assert show.notices is not None
    assert show.notices.messages == (f"there is no background folder {folder}: the slide show keeps its picture",)
    folder.mkdir()
    picture(folder / "z.png", 250)
    watched.until(150)
    assert watched.seen[-1] == 250


def test_its_clock_stands_still_while_it_is_not_shown(show: SlideShow) -> None:
    watched = Watched(show)
    watched.until(105)
    watched.now_s += 1000
    assert set(watched.until(1110)) == {20}
    watched.until(1113)
    assert watched.seen[-1] == 100


def test_another_size_is_drawn_at_once(show: SlideShow) -> None:
    watched = Watched(show)
    watched.until(110.75)
    assert level(show, 110.75, (48, 40)) in range(20, 101)
    assert level(show, 110.8, (64, 48)) == 100


def test_over_a_file_each_moment_has_its_own_picture(folder: Path) -> None:
    picture(folder / "b2.png", 150).write_bytes(b"broken")
    show = SlideShow(folder, every_s=10)
    show.exact = True
    show.open()
    try:
        found = {now: level(show, now) for now in (0, 9.9, 10, 10.5, 11, 20.5, 25, 30, 31, 10.5, 0)}
        assert found == {0: 20, 9.9: 20, 10: 20, 10.5: 60, 11: 100, 20.5: 150, 25: 200, 30: 200, 31: 20}
        assert level(show, 71) == 100  # nothing was asked for before
    finally:
        show.close()


@pytest.mark.parametrize(
    ("behind", "every_s"), [("", 300), (":5m", 300), (":90", 90), (":90s", 90), (":1.5m", 90), (":2h", 7200)]
)
def test_how_often_is_written_behind_the_folder(folder: Path, behind: str, every_s: float) -> None:
    [show] = parse(f"slides:{folder}{behind}")
    assert isinstance(show, SlideShow)
    assert (show.path, show.every_s, show.fit, show.label) == (folder, every_s, "cover", "slides holidays")
    [fitted] = parse(f"Slides:{folder}{behind}?fit=contain")
    assert isinstance(fitted, SlideShow)
    assert (fitted.path, fitted.every_s, fitted.fit) == (folder, every_s, "contain")


def test_a_folder_that_is_called_like_a_time(folder: Path) -> None:
    odd = folder.rename(folder.parent / "trip:5m")
    [show] = parse(f"slides:{odd}")
    assert isinstance(show, SlideShow) and show.path == odd and show.every_s == 300
    [show] = parse(f"slides:{odd}:20")
    assert isinstance(show, SlideShow) and show.path == odd and show.every_s == 20


def test_what_is_no_slide_show_is_one_line(folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for spec, words in (
        ("slides:", "does not name a folder: write slides:FOLDER"),
        (f"slides:{folder}:0", "every 1 s to 24 h, not every 0 s"),
        (f"slides:{folder}:25h", "every 1 s to 24 h"),
        (f"slides:{folder}?fit=zoom", "unknown fit 'zoom'"),
        (f"slides:{empty}", "contains no picture"),
        (f"slides:{tmp_path / 'none'}:5m", "there is no background folder .*none$"),
        (f"slides:{folder / 'a.png'}", "is not a folder"),
    ):
        with pytest.raises((SettingsError, BackgroundError), match=words) as caught:
            parse(spec)
        assert "\n" not in str(caught.value)


def test_nothing_but_broken_pictures_is_a_plain_colour_and_told(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"broken")
    notices = Notices()
    cycle = BackgroundCycle(parse(f"slides:{tmp_path}"), notices)
    layer = cycle.layer(32, 24, 0)
    assert isinstance(layer, Plate)
    assert "no picture that can be shown" in notices.fallbacks[-1]
    assert "a.png" in notices.fallbacks[0]  # reported through the cycle
    cycle.close()


def test_other_rooms_know_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [show] = parse(f"slides:{folder}:5m")
    small = drawn(show)
    assert small is not None and small[:2] == b"\xff\xd8"
    once, other = _background(f"slides:{folder}:5m"), _background(f"slides:{folder}:6m")
    assert once != other and once == _background(f"slides:{folder}")
    picture(folder / "d.png", 7)
    assert _background(f"slides:{folder}:5m") != once
    monkeypatch.chdir(folder.parent)
    assert absolute_place("slides:holidays:5m?fit=contain") == f"slides:{folder}:5m?fit=contain"
    assert absolute_place("slides:holidays") == f"slides:{folder}"
    assert absolute_place("slides:nowhere:5m") == "slides:nowhere:5m"


def test_closing_waits_for_what_is_being_read(folder: Path) -> None:
    show = SlideShow(folder, every_s=1)
    show.open()
    level(show, 0)
    for step in range(8):
        level(show, step / 4)
    began = time.monotonic()
    show.close()
    assert time.monotonic() - began < 2
