"""The figures on the pages equal the committed results; a wrong one is reported, with its right value."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.figures import CLAIMS, differences
from benchmarks.report import HELD_BY, RESULTS, commanded, machine, publish
from tests.conftest import ROOT


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the pages and results that a test may change."""
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("images"))
    shutil.copytree(RESULTS, tmp_path / "results", ignore=shutil.ignore_patterns("*.png"))
    return tmp_path


def test_the_pages_tell_what_the_results_tell() -> None:
    assert list(differences()) == []


@pytest.mark.parametrize(
    ("name", "change", "page", "told"),
    [
        ("live", lambda result: result["rows"][0].update({"unique fps": 71.2}), "README.md", "58 for 71"),
        ("live", lambda result: result.update({"date": "2027-01-01"}), "README.md", "for 2027-01-01"),
        ("int8", lambda result: result["rows"][2].update({"CPU ms": 13.0}), "docs/engines.md", "14.1 for 13.0"),
        (
            "finishing",
            lambda result: result["rows"][0].update({"kernels ms": 1.5}),
            "docs/performance.md",
            "3.5 for 1.5",
        ),
        ("people", lambda result: result["rows"][0].update({"mean": 21.5}), "docs/quality.md", "28.2 for 21.5"),
        ("outputs", lambda result: result["rows"][-1].update({"latency p50 ms": 9.0}), "docs/camera.md", "24 for 9"),
        ("edges", lambda result: result["rows"][3].update({"median ms": 9.04}), "docs/quality.md", "8.0 for 9.0"),
        (
            "compare",
            lambda result: result["rows"][0].update({"median ms": 1.5}),
            "docs/performance.md",
            "write it anew",
        ),
        ("quality", lambda result: result["rows"][0].update({"MAD e-3": 1.5}), "docs/quality.md", "write it anew"),
        ("batch", lambda result: result.update({"date": "2027-01-01"}), "docs/batch.md", "write it anew"),
    ],
)
def test_a_result_that_changed_is_told_where_it_is_told_otherwise(
    copy: Path, name: str, change: Callable[[Any], None], page: str, told: str
) -> None:
    path = copy / "results" / f"{name}.json"
    result = json.loads(path.read_text("utf-8"))
    change(result)
    path.write_text(json.dumps(result), "utf-8")
    lines = list(differences(copy, copy / "results"))
    assert any(line.startswith(page) and told in line for line in lines), lines


@pytest.mark.parametrize("page", sorted({claim.page for claim in CLAIMS}))
def test_a_sentence_that_is_gone_is_told(copy: Path, page: str) -> None:
    (copy / page).write_text(re.sub(r"\d", "", (copy / page).read_text("utf-8")), "utf-8")
    assert any(line.startswith(f"{page}: nothing there reads") for line in differences(copy, copy / "results"))


@pytest.mark.parametrize("held", [{}, {"ONEDNN_MAX_CPU_ISA": "AVX2", "NUMBA_CPU_NAME": "haswell"}])
def test_a_table_tells_what_its_run_was_held_to(
    held: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in HELD_BY:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in held.items():
        monkeypatch.setenv(variable, value)
    with commanded("cpu", ["--frames", "3"], tmp_path):
        result = publish("cpu", ("what", "median ms"), [("one", 1.0)])
    assert result["host"]["instructions"] == ("held to AVX2" if held else "all there is")
    assert ("held to AVX2" in machine(result)) is bool(held)
    before = "ONEDNN_MAX_CPU_ISA=AVX2 NUMBA_CPU_NAME=haswell " if held else ""
    assert result["command"] == f"{before}python -m benchmarks cpu --frames 3"
    del result["host"]["instructions"]
    assert "held" not in machine(result), "of a table that is older than this"
