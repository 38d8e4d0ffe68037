"""Calls the kernels: prepares what they need for a picture, and shares the work among threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, wait
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes, Floats
from rvm_live.finishing.compiled import kernels
from rvm_live.finishing.light import NO_LIGHT, Light
from rvm_live.system.buffer_pool import BufferPool

if TYPE_CHECKING:
    from rvm_live.finishing.estimate import Found

__all__ = [
    "CELL", "COLOURS", "COLUMNS", "GIVEN", "LEAST_SUM", "LINEAR", "LINES", "NOBODY_ELSE", "OVER", "STRAIGHT", "UNMIXED",
    "Workers", "all_of", "alpha_of", "done", "made_of", "shrunk", "weighed", "yuv_of",
]  # fmt: skip


OVER, STRAIGHT, COLOURS = 0, 1, 2
"""What is made: the person over a plate; BGRA; the person's colours alone."""
GIVEN, UNMIXED, LINEAR = 0, 1, 2
"""The person's colours: those of the picture; the same with the room's colour removed; those of a linear model."""
LINES, COLUMNS = 16, 32
"""Size of a block, pixels; bands of this many lines are processed one after another."""
CELL = 4
"""Side of a cell, pixels; colours are spread over the person's edge in cells."""
LEAST_SUM = 1e-3
"""Least weight, of 255, from which on spread colours are used."""
_ALPHA_ALONE = -1


class Workers(NamedTuple):
    """Threads that share the work on a picture.

    Attributes:
        pool: of threads beside the caller's own, or None.
        many: how many threads there are in all, the caller's included.
    """

    pool: Executor | None = None
    many: int = 1


NOBODY_ELSE = Workers()


def alpha_of(image: Bytes, found: Found, before: tuple[Bytes, Floats] | None) -> Bytes | None:
    """Alpha, uint8 (H, W); None without the kernels.

    Args:
        image: uint8 (H, W, 3) BGR.
        found: the model.
        before: the alpha before and how much of it is kept, or None.
    """
    done = all_of(image, found, before, _ALPHA_ALONE, None, NOBODY_ELSE, source=True)
    return None if done is None else done[0]


def all_of(
    image: Bytes,
    found: Found,
    before: tuple[Bytes, Floats] | None,
    kind: int,
    plate: Bytes | None,
    workers: Workers,
    *,
    source: bool,
    light: Light = NO_LIGHT,
) -> tuple[Bytes, Bytes] | None:
    """Alpha, and the picture made with it."""
    module = kernels.module
    if module is None:
        return None
    height, width = image.shape[:2]
    kinds = np.empty(found.slope.shape, np.uint8)
    module.alpha_kinds(found.slope, found.offset, kinds)
    alpha = _alphas(height, width).take()
    model = (True, found.slope, found.offset, kinds, *_grid(found.slope.shape, (height, width)))
    steady = _NOT_STEADY if before is None else (True, *before, *_coarse_grid(before[1].shape, (height, width)))
    made = _run(module, image, alpha, model, steady, kind, plate, None if source else found, workers, light)
    return None if made is None else (alpha, made)


def made_of(
    image: Bytes,
    alpha: Bytes,
    kind: int,
    plate: Bytes | None,
    found: Found | None,
    workers: Workers = NOBODY_ELSE,
    light: Light = NO_LIGHT,
) -> Bytes | None:
    """The picture made with a known alpha; None without the kernels.

    Args:
        image: uint8 (H, W, 3) BGR.
        alpha: uint8 (H, W).
        kind: ``OVER``, ``STRAIGHT`` or ``COLOURS``.
        plate: uint8 (H, W, 3) BGR, for ``OVER``.
        found: what tells the person's colours; None: they are the picture's.
        workers: who works on it.
        light: of the background, for ``OVER``.
    """
    module = kernels.module
    if module is None:
        return None
    return _run(module, image, alpha, _NO_MODEL, _NOT_STEADY, kind, plate, found, workers, light)


def shrunk(image: Bytes, low: tuple[int, int]) -> Bytes | None:
    """A picture (H, W, 3) at a smaller width and height, as the mean over areas; None without the kernels."""
    module = kernels.module
    if module is None:
        return None
    height, width = image.shape[:2]
    small = np.empty((low[1], low[0], 3), np.uint8)
    areas = (*_areas(width, low[0]), *_areas(height, low[1]))
    return small if _done(lambda: module.shrunk(np.ascontiguousarray(image), *areas, small)) else None


def weighed(image: Bytes, alpha: Bytes, half: NDArray[np.uint16]) -> bool:
    """``[(255 - a) S, 255 (255 - a)]`` at half the size, into uint16 (h, w, 4); False where the kernels are missing."""
    module = kernels.module
    return module is not None and _done(lambda: module.weighed(np.ascontiguousarray(image), alpha, half))


