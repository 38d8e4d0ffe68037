"""``rvm-live room``: pictures of the empty room, for ``--chair keep``."""

from __future__ import annotations

from typing import Any

import click

from rvm_live.cli.options import source_options, source_settings
from rvm_live.cli.params import one_line
from rvm_live.core.errors import SettingsError

__all__ = ["room"]


@click.command()
@click.option("--record", "recording", is_flag=True, help="Take the empty room, then the room with its things.")
@click.option("--props", is_flag=True, help="With --record: take the second picture alone.")
@click.option("--list", "listing", is_flag=True, help="Tell which rooms are kept, and where.")
@click.option("--forget", metavar="NAME", help="Delete the pictures of that room, or of all: --forget all.")
@click.option("--seconds", type=float, default=8.0, help="Time to leave the picture.  [default: 8]")
@source_options(source={"help": "The camera, as in use."}, width={}, height={}, fps={"default": 30.0}, fourcc={})
def room(**options: Any) -> None:
    """Keep a chair, a microphone or a shelf in the picture: --chair keep.

    What is in a picture of the room with them and not in one without stays where the person does not cover it. The
    pictures stay on this machine; nobody should be in them.
    """
    from rvm_live.engines.things import rooms

    asked = [options["recording"], options["listing"], options["forget"] is not None]
    if sum(asked) != 1 or (options["props"] and not options["recording"]):
        raise SettingsError("say what to do: --record (with --props or without), --list or --forget NAME")
    if options["recording"]:
        from rvm_live.apps.room import record
        from rvm_live.sources.camera.opencv_logging import silence_backends

        silence_backends()
        made, share = record(
            source_settings(options),
            props=options["props"],
            seconds=options["seconds"],
            tell=lambda line: click.echo(one_line(line), err=True),
        )
        words = f"{100 * share:.1f} % of the picture by {made.label} stays with --chair keep"
        click.echo(one_line(f"{words}: {rooms.path_of(made.label)}"))
    elif options["listing"]:
        for each in rooms.rooms():
            height, width = each.empty.shape[:2]
            about = "with things" if each.things is not None else "empty alone"
            click.echo(one_line(f"{each.label}: {width}x{height}, {about}, {each.taken}, {rooms.path_of(each.label)}"))
    else:
        labels = [each.label for each in rooms.rooms()]
        meant = labels if options["forget"] == "all" else [each for each in labels if each == options["forget"]]
        if not meant:
            known = ", ".join(labels)
            raise SettingsError(
                f"no room {options['forget']!r} is kept" + (f": choose of {known}, or all" if known else "")
            )
        for label in meant:
            rooms.forget(label)
            click.echo(one_line(f"forgotten: {label}"))
