"""The training of ``lite``, on painted people: what is cached, drawn, learnt, kept and exported."""

from __future__ import annotations

import copy
import json
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes
from rvm_live.engines.lite.engine import EMBEDDED
from rvm_live.engines.lite.losses import laplacian, matting_loss, outline_loss, settled
from rvm_live.engines.lite.network import LiteNetwork
from rvm_live.engines.lite.weights import load_network
from tests.support.threads import torch_threads  # noqa: F401
from training import backgrounds, cache, curve, measure, things, train
from training.augment import Light, Shade
from training.beside import KINDS, beside, put
from training.clips import people, split_of
from training.export import main as export_main
from training.frames import Frames
from training.mediapipe import pretrained
from training.painting import PAINTERS, paint
from training.people import SHARES, People, _weighed, widened
from training.sample import Mixture, Sampler, _camera
from training.scene import Cut, Fill, Over, Put, Sample, Scene, View
from training.train import Batches, Trainer, rate_at
from training.weights import Mean, read_checkpoint, write_checkpoint


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


@pytest.mark.parametrize(("count", "runs"), [(1, [(0, 1)]), (36, [(0, 36)]), (200, [(0, 12), (94, 106), (188, 200)])])
def test_runs_are_spread_evenly(count: int, runs: list[tuple[int, int]]) -> None:
    assert cache.runs_of(count) == runs


@pytest.mark.slow
def test_the_teacher_labels_a_real_still(data: Path, weights: Path) -> None:
    still = data / "clips" / "images" / "uniface_src_man3.jpg"
    teachers = cache.Teachers("rvm", weights, (1.0, 0.6))

    class Favouring:
        """Agrees with the teacher at one ratio."""

        def opinion(self, picture: Bytes) -> NDArray[np.float32]:
            return teachers.label(picture, 0.6)[..., 6].astype(np.float32) / 255

    try:
        frames, told = cache.label(still, (96, 128), teachers, Favouring())  # type: ignore[arg-type]
        plain, _ = cache.label(still, (96, 128), teachers, None)
    finally:
        teachers.close()
    assert told["starts"] == [0]
    assert told["ratio"] == 0.6
    assert 0 <= told["doubt"] < 0.06
    for (frame,) in (frames, plain):
        assert frame.shape == (128, 96, 7)
        assert frame[60:, 34:56, 6].mean() > 220
        assert frame[:10, :10, 6].mean() < 10
    assert not np.array_equal(frames, plain)


@pytest.mark.parametrize(
    ("size", "longest", "fitted"),
    [
        ((1280, 720), 448, (448, 256)),
        ((720, 1280), 448, (256, 448)),
        ((500, 500), 512, (512, 512)),
        ((225, 275), 512, (416, 512)),
        ((3000, 100), 512, (512, 288)),
    ],
)
def test_pictures_are_labelled_at_few_sizes(size: tuple[int, int], longest: int, fitted: tuple[int, int]) -> None:
    assert cache.size_for(*size, longest) == fitted


def test_nobody_is_both_measured_and_trained_on(data: Path) -> None:
    splits = {name: split_of(name) for name, _ in people(None, data / "people")}
    counts = {split: sum(each == split for each in splits.values()) for split in set(splits.values())}
    assert set(counts) == {"training", "development", "held-out"}
    assert counts["held-out"] > 100
    assert counts["training"] > 800
    assert not any(name.startswith("human/group") for name, split in splits.items() if split != "held-out")
    for name in splits:
        if name.startswith("openpeople"):  # one person's pictures are in two folders
            person = name.split("/")[1].split("_")[0]
            assert splits[name] == split_of(f"openpeople/{person}_studio_posture")


def test_outlines_are_widened_by_half_a_pixel() -> None:
    alpha = np.zeros((9, 9), np.uint8)
    alpha[3:6, 3:6] = 255
    wider = widened(alpha)
    assert wider[4, 2] == wider[2, 2] in (127, 128)
    assert wider[4, 1] == 0
    np.testing.assert_array_equal(wider[3:6, 3:6], 255)


