"""Unfinished recordings: their locks while they are written, and recovery after a failure."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from rvm_live.media.ffmpeg import open_file
from rvm_live.system.file_locks import Lock

__all__ = ["keep_unfinished", "part_path", "place_lock"]


def part_path(path: Path) -> Path:
    """Path of an unfinished file: hidden, beside its final place."""
    return path.with_name(f".{path.stem}.part{path.suffix}")


def place_lock(path: Path, *, folder: bool = False) -> Lock:
    """The lock of a recording's place: its unfinished file belongs to the run that holds the lock.

    Args:
        path: of the recording.
        folder: it is a folder of pictures, and the lock lies in it; else beside the file.
    """
    file = path / ".rvm-live.lock" if folder else path.with_name(f".{path.name}.lock")
    return Lock(file, f"the recording {path}", "choose another path, or wait until it ends")


def keep_unfinished(path: Path) -> Path | None:
    """Rename what was recorded before a failure to a name that says so, if it can be played; otherwise remove it.

    Only for the holder of the place's lock.

    Args:
        path: where the whole file would have been.

    Returns:
        Its new path: ``clip.incomplete.mp4`` for ``clip.mp4``; None if nothing is left.
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
    try:
        with open_file(path) as container:
            return next(container.decode(video=0), None) is not None
    except Exception:  # a decoder may raise anything for half a file
        return False
