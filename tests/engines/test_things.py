"""--chair keep: recorded things stay in the picture, as long as the camera has not moved."""

from __future__ import annotations

import stat
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import EngineError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.settings import EngineSettings
from rvm_live.core.things import Things
from rvm_live.engines.things import rooms
from rvm_live.engines.things.engine import ThingsEngine
from rvm_live.engines.things.mask import things_in
from rvm_live.engines.things.rooms import Room
from tests.engines.test_only_me import Given

WIDTH, HEIGHT = 640, 360
CHAIR = (slice(150, 330), slice(80, 230))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def empty(data: Path) -> Bytes:
    """A real room without people."""
    picture = cv2.imread(str(data / "clips" / "backgrounds" / "dav2_demo03.jpg"))
    return np.asarray(cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def with_chair(empty: Bytes) -> Bytes:
    picture = empty.copy()
    picture[CHAIR] = (30, 60, 170)
    picture[200:230, 80:230] = (160, 40, 40)
    return picture


def noisy(picture: Bytes, seed: int = 0, gain: float = 1.0) -> Bytes:
    noise = np.random.default_rng(seed).normal(0, 3, picture.shape)
    return np.asarray(np.clip(picture * gain + noise, 0, 255), np.uint8)


class Run:
    """Sends frames through the engine; a person stands on the right."""

    def __init__(self, kind: str = "bytes", chair: str = "keep", label: str = "camera 0 (X)") -> None:
        self.inner = Given(EngineSettings())
        self.inner.kind = kind
        self.inner.alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
        self.inner.alpha[60:, 400:520] = 255
        self.notices, self.asked = Notices(), Things(chair)
        self.engine = ThingsEngine(self.inner, self.asked, lambda: label, self.notices)
        self.seq = 0

    def __call__(self, image: Bytes, times: int = 1) -> Matte:
        for _ in range(times):
            image = noisy(image, self.seq)
            made = self.engine.matte(Frame(image, self.seq, 0, self.seq * 33_000_000))
            self.seq += 1
        return made

    @property
    def told(self) -> list[str]:
        return list(self.notices.messages)


def test_the_mask_is_what_was_put_there(empty: Bytes) -> None:
    mask = things_in(noisy(empty, 1), noisy(with_chair(empty), 2, gain=0.85)) > 127  # with another exposure
    truth = np.zeros_like(mask)
    truth[CHAIR] = True
    assert np.count_nonzero(mask & truth) / np.count_nonzero(mask | truth) > 0.9


def test_the_same_room_has_no_things(empty: Bytes) -> None:
    assert np.count_nonzero(things_in(noisy(empty, 1), noisy(empty, 2, gain=1.2))) < 0.001 * WIDTH * HEIGHT


@pytest.mark.parametrize("kind", ["bytes", "numbers", "tensor", "estimate"])
def test_the_things_stay_beside_the_person_in_their_own_colours(home: Path, empty: Bytes, kind: str) -> None:
    rooms.keep(Room("camera 0 (X)", empty, with_chair(empty)))
    run = Run(kind)
    matte = run(with_chair(empty))
    alpha, foreground = matte.host().alpha, matte.host().foreground
    assert (alpha[run.inner.alpha == 255] == 255).all()
    chair = alpha[170:310, 100:210]
    assert np.count_nonzero(chair == 255) > 0.97 * chair.size
    assert (foreground[170:310, 100:210][chair > 0] == matte.frame.image[170:310, 100:210][chair > 0]).all()
    assert not alpha[:100, :60].any()  # nothing else of the room
    assert not foreground[:100, :60].any()


@pytest.mark.parametrize("kind", ["bytes", "estimate"])
def test_dropped_the_matte_is_as_it_was(home: Path, empty: Bytes, kind: str) -> None:
    rooms.keep(Room("camera 0 (X)", empty, with_chair(empty)))
    run = Run(kind, "drop")
    matte = run(with_chair(empty))
    if kind == "bytes":
        assert matte.alpha is run.inner.alpha
    else:
        assert matte.deferred is not None
    assert (matte.host().alpha == run.inner.alpha).all()


@pytest.mark.slow
def test_a_camera_that_moved_is_told_and_nothing_of_the_room_is_seen(home: Path, empty: Bytes) -> None:
    rooms.keep(Room("camera 0 (X)", empty, with_chair(empty)))
    run, chair = Run(), with_chair(empty)
    assert run(chair, 60).host().alpha[240, 150] == 255
    assert not run.told
    moved = np.roll(chair, 14, axis=1)
    assert run(moved, 60).host().alpha[240, 150] == 0
    assert "the camera has moved" in run.told[0]
    assert run(chair, 60).host().alpha[240, 150] == 255
    assert "the room is as in its pictures again" in run.told[1]


def test_where_it_had_moved_before_nothing_of_the_room_is_seen_for_a_frame(home: Path, empty: Bytes) -> None:
    rooms.keep(Room("camera 0 (X)", empty, with_chair(empty)))
    run = Run()
    moved = np.roll(with_chair(empty), 14, axis=1)
    for _ in range(20):
        assert (run(moved).host().alpha == run.inner.alpha).all()
    assert "the camera has moved" in run.told[0]


def test_after_a_cut_the_first_look_decides(home: Path, empty: Bytes) -> None:
    rooms.keep(Room("camera 0 (X)", empty, with_chair(empty)))
    run, chair = Run(), with_chair(empty)
    elsewhere = np.roll(chair, 14, axis=1)
    run(chair, 20)
    for scene, seen in ((elsewhere, 0), (chair, 255), (elsewhere, 0)):
        run.engine.reset()
        assert run(scene).host().alpha[240, 150] == seen


@pytest.mark.slow
def test_what_it_has_seen_can_be_written_down_and_taken_up(home: Path, empty: Bytes) -> None:
    rooms.keep(Room("camera 0 (X)", empty, with_chair(empty)))
    runs, moved = (Run(), Run()), np.roll(with_chair(empty), 14, axis=1)
    runs[0](with_chair(empty), 16)
    runs[0](moved, 20)
    states = runs[0].engine.states()
    assert states is not None
    runs[1].seq = runs[0].seq
    runs[1].engine.restore(states)
    found = [[int(run(moved).host().alpha[240, 150]) for _ in range(30)] for run in runs]
    assert found[0] == found[1]
    assert set(found[0]) == {0, 255}
    with pytest.raises(EngineError, match="does not fit"):
        runs[1].engine.restore([])


def test_a_lamp_moves_no_camera(home: Path, empty: Bytes) -> None:
    rooms.keep(Room("camera 0 (X)", empty, with_chair(empty)))
    run = Run()
    darker = np.asarray(with_chair(empty) * (0.6, 0.7, 0.8), np.uint8)
    assert run(darker, 60).host().alpha[240, 150] == 255
    assert not run.told


def test_where_the_chair_was_taken_away_the_wall_is_not_shown(home: Path, empty: Bytes) -> None:
    rooms.keep(Room("camera 0 (X)", empty, with_chair(empty)))
    run = Run()
    run(with_chair(empty), 20)
    assert run(empty, 60).host().alpha[240, 150] == 0
    assert "the things are no longer where they were" in run.told[0]


def test_without_pictures_it_is_told_once(home: Path, empty: Bytes) -> None:
    run = Run()
    assert (run(empty, 5).host().alpha == run.inner.alpha).all()
    assert len(run.told) == 1
    assert "there are no pictures of it from camera 0 (X)" in run.told[0]


def test_pictures_of_another_shape_are_told(home: Path, empty: Bytes) -> None:
    narrow = np.ascontiguousarray(empty[:, :480])
    rooms.keep(Room("camera 0 (X)", narrow, np.asarray(255 - narrow, np.uint8)))
    run = Run()
    assert (run(empty).host().alpha == run.inner.alpha).all()
    assert "another aspect ratio" in run.told[0]


def test_a_frame_that_is_mirrored_has_its_things_mirrored(home: Path, empty: Bytes) -> None:
    rooms.keep(Room("camera 0 (X)", empty, with_chair(empty)))
    run = Run()
    run.asked.mirrored = True
    alpha = run(np.ascontiguousarray(with_chair(empty)[:, ::-1])).host().alpha
    assert (alpha[170:310, WIDTH - 200 : WIDTH - 110] == 255).all()


def test_rooms_are_kept_whole_for_the_user_alone_and_forgotten(home: Path, empty: Bytes) -> None:
    rooms.keep(Room("camera 0 (X)", empty))
    rooms.keep(Room("stream http://x/y", empty, with_chair(empty)))
    path = rooms.path_of("camera 0 (X)")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(each.name for each in path.parent.iterdir()) == sorted(
        rooms.path_of(each.label).name for each in rooms.rooms()
    )
    room = rooms.load("stream http://x/y")
    assert room is not None
    assert room.things is not None
    assert (room.things == with_chair(empty)).all()
    rooms.path_of("camera 0 (X)").write_bytes(b"PK\x03\x04 no such thing")
    assert rooms.load("camera 0 (X)") is None
    assert rooms.forget("camera 0 (X)")
    assert not rooms.forget("camera 0 (X)")
    assert [each.label for each in rooms.rooms()] == ["stream http://x/y"]


def test_on_a_device_it_is_the_same(home: Path, empty: Bytes) -> None:
    rooms.keep(Room("camera 0 (X)", empty, with_chair(empty)))
    run = Run()
    run(with_chair(empty))
    assert run.engine._mask is not None
    plain = run.inner.matte(Frame(noisy(with_chair(empty)), 0, 0, 0))
    tensors = Matte(plain.frame, torch.from_numpy(run.inner.alpha))
    host = run.engine._joined(plain, run.engine._mask).host()
    device = run.engine._joined_on_device(tensors, run.engine._mask).host()
    assert (host.alpha == device.alpha).all()
    assert (host.foreground == device.foreground).all()
