"""Files that appear complete or not at all: written under another name, flushed to the disk, then renamed.

If a rename reaches the disk before the content, a power cut leaves an empty file.
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
"""Errors of a file system that does not support flushing."""


def refuse_special(path: Path) -> None:
    """Refuse devices, pipes and sockets: a rename would replace them, for root even ``/dev/null``.

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
    """Rename a complete file to its final name, replacing a file there.

    Raises:
        OSError: the system refuses, or there is something else than a file.
    """
    refuse_special(path)
    flush(part)
    os.replace(part, path)
    flush(path.parent)


def flush(path: Path) -> None:
    """Flush a file's bytes, or a folder's names, to the disk.

    Raises:
        OSError: the disk refused them.
    """
    folder = path.is_dir()
    try:
        file = os.open(path, os.O_RDONLY if folder or os.name != "nt" else os.O_RDWR)
    except OSError:
        if folder:  # Windows cannot open a folder
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
        data: its content.
        durable: it must survive a power cut.
        private: only its owner may read it.

    Raises:
        OSError: it cannot be written; then an earlier file is unchanged, and nothing else is left.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        refuse_special(path)
        with suppress(FileNotFoundError):
            part.unlink()
        # Does not follow a link that lies there.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
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
    """The system's refusal to write ``path`` as one clear line."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SinkError(f"disk full while writing {path}: free some space or choose another place")
    if error.errno == errno.EFBIG:
        return SinkError(f"{path} is too large for the file system: choose another place")
    return SinkError(f"cannot write {path}: {error.strerror or error}")


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Raise what the system refuses in the block as a :class:`~rvm_live.core.errors.SinkError`: see :func:`explain`."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


def write_whole(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write ``data`` under another name and rename it: the file appears complete or not at all; if ``durable``,
    even after a power cut.

    Raises:
        SinkError: it cannot be written.
    """
    with writing(path):
        write(path, data, durable=durable)


@contextmanager
def no_empty_folders(path: Path) -> Iterator[None]:
    """If an error ends the block, remove ``path`` and the folders above that it made, if they are empty."""
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
