"""On macOS: an application on which files can be dropped, made by ``osacompile``, which is part of macOS.

It is an AppleScript. What is dropped on it goes, as quoted paths, to ``rvm-live desktop --open``; started by itself it
opens the application of the camera, which has what macOS wants to know before it lets anybody use one.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rvm_live.core.errors import UnavailableError
from rvm_live.system import atomic_write

__all__ = ["files_of", "put", "script"]

_COMPILER = "osacompile"
_LIMIT_S = 120.0
_SCRIPT = """on run
	do shell script "open " & quoted form of {application}
end run

on open theItems
	set theFiles to ""
	repeat with theItem in theItems
		set theFiles to theFiles & " " & quoted form of POSIX path of theItem
	end repeat
	try
		do shell script {command} & theFiles
	on error theMessage number theCode
		if theCode is 126 or theCode is 127 then display alert "rvm-live" message theMessage
	end try
end open
"""
"""A message for the case that the program is gone; otherwise the program itself reports what became of the files."""


def script(command: Sequence[str], application: Path) -> str:
    """The AppleScript.

    Args:
        command: what works off the files whose paths follow.
        application: what is opened where there are none.
    """
    # Programs started from the Finder run in the root folder.
    line = f'cd "$HOME" && exec {shlex.join([*command, "--"])}'
    return _SCRIPT.format(application=_literal(str(application)), command=_literal(line))


def put(app: Path, command: Sequence[str], application: Path) -> None:
    """Make the application, in the place of an earlier one.

    Args:
        app: where, a folder ``NAME.app``.
        command: as for :func:`script`.
        application: likewise.

    Raises:
        UnavailableError: macOS makes none; what was there stays.
        SinkError: it cannot be written.
    """
    if shutil.which(_COMPILER) is None:
        raise UnavailableError(f"{_COMPILER}, which is part of macOS, is not there: it makes what files are dropped on")
    try:
        app.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".rvm-live-", dir=app.parent) as folder:
            made, source = Path(folder) / app.name, Path(folder) / "script.applescript"
            source.write_bytes(script(command, application).encode("utf-8", "surrogateescape"))
            _compiled(source, made)
            shutil.rmtree(app, ignore_errors=True)
            os.replace(made, app)
    except OSError as error:
        raise atomic_write.explain(error, app) from error


def files_of(app: Path) -> list[Path]:
    """What lies in it."""
    found: list[Path] = []
    with suppress(OSError):
        found = sorted(path for path in app.rglob("*") if path.is_symlink() or not path.is_dir())
    return found


def _compiled(source: Path, made: Path) -> None:
    try:
        done = subprocess.run(
            [_COMPILER, "-o", str(made), str(source)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{_COMPILER} does not end: nothing was made") from error
    if done.returncode != 0 or not made.is_dir():
        why = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise UnavailableError(f"{_COMPILER} made no application: {why[:200]}")


def _literal(text: str) -> str:
    """Text as AppleScript writes it."""
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(plain, escaped)
    return f'"{text}"'
