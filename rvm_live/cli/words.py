"""Accepts what people try first: other names for options, options without values, a source without ``--source``."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any

import click

__all__ = [
    "Aliased",
    "WithWords",
    "looks_like_a_command",
    "said_in_full",
    "settings_first",
    "size_text",
    "with_opposites",
]

_LEFT_OUT = {
    "--audio": "--audio=default",
    "--blur": "--background=blur",
    "--match": "--match=60",
    "--no-stats": "--stats=off",
    "--ray": "--ray=local",
    "--web": "--web=127.0.0.1",
    "--virtual-camera": "--virtual-camera=auto",
}
"""Options whose value may be left out, with that value: otherwise click would take the next word, such as a file's
name, for it."""
_NUMBER = re.compile(r"\d+(\.\d*)?")
"""Text after ``--match`` that is its value: a number."""
_BLUR = "--blur="
_OF_SETTINGS = ("--profile", "--config")
_SIZE = re.compile(r"(\d{1,6})[xX×,*](\d{1,6})")  # noqa: RUF001 (a sign that is copied from data sheets)


class Aliased(click.Option):
    """An option with more names than its help shows.

    Args:
        aliases: those names, with their dashes.

    Attributes:
        aliases: those names.
    """

    def __init__(self, *args: Any, aliases: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.aliases = list(aliases)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        shown, self.opts = self.opts, [*self.opts, *self.aliases]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = shown


class WithWords(click.Command):
    """A command in whose options values may be left out (:func:`said_in_full`)."""

    def make_parser(self, ctx: click.Context) -> Any:
        return with_opposites(super().make_parser(ctx), self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, said_in_full(args))


def with_opposites(parser: Any, command: click.Command) -> Any:
    """A parser that knows ``--no-NAME`` of every flag: what a settings file switches on can be switched off again."""
    for option in command.params:
        if (
            isinstance(option, click.Option)
            and option.is_bool_flag
            and not option.secondary_opts
            and not option.is_eager
        ):
            names = [f"--no-{name[2:]}" for name in option.opts if name.startswith("--")]
            parser.add_option(obj=option, opts=names, dest=option.name, action="store_const", const=False)
    return parser


def said_in_full(arguments: Sequence[str], commands: Collection[str] = ()) -> list[str]:
    """The arguments with values filled in where they were left out, up to ``--`` or a command."""
    full = list(arguments)
    for number, word in enumerate(full):
        if word == "--" or word in commands:
            break
        if word != "--match" or not _NUMBER.fullmatch(" ".join(full[number + 1 : number + 2])):
            full[number] = _LEFT_OUT.get(word, word)
        if word.startswith(_BLUR):
            full[number] = f"--background=blur:{word[len(_BLUR) :]}"
    return full


def settings_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``--profile``, ``--config`` and ``--no-config`` moved to the front, even if they come after a
    command; for ``config save NAME`` every option that follows. What comes after ``--`` or ``monitor`` is not
    touched."""
    front: list[str] = []
    rest: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word in ("--", "monitor"):
            return [*front, *rest, word, *words]
        if word in _OF_SETTINGS and words:
            front += [word, words.pop(0)]
        elif word == "--no-config" or word.partition("=")[0] in _OF_SETTINGS:
            front.append(word)
        elif [*rest[-1:], word] == ["config", "save"] and words[:1] and not words[0].startswith("-"):
            name, *options = words
            return [*settings_first([*front, *rest[:-1], *options]), "config", "save", name]
        else:
            rest.append(word)
    return [*front, *rest]


def looks_like_a_command(word: str, commands: Collection[str]) -> str | None:
    """The command that a misspelt word probably means; None if none is close."""
    near = None if os.path.lexists(word) else get_close_matches(word.lower(), commands, 1, 0.75)
    return near[0] if near else None


def size_text(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """An option's callback: ``1280x720`` as (width, height)."""
    if value is None:
        return None
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is not a size: write it like 1280x720", ctx, param)
    return int(match[1]), int(match[2])
