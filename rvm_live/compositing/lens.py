"""The numbers of the blur of a lens: light is averaged over a disc, and lamps become round spots.

As the Gaussian of :mod:`rvm_live.compositing.common`, but from the picture of half size on

* in linear light (IEC 61966-2-1), where lamps are stretched by ``L / (1 - b L)``: a camera cuts off what is brighter
  than its white, and without that a lamp would drown in what surrounds it. What is of one colour keeps it, for the way
  back, ``M / (1 + b M)``, is exact;
* over a disc whose rim is softened by a Gaussian, instead of over a Gaussian.

The disc's radius is 2.5 times the standard deviation of the Gaussian of the same strength, that of its rim 0.62 times.
A sharp disc lets through some of each fine pattern (its transfer function falls as f^-1.5 and changes its sign); with
that rim no pattern of lines keeps more of its contrast than under the Gaussian, or than a hundredth.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVELS", "LEVEL_STEPS", "LIGHT", "STRETCH", "disc"]

STRETCH = 0.9
"""b: white counts as ten times as bright as it is stored."""
RADIUS, RIM = 2.5, 0.62
LEVEL_STEPS = 65535
_SAMPLES = 8


def _light() -> NDArray[np.float32]:
    """Stretched light of each level, float32 (256,)."""
    level = np.arange(256) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return (linear / (1 - STRETCH * linear)).astype(np.float32)


def _levels() -> NDArray[np.uint8]:
    """Level of linear light, in ``LEVEL_STEPS`` steps from 0 to 1, uint8; off by a twentieth of a level at most."""
    linear = np.arange(LEVEL_STEPS + 1) / LEVEL_STEPS
    level = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    found: NDArray[np.uint8] = np.rint(level * 255).astype(np.uint8)
    return found


LIGHT, LEVELS = _light(), _levels()


@lru_cache(maxsize=8)
def disc(sigma: float) -> NDArray[np.float32]:
    """A disc with a soft rim, float32 (2 r + 1, 2 r + 1); sums to 1, symmetric in both axes.

    Args:
        sigma: standard deviation of the Gaussian whose place it takes, pixels.
    """
    radius, rim = RADIUS * sigma, RIM * sigma
    reach = max(round(radius + 2.5 * rim), 1)
    # Each pixel is the mean of finer samples; the rim is the profile of a softened edge, which a disc's nearly is.
    offsets = (np.arange((2 * reach + 1) * _SAMPLES) + 0.5) / _SAMPLES - reach - 0.5
    distance = np.hypot(offsets[:, None], offsets[None, :])
    inside = 0.5 - 0.5 * np.tanh((distance - radius) / max(rim, 1e-3) * np.sqrt(2 / np.pi))
    size = 2 * reach + 1
    kernel = inside.reshape(size, _SAMPLES, size, _SAMPLES).mean(axis=(1, 3))
    kernel = np.where(np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= reach + 0.5, kernel, 0)
    made: NDArray[np.float32] = (kernel / kernel.sum()).astype(np.float32)
    return made
