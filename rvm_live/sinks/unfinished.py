"""Recordings that were cut short: a file whose end never harms its beginning, and the way back to what is in it."""

from __future__ import annotations

import contextlib
import io
import os
import time
from pathlib import Path
from typing import Any

__all__ = ["UnfinishedFile", "keep_unfinished", "part_path"]

_LOOK_S = 1.0


def part_path(path: Path) -> Path:
    """Where a file is while it is not whole: hidden, beside its final place."""
    return path.with_name(f".{path.stem}.part{path.suffix}")


class UnfinishedFile(io.RawIOBase):
    """A file that a muxer writes, until it is given up: a muxer that closes after an error rewrites the beginning for an
    end that did not fit, and what was good until then would be lost.

    Args:
        path: of the file.

    Raises:
        OSError: it cannot be made; later, that it cannot be written, or is there no longer.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._file = path.open("wb", buffering=0)
        self._looked = time.monotonic()
        self._given_up = False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self._given_up:
            return len(data)
        self._look()
        view = memoryview(data)
        while len(view):
            view = view[self._file.write(view) :]
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()

    def give_up(self) -> None:
        """Write nothing more."""
        self._given_up = True

    def _look(self) -> None:
        """Notice a folder that was deleted or moved: the system goes on taking what nobody will ever find."""
        if time.monotonic() - self._looked >= _LOOK_S:
            self._looked = time.monotonic()
            os.stat(self.path)


def keep_unfinished(path: Path) -> Path | None:
    """Give what was recorded before a failure a name that says so, if any of it can be played; remove it if not.

    Args:
        path: where the whole file would have been.

    Returns:
        Where it is now: ``clip.incomplete.mp4`` for ``clip.mp4``; None if nothing was left.
    """
    part = part_path(path)
    if not part.exists():
        return None
    with contextlib.suppress(OSError):
        if _plays(part):
            kept, number = path.with_name(f"{path.stem}.incomplete{path.suffix}"), 2
            while kept.exists():
                kept, number = path.with_name(f"{path.stem}.incomplete-{number}{path.suffix}"), number + 1
            os.replace(part, kept)
            return kept
        part.unlink()
    return None


def _plays(path: Path) -> bool:
    import av

    try:
        with av.open(str(path)) as container:
            return next(container.decode(video=0), None) is not None
    except Exception:  # whatever a decoder says about half a file
        return False
