"""The input files of a batch run, and the names of their outputs."""

from __future__ import annotations

import glob
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rvm_live.apps.batch.cuts import cuts_of, read_cuts
from rvm_live.apps.batch.outputs import container_of, one_file
from rvm_live.apps.batch.settings import PRESETS, WRITABLE, BatchSettings, fill
from rvm_live.apps.batch.spans import Span
from rvm_live.apps.tidy import shortened
from rvm_live.core.errors import SettingsError
from rvm_live.media.image_headers import is_animation, is_picture
from rvm_live.media.suffixes import FILMS, PICTURE_FORMATS, PICTURES, RAW_PICTURES

__all__ = ["Job", "find", "jobs", "left_out", "names_of", "numbered", "record_of"]

_STILLS = PICTURES | RAW_PICTURES
_NUMBERED = re.compile(r"(?P<before>.*?)(?P<number>[0-9]{1,18})", re.DOTALL)
_RECORD = ".made.json"
_MARK = ".cutout"
_CUT_OUT = re.compile(rf"(?P<of>.+){re.escape(_MARK)}(_({'|'.join(WRITABLE)}|[0-9]+))*", re.DOTALL)
_LONGEST_STEM = 220
"""Bytes of a stem: a file system allows 255 for a name, and ``_foreground``, suffixes and marks of unfinished files are
added."""


@dataclass(frozen=True)
class Job:
    """One file to process, or a sequence of numbered pictures.

    Attributes:
        source: the file.
        folder: of its outputs.
        stem: likewise.
        suffix: likewise; empty where each is a folder of pictures.
        container: of its outputs, see :func:`~rvm_live.apps.batch.outputs.container_of`.
        pictures: for a sequence of pictures, all of them, in order; ``source`` is then the first.
        logged: its outputs go into a folder for outputs, each with its log.
        plain: which of its outputs has the plain name; the others add what they are.
        span: the part of the film that is taken; None: all of it.
    """

    source: Path
    folder: Path
    stem: str
    suffix: str
    container: str
    pictures: tuple[Path, ...] = ()
    logged: bool = True
    plain: str = "composite"
    span: Span | None = None

    @property
    def square(self) -> bool:
        """Whether pictures are scaled to square pixels: only for these containers can PyAV store another pixel
        shape."""
        return self.container not in ("mp4", "mov")


def find(inputs: Iterable[str], output: Path | None = None) -> list[Path]:
    """Files, those in folders (however deep, by name), and those that a pattern matches; each once. Of the pictures in
    folders those that are numbered without a gap.

    Links inside folders are followed to files, never to folders, so that no search goes in circles. Outputs of an
    earlier run in ``output`` (None: anywhere) are not found in folders or by patterns, only if they are named.

    Raises:
        SettingsError: an input does not exist, is not a file, cannot be searched, or contains no video.
    """
    made = _Made(output)
    found: dict[Path, Path] = {}
    for text in inputs:
        if not text:
            raise SettingsError("an input's name is empty")
        if "\0" in text:
            raise SettingsError("an input's name contains a zero byte")
        try:
            for each in _named(text, made):
                found.setdefault(_real(each), each)
        except (OSError, RuntimeError) as error:  # name too long, no permission, or a loop of links
            why = getattr(error, "strerror", None) or error
            raise SettingsError(f"input {text!r} cannot be used: {why}") from error
    return list(found.values())


def _named(text: str, made: _Made) -> list[Path]:
    """The files that one input means."""
    path = Path(text if os.path.lexists(text) else os.path.expanduser(text))
    if path.is_dir():
        own = [each for each in _in_folder(path) if not made.holds(each, path)]
        if not own:
            raise SettingsError(f"the folder {path} contains no video: name a file to try it whatever its suffix is")
        return own
    if path.is_file():
        return [path]
    if path.exists():
        raise SettingsError(f"input {text!r} is a device, a pipe or a socket, not a file: name a video file")
    if path.is_symlink():
        raise SettingsError(f"input {text!r} is a link to a file that does not exist")
    matched = sorted(Path(each) for each in glob.glob(str(path), recursive=True))
    own = [each for each in matched if each.is_file() and not made.holds(each)]
    if not own:
        what = "matches no file" if glob.has_magic(str(path)) else "does not exist"
        raise SettingsError(f"input {text!r} {what}")
    return own


