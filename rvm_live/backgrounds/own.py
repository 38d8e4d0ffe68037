"""The user's own backgrounds: files in certain folders are added, also while the program runs."""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path, PurePath

import platformdirs

from rvm_live.backgrounds.base import Background
from rvm_live.backgrounds.parse import from_path, in_folder
from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import BackgroundError, told_as
from rvm_live.system.folders import settings_folder

__all__ = ["OwnBackgrounds", "own_folders"]

_EVERY_NS = 2_000_000_000


def own_folders() -> list[Path]:
    """The folders that are searched, whether they exist or not: ``backgrounds`` beside the program's settings, and a
    folder ``rvm-live`` among the user's pictures."""
    folders = [settings_folder() / "backgrounds"]
    try:
        pictures = platformdirs.user_pictures_path()
    except (RuntimeError, OSError):  # there is no home directory
        return folders
    return [*folders, *([pictures / "rvm-live"] if pictures.is_absolute() else [])]


class OwnBackgrounds:
    """Finds new pictures and videos.

    Args:
        add: adds a new one; returns its name.
        folders: the folders to search.
        clock: monotonic time; they are searched at most every two seconds.
    """

    def __init__(
        self, add: Callable[[Background], object], folders: Iterable[Path] | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._add, self._clock = add, clock
        self._folders = own_folders() if folders is None else list(folders)
        self._known: set[Path] = set()
        self._looked_ns: int | None = None

    def keep(self, file: Path, name: str) -> str:
        """Move a file to the user's backgrounds, under a new name that is valid on every system.

        Args:
            file: a file that was checked already.
            name: its original name, without a path.

        Returns:
            The name of the new background.

        Raises:
            BackgroundError: it cannot be stored, or contains nothing to show.
        """
        folder = self._folders[0]
        with told_as(BackgroundError, f"it cannot be stored in {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
            path = _free(folder, name)
            shutil.move(file, path)
        (found,) = from_path(path)
        self._known.add(path)
        return str(self._add(found))

    def look(self) -> None:
        """Add new files, sorted by name. A file without a picture is reported when it is chosen."""
        now_ns = self._clock.now_ns()
        if self._looked_ns is not None and now_ns - self._looked_ns < _EVERY_NS:
            return
        self._looked_ns = now_ns
        for folder in self._folders:
            try:
                found = in_folder(folder)
            except OSError:  # it does not exist, or we may not read it
                continue
            for background in found:
                if background.path not in self._known:
                    self._known.add(background.path)
                    self._add(background)


def _free(folder: Path, name: str) -> Path:
    """A free path in the folder. Of the name, letters, digits, a few marks and the suffix stay."""
    named = PurePath(unicodedata.normalize("NFC", name))
    stem = re.sub(r"[^\w ()+,.-]+", "_", named.stem).strip(" ._")[:60].rstrip(" .") or "background"
    if re.fullmatch(r"con|prn|aux|nul|(com|lpt)\d", stem.partition(".")[0], re.IGNORECASE):
        # Names of devices on Windows.
        stem = f"_{stem}"
    suffix = named.suffix.lower()
    names = (f"{stem}{suffix}" if number == 1 else f"{stem} ({number}){suffix}" for number in count(1))
    return next(path for path in (folder / each for each in names) if not path.exists())
