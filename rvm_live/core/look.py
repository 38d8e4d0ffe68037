"""How the person is to fit the place behind: what is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from rvm_live.core.errors import SettingsError

__all__ = ["BLENDS", "LIMITS", "LOW_LIGHT", "MATCHED", "Blend", "Look"]

Blend: TypeAlias = Literal["gamma", "linear"]
BLENDS: tuple[Blend, ...] = get_args(Blend)
LOW_LIGHT = ("off", "auto")
"""What is done to dark pictures."""
LIMITS = {
    "match": (0.0, 100.0),
    "light_wrap": (0.0, 100.0),
    "grow": (0.0, 20.0),
    "shrink": (0.0, 20.0),
    "soften": (0.0, 20.0),
}
"""Least and greatest of each number."""
MATCHED = 60.0
"""How far the person is matched where nobody says how far."""


@dataclass(frozen=True)
class Look:
    """What is asked for; as it stands nothing at all, and then nothing is done.

    Attributes:
        match: how far the person's exposure, white balance and contrast are drawn towards the background's, per cent.
        light_wrap: how much of the background's light lies over the person's rim, per cent.
        blend: person and background are mixed as their pixels are coded, ``gamma``, or as light, ``linear``.
        grow: so many pixels the person reaches further out.
        shrink: so many less; of both the difference counts.
        soften: over so many pixels to each side the edge is softened.
        despill: the room's colour is taken off the person's rim.

    Raises:
        SettingsError: out of range.
    """

    match: float = 0.0
    light_wrap: float = 0.0
    blend: Blend | str = BLENDS[0]
    grow: float = 0.0
    shrink: float = 0.0
    soften: float = 0.0
    despill: bool = False

    def __post_init__(self) -> None:
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if not least <= value <= most:
                word = name.replace("_", " ")
                raise SettingsError(f"{word} {value:g} is out of range: it must be between {least:g} and {most:g}")
        if self.blend not in BLENDS:
            raise SettingsError(f"unknown blend {self.blend!r}: choose {' or '.join(BLENDS)}")

    @property
    def plain(self) -> bool:
        """Whether there is nothing to be done."""
        return not (self.edge or self.lit)

    @property
    def edge(self) -> bool:
        """Whether the matte is another one: its alpha, or its colours at the rim."""
        return self.grow != self.shrink or self.soften > 0 or self.despill

    @property
    def lit(self) -> bool:
        """Whether it is put over the background in another way."""
        return self.match > 0 or self.light_wrap > 0 or self.blend == "linear"

    @property
    def words(self) -> str:
        """What is asked for, for people; empty where that is nothing."""
        outwards = self.grow - self.shrink
        parts = (
            f"match {self.match:g}" if self.match else "",
            f"light wrap {self.light_wrap:g}" if self.light_wrap else "",
            "linear" if self.blend == "linear" else "",
            f"{'grow' if outwards > 0 else 'shrink'} {abs(outwards):g}" if outwards else "",
            f"soften {self.soften:g}" if self.soften else "",
            "despill" if self.despill else "",
        )
        return " · ".join(part for part in parts if part)
