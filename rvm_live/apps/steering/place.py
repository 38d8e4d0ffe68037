"""Where running programs are found: a folder of the user's own, with one file for each.

On Linux and macOS the files are Unix sockets of mode 0600. On Windows, where Python has none, each holds the number of
a loopback port and a secret; it lies in the user's own profile, which other users cannot read.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import platformdirs

from rvm_live.core.errors import SettingsError

__all__ = ["HAS_SOCKETS", "PORT", "SOCKET", "folder"]

HAS_SOCKETS = hasattr(socket, "AF_UNIX") and sys.platform != "win32"
SOCKET, PORT = ".sock", ".port"
_LONGEST = 100
"""Bytes of a socket's path: macOS takes 103, Linux 107."""


def folder() -> Path:
    """The folder; made if it is not there.

    Raises:
        SettingsError: there is none that is the user's alone.
    """
    reasons = []
    for place in _places():
        try:
            return _checked(place)
        except OSError as error:
            reasons.append(f"{place}: {error.strerror or error}")
    raise SettingsError(f"there is no private folder for the program's socket ({'; '.join(reasons)})")


def _places() -> list[Path]:
    if not HAS_SOCKETS:
        return [Path(platformdirs.user_runtime_path("rvm-live", appauthor=False))]
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    places = [Path(named) / "rvm-live"] if os.path.isabs(named) else []
    places.append(Path(tempfile.gettempdir()) / f"rvm-live-{os.getuid()}")
    return [place for place in places if len(os.fsencode(place)) + 16 <= _LONGEST]


def _checked(place: Path) -> Path:
    """Raises OSError where somebody else could have laid it there, or could look in."""
    if not HAS_SOCKETS:
        place.mkdir(parents=True, exist_ok=True)
        return place
    with suppress(FileExistsError):
        place.mkdir(mode=0o700)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise OSError("it is not a folder")
    if found.st_uid != os.getuid():
        raise OSError("it belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        place.chmod(0o700)
    return place
