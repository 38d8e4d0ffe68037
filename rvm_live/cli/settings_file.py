"""``rvm-live.toml``: read with the line of every key, written with its comments kept."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import ParseError, TOMLKitError

from rvm_live.core.errors import SettingsError
from rvm_live.system import atomic_write
from rvm_live.system.folders import settings_folder

__all__ = ["TEMPLATE", "SettingsFile", "default_path", "read", "save_table"]

_TABLE = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?")
_KEY = re.compile(r"""\s*("[^"]*"|'[^']*'|[\w-]+)\s*=""")
_PLACE = re.compile(r"\s+at line \d+ col \d+$")
_LARGEST = 1_000_000

TEMPLATE = """\
# Settings of rvm-live. A key is the option's name without the dashes: `rvm-live --help-all` lists them.
# The command line, the environment and a profile (--profile NAME) override these settings.
#
# background = ["blur", "beach.jpg"]
# engine = "lite"
# size = "1280x720"
# profile = "call"          # used if no other profile is named
#
# [profiles.desk]
# source = "HD Webcam C920"
#
# [batch]                   # options of `rvm-live batch`
# quality = "high"
"""
"""What a new file begins with."""


@dataclass(frozen=True)
class SettingsFile:
    """A file that was read.

    Attributes:
        path: of the file.
        values: its content as plain Python values.
        lines: (table, ..., key) -> line, from 1, as far as it can be told.
        text: its text; empty if there is no file.
    """

    path: Path
    values: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    text: str = ""

    def place(self, *keys: str) -> str:
        """Where a key is, in words: file and line."""
        line = self.lines.get(keys)
        return str(self.path) if line is None else f"{self.path}, line {line}"


def default_path() -> Path:
    """Path of the settings file unless another one is named; it need not exist."""
    return settings_folder() / "rvm-live.toml"


def read(path: Path, *, needed: bool) -> SettingsFile:
    """Read a file.

    Args:
        path: of it.
        needed: it was named, so it must exist.

    Raises:
        SettingsError: it cannot be read, or is not valid TOML: says the line and the column.
    """
    text = _text(path, needed=needed)
    if text is None:
        return SettingsFile(path)
    try:
        values = tomlkit.parse(text).unwrap()
    except ParseError as error:
        words = _PLACE.sub("", str(error))
        raise SettingsError(
            f"{path}, line {error.line}, column {error.col + 1}: {words[:1].lower()}{words[1:]}".rstrip(".")
        ) from error
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error or type(error).__name__}") from error
    return SettingsFile(path, values, _lines(text), text)


def _text(path: Path, *, needed: bool) -> str | None:
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            raise SettingsError(f"the settings file {path} is a folder or a device: name a file with --config")
        if about.st_size > _LARGEST:
            raise SettingsError(f"the settings file {path} is larger than 1 MB: name another file with --config")
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        if needed:
            raise SettingsError(f"there is no settings file {path} (`rvm-live config edit` makes one)") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not written in UTF-8 (byte {error.start}): save it as UTF-8") from error
    except OSError as error:
        if needed or not isinstance(error, NotADirectoryError):
            # NotADirectoryError: there is no home, only a placeholder path.
            raise SettingsError(f"the settings file {path} cannot be read: {error.strerror or error}") from error
    return None


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Line of every key; lines inside multi-line strings are counted as keys too, which does no harm."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if found := _TABLE.fullmatch(line):
            table = tuple(part.strip().strip("\"'") for part in found[1].split("."))
            lines.setdefault(table, number)
        elif found := _KEY.match(line):
            lines.setdefault((*table, found[1].strip("\"'")), number)
    return lines


def save_table(path: Path, names: tuple[str, ...], values: Mapping[str, Any]) -> None:
    """Put ``values`` into a table of the file; all else in it stays, comments too. A link is followed, and who may
    read the file stays as it is.

    Raises:
        SettingsError: the file is not valid TOML, or has something else in that place.
        SinkError: it cannot be written.
    """
    text = read(path, needed=False).text or TEMPLATE
    document = tomlkit.parse(text)
    table: Any = document
    for name in names:
        table = table.setdefault(name, tomlkit.table(is_super_table=name != names[-1]))
        if not isinstance(table, dict):
            raise SettingsError(f"{path}: {name!r} is not a table, so nothing can be saved in it")
    for key, value in values.items():
        table[key] = value
    write(path, tomlkit.dumps(document))


def write(path: Path, text: str) -> None:
    """Write the file anew, whole or not at all.

    Raises:
        SinkError: it cannot be written.
    """
    target = Path(os.path.realpath(path))
    try:
        mode = stat.S_IMODE(os.stat(target).st_mode)
    except OSError:
        mode = 0o600
    with atomic_write.writing(path):
        target.parent.mkdir(parents=True, exist_ok=True)
    atomic_write.write_whole(target, text.encode())
    with suppress(OSError):
        os.chmod(target, mode)
