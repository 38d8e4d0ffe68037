"""Lists of parts of films: CSV, and edit decision lists after CMX 3600, as editing programs export them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rvm_live.apps.batch.spans import Span
from rvm_live.core.errors import SettingsError, told_as

__all__ = ["Cut", "cuts_of", "read_cuts"]

_MOST_BYTES = 4 << 20
_MOST = 10_000
_COLUMNS = ("start", "end", "name", "file")
_CODE = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2}[:;][0-9]{2}", re.ASCII)
_LONGEST = 1000
_CLIP = re.compile(r"\*\s*(FROM|TO) CLIP NAME:\s*(?P<name>.+)", re.IGNORECASE)
_FCM = re.compile(r"FCM:\s*(?P<how>NON[- ]DROP FRAME|DROP FRAME)\s*", re.IGNORECASE)
_PICTURE = re.compile(r"V[0-9]*|B|AA/V|A[0-9]*/V|VA[0-9]*", re.IGNORECASE)
_NO_FILM = frozenset({"BL", "BLACK", "BARS"})
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}")


@dataclass(frozen=True)
class Cut:
    """One part of a film.

    Attributes:
        span: the part; its name is what the output is to be called.
        films: names by which the list calls the film, with or without suffix; empty: it does not say.
    """

    span: Span
    films: tuple[str, ...] = ()


def read_cuts(path: Path) -> list[Cut]:
    """Read a list.

    Args:
        path: of the file; ``.edl`` files are edit decision lists, all others CSV with a header.

    Raises:
        SettingsError: it cannot be read, or is wrong; names the line.
    """
    with told_as(SettingsError, f"the list of cuts {path} cannot be read"), path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES or b"\0" in data:
        raise SettingsError(f"{path} is not a list of cuts: it must be a CSV or EDL text file of at most 4 MB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # written by older editing programs
    cuts = _edl(text, path) if path.suffix.lower() == ".edl" else _csv(text, path)
    if not cuts:
        raise SettingsError(f"{path} names no part of a film: write at least one line with a start")
    if len(cuts) > _MOST:
        raise SettingsError(f"{path} names {len(cuts)} parts: {_MOST} at most")
    return cuts


def cuts_of(cuts: Sequence[Cut], path: Path, films: Sequence[str]) -> list[list[Span]]:
    """The parts of each film, with unique names within a film.

    A part belongs to the film that the list names; if it names none, to every film. If no name of the list fits the
    only film, all parts belong to it.

    Args:
        cuts: of one list.
        path: of that list, for the words.
        films: names of the films, with their suffixes.

    Raises:
        SettingsError: the list names none of several films.
    """
    given = [[cut.span for cut in cuts if not cut.films or _names(cut, film)] for film in films]
    if not any(given):
        if len(films) > 1:
            raise SettingsError(f"{path} names none of these films, only {', '.join(sorted(_all_names(cuts))[:4])}")
        given = [[cut.span for cut in cuts]]
    return [_numbered(spans, Path(film).stem) for spans, film in zip(given, films, strict=True)]


def _names(cut: Cut, film: str) -> bool:
    known = {film.casefold(), Path(film).stem.casefold()}
    return any(name.casefold() in known or _plain(name).casefold() in known for name in cut.films)


def _all_names(cuts: Sequence[Cut]) -> set[str]:
    return {name for cut in cuts for name in cut.films}


def _plain(name: str) -> str:
    """A film's name without its suffix."""
    return name[: -len(Path(name).suffix)] if _SUFFIX.fullmatch(Path(name).suffix) else name


def _numbered(spans: Sequence[Span], film: str) -> list[Span]:
    """Give each part a name: the list's own if it is unique, otherwise with a number added."""
    bare = [span.name or film for span in spans]
    folded = [name.casefold() for name in bare]
    width = max(2, len(str(len(spans))))
    return [
        replace(span, name=name if folded.count(name.casefold()) == 1 and span.name else f"{name}-{number:0{width}d}")
        for number, (span, name) in enumerate(zip(spans, bare, strict=True), 1)
    ]


def _csv(text: str, path: Path) -> list[Cut]:
    head = next((line for line in text.splitlines() if line.strip()), "")
    mark = max(",;\t", key=head.count)
    rows = csv.reader(io.StringIO(text), delimiter=mark)
    cuts: list[Cut] = []
    columns: list[str] | None = None
    try:
        for row in rows:
            if not any(map(str.strip, row)):
                continue
            place = f"{path}, line {rows.line_num}: "
            if columns is None:
                columns = [each.strip().lower() for each in row]
                unknown = [each for each in columns if each not in _COLUMNS]
                if unknown or "start" not in columns or len(set(columns)) < len(columns):
                    raise SettingsError(
                        f"{place}the first line must be a header with {', '.join(_COLUMNS)} (at least start)"
                    )
                continue
            if len(row) > len(columns):
                raise SettingsError(f"{place}it has {len(row)} fields, but the header has {len(columns)}")
            given = dict(zip(columns, map(str.strip, row), strict=False))
            span = Span.of(given.get("start"), given.get("end"), _name(given.get("name", "")), place)
            cuts.append(Cut(span, tuple(filter(None, [given.get("file")]))))
    except csv.Error as error:
        raise SettingsError(f"{path}, line {rows.line_num}: {error}") from error
    return cuts


def _edl(text: str, path: Path) -> list[Cut]:
    """The parts of films that picture events use; their place in the edit does not matter."""
    cuts: list[Cut] = []
    drop, event = False, ""
    lines: list[int | None] = []  # numbers of the cuts of an event's lines; a transition has two lines
    for number, line in enumerate(text.splitlines(), 1):
        plain, place = line.strip(), f"{path}, line {number}: "
        if len(plain) > _LONGEST:
            raise SettingsError(f"{place}a line of {len(plain)} characters is too long for a CMX 3600 list")
        if found := _FCM.fullmatch(plain):
            drop = not found["how"].upper().startswith("NON")
            continue
        if found := _CLIP.fullmatch(plain):
            of = lines[-1 if found[1].upper() == "TO" else 0] if lines else None
            if of is not None:
                cuts[of] = _called(cuts[of], found["name"].strip())
            continue
        words = plain.split()
        codes = [word for word in words if _CODE.fullmatch(word)]
        if not codes or not words[0].isdigit():  # a title or a comment
            continue
        if len(words) < 8 or words[-4:] != codes:
            raise SettingsError(f"{place}{plain[:60]!r} is not an event of a CMX 3600 list")
        lines = lines if words[0] == event else []
        event, reel = words[0], words[1]
        lines.append(None)
        if not _PICTURE.fullmatch(words[2]) or reel.upper() in _NO_FILM or codes[0] == codes[1]:
            continue  # sound, black, or the start of a transition
        start, end = (code[:8] + (";" if drop else code[8]) + code[9:] for code in codes[:2])
        lines[-1] = len(cuts)
        cuts.append(Cut(Span.of(start, end, "", place), () if reel.upper() == "AX" else (reel,)))
    return cuts


def _called(cut: Cut, clip: str) -> Cut:
    return Cut(replace(cut.span, name=cut.span.name or _name(_plain(clip))), (*cut.films, clip))


def _name(text: str) -> str:
    """A name that is safe in a file name: without path separators or control characters."""
    kept = "".join("_" if each in '/\\:*?"<>|' or not each.isprintable() else each for each in text)
    return kept.strip(" .")[:100]
