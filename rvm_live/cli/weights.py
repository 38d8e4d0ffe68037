"""``rvm-live weights``: fetch, list and check the network's weights."""

from __future__ import annotations

import click

from rvm_live.settings import MODELS

__all__ = ["weights"]

_MODEL = click.Choice(MODELS)


@click.group()
def weights() -> None:
    """Fetch, list and check the network's weights."""


@weights.command("list")
def list_() -> None:
    """Show the official checkpoints and which of them lie on this machine."""
    from rich.console import Console
    from rich.table import Table

    from rvm_live.weights import list_known

    table = Table(box=None, pad_edge=False)
    for column in ("model", "file", "parameters", "state", "path"):
        table.add_column(column, justify="right" if column == "parameters" else "left", overflow="fold")
    for status in list_known():
        known = status.weights
        table.add_row(known.model, known.file, f"{known.parameters:,}", status.state, str(status.path))
    Console().print(table)


@weights.command()
@click.argument("model", type=_MODEL, default=MODELS[0])
def pull(model: str) -> None:
    """Fetch the official checkpoint of MODEL into the cache (does nothing if it is there, unaltered)."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from rvm_live.weights import pull as fetch
    from rvm_live.weights import verify as check

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(model, total=None)

        def told(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        path = fetch(model, told)
    click.echo(f"{path}\nSHA-256 {check(model).sha256}")


@weights.command()
@click.argument("what", metavar="[MODEL|PATH]", default=MODELS[0])
def verify(what: str) -> None:
    """Check a fetched MODEL against its recorded SHA-256, or any file at PATH for what it holds."""
    from rvm_live.weights import verify as check

    found = check(what)
    against = "matches the recorded one" if found.recorded else "nothing recorded to compare with"
    click.echo(f"{found.path}: {found.variant}, {found.refiner}, {found.parameters:,} parameters, usable")
    click.echo(f"SHA-256 {found.sha256} ({against})")


@weights.command()
@click.argument("model", type=_MODEL, required=False)
def path(model: str | None) -> None:
    """Print the file that a run (with MODEL, if given) would load, without fetching anything."""
    from rvm_live.settings import EngineSettings
    from rvm_live.weights import resolve

    click.echo(str(resolve(EngineSettings(model=model, offline=True))))
