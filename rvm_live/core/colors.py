"""Colours as people write them."""

from __future__ import annotations

import re

from rvm_live.core.errors import SettingsError

__all__ = ["NAMES", "parse_color"]

NAMES = {
    "black": "#000000",
    "blue": "#0000ff",
    "cyan": "#00ffff",
    "gray": "#808080",
    "green": "#00ff00",
    "grey": "#808080",
    "magenta": "#ff00ff",
    "navy": "#000080",
    "orange": "#ffa500",
    "red": "#ff0000",
    "teal": "#008080",
    "white": "#ffffff",
    "yellow": "#ffff00",
}
"""CSS colour names and their values, except ``green``: full green as on a green screen (CSS calls it lime)."""


def parse_color(text: str) -> tuple[int, int, int]:
    """Read ``#rgb``, ``#rrggbb`` (the ``#`` may be left out) or a name from :data:`NAMES`.

    Returns:
        Blue, green, red, 0-255 each.

    Raises:
        SettingsError: it is none of these.
    """
    digits = NAMES.get(text.strip().lower(), text.strip().lower()).removeprefix("#")
    if re.fullmatch(r"[0-9a-f]{3}", digits):
        digits = "".join(digit * 2 for digit in digits)
    if not re.fullmatch(r"[0-9a-f]{6}", digits):
        raise SettingsError(f"unknown colour {text!r}: write #rrggbb, #rgb, or one of {', '.join(sorted(NAMES))}")
    red, green, blue = (int(digits[index : index + 2], 16) for index in (0, 2, 4))
    return blue, green, red
