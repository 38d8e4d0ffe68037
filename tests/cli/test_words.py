"""What people type first: a file without ``--source``, other programs' option names, missing values."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import cv2
import numpy as np
import pytest

from rvm_live.backgrounds.color import ColorBackground
from rvm_live.backgrounds.image import ImageBackground
from rvm_live.backgrounds.parse import parse
from rvm_live.cli import cli
from rvm_live.cli.words import said_in_full
from tests.support.movies import make_movie
from tests.support.program import call

FLAGS = ("--mirror", "--no-mirror", "--headless", "--help-all")
QUICK = ["--engine", "tests.support.engines:LeftHalfEngine", "--headless", "--no-realtime", "--frames", "2"]


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A film in the folder that the program runs in."""
    monkeypatch.chdir(tmp_path)
    make_movie(tmp_path / "clip.mp4", frames=4, size=(96, 64))
    return "clip.mp4"


def ran(*arguments: str) -> dict[str, object]:
    """What a run of the program says that it used."""
    done = call(*QUICK, "--stats-json", "report.json", *arguments)
    assert done.code == 0, done.err
    ran: dict[str, object] = json.loads(Path("report.json").read_text())["ran"]
    return ran


@pytest.mark.parametrize(
    "words",
    [
        ["CLIP"],
        ["CLIP", "--background", "red"],
        ["--", "CLIP"],
        ["-i", "CLIP"],
        ["--input", "CLIP"],
        ["--input=CLIP"],
        ["--camera", "CLIP"],
        ["--webcam", "CLIP"],
        ["--blur", "CLIP"],
        ["CLIP", "--blur"],
        ["CLIP", "-b", "#00f", "--blur=7", "--view", "matte"],
    ],
    ids=" ".join,
)
def test_a_source_is_opened_however_it_is_said(clip: str, words: list[str]) -> None:
    assert "clip.mp4" in str(ran(*(clip if word == "CLIP" else word.replace("CLIP", clip) for word in words))["source"])


def test_a_file_may_be_called_like_an_option_or_a_command(clip: str) -> None:
    for name in ("-i.mp4", "batch"):
        Path(name).write_bytes(Path(clip).read_bytes())
    assert "-i.mp4" in str(ran("--", "-i.mp4")["source"])
    assert "batch" in str(ran("./batch")["source"])


def test_a_number_and_a_name_are_cameras() -> None:
    assert "camera 97" in call(*QUICK[:3], "97").err
    done = call(*QUICK[:3], "Nobody")
    assert done.code == 2
    assert "'Nobody'" in done.complaint and "it is not a command either" in done.complaint


@pytest.mark.slow
def test_the_size_and_the_result_under_other_names(clip: str) -> None:
    for name in ("-o", "--output"):
        assert ran("demo", "--size", "160x90", name, f"{name}.mp4")["width"] == 160
        assert Path(f"{name}.mp4").stat().st_size > 0


def test_other_names_are_not_told(clip: str) -> None:
    shown = call("--help").out
    assert "--webcam" not in shown and "--output" not in shown
    assert "Invalid value for '--display'" in call("--view", "none").complaint


def test_the_first_lines_of_the_help_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    first, rest = call("--help").out.splitlines()[:24], call("--help").out.splitlines()[24:]
    headings = [line for line in first if line.endswith(":")]
    assert headings == ["Start:", "Picture:", "Camera:", "Recording:", "Quality:"]
    assert "--help-all" in first[23]
    assert max(map(len, first)) <= 80
    laboratory = rest[rest.index("Laboratory:") :]
    names = [line.split()[0] for line in laboratory[1:] if line.startswith("  ") and line[2] != " "]
    assert names == ["calibrate", "export", "hwtest", "monitor", "soak", "stress", "tidy"]
    assert {"batch", "cameras", "weights"} <= {line.split()[0] for line in rest if line.strip()}


def test_all_of_the_help_names_every_option_in_a_group_and_what_the_short_one_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    whole = call("--help-all").out
    for option in cli.params:
        assert isinstance(option, click.Option)
        assert option.hidden or option.opts[-1] in whole, option
    for heading in ("Picture:", "Camera, file or stream:", "Recording:", "Quality:", "Reports:", "Laboratory:"):
        assert f"\n{heading}\n" in whole
    assert "--webcam" not in whole and "--no-stats" not in whole
    parser = cli.make_parser(click.Context(cli))
    for word in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", call("--help").out):
        (full,) = said_in_full([word])
        parser.parse_args([full.partition("=")[0], *["1"] * (word not in FLAGS)])


@pytest.mark.parametrize(
    ("said", "full"),
    [
        (["--match"], ["--match=60"]),
        (["--match", "80"], ["--match", "80"]),
        (["--match", "clip.mp4"], ["--match=60", "clip.mp4"]),
        (["--match", "--blur"], ["--match=60", "--background=blur"]),
        (["--match=35.5"], ["--match=35.5"]),
    ],
)
def test_how_far_one_is_matched_may_be_said_or_left_out(said: list[str], full: list[str]) -> None:
    assert said_in_full(said) == full


def test_values_that_are_left_out_never_take_the_next_word() -> None:
    full = said_in_full(["--ray", "a.mp4", "--blur", "--blur=3", "--ray=host:1", "--", "--ray"])
    assert full == ["--ray=local", "a.mp4", "--background=blur", "--background=blur:3", "--ray=host:1", "--", "--ray"]
    assert said_in_full(["--blur", "monitor", "x", "--blur"], ["monitor"]) == [
        "--background=blur",
        "monitor",
        "x",
        "--blur",
    ]


def test_a_command_beside_a_source_is_told(clip: str) -> None:
    assert "not both" in call(clip, "batch", clip).complaint


def test_help_version_and_cameras_are_words_too() -> None:
    assert call("help").out == call("-h").out == call("--help").out
    assert call("help", "tidy").out == call("tidy", "-h").out
    assert call("-V").out == call("--version").out
    assert "unknown command 'nothing'" in call("help", "nothing").complaint
    done = call("cameras")
    assert (done.code == 0) == bool(done.out)
    assert done.err


def test_colours_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text, bgr in {"red": (0, 0, 255), "Navy": (128, 0, 0), "#00ff00": (0, 255, 0), "#0f8": (136, 255, 0)}.items():
        (background,) = parse(text)
        assert isinstance(background, ColorBackground) and background.bgr == bgr
    Path("red").mkdir()
    cv2.imwrite("red/a.png", np.zeros((4, 4, 3), np.uint8))
    (background,) = parse("red")
    assert isinstance(background, ImageBackground), "a folder that was there before"