def _in_folder(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder, followlinks=False, onerror=_unreadable):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        shown = [Path(place) / name for name in sorted(names) if not name.startswith(".")]
        still = [path for path in shown if path.suffix.lower() in _STILLS and path.is_file()]
        rows = {path for row in _rows(still) if len(row) > 1 for path in row}
        for path in shown:
            if path in rows or (path.suffix.lower() in FILMS and path.is_file()):
                yield path


def _rows(paths: Iterable[Path]) -> list[tuple[Path, ...]]:
    """Groups numbered pictures of one folder, name and kind, without gaps, into sequences in the order of their
    numbers; all other files, animations too, stay single. Each sequence stands where its first picture stood."""
    alike: dict[object, list[tuple[int, Path]]] = {}
    for path in paths:
        number = _NUMBERED.fullmatch(path.stem) if path.suffix.lower() in _STILLS else None
        if number is None:
            alike[path] = [(0, path)]
        else:
            alike.setdefault((path.parent, number["before"], path.suffix), []).append((int(number["number"]), path))
    rows: list[tuple[Path, ...]] = []
    for found in alike.values():
        numbers = sorted({number for number, _ in found})
        whole = len(numbers) == len(found) == numbers[-1] - numbers[0] + 1
        if whole and not (len(found) > 1 and _moves(found[0][1])):
            rows.append(tuple(path for _, path in sorted(found)))
        else:
            rows += [(path,) for _, path in found]
    return rows


def numbered(folder: Path) -> tuple[Path, ...]:
    """The only sequence of numbered pictures in a folder, in order.

    Raises:
        SettingsError: it holds none, or several.
    """
    rows = _rows(path for path in sorted(folder.iterdir()) if path.suffix.lower() in _STILLS and path.is_file())
    if len(rows) != 1:
        raise SettingsError(
            f"the folder {folder} contains {len(rows)} sequences of numbered pictures: put each in a folder of its own"
        )
    return rows[0]


def _moves(path: Path) -> bool:
    try:
        return is_animation(path)
    except OSError:  # an error is reported when the file is read
        return False


def _name(row: tuple[Path, ...]) -> str:
    """The name of a file without its suffix; for a sequence the text before the numbers, or the folder's name."""
    if len(row) == 1:
        return row[0].stem
    number = _NUMBERED.fullmatch(row[0].stem)
    return ("" if number is None else number["before"].rstrip("_-. ")) or row[0].parent.resolve().name or "pictures"


def _unreadable(error: OSError) -> None:
    """Refuse a folder that cannot be read, because it might contain wanted files."""
    raise SettingsError(f"the folder {error.filename} cannot be searched: {error.strerror}; name the files") from error


class _Made:
    """What runs have left in the output folder: outputs, with their logs and their hidden records.

    Args:
        output: that folder; None: beside the inputs.
    """

    def __init__(self, output: Path | None) -> None:
        self._output = None if output is None else _real(output)

    def holds(self, path: Path, searched: Path | None = None) -> bool:
        """Whether ``path`` is an output: below the output folder where that is inside the folder that is
        ``searched``; else a file of that folder with a log or a record beside it."""
        output, path = self._output, _real(path)
        if output is None:
            return any(map(_has_made, (path, path.parent)))
        if output not in path.parents:
            return False
        if searched is not None and _real(searched) in output.parents:
            return True
        # A picture is an output if a folder that it lies in is one.
        return any(_has_made(each) for each in (path, *path.parents) if output in each.parents)


