"""What guides the network from outside: a region to look at, and a mask of what is certainly the person."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rvm_live.apps.batch.mask import forced
from rvm_live.apps.batch.region import Region
from rvm_live.core.errors import SettingsError
from tests.support.movies import make_movie, names, pictures
from tests.support.program import call
from tests.support.videos import make_video

HALF = ("--engine", "tests.support.engines:LeftHalfEngine", "--container", "mkv", "--write", "composite,alpha")


def work(*arguments: str | Path) -> str:
    done = call("batch", *HALF, *arguments)
    assert done.code == 0, done.out + done.err
    return done.out


def made(out: Path) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """Composites and alphas of ``clip``."""
    return pictures(out / "output_clip.mkv", "bgra"), pictures(out / "output_clip_alpha.mkv", "gray")


def film(path: Path, grey: list[NDArray[np.uint8]]) -> Path:
    """A lossless film of grey pictures."""
    path.mkdir()
    for number, picture in enumerate(grey):
        assert cv2.imwrite(str(path / f"{number:04d}.png"), picture)
    return path


# Region


def test_the_network_sees_the_region_alone_and_nobody_is_outside(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=6)  # 96x64
    work(clip, "-o", tmp_path / "out", "--region", "21,10,40,33")
    composites, alphas = made(tmp_path / "out")
    wanted = np.zeros((64, 96), np.uint8)
    wanted[10:43, 21:41] = 255  # left half of the region, not of the picture
    assert len(alphas) == 6
    for composite, alpha, own in zip(composites, alphas, pictures(clip, "bgr24"), strict=True):
        assert np.array_equal(alpha, wanted)
        assert np.array_equal(composite[..., 3], wanted)
        assert np.array_equal(composite[..., :3], np.where(wanted[..., None] > 0, own, 0))


def test_a_region_is_of_the_upright_picture_and_of_every_frame_of_a_part(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", frames=30, width=96, height=64, rotation=90)
    work(clip, "-o", tmp_path / "out", "--region", "4,50,40,46", "--start", "25", "--end", "28")
    work(clip, "-o", tmp_path / "whole")
    composites, alphas = made(tmp_path / "out")
    wanted = np.zeros((96, 64), np.uint8)
    wanted[50:, 4:24] = 255
    assert len(alphas) == 3
    assert all(np.array_equal(alpha, wanted) for alpha in alphas)
    whole, _ = made(tmp_path / "whole")
    for one, other in zip(composites, whole[25:28], strict=True):
        assert np.array_equal(one[wanted > 0], other[wanted > 0])


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("1,2,3", "write X,Y,W,H"),
        ("a,b,c,d", "write X,Y,W,H"),
        ("-1,0,40,40", "write X,Y,W,H"),
        ("0,0,8,40", "too small"),
        ("0,0,0,0", "too small"),
        ("9" * 500, "cannot be read"),
    ],
)
def test_no_region_is_refused_in_one_line(tmp_path: Path, asked: str, words: str) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=2)
    done = call("batch", *HALF, clip, "-o", tmp_path / "out", f"--region={asked}")
    assert done.code == 2
    assert words in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("asked", ["60,0,40,40", "0,40,40,40", "99999,0,40,40"])
def test_a_region_outside_fails_the_film_before_anything_is_written(tmp_path: Path, asked: str) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=2)
    done = call("batch", *HALF, clip, "-o", tmp_path / "out", "--region", asked)
    assert done.code == 1
    assert "is not inside clip.mp4, which is 96x64" in done.out + done.err
    assert names(tmp_path / "out") == ["log_output_clip.txt"]


def test_pictures_of_another_size_have_their_region_in_proportion() -> None:
    region = Region.parse("10, 20, 40, 60")
    assert region.within((100, 100), 100, 100) == (slice(20, 80), slice(10, 50))
    assert region.within((100, 100), 50, 200) == (slice(40, 160), slice(5, 25))
    with pytest.raises(SettingsError):
        region.check(49, 100, "clip")


# Mask


def bands(width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """Black, mid grey and white, from top to bottom."""
    mask = np.full((height, width), 128, np.uint8)
    mask[: height // 4], mask[-height // 4 :] = 0, 255
    return mask


def test_white_is_the_person_black_is_not_and_grey_is_as_the_network_has_it(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=5)
    cv2.imwrite(str(tmp_path / "mask.png"), bands())
    work(clip, "-o", tmp_path / "out", "--mask", tmp_path / "mask.png")
    composites, alphas = made(tmp_path / "out")
    wanted = np.zeros((64, 96), np.uint8)
    wanted[16:, :48] = 255
    wanted[48:] = 255
    for composite, alpha, own in zip(composites, alphas, pictures(clip, "bgr24"), strict=True):
        assert np.array_equal(alpha, wanted)
        assert np.array_equal(composite[..., :3], np.where(wanted[..., None] > 0, own, 0))


@pytest.mark.parametrize("part", [(), ("--start", "9", "--end", "14")])
def test_a_film_as_mask_stays_on_its_frames(tmp_path: Path, part: tuple[str, ...]) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=20)
    grey = []
    for number in range(20):
        grey.append(np.zeros((64, 96), np.uint8))
        grey[-1][number : number + 20] = 255
    mask = film(tmp_path / "masks", grey)
    work(clip, "-o", tmp_path / "out", "--mask", mask, *part)
    _, alphas = made(tmp_path / "out")
    numbers = range(9, 14) if part else range(20)
    assert len(alphas) == len(numbers)
    for alpha, number in zip(alphas, numbers, strict=True):
        assert np.array_equal(alpha, grey[number]), number


def test_our_own_alpha_serves_as_mask_a_lossy_one_too(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=20)
    done = call("batch", *HALF[:2], clip, "-o", tmp_path / "mask.mp4", "--write", "alpha")
    assert done.code == 0, done.out + done.err
    engine = ("--engine", "tests.support.engines:PassThroughEngine", "--write", "alpha", "--container", "mkv")
    done = call("batch", *engine, clip, "-o", tmp_path / "out", "--mask", tmp_path / "mask.mp4")
    assert done.code == 0, done.out + done.err
    for alpha in pictures(tmp_path / "out" / "output_clip_alpha.mkv", "gray"):
        assert (alpha[:, :40] == 255).all()
        assert not alpha[:, 56:].any()


def test_levels_between_are_in_proportion_and_the_ends_exact() -> None:
    mask = np.arange(256, dtype=np.uint8)[None]
    image, colour = np.full((1, 256, 3), 200, np.uint8), np.full((1, 256, 3), 40, np.uint8)
    alpha, seen = forced(np.full((1, 256), 100, np.uint8), colour, image, mask)
    assert not alpha[0, :16].any()
    assert (alpha[0, 112:144] == 100).all()
    assert (alpha[0, 240:] == 255).all()
    assert (np.diff(alpha[0].astype(int)) >= 0).all()
    assert alpha[0, 64] == pytest.approx(100 * (64 - 15) / (112 - 15), abs=1)
    assert alpha[0, 192] == pytest.approx(100 + 155 * (192 - 143) / (240 - 143), abs=1)
    assert (seen[0, :144] == 40).all()
    assert (seen[0, 240:] == 200).all()


def test_a_mask_reaches_beyond_the_region(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=2)
    cv2.imwrite(str(tmp_path / "mask.png"), bands())
    work(clip, "-o", tmp_path / "out", "--mask", tmp_path / "mask.png", "--region", "0,0,96,40")
    for alpha in made(tmp_path / "out")[1]:
        assert not alpha[:16].any()
        assert (alpha[16:40, :48] == 255).all()
        assert not alpha[40:48].any()
        assert (alpha[48:] == 255).all()


def test_a_mask_that_does_not_fit_is_refused_in_one_line(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=6)
    cv2.imwrite(str(tmp_path / "small.png"), bands(48, 32))
    (tmp_path / "text.png").write_text("no picture")
    cases = [
        (tmp_path / "small.png", "is 48x32, and clip.mp4 96x64", 1),
        (make_movie(tmp_path / "short.mp4", frames=5), "has 5 frames, and clip.mp4 6", 1),
        (tmp_path / "text.png", "text.png", 1),
        (tmp_path / "none.png", "there is no mask", 2),
    ]
    for mask, words, code in cases:
        done = call("batch", *HALF, clip, "-o", tmp_path / "out", "--mask", mask)
        assert done.code == code, done.out + done.err
        assert words in done.out + done.err
        assert not [name for name in names(tmp_path / "out") if name != "log_output_clip.txt"] if code == 1 else True


def test_another_region_or_mask_is_another_output(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=4)
    cv2.imwrite(str(tmp_path / "mask.png"), bands())
    work(clip, "-o", tmp_path / "out", "--region", "0,0,40,40", "--mask", tmp_path / "mask.png")
    assert "kept" in work(clip, "-o", tmp_path / "out", "--region", " 0,0,40,40", "--mask", tmp_path / "mask.png")
    cv2.imwrite(str(tmp_path / "mask.png"), 255 - bands())
    done = call("batch", *HALF, clip, "-o", tmp_path / "out", "--region", "0,0,42,40", "--mask", tmp_path / "mask.png")
    assert "made from another region, with another mask" in done.out + done.err
