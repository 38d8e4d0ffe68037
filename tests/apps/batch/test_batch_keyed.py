"""Fill and key: a person with alpha in formats without alpha, as two files or side by side."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rvm_live.apps.batch import tracks
from rvm_live.media.alpha_bleed import bleed
from tests.support.movies import inside, make_movie, names, pictures
from tests.support.program import call

PASS = ("--engine", "tests.support.engines:PassThroughEngine")


@pytest.fixture
def soft(tmp_path: Path) -> tuple[Path, Path]:
    """A film, and a mask that makes alpha increase from left to right."""
    clip = make_movie(tmp_path / "clip.mp4", frames=4)
    ramp = np.tile(np.linspace(0, 112, 96, dtype=np.uint8), (64, 1))
    cv2.imwrite(str(tmp_path / "mask.png"), ramp)
    return clip, tmp_path / "mask.png"


def work(*arguments: str | Path) -> None:
    done = call("batch", *PASS, *arguments)
    assert done.code == 0, done.out + done.err


def read(path: Path, form: str = "bgr24") -> list[NDArray[np.uint8]]:
    return pictures(path, form)


@pytest.mark.parametrize("behind", ["transparent", "color:#204060"])
def test_a_mixer_makes_the_composite_of_fill_and_key(tmp_path: Path, soft: tuple[Path, Path], behind: str) -> None:
    clip, mask = soft
    out = tmp_path / "out"
    work(clip, "-o", out, "--mask", mask, "--container", "mkv", "--codec", "ffv1", "-b", behind, "--write", "fill,key")
    work(clip, "-o", tmp_path / "over", "--mask", mask, "--container", "mkv", "-b", "color:#204060")
    assert [name for name in names(out) if name.endswith(".mkv")] == ["output_clip_fill.mkv", "output_clip_key.mkv"]
    fills, keys = read(out / "output_clip_fill.mkv"), read(out / "output_clip_key.mkv", "gray")
    wanted = read(tmp_path / "over" / "output_clip.mkv")
    assert len(fills) == len(keys) == len(wanted) == 4
    back = np.array([0x60, 0x40, 0x20], float)
    for fill, key, composite in zip(fills, keys, wanted, strict=True):
        assert len(np.unique(key)) > 60
        assert not fill[key == 0].any()
        mixed = fill + back * (1 - key[..., None] / 255)
        assert np.abs(mixed - composite).max() <= 1.6


def test_straight_fills_hold_the_colours_as_they_are_and_no_black_at_the_edge(
    tmp_path: Path, soft: tuple[Path, Path]
) -> None:
    clip, mask = soft
    out = tmp_path / "out"
    work(clip, "-o", out, "--mask", mask, "--container", "mkv", "--straight", "--write", "fill,key")
    own = pictures(clip, "bgr24")
    for fill, key, picture in zip(
        read(out / "output_clip_fill.mkv"), read(out / "output_clip_key.mkv", "gray"), own, strict=True
    ):
        assert np.array_equal(fill[key > 0], picture[key > 0])
        edge = int(np.flatnonzero(key[0] == 0).max())
        assert fill[:, edge - 1 : edge + 1].min() > 20


def test_side_by_side_is_one_film_of_twice_the_width(tmp_path: Path, soft: tuple[Path, Path]) -> None:
    clip, mask = soft
    out = tmp_path / "out"
    work(clip, "-o", out, "--mask", mask, "--container", "mkv", "--write", "fill-key,fill,key")
    both = read(out / "output_clip_fill-key.mkv")
    for picture, fill, key in zip(
        both, read(out / "output_clip_fill.mkv"), read(out / "output_clip_key.mkv", "gray"), strict=True
    ):
        assert picture.shape == (64, 192, 3)
        assert np.array_equal(picture[:, :96], fill)
        assert all(np.array_equal(picture[:, 96:, channel], key) for channel in range(3))


def test_each_is_made_on_the_thread_that_writes_it(
    tmp_path: Path, soft: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made_on: list[threading.Thread] = []

    def watched(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        made_on.append(threading.current_thread())
        return bleed(image)

    monkeypatch.setattr(tracks, "bleed", watched)
    work(soft[0], "-o", tmp_path / "out", "--straight", "--container", "mkv", "--write", "fill,fill-key")
    assert len(made_on) == 8
    assert len({thread.ident for thread in made_on}) == 2
    assert threading.current_thread() not in made_on


def test_they_go_into_films_without_alpha_and_keep_the_sound(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=12)
    work(clip, "-o", tmp_path / "cut.mp4", "--write", "fill,key")
    keys = pictures(tmp_path / "cut_key.mp4", "bgr24")
    assert len(keys) == 12
    assert all((key >= 253).all() for key in keys)
    assert len(pictures(tmp_path / "cut.mp4", "gray")) == 12
    assert inside(tmp_path / "cut_key.mp4").sound == inside(clip).sound
    work(clip, "-o", tmp_path / "both.mp4", "--write", "fill-key", "--resume")
    (width,) = {picture.shape[1] for picture in pictures(tmp_path / "both.mp4", "gray")}
    assert width == 192


def test_what_cannot_hold_them_is_refused_and_another_fill_is_another_output(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=2)
    done = call("batch", *PASS, clip, "-o", tmp_path / "out", "--write", "fill", "--container", "exr")
    assert (done.code, "EXR stores fill and key in one file" in done.err) == (2, True)
    done = call("batch", *PASS, clip, "-o", tmp_path / "out", "--write", "key", "--straight")
    assert (done.code, "--straight is only for EXR and fill" in done.err) == (2, True)
    work(clip, "-o", tmp_path / "out", "--write", "fill")
    done = call("batch", *PASS, clip, "-o", tmp_path / "out", "--write", "fill", "--straight")
    assert (done.code, "with or without --straight" in done.out + done.err) == (1, True)
