"""The options of how the person is to fit the background, for live video and for files alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import click

from rvm_live.core.look import BLENDS, LOW_LIGHT, Look

__all__ = ["LOOK_OPTIONS", "LOW_LIGHT_OPTION", "look_from", "look_options"]

F = TypeVar("F", bound=Callable[..., Any])

LOW_LIGHT_OPTION = click.option(
    "--low-light",
    type=click.Choice(LOW_LIGHT),
    default=LOW_LIGHT[0],
    help="Make dark pictures brighter and less noisy, for the network and the viewer.  [default: off]",
)
LOOK_OPTIONS = [
    click.option(
        "--match",
        type=float,
        metavar="[=N]",
        default=0.0,
        help="Draw the person's light and colours towards the background's, 0 to 100; alone 60 (key l).  [default: 0]",
    ),
    click.option(
        "--light-wrap",
        type=float,
        metavar="N",
        default=0.0,
        help="Let the background's light shine around the person's rim, 0 to 100.  [default: 0]",
    ),
    click.option(
        "--blend",
        type=click.Choice(BLENDS),
        default=BLENDS[0],
        help=f"Mix person and background as pixels are coded, or as light.  [default: {BLENDS[0]}]",
    ),
    click.option(
        "--grow",
        type=float,
        metavar="N",
        default=0.0,
        help="Let the person reach so many pixels further out, 0 to 20.  [default: 0]",
    ),
    click.option("--shrink", type=float, metavar="N", default=0.0, help="Or so many less.  [default: 0]"),
    click.option(
        "--soften", type=float, metavar="N", default=0.0, help="Soften the edge by so many pixels.  [default: 0]"
    ),
    click.option("--despill", is_flag=True, help="Take the room's colour off the person's rim."),
]


def look_options(function: F) -> F:
    """Add them to a click command."""
    for option in reversed(LOOK_OPTIONS):
        function = option(function)
    return function


def look_from(options: Mapping[str, Any]) -> Look:
    """What a command has parsed.

    Raises:
        SettingsError: a value is out of range.
    """
    return Look(**{each.name: options[each.name] for each in fields(Look) if each.name in options})
