"""Checks what the page may change: less than the program's own keys, because no paths are allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from rvm_live.core.controls import Controls
from rvm_live.core.errors import SettingsError

__all__ = ["checked", "shown"]

_LONGEST = 200
_PLAIN = re.compile(r"transparent|blur(:lens)?(:\d{1,3}(\.\d{1,3})?)?|color:#[0-9a-f]{6}", re.IGNORECASE)
"""Backgrounds that are not files."""


def checked(controls: Controls, wishes: Any) -> dict[str, Any]:
    """The values that may be passed on: on or off, a number or several, one of the choices, or a background that is not
    a file.

    Raises:
        SettingsError: another kind of value was sent.
    """
    if not isinstance(wishes, dict) or not wishes:
        raise SettingsError('send an object with controls and their new values, such as {"mirror": true}')
    about = {each["name"]: each for each in controls.describe()}
    for name, wish in wishes.items():
        if name not in about:
            controls.choices(name[:_LONGEST])  # raises the program's usual error for an unknown control
        kind = about[name]["kind"]
        if name == "recording":
            _require(isinstance(wish, bool), name, "must be on or off")
        elif isinstance(wish, str):
            plain = name == "background" and _PLAIN.fullmatch(wish) is not None
            word = (kind == "switch" and wish in ("on", "off", "auto")) or (kind == "number" and wish == "auto")
            chosen = len(wish) <= _LONGEST and wish in map(str, about[name]["choices"])
            _require(plain or word or chosen, name, "must be one of its choices")
        else:
            each = wish if isinstance(wish, list) and kind == "number" else [wish]
            plain = all(one is None or isinstance(one, bool | int | float) for one in each)
            _require(plain, name, "must be a word or a number")
    return dict(wishes)


def shown(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of controls as JSON, and without paths."""
    return {name: _shown(name, value) for name, value in values.items()}


def _shown(name: str, value: Any) -> Any:
    if name == "recording":
        return value is not None and value is not False
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        return [_shown(name, each) for each in value]
    return value.name if isinstance(value, PurePath) else str(value)


def _require(fine: bool, name: str, told: str) -> None:
    if not fine:
        raise SettingsError(f"{name} {told}")
