"""The training of ``lite``, on painted people: what is cached, drawn, learnt, kept and exported."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rvm_live.engines.lite.network import LiteNetwork
from rvm_live.engines.lite.weights import load_network
from tests.support.threads import torch_threads  # noqa: F401
from training import backgrounds, cache, curve, measure, things, train
from training.augment import Camera, Light
from training.clips import people, split_of
from training.export import export
from training.losses import laplacian, matting_loss
from training.painting import PAINTERS, paint
from training.people import People
from training.sample import Mixture, Sampler
from training.teacher import CHANNELS, feature_loss
from training.train import Batches, Trainer, rate_at
from training.weights import read_checkpoint

Bytes = NDArray[np.uint8]


def painted_person(shift: int) -> Bytes:
    """A figure cut off below, as the cache holds it: uint8 (96, 128, 7)."""
    frame = np.full((96, 128, 7), 90, np.uint8)
    frame[..., 6] = 0
    for canvas, colour in ((frame[..., :3], (60, 90, 200)), (frame[..., 6], 255)):
        part = np.ascontiguousarray(canvas)
        cv2.ellipse(part, (64 + shift, 100), (34, 50), 0, 0, 360, colour, -1)
        cv2.circle(part, (64 + shift, 40), 18, colour, -1)
        canvas[...] = part
    frame[..., 3:6] = frame[..., :3]
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of one painted clip and painted places for each split."""
    root = tmp_path_factory.mktemp("training")
    random = np.random.default_rng(0)
    (root / "backgrounds").mkdir()
    for split in ("training", "development"):
        clip = root / "people" / split / "webcam-painted"
        clip.mkdir(parents=True)
        np.save(clip / "frames.npy", np.stack([painted_person(n) for n in range(12)]))
        (clip / "runs.json").write_text(json.dumps({"name": "webcam/painted", "starts": [0, 6]}))
        places = np.stack([paint(random, backgrounds.WIDTH, backgrounds.HEIGHT) for _ in range(4)])
        np.save(root / "backgrounds" / f"{split}.npy", places)
    return root


def test_nothing_that_measures_is_trained_on(data: Path) -> None:
    splits = {name: split_of(name) for name, _ in people(data / "clips")}
    truth = {name for name, split in splits.items() if split == "truth"}
    assert "webcam/liveportrait_d0" in truth
    assert sum(name.startswith("webcam/grid_") for name in truth) == len(truth) - 1 >= 8
    assert sum(split == "development" for split in splits.values()) == 8
    assert splits["webcam/liveportrait_d10"] == "training"
    own = {path.stem for path in (data / "clips" / "backgrounds").iterdir()}
    assert set(backgrounds.DEVELOPMENT_BACKGROUNDS) <= own


@pytest.mark.parametrize(
    ("count", "runs"), [(1, [(0, 1)]), (96, [(0, 96)]), (200, [(0, 24), (58, 82), (117, 141), (176, 200)])]
)
def test_runs_are_spread_evenly(count: int, runs: list[tuple[int, int]]) -> None:
    assert cache.runs_of(count) == runs


def test_the_teacher_labels_a_real_still(data: Path, weights: Path) -> None:
    still = data / "clips" / "images" / "uniface_src_man3.jpg"
    ((frame, first),) = cache.label(still, "rvm", weights, 128)
    assert first
    assert frame.shape == (128, 86, 7)
    assert frame[60:, 30:50, 6].mean() > 240
    assert frame[:10, :10, 6].mean() < 10


@pytest.mark.parametrize("name", list(PAINTERS))
def test_painters_paint(name: str) -> None:
    random = np.random.default_rng(1)
    pictures = [PAINTERS[name](random, 96, 64) for _ in range(3)]
    assert all(p.shape == (64, 96, 3) and p.dtype == np.uint8 for p in pictures)
    assert not np.array_equal(pictures[0], pictures[1])


def test_a_place_without_its_person() -> None:
    frames = np.stack([painted_person(shift) for shift in (-24, 0, 24)])
    place = backgrounds.without_people(frames)
    assert place is not None
    assert np.abs(place.astype(int) - 90).max() <= 5
    assert backgrounds.without_people(np.full((2, 8, 8, 7), 255, np.uint8)) is None


def test_samples_are_the_same_for_a_seed_and_vary_within_it(folder: Path) -> None:
    ours = [Sampler(folder, "training", 4).draw(64, 36, 3) for _ in range(2)]
    np.testing.assert_array_equal(ours[0].pictures, ours[1].pictures)
    sampler = Sampler(folder, "training", 4, Mixture(held=1.0, hidden=0.5, dressed=1.0, second=0.5, relit=1.0))
    drawn = [sampler.draw(64, 36, 3) for _ in range(12)]
    for each in drawn:
        assert each.pictures.shape == (3, 36, 64, 3)
        assert each.alpha.shape == (3, 36, 64)
        assert each.pictures.dtype == each.alpha.dtype == np.uint8
    assert len({each.pictures.tobytes() for each in drawn}) == 12


