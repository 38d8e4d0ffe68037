"""Tuning ``lite`` on a recording of its user: what it learns from, how, and how to tell whether it is better."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rvm_live.engines.lite import adapt
from rvm_live.engines.lite.adapt import Tuning, Verdict, adapted, learnt, tunable
from rvm_live.engines.lite.lessons import Lessons, Recorder, Recording, painted_out
from rvm_live.engines.lite.weights import load_network

SIZE = (64, 48)


def recording(count: int = 10) -> Recording:
    """A red disc that moves in front of a grey wall: the disc is the person."""
    recorder = Recorder(SIZE)
    across, down = SIZE
    y, x = np.mgrid[:down, :across]
    for number in range(count):
        alpha = ((x - 25 - number) ** 2 + (y - 30) ** 2 < 200).astype(np.uint8) * 255
        person = np.full((down, across, 3), (20, 20, 220), np.uint8)
        wall = np.full((down, across, 3), 120, np.uint8)
        recorder.add(np.where(alpha[..., None] > 0, person, wall), person, alpha)
    return recorder.recording()


# Lessons --------------------------------------------------------------------------------------------------------


def test_the_painted_out_room_holds_nothing_of_the_person() -> None:
    room = painted_out(recording())
    assert np.abs(room.astype(int) - 120).max() <= 6


@pytest.mark.parametrize("time", [1, 4])
def test_every_lesson_is_a_sequence_of_the_recordings_size(time: int) -> None:
    places = [np.full((90, 200, 3), 200, np.uint8)]
    lessons = Lessons(recording(), places, np.random.default_rng(0), empty=[np.full((48, 64, 3), 120, np.uint8)])
    empty = 0
    for _ in range(60):
        pictures, alpha = lessons.draw(time)
        assert pictures.shape == (time, 48, 64, 3)
        assert alpha.shape == (time, 48, 64)
        assert pictures.dtype == alpha.dtype == np.uint8
        empty += not alpha.any()
    assert 2 <= empty <= 30


def test_alpha_goes_where_the_person_goes() -> None:
    lessons = Lessons(recording(), [], np.random.default_rng(1))
    for _ in range(20):
        pictures, alpha = lessons.elsewhere(2)
        person, room = pictures[alpha > 250], pictures[alpha < 5]
        assert person[:, 2].mean() > person[:, 0].mean() + 60
        assert abs(float(room[:, 2].mean()) - float(room[:, 0].mean())) < 40


# Learning -------------------------------------------------------------------------------------------------------


class Steps:
    """A clock that advances by one second, one step of learning, each time it is read."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.mark.slow
def test_learning_makes_the_error_smaller_and_leaves_the_first_levels_alone() -> None:
    base = load_network()
    before = {name: value.clone() for name, value in base.state_dict().items()}
    seen = recording()
    lessons = Lessons(seen, [], np.random.default_rng(0))
    tuned = adapted(base, lessons, Tuning(seconds=30, batch=2, time=2, rate=2e-3), clock=Steps())
    own = [(seen.pictures, seen.alpha)]
    assert adapt.error_of(tuned, own) < 0.7 * adapt.error_of(base, own)
    after = tuned.state_dict()
    assert all(value.equal(before[name]) for name, value in base.state_dict().items())
    changed = {name for name, value in after.items() if not value.equal(before[name])}
    assert changed
    assert changed <= set(tunable(load_network()))
    assert not any(name.startswith(("encode2.", "encode4.", "encode8.")) for name in changed)
    assert all(value.equal(value.half().float()) for value in after.values())  # what is judged is what is kept


def test_what_is_learnt_is_judged_on_moments_and_places_it_has_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    init = Lessons.__init__

    def spied(self: Lessons, part: Recording, places: list[np.ndarray], *args: object) -> None:
        seen.append((len(part.alpha), int(places[0][0, 0, 0])))
        init(self, part, places, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Lessons, "__init__", spied)
    places, guards = ([np.full((60, 90, 3), value, np.uint8)] for value in (50, 200))
    tuned, verdict = learnt(load_network(), recording(), places, guards, tuning=Tuning(seconds=0.01, batch=1, time=1))
    assert seen == [(8, 50), (2, 200)]
    assert not tuned.training
    assert all(value >= 0 for value in verdict)


@pytest.mark.parametrize(
    ("verdict", "better"),
    [
        (Verdict(10, 5, 10, 9), True),
        (Verdict(10, 10, 10, 9), False),
        (Verdict(10, 5, 10, 10.1), False),
        (Verdict(5, 6, 10, 2), False),
    ],
)
def test_better_here_and_no_worse_elsewhere_is_kept(verdict: Verdict, better: bool) -> None:
    assert verdict.better is better


def test_learning_computes_on_its_own_thread_alone() -> None:
    """The thread's own clock counts the time, so torch must not move the work to other threads."""
    from rvm_live.system import threads

    before = torch.get_num_threads()
    with threads.one_for_torch():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