def test_what_is_cut_out_keeps_the_pictures_pixels_at_its_rim(folder: Path) -> None:
    """The teacher's foreground is black where its alpha is 0, and must not be visible there."""
    clip = np.load(folder / "people" / "training" / "webcam-painted" / "frames.npy")
    clip[..., 3:6][clip[..., 6] == 0] = 0
    other = folder / "black" / "webcam-painted"
    other.mkdir(parents=True)
    np.save(other / "frames.npy", clip)
    (other / "runs.json").write_text(json.dumps({"name": "webcam/painted", "starts": [0, 6]}))
    crowd = People(folder / "black")
    for seed in range(6):
        seen = crowd.first(crowd.cut_out(np.random.default_rng(seed), 128, 72, 1).view, 128, 72)
        rim = (seen[..., 3] > 20) & (seen[..., 3] < 200)
        assert seen[rim][:, :3].min() > 40


def test_shares_are_kept_whatever_a_collection_holds(folder: Path) -> None:
    crowd = People(folder / "people" / "training")
    painted = crowd._fit[0]
    few, many = (copy.copy(painted) for _ in range(2))
    few.name, many.name = "human/one", "congress/many"
    odds = _weighed([painted, few, *[many] * 9], [12] * 11)
    assert odds.sum() == pytest.approx(1)
    assert odds[2:].sum() / odds[1] == pytest.approx(SHARES["congress"] / SHARES["human"])


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
    """The clip cuts the figure off below, so in no crop may the figure end above the lower edge."""
    random, crowd = np.random.default_rng(2), People(folder / "people" / "training")
    for _ in range(60):
        alpha = crowd.first(crowd.cut_out(random, 64, 36, 1).view, 64, 36)[..., 3]
        rows = np.nonzero((alpha > 128).any(1))[0]
        if len(rows):
            assert rows[-1] == 35


def test_empty_rooms_have_no_alpha(folder: Path) -> None:
    sampler = Sampler(folder, "training", 1, Mixture(plain=0.0, empty=1.0))
    assert max(int(sampler.draw(64, 36, 2).alpha.max()) for _ in range(4)) == 0


def library(path: Path) -> Path:
    """A furniture library in Sweet Home 3D's format: a lamp, a person, a picture without alpha, a missing picture."""
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
    computed = Frames(lambda _kind, number, _frame: np.stack(cv2.split(drawn.picture(number))))
    black = Fill(np.zeros(3)), Cut(np.array([(0, 0), (63, 0), (63, 35), (0, 35)], np.int32)), Over()
    put_ = [Scene((*black, Put(drawn.draw(random, 64, 36, 1.0))), 64, 36, 1) for _ in range(8)]
    shown = [computed(each)[0][0] for each in put_]
    assert all(each.shape == (36, 64, 3) for each in shown)
    assert max(int(each.max()) for each in shown) > 100
    assert min((each == 0).mean() for each in shown) > 0.1
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


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("size", [(176, 320), (36, 64)])
def test_things_are_painted_into_every_frame_of_a_place(kind: str, size: tuple[int, int]) -> None:
    random, computed = np.random.default_rng(4), Frames(lambda *_: np.zeros((3, 8, 8), np.uint8))
    hid, seen, (height, width) = [], [], size
    for _ in range(6):
        thing = put(random, size, (width / 2, height / 2), np.array([9, 9, 9], np.uint8), kind)
        assert thing.hidden.shape == size
        grey = View((np.full((height, width, 3), 100, np.uint8),), np.eye(3)[None], "reflection")
        twice = grey._replace(matrices=np.stack([np.eye(3)] * 2))
        for view in (grey, twice):
            frames = computed(Scene((Sample(view, "below"), thing), width, height, 2))[0]
            assert frames.shape == (2, height, width, 3)
            seen.append([bool((frame != 100).any()) for frame in frames])
        hid.append(int(thing.hidden.max()))
    assert (max(hid) > 200) == (kind != "discs")  # light hides nothing
    assert all(first == second for first, second in seen)
    assert sum(first for first, _ in seen) >= 10  # a disc may be outside


