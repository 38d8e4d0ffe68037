"""What the commands' options share: paths that the system accepts, and text that fits on one line of a terminal."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from rvm_live.core.errors import SinkError, told_as
from rvm_live.system.atomic_write import no_empty_folders

__all__ = [
    "OnePerLine",
    "PlacePath",
    "absolute_place",
    "check_environment",
    "check_words",
    "made_folder",
    "one_line",
    "place_text",
    "printable",
]

_LONGEST_LINE = 500
_LONGEST_WORD = 160
_PATHS = ("RVM_LIVE_CACHE", "RVM_LIVE_CONFIG", "RVM_LIVE_WEIGHTS", "XAUTHORITY")
_KINDS = ("image:", "video:", "slides:")


def printable(text: str) -> str:
    """The text with control characters written as escapes, so that a terminal shows instead of obeys them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(text: str) -> str:
    """A message as one printable line of a few hundred characters; a longer one loses its middle."""
    words = printable(" ".join(text.split())).split(" ")
    line = " ".join(words)
    if len(line) > _LONGEST_LINE:
        line = " ".join(_cut(word, _LONGEST_WORD) for word in words)
    return _cut(line, _LONGEST_LINE)


def _cut(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    end = length * 2 // 5
    return f"{text[: length - end - 3]}...{text[-end:]}"


def check_words(arguments: Sequence[str]) -> None:
    """Refuse arguments that no program can take.

    Raises:
        click.UsageError: an argument contains a zero byte.
    """
    for argument in arguments:
        if "\0" in argument:
            raise click.UsageError(f"an argument contains a zero byte: {argument!r}")


def check_environment(environment: Mapping[str, str]) -> None:
    """Refuse environment variables whose path or URL cannot be used.

    Raises:
        click.UsageError: one of them cannot be used.
    """
    try:
        _ = urlsplit(environment.get("RVM_LIVE_WEIGHTS_URL", "")).port
    except ValueError as error:
        raise click.UsageError(
            "the environment variable RVM_LIVE_WEIGHTS_URL is not a URL: set it to an https address, or unset it"
        ) from error
    for name in _PATHS:
        reason = _unusable(environment.get(name, ""), home=name in ("RVM_LIVE_CONFIG", "RVM_LIVE_WEIGHTS"))
        if reason is not None:
            raise click.UsageError(f"the environment variable {name} cannot be used: {reason}")


def _unusable(text: str, *, home: bool = False) -> str | None:
    """Why this cannot be a file's path; None if it can. ``home``: a tilde in front stands for a user's folder."""
    place = os.path.expanduser(text) if home else text
    if home and text.startswith("~") and place == text:
        return f"there is no user {text.partition('/')[0][1:]!r} with a home (a file of that name: ./{text})"
    try:
        os.lstat(place)
    except ValueError:
        return "it contains a zero byte"
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            return os.strerror(error.errno).lower()
    return None


def _is_special(place: str) -> bool:
    try:
        mode = os.stat(place).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


class PlacePath(click.Path):
    """A file or folder that may or may not be there, as a :class:`pathlib.Path`.

    Args:
        home: a tilde in front stands for a user's folder; devices and pipes are refused.
    """

    def __init__(self, *, home: bool = False) -> None:
        super().__init__(path_type=Path)
        self._home = home

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = os.fspath(value)
        if not text:
            self.fail("the path is empty", param, ctx)
        if (reason := _unusable(text, home=self._home)) is not None:
            self.fail(f"{text!r} cannot be used: {reason}", param, ctx)
        if self._home and _is_special(os.path.expanduser(text)):  # reading it might block for ever
            self.fail(f"{text!r} cannot be used: it is a device or a pipe, not a file", param, ctx)
        return super().convert(value, param, ctx)


class OnePerLine(click.types.StringParamType):
    """Text of an option that may be repeated; in the environment one per line, because paths contain spaces and
    colons."""

    def split_envvar_value(self, rv: str) -> list[str]:
        return [line for line in rv.splitlines() if line.strip()]


def absolute_place(text: str) -> str:
    """A background's name with its path made absolute, if a file is there; otherwise unchanged."""
    kind = next((kind for kind in _KINDS if text.lower().startswith(kind)), "")
    place, query, fit = text[len(kind) :].partition("?fit=")
    every = ""
    if kind == "slides:" and not os.path.exists(place):
        place, colon, seconds = place.rpartition(":")
        every = colon + seconds
    there = bool(place) and os.path.exists(place)
    return f"{text[: len(kind)]}{os.path.abspath(place)}{every}{query}{fit}" if there else text


def place_text(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """An option's callback for text that is a path, or has one after ``image:``, ``video:`` or ``slides:``."""
    for text in value if isinstance(value, tuple) else (value or "",):
        path = next((text[len(kind) :] for kind in _KINDS if text[: len(kind)].lower() == kind), text)
        if (reason := _unusable(path.partition("?fit=")[0])) is not None:
            raise click.BadParameter(f"{text!r} cannot be used: {reason}", ctx, param)
    return value


@contextmanager
def made_folder(path: Path) -> Iterator[None]:
    """Make a folder for results, and remove it if an error leaves it empty.

    Raises:
        SinkError: it cannot be made.
    """
    with no_empty_folders(path):
        with told_as(SinkError, f"cannot make the folder {path}"):
            path.mkdir(parents=True, exist_ok=True)
        yield