def test_a_composite_shows_person_where_alpha_says_so(folder: Path) -> None:
    mixture = Mixture(
        plain=0.0,
        empty=0.0,
        second=0.0,
        dressed=0.0,
        held=0.0,
        hidden=0.0,
        shadow=0.0,
        relit=0.0,
        decoys=0.0,
        strength=0.0,
    )
    sampler = Sampler(folder, "training", 1, mixture)
    (pictures, alpha) = sampler.draw(128, 72, 1)
    inside = pictures[0][cv2.erode(alpha[0], np.ones((9, 9))) == 255].astype(int)
    assert len(inside) > 100
    assert np.median(np.abs(inside - (60, 90, 200)).max(1)) < 40


def test_a_torso_never_floats(folder: Path) -> None:
    """The figure is cut off below in its clip: in no crop may it end above the lower edge."""
    random, crowd = np.random.default_rng(2), People(folder / "people" / "training")
    for _ in range(60):
        layer = crowd.cut_out(random, 64, 36, 1)
        alpha = layer.alpha[0]
        rows = np.nonzero((alpha > 128).any(1))[0]
        if len(rows):
            assert rows[-1] == 35


def test_empty_rooms_have_no_alpha(folder: Path) -> None:
    sampler = Sampler(folder, "training", 1, Mixture(plain=0.0, empty=1.0))
    assert max(int(sampler.draw(64, 36, 2).alpha.max()) for _ in range(4)) == 0


def library(path: Path) -> Path:
    """A furniture library as Sweet Home 3D reads it: a lamp, a person, a picture without alpha, a missing one."""
    lamp = np.zeros((64, 64, 4), np.uint8)
    cv2.circle(lamp, (32, 32), 20, (40, 200, 250, 255), -1)
    entries = [("Lamp", "Lights", "lamp.png"), ("Anybody", "Characters", "lamp.png")]
    entries += [("Flat", "Walls", "flat.png"), ("Gone", "Lights", "gone.png")]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("lamp.png", cv2.imencode(".png", lamp)[1].tobytes())
        archive.writestr("flat.png", cv2.imencode(".png", lamp[..., :3])[1].tobytes())
        lines = [f"name#{n}={a}\ncategory#{n}={b}\nicon#{n}=/{c}" for n, (a, b, c) in enumerate(entries, 1)]
        archive.writestr("PluginFurnitureCatalog.properties", "\n".join(lines))
    return path


def test_things_are_no_people(tmp_path: Path) -> None:
    assert [name for name, _ in things.icons(library(tmp_path / "a.sh3f"))] == ["Lamp"]
    things.main(["--libraries", str(tmp_path), "--cache", str(tmp_path)])
    drawn = things.Things(tmp_path / "things.npy")
    assert len(drawn) == 1
    random = np.random.default_rng(3)
    layers = [drawn.draw(random, 64, 36, 1.0) for _ in range(8)]
    assert all(colours.shape == (36, 64, 3) and alpha.shape == (36, 64) for colours, alpha in layers)
    assert max(int(alpha.max()) for _, alpha in layers) == 255
    assert all(not colours[alpha == 0].any() for colours, alpha in layers)
    assert len(things.Things(tmp_path / "none.npy")) == 0


def test_furniture_stands_in_the_room_and_is_no_alpha(folder: Path, tmp_path: Path) -> None:
    library(tmp_path / "a.sh3f")
    plain = Sampler(folder, "training", 6, Mixture(plain=0.0, empty=1.0, decoys=0.0, furnished=1.0)).draw(64, 36, 2)
    things.main(["--libraries", str(tmp_path), "--cache", str(folder)])
    try:
        mixture = Mixture(plain=0.0, empty=1.0, decoys=1.0, furnished=1.0)
        drawn = [Sampler(folder, "training", seed, mixture).draw(64, 36, 2) for seed in range(6)]
    finally:
        (folder / "things.npy").unlink()
    assert max(int(each.alpha.max()) for each in drawn) == 0
    assert not np.array_equal(drawn[0].pictures, plain.pictures)


@pytest.mark.slow
def test_the_teacher_sees_and_the_student_comes_nearer(folder: Path, weights: Path) -> None:
    pytest.importorskip("openvino")
    pictures, alpha, seen = next(iter(Batches(folder, 2, (96, 64), 1, 4, Mixture(), weights)))
    assert seen.shape == (4, CHANNELS, 4, 6)
    assert seen.dtype == torch.float16
    assert float(seen.float().std()) > 0.02
    wanted = (seen.float() - seen.float().mean((0, 2, 3), keepdim=True)) / seen.float().std((0, 2, 3), keepdim=True)
    assert float(feature_loss(wanted.clamp(-4, 4), seen.float())) < 0.1 < float(feature_loss(-wanted, seen.float()))
    torch.manual_seed(0)
    trainer = Trainer(LiteNetwork(), 1)
    losses = [trainer.step(pictures, alpha, 2e-3, seen) for _ in range(12)]
    alone = Trainer(LiteNetwork(), 1).step(pictures, alpha, 2e-3)
    assert losses[-1] < losses[0]
    assert losses[0] > alone


