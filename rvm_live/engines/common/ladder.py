"""The sizes and precisions the network works at, and the choice among them where the user leaves that to the program.

**The ladder.** Half precision goes before size, and comes back after it: on real clips at 1280x720 bfloat16 moves
alpha by a MAD of 0.1e-3 to 1e-3 and takes little more than half of the time, the next smaller size moves it by 1e-3 to
6e-3 and takes three quarters. A smaller size in single precision is therefore worse than a larger one in half precision
at the same price, and no rung: single precision is only used at the largest size, on machines that have time for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.engines.base import Rung

__all__ = [
    "BUDGET_MS",
    "FACTORS",
    "LEAST_LINES",
    "SIDES",
    "SLOW_MS",
    "choose_side",
    "low_size",
    "median_ms",
    "ratio_of",
    "ratios_for",
    "rungs_for",
    "sides_for",
    "state_shapes",
]

SIDES = (512, 448, 384, 320, 256)
"""Lengths of the longer low-resolution side, best first; the authors advise to stay between 256 and 512."""
LEAST_LINES = 16
"""The deepest level of the network works at a sixteenth of the size."""
BUDGET_MS = 20.0
"""Milliseconds that the network may take of the 33 ms of a frame at 30 fps; the rest belongs to the other stages."""

SLOW_MS = 1000 / 24
"""Milliseconds a frame: below 24 frames a second motion visibly stutters."""
FACTORS = {"fp32": 1.0, "bf16": 0.6, "fp16": 0.5, "int8": 0.6}
"""Time of the network in each precision, relative to single precision (``python -m benchmarks cpu``)."""
_FULL_SIZE = 0.02
"""Time of the full-size steps, relative to that of the network in single precision at ratio 1."""


def sides_for(width: int, height: int) -> list[int]:
    """The rungs for a frame size, longest first: :data:`SIDES`, and the frame's own side where that is no longer."""
    longer = max(width, height)
    shorter = [side for side in SIDES if side < longer]
    return shorter if longer > SIDES[0] else [longer, *shorter]


def ratios_for(width: int, height: int) -> tuple[float, ...]:
    """The ratios of those rungs, largest first, as far as they leave the shorter side :data:`LEAST_LINES`."""
    ratios = (ratio_of(side, width, height) for side in sides_for(width, height))
    return tuple(ratio for ratio in ratios if min(width, height) * ratio >= LEAST_LINES)


def rungs_for(
    width: int, height: int, precisions: Sequence[str] | Callable[[float], Mapping[str, float]]
) -> tuple[Rung, ...]:
    """The ladder for a frame size: the largest size in each precision, then the smaller ones in the last of them.

    Args:
        width: of the frames, pixels.
        height: of the frames, pixels.
        precisions: that may be used, best first; or ratio -> those that may be used there, with their time against
            single precision.
    """
    at = precisions if callable(precisions) else lambda ratio: {each: FACTORS[each] for each in precisions}
    rungs: list[Rung] = []
    for ratio in ratios_for(width, height):
        here = [Rung(ratio, name, _FULL_SIZE + factor * ratio * ratio) for name, factor in at(ratio).items()]
        rungs += here if not rungs else here[-1:]
    return tuple(rungs)


def choose_side(width: int, height: int, measure: Callable[[int], float], budget_ms: float = BUDGET_MS) -> int:
    """The longest side whose predicted time is within the budget, the shortest if none is.

    The time of a convolutional network grows with its pixels, so one measurement at the shortest side tells the rest.

    Args:
        width: of the frames, pixels.
        height: of the frames, pixels.
        measure: side -> milliseconds a frame.
        budget_ms: milliseconds the network may take.
    """
    sides = sides_for(width, height)
    shortest = sides[-1]
    if len(sides) == 1:
        return shortest
    taken = measure(shortest)
    for side in sides:
        if taken * (side / shortest) ** 2 <= budget_ms:
            return side
    return shortest


def median_ms(run: Callable[[], object], *, warm_up: int = 2, runs: int = 5, clock: Clock = SYSTEM_CLOCK) -> float:
    """Time of a call, milliseconds, after a few uncounted ones."""
    times = []
    for _ in range(warm_up + runs):
        began_ns = clock.now_ns()
        run()
        times.append((clock.now_ns() - began_ns) / 1e6)
    return median(times[warm_up:])


def ratio_of(side: int, width: int, height: int) -> float:
    """The downsample ratio at which the longer side becomes ``side``, at most 1."""
    ratio = min(side / max(width, height), 1.0)
    # 720 * (448 / 1280) falls just short of 252, and would be rounded down to a size that shares no divisor with 720.
    above = math.nextafter(ratio, 1.0)
    return above if low_size(width, height, above) != low_size(width, height, ratio) else ratio


def low_size(width: int, height: int, ratio: float) -> tuple[int, int]:
    """Width and height the network works at: ``floor(side * ratio)``, at least 1."""
    return max(1, int(width * ratio)), max(1, int(height * ratio))


def state_shapes(variant: str, width: int, height: int, batch: int = 1) -> list[tuple[int, int, int, int]]:
    """Shapes of r1 to r4 for a low-resolution size and as many videos side by side."""
    channels = (16, 20, 40, 64) if variant == "mobilenetv3" else (16, 32, 64, 128)
    shapes = []
    for count in channels:
        width, height = (width + 1) // 2, (height + 1) // 2
        shapes.append((batch, count, height, width))
    return shapes
