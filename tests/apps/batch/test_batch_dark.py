"""Brightening dark films and keeping a room's things: the same bytes each time, also after a run was interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from rvm_live.apps.batch.segments import Segments
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import SinkError
from rvm_live.engines.things import rooms
from rvm_live.engines.things.rooms import Room
from rvm_live.sources.low_light import LowLight
from tests.support.movies import make_movie
from tests.support.program import Outcome, call

WIDTH, HEIGHT = 160, 96
CHAIR = (slice(50, 90), slice(100, 140))
REMEMBERING = ("--engine", "tests.support.engines:RememberingEngine", "--background", "#000000")
COUNTING = ("--engine", "tests.support.engines:CountingEngine", "--background", "#000000")
LEFT = ("--engine", "tests.support.engines:LeftHalfEngine", "--background", "#000000")
FILM = ("--container", "png", "--write", "composite,alpha", "--fps", "24", "--segment", "1", "--seq-chunk", "6",
        "--name-template", "{name}")  # fmt: skip
LIT = ("--low-light", "auto")


def room(*, chair: bool) -> Bytes:
    rng = np.random.default_rng(7)
    small = rng.integers(40, 220, (HEIGHT // 4, WIDTH // 4, 3), dtype=np.uint8)
    picture = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    if chair:
        picture[CHAIR] = (30, 60, 200)
    return np.asarray(picture, np.uint8)


def film(folder: Path, pictures: list[Bytes]) -> Path:
    folder.mkdir()
    for number, picture in enumerate(pictures):
        assert cv2.imwrite(str(folder / f"{number:04d}.png"), picture)
    return folder


def darkening(frames: int) -> list[Bytes]:
    """Noisy moving pictures that get darker; one picture comes twice, where an interrupted run continues."""
    made = []
    for number in range(frames):
        rng = np.random.default_rng(number)
        picture = np.roll(room(chair=False), number // 3, axis=1) * max(0.1, 0.6 - number / 60)
        made.append(np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8))
    made[24] = made[23]
    return made


def moving(frames: int) -> list[Bytes]:
    """A room with a chair, and for some frames another view: two of three looks agree, and the third is after a
    segment's end."""
    there = room(chair=True)
    return [np.roll(there, 20 if number >= 40 else 0, axis=1) for number in range(frames)]


def made(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in sorted(folder.rglob("*.png"))}


