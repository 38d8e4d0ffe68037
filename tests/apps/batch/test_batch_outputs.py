"""Where ``rvm-live batch`` puts its outputs (a named file, beside the clip, a folder), and in which format."""

from __future__ import annotations

import glob
import json
import os
import shutil
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from rvm_live.apps.batch.inputs import jobs
from rvm_live.apps.batch.settings import BatchSettings
from rvm_live.core.errors import SettingsError
from tests.support.movies import inside, make_movie, names, pictures
from tests.support.program import Outcome, call

HALF = ("--engine", "tests.support.engines:LeftHalfEngine")
GREEN = ("--background", "color:#00ff00")
KEPT = "1 kept (--force overwrites it)"


def work(*arguments: str | Path) -> Outcome:
    return call("batch", *HALF, *arguments)


def last(done: Outcome) -> str:
    return done.out.splitlines()[-1].removeprefix("0 done, ")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return make_movie(tmp_path / "in" / "my clip.mp4", frames=4)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    cv2.imwrite(str(path), np.full((64, 96, 3), (40, 90, 200), np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 100])
    return path


def as_a_shell(folder: Path) -> list[str]:
    return sorted(glob.glob(str(folder / "*.m*")))


def is_cut_out(image: np.ndarray) -> None:
    assert image.shape[2] == 4
    assert image[:, :44, 3].min() >= 254 and not image[:, 52:, 3].any()


# One file


@pytest.mark.parametrize(
    ("name", "codec", "sound"),
    [
        ("cut.mov", "prores", "aac"),
        ("cut.MOV", "prores", "aac"),
        ("cut.webm", "vp9", "libopus"),
        ("cut.mkv", "ffv1", "aac"),
    ],
)
def test_the_suffix_of_the_file_that_is_named_tells_the_container(
    clip: Path, tmp_path: Path, name: str, codec: str, sound: str
) -> None:
    done = work(clip, "-o", tmp_path / "new" / name)
    assert (done.code, last(done)) == (0, "1 done"), done
    assert names(tmp_path / "new") == [name], "no log, no folder"
    made = inside(tmp_path / "new" / name)
    assert (made.codec, len(made.times), made.sound[0][0]) == (codec, 4, sound.removeprefix("lib"))
    if codec != "vp9":  # FFmpeg's own decoder leaves out its alpha
        is_cut_out(pictures(tmp_path / "new" / name, "bgra")[2])


def test_an_mp4_keeps_no_alpha_which_is_told_and_takes_a_background(clip: Path, tmp_path: Path) -> None:
    for arguments in (("-o", tmp_path / "cut.mp4"), ("-o", tmp_path / "out", "--container", "mp4")):
        done = work(clip, *arguments)
        assert done.code == 2
        assert done.complaint == ".mp4 cannot store alpha: write .mov, .mkv or .webm, or name a background"
        assert os.listdir(tmp_path) == ["in"], "nothing is begun"
    assert work(clip, "-o", tmp_path / "cut.mp4", *GREEN).code == 0
    picture = pictures(tmp_path / "cut.mp4", "bgr24")[1].astype(int)
    assert np.abs(picture[:, 56:] - (0, 255, 0)).max() < 30
    assert work(clip, "-o", tmp_path / "matte.mp4", "--write", "alpha").code == 0
    assert work(clip, "-o", tmp_path / "out", "--codec", "h264").complaint.startswith("h264 cannot store alpha")


