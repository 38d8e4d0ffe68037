"""Records what outputs were made from, in a hidden file beside them, so that no file is replaced unasked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from rvm_live import __version__, weights
from rvm_live.apps.batch.inputs import Job, record_of
from rvm_live.apps.batch.settings import PRESETS, BatchSettings
from rvm_live.backgrounds.parse import parse
from rvm_live.backgrounds.slides import SlideShow
from rvm_live.core.errors import KeptError
from rvm_live.core.only_me import parse_person
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.choice import EMBEDDED, Choice
from rvm_live.system.atomic_write import write_whole

__all__ = ["Made", "fingerprint", "made_of"]

_WHOLE = 256 << 20
"""Bytes that are read to recognise a file; of a larger file its length and evenly spread parts are used."""
_PARTS = 64
_PART = 1 << 20
_TOLD = {
    "input": "from another file",
    "background": "with another background",
    "look": "with another look",
    "only me": "with another choice of people",
    "low light": "with dark pictures treated otherwise",
    "room": "with the things of another room",
    "engine": "with another engine, other weights or another ratio",
    "quality": "at another quality",
    "output": "in another format",
    "part": "from another part",
    "region": "from another region",
    "straight": "with or without --straight, unlike now",
    "mask": "with another mask",
}


class Made:
    """The record of the outputs of one job.

    Args:
        job: theirs.
        of: what they are to be made of, from :func:`made_of`.
    """

    def __init__(self, job: Job, of: dict[str, Any]) -> None:
        self.of: dict[str, Any] = json.loads(json.dumps(of))
        self._source = job.source.name
        self._path = job.folder / record_of(job.stem)

    def there(self, outputs: Sequence[Path], *, unfinished: bool) -> bool:
        """Whether all outputs exist and were made from exactly this.

        Args:
            outputs: files, or folders of pictures.
            unfinished: an earlier run was making exactly this: outputs without a record are its own.

        Raises:
            KeptError: an output exists that is, or may be, something else.
        """
        known = self._known()
        missing = False
        for path in outputs:
            if not path.exists():
                missing = True
            elif (record := known.get(path.name)) is None:
                if not unfinished:
                    raise _kept(path, "and how it was made is not known")
                missing = True
            elif record["is"] != _extent(path):
                raise _kept(path, "and was changed since it was made")
            elif record["of"] != self.of:
                told = [text for key, text in _TOLD.items() if record["of"].get(key) != self.of.get(key)]
                source = f" ({record['from']})" if record["of"].get("input") != self.of["input"] else ""
                raise _kept(path, "made " + ", ".join(told).replace(_TOLD["input"], _TOLD["input"] + source))
        return not missing

    def remember(self, outputs: Sequence[Path]) -> None:
        """Record what the outputs, which are complete now, were made from.

        Raises:
            SinkError: it cannot be written.
        """
        known = {name: each for name, each in self._known().items() if (self._path.parent / name).exists()}
        for path in outputs:
            known[path.name] = {"of": self.of, "from": self._source, "is": _extent(path), "version": __version__}
        write_whole(self._path, json.dumps(known, indent=1).encode(), durable=True)

    def _known(self) -> dict[str, dict[str, Any]]:
        try:
            records = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(records, dict):
            return {}
        return {
            name: each
            for name, each in records.items()
            if isinstance(each, dict) and isinstance(each.get("of"), dict) and {"from", "is"} <= each.keys()
        }


def _kept(path: Path, why: str) -> KeptError:
    return KeptError(f"{path} exists, {why}: overwrite it with --force, or choose another --output")


def _extent(path: Path) -> list[int]:
    """The extent of an output: its bytes; for a folder the number of its pictures and their bytes."""
    if path.is_dir():
        sizes = [each.stat().st_size for each in path.iterdir()]
        return [len(sizes), sum(sizes)]
    return [path.stat().st_size]


def made_of(settings: BatchSettings, engine: EngineSettings, choice: Choice | None, job: Job) -> Any:
    """Everything that the pictures of a job's outputs depend on, but not how or by which version they are made.

    Raises:
        RvmLiveError: something that they depend on is missing.
        OSError: it cannot be read.
    """
    engine = engine if choice is None else choice.settings
    embedded = engine.engine == EMBEDDED or (choice is not None and EMBEDDED in choice.names)
    left_out = {"weights", "offline", "keep_up"} | {name for name in ("box", "gate") if not getattr(engine, name)}
    asked = {name: value for name, value in asdict(engine).items() if name not in left_out}
    file = None
    if not embedded:
        of_rvm = engine.engine in ("auto", "openvino", "rvm")
        file = weights.resolve(engine) if of_rvm else None if engine.weights is None else weights.locate(engine)
    return {
        "input": [fingerprint(job.pictures), settings.fps] if job.pictures else fingerprint((job.source,)),
        "background": _background(settings.background),
        "engine": {**asked, "embedded": embedded, "weights": None if file is None else fingerprint(_files(file))},
        "quality": [settings.quality, PRESETS[settings.quality].side],
        "output": [job.container, settings.codec, job.plain],
        **({} if job.span is None else {"part": str(job.span)}),
        **({} if settings.look.plain else {"look": asdict(settings.look)}),
        **({"straight": True} if settings.straight else {}),
        **({} if settings.box is None else {"region": str(settings.box)}),
        **({} if settings.mask is None else {"mask": fingerprint(_files(settings.mask))}),
        **({"only me": parse_person(settings.person)} if settings.only_me else {}),
        **({"low light": settings.low_light} if settings.lit else {}),
        **({"room": fingerprint([_room(settings.room)])} if settings.kept else {}),
    }


def _files(path: Path) -> list[Path]:
    return sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]


def _room(name: str | None) -> Path:
    from rvm_live.engines.things import rooms

    return rooms.path_of(rooms.find(name).label)


def _background(spec: str) -> Any:
    background = parse(spec)[0]
    path: Path | None = getattr(background, "path", None)
    if path is None:
        return spec.strip()
    every = [background.every_s] if isinstance(background, SlideShow) else []
    return [type(background).__name__, getattr(background, "fit", ""), fingerprint(_files(path)), *every]


def fingerprint(paths: Sequence[Path]) -> str:
    """Fingerprint of the content of files, independent of names and dates: SHA-256 of their sizes and bytes.

    Of more than 256 MiB 64 parts count, of 1 MiB in all of one file, evenly spread: two renderings of one length that
    differ for longer than a 64th of it differ here.

    Raises:
        OSError: one cannot be read.
    """
    found = [path.stat() for path in paths]
    return _fingerprint(
        tuple((p, each.st_size, each.st_mtime_ns, each.st_ctime_ns) for p, each in zip(paths, found, strict=True))
    )


@lru_cache(maxsize=64)
def _fingerprint(files: tuple[tuple[Path, int, int, int], ...]) -> str:
    whole = sum(size for _, size, *_ in files) <= _WHOLE
    parts = max(1, _PARTS // len(files))
    length = min(_PART, max(4096, _PARTS * _PART // (parts * len(files))))
    found = hashlib.sha256()
    for path, size, *_ in files:
        found.update(f"{size}\n".encode())
        with path.open("rb") as file:
            if whole or size <= parts * length:
                while data := file.read(_PART):
                    found.update(data)
                continue
            for part in range(parts):
                file.seek((size - length) * part // max(1, parts - 1))
                found.update(file.read(length))
    return found.hexdigest()
