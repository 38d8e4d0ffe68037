"""The user's folders, and what is kept in them from run to run; where nothing can be kept, that is told once.

A container's user may have no home, or one that cannot be written; a service may see none. Nothing here fails for that.
"""

from __future__ import annotations

import getpass
import logging
import os
import tempfile
from pathlib import Path

import platformdirs

__all__ = ["at_home", "cache_folder", "data_folder", "kept_in", "settings_folder", "stand_in_for_home", "tell_once"]

_log = logging.getLogger("rvm_live")

_NOWHERE = Path(os.devnull) / "no-home"
"""Where no folder can be made and no file can lie."""


def cache_folder() -> Path:
    """``RVM_LIVE_CACHE``, else the platform's folder for what can be made again; it need not be there."""
    return _folder("cache")


def settings_folder() -> Path:
    """``RVM_LIVE_CACHE``, else the platform's folder for what the user has chosen; it need not be there."""
    return _folder("config")


def data_folder() -> Path:
    """``RVM_LIVE_CACHE``, else the platform's folder for what cannot be made again at once; it need not be there."""
    return _folder("data")


_PLACES = {
    "cache": platformdirs.user_cache_path,
    "config": platformdirs.user_config_path,
    "data": platformdirs.user_data_path,
}


def _folder(kind: str) -> Path:
    chosen = os.environ.get("RVM_LIVE_CACHE")
    if chosen:
        return Path(chosen)
    try:
        folder = _PLACES[kind]("rvm-live", appauthor=False)
    except RuntimeError:  # neither HOME nor a name to look one up by
        return _NOWHERE
    # Older versions give "~/.cache/..." back as it is. A relative XDG_CACHE_HOME is none, by its specification.
    return folder if folder.is_absolute() else _NOWHERE


def stand_in_for_home() -> None:
    """Give libraries a home where the user has none: many ask for it, and for a name, when imported, and fail.

    For a program's entry alone, before anything else: it changes the environment. Nothing can be written there.
    """
    if os.path.expanduser("~") == "~":
        os.environ["HOME"] = str(_NOWHERE)
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = "nobody"


def at_home(path: Path) -> Path:
    """A tilde in front stands for a user's home; where there is none it stays a tilde."""
    return Path(os.path.expanduser(path))


def kept_in(folder: Path) -> str | None:
    """Make a folder for what is kept, if it is not there.

    Returns:
        Its name, for libraries that read and write in it; None where there can be none. That nothing can be written is
        told once, and what lies in it can still be read.
    """
    reason = _unwritable(folder)
    if reason:
        tell_once(
            f"nothing can be kept for the next run, which starts more slowly: {reason} (RVM_LIVE_CACHE names a folder)",
            about="what is kept",
        )
    return str(folder) if os.path.isdir(folder) and _is_text(folder) else None


def _unwritable(folder: Path) -> str:
    try:
        if not _is_text(folder):
            return f"{folder}: its name is no text"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:  # permissions alone tell nothing of a full or read-only disk
            file.write(bytes(4096))
            file.flush()
    except OSError as error:
        if _NOWHERE in folder.parents:
            return "this user has no home"
        return f"{folder}: {error.strerror or error}"
    return ""


def _is_text(folder: Path) -> bool:
    """Whether a name can be handed to libraries, which take no other bytes than those of UTF-8."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        return False
    return True


_told: set[str] = set()


def tell_once(text: str, about: str = "") -> None:
    """Log a warning that would be the same the next time, or that is ``about`` the same thing."""
    if (about or text) not in _told:
        _told.add(about or text)
        _log.warning("%s", text)