def test_what_is_written_alone_has_the_name_and_more_stand_beside_it(clip: Path, tmp_path: Path) -> None:
    assert work(clip, "-o", tmp_path / "a.mov", "--write", "alpha").code == 0
    assert work(clip, "-o", tmp_path / "b.mov", "--write", "composite,alpha").code == 0
    assert names(tmp_path) == ["a.mov", "b.mov", "b_alpha.mov", "in"]
    told = work(clip, "-o", tmp_path / "a.mov")
    assert "made in another format" in told.out and "1 failed" in told.out, "a matte is not taken for a cut-out"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("in", "-o", "cut.mov"), "cut.mov is one file, but there are 2 inputs: name a folder"),
        (("in/my clip.mp4", "in/b.mp4", "-o", "cut.mov"), "cut.mov is one file, but there are 2 inputs: name a folder"),
        (("in/b.mp4", "-o", "cut.avi"), "the suffix of cut.avi does not name a format: choose from .mp4, .mov"),
        (("in/b.mp4", "-o", "cut.jpg"), "the suffix of cut.jpg does not name a format"),
        (("in/b.mp4", "-o", "cut.png"), "cut.png is a picture format, but b.mp4 is a film"),
        (("in/b.mp4", "-o", "cut.mov", "--container", "webm"), "cut.mov is not webm"),
        (
            ("in/b.mp4", "-o", "cut.mov", "--name-template", "{stem}x"),
            "--name-template cannot be used with one output file, cut.mov",
        ),
        (("in/b.mp4", "-o", "cut.webm", "--codec", "prores"), "prores cannot be stored in webm"),
    ],
)
def test_what_cannot_be_one_file_is_told_in_a_line(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    shutil.copy(clip, clip.with_name("b.mp4"))
    monkeypatch.chdir(tmp_path)
    done = work(*arguments)
    assert done.code == 2
    assert said in done.complaint
    assert os.listdir() == ["in"]


def test_a_folder_stays_a_folder_whatever_it_is_called(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "there.mov").mkdir()
    for name in ("there.mov", "new", "v1.2"):
        assert work(clip, "-o", tmp_path / name).code == 0
        assert names(tmp_path / name) == ["log_output_my_clip.txt", "output_my_clip.mov"]


# Beside the clip


def test_without_an_output_it_lies_beside_the_clip_and_is_no_input_of_the_next_run(clip: Path) -> None:
    shutil.copy(clip, clip.with_suffix(".mkv"))
    (clip.parent / "deep").mkdir()
    shutil.copy(clip, clip.parent / "deep" / "b.mp4")
    done = work(clip.parent)
    assert (done.code, last(done)) == (0, "3 done"), done
    assert names(clip.parent) == ["deep", "my clip.cutout.mov", "my clip.cutout_2.mov", "my clip.mkv", "my clip.mp4"]
    assert names(clip.parent / "deep") == ["b.cutout.mov", "b.mp4"]
    is_cut_out(pictures(clip.with_suffix(".cutout.mov"), "bgra")[2])
    for what in ([clip.parent], [clip.parent / "**" / "*"], as_a_shell(clip.parent)):
        done = work(*what)
        count = 2 if len(what) > 1 else 3
        assert (done.code, last(done)) == (0, f"{count} kept (--force overwrites them)"), done
    for path in clip.parent.rglob(".*"):
        path.unlink()
    done = work(*as_a_shell(clip.parent))
    assert done.code == 1 and done.out.count("how it was made is not known: overwrite it with --force") == 2, done


def test_the_names_beside_the_clip_tell_what_is_what(clip: Path) -> None:
    assert work(clip, "--write", "composite,alpha", "--container", "png").code == 0
    assert work(clip, "--write", "alpha").code == 0
    assert work(clip, *GREEN).code == 0
    assert names(clip.parent) == [
        "my clip.cutout", "my clip.cutout.mp4", "my clip.cutout_alpha", "my clip.cutout_alpha.mov", "my clip.mp4"
    ]  # fmt: skip
    assert "1 kept" in work(clip.parent, *GREEN).out, "folders of pictures are none either"


def test_a_very_long_name_keeps_its_mark(tmp_path: Path) -> None:
    (tmp_path / ("x" * 251 + ".mp4")).touch()
    (job,) = jobs(BatchSettings((str(tmp_path),)))
    assert job.stem.endswith("x.cutout") and len(job.stem) < 240


def test_two_runs_on_one_clip_do_not_meet(clip: Path) -> None:
    from rvm_live.system.file_locks import Lock

    with Lock(clip.with_name(".my clip.cutout.lock"), "", ""):
        done = work(clip)
        assert done.code == 1 and "my clip.cutout.mov is in use by another run (process" in done.out
        assert work(clip, "-o", clip.with_name("other.mov")).code == 0
    assert work(clip).code == 0
    assert sorted(path.name for path in clip.parent.glob(".*")) == [".my clip.cutout.made.json", ".other.made.json"]


# Never replaced unasked


@pytest.mark.parametrize("output", [(), ("-o", "cut.mov"), ("-o", "out")])
def test_what_is_there_is_kept_and_told_and_what_is_not_ours_is_left_alone(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = {(): clip.with_suffix(".cutout.mov"), ("-o", "cut.mov"): Path("cut.mov")}.get(
        output, Path("out", "output_my_clip.mov")
    )
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"somebody's")
    done = work(clip, *output)
    assert (done.code, last(done)) == (1, "1 failed")
    assert "and how it was made is not known: overwrite it with --force" in done.out
    assert path.read_bytes() == b"somebody's"
    assert last(work(clip, *output, "--force")) == "1 done"
    before = (path.stat().st_mtime_ns, path.read_bytes())
    done = work(clip, *output)
    assert (done.code, last(done)) == (0, KEPT)
    assert "my clip.mp4: kept: it exists already" in done.out
    told = work(clip, *output, "--container", "auto" if "cut.mov" in output else "mov", *GREEN)
    assert told.code == 1 and "made with another background" in told.out
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before


# Stills


def test_a_still_becomes_a_picture(photo: Path, tmp_path: Path) -> None:
    assert last(work(photo)) == "1 done"
    is_cut_out(cv2.imread(str(tmp_path / "photo.cutout.png"), cv2.IMREAD_UNCHANGED))
    assert last(work(photo, "-o", tmp_path / "out")) == "1 done"
    assert names(tmp_path / "out") == ["log_output_photo.txt", "output_photo.png"]
    assert last(work(photo, "-o", tmp_path / "named.tiff", "--write", "composite,alpha")) == "1 done"
    assert cv2.imread(str(tmp_path / "named.tiff"), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    assert cv2.imread(str(tmp_path / "named_alpha.tiff"), cv2.IMREAD_UNCHANGED).ndim == 2
    assert last(work(photo, "-o", tmp_path / "green.png", *GREEN)) == "1 done"
    green = cv2.imread(str(tmp_path / "green.png"), cv2.IMREAD_UNCHANGED)
    assert green.shape == (64, 96, 3) and (green[:, 56:] == (0, 255, 0)).all()
    assert last(work(photo)) == KEPT
    assert names(tmp_path) == [
        "green.png", "named.tiff", "named_alpha.tiff", "out", "photo.cutout.png", "photo.jpg"
    ]  # fmt: skip


def test_stills_and_films_go_together_and_a_film_of_a_still_is_made_where_it_is_named(
    photo: Path, clip: Path, tmp_path: Path
) -> None:
    done = work(photo, clip, "-o", tmp_path / "out", *GREEN, "--codec", "hevc")
    assert (done.code, last(done)) == (0, "2 done"), done
    assert names(tmp_path / "out") == [
        "log_output_my_clip.txt", "log_output_photo.txt", "output_my_clip.mp4", "output_photo.png"
    ]  # fmt: skip
    assert work(photo, "-o", tmp_path / "film.mov").code == 0
    assert len(inside(tmp_path / "film.mov").times) == 1
    assert work(photo, "--container", "webm").code == 0
    assert (tmp_path / "photo.cutout.webm").is_file()


def test_whether_it_is_a_still_is_told_by_what_is_in_it(photo: Path, tmp_path: Path) -> None:
    shutil.copy(photo, tmp_path / "no_suffix")
    with av.open(str(tmp_path / "moving.png"), "w", format="apng") as file:
        stream = file.add_stream("apng", rate=5)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "rgb24"
        for shade in (10, 200):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 96, 3), shade, np.uint8), format="rgb24")))
        file.mux(stream.encode())
    made = {
        job.source.name: job.suffix
        for name in ("no_suffix", "moving.png", "photo.jpg")
        for job in jobs(BatchSettings((str(tmp_path / name),)))
    }
    assert made == {"no_suffix": ".png", "moving.png": ".mov", "photo.jpg": ".png"}


# For programs


def test_the_settings_of_a_program_are_the_same(clip: Path, tmp_path: Path) -> None:
    (job,) = jobs(BatchSettings((str(clip),)))
    assert (job.folder, job.stem, job.suffix, job.container) == (clip.parent, "my clip.cutout", ".mov", "mov")
    (job,) = jobs(BatchSettings((str(clip),), tmp_path / "cut.webm"))
    assert (job.folder, job.stem, job.suffix, job.container) == (tmp_path, "cut", ".webm", "webm")
    with pytest.raises(SettingsError, match="cannot store alpha"):
        jobs(BatchSettings((str(clip),), tmp_path, container="mp4"))
    done = work(clip, "--json")
    event = json.loads(done.out.splitlines()[-1])
    assert event["outputs"] == [str(clip.with_suffix(".cutout.mov"))]
