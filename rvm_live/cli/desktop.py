"""``rvm-live desktop``: the program's entry on the desktop, and files that are dropped on it."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import click

from rvm_live.cli.params import one_line, printable

__all__ = ["desktop"]

_NAMED = 6


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE...]")
@click.option("--install", is_flag=True, help="Add it, for this user.")
@click.option("--remove", is_flag=True, help="Remove it.")
@click.option(
    "--open", "opened", is_flag=True, help="Do what the icon does: start the camera, or cut people out of FILEs."
)
@click.pass_context
def desktop(ctx: click.Context, files: tuple[str, ...], install: bool, remove: bool, opened: bool) -> None:
    """Start rvm-live without a terminal: from the menu of programs, with an icon.

    It is an entry on Linux, a link in the Start menu on Windows, and an application in your Applications on macOS. Each
    starts this copy of the program. Files that are dropped on it are processed as by rvm-live batch; on macOS, drop
    them on the application "rvm-live files".
    """
    from rvm_live.apps import desktop as places

    if install + remove + opened != 1:
        raise click.UsageError("use --install or --remove")
    if opened:
        ctx.exit(_worked_off(files) if files else _main([]))
    if files:
        raise click.UsageError("FILEs can only be used with --open")
    for path in places.install() if install else (gone := places.remove()):
        click.echo(printable(str(path)))
    if install:
        click.echo("rvm-live is now among your programs; `rvm-live desktop --remove` removes it")
    else:
        click.echo(f"{len(gone)} files removed" if gone else "there was nothing to remove")


def _main(arguments: Sequence[str]) -> int:
    """Run the program again in this process; returns its exit code."""
    from rvm_live.cli import main

    try:
        main(arguments)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0
    return 0


def _worked_off(files: Sequence[str]) -> int:
    """Process files as ``rvm-live batch`` does; a desktop notification reports the result, because there is no
    terminal."""
    from rvm_live.apps.desktop import notify

    named = ", ".join(Path(file).name for file in files[:_NAMED]) + (", ..." if len(files) > _NAMED else "")
    notify("rvm-live cuts people out", printable(named))
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = _main(["batch", "--json", "--", *files])
    lines = [_line(json.loads(line)) for line in out.getvalue().splitlines() if line.startswith("{")]
    told = [line for line in lines if line]
    if code and not told:
        told = [one_line(line) for line in err.getvalue().splitlines()[-1:]]
    shown = told[:_NAMED] + ([f"and {len(told) - _NAMED} more"] if len(told) > _NAMED else [])
    notify("rvm-live failed" if code else "rvm-live has finished", "\n".join(shown))
    for line in told:
        click.echo(line)
    return code


def _line(event: dict[str, object]) -> str:
    """The result of a file in one line; empty for other events."""
    if event["event"] != "file":
        return ""
    name = printable(Path(str(event["input"])).name)
    if event["state"] == "failed":
        return f"{name}: {one_line(str(event['error']))}"
    outputs = event["outputs"] if isinstance(event["outputs"], list) else []
    made = ", ".join(Path(str(path)).name for path in outputs)
    return f"{name}: {event['state']}{f', {printable(made)}' if made else ''}"
