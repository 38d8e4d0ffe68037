"""``rvm-live room``: pictures of the empty room, for ``--chair keep``."""

from __future__ import annotations

from typing import Any

import click

from rvm_live.cli.options import source_options, source_settings
from rvm_live.cli.params import one_line
from rvm_live.core.errors import SettingsError

__all__ = ["room"]


@click.command()
@click.option("--record", "recording", is_flag=True, help="Record the empty room, then the room with its things.")
@click.option("--props", is_flag=True, help="With --record: record only the room with its things.")
@click.option("--list", "listing", is_flag=True, help="List the recorded rooms and their files.")
@click.option("--forget", metavar="NAME", help="Delete the pictures of this room; --forget all deletes every room.")
@click.option("--seconds", type=float, default=8.0, help="Seconds you have to leave the picture.  [default: 8]")
@source_options(source={"help": "The camera, as in daily use."}, width={}, height={}, fps={"default": 30.0}, fourcc={})
def room(**options: Any) -> None:
    """Keep a chair, a microphone or a shelf in the picture (--chair keep).

    Two pictures are taken: of the empty room, and of the room with these things. What differs is kept in the result,
    except where the person covers it. Nobody should be in the pictures; they stay on this machine.
    """
    from rvm_live.engines.things import rooms

    asked = [options["recording"], options["listing"], options["forget"] is not None]
    if sum(asked) != 1 or (options["props"] and not options["recording"]):
        raise SettingsError("choose what to do: --record (with or without --props), --list or --forget NAME")
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
        words = f"{100 * share:.1f} % of the picture from {made.label} is kept with --chair keep"
        click.echo(one_line(f"{words}: {rooms.path_of(made.label)}"))
    elif options["listing"]:
        for each in rooms.rooms():
            height, width = each.empty.shape[:2]
            about = "with things" if each.things is not None else "empty room only"
            click.echo(one_line(f"{each.label}: {width}x{height}, {about}, {each.taken}, {rooms.path_of(each.label)}"))
    else:
        labels = [each.label for each in rooms.rooms()]
        meant = labels if options["forget"] == "all" else [each for each in labels if each == options["forget"]]
        if not meant:
            known = ", ".join(labels)
            raise SettingsError(
                f"there is no recorded room {options['forget']!r}" + (f": choose of {known}, or all" if known else "")
            )
        for label in meant:
            rooms.forget(label)
            click.echo(one_line(f"deleted: {label}"))
