"""Files that are there whole or not at all: written beside their place, brought to the disk, then renamed.

A rename that reaches the disk before what it names does leaves an empty file after a power cut.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rvm_live.core.errors import SinkError

__all__ = ["explain", "flush", "no_empty_folders", "refuse_special", "replace", "write", "write_whole", "writing"]

_CANNOT = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What a file system answers that knows no flushing."""


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
    flush(part)
    os.replace(part, path)
    flush(path.parent)


def flush(path: Path) -> None:
    """Bring a file's bytes, or the names in a folder, to the disk.

    Raises:
        OSError: the disk did not take them.
    """
    folder = path.is_dir()
    try:
        file = os.open(path, os.O_RDONLY if folder or os.name != "nt" else os.O_RDWR)
    except OSError:
        if folder:  # Windows opens none
            return
        raise
    try:
        os.fsync(file)
    except OSError as error:
        if not folder and error.errno not in _CANNOT:
            raise
    finally:
        os.close(file)


def write(path: Path, data: bytes, *, durable: bool = False, private: bool = False) -> None:
    """Write a small file.

    Args:
        path: of the file.
        data: what is to be in it.
        durable: others rely on its being there after a power cut.
        private: its owner alone may read it.

    Raises:
        OSError: it cannot be written; nothing is left then, and what was there is as before.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        refuse_special(path)
        with suppress(FileNotFoundError):
            part.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)  # through no link that lies there
        with os.fdopen(os.open(part, flags, 0o600 if private else 0o666), "wb") as file:
            file.write(data)
        if durable:
            replace(part, path)
        else:
            os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def explain(error: OSError, path: Path | str) -> SinkError:
    """A system's refusal to write ``path`` as one clear line."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SinkError(f"disk full while writing {path}: free some space or choose another place")
    if error.errno == errno.EFBIG:
        return SinkError(f"the file system allows no larger file while writing {path}")
    return SinkError(f"cannot write {path}: {error.strerror or error}")


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Raise what the system refuses in the block as a :class:`~rvm_live.core.errors.SinkError`: see :func:`explain`."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


def write_whole(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write ``data`` beside ``path`` and rename it: the file is there whole or not at all; where it is ``durable``,
    after a power cut, too.

    Raises:
        SinkError: it cannot be written.
    """
    with writing(path):
        write(path, data, durable=durable)


@contextmanager
def no_empty_folders(path: Path) -> Iterator[None]:
    """Where an error ends the block, take away what it has made of ``path`` and the folders above, if it is empty."""
    missing = []
    for place in (path, *path.parents):
        if os.path.lexists(place):
            break
        missing.append(place)
    try:
        yield
    except BaseException:
        for place in missing:
            with suppress(OSError):
                place.rmdir()
        raise
