"""How the person is to fit the background, as the user asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from rvm_live.core.errors import SettingsError

__all__ = ["BLENDS", "LIMITS", "LOW_LIGHT", "MATCHED", "Blend", "Look"]

Blend: TypeAlias = Literal["gamma", "linear"]
BLENDS: tuple[Blend, ...] = get_args(Blend)
LOW_LIGHT = ("off", "auto")
"""Choices for dark pictures: leave them, or make them brighter."""
LIMITS = {
    "match": (0.0, 100.0),
    "light_wrap": (0.0, 100.0),
    "grow": (0.0, 20.0),
    "shrink": (0.0, 20.0),
    "soften": (0.0, 20.0),
}
"""Least and greatest value of each number."""
MATCHED = 60.0
"""Strength of ``match`` if none is given."""


@dataclass(frozen=True)
class Look:
    """The user's request. By default nothing is asked for, and nothing is done.

    Attributes:
        match: how far the person's exposure, white balance and contrast are adapted to the background, per cent.
        light_wrap: how much of the background's light is put over the person's edge, per cent.
        blend: mix person and background in gamma-coded values, ``gamma``, or in linear light, ``linear``.
        grow: pixels by which the person's edge is moved outwards.
        shrink: pixels by which it is moved inwards; if both are given, their difference counts.
        soften: pixels to each side over which the edge is softened.
        despill: remove the room's colour from the person's edge.

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
        """Whether nothing is to be done."""
        return not (self.edge or self.lit)

    @property
    def edge(self) -> bool:
        """Whether the matte changes: its alpha, or its colours at the edge."""
        return self.grow != self.shrink or self.soften > 0 or self.despill

    @property
    def lit(self) -> bool:
        """Whether the blending with the background changes."""
        return self.match > 0 or self.light_wrap > 0 or self.blend == "linear"

    @property
    def words(self) -> str:
        """The request in words; empty if there is none."""
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
