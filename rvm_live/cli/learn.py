"""``rvm-live learn``: the network ``lite`` learns its user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from rvm_live.cli.options import engine_options, engine_settings, source_options, source_settings
from rvm_live.cli.params import printable

if TYPE_CHECKING:
    from rvm_live.apps.learn.learn import Result

__all__ = ["learn"]


@click.command()
@source_options(
    source={"aliases": ("--camera",), "help": "A camera, clip or URL that shows you as in daily use."},
    width={"help": "Width in pixels, as in daily use."},
    height={"help": "Height in pixels, as in daily use."},
    fps={"default": 30.0},
)
@click.option("--seconds", type=float, default=45.0, help="Seconds to look at you, 5 to 180.  [default: 45]")
@click.option("--empty-room", is_flag=True, help="Then also look at the room without you.")
@click.option("--minutes", type=float, default=3.0, help="Minutes to learn, on one CPU core.  [default: 3]")
@click.option("--list", "list_", is_flag=True, help="List what has been learnt; do nothing else.")
@click.option("--forget", metavar="NAME", help="Delete what was learnt: a name from --list, a camera, or all.")
@engine_options(model={}, weights={}, offline={})
def learn(**options: Any) -> None:
    """Train the network lite on you and your camera.

    Sit in front of it as in a call, and move as you do there. RVM labels the pictures (its weights must be here); lite
    learns from them for some minutes. The result is kept for this camera if it is better. No picture is
    kept, and nothing leaves this machine.
    """
    from rvm_live.engines.lite import learned as files

    if options["list_"] and options["forget"] is not None:
        raise click.UsageError("--list and --forget cannot be used together")
    if options["list_"]:
        _tell_all()
        return
    if options["forget"] is not None:
        gone = files.forget(options["forget"])
        for name in gone:
            click.echo(printable(f"{name}: deleted"))
        if not gone:
            click.echo("nothing has been learnt yet")
        return
    from rvm_live.apps.learn.learn import LearnSettings
    from rvm_live.apps.learn.learn import learn as run
    from rvm_live.sources.camera.opencv_logging import silence_backends

    silence_backends()
    source = source_settings(options, realtime=False)
    settings = LearnSettings(source, engine_settings(options), options["seconds"], options["minutes"])
    with _progress() as bar:
        result = run(settings, empty_room=bar.empty_room if options["empty_room"] else None, told=bar)
    _tell(result)


def _tell_all() -> None:
    from rvm_live.engines.lite import learned as files

    found = files.listed()
    if not found:
        click.echo("nothing has been learnt yet: run `rvm-live learn`")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("name", "camera", "made", "error", "size"):
        table.add_column(column, no_wrap=column != "camera")  # users copy the name from here
    for each in found:
        size = f"{each.path.stat().st_size / 1e3:.0f} kB"
        words = (each.name, each.camera, each.made, f"{each.before:.1f} to {each.after:.1f}", size)
        table.add_row(*map(printable, words))
    Console().print(table)
    click.echo(printable(f"folder: {files.folder()}"))


def _tell(result: Result) -> None:
    verdict = result.verdict
    room = f", {result.empty} of the empty room" if result.empty else ""
    click.echo(printable(f"{result.source}: {result.moments} pictures of you{room}"))
    click.echo(
        f"difference from RVM on the last fifth: {verdict.before:.1f} before, {verdict.after:.1f} after "
        "(thousandths of "
        f"alpha); on other people: {verdict.guard_before:.1f} and {verdict.guard_after:.1f}"
    )
    if result.learned is None:
        click.echo(
            "not kept, because it is not better. Try more poses and more light, a longer --seconds, or --empty-room"
        )
    else:
        click.echo(printable(f"kept: {result.learned.path}"))
        click.echo(f"lite uses it with this camera from now on; --forget {result.learned.name} deletes it")


class _Bar:
    """Shows progress on standard error."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._task: Any = None
        self._what = ""

    def __call__(self, what: str, share: float) -> None:
        if what != self._what:
            if self._task is not None:
                self._progress.update(self._task, completed=1.0)
            self._what, self._task = what, self._progress.add_task(what, total=1.0)
        self._progress.update(self._task, completed=share)

    def empty_room(self) -> None:
        """Wait until the user has left the picture."""
        self._progress.stop()
        click.prompt("leave the picture, then press Enter", default="", show_default=False, err=True)
        self._progress.start()


@contextmanager
def _progress() -> Iterator[_Bar]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield _Bar(progress)
