"""Which files a batch run works on, and what their outputs are called."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rvm_live.backgrounds.video import VIDEO_SUFFIXES
from rvm_live.batch.settings import PRESETS, BatchSettings
from rvm_live.errors import SettingsError
from rvm_live.tidy import shortened

__all__ = ["Job", "find", "jobs"]

_MORE = (".mpg", ".mpeg", ".m2ts", ".mts", ".ts", ".wmv", ".flv", ".3gp", ".ogv", ".vob", ".mxf", ".gif", ".dv", ".y4m")
SUFFIXES = frozenset({*VIDEO_SUFFIXES, *_MORE})
"""What is taken out of folders; a file that is named is tried whatever it is called."""


@dataclass(frozen=True)
class Job:
    """One file to work on.

    Attributes:
        source: the file.
        stem: of its outputs.
    """

    source: Path
    stem: str


def find(inputs: Iterable[str]) -> list[Path]:
    """Files, those in folders (however deep, by name), and those that a pattern matches; each once.

    Links inside folders are followed to files, never to folders, so that no search goes in circles.

    Raises:
        SettingsError: something named is not there, or gives no video.
    """
    found: dict[Path, Path] = {}
    for text in inputs:
        if "\0" in text:
            raise SettingsError("an input's name holds a zero byte")
        path = Path(text).expanduser()
        if path.is_dir():
            own = list(_in_folder(path))
            if not own:
                raise SettingsError(f"the folder {path} holds no video: name a file to try it whatever its suffix")
        elif path.exists():
            own = [path]
        else:
            matched = sorted(Path(each) for each in glob.glob(str(path), recursive=True))
            own = [each for each in matched if each.is_file()]
            if not own:
                what = "matches no file" if glob.has_magic(str(path)) else "does not exist"
                raise SettingsError(f"input {text!r} {what}")
        for each in own:
            found.setdefault(each.resolve(), each)
    return list(found.values())


def _in_folder(folder: Path) -> Iterable[Path]:
    for place, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in sorted(names):
            path = Path(place) / name
            if not name.startswith(".") and path.suffix.lower() in SUFFIXES and path.is_file():
                yield path


def jobs(settings: BatchSettings) -> list[Job]:
    """What to do, with names that no two share.

    Raises:
        SettingsError: an input is not there, or lies where the outputs go and would be overwritten.
    """
    prefix = PRESETS[settings.quality].prefix
    made: list[Job] = []
    taken: set[str] = set()
    for path in find(settings.inputs):
        name = shortened(path.stem + ".x", settings.max_name + 2)[:-2]
        wanted = settings.name_template.format(prefix=prefix, name=name, stem=path.stem)
        stem, number = wanted, 2
        while stem.casefold() in taken:
            stem, number = f"{wanted}_{number}", number + 1
        taken.add(stem.casefold())
        made.append(Job(path, stem))
    return made
