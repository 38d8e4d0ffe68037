"""Truth from a clip shot in front of a plain screen: its foreground and alpha, by chroma key.

The camera stands still and the screen has one hue, so the screen's colour behind the person is known (``screen.py``). A
pixel that clearly differs from it is person; a pixel that differs by no more than the noise is screen. In between,
alpha is the pixel's position on the line between the screen's colour and a colour of the person nearby (``person.py``).

For known faults see docs/quality.md. A clip whose key is bad is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.keyed.person import keyed
from benchmarks.keyed.screen import screen_of
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import SourceError

__all__ = ["KeyReport", "Keyed", "key"]

WIDEST_BAND = 0.06
"""Part of the picture that may be neither person nor screen: more than hair explains is a bad key."""
LEAST_CONTRAST = 40.0
"""Median distance of the person's colours from the screen's, grey levels."""
MOST_NOISE = 9.0
"""Standard deviation of the screen round its smooth colour, grey levels."""
_BLACK = 30


@dataclass(frozen=True)
class KeyReport:
    """How good a key is.

    Attributes:
        noise: standard deviation of the screen's colour, over the pixels taken for screen, grey levels.
        contrast: median distance of the person's colours from the screen's, grey levels.
        band: part of the picture that is neither clearly person nor clearly screen, 0 to 1.
        screen: part of the picture that is screen, 0 to 1.
        faults: why the key is bad, empty if it is good.
    """

    noise: float
    contrast: float
    band: float
    screen: float
    faults: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Keyed:
    """A person cut out by chroma key.

    Attributes:
        foreground: uint8 (H, W, 3) BGR for each frame, straight (not multiplied by alpha), without the screen's colour.
        alpha: uint8 (H, W) for each frame.
        report: how good the key is.
        pictures: the frames as they were shot, cropped like these.
    """

    foreground: list[Bytes]
    alpha: list[Bytes]
    report: KeyReport
    pictures: list[Bytes]


def key(frames: Sequence[Bytes], name: str = "the clip", count: int | None = None) -> Keyed:
    """Cut the person out of a clip.

    Args:
        frames: uint8 (H, W, 3) BGR, all of one size, from a camera that stands still.
        name: the clip's name, for messages.
        count: only so many frames are cut out; the screen is learnt from all of them.

    Returns:
        The frames without black strips and borders, and without the lower rows in which the picture's side cuts the
        person off.

    Raises:
        SourceError: the clip cannot be keyed well; the message says why.
    """
    if not frames:
        raise SourceError(f"{name} contains no picture to key")
    top, bottom, left, right = _inside(frames)
    cut = [np.ascontiguousarray(frame[top:bottom, left:right]) for frame in frames]
    if min(cut[0].shape[:2]) < 64:
        raise SourceError(f"{name} cannot be keyed: all but a strip of it is black")
    plate, spread, seen = screen_of(cut, name)
    noise = float(np.sqrt(np.trace(spread) / 3))
    foreground, alpha = [], []
    bands, contrasts = [], []
    for frame in cut[:count]:
        colour, matte, band, contrast = keyed(frame, plate, spread)
        foreground.append(colour)
        alpha.append(matte)
        bands.append(band)
        contrasts.append(contrast)
    report = _judged(noise, float(np.median(contrasts)), float(np.mean(bands)), seen, alpha)
    if report.faults:
        raise SourceError(f"{name} cannot be keyed well enough for a truth: {'; '.join(report.faults)}")
    rows = _uncut_rows(alpha)
    pictures = [each[:rows] for each in cut[:count]]
    return Keyed([each[:rows] for each in foreground], [each[:rows] for each in alpha], report, pictures)


def _judged(noise: float, contrast: float, band: float, screen: float, alpha: list[Bytes]) -> KeyReport:
    faults = []
    if noise > MOST_NOISE:
        faults.append(f"its screen is uneven by {noise:.1f} grey levels, more than {MOST_NOISE:g}")
    if contrast < LEAST_CONTRAST:
        faults.append(
            f"the person's colours are {contrast:.0f} grey levels from the screen's, less than {LEAST_CONTRAST:g}"
        )
    if band > WIDEST_BAND:
        faults.append(f"{band:.1%} of it is neither person nor screen, more than {WIDEST_BAND:.0%}")
    person = float(np.mean([each.mean() for each in alpha])) / 255
    if not 0.05 <= person <= 0.8:
        faults.append(f"the person would fill {person:.0%} of it")
    return KeyReport(noise, contrast, band, screen, tuple(faults))


# Where the picture is -------------------------------------------------------------------------------------------


def _inside(frames: Sequence[Bytes]) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of the picture without strips that stay black, and a few pixels more (codecs blur their
    edge)."""
    brightest = np.max([frame.max(2) for frame in frames[:: max(1, len(frames) // 8)]], axis=0)
    lit = brightest > _BLACK
    rows, columns = np.flatnonzero(lit.mean(1) > 0.5), np.flatnonzero(lit.mean(0) > 0.5)
    if not len(rows) or not len(columns):
        return 0, 0, 0, 0
    margin = max(2, frames[0].shape[0] // 96)
    return int(rows[0]) + margin, int(rows[-1]) + 1 - margin, int(columns[0]) + margin, int(columns[-1]) + 1 - margin


def _uncut_rows(alpha: list[Bytes]) -> int:
    """How many rows from the top keep the person clear of both sides in every frame; all rows, if that leaves too
    few."""
    touched = np.max([np.maximum(each[:, :2].max(1), each[:, -2:].max(1)) for each in alpha], axis=0) > 24
    height = len(touched)
    first = int(touched.argmax()) if touched.any() else height
    return first if first >= 0.6 * height else height
