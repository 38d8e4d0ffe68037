"""The words people try first: another program's names for an option, values left out, a source without ``--source``."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any

import click

__all__ = ["Aliased", "WithWords", "looks_like_a_command", "said_in_full", "size_text"]

_LEFT_OUT = {"--audio": "--audio=default", "--blur": "--background=blur", "--ray": "--ray=local"}
"""Options whose value may be left out, in full: else click would take the next word, a file's name, for it."""
_BLUR = "--blur="
_SIZE = re.compile(r"(\d{1,6})[xX×,*](\d{1,6})")  # noqa: RUF001 (a sign that is copied from data sheets)


class Aliased(click.Option):
    """An option with more names than its help tells.

    Args:
        aliases: those names, with their dashes.
    """

    def __init__(self, *args: Any, aliases: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._aliases = list(aliases)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        shown, self.opts = self.opts, [*self.opts, *self._aliases]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = shown


class WithWords(click.Command):
    """A command in whose options values may be left out (:func:`said_in_full`)."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, said_in_full(args))


def said_in_full(arguments: Sequence[str], commands: Collection[str] = ()) -> list[str]:
    """The arguments with values put in where they were left out, up to ``--`` or a command, whose own they are then."""
    full = list(arguments)
    for number, word in enumerate(full):
        if word == "--" or word in commands:
            break
        full[number] = _LEFT_OUT.get(word, word)
        if word.startswith(_BLUR):
            full[number] = f"--background=blur:{word[len(_BLUR) :]}"
    return full


def looks_like_a_command(word: str, commands: Collection[str]) -> str | None:
    """The command that was probably meant by a word that names no file; None if none is close."""
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
