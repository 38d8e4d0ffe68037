"""Wrong values that a program passes in: each is refused with one clear sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvm_live.apps.batch.settings import BatchSettings
from rvm_live.backgrounds.parse import parse
from rvm_live.compositing.composer import Composer
from rvm_live.core.errors import SettingsError
from rvm_live.core.notices import Notices
from rvm_live.core.settings import EngineSettings, LiveSettings, SourceSettings
from rvm_live.engines.session import open_engine
from rvm_live.pipeline.pipeline import Pipeline
from tests.conftest import ROOT
from tests.support.engines import PassThroughEngine

COMPOSER = Composer(parse("color:navy"), notices=Notices())


class Nothing:
    def open(self) -> None: ...
    def read(self) -> None: ...
    def release(self) -> None: ...


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "device": (lambda: open_engine(device=3), "device must be text, not 3 (int)"),  # type: ignore[arg-type]
    "engine": (lambda: EngineSettings(engine=PassThroughEngine), "engine must be text, not <class"),  # type: ignore[arg-type]
    "precision": (lambda: open_engine(precision=16), "precision must be text, not 16"),  # type: ignore[arg-type]
    "unknown precision": (lambda: open_engine(precision="half"), "unknown precision 'half': choose one of auto"),  # type: ignore[arg-type]
    "ratio": (lambda: open_engine(downsample_ratio="much"), "downsample ratio must be a number or None, not 'much'"),  # type: ignore[arg-type]
    "ratio is true": (lambda: EngineSettings(downsample_ratio=True), "downsample ratio must be a number"),
    "weights": (lambda: EngineSettings(weights=b"w.pth"), "weights must be a pathlib.Path or None, not b'w.pth'"),  # type: ignore[arg-type]
    "offline": (lambda: EngineSettings(offline="no"), "offline must be True or False, not 'no'"),  # type: ignore[arg-type]
    "source": (lambda: SourceSettings(0), "source must be text, not 0"),  # type: ignore[arg-type]
    "fps": (lambda: SourceSettings(fps="30"), "fps must be a number, not '30'"),  # type: ignore[arg-type]
    "width": (lambda: SourceSettings(width=640.5), "width must be a whole number or None, not 640.5"),  # type: ignore[arg-type]
    "backgrounds": (lambda: LiveSettings(backgrounds="blur"), "backgrounds must be a tuple of text, not 'blur'"),  # type: ignore[arg-type]
    "nested": (lambda: LiveSettings(engine="rvm"), "engine must be EngineSettings(...), not 'rvm'"),  # type: ignore[arg-type]
    "inputs": (lambda: BatchSettings("a.mp4", Path()), "inputs must be a tuple of text, not 'a.mp4'"),  # type: ignore[arg-type]
    "three numbers": (
        lambda: Pipeline(1, 2, 3),  # type: ignore[arg-type]
        "the source must be an rvm_live.Source, not 1 (int): it does not have open, read, release",
    ),
    "a class": (lambda: Pipeline(Nothing, PassThroughEngine(), COMPOSER), "the source is the class Nothing: give"),  # type: ignore[arg-type]
    "an engine": (lambda: Pipeline(Nothing(), 2, COMPOSER), "the engine must be an rvm_live.Engine, not 2"),  # type: ignore[arg-type]
    "a composer": (lambda: Pipeline(Nothing(), PassThroughEngine(), 3), "the composer must be an rvm_live.Composer"),  # type: ignore[arg-type]
    "one sink": (
        lambda: Pipeline(Nothing(), PassThroughEngine(), COMPOSER, 4),  # type: ignore[arg-type]
        "the sinks must be a list of them, not 4",
    ),
    "no sink": (lambda: Pipeline(Nothing(), PassThroughEngine(), COMPOSER, [5]), "a sink must be an rvm_live.Sink"),  # type: ignore[arg-type, list-item]
    "overflow": (
        lambda: Pipeline(Nothing(), PassThroughEngine(), COMPOSER, overflow="block"),  # type: ignore[arg-type]
        "overflow must be Overflow.DROP_OLDEST or Overflow.BLOCK, not 'block'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_of_another_kind_is_told_in_one_sentence(case: str) -> None:
    call, told = WRONG[case]
    with pytest.raises(SettingsError) as caught:
        call()
    assert str(caught.value).startswith(told), str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_numbers_of_other_libraries_are_numbers() -> None:
    assert EngineSettings(downsample_ratio=np.float32(0.5)).downsample_ratio == 0.5  # type: ignore[arg-type]
    assert SourceSettings(width=np.int64(640)).width == 640  # type: ignore[arg-type]
    assert SourceSettings(fps=30).fps == 30


@pytest.mark.slow
def test_an_automatic_ratio_is_taken_as_on_the_command_line() -> None:
    assert EngineSettings(downsample_ratio="auto").downsample_ratio is None  # type: ignore[arg-type]
    with open_engine("lite", downsample_ratio="auto") as given, open_engine("lite") as left_out:
        picture = np.zeros((90, 160, 3), np.uint8)
        given.matte(picture), left_out.matte(picture)
        assert given.info.downsample_ratio == left_out.info.downsample_ratio


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as it is installed: a script in a folder other than the working directory."""
    script = folder / "bin" / "rvm-live"
    script.parent.mkdir()
    script.write_text("from rvm_live.__main__ import main\nmain()\n")
    (folder / "here").mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=folder / "here",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


@pytest.mark.slow
def test_a_program_that_calls_the_command_line_keeps_its_own_path(tmp_path: Path) -> None:
    (tmp_path / "mymatte.py").write_text(MINE)
    (tmp_path / "helps.py").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "program.py").write_text(
        f"from rvm_live.cli import main\nmain({['--engine', 'mymatte:MyEngine', *RUN]!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "elsewhere/program.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 2 and "No module named 'mymatte'" in done.stderr, done.stderr


MINE = """
import helps
import wave  # of the standard library, and nobody else imports it
from tests.support.engines import LeftHalfEngine

class MyEngine(LeftHalfEngine):
    pass
"""
RUN = ("--headless", "--source", "demo", "--frames", "3")


@pytest.mark.slow
def test_an_engine_of_the_folder_where_the_command_is_called(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "mymatte.py").write_text(MINE)
    (here / "helps.py").touch()
    (here / "wave.py").write_text("raise RuntimeError('what lies here by chance')\n")
    done = command(tmp_path, "--engine", "mymatte:MyEngine", *RUN)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("def broken(:", "SyntaxError: "),
        ("raise RuntimeError('mine')", "RuntimeError: mine"),
        ("", "has no attribute 'MyEngine'"),
        (None, "No module named 'mymatte'"),
    ],
)
@pytest.mark.few(1)
def test_a_module_that_cannot_be_imported_is_told_in_a_line(tmp_path: Path, text: str | None, told: str) -> None:
    here = tmp_path / "here"
    here.mkdir()
    if text is not None:
        (here / "mymatte.py").write_text(text + "\n")
    done = command(tmp_path, "--engine", "mymatte:MyEngine", *RUN)
    assert done.returncode == 2 and "cannot load engine 'mymatte:MyEngine'" in done.stderr and told in done.stderr
    assert len(done.stderr.splitlines()) == 1
