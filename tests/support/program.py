"""Runs the program itself: in this process, or in a process of its own on a display."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rvm_live.cli import main
from tests.conftest import ROOT

__all__ = ["Outcome", "call", "start"]


@dataclass(frozen=True)
class Outcome:
    """What a finished program leaves behind."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of an error; fails if there is more or less than one line."""
        lines = [line for line in self.err.splitlines() if line]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("rvm-live: error: ")
        return lines[0].removeprefix("rvm-live: error: ")


def call(*arguments: str | Path) -> Outcome:
    """Run the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
    return Outcome(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def start(
    *arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Start the program in a process of its own; it is killed if it is still running after the block."""

    environment = dict(os.environ if env is None else env)
    environment["PYTHONPATH"] = str(ROOT)
    process = subprocess.Popen(
        [sys.executable, "-m", "rvm_live", *map(str, arguments)],
        env=environment,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.communicate()


def finish(process: subprocess.Popen[str], timeout: float = 120) -> Outcome:
    """Wait for the program to end by itself."""
    out, err = process.communicate(timeout=timeout)
    return Outcome(process.returncode, out, err)
