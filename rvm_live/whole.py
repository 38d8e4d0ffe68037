"""Files that are there whole or not at all: written beside their place, then renamed."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

__all__ = ["refuse_special", "replace", "write"]


def refuse_special(path: Path) -> None:
    """Leave devices, pipes and sockets alone: a rename takes their place, and for root that is ``/dev/null``.

    Raises:
        OSError: ``path`` is one, or a link to one.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EEXIST, "it is a device or a pipe, not a file", str(path))


def replace(part: Path, path: Path) -> None:
    """Rename what is whole to its own name, in the place of a file that may be there.

    Raises:
        OSError: the system refuses, or there is something else than a file.
    """
    refuse_special(path)
    os.replace(part, path)


def write(path: Path, data: bytes) -> None:
    """Write a small file.

    Raises:
        OSError: it cannot be written; nothing is left then, and what was there is as before.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        refuse_special(path)
        with suppress(FileNotFoundError):
            part.unlink()
        with part.open("xb") as file:  # never through a link that somebody put there
            file.write(data)
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
