"""The examples in the documentation run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from tests.conftest import ROOT
from tests.support.onnx_files import save_fixed

EXAMPLES = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "embedding.md").read_text(), re.DOTALL | re.MULTILINE)


def run_example(number: int, *arguments: str, weights: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    script = cwd / "example.py"
    script.write_text(EXAMPLES[number])
    environment = {**os.environ, "RVM_LIVE_WEIGHTS": str(weights)}
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_there_are_three_examples() -> None:
    assert len(EXAMPLES) == 3


def test_the_engine_example_cuts_people_out(data: Path, weights: Path, tmp_path: Path) -> None:
    clip = data / "clips" / "webcam" / "volcomix_Doctor_26732.mp4"
    (tmp_path / "out").mkdir()
    done = run_example(0, str(clip), "out", weights=weights, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    pictures = sorted((tmp_path / "out").glob("*.png"))
    assert len(pictures) == 5
    alpha = cv2.imread(str(pictures[-1]), cv2.IMREAD_UNCHANGED)[..., 3]
    assert 0.05 < (alpha > 200).mean() < 0.9
    assert (alpha < 20).mean() > 0.05


def test_the_pipeline_example_runs_every_frame(weights: Path, tmp_path: Path) -> None:
    done = run_example(1, weights=weights, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [int(line.split()[0]) for line in lines[:-1]] == list(range(20))
    assert lines[-1] == "done"
    assert done.stderr.startswith("20 frames")


def test_the_exported_network_runs_in_another_program(data: Path, weights: Path, tmp_path: Path) -> None:
    clip = data / "clips" / "webcam" / "volcomix_Doctor_26732.mp4"
    save_fixed(weights, tmp_path / "model.onnx", 320, 180, 1.0)
    (tmp_path / "out").mkdir()
    done = run_example(2, "model.onnx", str(clip), "out", weights=weights, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "rvm_live" not in EXAMPLES[2]
    alpha = cv2.imread(str(tmp_path / "out" / "004.png"), cv2.IMREAD_UNCHANGED)
    assert alpha.shape == (180, 320)
    assert 0.05 < (alpha > 200).mean() < 0.9


@pytest.mark.parametrize("path", ["README.md", "docs/architecture.md", "docs/embedding.md", "CHANGELOG.md"])
def test_links_and_pictures_exist(path: str) -> None:
    text = (ROOT / path).read_text()
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert (ROOT / path).parent.joinpath(target).exists(), f"{path} points to {target}, which is not there"


def test_tests_named_in_the_architecture_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for file, name in re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?", text):
        body = (ROOT / "tests" / file).read_text()
        assert name in body
    for name in re.findall(r"`…::(test_\w+?)…?`", text):
        assert name.rstrip("_") in (ROOT / "tests" / "test_pipeline.py").read_text()
