"""``rvm-live tidy``: short names for the files of a folder."""

from __future__ import annotations

from pathlib import Path

import click

from rvm_live.apps.tidy import DEFAULT_LENGTH, LEAST_LENGTH
from rvm_live.cli.params import PlacePath, printable

__all__ = ["tidy"]


@click.command()
@click.argument("folder", type=PlacePath())
@click.option(
    "--max-length",
    type=int,
    default=DEFAULT_LENGTH,
    help=f"Greatest length of a name with its suffix, at least {LEAST_LENGTH}.  [default: {DEFAULT_LENGTH}]",
)
@click.option("--dry-run", is_flag=True, help="Show what would be renamed; rename nothing.")
@click.option("--undo", is_flag=True, help="Undo the last run in this folder.")
def tidy(folder: Path, max_length: int, dry_run: bool, undo: bool) -> None:
    """Give the files of FOLDER short, safe, unique names.

    Spaces become underscores, extensions stay, and nothing is overwritten. Folders, links and hidden files are not
    touched. Hidden folders left over from conversions that were killed are removed.
    """
    from rvm_live.apps import tidy as files

    if undo and dry_run:
        raise click.UsageError("--undo and --dry-run cannot be used together")
    if undo:
        done = files.undo(folder)
        for each in done:
            click.echo(printable(f"{each.old} -> {each.new}"))
        click.echo(f"{len(done)} renamed back")
        return
    planned, left = files.plan(folder, max_length), files.left_behind(folder)
    if not dry_run:
        files.apply(folder, planned)
        files.remove_left(folder, left)
    for each in planned:
        click.echo(printable(f"{each.old} -> {each.new}"))
    would = "would be " if dry_run else ""
    for name in left:
        click.echo(printable(f"{name}: left over from a conversion that was killed, {would}removed"))
    click.echo(f"{len(planned)} {would}renamed")