def _has_made(path: Path) -> bool:
    plain = {path.stem, path.name}
    plain |= {stem.removesuffix(f"_{what}") for stem in plain for what in WRITABLE}
    plain |= {path.stem.removeprefix(what) for what in ("log_", "gpu_")}
    beside = (name for stem in plain for name in (f"log_{stem}.txt", record_of(stem)))
    return path.name.endswith(_RECORD) or any(os.path.isfile(path.parent / name) for name in beside)


def jobs(settings: BatchSettings) -> list[Job]:
    """The jobs, with output names that are unique on every file system.

    Raises:
        SettingsError: an input is not there, or lies where another's output goes; the outputs cannot be as asked for.
    """
    file = one_file(settings, FILMS | _STILLS)
    folder = settings.output if file is None else file.parent
    rows = _rows(find(settings.inputs, folder if file is None else None))
    if file is None and folder is None:
        rows = _without_cutouts(rows)
    if file is not None and len(rows) > 1:
        raise SettingsError(f"{file.name} is one file, but there are {len(rows)} inputs: name a folder")
    parts = _parts(settings, rows)
    if file is not None and len(parts) > 1:
        raise SettingsError(f"{file.name} is one file, but there are {len(parts)} parts: name a folder")
    made: list[Job] = []
    taken: set[tuple[Path, str]] = set()
    numbers: dict[tuple[Path, str], int] = {}
    for row, span in parts:
        still = len(row) == 1 and _is_still(row[0])
        if still and span is not None:
            raise SettingsError(f"{row[0].name} is one picture, but only films have parts: name only films")
        container = container_of(settings, row[0], still, file)
        into = row[0].parent if folder is None else folder
        suffix = f".{container}" if container not in PICTURE_FORMATS else PICTURE_FORMATS[container] if still else ""
        stem = wanted = _stem(settings, row, span) if file is None else file.stem
        job = Job(
            row[0],
            into,
            stem,
            suffix if file is None else file.suffix,
            container,
            pictures=row if len(row) > 1 else (),
            logged=file is None and folder is not None,
            plain="composite" if file is None or "composite" in settings.write else settings.write[0],
            span=span,
        )
        while taken & (names := {(_real(into), _key(each)) for each in _all_names(settings, job)}):
            number = numbers[into, wanted] = numbers.get((into, wanted), 1) + 1
            job = replace(job, stem=f"{wanted}_{number}")
        taken |= names
        made.append(job)
    _check(settings, made)
    return made


def left_out(settings: BatchSettings, taken: Sequence[Job]) -> list[Path]:
    """Files in the searched folders that are not processed, except hidden ones and outputs."""
    known = {_real(path) for job in taken for path in (job.source, *job.pictures)}
    made, found = _Made(next((job.folder for job in taken if job.logged), None)), []
    for folder in filter(
        Path.is_dir, (Path(t if os.path.lexists(t) else os.path.expanduser(t)) for t in settings.inputs)
    ):
        for place, folders, names in os.walk(folder):
            folders[:] = sorted(each for each in folders if not each.startswith("."))
            paths = (Path(place) / name for name in sorted(names) if not name.startswith("."))
            found += [path for path in paths if _real(path) not in known and not made.holds(path, folder)]
    return list(dict.fromkeys(found))


def _parts(settings: BatchSettings, rows: Sequence[tuple[Path, ...]]) -> list[tuple[tuple[Path, ...], Span | None]]:
    """The parts of each row."""
    if settings.cuts is None:
        return [(row, settings.span) for row in rows]
    spans = cuts_of(read_cuts(settings.cuts), settings.cuts, [_name(row) + row[0].suffix for row in rows])
    return [(row, span) for row, each in zip(rows, spans, strict=True) for span in each]


def _stem(settings: BatchSettings, row: tuple[Path, ...], span: Span | None) -> str:
    """Of a row's outputs, as far as the file system's length allows."""
    plain = (span is not None and span.name) or _name(row)
    if settings.name_template is None and settings.output is None:
        return _fitting(plain) + _MARK
    template = "{prefix}{name}" if settings.name_template is None else settings.name_template
    tidied = shortened(plain + ".x", settings.max_name + 2)[:-2]
    return _fitting(fill(template, PRESETS[settings.quality].prefix, tidied, plain))