def yuv_of(image: Bytes, kind: str) -> Bytes | None:
    """A picture (H, W, 3) BGR of even sides as ``nv12`` or ``i420``, uint8 (H * 3 / 2, W); None without the kernels.

    What :func:`rvm_live.media.colour.yuv_of` makes, within one level.
    """
    module, (height, width) = kernels.module, image.shape[:2]
    if module is None or height % 2 or width % 2:
        return None
    planes = np.empty((height * 3 // 2, width), np.uint8)
    return planes if _done(lambda: module.yuv(np.ascontiguousarray(image), planes, kind == "nv12")) else None


def done(work: Callable[[Any], object]) -> bool:
    """Run a function of the kernels' module; False without it, or if it fails, after which it is not used again."""
    module = kernels.module
    return module is not None and _done(lambda: work(module))


def _done(work: Callable[[], object]) -> bool:
    """Whether the kernels have done it. If they fail they are not used again."""
    try:
        work()
    except Exception as error:  # no such error is known; whatever it is, the other code paths do the same work
        kernels.drop(error)
        return False
    return True


def _run(
    module: Any,
    image: Bytes,
    alpha: Bytes,
    model: tuple[Any, ...],
    steady: tuple[Any, ...],
    kind: int,
    plate: Bytes | None,
    found: Found | None,
    workers: Workers,
    light: Light = NO_LIGHT,
) -> Bytes | None:
    """The kernels' work; None where they fail, which ends their use."""
    height, width = image.shape[:2]
    image, alpha, plate = (
        np.ascontiguousarray(each) for each in (image, alpha, _NO_PICTURE if plate is None else plate)
    )
    out = _NO_PICTURE
    if kind != _ALPHA_ALONE:
        out = np.empty((height, width, 4 if kind == STRAIGHT else 3), np.uint8)
    lit = (light.linear, *(none if part is None else part for part, none in zip(light[1:], _NOT_LIT, strict=True)))
    rest = (kind, plate, *_colours(found, (height, width)), out, *lit)
    bands = -(-height // LINES)
    count = max(1, min(workers.many, bands))
    edges = [min(round(bands * part / count) * LINES, height) for part in range(count + 1)]
    parts = [(first, last, image, alpha, *model, *steady, *rest) for first, last in pairwise(edges)]

    def work() -> None:
        others = [workers.pool.submit(module.finish, *part) for part in parts[1:]] if workers.pool is not None else []
        try:
            module.finish(*parts[0])
        finally:
            wait(others)
        for other in others:
            other.result()

    return out if _done(work) else None


def _colours(found: Found | None, full: tuple[int, int]) -> tuple[Any, ...]:
    if found is not None and found.colour_slope is not None and found.colour_offset is not None:
        return LINEAR, found.colour_slope, found.colour_offset, *_grid(found.colour_offset.shape[:2], full)
    if found is not None and found.difference is not None:
        return UNMIXED, _NO_COLOURS, found.difference, *_coarse_grid(found.difference.shape[:2], full)
    return GIVEN, _NO_COLOURS, _NO_COLOURS, *_NO_GRID


@lru_cache(maxsize=4)
def _alphas(height: int, width: int) -> BufferPool:
    return BufferPool((height, width))


@lru_cache(maxsize=16)
def _grid(low: tuple[int, ...], full: tuple[int, int]) -> tuple[Any, ...]:
    """Where columns and lines of a full size lie between those of a lower one, as ``cv2.resize`` has it."""
    return (*_between(low[1], full[1]), *_between(low[0], full[0]))


@lru_cache(maxsize=16)
def _coarse_grid(low: tuple[int, ...], full: tuple[int, int]) -> tuple[Any, ...]:
    """Likewise as ``cv2.warpAffine`` has it, which knows 32 places between two pixels."""
    return (*_between(low[1], full[1], 32), *_between(low[0], full[0], 32))


@lru_cache(maxsize=16)
def _areas(full: int, low: int) -> tuple[NDArray[np.int32], Floats]:
    """First pixel of each of a number of equal parts of a line, and the weights of the pixels from there."""
    edges = np.arange(low + 1) * (full / low)
    first = np.floor(edges[:-1] + 1e-6).astype(np.int32)
    pixels = first[:, None] + np.arange(-(-full // low) + 1)
    inside = np.minimum(pixels + 1, edges[1:, None]) - np.maximum(pixels, edges[:-1, None])
    inside = np.where((inside > 1e-3) & (pixels < full), inside, 0)
    return first, (inside / inside.sum(axis=1, keepdims=True)).astype(np.float32)


def _between(low: int, full: int, places: int = 0) -> tuple[NDArray[np.int32], Floats]:
    at = (np.arange(full) + 0.5) * (low / full) - 0.5  # pixel centres
    if places:
        at = np.floor(at * places + 0.5) / places
    at = np.clip(at, 0, low - 1)
    first = np.floor(at)
    return first.astype(np.int32), (at - first).astype(np.float32)


_NO_BYTES, _NO_PICTURE = np.zeros((0, 0), np.uint8), np.zeros((0, 0, 3), np.uint8)
_NO_FLOATS, _NO_COLOURS = np.zeros((0, 0), np.float32), np.zeros((0, 0, 3), np.float32)
_NO_GRID: tuple[Any, ...] = (np.zeros(0, np.int32), np.zeros(0, np.float32)) * 2
_NO_MODEL = (False, _NO_FLOATS, _NO_FLOATS, _NO_BYTES, *_NO_GRID)
_NOT_LIT = (_NO_BYTES, _NO_BYTES, _NO_PICTURE)
_NOT_STEADY = (False, _NO_BYTES, _NO_FLOATS, *_NO_GRID)
