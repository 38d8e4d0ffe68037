"""``rvm-live cameras`` and ``rvm-live help``."""

from __future__ import annotations

import json
import shlex
import sys

import click

from rvm_live.cli.params import one_line, printable

__all__ = ["cameras", "help_"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cameras(as_json: bool) -> None:
    """List the cameras of this machine, each with the number that opens it, and its microphones by name.

    The name, a part of it, or the id at the end of the line also opens the camera, wherever a source is named. The id
    stays the same when cameras are plugged in in another order. The exit code is 0 if there is a camera, and 1 if
    there is none.
    """
    from rvm_live.sources.camera.camera import list_cameras, unlisted_cameras
    from rvm_live.sources.camera.opencv_logging import silence_backends

    silence_backends()
    found = list_cameras()
    if as_json:
        known = [{"index": each.index, "name": each.name, "id": each.id, "path": each.path} for each in found]
        click.echo(json.dumps(known, indent=2))
        sys.exit(0 if found else 1)
    for camera in found:
        words = (f"{camera.index:>2}", camera.name, camera.path, camera.id and f"id {camera.id}")
        click.echo(printable("  ".join(filter(None, words))))
    if found:
        named = f" or: rvm-live {shlex.quote(found[0].name)}" if found[0].name else ""
        click.echo(printable(f"open one with: rvm-live {found[0].index}{named}"), err=True)
    elif unlisted_cameras():
        click.echo("this system cannot list its cameras: try `rvm-live 0` or `rvm-live 1`", err=True)
    else:
        click.echo("no camera was found (`rvm-live doctor` may tell why)", err=True)
    for name, told in _microphones():
        click.echo(printable(f"microphone for --record: --audio={shlex.quote(name)}  {told}"), err=True)
    sys.exit(0 if found else 1)


def _microphones() -> list[tuple[str, str]]:
    """Names of microphones; empty if the system cannot be asked."""
    from rvm_live.core.errors import RvmLiveError
    from rvm_live.microphones.factory import list_microphones

    try:
        return list_microphones()
    except RvmLiveError as error:
        click.echo(one_line(str(error)), err=True)
        return []


@click.command("help")
@click.argument("command", required=False)
@click.pass_context
def help_(ctx: click.Context, command: str | None) -> None:
    """Show the help of the program, or of a command."""
    above = ctx.parent
    assert above is not None and isinstance(above.command, click.Group)
    if command is None:
        click.echo(above.get_help())
        return
    known = above.command.get_command(above, command)
    if known is None:
        raise click.UsageError(
            f"unknown command {command!r}: choose one of {', '.join(above.command.list_commands(above))}"
        )
    with click.Context(known, parent=above, info_name=command) as inner:
        click.echo(known.get_help(inner))
