"""The examples in the documentation run exactly as they are printed."""

from __future__ import annotations

import io
import os
import re
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import click
import cv2
import pytest
from numpy.typing import NDArray

from rvm_live.cli import cli
from tests.conftest import ROOT
from tests.support.onnx_files import save_fixed
from tests.support.parts import write_parts
from tests.support.program import Outcome
from tests.support.videos import make_video

EXAMPLES = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "embedding.md").read_text(), re.DOTALL | re.MULTILINE)


def run_example(number: int, *arguments: str, weights: Path, cwd: Path) -> Outcome:
    """Run the example as a script in that folder, in this process."""
    script = cwd / "example.py"
    script.write_text(EXAMPLES[number], encoding="utf-8")
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(cwd)
        patch.setenv("RVM_LIVE_WEIGHTS", str(weights))
        patch.setattr(sys, "argv", [str(script), *arguments])
        runpy.run_path(str(script), run_name="__main__")
    return Outcome(0, out.getvalue(), err.getvalue())


CLIP = "clips/webcam/volcomix_Doctor_26732.mp4"
STILL, STREAM, FILM, SESSION, PIPELINE, BESIDE, NETWORK, ENGINE = range(8)


def is_of_a_person(alpha: NDArray[Any]) -> None:
    assert 0.05 < (alpha > 200).mean() < 0.9
    assert (alpha < 20).mean() > 0.05


@pytest.fixture
def still(data: Path, tmp_path: Path) -> Path:
    capture = cv2.VideoCapture(str(data / CLIP))
    cv2.imwrite(str(tmp_path / "still.png"), capture.read()[1])
    capture.release()
    return tmp_path / "still.png"


def test_there_are_eight_examples_that_import_from_the_package_alone() -> None:
    assert len(EXAMPLES) == 8
    assert not any(re.search(r"(from|import) rvm_live\.", example) for example in EXAMPLES)


@pytest.mark.slow
def test_the_examples_pass_the_type_checker_as_they_stand(tmp_path: Path) -> None:
    files = [tmp_path / f"example{number}.py" for number in range(len(EXAMPLES))]
    for file, example in zip(files, EXAMPLES, strict=True):
        file.write_text(example, encoding="utf-8")
    files += write_parts(tmp_path / "library").glob("parts/*.py")
    # The package's own modules run in their own test, and report nothing here.
    strict = ["--strict", "--config-file=", "--follow-imports=silent", f"--cache-dir={tmp_path / 'cache'}"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *strict, *map(str, files)],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_still_example_cuts_a_person_out(still: Path, weights: Path, tmp_path: Path) -> None:
    run_example(STILL, str(still), "cut.png", weights=weights, cwd=tmp_path)
    is_of_a_person(cv2.imread(str(tmp_path / "cut.png"), cv2.IMREAD_UNCHANGED)[..., 3])


