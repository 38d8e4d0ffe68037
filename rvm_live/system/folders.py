"""The user's folders for files kept from run to run; if nothing can be stored there, this is reported once.

A container's user or a service may have no home folder, or one that cannot be written. Nothing here fails because of
that.
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
"""A path at which no folder or file can be made."""


def cache_folder() -> Path:
    """``RVM_LIVE_CACHE``, else the platform's cache folder; it need not exist."""
    return _folder("cache")


def settings_folder() -> Path:
    """``RVM_LIVE_CACHE``, else the platform's folder for settings; it need not exist."""
    return _folder("config")


def data_folder() -> Path:
    """``RVM_LIVE_CACHE``, else the platform's folder for data; it need not exist."""
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
    except RuntimeError:  # neither HOME nor a user name to look it up by
        return _NOWHERE
    # Older versions return "~/.cache/..." unexpanded. The specification says to ignore a relative XDG_CACHE_HOME.
    return folder if folder.is_absolute() else _NOWHERE


def stand_in_for_home() -> None:
    """Give libraries a home folder and a user name if there are none: many ask for them when imported, and fail.

    Only for a program's entry point, before anything else: it changes the environment. That folder cannot be written
    to.
    """
    if os.path.expanduser("~") == "~":
        os.environ["HOME"] = str(_NOWHERE)
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = "nobody"


def at_home(path: Path) -> Path:
    """Replace a leading tilde by the user's home folder; without one the tilde stays."""
    return Path(os.path.expanduser(path))


def kept_in(folder: Path) -> str | None:
    """Make a folder for stored files, if it does not exist.

    Returns:
        Its path, for libraries that read and write in it; None if there can be none. That nothing can be written is
        reported once, and files in it can still be read.
    """
    reason = _unwritable(folder)
    if reason:
        tell_once(
            f"nothing can be stored for the next run, so it starts more slowly: {reason}; set RVM_LIVE_CACHE to "
            "a folder that can be written",
            about="what is kept",
        )
    return str(folder) if os.path.isdir(folder) and _is_text(folder) else None


def _unwritable(folder: Path) -> str:
    try:
        if not _is_text(folder):
            return f"{folder}: its name is not valid UTF-8"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:  # permissions alone do not show a full or read-only disk
            file.write(bytes(4096))
            file.flush()
    except OSError as error:
        if _NOWHERE in folder.parents:
            return "this user has no home folder"
        return f"{folder}: {error.strerror or error}"
    return ""


def _is_text(folder: Path) -> bool:
    """Whether a name can be passed to libraries, which only accept valid UTF-8."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        return False
    return True


_told: set[str] = set()


def tell_once(text: str, about: str = "") -> None:
    """Log a warning once: not again for the same text, or for the same ``about``."""
    if (about or text) not in _told:
        _told.add(about or text)
        _log.warning("%s", text)