def test_what_stands_beside_a_person_touches_them() -> None:
    """Even before the person is put there, part of the thing is within a few pixels of their outline."""
    random, frame = np.random.default_rng(5), painted_person(0)
    near = cv2.dilate(frame[..., 6], np.ones((13, 13), np.uint8)) > 0
    near &= cv2.erode(frame[..., 6], np.ones((13, 13), np.uint8)) == 0
    person = np.dstack([frame[..., :3], frame[..., 6]])
    made = [beside(random, person) for _ in range(20)]
    assert sum(each is not None and bool((each.hidden[near] | each.glow[near].max(1)).any()) for each in made) >= 18
    person[..., 3] = 0
    assert beside(random, person) is None


def test_what_is_beside_somebody_is_no_alpha_and_hides_who_is_behind(folder: Path) -> None:
    quiet = Mixture(*[0.0] * len(Mixture._fields))
    alone = [Sampler(folder, "training", seed, quiet).draw(128, 72, 1) for seed in range(8)]
    drawn = [Sampler(folder, "training", seed, quiet._replace(beside=0.9)).draw(128, 72, 1) for seed in range(8)]
    for ours, theirs in zip(drawn, alone, strict=True):
        np.testing.assert_array_equal(ours.alpha, theirs.alpha)
        assert not np.array_equal(ours.pictures, theirs.pictures)


def test_a_crowd_stands_side_by_side(folder: Path) -> None:
    quiet = Mixture(*[0.0] * len(Mixture._fields))
    seen = {}
    for crowd in (0.0, 1.0):
        sampler = Sampler(folder, "training", 1, quiet._replace(crowd=crowd))
        seen[crowd] = np.mean([(sampler.draw(128, 72, 1).alpha > 128).any(1).mean() for _ in range(12)])
    assert seen[1.0] > 1.3 * seen[0.0]
    people_, random = People(folder / "people" / "training"), np.random.default_rng(0)
    away = {}
    for aside in (0.0, 0.4):
        views = [people_.cut_out(random, 128, 72, 1, far=True, aside=aside).view for _ in range(60)]
        drawn = [people_.first(view, 128, 72)[..., 3] for view in views]
        columns = np.abs(np.arange(128) - 63.5)
        away[aside] = np.median([np.average(columns, weights=each.sum(0)) for each in drawn if each.any()])
    assert away[0.4] > away[0.0] + 8


def test_augmentations_keep_shape_and_change_pixels() -> None:
    random, picture = np.random.default_rng(0), np.full((36, 64, 3), 120, np.uint8)
    computed, view = Frames(lambda *_: picture), View((picture,), np.eye(3)[None], "border")
    shot = [Scene((Sample(view, "below"), *_camera(random, 1.0, 64, 36, 1)), 64, 36, 1) for _ in range(6)]
    ways = [[make(random)(picture) for _ in range(6)] for make in (Light.drawn, Shade.drawn)]
    for changed in (*ways, [computed(each)[0][0] for each in shot]):
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


def test_what_is_surely_right_is_no_error() -> None:
    truth = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.5])
    found = torch.tensor([-0.02, 1.02, 1.02, -0.02, 1.02], requires_grad=True)
    kept = settled(found, truth)
    torch.testing.assert_close(kept, torch.tensor([0.0, 1.02, 1.0, -0.02, 1.02]))
    kept.sum().backward()  # type: ignore[no-untyped-call]
    assert found.grad is not None
    assert found.grad.tolist() == [0, 1, 0, 1, 1]


def test_outlines_weigh_more() -> None:
    truth = torch.zeros(1, 1, 32, 32)
    truth[..., 16:] = 1
    near, far = truth.clone(), truth.clone()
    near[..., 15] += 0.5
    far[..., 4] += 0.5
    assert float(outline_loss(far, truth)) == 0
    assert float(outline_loss(near, truth)) == pytest.approx(0.5 / 32)
    assert float(matting_loss(near, truth, 1, outline=3.0)) > float(matting_loss(far, truth, 1, outline=3.0)) + 0.04


def test_the_rate_rises_stays_and_falls() -> None:
    rates = [rate_at(n / 100, 1.0) for n in range(101)]
    top = rates.index(max(rates))
    assert 0 < top < 10
    assert rates[:top] == sorted(rates[:top])
    assert set(rates[top:50]) == {1.0}
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert rates[-1] == pytest.approx(0.02)


