"""Finds the file to use, loads it, checks it."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from rvm_live.core.errors import WeightsError, told_as
from rvm_live.core.settings import EngineSettings
from rvm_live.system.folders import at_home, tell_once
from rvm_live.weights.cache import Status, cache_dir, cached, check_record, list_known, pull, write_record
from rvm_live.weights.catalog import DEFAULT_MODEL, KNOWN, KnownWeights, known
from rvm_live.weights.download import Progress
from rvm_live.weights.files import SUFFIXES, LoadedWeights, file_bytes, read

__all__ = ["Verified", "in_force", "load", "locate", "resolve", "verify"]

_log = logging.getLogger("rvm_live")


@dataclass(frozen=True)
class Verified:
    """A checkpoint that passed every check.

    Attributes:
        path: the file.
        sha256: its digest, hexadecimal.
        variant: ``mobilenetv3`` or ``resnet50``.
        refiner: ``deep_guided_filter`` or ``fast_guided_filter``.
        parameters: number of trainable values.
        recorded: the digest was compared with the one recorded when the file was fetched.
    """

    path: Path
    sha256: str
    variant: str
    refiner: str
    parameters: int
    recorded: bool


def resolve(settings: EngineSettings, *, progress: Progress | None = None) -> Path:
    """The file to load: ``settings.weights``, else ``RVM_LIVE_WEIGHTS``, else the cache, else the official release.

    The first two name a file or a folder; in a folder the official file name of the model comes first, then any
    ``.pth`` or ``.safetensors`` file that holds the model (any model, if none was asked for).

    Args:
        settings: ``weights``, ``model`` and ``offline`` are read.
        progress: told of bytes if a download is needed.

    Raises:
        WeightsError: there is nothing to load; says what to do.
    """
    found = locate(settings)
    if found is not None:
        return _find(found, settings.model) if found.is_dir() else found
    if settings.offline:
        raise WeightsError(
            f"no weights for {known(settings.model).model} in {cache_dir()}, and nothing may be fetched "
            "(--offline): run "
            "`rvm-live weights pull` on a machine with internet access and copy the file here, or name one with "
            "--weights PATH or RVM_LIVE_WEIGHTS"
        )
    _log.info("fetching %s", known(settings.model).url)
    return pull(settings.model, progress)


def locate(settings: EngineSettings) -> Path | None:
    """The file or folder that :func:`resolve` will use, without opening it; None if it must be downloaded.

    Raises:
        WeightsError: what was named does not exist.
    """
    named = settings.weights
    if named is None and os.environ.get("RVM_LIVE_WEIGHTS"):
        named = Path(os.environ["RVM_LIVE_WEIGHTS"])
    if named is None:
        path = cached(settings.model)
        return path if os.path.isfile(path) else None
    named = at_home(named)
    try:
        named.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise WeightsError(f"weights {named} does not exist") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"weights {named} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return named


def _find(folder: Path, model: str | None) -> Path:
    """The file in ``folder`` that holds ``model``, or any model if that is None."""
    with told_as(WeightsError, f"weights folder {folder} cannot be read"):
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise WeightsError(f"weights folder {folder} contains no .pth or .safetensors file")
    wanted = [model] if model else [DEFAULT_MODEL, *(name for name in KNOWN if name != DEFAULT_MODEL)]
    stems = [Path(KNOWN[name].file).stem for name in wanted]
    files.sort(key=lambda path: stems.index(path.stem) if path.stem in stems else len(stems))
    usable: dict[str, Path] = {}
    refusals: list[str] = []
    for path in files:
        try:
            variant = read(path).variant
        except WeightsError as error:
            refusals.append(str(error).replace(f"weights {path}", path.name))
            continue
        if variant == wanted[0]:
            return path
        usable.setdefault(variant, path)
        refusals.append(f"{path.name} contains {variant}")
    for name in wanted:
        if name in usable:
            return usable[name]
    what = f"no usable weights for {model}" if model else "no usable weights"
    raise WeightsError(f"weights folder {folder} contains {what}: {'; '.join(refusals)}")


def in_force() -> list[Status]:
    """The official checkpoints as runs use them: what ``RVM_LIVE_WEIGHTS`` names, else what is in the cache.

    In the first case ``state`` is ``RVM_LIVE_WEIGHTS``, with what it holds instead where that is another model, or
    ``unusable``.
    """
    if not os.environ.get("RVM_LIVE_WEIGHTS"):
        return list_known()
    return [_named(weights) for weights in KNOWN.values()]


def _named(weights: KnownWeights) -> Status:
    try:
        path = resolve(EngineSettings(model=weights.model, offline=True))
        variant = read(path).variant
    except WeightsError as error:
        return Status(weights, cached(weights.model), "unusable", str(error))
    if variant == weights.model:
        return Status(weights, path, "RVM_LIVE_WEIGHTS")
    return Status(weights, path, f"RVM_LIVE_WEIGHTS contains {variant}")


def load(path: Path) -> LoadedWeights:
    """Load and check a checkpoint; one from the cache is compared with its record first.

    Raises:
        WeightsError: it is unusable, or not what was recorded; says what it is.
    """
    return _load(path)[0]


def _load(path: Path) -> tuple[LoadedWeights, bool]:
    data = file_bytes(path)
    in_cache = path.parent == cache_dir()
    recorded = in_cache and check_record(path, data)
    loaded = read(path, data)
    if in_cache and not recorded:
        try:
            write_record(path, loaded.sha256, len(data), None)
        except OSError as error:
            tell_once(f"cannot record the SHA-256 of {path}: {error.strerror or error}")
    return loaded, recorded


def verify(what: str | Path | None = None) -> Verified:
    """Check a model that runs use, or any file, as thoroughly as loading does.

    Args:
        what: a model's name (None: the default model), which is what ``RVM_LIVE_WEIGHTS`` names or else lies in the
            cache; or a path to a file or folder.

    Raises:
        WeightsError: it is not there, unusable, or not what was recorded.
    """
    if what is None or (isinstance(what, str) and what in KNOWN):
        weights = known(what)
        named = bool(os.environ.get("RVM_LIVE_WEIGHTS"))
        path = resolve(EngineSettings(model=weights.model, offline=True)) if named else cached(weights.model)
        if not os.path.isfile(path):
            raise WeightsError(f"no weights for {weights.model}: run `rvm-live weights pull {weights.model}`")
    else:
        path = at_home(Path(what))
        if path.is_dir():
            path = _find(path, None)
    loaded, recorded = _load(path)
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    parameters = sum(t.numel() for name, t in loaded.state_dict.items() if not name.endswith(buffers))
    return Verified(path, loaded.sha256, loaded.variant, loaded.refiner, parameters, recorded)
