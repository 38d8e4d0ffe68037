"""The options of who is seen and how that person is to fit the background, for live video and for files alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import click

from rvm_live.cli.options import Table, option_of, options_of
from rvm_live.core.look import BLENDS, LOW_LIGHT, Look
from rvm_live.core.only_me import PEOPLE

__all__ = ["LOW_LIGHT_OPTION", "look_from", "look_option", "look_options"]

F = TypeVar("F", bound=Callable[..., Any])

LOW_LIGHT_OPTION = click.option(
    "--low-light",
    type=click.Choice(LOW_LIGHT),
    default=LOW_LIGHT[0],
    help="Make dark pictures brighter and less noisy, for the network and the viewer.  [default: off]",
)
"""Of live video alone."""
_AMOUNT: Mapping[str, Any] = {"type": float, "metavar": "N", "default": 0.0}
_LOOKS: Table = {
    "match": {
        **_AMOUNT,
        "metavar": "[=N]",
        "help": "Draw the person's light and colours towards the background's, 0 to 100; alone 60.",
    },
    "light_wrap": {**_AMOUNT, "help": "Let the background's light shine around the person's rim, 0 to 100."},
    "blend": {
        "type": click.Choice(BLENDS),
        "default": BLENDS[0],
        "help": "Mix person and background as pixels are coded, or as light.",
    },
    "grow": {**_AMOUNT, "help": "Let the person reach so many pixels further out, 0 to 20."},
    "shrink": {**_AMOUNT, "help": "Or so many less."},
    "soften": {**_AMOUNT, "help": "Soften the edge by so many pixels."},
    "despill": {"is_flag": True, "help": "Take the room's colour off the person's rim."},
    "only_me": {"is_flag": True, "help": "Of several people keep one alone."},
    "person": {
        "metavar": "WHICH",
        "default": PEOPLE[0],
        "help": "Who that is: largest, left, right, or a place in the picture, 0.3,0.5.",
    },
}


def look_option(field: str, **changes: Any) -> Callable[[F], F]:
    """As :func:`~rvm_live.cli.options.engine_option`."""
    return option_of(_LOOKS, field, changes)


def look_options(**taken: Mapping[str, Any]) -> Callable[[F], F]:
    """As :func:`~rvm_live.cli.options.engine_options`."""
    return options_of(_LOOKS, taken)


def look_from(options: Mapping[str, Any]) -> Look:
    """What a command has parsed.

    Raises:
        SettingsError: a value is out of range.
    """
    return Look(**{each.name: options[each.name] for each in fields(Look) if each.name in options})
