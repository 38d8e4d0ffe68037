"""Short, safe, unique file names: spaces to underscores, at most so many characters, extensions kept, and an undo log;
and removal of files that killed conversions have left.

Nothing is ever overwritten: a name that is taken, in any spelling that a file system may not tell apart, is not used.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rvm_live.core.errors import SettingsError, SinkError, TidyError, told_as
from rvm_live.system import atomic_write
from rvm_live.system.file_locks import Lock

__all__ = [
    "DEFAULT_LENGTH",
    "LEAST_LENGTH",
    "LOG",
    "Renaming",
    "apply",
    "left_behind",
    "left_lock",
    "plan",
    "remove_left",
    "shortened",
    "undo",
]

LOG = ".rvm-live-tidy.json"
DEFAULT_LENGTH = 20
LEAST_LENGTH = 8
_LONGEST_EXTENSION = 6
_LEFT = re.compile(r"\.rvm-live-\w+\.part")
_FORBIDDEN = re.compile(r'[\s<>:"/\\|?*\x00-\x1f\x7f-\x9f\ud800-\udfff]+')
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}")
_UNDERSCORES = re.compile("_{2,}")
_JOINTS = re.compile(r"[_\-.,;+&~!@#%='()\[\]{}]+")
_FILLERS = frozenset(("a", "an", "and", "at", "by", "for", "from", "in", "is", "of", "on", "or", "the", "to", "with"))
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)


@dataclass(frozen=True)
class Renaming:
    """One file's old and new name, both in the same folder."""

    old: str
    new: str


def plan(folder: Path, max_length: int = DEFAULT_LENGTH) -> list[Renaming]:
    """What :func:`apply` would rename: regular files of ``folder`` alone, hidden ones and links left out.

    Args:
        folder: to look into.
        max_length: characters of a whole name at most, extension included, at least 8.

    Raises:
        SettingsError: the length is out of range.
        TidyError: the folder cannot be read, or there are more files of one name than the length can tell apart.
    """
    if max_length < LEAST_LENGTH:
        raise SettingsError(f"max length {max_length} is too short: names need at least {LEAST_LENGTH} characters")
    if max_length > 255:
        raise SettingsError(f"max length {max_length} is too long: file systems take at most 255")
    names = _names(folder)
    taken = {_key(name) for name in names}
    renamings = []
    for name in names:
        path = folder / name
        if name.startswith(".") or path.is_symlink() or not path.is_file():
            continue
        wanted = shortened(name, max_length)
        if wanted == name:
            continue
        new = _free(wanted, taken - {_key(name)}, max_length)
        if new == name:
            continue
        taken.add(_key(new))
        renamings.append(Renaming(name, new))
    return renamings


def shortened(name: str, max_length: int = DEFAULT_LENGTH) -> str:
    """A tidy name for one file, whatever else there is.

    What tells most is kept: brackets go first, then filler words and repeats, then the words in the middle are
    shortened or left out; the first words and a number at the end stay.
    """
    name = unicodedata.normalize("NFC", name)
    stem, extension = _parts(name)
    clean = _UNDERSCORES.sub("_", _FORBIDDEN.sub("_", stem)).strip("_. ")
    room = max_length - len(extension)
    if len(clean) > room:
        words = _words(_FORBIDDEN.sub("_", _BRACKETS.sub(" ", stem)))
        clean = _squeezed(words or _words(clean), room)
    clean = clean or "clip"[:room]
    if _RESERVED.fullmatch(clean):
        clean = f"_{clean}"[:room]
    return clean + extension


def apply(folder: Path, renamings: Iterable[Renaming]) -> None:
    """Rename, after the undo log is written.

    Raises:
        TidyError: a name was taken meanwhile or cannot be used; what was renamed before can be undone.
    """
    renamings = list(renamings)
    if not renamings:
        return
    before = _read_log(folder)
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    pairs = [[each.old, each.new] for each in renamings]
    _write_log(folder, [*before, {"when": when, "renamed": pairs}])
    for number, each in enumerate(renamings):
        try:
            _rename(folder, each.old, each.new)
        except TidyError:
            _write_log(folder, [*before, {"when": when, "renamed": pairs[:number]}] if number else before)
            raise


def left_behind(folder: Path) -> list[str]:
    """Hidden folders that conversions which were killed have left in ``folder``: no process works in them any more.

    Raises:
        TidyError: the folder cannot be read.
    """
    return [name for name in _names(folder) if _LEFT.fullmatch(name) and _is_left(folder / name)]


def remove_left(folder: Path, names: Iterable[str]) -> None:
    """Remove what :func:`left_behind` found.

    Raises:
        TidyError: it cannot be removed.
    """
    for name in names:
        with told_as(TidyError, f"cannot remove {folder / name}"):
            shutil.rmtree(folder / name)


def left_lock(folder: Path) -> Lock:
    """The lock of a conversion's hidden folder: held while a process works in it."""
    return Lock(folder / ".rvm-live.lock", f"the folder {folder}", "wait for its end")