@pytest.mark.slow
def test_a_few_steps_lower_the_loss(folder: Path) -> None:
    torch.manual_seed(0)
    pictures, alpha = next(iter(Batches(folder, 0, 2, 3, Mixture(), {(64, 48): 1.0})))
    network = LiteNetwork()
    known = {name for name, value in network.named_parameters() if id(value) in pretrained(network)}
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    trainer = Trainer(network, 2, certainty=0.3)
    losses = [trainer.step(pictures, alpha, 1e-2, number / 12) for number in range(12)]
    assert min(losses[:8]) < 0.97 * losses[0]  # the later steps count outlines twice
    assert trainer.average.steps == 12
    assert trainer.mean.count == 3
    rates = sorted({group["lr"] for group in trainer.optimiser.param_groups})
    assert rates == pytest.approx([0.35 * 1e-2, 1e-2])
    moved = {name: float((value.detach() - before[name]).abs().max()) for name, value in network.named_parameters()}
    assert max(moved[name] for name in known) < 0.6 * max(moved[name] for name in moved.keys() - known)


def test_the_mean_is_the_mean() -> None:
    mean = Mean()
    for value in (1.0, 2.0, 6.0):
        mean.add({"a": torch.tensor([value])})
    torch.testing.assert_close(mean.values["a"], torch.tensor([3.0]))


def test_half_of_the_sequences_begin_with_an_old_state(folder: Path) -> None:
    torch.manual_seed(0)
    pictures, alpha = next(iter(Batches(folder, 0, 2, 16, Mixture(), {(64, 48): 1.0})))
    trainer = Trainer(LiteNetwork(), 2)
    assert trainer._remembered(pictures.shape) == []
    trainer.step(pictures, alpha, 1e-3)
    remembered = trainer._remembered(pictures.shape)
    assert [state.shape[1] for state in remembered] == [8, 12, 16]
    told = {bool(state.any()) for each in remembered for state in each}
    assert told == {True, False}
    assert not any(state.requires_grad for state in remembered)
    assert trainer._remembered(torch.Size((32, 64, 64, 3))) == []
    assert Trainer(LiteNetwork(), 1)._remembered(pictures.shape) == []


@pytest.mark.slow
def test_alpha_agrees_between_two_sizes_of_the_same_pictures(folder: Path) -> None:
    """The difference is added to the loss in a quarter of the steps, and only wrong pixels count."""
    torch.manual_seed(0)
    pictures, alpha = next(iter(Batches(folder, 0, 2, 2, Mixture(), {(128, 96): 1.0})))
    trainer = Trainer(LiteNetwork(), 2, agreement=1.0)
    shown, truth = measure.tensors(pictures.numpy()), alpha[:, None].float() / 255
    found = trainer.network(shown, time=2)[0]
    apart = trainer._apart(shown, found, truth)
    assert 0 < float(apart.detach()) < 1
    apart.backward()  # type: ignore[no-untyped-call]
    assert any(bool(each.grad.any()) for each in trainer.network.parameters() if each.grad is not None)
    before = [trainer.step(pictures, alpha, 0.0) for _ in range(16)]
    trainer.agreement = 0.0
    after = [trainer.step(pictures, alpha, 0.0) for _ in range(16)]
    assert max(after) - min(after) < 0.5 * (max(before) - min(before))


def test_single_failures_do_not_govern_the_trimmed_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "predicted", lambda _network, case: np.zeros_like(case.alpha))
    shown = np.zeros((1, 20, 50, 3), np.uint8)
    alphas = [np.zeros((1, 20, 50), np.uint8) for _ in range(10)]
    for number, alpha in enumerate(alphas[:9]):
        alpha[:, :number] = 255
    alphas[9][:] = 255
    found = measure.score(LiteNetwork(), [measure.Case("", shown, alpha) for alpha in alphas])
    assert found.mad == pytest.approx(1000 * (36 / 20 + 1) / 10)
    assert found.median == pytest.approx(1000 * 4.5 / 20)
    assert found.trimmed == pytest.approx(1000 * 36 / 20 / 8)


