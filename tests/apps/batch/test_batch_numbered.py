"""Numbered pictures without a gap are one clip; other pictures stay single."""

from __future__ import annotations

import json
import signal
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rvm_live.apps.batch.inputs import jobs
from rvm_live.apps.batch.settings import BatchSettings
from tests.support.movies import inside, names, pictures
from tests.support.program import call, start
from tests.support.waiting import until

HALF = ("--engine", "tests.support.engines:LeftHalfEngine", "--background", "color:#000000")
REMEMBERING = ("--engine", "tests.support.engines:RememberingEngine")


def draw(folder: Path, *files: str, size: tuple[int, int] = (96, 64)) -> Path:
    """Grey pictures, each a little brighter than the one before it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(files):
        level = 10 + 8 * number % 240
        assert cv2.imwrite(str(folder / name), np.full((size[1], size[0], 3), level, np.uint8))
    return folder


def row(count: int, form: str = "f_{:04d}.png", first: int = 1) -> list[str]:
    return [form.format(number) for number in range(first, first + count)]


def found(*inputs: Path | str, output: Path = Path("nowhere")) -> list[tuple[str, int]]:
    """Stems of the jobs, and the number of pictures in each (0: a file)."""
    made = jobs(BatchSettings(tuple(map(str, inputs)), output))
    return [(job.stem, len(job.pictures)) for job in made]


@pytest.mark.parametrize("how", ["folder", "pattern", "names", "folder above"])
def test_a_row_is_one_clip_however_it_is_named(tmp_path: Path, how: str) -> None:
    folder = draw(tmp_path / "seq", *row(6))
    inputs = {
        "folder": [folder],
        "pattern": [folder / "f_*.png"],
        "names": sorted(folder.iterdir()),  # as a shell expands a pattern
        "folder above": [tmp_path],
    }[how]
    done = call("batch", *inputs, "-o", tmp_path / "out", *HALF, "--background", "color:#000000")
    assert done.code == 0, done.out
    assert done.out.splitlines()[-1] == "1 done"
    assert names(tmp_path / "out") == ["log_output_f.txt", "output_f.mp4"]
    film = tmp_path / "out" / "output_f.mp4"
    assert inside(film).times == tuple(Fraction(number, 25) for number in range(6))
    assert inside(film).seconds == pytest.approx(6 / 25, abs=1e-3)
    levels = [float(picture[:, 4:40].mean()) for picture in pictures(film, "bgr24")]
    assert levels == pytest.approx([10 + 8 * number for number in range(6)], abs=1.5)


def test_what_is_a_row_and_what_is_not(tmp_path: Path) -> None:
    draw(tmp_path / "shot", *row(4, "{:03d}.jpg", 9))
    draw(tmp_path / "gap", "a1.png", "a2.png", "a4.png")
    draw(tmp_path / "one", "b7.png")
    draw(tmp_path / "plain", "portrait.png", "me.jpg")
    draw(tmp_path / "two", *row(3, "x{}.png", 9), *row(2, "y{}.png"), *row(2, "x{}.jpg"))
    draw(tmp_path / "twice", "c1.png", "c01.png", "c2.png")
    assert found(tmp_path / "shot") == [("output_shot", 4)], "without a name of its own the folder's"
    assert found(tmp_path / "two" / "*") == [("output_x", 2), ("output_x_2", 3), ("output_y", 2)]
    assert found(tmp_path / "gap" / "*") == [("output_a1", 0), ("output_a2", 0), ("output_a4", 0)]
    assert found(tmp_path / "twice" / "*") == [("output_c01", 0), ("output_c1", 0), ("output_c2", 0)]
    assert found(tmp_path / "one" / "*", tmp_path / "plain" / "*") == [
        ("output_b7", 0), ("output_me", 0), ("output_portrait", 0)
    ]  # fmt: skip
    assert found(tmp_path) == [("output_shot", 4), ("output_x", 2), ("output_x_2", 3), ("output_y", 2)]
    assert found(tmp_path / "two" / "x9.png") == [("output_x9", 0)], "who names one gets one"
    moving = [Image.new("RGB", (16, 16), (level, 0, 0)) for level in (10, 200)]
    for number in (1, 2):
        moving[0].save(tmp_path / "one" / f"m{number}.webp", save_all=True, append_images=moving[1:], lossless=True)
    assert found(tmp_path / "one" / "m*") == [("output_m1", 0), ("output_m2", 0)], "each of them moves"
    for name in ("gap", "plain", "one"):
        done = call("batch", tmp_path / name, "-o", tmp_path / "out", *HALF)
        assert (done.code, "contains no video" in done.complaint) == (2, True)


def test_numbers_are_counted_not_spelled(tmp_path: Path) -> None:
    folder = draw(tmp_path / "seq", *row(12, "f{}.png", 1))
    (job,) = jobs(BatchSettings((str(folder),), tmp_path / "out"))
    assert [path.name for path in job.pictures] == row(12, "f{}.png", 1)


def test_the_rate_is_a_choice_and_part_of_what_it_is_made_of(tmp_path: Path) -> None:
    folder, out = draw(tmp_path / "seq", *row(4)), tmp_path / "out"
    for rate, seconds in (("24", 4 / 24), ("23.976", 4 / 23.976)):
        assert call("batch", folder, "-o", out, *HALF, "--fps", rate, "--force").code == 0
        assert inside(out / "output_f.mp4").seconds == pytest.approx(seconds, abs=1e-3)
    assert "0 done, 1 kept (--force overwrites it)" in call("batch", folder, "-o", out, *HALF, "--fps", "23.976").out
    assert "made from another file" in call("batch", folder, "-o", out, *HALF).out
    cv2.imwrite(str(folder / "f_0003.png"), np.full((64, 96, 3), 200, np.uint8))
    assert "made from another file" in call("batch", folder, "-o", out, *HALF, "--fps", "23.976").out
    assert call("batch", folder, "-o", out, *HALF, "--fps", "0").code == 2


@pytest.mark.slow
def test_a_killed_run_over_a_row_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    folder, out = draw(tmp_path / "seq", *row(25 * 6)), tmp_path / "out"
    options = (folder, *REMEMBERING, "--segment", "1", "--seq-chunk", "5", "--container", "mkv", "--write", "alpha")
    assert call("batch", *options, "-o", tmp_path / "whole").code == 0
    with start("batch", *options, "-o", out) as process:
        until(lambda: (out / ".output_f.parts" / "00002.json").exists(), 60)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    done = call("batch", *options, "-o", out, "--resume", "--json")
    assert done.code == 0, done.out
    assert json.loads(done.out.splitlines()[-1])["resumed"] >= 75
    name = "output_f_alpha.mkv"
    assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_picture_that_cannot_be_read_fails_its_clip_by_name(tmp_path: Path) -> None:
    folder = draw(tmp_path / "seq", *row(5))
    (folder / "f_0004.png").write_bytes(b"no picture at all")
    done = call("batch", folder, "-o", tmp_path / "out", *HALF)
    assert done.code == 1
    assert "f_0004.png contains no picture that can be decoded" in done.out
    assert names(tmp_path / "out") == ["log_output_f.txt"]


def test_pictures_of_another_size_are_fitted_in(tmp_path: Path) -> None:
    folder = draw(tmp_path / "seq", *row(3))
    draw(folder, "f_0004.png", size=(64, 96))
    done = call("batch", folder, "-o", tmp_path / "out", *HALF)
    assert done.code == 0, done.out
    assert inside(tmp_path / "out" / "output_f.mp4").size == (96, 64)
    assert len(inside(tmp_path / "out" / "output_f.mp4").times) == 4


@pytest.mark.parametrize("out", ["out", "deep/out", "."])
def test_rows_that_a_run_has_made_are_no_inputs_of_the_next(tmp_path: Path, out: str) -> None:
    folder = draw(tmp_path / "in", *row(4))
    options = ("-o", folder / out, *HALF, "--container", "png", "--write", "composite,alpha")
    for said in ("1 done", "0 done, 1 kept (--force overwrites it)"):
        done = call("batch", folder, *options)
        assert done.out.splitlines()[-1] == said, done


def test_no_output_takes_the_place_of_its_own_pictures(tmp_path: Path) -> None:
    folder = draw(tmp_path / "f", *row(4, "{:06d}.png", 0))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = call("batch", folder, "-o", tmp_path, *HALF, "--container", "png", "--name-template", "{stem}", "--force")
    assert done.code != 0
    assert "is the input itself" in done.out + done.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
