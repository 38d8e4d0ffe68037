"""``rvm-live desktop``: the program among those of the desktop."""

from __future__ import annotations

import click

from rvm_live.cli.params import printable

__all__ = ["desktop"]


@click.command()
@click.option("--install", is_flag=True, help="Put it there, for this user.")
@click.option("--remove", is_flag=True, help="Take it out again.")
def desktop(install: bool, remove: bool) -> None:
    """Start rvm-live without a terminal: from the menu of programs, with an icon.

    An entry on Linux, a link in the Start menu on Windows, an application in your own Applications on macOS; each
    starts this copy of the program.
    """
    from rvm_live.apps import desktop as places

    if install == remove:
        raise click.UsageError("say --install or --remove")
    for path in places.install() if install else (gone := places.remove()):
        click.echo(printable(str(path)))
    if install:
        click.echo("rvm-live is among your programs now; `rvm-live desktop --remove` takes it out again")
    else:
        click.echo(f"{len(gone)} files removed" if gone else "there was nothing to remove")