@pytest.mark.slow
def test_training_goes_on_and_exports(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "load_start", lambda _wheel, _model: LiteNetwork())
    monkeypatch.setattr(train, "SIZES", {(48, 32): 1.0})
    small = ["--cache", str(folder), "--batch", "2", "--workers", "0"]
    with pytest.raises(SystemExit, match="--wheel"):
        train.main([*small, "--minutes", "0.05"])
    train.main([*small, "--wheel", "any", "--minutes", "0.05"])
    first = read_checkpoint(folder / "checkpoint.pt")
    train.main([*small, "--minutes", "0.15"])
    second = read_checkpoint(folder / "checkpoint.pt")
    assert second["frames"] > first["frames"] > 0
    assert second["seconds"] > first["seconds"]
    assert second["count"] > first["count"] > 0
    told = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["event"] for line in told if "event" in line] == ["start", "average", "end"] * 2
    assert told[-1]["composed_mad"] > 0
    output, log = tmp_path / "lite.safetensors", tmp_path / "log.jsonl"
    export_main(["--cache", str(folder), "--output", str(output), "--log", str(log)])
    assert output.stat().st_size < 1_500_000
    assert output.stat().st_mode & 0o444 == 0o444
    assert json.loads(log.read_text().splitlines()[-1])["sha256"] == sha256(output.read_bytes()).hexdigest()
    exported = load_network(output).state_dict()
    for name, value in second["mean"].items():
        torch.testing.assert_close(exported[name], value, atol=1e-3, rtol=2e-3)
    measure.main(["--cache", str(folder), "--weights", str(output), "--sheet", str(tmp_path / "sheet.png")])
    assert "composed: MAD" in capsys.readouterr().out
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_what_was_stopped_in_a_later_cycle_goes_on_there(tmp_path: Path) -> None:
    """`make lite`, given once more, neither repeats the first cycle nor restarts the second one."""
    trainer, checkpoint = Trainer(LiteNetwork(), 2), tmp_path / "checkpoint.pt"

    def keep(seeds: list[int]) -> None:
        write_checkpoint(
            checkpoint,
            network=trainer.network.state_dict(),
            average=trainer.average.values,
            mean={},
            count=0,
            steps=7,
            optimiser=trainer.optimiser.state_dict(),
            frames=120,
            seconds=30.0,
            seeds=seeds,
        )

    def resumed(*options: str) -> tuple[int, float, list[int]] | None:
        run = train._resumed(train._options().parse_args(["--minutes", "1", *options]), checkpoint)
        return run and (run.trainer.average.steps, run.seconds, run.seeds)

    keep([1])
    assert resumed("--seed", "1") == (7, 30.0, [1])
    assert resumed("--seed", "2", "--again") == (0, 0.0, [1, 2])
    keep([1, 2])
    assert resumed("--seed", "1") is None
    assert resumed("--seed", "2", "--again") == (7, 30.0, [1, 2])


def test_states_and_numbers_by_chance_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    trainer = Trainer(LiteNetwork(), 2)
    trainer._carried[torch.Size((4, 32, 48, 3))] = [torch.randn(2, 8, 8, 12), torch.randn(2, 12, 4, 6)]
    write_checkpoint(tmp_path / "a.pt", chance=trainer.chance())
    expected = torch.rand(5)
    other = Trainer(LiteNetwork(), 2)
    other.go_on(read_checkpoint(tmp_path / "a.pt")["chance"])
    torch.testing.assert_close(torch.rand(5), expected, rtol=0, atol=0)
    assert other._carried.keys() == trainer._carried.keys()
    for shape, states in trainer._carried.items():
        assert all(torch.equal(a, b) for a, b in zip(other._carried[shape], states, strict=True))