def _is_left(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir() or not any(folder.iterdir()):
        # An empty folder may have been created just now.
        return False
    lock = left_lock(folder)
    try:
        lock.take()
    except SinkError:
        return False
    lock.release()
    return True


def undo(folder: Path) -> list[Renaming]:
    """Take the last run back; gives the renamings that were made now. Files that are gone are left out.

    Raises:
        TidyError: there is nothing to undo, or an old name is taken: then nothing is renamed.
    """
    runs = _read_log(folder)
    if not runs:
        raise TidyError(f"there is nothing to undo in {folder}: it has no {LOG}")
    pairs = [(str(old), str(new)) for old, new in reversed(runs[-1]["renamed"])]
    present = set(_names(folder))
    back = [Renaming(new, old) for old, new in pairs if new in present]
    for each in back:
        if each.new in present and not _same(folder / each.old, folder / each.new):
            raise TidyError(f"{each.new} exists again: move it away, so that {each.old} can get its name back")
    for each in back:
        _rename(folder, each.old, each.new)
    _write_log(folder, runs[:-1])
    return back


# Names ----------------------------------------------------------------------------------------------------------


def _parts(name: str) -> tuple[str, str]:
    """Stem and extension; an ending that is longer than any real extension, or contains a space, belongs to the
    stem."""
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem or not extension.isalnum() or len(extension) > _LONGEST_EXTENSION:
        return name, ""
    return stem, "." + extension


def _words(text: str) -> list[str]:
    return [word for word in _JOINTS.split(text) if word]


def _joined(words: Iterable[str]) -> str:
    return "_".join(words)


def _squeezed(words: list[str], room: int) -> str:
    """As much of the words as fits: the first ones, and the number at the end."""
    seen: set[str] = set()
    kept = []
    for word in words:
        low = word.lower()
        if low in seen or (low in _FILLERS and len(words) > 1):
            continue
        seen.add(low)
        kept.append(word)
    kept = kept or words
    if len(_joined(kept)) <= room:
        return _joined(kept)
    last = kept.pop() if len(kept) > 1 and any(c.isdigit() for c in kept[-1]) and len(kept[-1]) <= room // 2 else ""
    space = room - (len(last) + 1 if last else 0)
    shown: list[str] = []
    for word in kept:
        left = space - len(_joined(shown)) - (1 if shown else 0)
        if len(word) <= left:
            shown.append(word)
        elif left >= 3 or not shown:
            shown.append(_cut(word, left))
            break
        else:
            break
    return _joined([*shown, last] if last else shown)


def _cut(text: str, length: int) -> str:
    """The beginning, without a joint or half a character at its end."""
    length = max(length, 1)
    while 0 < length < len(text) and (unicodedata.combining(text[length]) or text[length] in "\u200d\ufe0f"):
        length -= 1
    return text[:length].rstrip("_-. \u200d") or text[:1]


def _free(wanted: str, taken: set[str], max_length: int) -> str:
    if _key(wanted) not in taken:
        return wanted
    stem, extension = _parts(wanted)
    for number in range(2, 10_000):
        tail = f"_{number}"
        room = max_length - len(extension) - len(tail)
        if room < 1:
            break
        name = _cut(stem, room) + tail + extension
        if _key(name) not in taken:
            return name
    raise TidyError(f"no free name is left for {wanted}: allow longer ones with --max-length")


def _key(name: str) -> str:
    """The form of a name that is compared by file systems which ignore case and Unicode composition."""
    return unicodedata.normalize("NFC", name).casefold()


# Files ----------------------------------------------------------------------------------------------------------


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise TidyError(f"cannot read the folder {folder}: {why}") from error


def _same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one.samefile(other)
    return False


def _rename(folder: Path, old: str, new: str) -> None:
    """Rename without ever overwriting: a link first, where the file system has links."""
    source, target = folder / old, folder / new
    with told_as(TidyError, f"cannot rename {old} to {new}", "; `--undo` reverses what was renamed"):
        if _same(source, target):  # two spellings of the same name
            os.rename(source, target)
            return
        try:
            os.link(source, target, follow_symlinks=False)
        except FileExistsError:
            raise
        except (OSError, NotImplementedError) as error:
            if getattr(error, "errno", None) in (errno.ENOENT, errno.EACCES, errno.ENAMETOOLONG):
                raise
            if target.exists():
                raise FileExistsError(errno.EEXIST, "the name is taken") from error
            os.rename(source, target)
        else:
            os.unlink(source)


def _read_log(folder: Path) -> list[dict[str, Any]]:
    path = folder / LOG
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is not a file")
        runs = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))["runs"]
        for run in runs:
            for old, new in run["renamed"]:
                if not _is_name(old) or not _is_name(new):
                    raise ValueError("a name in it is a path, or empty")
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise TidyError(f"the undo log {path} cannot be read ({error}): move it away to continue without it") from error
    return list(runs)


def _is_name(text: str) -> bool:
    os.fsencode(text)  # raises UnicodeEncodeError for a name that no file system accepts
    return Path(text).name == text and text not in ("", ".", "..") and "\0" not in text


def _write_log(folder: Path, runs: list[dict[str, Any]]) -> None:
    path = folder / LOG
    with told_as(TidyError, f"cannot write the undo log {path}", "; nothing was renamed"):
        if not runs:
            path.unlink(missing_ok=True)
            return
        atomic_write.write(
            path, json.dumps({"runs": runs}, ensure_ascii=False, indent=1).encode("utf-8", "surrogateescape")
        )
