"""The examples in the documentation run as they stand there."""

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

import cv2
import pytest
from numpy.typing import NDArray

from tests.conftest import ROOT
from tests.support.onnx_files import save_fixed
from tests.support.parts import write_parts
from tests.support.program import Outcome
from tests.support.videos import make_video

EXAMPLES = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "embedding.md").read_text(), re.DOTALL | re.MULTILINE)


def run_example(number: int, *arguments: str, weights: Path, cwd: Path) -> Outcome:
    """Run it as a script of that folder, in this process."""
    script = cwd / "example.py"
    script.write_text(EXAMPLES[number])
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
        file.write_text(example)
    files += write_parts(tmp_path / "library").glob("parts/*.py")
    # Of the package's own modules, which have their own run, nothing is told.
    strict = ["--strict", "--config-file=", "--follow-imports=silent", f"--cache-dir={tmp_path / 'cache'}"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *strict, *map(str, files)],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
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
    (tmp_path / "mymatte.py").write_text(EXAMPLES[ENGINE])
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
        text=True,
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


@pytest.mark.parametrize(
    "path", ["README.md", "CHANGELOG.md", *(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md")))]
)
def test_links_and_pictures_exist(path: str) -> None:
    text = (ROOT / path).read_text()
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert (ROOT / path).parent.joinpath(target).exists(), f"{path} points to {target}, which is not there"


def test_tests_named_in_the_architecture_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for file, name in re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?", text):
        body = next((ROOT / "tests").rglob(file)).read_text()
        assert name in body
    for name in re.findall(r"`…::(test_\w+?)…?`", text):
        assert name.rstrip("_") in (ROOT / "tests" / "pipeline" / "test_pipeline.py").read_text()
