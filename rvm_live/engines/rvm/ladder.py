"""Which size the network works at where the user leaves that to the program, by measurement."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["BUDGET_MS", "SIDES", "choose_side", "ratio_of"]

SIDES = (512, 448, 384, 320, 256)
"""Lengths of the longer low-resolution side, best first; the authors advise to stay between 256 and 512."""
BUDGET_MS = 20.0
"""What the network may take of the 33 ms a frame has at 30 fps; the rest belongs to the other stages."""


def choose_side(width: int, height: int, measure: Callable[[int], float], budget_ms: float = BUDGET_MS) -> int:
    """The longest side whose predicted time is within the budget, the shortest if none is.

    The time of a convolutional network grows with its pixels, so one measurement at the shortest side tells the rest.

    Args:
        width: of the frames, pixels.
        height: of the frames, pixels.
        measure: side -> milliseconds a frame.
        budget_ms: milliseconds the network may take.
    """
    longer = max(width, height)
    sides = [side for side in SIDES if side < longer] or [longer]
    if longer <= SIDES[0] and longer not in sides:
        sides.insert(0, longer)
    shortest = sides[-1]
    if len(sides) == 1:
        return shortest
    taken = measure(shortest)
    for side in sides:
        if taken * (side / shortest) ** 2 <= budget_ms:
            return side
    return shortest


def ratio_of(side: int, width: int, height: int) -> float:
    """The downsample ratio at which the longer side becomes ``side``, at most 1."""
    return min(side / max(width, height), 1.0)