@pytest.mark.slow
def test_a_run_in_pieces_is_the_run_in_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten steps of a second each, in one piece or in three: the same weights, mean, optimiser and losses."""
    seconds = [0.0]
    step = Trainer.step

    def slow(self: Trainer, *told: Any) -> float:
        seconds[0] += 1.0
        return step(self, *told)

    monkeypatch.setattr(train.time, "monotonic", lambda: seconds[0])
    monkeypatch.setattr(Trainer, "step", slow)
    monkeypatch.setattr(train, "development", lambda _cache: {})
    monkeypatch.setattr(train, "SIZES", {(48, 32): 0.5, (32, 48): 0.5})
    checkpoint, minutes = folder / "checkpoint.pt", str(10 / 60)
    small = ["--cache", str(folder), "--batch", "2", "--workers", "0", "--minutes", minutes, "--wheel", "any"]
    torch.manual_seed(7)
    start = LiteNetwork().state_dict()

    def begun(_wheel: Path, _model: str) -> LiteNetwork:
        network = LiteNetwork()
        network.load_state_dict(start)
        torch.manual_seed(3)
        return network

    monkeypatch.setattr(train, "load_start", begun)
    ends, losses = [], []
    for pieces in (1, 3):
        checkpoint.unlink(missing_ok=True)
        (folder / "log.jsonl").unlink(missing_ok=True)
        for _ in range(pieces):
            train.main([*small, "--piece", str(4 / 60 if pieces > 1 else 60)])
        ends.append(read_checkpoint(checkpoint))
        told = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        losses.append([line["event"] for line in told if "event" in line])
    checkpoint.unlink()
    one, three = ends
    assert losses == [["start", "average", "end"], ["start", "piece"] * 2 + ["start", "average", "end"]]
    assert one["frames"] == three["frames"] == 60
    assert one["seconds"] == three["seconds"] == 10
    assert one["count"] == three["count"] > 0
    for name in ("network", "average", "mean"):
        moved, apart = (
            sum(float((values[key].double() - other[key]).square().sum()) for key in start) ** 0.5
            for values, other in ((one[name], start), (three[name], one[name]))
        )
        assert apart < 0.05 * moved, name  # rounding, which steps of equal size amplify

    for number, state in one["optimiser"]["state"].items():
        assert three["optimiser"]["state"][number]["step"] == state["step"] == 10


@pytest.mark.slow
def test_another_device_computes_the_scenes_that_are_drawn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a GPU; here the other device is the CPU under another name."""
    monkeypatch.setattr(train, "load_start", lambda _wheel, _model: LiteNetwork())
    monkeypatch.setattr(train, "development", lambda _cache: {})
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    small = ["--cache", str(folder), "--batch", "2", "--workers", "0", "--device", "cpu:0", "--wheel", "any"]
    train.main([*small, "--minutes", "0.001"])
    found = read_checkpoint(folder / "checkpoint.pt")
    (folder / "checkpoint.pt").unlink()
    assert found["frames"] >= 6
    assert all(bool(value.isfinite().all()) for value in found["network"].values())


def test_no_time_to_train_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as told:
        train.main(["--minutes", "0"])
    assert told.value.code == 2
    assert "--minutes is not above 0" in capsys.readouterr().err


@pytest.mark.gpu
def test_training_on_a_gpu_goes_on_from_a_checkpoint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "load_start", lambda _wheel, _model: LiteNetwork())
    monkeypatch.setattr(train, "SIZES", {(48, 32): 1.0})
    small = ["--cache", str(folder), "--batch", "2", "--workers", "0", "--device", "cuda", "--wheel", "any"]
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    seen = []
    for minutes in ("0.05", "0.1"):
        train.main([*small, "--minutes", minutes])
        seen.append(int(read_checkpoint(folder / "checkpoint.pt")["frames"]))
    (folder / "checkpoint.pt").unlink()
    assert seen[1] > seen[0] > 0


def test_the_log_is_drawn(tmp_path: Path) -> None:
    found = curve.parts(curve.LOG)
    assert all(part[0]["event"] == "start" for part in found)
    curve.draw(curve.LOG, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 5000


def test_the_weights_in_the_package_are_those_that_the_log_ends_with() -> None:
    last = json.loads(curve.LOG.read_text().splitlines()[-1])
    assert last["event"] == "export"
    assert last["sha256"] == sha256(EMBEDDED.read_bytes()).hexdigest()
