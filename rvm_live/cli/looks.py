"""Options that choose the person and fit them to the background, for live video and for files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from rvm_live.cli.options import Table, option_of, options_of
from rvm_live.core.look import BLENDS, LOW_LIGHT
from rvm_live.core.only_me import PEOPLE
from rvm_live.core.things import CHAIR

__all__ = ["look_option", "look_options"]

F = TypeVar("F", bound=Callable[..., Any])

_AMOUNT: Mapping[str, Any] = {"type": float, "metavar": "N", "default": 0.0}
_LOOKS: Table = {
    "low_light": {
        "type": click.Choice(LOW_LIGHT),
        "default": LOW_LIGHT[0],
        "help": "auto: make dark pictures brighter and less noisy.",
    },
    "match": {
        **_AMOUNT,
        "metavar": "[=N]",
        "help": "Adapt the person's light and colours to the background, 0 to 100; 60 without a number.",
    },
    "light_wrap": {**_AMOUNT, "help": "Let the background's light shine over the person's edge, 0 to 100."},
    "blend": {
        "type": click.Choice(BLENDS),
        "default": BLENDS[0],
        "help": "Blend in gamma-coded values or in linear light.",
    },
    "grow": {**_AMOUNT, "help": "Move the person's edge outwards by this many pixels, 0 to 20."},
    "shrink": {**_AMOUNT, "help": "Move the edge inwards by this many pixels, 0 to 20."},
    "soften": {**_AMOUNT, "help": "Soften the edge over this many pixels, 0 to 20."},
    "despill": {"is_flag": True, "help": "Remove the room's colour from the person's edge."},
    "only_me": {"is_flag": True, "help": "If there are several people, keep only one."},
    "person": {
        "metavar": "WHICH",
        "default": PEOPLE[0],
        "help": "The person that --only-me keeps: largest, left, right, or a place such as 0.3,0.5.",
    },
    "chair": {
        "type": click.Choice(CHAIR),
        "default": CHAIR[0],
        "help": "keep: show the things that `rvm-live room --record` has recorded.",
    },
}


def look_option(field: str, **changes: Any) -> Callable[[F], F]:
    """As :func:`~rvm_live.cli.options.engine_option`."""
    return option_of(_LOOKS, field, changes)


def look_options(**taken: Mapping[str, Any]) -> Callable[[F], F]:
    """As :func:`~rvm_live.cli.options.engine_options`."""
    return options_of(_LOOKS, taken)
