"""What the network has learnt about a user with one camera: one file per camera, on this machine only.

It holds the tensors that changed, in half precision, and a description: which camera, when, from which weights, and the
error before and after. It holds no pictures.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import SettingsError, WeightsError
from rvm_live.system import atomic_write, folders

__all__ = ["Learned", "find", "folder", "forget", "listed", "path_for", "read", "save", "tensors"]

_SUFFIX = ".safetensors"
_KEY = "rvm-live learned"
_LARGEST = 4_000_000


@dataclass(frozen=True)
class Learned:
    """The description in a file, without its tensors.

    Attributes:
        camera: in words, such as ``HD Webcam``.
        made: day, ISO 8601.
        base: SHA-256 of the weights that it changes.
        before: mean absolute difference of alpha from RVM's, x 1000, of those weights.
        after: of what was learnt.
        path: of the file; set when it is read.
    """

    camera: str
    made: str
    base: str
    before: float
    after: float
    path: Path = Path()

    @property
    def name(self) -> str:
        """Its name for ``--forget``."""
        return self.path.stem


def folder() -> Path:
    """Folder of the files; it need not exist."""
    return folders.data_folder() / "learned"


def path_for(identity: str, camera: str) -> Path:
    """The file of a camera.

    Args:
        identity: what tells it from others (:attr:`rvm_live.sources.base.SourceInfo.identity`).
        camera: in words.
    """
    words = re.sub(r"[^a-z0-9]+", "-", camera.lower()).strip("-")[:40].strip("-")
    return (
        folder() / f"{words or 'camera'}-{sha256(identity.encode(errors='surrogateescape')).hexdigest()[:8]}{_SUFFIX}"
    )


def save(path: Path, told: Learned, changed: Mapping[str, NDArray[np.float16]]) -> Learned:
    """Write a file, whole or not at all, that its owner alone can read.

    Raises:
        SinkError: it cannot be written.
    """
    from safetensors.numpy import save as packed

    words = {name: value for name, value in asdict(told).items() if name != "path"}
    data = packed(dict(changed), metadata={_KEY: json.dumps(words)})
    with atomic_write.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        atomic_write.write(path, data, private=True)
    return replace(told, path=path)


def read(path: Path) -> Learned:
    """The description in a file.

    Raises:
        WeightsError: it is another kind of file, or damaged.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, _LARGEST)))
            behind = file.seek(0, os.SEEK_END)
        words: dict[str, Any] = json.loads(header.pop("__metadata__")[_KEY])
        if behind != 8 + length + max(each["data_offsets"][1] for each in header.values()):
            raise ValueError("it was cut short")
        texts = {name: str(words[name]) for name in ("camera", "made", "base")}
        return Learned(**texts, before=float(words["before"]), after=float(words["after"]), path=path)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"{path} is damaged, or contains nothing that was learnt: delete it with rvm-live learn --forget"
        ) from error


def tensors(path: Path) -> dict[str, NDArray[np.float16]]:
    """The tensors that changed.

    Raises:
        WeightsError: the file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        found: dict[str, NDArray[np.float16]] = load(path.read_bytes())
    except (OSError, ValueError, SafetensorError) as error:
        raise WeightsError(f"{path} is damaged: delete it with rvm-live learn --forget {path.stem}") from error
    return found


def listed() -> list[Learned]:
    """All that can be read, by name."""
    found = []
    for path in sorted(folder().glob(f"*{_SUFFIX}")) if folder().is_dir() else []:
        with suppress(WeightsError):
            found.append(read(path))
    return found


def find(identity: str, camera: str) -> Learned | None:
    """What was learnt with a camera; None if there is nothing that can be read."""
    try:
        return read(path_for(identity, camera))
    except WeightsError:
        return None


def forget(name: str) -> list[str]:
    """Delete what was learnt.

    Args:
        name: of a file, a camera in words, or ``all``, which takes damaged files, too.

    Returns:
        The names of the deleted files.

    Raises:
        SettingsError: there is nothing of that name.
        SinkError: it cannot be deleted.
    """
    every = sorted(folder().glob(f"*{_SUFFIX}")) if folder().is_dir() else []
    cameras = {each.path: each.camera.lower() for each in listed()}
    chosen = [path for path in every if name == "all" or name.lower() in (path.stem.lower(), cameras.get(path))]
    if not chosen and name != "all":
        known = ", ".join(path.stem for path in every)
        raise SettingsError(f"nothing was learnt for {name!r}: " + (f"there is {known}" if known else "nothing at all"))
    for path in chosen:
        with atomic_write.writing(path):
            path.unlink()
    return [path.stem for path in chosen]