def test_augmentations_keep_shape_and_change_pixels() -> None:
    random, picture = np.random.default_rng(0), np.full((36, 64, 3), 120, np.uint8)
    for make in (Light, Camera):
        changed = [make(random)(picture) for _ in range(6)]
        assert all(each.shape == picture.shape and each.dtype == np.uint8 for each in changed)
        assert any(not np.array_equal(each, picture) for each in changed)


def test_the_pyramid_adds_up_to_nothing_for_a_flat_picture() -> None:
    *bands, rest = laplacian(torch.full((1, 1, 20, 33), 0.3))
    assert max(float(band.abs().max()) for band in bands) < 1e-6
    torch.testing.assert_close(rest, torch.full_like(rest, 0.3))


def test_the_loss_sees_alpha_edges_and_flicker() -> None:
    truth = torch.zeros(4, 1, 32, 32)
    truth[:, :, 8:24, 8:24] = 1
    assert float(matting_loss(truth, truth, 2)) < 1e-6
    steady, flickering = truth + 0.1, truth.clone()
    flickering[0::2] += 0.1
    flickering[1::2] -= 0.1
    assert float(matting_loss(flickering, truth, 2)) > float(matting_loss(steady, truth, 2)) + 0.15
    assert float(matting_loss(1 - truth, truth, 1, certainty=1.0)) > float(matting_loss(1 - truth, truth, 1)) + 1


def test_the_rate_rises_and_falls_once() -> None:
    rates = [rate_at(n / 100, 1.0) for n in range(101)]
    top = rates.index(max(rates))
    assert 0 < top < 10
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] == pytest.approx(0.01)


def test_a_few_steps_lower_the_loss(folder: Path) -> None:
    torch.manual_seed(0)
    pictures, alpha = next(iter(Batches(folder, 0, (64, 36), 2, 3, Mixture())))
    trainer = Trainer(LiteNetwork(), 2, certainty=0.3)
    losses = [trainer.step(pictures, alpha, 2e-3) for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]
    assert trainer.average.steps == 12


def test_half_of_the_sequences_begin_with_an_old_state(folder: Path) -> None:
    torch.manual_seed(0)
    pictures, alpha = next(iter(Batches(folder, 0, (64, 36), 2, 16, Mixture())))
    trainer = Trainer(LiteNetwork(), 2)
    assert trainer._remembered(pictures.shape) == []
    trainer.step(pictures, alpha, 1e-3)
    remembered = trainer._remembered(pictures.shape)
    assert [state.shape[1] for state in remembered] == [12, 20, 32]
    told = {bool(state.any()) for each in remembered for state in each}
    assert told == {True, False}
    assert not any(state.requires_grad for state in remembered)
    assert trainer._remembered(torch.Size((32, 40, 64, 3))) == []
    assert Trainer(LiteNetwork(), 1)._remembered(pictures.shape) == []


@pytest.mark.slow
def test_training_goes_on_and_exports(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--cache", str(folder), "--minutes", "0.02", "--size", "48x32", "--batch", "2", "--workers", "0"]
    train.main([*small, "--from-scratch"])
    first = read_checkpoint(folder / "checkpoint.pt")
    train.main([*small, "--time", "2", "--seed", "1"])
    second = read_checkpoint(folder / "checkpoint.pt")
    assert second["frames"] > first["frames"] > 0
    assert second["steps"] > first["steps"]
    told = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["event"] for line in told if "event" in line] == ["start", "end", "start", "end"]
    assert told[-1]["composed_mad"] > 0
    output = tmp_path / "lite.safetensors"
    assert export(folder / "checkpoint.pt", output) == output.stat().st_size < 1_500_000
    exported = load_network(output).state_dict()
    for name, value in ((n, v) for n, v in second["average"].items() if v.is_floating_point()):
        torch.testing.assert_close(exported[name], value, atol=1e-3, rtol=2e-3)
    measure.main(["--cache", str(folder), "--weights", str(output), "--sheet", str(tmp_path / "sheet.png")])
    assert "composed: MAD" in capsys.readouterr().out
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_the_log_is_drawn(tmp_path: Path) -> None:
    found = curve.parts(Path(curve.__file__).parent / "log.jsonl")
    assert len(found) >= 3
    assert all(part[0]["event"] == "start" for part in found)
    curve.draw(Path(curve.__file__).parent / "log.jsonl", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 5000
