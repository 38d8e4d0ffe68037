"""Truth by chroma key, and the quality benchmark that uses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.edges import edge_error
from benchmarks.keyed.key import Keyed, key
from benchmarks.keyed.person import tint_of
from benchmarks.keyed.scenes import KINDS, Setting, scene
from benchmarks.quality import benchmark as quality
from benchmarks.quality import page as quality_page
from benchmarks.quality.clips import dataset_clips, keyed_clips
from benchmarks.quality.metrics import mad
from benchmarks.quality.subjects import POSTS, EngineSubject
from benchmarks.report import commanded
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import SettingsError, SourceError, UnavailableError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings
from tests.support.videos import read_frames

SKIN = (110, 140, 190)
HAIR = (35, 40, 45)
GREEN = (70, 170, 60)
BLUE = (190, 140, 40)


def person(at: int, width: int = 240, height: int = 200) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A moving person with dark hair: colour (H, W, 3) and alpha (H, W), with edges three pixels wide and a hole."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    x = width / 2 + 3 * np.sin(at)
    head = 45 - np.hypot(columns - x, (rows - 80) * 0.8)
    body = 95 - np.hypot(columns - x, rows - 220)
    gap = 6 - np.hypot(columns - x - 25, rows - 100)
    alpha = np.clip(np.maximum(head, body) / 3 + 0.5, 0, 1) * (1 - np.clip(gap / 3 + 0.5, 0, 1))
    colour = np.where((rows < 70)[..., None], HAIR, SKIN).astype(np.float32)
    return colour, alpha.astype(np.float32)


def filmed(at: int, screen: tuple[int, int, int] = GREEN, noise: float = 1.5) -> Bytes:
    """That person in front of a screen that is darker towards its corners."""
    colour, alpha = person(at)
    rows, columns = np.mgrid[-1 : 1 : alpha.shape[0] * 1j, -1 : 1 : alpha.shape[1] * 1j]
    behind = np.array(screen) * (1 - 0.15 * (rows**2 + columns**2))[..., None]
    picture = colour * alpha[..., None] + behind * (1 - alpha[..., None])
    picture += np.random.default_rng(at).normal(0, noise, picture.shape)
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


@pytest.mark.few(1)
@pytest.mark.parametrize("screen", [GREEN, BLUE])
def test_a_known_alpha_is_found_again(screen: tuple[int, int, int]) -> None:
    found = key([filmed(at, screen) for at in range(8)])
    height, width = found.alpha[0].shape
    top = (200 - height) // 2 if height > 190 else 2
    for at, (alpha, colour) in enumerate(zip(found.alpha, found.foreground, strict=True)):
        true_colour, truth = person(at)
        window = slice(top, top + height), slice(2, 2 + width)
        expected = (truth[window] * 255 + 0.5).astype(np.uint8)
        assert mad(alpha, expected) < 5
        soft = (expected > 60) & (expected < 200)
        assert np.abs(alpha.astype(int) - expected)[soft].mean() < 36
        # The gap beside the head becomes a hole; alpha is full inside and 0 outside.
        assert alpha[100 - top, round(120 + 3 * np.sin(at)) + 25 - 2] < 20
        assert (alpha[expected == 255] > 235).mean() > 0.99
        assert (alpha[expected == 0] < 20).mean() > 0.99
        opaque = expected > 128
        assert np.abs(colour.astype(int) - true_colour[window])[opaque].mean() < 8


def test_black_strips_are_cut_off() -> None:
    frames = [cv2.copyMakeBorder(filmed(at), 0, 30, 20, 0, cv2.BORDER_CONSTANT) for at in range(4)]
    found = key(frames)
    height, width = found.alpha[0].shape
    assert height <= 200
    assert 230 <= width <= 240
    assert found.report.screen > 0.3


def test_only_so_many_frames_are_cut_out() -> None:
    assert len(key([filmed(at) for at in range(8)], count=3).alpha) == 3


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ([], "contains no picture"),
        ([np.zeros((200, 240, 3), np.uint8)] * 3, "black"),
        ([np.full((200, 240, 3), 128, np.uint8)] * 3, "no green or blue screen"),
        ([filmed(at, GREEN, noise=24.0) for at in range(4)], "cannot be keyed"),
        ([np.full((200, 240, 3), GREEN, np.uint8)] * 3, "the person would fill 0%"),
    ],
    ids=["nothing", "black", "grey", "noisy", "nobody"],
)
def test_a_bad_key_is_refused(frames: list[Bytes], why: str) -> None:
    with pytest.raises(SourceError, match=why) as told:
        key(frames, "this.mp4")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["liveportrait_d9.mp4", "retalking_4.mp4", "liveportrait_s18.mp4"])
@pytest.mark.few(1)
def test_real_clips_without_a_screen_are_refused(data: Path, name: str) -> None:
    frames = [frame.image for frame in read_frames(data / "clips" / "webcam" / name, 4)]
    with pytest.raises(SourceError, match=f"{name} cannot be keyed"):
        key(frames, name)


@pytest.fixture(scope="module")
def real(data: Path) -> Keyed:
    frames = [frame.image for frame in read_frames(data / "clips/webcam/liveportrait_d0.mp4", 12)]
    return key(frames, count=3)


@pytest.mark.slow
def test_a_real_clip_loses_its_screen_and_its_strip(real: Keyed) -> None:
    height, width = real.alpha[0].shape
    assert (width, height) > (480, 400)
    assert height < 480  # without the strip, and the rows where the shoulders reach the sides
    green = np.full((height, width, 3), (93, 151, 74), np.float32)
    for alpha, colour in zip(real.alpha, real.foreground, strict=True):
        assert 0.3 < alpha.mean() / 255 < 0.6
        assert max(alpha[:, :2].max(), alpha[:, -2:].max()) <= 24
        shown = alpha > 30
        tint, _ = tint_of(colour.astype(np.float32), green)
        assert (tint[shown] > 0.45).mean() < 0.002
        # Hair has alpha between 0 and full.
        assert 0.005 < ((alpha > 25) & (alpha < 230)).mean() < 0.05


# Scenes.


@pytest.fixture
def backgrounds(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    for name in ("one.png", "two.png"):
        cv2.imwrite(str(tmp_path / name), cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (640, 400)))
    return tmp_path


@pytest.fixture(scope="module")
def drawn() -> Keyed:
    return key([filmed(at) for at in range(4)])


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_is_the_same_each_time_and_is_what_its_truth_says(kind: str, backgrounds: Path, drawn: Keyed) -> None:
    setting = Setting(kind, backgrounds / "one.png", seed=7)
    first, again = (list(scene(drawn, setting, (320, 180))) for _ in range(2))
    assert len(first) == 4
    for (picture, alpha), (same_picture, same_alpha) in zip(first, again, strict=True):
        assert picture.shape == (180, 320, 3)
        assert np.array_equal(picture, same_picture)
        assert np.array_equal(alpha, same_alpha)
        assert 0.1 < alpha.mean() / 255 < 0.6
        assert alpha[-1].max() == 255  # the person reaches the lower edge
    other = next(iter(scene(drawn, Setting(kind, backgrounds / "two.png", seed=7), (320, 180))))
    differs = np.abs(first[0][0].astype(int) - other[0]).max(2)
    inside = cv2.erode((first[0][1] == 255).astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    # JPEG spreads pixels a little. Where alpha is full no background is visible; where it is 0, only background.
    assert differs[inside].mean() < 12
    assert differs[first[0][1] == 0].mean() > 40


def test_backgrounds_move_or_stand_still(backgrounds: Path, drawn: Keyed) -> None:
    for kind, moves in (("still", False), ("moving", True), ("busy", True)):
        made = list(scene(drawn, Setting(kind, backgrounds / "one.png", seed=7), (320, 180)))
        nowhere = (made[0][1] == 0) & (made[3][1] == 0)
        change = np.abs(cv2.blur(made[0][0], (5, 5)).astype(int) - cv2.blur(made[3][0], (5, 5)))[nowhere]
        assert bool(change.mean() > 2.5) is moves, (kind, change.mean())


def test_an_unreadable_background_is_told(tmp_path: Path, drawn: Keyed) -> None:
    for name in ("none.png", "none.mp4"):
        with pytest.raises(SourceError, match=f"{name} cannot be read"):
            next(scene(drawn, Setting("still", tmp_path / name, 0), (320, 180)))


# The benchmark.


def make_dataset(folder: Path) -> Path:
    """Two clips in VideoMatte240K's layout, one with PNG and one with JPEG pictures, and a folder that is not a
    clip."""
    if folder.exists():
        return folder
    for kind, clip, suffix in (("videomatte_motion", "0000", "png"), ("videomatte_static", "0001", "jpg")):
        home = folder / kind / clip
        for part in ("com", "pha", "fgr"):
            (home / part).mkdir(parents=True)
        for at in range(4):
            colour, alpha = person(at)
            cv2.imwrite(str(home / "com" / f"{at:04d}.{suffix}"), filmed(at))
            cv2.imwrite(str(home / "fgr" / f"{at:04d}.{suffix}"), colour)
            cv2.imwrite(str(home / "pha" / f"{at:04d}.{suffix}"), alpha * 255)
    (folder / "notes").mkdir()
    return folder


def test_videomatte_folders_are_read(tmp_path: Path) -> None:
    clips = dataset_clips(make_dataset(tmp_path / "set"), 3)
    assert [(clip.name, clip.truth) for clip in clips] == [
        ("videomatte_motion/0000", "videomatte_motion"),
        ("videomatte_static/0001", "videomatte_static"),
    ]
    pairs = list(clips[0].frames())
    assert len(pairs) == 3
    assert np.array_equal(pairs[2][0], filmed(2))
    assert pairs[2][1] is not None
    assert np.abs(pairs[2][1].astype(int) - person(2)[1] * 255).max() <= 1


def test_folders_without_clips_are_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no clip"):
        dataset_clips(tmp_path, None)
    with pytest.raises(SettingsError, match="no clips before a screen"):
        keyed_clips(tmp_path, None, (320, 180), every_kind=False)
    with pytest.raises(UnavailableError, match="--data"):
        quality.run([])


def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path, *more: str) -> dict[str, Any]:
    monkeypatch.setenv("RVM_LIVE_WEIGHTS", str(weights))
    with commanded("quality", [], tmp_path / "results"):
        quality.run(["--quick", "--dataset", str(make_dataset(tmp_path / "set")), *more])
    found: dict[str, Any] = json.loads((tmp_path / "results" / "quality.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.slow
def test_the_benchmark_measures_what_the_user_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path
) -> None:
    found = measured(tmp_path, monkeypatch, weights)
    rows = {(row["what"].split()[0], row["truth"]): row for row in found["rows"]}
    assert set(rows) == {(who, f"videomatte_{how}") for who in ("plain", "rvm") for how in ("motion", "static")}
    for row in found["rows"]:
        assert row["clips"] == 1
        assert row["median ms"] > 0
        assert 0 < row["MSE e-3"] <= row["MAD e-3"] < 1000
        assert row["dtSSD e-2"] > 0
    # The engine is the network itself, so its quality must equal the network's.
    for how in ("motion", "static"):
        mine, plain = rows["rvm", f"videomatte_{how}"], rows["plain", f"videomatte_{how}"]
        assert mine["MAD e-3"] == pytest.approx(plain["MAD e-3"], abs=1)
    assert str(tmp_path) not in json.dumps(found)


@pytest.mark.slow
def test_a_run_goes_on_where_another_broke_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    whole = measured(tmp_path, monkeypatch, weights, "--resume", str(kept))
    lines = kept.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["clip"] for line in lines] == ["videomatte_motion/0000", "videomatte_static/0001"]
    kept.write_text(lines[0] + "\n", encoding="utf-8")
    asked = []
    monkeypatch.setattr(quality, "_one", lambda *given: asked.append(given) or real_one(*given))
    again = measured(tmp_path, monkeypatch, weights, "--resume", str(kept))
    assert len(asked) == 2  # two subjects, on the clip that was missing
    for old, new in zip(whole["rows"], again["rows"], strict=True):
        assert (old["what"], old["MAD e-3"], old["clips"]) == (new["what"], new["MAD e-3"], new["clips"])
    kept.write_text("something else\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="name another file"):
        measured(tmp_path, monkeypatch, weights, "--resume", str(kept))


real_one = quality._one


def test_each_clip_begins_with_an_empty_state(weights: Path) -> None:
    subject = EngineSubject(EngineSettings(engine="rvm", weights=weights, device="cpu", downsample_ratio=1.0))
    subject.open(240, 200)
    try:
        alphas = []
        for _ in range(2):
            subject.reset()
            alphas.append([subject.matte(Frame(filmed(at), at, 0, at))[1] for at in range(3)])
    finally:
        subject.close()
    assert np.array_equal(alphas[0], alphas[1])


@pytest.mark.parametrize("label", POSTS)
def test_what_is_done_afterwards_keeps_the_shape_and_leaves_the_clear_alone(label: str) -> None:
    post = POSTS[label]()
    picture = filmed(0)
    truth = (person(0)[1] * 255 + 0.5).astype(np.uint8)
    for _ in range(2):
        found = post(picture, truth)
        assert found.shape == truth.shape
        assert found.dtype == np.uint8
        assert mad(found, truth) < 30
    assert found[5, 5] == 0


def test_the_page_is_written_between_its_marks(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    columns = ("MAD e-3", "MSE e-3", "Grad", "Conn", "dtSSD e-2", "median ms", "p95 ms")
    row = dict.fromkeys(columns, 2.0)
    rows = [
        {**row, "what": "a fp32, ratio 0.25", "truth": "keyed", "clips": 2, "family": "a"},
        {**row, "what": "a fp32, ratio 0.25 + blur", "truth": "keyed", "clips": 2, "family": "with something after"},
        {**row, "what": "a fp32, ratio 0.25", "truth": "plain network", "clips": 1, "family": "a"},
    ]
    result = {
        "benchmark": "quality",
        "command": "python -m benchmarks quality",
        "date": "2026-01-02",
        "host": {"cores": 2, "cpu": "some", "system": "Linux 6"},
        "load_at_start": 7.0,
        "rows": rows,
        "refusals": {"b": "it is not installed"},
        "left_out": {},
    }
    (tmp_path / "quality.json").write_text(json.dumps(result), encoding="utf-8")
    page = tmp_path / "quality.md"
    page.write_text(f"before\n{quality_page.BEGIN}\nold\n{quality_page.END}\nafter\n", encoding="utf-8")
    quality_page.write(tmp_path, page, tmp_path / "plot.png")
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "b: it is not installed" in text
    assert "busy" in text
    assert text.count("| a fp32, ratio 0.25 |") == 3
    assert cv2.imread(str(tmp_path / "plot.png")) is not None
    with pytest.raises(UnavailableError, match="no result yet"):
        quality_page.write(tmp_path / "empty", page, tmp_path / "plot.png")


def test_a_scene_is_made_of_its_layers_and_an_edge_tells_whose_colours_it_has() -> None:
    random = np.random.default_rng(0)
    alpha = np.tile(np.linspace(0, 255, 40).astype(np.uint8), (20, 1))
    front, room = np.full((20, 40, 3), (30, 60, 200), np.uint8), random.integers(0, 255, (20, 40, 3)).astype(np.uint8)
    share = alpha[..., None] / 255
    mixed = (front * share + room * (1 - share)).astype(np.uint8)
    assert edge_error(front, alpha, front, alpha) == 0
    assert edge_error(mixed, alpha, front, alpha) > 10
    assert edge_error(front, 255 - alpha, front, alpha) > edge_error(mixed, alpha, front, alpha)
    assert np.isnan(edge_error(front, alpha, front, np.full_like(alpha, 255)))