def work(clip: Path, out: Path, *more: str) -> Outcome:
    done = call("batch", clip, "-o", out, *FILM, *more)
    assert done.code == 0, done.out + done.err
    return done


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("pictures", "more"),
    [
        pytest.param(darkening, (*LIT, *REMEMBERING), id="dark"),
        pytest.param(darkening, (*LIT, *REMEMBERING, "--start", "5"), id="part", marks=pytest.mark.slow),
        pytest.param(darkening, (*LIT, *COUNTING), id="an engine without a state", marks=pytest.mark.slow),
        pytest.param(moving, ("--chair", "keep", *REMEMBERING), id="a chair", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_goes_on_gives_the_bytes_of_one_that_was_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: Callable[[int], list[Bytes]], more: tuple[str, ...]
) -> None:
    rooms.keep(Room("camera 0 (X)", room(chair=False), room(chair=True)))
    clip = film(tmp_path / "clip", pictures(82))
    work(clip, tmp_path / "whole", *more)
    with monkeypatch.context() as stopped:
        done = Segments.done

        def refused(self: Segments, track: str, number: int, pts: list[int]) -> None:
            if number == 3:
                raise SinkError("the disk is full")
            done(self, track, number, pts)

        stopped.setattr(Segments, "done", refused)
        assert call("batch", clip, "-o", tmp_path / "cut", *FILM, *more).code == 1
    event = json.loads(work(clip, tmp_path / "cut", *more, "--resume", "--json").out.splitlines()[-1])
    assert event["resumed"] == 72
    whole = made(tmp_path / "whole")
    assert made(tmp_path / "cut") == whole
    assert len(whole) == 2 * (77 if "--start" in more else 82)


@pytest.mark.parametrize("lost", ["light-00002.npz", "light-*.npz"])
def test_without_what_was_followed_a_run_goes_on_where_it_is_known(tmp_path: Path, lost: str) -> None:
    segments = Segments(tmp_path / "parts", ("alpha",), 24, {}, ("light",))
    segments.begin(resume=False)
    for number in range(2):
        (tmp_path / "parts" / "alpha").mkdir(exist_ok=True)
        for frame in range(24):
            (tmp_path / "parts" / "alpha" / f"{24 * number + frame:06d}.png").write_bytes(b"x")
        segments.keep(number + 1, LowLight().memory, "light")
        segments.done("alpha", number, list(range(24 * number, 24 * number + 24)))
    for path in segments.folder.glob(lost):
        path.unlink()
    again = Segments(tmp_path / "parts", ("alpha",), 24, {}, ("light",))
    again.begin(resume=True)
    assert (again.start, bool(again.note)) == (0 if "*" in lost else 24, True)


def test_dark_films_are_made_brighter_for_network_and_viewer_and_it_is_told(tmp_path: Path) -> None:
    dark = [np.full((HEIGHT, WIDTH, 3), 12, np.uint8) for _ in range(5)]
    clip = film(tmp_path / "clip", dark)
    work(clip, tmp_path / "as it is", *LEFT)
    event = json.loads(work(clip, tmp_path / "lit", *LEFT, *LIT, "--json").out.splitlines()[-1])
    before, after = (
        cv2.imread(str(tmp_path / out / "clip" / "000003.png"))[:, : WIDTH // 2] for out in ("as it is", "lit")
    )
    assert set(before.flatten()) == {12}
    assert set(after.flatten()) == set(LowLight(on=True)(dark[0], 0).flatten()) != {12}
    assert event["low_light_gain"] == 4.0
    assert "dark pictures made brighter: shadows by up to 4.0 times" in event["notes"]
    log = (tmp_path / "lit" / "log_clip.txt").read_text()
    assert "low light        auto" in log and "shadows by up to 4.0 times" in log
    again = call("batch", clip, "-o", tmp_path / "lit", *FILM, *LEFT)
    assert again.code == 1 and "made with dark pictures treated otherwise" in again.out


@pytest.mark.slow
def test_what_is_bright_or_not_asked_for_stays_as_it_is(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=6, size=(640, 384), sound=())
    bright = film(tmp_path / "bright", [np.full((HEIGHT, WIDTH, 3), 200, np.uint8)] * 3)
    for source in (clip, bright):
        for out, more in (("a", ()), ("b", ("--low-light", "off", "--chair", "drop")), ("c", LIT)):
            done = work(source, tmp_path / out, *LEFT, *more, "--json")
            assert "low_light_gain" not in done.out or source == clip
    one, other, lit = (made(tmp_path / out) for out in "abc")
    assert one == other
    assert {name: data for name, data in lit.items() if "bright" in name} == {
        name: data for name, data in one.items() if "bright" in name
    }
    record = json.loads((tmp_path / "b" / ".clip.made.json").read_text())["clip"]["of"]
    assert "low light" not in record and "room" not in record, "what was made before is known again"


def test_things_of_a_room_stay_by_its_name(tmp_path: Path) -> None:
    rooms.keep(Room("camera 0 (Studio)", room(chair=False), room(chair=True)))
    rooms.keep(Room("camera 1 (Desk)", room(chair=False)[:, ::-1], room(chair=True)[:, ::-1]))
    clip = film(tmp_path / "clip", [room(chair=True)] * 3)
    work(clip, tmp_path / "out", *LEFT, "--chair", "keep", "--room", "studio")
    alpha = cv2.imread(str(tmp_path / "out" / "clip_alpha" / "000001.png"), cv2.IMREAD_GRAYSCALE)
    assert (alpha[:, : WIDTH // 2] == 255).all()
    assert (alpha[54:86, 104:136] == 255).all() and not alpha[:40, WIDTH // 2 :].any()
    composite = cv2.imread(str(tmp_path / "out" / "clip" / "000001.png"))
    assert (composite[60:80, 110:130] == (30, 60, 200)).all()
    other = call("batch", clip, "-o", tmp_path / "out", *FILM, *LEFT, "--chair", "keep", "--room", "Desk")
    assert other.code == 1 and "made with the things of another room" in other.out
    # Nothing is kept from a camera in another room, and the run says so.
    told = work(clip, tmp_path / "desk", *LEFT, "--chair", "keep", "--room", "camera 1 (Desk)").out
    assert "the camera has moved" in told


@pytest.mark.parametrize(
    ("kept", "more", "words"),
    [
        ((), ("--chair", "keep"), "no room with things in it is kept: take one with `rvm-live room --record`"),
        (("a", "b"), ("--chair", "keep"), "more than one room is kept: name one of them with --room: a, b"),
        (("ax", "bx"), ("--chair", "keep", "--room", "x"), "'x' is more than one room: name one of them"),
        (("a",), ("--chair", "keep", "--room", "z"), "'z' is no room: name one of them with --room: a"),
        (("a",), ("--room", "a"), "--room is for the things of a room: add --chair keep"),
        ((), ("--low-light", "on"), "low-light"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path: Path, kept: tuple[str, ...], more: tuple[str, ...], words: str) -> None:
    for label in kept:
        rooms.keep(Room(label, room(chair=False), room(chair=True)))
    clip = film(tmp_path / "clip", [room(chair=True)] * 2)
    done = call("batch", clip, "-o", tmp_path / "out", *LEFT, *more)
    assert done.code == 2 and words in done.err and "Traceback" not in done.err
    assert not (tmp_path / "out").exists()
