"""Recordings that were cut short, and the way back to what is in them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from rvm_live.libav import open_file

__all__ = ["keep_unfinished", "part_path"]


def part_path(path: Path) -> Path:
    """Where a file is while it is not whole: hidden, beside its final place."""
    return path.with_name(f".{path.stem}.part{path.suffix}")


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
    try:
        with open_file(path) as container:
            return next(container.decode(video=0), None) is not None
    except Exception:  # whatever a decoder says about half a file
        return False
