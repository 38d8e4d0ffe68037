"""Lock files, which reserve a place for one run; the system releases them however their holder ends."""

from __future__ import annotations

import errno
import getpass
import logging
import os
import platform
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

from rvm_live.core.errors import SinkError, told_as

__all__ = ["Lock"]

_log = logging.getLogger("rvm_live")

_NOT_HERE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
"""Errors of a file system that does not support locks."""
_LONGEST = 200

if sys.platform == "win32":
    import msvcrt

    _TAKEN = {errno.EACCES, errno.EDEADLK}

    def _lock(file: int) -> None:
        # Other processes cannot read locked bytes, and the name must stay readable.
        os.lseek(file, 1 << 30, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    _TAKEN = {errno.EWOULDBLOCK, errno.EACCES}

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Lock:
    """One lock file, with its holder's name in it. A killed process's lock is free.

    If the file system has no locks, the run continues without one, and the log says so.

    Args:
        path: of the lock file; its folder is there.
        what: the locked thing in words, for the refusal.
        instead: what to do if it is taken, for the refusal.
    """

    def __init__(self, path: Path, what: str, instead: str) -> None:
        self.path = path
        self._what, self._instead = what, instead
        self._file: int | None = None

    def __enter__(self) -> Lock:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def held(self) -> bool:
        """Whether this process holds it."""
        return self._file is not None

    def take(self) -> None:
        """Take the lock, unless this process holds it already.

        Raises:
            SinkError: another process has it, or the file cannot be made.
        """
        while self._file is None:
            with told_as(SinkError, f"cannot write {self.path}"):
                file = self._opened()
            if self._is_there(file):
                self._file = file
            else:
                # The previous owner has removed the file meanwhile: the one we hold has no name any more.
                os.close(file)

    def release(self) -> None:
        """Release the lock, and remove its file."""
        file, self._file = self._file, None
        if file is None:
            return
        with suppress(OSError):
            if sys.platform != "win32":
                # Removed before the lock is released, so that another process's file is never removed.
                self.path.unlink()
        os.close(file)
        with suppress(OSError):
            if sys.platform == "win32":
                # An open file cannot be removed; one that another process has opened meanwhile stays.
                self.path.unlink()

    def _opened(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        file = os.open(self.path, flags, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OSError(errno.EEXIST, "it is a device or a pipe, not a file")
            try:
                _lock(file)
            except OSError as error:
                if error.errno in _TAKEN:
                    raise SinkError(
                        f"{self._what} is in use by another run ({_holder(file)}): {self._instead}"
                    ) from None
                if error.errno not in _NOT_HERE:
                    raise
                _log.warning("%s cannot be locked on this file system: do not start a second run there", self._what)
            with suppress(OSError):  # the disk may be full
                os.ftruncate(file, 0)
                os.lseek(file, 0, os.SEEK_SET)
                os.write(file, _our_name().encode("utf-8", "replace"))
        except BaseException:
            os.close(file)
            raise
        return file

    def _is_there(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), os.stat(self.path))
        except OSError:
            return False


def _holder(file: int) -> str:
    try:
        os.lseek(file, 0, os.SEEK_SET)
        text = os.read(file, _LONGEST).decode("utf-8", "replace")
    except OSError:
        text = ""
    return "".join(letter for letter in text if letter.isprintable()) or "which has not written its name yet"


def _our_name() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, ImportError, OSError):  # there is no user of that number
        user = "somebody"
    return f"process {os.getpid()} of {user} on {platform.node()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}"
