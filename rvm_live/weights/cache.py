"""The cache of downloaded checkpoints. A file appears in it only when complete; its SHA-256 is stored next to it."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rvm_live.core.errors import WeightsError, told_as
from rvm_live.system import atomic_write, folders
from rvm_live.weights.catalog import KNOWN, PINNED, KnownWeights, known
from rvm_live.weights.download import Progress, fetch
from rvm_live.weights.files import LoadedWeights, file_bytes, read, sha256_of

__all__ = ["Status", "cache_dir", "cached", "check_record", "list_known", "pull", "record_path"]

_STALE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Status:
    """State of one official checkpoint on this machine.

    Attributes:
        weights: which one.
        path: its place in the cache, whether it is there or not.
        state: ``verified``, ``not fetched``, ``no record`` (put there by hand) or ``altered``.
        problem: what to do about it, if altered.
    """

    weights: KnownWeights
    path: Path
    state: str
    problem: str = ""


def cache_dir() -> Path:
    """Folder of downloaded checkpoints: ``weights`` in ``RVM_LIVE_CACHE``, else in the platform's cache folder."""
    return folders.cache_folder() / "weights"


def cached(model: str | None) -> Path:
    """Path of the official checkpoint of ``model`` after a download."""
    return cache_dir() / known(model).file


def record_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def check_record(path: Path, data: bytes) -> bool:
    """Compare a file's content with what was recorded when it was fetched.

    Returns:
        Whether there is a record (a file that was put into the cache by hand has none yet).

    Raises:
        WeightsError: it is not what was recorded.
    """
    record = record_path(path)
    try:
        entry: Any = json.loads(record.read_text(encoding="utf-8"))
        expected = entry["sha256"]
        if not isinstance(expected, str) or not re.fullmatch(r"[0-9a-f]{64}", expected):
            raise ValueError("it contains no SHA-256")
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"the record {record} is damaged ({error}): {_refetch(path)}") from error
    actual = sha256_of(data)
    if actual != expected:
        raise WeightsError(
            f"weights {path} have changed since they were fetched: SHA-256 expected {expected}, actual {actual}; "
            + _refetch(path)
        )
    return True


def _refetch(path: Path) -> str:
    for model, weights in KNOWN.items():
        if weights.file == path.name:
            return f"run `rvm-live weights pull {model}` to fetch them again, or delete {path}"
    return f"delete {path}"


def write_record(path: Path, sha256: str, size: int, url: str | None) -> None:
    """Record the SHA-256 of ``path``; the record appears complete or not at all."""
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    text = json.dumps({"sha256": sha256, "bytes": size, "url": url, "recorded": when}, indent=1)
    atomic_write.write(record_path(path), f"{text}\n".encode())


def pull(model: str | None = None, progress: Progress | None = None) -> Path:
    """Make sure that the official checkpoint of ``model`` is in the cache, complete and unaltered.

    Does nothing if it is; an altered one is fetched again. The file must have the SHA-256 that the authors published,
    or that of the first download, whatever happened to that file.

    Args:
        model: ``mobilenetv3`` (also None) or ``resnet50``.
        progress: told of bytes as they come.

    Raises:
        WeightsError: it cannot be fetched, or another file arrived.
    """
    weights = known(model)
    path = cache_dir() / weights.file
    if os.path.isfile(path):
        with suppress(WeightsError):
            data = file_bytes(path)
            if check_record(path, data):
                return path
    url = weights.url
    with told_as(WeightsError, f"cannot write to the cache {path.parent}", "; set RVM_LIVE_CACHE to another folder"):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
    part = Path(name)
    try:
        fetch(url, part, progress)
        loaded, size = _examine(part, url, weights)
        _check_seen(path, loaded.sha256, url)
        # Write the record first: after a crash between the two writes there must be no file without a record.
        write_record(path, loaded.sha256, size, url)
        os.replace(part, path)
        _remember_seen(weights.file, loaded.sha256)
    except OSError as error:
        raise WeightsError(f"cannot store {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink()
    return path


def _examine(part: Path, url: str, weights: KnownWeights) -> tuple[LoadedWeights, int]:
    """Load the downloaded file; anything but the wanted checkpoint is refused, with its URL in the message."""
    try:
        data = file_bytes(part)
        loaded = read(part, data)
        if loaded.variant != weights.model:
            raise WeightsError(f"weights {part} is for {loaded.variant}, not {weights.model}")
        if len(data) < weights.least_bytes:
            raise WeightsError(f"weights {part} has {len(data)} bytes, too few for this network")
    except WeightsError as error:
        told = str(error).replace(f"weights {part}", f"what came from {url}")
        raise WeightsError(f"{told}; nothing was stored") from error
    return loaded, len(data)


def seen_path() -> Path:
    """File with the SHA-256 of each first download: with the settings, because a cache may be emptied."""
    return folders.settings_folder() / "fetched.json"


def _seen() -> dict[str, str]:
    try:
        seen = json.loads(seen_path().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return {k: v for k, v in seen.items() if isinstance(v, str)} if isinstance(seen, dict) else {}


def _check_seen(path: Path, sha256: str, url: str) -> None:
    """Refuse a file that is neither the published one nor the first downloaded one.

    Raises:
        WeightsError: it is another file.
    """
    expected = PINNED.get(path.name)
    what, otherwise = "what its authors published", ""
    if expected is None:
        expected = _seen().get(path.name) or sha256
        what, otherwise = "what was fetched the first time", f" (to accept it anyway, delete {seen_path()})"
    if sha256 != expected:
        raise WeightsError(
            f"what came from {url} is not {what}: SHA-256 expected {expected}, actual {sha256}; "
            f"nothing was stored{otherwise}"
        )


def _remember_seen(file: str, sha256: str) -> None:
    seen = _seen()
    if file in seen or file in PINNED:
        return
    path = seen_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write.write(path, (json.dumps({**seen, file: sha256}, indent=1) + "\n").encode())
    except OSError as error:
        folders.tell_once(f"cannot write to {path} what was fetched: {error.strerror or error}")


def _sweep(folder: Path) -> None:
    """Remove what a killed download left behind."""
    for part in folder.glob(".*.part"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > _STALE_SECONDS:
                part.unlink()


def list_known() -> list[Status]:
    """The official checkpoints, and whether each is in the cache and verified."""
    told = []
    for weights in KNOWN.values():
        path = cache_dir() / weights.file
        if not os.path.isfile(path):
            told.append(Status(weights, path, "not fetched"))
            continue
        try:
            state = "verified" if check_record(path, file_bytes(path)) else "no record"
            told.append(Status(weights, path, state))
        except WeightsError as error:
            told.append(Status(weights, path, "altered", str(error)))
    return told
