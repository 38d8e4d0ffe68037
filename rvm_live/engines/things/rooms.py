"""Pictures of rooms, one file a camera, in the user's own folder; they never leave this machine."""

from __future__ import annotations

import io
import re
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np

from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import SettingsError, SinkError, told_as
from rvm_live.system import folders
from rvm_live.system.atomic_write import write_whole

__all__ = ["Room", "find", "forget", "keep", "load", "path_of", "rooms"]


@dataclass(frozen=True, repr=False)
class Room:
    """What a camera sees while nobody is there.

    Attributes:
        label: the camera, as sources name it.
        empty: the room alone, uint8 (H, W, 3) BGR.
        things: with what is to stay in the picture; None: not taken yet.
        taken: when, for people.
    """

    label: str
    empty: Bytes
    things: Bytes | None = None
    taken: str = field(default_factory=lambda: time.strftime("%Y-%m-%d %H:%M"))


def _folder() -> Path:
    return folders.settings_folder() / "rooms"


def path_of(label: str) -> Path:
    """Where the pictures of a camera's room are kept."""
    name = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:32]
    return _folder() / f"{name}-{sha256(label.encode()).hexdigest()[:8]}.npz"


def keep(room: Room) -> None:
    """Write the pictures of a room, in the place of those that may be there.

    Raises:
        SinkError: they cannot be kept.
    """
    path, file = path_of(room.label), io.BytesIO()
    nothing = np.zeros((0, 0, 3), np.uint8)
    about = np.frombuffer(f"{room.taken}\n{room.label}".encode(), np.uint8)
    np.savez_compressed(file, about=about, empty=room.empty, things=nothing if room.things is None else room.things)
    with told_as(SinkError, f"the pictures of the room cannot be stored: {path}"):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, file.getvalue())
        path.chmod(0o600)


def load(label: str) -> Room | None:
    """The room of a camera; None where there is none that can be read."""
    return _read(path_of(label))


def rooms() -> list[Room]:
    """All that are kept."""
    try:
        paths = sorted(_folder().glob("*.npz"))
    except OSError:
        return []
    return [room for room in map(_read, paths) if room is not None]


def find(name: str | None) -> Room:
    """The one room with things that goes by a name, or a part of one; None: the only one there is.

    Raises:
        SettingsError: there is none, or more than one.
    """
    known = [room for room in rooms() if room.things is not None]
    if not known:
        raise SettingsError("no room with things in it is kept: take one with `rvm-live room --record`")
    meant = [room for room in known if name is None or name.casefold() in room.label.casefold()]
    meant = [room for room in meant if room.label == name] or meant
    if len(meant) != 1:
        labels = ", ".join(room.label for room in meant or known)
        told = (
            "more than one room is kept" if name is None else f"{name!r} is {'more than one' if meant else 'no'} room"
        )
        raise SettingsError(f"{told}: name one of them with --room: {labels}")
    return meant[0]


def forget(label: str) -> bool:
    """Delete the pictures of a camera's room.

    Returns:
        False: there are none.

    Raises:
        SinkError: the system refuses.
    """
    try:
        path_of(label).unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise SinkError(f"the pictures of the room cannot be deleted: {error.strerror or error}") from error
    return True


def _read(path: Path) -> Room | None:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            empty, things = file["empty"], file["things"]
            taken, _, label = bytes(file["about"]).decode().partition("\n")
    except Exception:  # missing, damaged or of another user: then there are no pictures
        return None
    if empty.dtype != np.uint8 or empty.ndim != 3 or empty.shape[2] != 3 or not empty.size:
        return None
    fits = things.dtype == np.uint8 and things.shape == empty.shape
    return Room(label, empty, things if fits else None, taken)
