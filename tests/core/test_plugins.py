"""Plug-ins of five kinds from other packages, by name and as ``package.module:Class``: the examples of
docs/plugins.md."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rvm_live.cli import main
from rvm_live.core import registry
from tests.support.parts import ALL_FIVE, write_parts


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example package, on the path, with the metadata that an installer writes."""
    folder = write_parts(tmp_path / "library")
    toml = (folder / "pyproject.toml").read_text()
    about = folder / "parts-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: parts\nVersion: 1.0\n")
    groups = toml[toml.index('[project.entry-points."rvm_live.engines"]') :]
    groups = re.sub(r'\[project\.entry-points\."(.*?)"\]', r"[\1]", groups).replace('"', "")
    (about / "entry_points.txt").write_text(groups)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "parts"]:
        del sys.modules[name]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return int(left.value.code or 0)


def lines() -> list[str]:
    return Path("means.txt").read_text().splitlines()


def test_one_of_every_kind_by_name(parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*ALL_FIVE) == 0
    ran = json.loads(Path("stats.json").read_text())["ran"]
    assert (ran["engine"], ran["compositor"], ran["source"]) == ("bright", "plain", "bars")
    # White where the bar is, else the gradient: on average a third of 100, and a bar of 40 of 320 columns.
    assert [line.split()[0] for line in lines()] == list("01234")
    assert all(abs(float(line.split()[1]) - (100 / 3 * 7 / 8 + 255 / 8)) < 2 for line in lines())
    told = capsys.readouterr().err
    for what in ("engine bright", "compositor plain", "source bars", "sink means", "background gradient"):
        assert f"the {what} is another author's program that runs with your rights" in told
    assert run(*ALL_FIVE) == 0
    assert "runs with your rights" not in capsys.readouterr().err  # said only once


def test_one_of_every_kind_as_a_class(parts: Path) -> None:
    by_class = {
        "bright": "parts.engine:Bright", "plain": "parts.compositor:Plain", "bars:5": "parts.source:Bars:5",
        "gradient:200": "parts.background:Gradient:200", "means:means.txt": "parts.sink:Means:means.txt",
    }  # fmt: skip
    assert run(*(by_class.get(word, word) for word in ALL_FIVE), "--sink", "means:again.txt") == 0
    assert len(lines()) == 5 and Path("again.txt").read_text().splitlines() == lines()


WRONG = {
    "engine": (["--engine", "magic"], "unknown engine 'magic': choose auto, bright, chroma, lite"),
    "compositor": (["--compositor", "magic"], "unknown compositor 'magic': choose auto, cpu, opencv-cuda, plain"),
    "sink": (["--sink", "magic"], "unknown sink 'magic': choose means, virtual-camera, or package.module:Class"),
    "sink without what it needs": (["--sink", "means"], "means needs a file: means:PATH"),
    "sink of a package that is not there": (["--sink", "no.such:Sink"], "cannot load sink 'no.such:Sink'"),
    "source": (["--source", "magic"], "there is no camera, file or URL 'magic'"),
    "source's names": (["--source", "magic"], "plug-ins add bars"),
    "source's argument": (["--source", "bars:x"], "bars takes a number of pictures, not 'x'"),
    "source that is no source": (["--source", "parts.sink:Means"], "is not derived from rvm_live.Source"),
    "background": (["--background", "magic"], "or a plug-in: package.module:Class, gradient"),
    "background's argument": (["--background", "gradient:300"], "a number from 0 to 255, not '300'"),
    "background of a package that is not there": (["--background", "no:Such"], "unknown background 'no:Such'"),
    "background without a class": (["--background", "parts.sink:None_"], "has no attribute 'None_'"),
    "background that is none": (["--background", "parts.sink:Means:x"], "is not derived from rvm_live.Background"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_in_one_line(parts: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, expected = WRONG[name]
    # Left out: a camera cannot wait for its reader, and that error would come before the one that is tested here.
    given = [word for word in ALL_FIVE if word != "--no-realtime"]
    assert run(*given, *arguments) == 2
    error = capsys.readouterr().err
    last = error.splitlines()[-1]
    assert last.startswith("rvm-live: error: ") and expected in last and "Traceback" not in error
    assert not Path("stats.json").exists()


def test_a_file_comes_before_a_plug_in(parts: Path, tmp_path: Path) -> None:
    """An installed package must not change anything that worked before."""
    from rvm_live.backgrounds.parse import parse_one

    (tmp_path / "gradient").mkdir()
    with pytest.raises(Exception, match="contains no image and no video"):
        parse_one("gradient")
    assert type(parse_one("color:navy")).__name__ == "ColorBackground"


@pytest.mark.parametrize(
    ("words", "expected"),
    {
        "bars": ("bars", ""),
        "bars:a:b": ("bars", "a:b"),
        "parts.source:Bars": ("parts.source:Bars", ""),
        "parts.source:Bars:C:\\x:y": ("parts.source:Bars", "C:\\x:y"),
        "C:\\bars": None,
        "HD WebCam: HD": None,
        "__main__:x y": None,
        "no.such:Class": None,
        ":bars": None,
        "": None,
    }.items(),
)
def test_names_and_arguments(parts: Path, words: str, expected: tuple[str, str] | None) -> None:
    assert registry.SOURCES.plugged(words) == expected