def test_the_stream_example_puts_a_background_behind_them(data: Path, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    done = run_example(STREAM, str(data / CLIP), "color:#00ff00", "out", weights=weights, cwd=tmp_path)
    assert [line.split()[0] for line in done.out.splitlines()] == list("01234")
    picture = cv2.imread(str(tmp_path / "out" / "004.png"))
    assert 0.05 < (picture == (0, 255, 0)).all(axis=2).mean() < 0.95


def test_the_film_example_writes_a_film(tmp_path: Path, data: Path, weights: Path) -> None:
    film = make_video(tmp_path / "film.mp4", frames=6)
    done = run_example(FILM, str(film), "cut.mov", weights=weights, cwd=tmp_path)
    *_, last = done.out.splitlines()
    assert last.startswith("cut.mov 6 frames") and "100 % · 0 s left" in done.out
    assert (tmp_path / "cut.mov").stat().st_size > 0


def test_the_engine_example_cuts_people_out(data: Path, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    run_example(SESSION, str(data / CLIP), "transparent", "out", weights=weights, cwd=tmp_path)
    pictures = sorted((tmp_path / "out").glob("*.png"))
    assert len(pictures) == 5
    is_of_a_person(cv2.imread(str(pictures[2]), cv2.IMREAD_UNCHANGED)[..., 3])
    assert cv2.imread(str(pictures[4]), cv2.IMREAD_UNCHANGED).shape[2] == 3


def test_the_example_beside_a_main_loop_ends_when_it_is_told_to(weights: Path, tmp_path: Path) -> None:
    film = make_video(tmp_path / "film.mp4", frames=300)
    done = run_example(BESIDE, str(film), weights=weights, cwd=tmp_path)
    assert re.fullmatch(r"stopped \d+ frames\n", done.out)


def test_the_example_of_an_engine_of_ones_own_runs_where_it_lies(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "mymatte.py").write_text(EXAMPLES[ENGINE], encoding="utf-8")
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "rvm-live"
    script.write_text("from rvm_live.__main__ import main\nmain()\n")
    done = subprocess.run(
        [
            sys.executable,
            str(script),
            "--engine",
            "mymatte:MyEngine",
            "--headless",
            "--source",
            "demo",
            "--frames",
            "3",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_the_pipeline_example_runs_every_frame(weights: Path, tmp_path: Path) -> None:
    done = run_example(PIPELINE, weights=weights, cwd=tmp_path)
    lines = done.out.splitlines()
    assert [int(line.split()[0]) for line in lines[:-1]] == list(range(20))
    assert lines[-1] == "done"
    assert done.err.startswith("20 frames")


def test_the_exported_network_runs_in_another_program(data: Path, weights: Path, tmp_path: Path) -> None:
    clip = data / "clips" / "webcam" / "volcomix_Doctor_26732.mp4"
    save_fixed(weights, tmp_path / "model.onnx", 320, 180, 1.0)
    (tmp_path / "out").mkdir()
    run_example(NETWORK, "model.onnx", str(clip), "out", weights=weights, cwd=tmp_path)
    assert "rvm_live" not in EXAMPLES[NETWORK]
    alpha = cv2.imread(str(tmp_path / "out" / "004.png"), cv2.IMREAD_UNCHANGED)
    assert alpha.shape == (180, 320)
    assert 0.05 < (alpha > 200).mean() < 0.9


PAGES = [
    "README.md",
    "CHANGELOG.md",
    "training/README.md",
    "rvm_live/engines/lite/MODEL_CARD.md",
    *(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md"))),
]


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(
        r"^#+ (.*)", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE), re.M
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES)
def test_links_and_pictures_exist(path: str) -> None:
    page = ROOT / path
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text()):
        if "://" not in target:
            led = page.parent / target if target else page
            assert led.exists(), f"{path} points to {target}, which is not there"
            assert not anchor or anchor in anchors_of(led), f"{target} has no heading {anchor}, to which {path} points"


@pytest.mark.parametrize("path", [page for page in PAGES if page != "CHANGELOG.md"])
def test_files_and_tests_named_in_the_pages_exist(path: str) -> None:
    text = (ROOT / path).read_text()
    for name in re.findall(r"`((?:tests|tools|benchmarks|training|docs|rvm_live)/[\w/.-]+\.\w+)", text):
        assert (ROOT / name).exists(), name
    files = list((ROOT / "tests").rglob("test_*.py"))
    assert set(re.findall(r"\b(test_\w+\.py)", text)) <= {file.name for file in files}
    bodies = "".join(file.read_text() for file in files)
    for name in re.findall(r"::(test_\w+)", text):
        assert f"def {name}" in bodies, name


@pytest.mark.parametrize(("command", "page"), [(None, "options.md"), ("batch", "batch.md")])
def test_every_option_is_on_its_page(command: str | None, page: str) -> None:
    asked = cli if command is None else cli.get_command(click.Context(cli), command)
    assert asked is not None
    told = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", (ROOT / "docs" / page).read_text()))
    for option in (each for each in asked.params if isinstance(each, click.Option) and not each.hidden):
        names = {*option.opts, *option.secondary_opts}
        assert names & (told | {"--help"}), f"{'/'.join(sorted(names))} is not in docs/{page}"


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


def test_tests_named_in_the_architecture_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for file, name in re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?", text):
        body = next((ROOT / "tests").rglob(file)).read_text()
        assert name in body
    for name in re.findall(r"`…::(test_\w+?)…?`", text):
        assert name.rstrip("_") in (ROOT / "tests" / "pipeline" / "test_pipeline.py").read_text()
