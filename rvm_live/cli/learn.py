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
    source={"aliases": ("--camera",), "help": "A camera, clip or URL that shows you as in use."},
    width={"help": "Pixels asked of the camera, as in use."},
    height={"help": "Pixels asked of the camera, as in use."},
    fps={"default": 30.0},
)
@click.option("--seconds", type=float, default=45.0, help="To look at you, 5 to 180.  [default: 45]")
@click.option("--empty-room", is_flag=True, help="Then look at the room without you, too.")
@click.option("--minutes", type=float, default=3.0, help="To learn, of one core.  [default: 3]")
@click.option("--list", "list_", is_flag=True, help="List what was learnt, and leave it at that.")
@click.option("--forget", metavar="NAME", help="Delete what was learnt: a name out of --list, a camera, or all.")
@engine_options(model={}, weights={}, offline={})
def learn(**options: Any) -> None:
    """Let the network lite learn you, before your camera.

    Sit before it as in a call, and move as you do there. RVM, whose weights must be here, labels what is seen; lite
    learns from that for some minutes, and what it has learnt is kept for this camera where it is better. No picture is
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
            click.echo("nothing was learnt yet")
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
        click.echo("nothing was learnt yet: `rvm-live learn` does")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("name", "camera", "made", "error", "size"):
        table.add_column(column, no_wrap=column != "camera")  # the name is copied from here
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
        f"apart from RVM on the last fifth: {verdict.before:.1f} before, {verdict.after:.1f} after (thousandths of "
        f"alpha); elsewhere {verdict.guard_before:.1f} and {verdict.guard_after:.1f}"
    )
    if result.learned is None:
        click.echo("not kept: it is no better. More of you, in more light and poses, may help: --seconds, --empty-room")
    else:
        click.echo(printable(f"kept: {result.learned.path}"))
        click.echo(f"lite uses it before this camera from now on; --forget {result.learned.name} deletes it")


class _Bar:
    """How far it is, on standard error."""

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
        """Wait until nobody is before the camera."""
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
