"""Running the network only around the person, and only on motion: nobody is lost, and the room is never shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvm_live.core.arrays import Bytes, Floats
from rvm_live.core.errors import EngineError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine
from rvm_live.engines.common.ladder import low_size, state_shapes
from rvm_live.engines.focus.focus import Focus
from rvm_live.engines.focus.motion_gate import MOST_SKIPPED, MOST_STILL, MotionGate
from rvm_live.engines.focus.person_box import MARGIN, SETTLE, PersonBox
from rvm_live.engines.focus.region import GRID, Region, around, moved, placed, whole
from rvm_live.engines.lite.engine import LiteEngine
from rvm_live.engines.onnx.engine import OnnxEngine
from rvm_live.engines.rvm.openvino.cache import OpenVinoCache
from rvm_live.engines.rvm.openvino.engine import OpenVinoEngine
from rvm_live.engines.rvm.torch.engine import RvmEngine
from rvm_live.engines.torchscript import TorchScriptEngine
from tests.support.onnx_files import save_fixed
from tests.support.scripted import save_scripted
from tests.support.videos import read_frames

SIZE = (320, 180)
SKIN, ROOM = 230, 60


class Sharp:
    """A network that finds whatever is as bright as :data:`SKIN`, and remembers what it saw, one pixel for each
    cell."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.seen: list[Bytes] = []
        self.begun: list[list[Floats]] = []
        self.reset()

    def run(self, picture: Bytes) -> list[Floats]:
        assert picture.shape == (self.size[1], self.size[0], 3)
        self.seen.append(picture)
        self.begun.append(self.states)
        grey = picture.mean(axis=2).astype(np.float32)
        # As at a real edge, half of alpha is in the slope, and it holds within one cell of the grid.
        person = (grey > (SKIN + ROOM) / 2).astype(np.float32)
        self.states = [grey[None, None, ::2, ::2].copy(), grey[None, None, ::16, ::16].copy()]
        slope = person * 0.5
        return [slope, 255 * person - slope * SKIN]

    def reset(self) -> None:
        width, height = self.size
        self.states = [np.zeros((1, 1, -(-height // cell), -(-width // cell)), np.float32) for cell in (2, 16)]


class Networks:
    """One network for each size, made on demand."""

    def __init__(self) -> None:
        self.made: dict[tuple[int, int], Sharp] = {}
        self.asked: list[tuple[int, int]] = []

    def __call__(self, size: tuple[int, int]) -> Sharp:
        self.asked.append(size)
        return self.made.setdefault(size, Sharp(size))

    @property
    def runs(self) -> int:
        return sum(len(each.seen) for each in self.made.values())


def room(*people: tuple[int, int, int, int], light: int = ROOM, shift: int = 0) -> Bytes:
    """A picture of the small size with people (left, top, width, height) in a room with some structure."""
    ys, xs = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    grey = light + 14 * np.sin((xs + shift) / 9.0) + 14 * np.sin((ys + shift) / 11.0)
    picture = np.clip(grey, 0, 255).astype(np.uint8)
    for left, top, width, height in people:
        picture[max(0, top) : top + height, max(0, left) : max(0, left + width)] = SKIN
    return np.ascontiguousarray(np.repeat(picture[..., None], 3, axis=2))


def alpha_of(model: Sequence[Floats], picture: Bytes) -> Floats:
    return np.clip(model[0] * picture.mean(axis=2) + model[1], 0, 255)


def share_seen(alpha: Floats, person: tuple[int, int, int, int]) -> float:
    left, top, width, height = person
    part = alpha[max(0, top) : top + height, max(0, left) : max(0, left + width)]
    return float(part.mean()) / 255 if part.size else 1.0


SITTING = (120, 40, 70, 140)


def settled(*, gate: bool = False) -> tuple[Focus, Networks]:
    """A focus that has seen somebody sit long enough to have a box."""
    networks = Networks()
    focus = Focus(SIZE, networks, box=True, gate=gate)
    for _ in range(SETTLE + 2):
        focus.run(room(SITTING))
    assert focus.words.startswith("box")
    return focus, networks


# Geometry -------------------------------------------------------------------------------------------------------


@given(st.data(), st.tuples(st.integers(17, 520), st.integers(17, 300)))
def test_a_box_lies_on_the_grid_and_reaches_the_lower_edge(data: st.DataObject, size: tuple[int, int]) -> None:
    left = data.draw(st.integers(0, size[0] - 1))
    top = data.draw(st.integers(0, size[1] - 1))
    person = Region(left, top, data.draw(st.integers(left + 1, size[0])), data.draw(st.integers(top + 1, size[1])))
    box = around(person, MARGIN, size)
    assert box.left % GRID == 0 and box.top % GRID == 0
    assert box.right % GRID == 0 or box.right == size[0]
    assert box.bottom == size[1]
    assert box.holds(person, MARGIN, size)
    assert box.right - box.left - (person.right - person.left) < 2 * MARGIN + 4 * GRID


def test_people_meet_few_sizes() -> None:
    boxes = (around(Region(x, y, x + w, 180), MARGIN, SIZE) for x in range(220) for y in (5, 40, 90) for w in (50, 100))
    assert len({box.size for box in boxes}) <= 12


@given(st.data(), st.tuples(st.integers(40, 200), st.integers(40, 150)))
def test_states_move_by_whole_cells_and_come_back(data: st.DataObject, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(size[0])
    states = [rng.normal(size=shape).astype(np.float32) for shape in state_shapes("mobilenetv3", *size)]
    columns = data.draw(st.tuples(st.integers(0, size[0] // GRID - 1), st.integers(1, 9)))
    left = columns[0] * GRID
    box = Region(left, GRID, min(size[0], left + columns[1] * GRID), size[1])
    cut = moved(states, whole(size), box)
    assert [each.shape for each in cut] == state_shapes("mobilenetv3", *box.size)
    for state, part, cell in zip(states, cut, (2, 4, 8, 16), strict=True):
        expected = state[:, :, GRID // cell :, left // cell : -(-box.right // cell)]
        assert np.array_equal(part, expected)
    back = moved(cut, box, whole(size))
    for state, there, cell in zip(states, back, (2, 4, 8, 16), strict=True):
        inside = np.zeros(state.shape, bool)
        inside[:, :, GRID // cell :, left // cell : -(-box.right // cell)] = True
        assert np.array_equal(there[inside], state[inside]) and not there[~inside].any()


def test_outside_of_the_box_is_nobody_and_the_pictures_own_colour() -> None:
    parts = [np.full((8, 8), 3, np.float32)] * 2 + [np.full((8, 8, 3), 3, np.float32)] * 2
    slope, offset, colour_slope, colour_offset = placed(parts, Region(4, 2, 12, 10), (20, 10))
    outside = np.ones((10, 20), bool)
    outside[2:10, 4:12] = False
    assert not slope[outside].any() and not offset[outside].any() and not colour_offset[outside].any()
    assert (colour_slope[outside] == 1).all() and (colour_slope[~outside] == 3).all()


# The box --------------------------------------------------------------------------------------------------------


def test_the_first_frames_are_seen_whole_and_then_less() -> None:
    networks = Networks()
    focus = Focus(SIZE, networks, box=True, gate=False)
    for _ in range(SETTLE):
        focus.run(room(SITTING))
        assert focus.words == ""
    model = focus.run(room(SITTING))
    assert focus.words == "box 40 %" and networks.made[(128, 180)].seen
    assert share_seen(alpha_of(model, room(SITTING)), SITTING) == 1
    focus.reset()
    focus.run(room(SITTING))
    assert focus.words == "" and networks.asked[-1] == SIZE


@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize("from_left", [False, True])
def test_whoever_walks_in_is_never_lost(from_left: bool, gate: bool) -> None:
    focus, _ = settled(gate=gate)
    for step in range(1, 40):
        left = 4 * step - 40 if from_left else SIZE[0] - 4 * step
        walking = (left, 60, 40, 120)
        picture = room(SITTING, walking)
        alpha = alpha_of(focus.run(picture), picture)
        inside = min(left + 40, SIZE[0]) - max(left, 0)
        if inside > 8:  # more than a sleeve
            assert share_seen(alpha, walking) > 0.9, f"lost at step {step}"


def test_whoever_comes_slowly_is_not_lost_either() -> None:
    focus, _ = settled(gate=True)
    for step in range(1, 60):
        coming = (SIZE[0] - step, 60, 60, 120)
        picture = room(SITTING, coming)
        alpha = alpha_of(focus.run(picture), picture)
        assert step < 16 or share_seen(alpha, coming) > 0.8, f"lost at step {step}"


def test_a_camera_that_slides_slowly_moves_nothing(clip: list[Frame]) -> None:
    """The room behind a sitting person: in each frame its edges move by a fraction of a pixel."""
    box = PersonBox(SIZE)
    alpha = np.zeros(SIZE[::-1], np.float32)
    alpha[10:, 105:255] = 255
    regions = []
    for frame in clip[::2]:
        region = box.look(cv2.cvtColor(cv2.resize(frame.image, SIZE), cv2.COLOR_BGR2GRAY))
        box.found(np.ascontiguousarray(alpha[region.slices]))
        regions.append(region)
    assert regions[-1].area < 0.7 * whole(SIZE).area and len(set(regions)) == 2


def test_whoever_walks_in_and_stands_stays() -> None:
    focus, _ = settled()
    for step in range(1, 90):
        walking = (max(240, SIZE[0] - 6 * step), 60, 40, 120)
        picture = room(SITTING, walking)
        alpha = alpha_of(focus.run(picture), picture)
    assert share_seen(alpha, walking) == 1 and share_seen(alpha, SITTING) == 1


def test_who_leaves_may_come_back_anywhere() -> None:
    focus, _ = settled(gate=True)
    for step in range(30):
        focus.run(room((120 - 8 * step, 40, 70, 140)))
    for _ in range(40):
        focus.run(room())
    assert not focus.words.startswith("box")
    for step in range(1, 20):
        person = (SIZE[0] - 10 * step, 30, 70, 150)
        picture = room(person)
        assert share_seen(alpha_of(focus.run(picture), picture), person) > 0.9


def test_who_stands_there_from_the_beginning_is_in_the_box() -> None:
    networks = Networks()
    focus = Focus(SIZE, networks, box=True, gate=False)
    people = (20, 50, 40, 130), (180, 60, 40, 120)
    for _ in range(60):
        picture = room(*people)
        alpha = alpha_of(focus.run(picture), picture)
    assert all(share_seen(alpha, each) == 1 for each in people)


def test_a_camera_that_pans_is_seen_whole_until_it_rests() -> None:
    focus, _ = settled()
    for step in range(1, 20):
        other = (SIZE[0] + 40 - 8 * step, 50, 40, 130)
        picture = room((120 - 4 * step, 40, 70, 140), other, shift=12 * step)
        alpha = alpha_of(focus.run(picture), picture)
        assert not focus.words.startswith("box")
        assert share_seen(alpha, other) == 1
    for _ in range(60):
        focus.run(picture)
    assert focus.words.startswith("box")


@pytest.mark.parametrize(
    "person", [(0, 40, 60, 140), (260, 40, 60, 140), (120, 0, 60, 180), (0, 0, 320, 180), (150, 170, 20, 10)]
)
def test_a_box_at_the_edges(person: tuple[int, int, int, int]) -> None:
    focus = Focus(SIZE, Networks(), box=True, gate=False)
    for _ in range(SETTLE + 10):
        picture = room(person)
        assert share_seen(alpha_of(focus.run(picture), picture), person) == 1


def test_the_box_follows_at_once_and_shrinks_late() -> None:
    focus, networks = settled()
    for left in range(120, 200, 5):  # as fast as people get up
        person = (left, 40, 70, 140)
        picture = room(person)
        assert share_seen(alpha_of(focus.run(picture), picture), person) > 0.95
    sizes = set(networks.asked[-10:])
    for _ in range(29):
        focus.run(room(person))
    assert min(networks.asked[-20:]) >= min(sizes)


def test_states_are_those_of_the_same_places() -> None:
    """A place's remembered state is still at that place after the box has changed."""
    focus, networks = settled()
    before = focus.states[:2]
    assert all(state[0, 0, 96 // cell, 144 // cell] == SKIN for state, cell in zip(before, (2, 16), strict=True))
    focus.run(room(SITTING, (230, 120, 30, 60)))
    assert focus.words not in ("", "box 40 %")
    begun = networks(focus._region.size).begun[-1]
    for state, expected in zip(begun, moved(before, whole(SIZE), focus._region), strict=True):
        assert np.array_equal(state, expected) and state.any()


# The gate -------------------------------------------------------------------------------------------------------


def test_where_nothing_moves_the_network_rests_and_where_a_trifle_does_it_sees_one_frame_of_three() -> None:
    for trifle, of in ((False, MOST_STILL + 1), (True, MOST_SKIPPED + 1)):
        focus, networks = settled(gate=True)
        before = networks.runs
        for turn in range(3 * (MOST_STILL + 1)):
            picture = room(SITTING)
            picture[SITTING[1] + 20, SITTING[0] + 2 + turn % 60] = 0  # one flickering pixel
            picture = picture if trifle else room(SITTING)
            assert share_seen(alpha_of(focus.run(picture), picture), SITTING) > 0.99
            assert focus.spared == (networks.runs == before)
            before = networks.runs
        assert networks.runs - SETTLE - 2 <= 3 * (MOST_STILL + 1) / of + 2
        assert focus.words == f"box 40 %, 1 of {of} frames"


def test_what_nobody_moved_in_is_the_very_same_model_until_something_does() -> None:
    rng = np.random.default_rng(0)

    def noisy(person: tuple[int, int, int, int]) -> Bytes:
        return np.clip(room(person) + rng.normal(0, 1, (180, 320, 1)), 0, 255).astype(np.uint8)

    for box in (False, True):
        networks = Networks()
        focus = Focus(SIZE, networks, box=box, gate=True)
        found = [focus.run(noisy(SITTING)) for _ in range(SETTLE + 12)]
        ran = networks.runs
        assert all(each is found[-1] for each in found[-8:])
        assert focus.run(noisy((SITTING[0] + 12, *SITTING[1:]))) is not found[-1] and networks.runs == ran + 1


@pytest.mark.parametrize("frames_a_pixel", [3, 8, 20])
def test_who_begins_to_move_slowly_is_never_far_from_the_alpha(frames_a_pixel: int) -> None:
    """A quarter of a pixel per frame is no motion between two frames, but adds up to one."""
    focus, networks = settled(gate=True)
    for _ in range(MOST_STILL // 2):
        focus.run(room(SITTING))
    before = networks.runs
    for turn in range(80):
        person = (SITTING[0] + turn // frames_a_pixel, *SITTING[1:])
        picture = room(person)
        alpha = alpha_of(focus.run(picture), picture)
        assert share_seen(alpha, person) > 0.97 and alpha[:, : max(0, person[0] - 2)].max() < 8
    assert networks.runs - before >= 80 // frames_a_pixel // 2


def test_a_change_too_small_for_the_gate_ends_the_rest_at_once() -> None:
    focus, networks = settled(gate=True)
    for _ in range(MOST_STILL // 2):
        focus.run(room(SITTING))
    before, picture = networks.runs, room(SITTING)
    picture[100:103, 150:153] -= 40
    focus.run(picture)
    assert networks.runs == before + 1


@pytest.mark.slow
def test_a_jump_is_never_skipped_and_shows_no_room() -> None:
    """Whatever the person does right after the network ran, or while it rests."""
    for waited in range(MOST_SKIPPED + 1):
        for step in (-60, -20, -8, 8, 20, 60):
            focus, networks = settled(gate=True)
            while True:  # until the network has just run
                before = networks.runs
                focus.run(room(SITTING))
                if networks.runs > before:
                    break
            for _ in range(waited):
                focus.run(room(SITTING))
            before = networks.runs
            person = (SITTING[0] + step, *SITTING[1:])
            picture = room(person)
            alpha = alpha_of(focus.run(picture), picture)
            assert networks.runs == before + 1
            truth = np.zeros(alpha.shape, bool)
            truth[40:180, person[0] : person[0] + 70] = True
            assert not (alpha[~truth] >= 8).any() and share_seen(alpha, person) == 1


def test_where_an_old_model_meets_a_new_picture_nothing_is_lit_far_from_the_person() -> None:
    """A slope left over from a bright room would light up a lamp, unless alpha there was 0 before."""
    gate = MotionGate()
    gate._runs = SETTLE
    grey = np.full((100, 100), 50, np.uint8)
    alpha = np.zeros((100, 100), np.float32)
    alpha[30:100, 30:70] = 255
    slope = np.full((100, 100), 4, np.float32)
    gate.ran(grey, [slope, alpha - slope * 50], alpha)
    lit = grey.copy()
    lit[5:10, 85:90] = 255  # a lamp: less than 3 % of the person
    model = gate.again(lit)
    assert model is not None
    found = model[0] * lit + model[1]
    assert found[5:10, 85:90].max() < 8 and found[60, 50] > 250


@pytest.mark.parametrize("change", ["light", "cut", "flash"])
def test_what_changes_everywhere_runs_the_network(change: str) -> None:
    focus, networks = settled(gate=True)
    focus.run(room(SITTING))
    before = networks.runs
    focus.run({"light": room(SITTING, light=80), "cut": room((20, 40, 70, 140)), "flash": room(light=250)}[change])
    assert networks.runs == before + 1


def test_a_small_movement_takes_the_edge_along() -> None:
    """In a skipped frame alpha is where the picture has moved to, not where it was."""
    gate = MotionGate()
    gate._runs = SETTLE
    ys, xs = np.mgrid[0:180, 0:320]
    room_and_person = (90 + 20 * np.sin(xs / 3.0) * np.cos(ys / 4.0)).astype(np.uint8)
    alpha = np.zeros((180, 320), np.float32)
    alpha[30:180, 80:200] = 255
    grey = np.where(alpha > 0, 200, room_and_person).astype(np.uint8)
    gate.ran(grey, [np.zeros_like(alpha), alpha], alpha)
    later = grey.copy()
    later[60:90, 200:203] = 200  # a shoulder rises by three pixels
    model = gate.again(later)
    assert model is not None
    assert model[1][70:80, 201].mean() > 128 and model[1][150, 202] < 8


# Engines --------------------------------------------------------------------------------------------------------


def engine_of(weights: Path, **asked: Any) -> Engine:
    asked = {"downsample_ratio": 0.25, "precision": "fp32", "foreground": "source", **asked}
    engine = OpenVinoEngine(EngineSettings("openvino", weights=weights, **asked))
    engine.open()
    return engine


def alphas(engine: Engine, frames: list[Frame]) -> list[Floats]:
    return [np.asarray(engine.matte(frame).host().alpha, np.float32) for frame in frames]


@pytest.fixture(scope="module")
def clip(data: Path) -> list[Frame]:
    """Forty real frames, 1280x720, of somebody sitting and talking."""
    return read_frames(data / "clips" / "webcam" / "liveportrait_s18.mp4", 40)


@pytest.fixture(scope="module")
def plain(weights: Path, clip: list[Frame]) -> list[Floats]:
    """The network's alpha when it sees everything."""
    engine = engine_of(weights)
    try:
        return alphas(engine, clip)
    finally:
        engine.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked", [{"box": True}, {"gate": True}, {"box": True, "gate": True}, {"keep_up": True, "box": True}]
)
def test_alpha_is_that_of_the_whole_picture(
    weights: Path, clip: list[Frame], plain: list[Floats], asked: dict[str, bool]
) -> None:
    engine = engine_of(weights, **asked)
    try:
        found = alphas(engine, clip)
        told = engine.info.focus
        assert ("box 60 %" in told) == (asked.get("box", False) or asked.get("keep_up", False))
        assert ("frames" in told) == (asked.get("gate", False) or asked.get("keep_up", False))
        engine.reset()
        again = alphas(engine, clip[:4])
    finally:
        engine.close()
    assert all(np.abs(one - other).mean() < 1e-2 for one, other in zip(found[:SETTLE], plain, strict=False))
    apart = [float(np.abs(one - other).mean()) / 255 for one, other in zip(found, plain, strict=True)]
    assert max(apart) < 4e-3 and np.mean(apart) < 2e-3
    if not asked.get("keep_up"):
        assert all(np.array_equal(one, other) for one, other in zip(again, found[:4], strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("gate", [False, True])
def test_a_real_second_person_who_walks_in_is_seen_as_in_the_whole_picture(
    weights: Path, clip: list[Frame], plain: list[Floats], gate: bool
) -> None:
    share = cv2.resize(plain[20][:, ::-1], None, fx=0.6, fy=0.6)[..., None] / 255
    person = cv2.resize(np.ascontiguousarray(clip[20].image[:, ::-1]), None, fx=0.6, fy=0.6)
    frames, places = list(clip[:12]), list[slice]()
    for step, frame in enumerate(clip[12:40], 1):
        # In the second person's picture, 768 pixels wide, the person begins at column 120.
        left = 1280 - 120 - 15 * step
        picture, wide = frame.image.astype(np.float32), min(768, 1280 - left)
        there = picture[720 - 432 :, left : left + wide]
        there += share[:, :wide] * (person[:, :wide] - there)
        frames.append(Frame(picture.astype(np.uint8), frame.seq, 0, frame.captured_ns))
        places.append(slice(left + 120, left + wide))
    found = {}
    for asked in (False, True):
        engine = engine_of(weights, box=asked, gate=asked and gate)
        try:
            found[asked] = alphas(engine, frames)[12:]
        finally:
            engine.close()
    for step, (ours, theirs, place) in enumerate(zip(found[True], found[False], places, strict=True)):
        ours, theirs = (each[720 - 400 :, place].mean() / 255 for each in (ours, theirs))
        if theirs > 0.1:
            assert ours > 0.7 * theirs, f"lost at step {step}: {ours:.2f} of {theirs:.2f}"
    assert theirs > 0.4


@pytest.mark.slow
def test_a_shifted_state_is_as_good_as_one_that_was_always_there(
    weights: Path, clip: list[Frame], plain: list[Floats]
) -> None:
    """After the change to the box the network continues as if it had seen the whole picture; with an empty state it
    does not."""
    low = low_size(1280, 720, 0.25)
    engine = engine_of(weights)
    try:
        alphas(engine, clip[:12])
        states = engine.states()
        assert states is not None
        box = Region(64, 0, 256, 180)
        request = engine._compiled().request(box.size, "fp32", refined=True)  # type: ignore[attr-defined]
        picture = cv2.resize(clip[12].image, low, interpolation=cv2.INTER_LINEAR)[box.slices]
        found = {}
        for name, start in (("moved", moved(states, whole(low), box)), ("empty", None)):
            request.reset()
            if start is not None:
                request.states = start
            model = [part.copy() for part in request.run(np.ascontiguousarray(picture))]
            found[name] = np.clip(model[0] * picture.mean(axis=2) + model[1], 0, 255)
    finally:
        engine.close()
    truth = cv2.resize(plain[12], low, interpolation=cv2.INTER_AREA)[box.slices]
    apart = {name: float(np.abs(alpha - truth).mean()) / 255 for name, alpha in found.items()}
    assert apart["moved"] < 8e-3 and apart["moved"] < 0.8 * apart["empty"]


@pytest.mark.slow
def test_a_bridge_is_the_same_network(weights: Path, clip: list[Frame]) -> None:
    engine = engine_of(weights)
    try:
        cache: OpenVinoCache = engine._compiled()  # type: ignore[attr-defined]
        rng = np.random.default_rng(0)
        for low in ((160, 148), (96, 84)):
            fixed = cache.request(low, "fp32", refined=True)
            bridge = cache.bridge(low, "fp32", refined=True, within=(320, 180))
            for index in range(3):
                picture = cv2.resize(clip[index].image, low)
                ours, theirs = (alpha_of(each.run(picture), picture) for each in (bridge, fixed))
                assert 0.1 < theirs.mean() / 255 < 0.9 and np.abs(ours - theirs).max() < 0.5
            states = [rng.normal(size=shape).astype(np.float32) for shape in state_shapes("mobilenetv3", *low)]
            bridge.states = states
            assert all(np.array_equal(one, other) for one, other in zip(bridge.states, states, strict=True))
    finally:
        engine.close()


@pytest.mark.slow
def test_live_a_box_waits_for_no_compiler(weights: Path, clip: list[Frame], monkeypatch: pytest.MonkeyPatch) -> None:
    """While one size is compiled, another network is used; then the network of that size."""
    engine = engine_of(weights, keep_up=True, box=True, gate=False)
    try:
        engine.prepare(1280, 720)
        cache: OpenVinoCache = engine._compiled()  # type: ignore[attr-defined]
        asked: list[str] = []
        ready, bridge = cache.ready, cache.bridge
        allowed = False
        monkeypatch.setattr(cache, "ready", lambda low, *a, **k: low == (320, 180) or (allowed and ready(low, *a, **k)))
        monkeypatch.setattr(cache, "bridge", lambda *a, **k: (asked.append("bridge"), bridge(*a, **k))[1])
        alphas(engine, clip[:12])
        assert asked == ["bridge"] and "box" in engine.info.focus
        allowed = True
        for frame in clip[12:40]:
            engine.matte(frame)
            cache._requests.join()
        assert asked == ["bridge"]
        assert type(engine)._ready(engine)[0]._network is cache.request((192, 180), "fp32", refined=True)  # type: ignore[attr-defined]
    finally:
        engine.close()


@pytest.mark.slow
@pytest.mark.parametrize("asked", [{}, {"box": True}, {"box": True, "gate": True}])
def test_who_goes_on_from_a_state_finds_the_same(weights: Path, clip: list[Frame], asked: dict[str, bool]) -> None:
    """As a run on files does after it was killed."""
    engine = engine_of(weights, **asked)
    try:
        alphas(engine, clip[:14])
        states = engine.states()
        expected = alphas(engine, clip[14:20])
        assert states is not None
        engine.reset()
        alphas(engine, clip[30:32])
        engine.restore(states)
        found = alphas(engine, clip[14:20])
        assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
        if asked:
            other = engine_of(weights)
            other.prepare(1280, 720)
            other.restore(states[:4])  # from an engine with other options: only its network's part
            other.close()
            with pytest.raises(EngineError, match="does not fit"):
                engine.restore([*states[:4], np.array([0, 0, 320, 180, 0, 0], np.float32)])
    finally:
        engine.close()


@pytest.mark.slow
def test_another_size_begins_with_the_whole_picture(weights: Path, clip: list[Frame]) -> None:
    engine = engine_of(weights, box=True)
    try:
        alphas(engine, clip[:10])
        assert "box" in engine.info.focus
        small = [Frame(np.ascontiguousarray(each.image[::2, ::2]), each.seq, 1, 0) for each in clip[10:12]]
        alphas(engine, small)
        assert engine.info.focus == ""
    finally:
        engine.close()


@pytest.mark.slow
def test_another_rung_keeps_what_is_remembered(weights: Path, clip: list[Frame], plain: list[Floats]) -> None:
    engine = engine_of(weights, box=True, downsample_ratio=None)
    try:
        alphas(engine, clip[:10])
        rung = engine.rungs[-1]
        engine._compiled().request(low_size(1280, 720, rung.ratio), rung.precision, refined=True)  # type: ignore[attr-defined]
        assert engine.use_rung(rung)
        (found,) = alphas(engine, clip[10:11])
        assert float(np.abs(found - plain[10]).mean()) / 255 < 1e-2
        alphas(engine, clip[11:24])
        assert "box" in engine.info.focus
    finally:
        engine.close()


@pytest.mark.slow
def test_on_torch_what_stands_still_is_seen_in_one_frame_of_three(weights: Path, clip: list[Frame]) -> None:
    asked = EngineSettings("rvm", weights=weights, device="cpu", downsample_ratio=0.2, keep_up=True)
    engines = [RvmEngine(each) for each in (asked, replace(asked, gate=False))]
    rng = np.random.default_rng(0)
    frames = []
    for seq in range(SETTLE + 6):  # a camera's noise
        noisy = np.clip(clip[0].image + rng.normal(0, 2, clip[0].image.shape), 0, 255)
        frames.append(Frame(noisy.astype(np.uint8), seq, 0, seq))
    jump = Frame(np.ascontiguousarray(np.roll(clip[0].image, 200, axis=1)), SETTLE + 6, 0, 0)
    found = []
    for engine in engines:
        engine.open()
        engine.prepare(1280, 720)
        found.append(alphas(engine, [*frames, jump]))
    told = [engine.info.focus for engine in engines]
    assert told[0].endswith("of 3 frames") and told[1] == ""
    apart = [float(np.abs(one - other).mean()) / 255 for one, other in zip(*found, strict=True)]
    assert max(apart[:SETTLE]) == 0 < max(apart[SETTLE:-1]) < 3e-3
    assert apart[-1] < 3e-3  # somebody who jumps is noticed at once
    for engine in engines:
        engine.close()


def test_on_torch_an_old_model_lights_nothing_far_from_the_person(weights: Path, clip: list[Frame]) -> None:
    engine = RvmEngine(EngineSettings("rvm", weights=weights, device="cpu", downsample_ratio=0.2, keep_up=True))
    engine.open()
    engine.prepare(1280, 720)
    alphas(engine, [Frame(clip[0].image, seq, 0, seq) for seq in range(SETTLE + 1)])
    (before,) = alphas(engine, [Frame(clip[0].image, 20, 0, 20)])
    lit = clip[0].image.copy()
    corner = lit[40:64, 1200:1224]
    corner[:] = 255 - corner  # too small to be noticed
    (found,) = alphas(engine, [Frame(lit, 21, 0, 21)])
    told = engine.info.focus
    engine.close()
    assert "of" in told and not before[40:64, 1200:1224].any()
    assert found[36:70, 1196:1230].max() < 8


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
def test_models_of_ones_own_rest_where_nothing_moves(
    kind: str, weights: Path, clip: list[Frame], tmp_path: Path
) -> None:
    """Such engines give no model: while they rest, their last result is used unchanged, with the new picture."""
    size = (240, 134)

    def engine_with(**asked: Any) -> Engine:
        if kind == "onnx":
            pytest.importorskip("onnxruntime")
            path = tmp_path / "fixed.onnx"
            if not path.exists():
                save_fixed(weights, path, *size, 0.5)
            return OnnxEngine(EngineSettings(weights=path, device="cpu", keep_up=True, **asked))
        save_scripted("recurrent", tmp_path / "model.pt")
        path = tmp_path / "model.pt"
        return TorchScriptEngine(
            EngineSettings(weights=path, device="cpu", keep_up=True, downsample_ratio=1.0, **asked)
        )

    rng = np.random.default_rng(0)
    person = cv2.resize(clip[0].image, size, interpolation=cv2.INTER_AREA)

    def noisy(seq: int) -> Frame:
        return Frame(np.clip(person + rng.normal(0, 1, person.shape), 0, 255).astype(np.uint8), seq, 0, seq)

    frames = [noisy(seq) for seq in range(SETTLE + 12)]
    jump = Frame(np.ascontiguousarray(np.roll(person, 60, axis=1)), 90, 0, 90)
    large = Frame(cv2.resize(person, (480, 268)), 91, 0, 91)
    for asked in ({}, {"gate": False}):
        engine = engine_with(**asked)
        engine.open()
        try:
            engine.prepare(*size)
            mattes = [engine.matte(each) for each in (*frames, jump, large)]
            spared = [each.spared for each in mattes]
            if asked:
                assert not any(spared) and engine.info.focus == ""
                continue
            assert spared == [False] * SETTLE + [True] * 12 + [False] * 2
            rested = [np.asarray(each.host().alpha) for each in mattes[SETTLE - 1 : -2]]
            assert all(np.array_equal(each, rested[0]) for each in rested)
            assert mattes[-1].host().alpha.shape == (268, 480)
            assert not np.array_equal(mattes[-2].host().alpha, rested[0])
            engine.reset()
            assert not engine.matte(frames[0]).spared, "what was before a reset is nobody's any more"
        finally:
            engine.close()


@pytest.mark.slow
@pytest.mark.parametrize("asked", [{"box": True}, {"keep_up": True, "box": True}])
def test_lite_looks_where_the_person_is_and_goes_on_from_its_state(clip: list[Frame], asked: dict[str, bool]) -> None:
    found = []
    for each in ({}, asked):
        engine = LiteEngine(EngineSettings("lite", precision="fp32", **each))
        engine.open()
        engine.prepare(1280, 720)
        found.append(alphas(engine, clip[:14]))
        told, states = engine.info.focus, engine.states()
        expected = alphas(engine, clip[14:16])
        assert states is not None
        engine.reset()
        engine.restore(states)
        again = alphas(engine, clip[14:16])
        engine.close()
    assert "box 60 %" in told
    assert max(float(np.abs(one - other).mean()) / 255 for one, other in zip(*found, strict=True)) < 5e-3
    assert all(np.abs(one - other).max() <= 2 for one, other in zip(again, expected, strict=True))
