"""Scenes computed as tensors equal OpenCV's result, on any device, for one scene or for many at once."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rvm_live.core.arrays import Bytes
from tests.project.test_training import folder  # noqa: F401
from tests.support.threads import torch_threads  # noqa: F401
from training import render
from training.frames import Frames
from training.render import Renderer
from training.sample import Mixture, Sampler
from training.scene import Scene
from training.store import Store

EVERYTHING = Mixture(
    second=0.4, crowd=0.1, dressed=0.8, held=0.5, hidden=0.4, shadow=0.7, relit=0.6, alike=0.3, beside=0.4, decoys=0.8
)


def scenes(sampler: Sampler, count: int, width: int = 96, height: int = 54) -> list[Scene]:
    sampler.begin(3)
    return [sampler.scene(width, height, 3) for _ in range(count)]


@pytest.fixture(scope="module")
def furnished(folder: Path) -> Path:  # noqa: F811
    """The cache of painted people, with things."""
    random = np.random.default_rng(0)
    things = random.integers(0, 256, (3, 128, 128, 4)).astype(np.uint8)
    things = np.stack([cv2.GaussianBlur(each, (0, 0), 4) for each in things])
    things[..., 3] = 0
    for each in things:
        alpha = np.zeros((128, 128), np.uint8)
        cv2.circle(alpha, (64, 64), 40, 255, -1, cv2.LINE_AA)
        each[..., 3] = alpha
    np.save(folder / "things.npy", things)
    return folder


@pytest.fixture(scope="module")
def sampler(furnished: Path) -> Sampler:
    made = Sampler(furnished, "training", 0, EVERYTHING)
    (furnished / "things.npy").unlink()
    return made


def test_tensors_show_what_opencv_shows(sampler: Sampler) -> None:
    """Every kind of step, one scene after another: the same picture except for rounding and 32nds of pixels."""
    found = scenes(sampler, 30)
    assert {type(step) for scene in found for step in scene.steps} == set(render._TAKEN)
    computed, tensors = Frames(sampler.picture), Renderer(sampler.picture)
    apart, edges = [], []
    for scene in found:
        theirs, alpha = computed(scene)
        ours, own = tensors([scene])
        assert ours.dtype == own.dtype == torch.uint8
        assert ours.shape == theirs.shape == (3, 54, 96, 3)
        assert own.shape == alpha.shape == (3, 54, 96)
        apart.append(float(np.abs(ours.numpy().astype(int) - theirs).mean()))
        edges.append(float(np.abs(own.numpy().astype(int) - alpha).mean()))
    assert np.median(apart) < 1.2
    assert max(apart) < 5
    assert max(edges) < 0.5


def test_many_scenes_at_once_are_those_of_one_at_a_time(sampler: Sampler) -> None:
    found, tensors = scenes(sampler, 8), Renderer(sampler.picture)
    together = tensors(found)
    single = [tensors([each]) for each in found]
    for whole, parts in zip(together, zip(*single, strict=True), strict=True):
        apart = (whole.int() - torch.cat(parts).int()).abs()
        assert int(apart.max()) <= 3
        assert float((apart > 0).float().mean()) < 0.01


def test_steps_that_scenes_share_are_taken_together(sampler: Sampler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "_mixture", EVERYTHING._replace(shrunk=0.0))  # otherwise few have the same size
    found, counts = scenes(sampler, 16), []
    for kind, taken in list(render._TAKEN.items()):

        def counted(self: Renderer, states: list[render._State], steps: list[object], taken: object = taken) -> None:
            counts.append(len(steps))
            taken(self, states, steps)  # type: ignore[operator]

        monkeypatch.setitem(render._TAKEN, kind, counted)
    Renderer(sampler.picture)(found)
    assert max(counts) >= 6
    assert np.mean(counts) > 1.3


def test_the_same_scene_gives_the_same_bytes(sampler: Sampler) -> None:
    found = scenes(sampler, 3)
    ours, again = (Renderer(sampler.picture)(found) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(ours, again, strict=True))


def test_a_device_keeps_no_more_than_it_may(sampler: Sampler) -> None:
    read: list[tuple[str, int, int]] = []

    def picture(*told: int) -> Bytes:
        read.append(told)  # type: ignore[arg-type]
        return np.full((3, 10, 10), told[1], np.uint8)

    store = Store(picture, torch.device("cpu"), 900)  # type: ignore[arg-type]
    for number in (0, 1, 2, 0, 3, 1, 0):
        assert int(store.picture(("place", number, 0)).max()) == number
        assert store.bytes <= 900
    assert [number for _, number, _ in read] == [0, 1, 2, 3, 1]  # 1 was dropped for 3, and 2 for 1
    assert int(store.picture(np.full((4, 5, 3), 7, np.uint8)).max()) == 7
    assert store.bytes <= 900


@pytest.mark.gpu
def test_a_gpu_computes_what_a_processor_computes(sampler: Sampler) -> None:
    found = scenes(sampler, 12)
    for ours, theirs in zip(Renderer(sampler.picture, "cuda")(found), Renderer(sampler.picture)(found), strict=True):
        assert ours.device.type == "cuda"
        apart = (ours.cpu().int() - theirs.int()).abs()
        assert float(apart.float().mean()) < 0.5
        assert float((apart > 4).float().mean()) < 0.01
