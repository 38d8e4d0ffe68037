"""``rvm-live weights``: fetch, list and check the network's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rvm_live.cli.params import PlacePath, one_line, printable
from rvm_live.core.settings import MODELS

__all__ = ["download_progress", "weights"]

_MODEL = click.Choice(MODELS)


class _RichBar:
    """A progress bar on the terminal, there while a download runs; satisfies ``rvm_live.weights.download.Progress``."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def __call__(self, done: int, total: int | None) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

            columns = (TextColumn("downloading weights"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("weights", total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done, total=total)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


download_progress = _RichBar()
"""Show progress if weights are downloaded."""


@click.group()
def weights() -> None:
    """Download, list and check the network's weights."""


@weights.command("list")
def list_() -> None:
    """List the official checkpoints, and which of them are here."""
    from rich.console import Console
    from rich.table import Table

    from rvm_live.weights import cache_dir, in_force

    table = Table(box=None, pad_edge=False)
    for column in ("model", "file", "parameters", "state"):
        table.add_column(column, justify="right" if column == "parameters" else "left")
    states = in_force()
    for status in states:
        known = status.weights
        table.add_row(known.model, known.file, f"{known.parameters:,}", status.state)
    Console().print(table)
    click.echo(printable(f"cache: {cache_dir()}"))
    for status in states:
        if status.state == "RVM_LIVE_WEIGHTS":
            click.echo(printable(f"{status.weights.model}: {status.path}"))
        if status.problem:
            click.echo(one_line(f"{status.weights.model}: {status.problem}"), err=True)


@weights.command()
@click.argument("model", type=_MODEL, default=MODELS[0])
def pull(model: str) -> None:
    """Download the official checkpoint of MODEL.

    It is stored in the cache. If it is there already and unchanged, nothing happens.
    """
    from rvm_live.weights import pull as fetch
    from rvm_live.weights import verify as check

    path = fetch(model, download_progress)
    click.echo(f"{printable(str(path))}\nSHA-256 {check(path).sha256}")


@weights.command()
@click.argument("what", metavar="[MODEL|PATH]", type=PlacePath(home=True), default=MODELS[0])
def verify(what: Path) -> None:
    """Check the installed weights of MODEL, or any file at PATH.

    A downloaded file is compared with its recorded SHA-256. The file must be a complete, usable checkpoint.
    """
    from rvm_live.weights import verify as check

    found = check(str(what))
    against = "matches the recorded one" if found.recorded else "there is no recorded checksum to compare with"
    told = f"{found.path}: {found.variant}, {found.refiner}, {found.parameters:,} parameters, usable"
    click.echo(printable(told))
    click.echo(f"SHA-256 {found.sha256} ({against})")


@weights.command()
@click.argument("model", type=_MODEL, required=False)
def path(model: str | None) -> None:
    """Print the file that a run would load.

    Nothing is downloaded. With MODEL: the file of that network.
    """
    from rvm_live.core.settings import EngineSettings
    from rvm_live.weights import resolve

    click.echo(str(resolve(EngineSettings(model=model, offline=True))))