def _is_still(path: Path) -> bool:
    """Whether a file is a single picture, by its contents; a file with a film's suffix is not, because a stream of
    JPEGs begins like a JPEG."""
    suffix = path.suffix.lower()
    if suffix in FILMS:
        return False
    try:
        with path.open("rb") as file:
            picture = is_picture(file.read(64))
    except OSError:  # an error is reported when the file is read
        return False
    return (picture or suffix in RAW_PICTURES) and not _moves(path)


def _without_cutouts(rows: list[tuple[Path, ...]]) -> list[tuple[Path, ...]]:
    """The inputs without outputs of other inputs: a shell's ``*`` names both."""
    there = {(row[0].parent, _name(row)) for row in rows}
    films = {path for row in rows for path in row}
    return [
        row
        for row in rows
        if (found := _CUT_OUT.fullmatch(_name(row))) is None
        or ((row[0].parent, found["of"]) not in there and _made_from(row[0]) not in films)
    ]


def _made_from(path: Path) -> Path | None:
    """What an output was made from, by the record beside it; None if unknown."""
    plain = re.sub(rf"_({'|'.join(WRITABLE)})$", "", path.stem)
    for stem in dict.fromkeys((path.stem, plain)):
        with suppress(OSError, ValueError, RecursionError, LookupError, TypeError):
            record = json.loads((path.parent / record_of(stem)).read_text(encoding="utf-8"))
            return path.parent / Path(record[path.name]["from"]).name
    return None


def names_of(settings: BatchSettings, job: Job) -> tuple[str, ...]:
    """Names of the outputs, in order."""
    return tuple(f"{job.stem}{'' if what == job.plain else f'_{what}'}{job.suffix}" for what in settings.write)


def record_of(stem: str) -> str:
    """The name of the file that tells what outputs were made of."""
    return f".{stem}{_RECORD}"


def _all_names(settings: BatchSettings, job: Job) -> tuple[str, ...]:
    """Outputs, and what lies beside them."""
    stem = job.stem
    beside = (f"log_{stem}.txt", f"gpu_{stem}.csv", f"gpu_{stem}.png", f".{stem}.parts", record_of(stem))
    return (*names_of(settings, job), *beside)


def _key(name: str) -> str:
    """The form of a name that is compared by file systems which ignore case and Unicode composition."""
    return unicodedata.normalize("NFC", name).casefold()


def _fitting(stem: str) -> str:
    """A name that is short enough for a file system, and not ``.`` or ``..``."""
    while len(os.fsencode(stem)) > _LONGEST_STEM:
        stem = stem[:-1]
    return "_" if stem in ("", ".", "..") else stem


def _check(settings: BatchSettings, made: Iterable[Job]) -> None:
    """Refuse to replace an input by the output of another one.

    Raises:
        SettingsError: an output would.
    """
    inputs: dict[object, Job] = {}
    for job in made:
        for place in map(_real, job.pictures or (job.source,)):
            about = place.stat()
            inputs |= {place: job, place.parent: job, (about.st_dev, about.st_ino): job}
    for job in made:
        folder = _real(job.folder)
        for name in names_of(settings, job):
            other = inputs.get(folder / name) or inputs.get(_identity(folder / name))
            if other is not None and other is not job:
                raise SettingsError(
                    f"the output of {job.source} would replace the input {other.source}: choose another --output"
                )


def _real(path: Path) -> Path:
    """The path without links; unlike ``Path.resolve`` it also returns a result for loops of links."""
    return Path(os.path.realpath(path))


def _identity(path: Path) -> tuple[int, int] | None:
    """Identity of a file under any name: hard links, and spellings that the file system does not distinguish."""
    try:
        about = path.lstat()
    except OSError:
        return None
    return about.st_dev, about.st_ino
