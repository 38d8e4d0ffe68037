"""The numbers of the blur of a lens: light is averaged over a disc, and lamps become round spots.

Like the Gaussian of :mod:`rvm_live.compositing.common`, but from half size on

* in linear light (IEC 61966-2-1), where bright light is stretched by ``L / (1 - b L)``: a camera cuts off light above
  its white, and without the stretch a lamp would hardly show in the mean. Areas of one colour keep it, because the
  inverse, ``M / (1 + b M)``, is exact;
* over a disc whose rim is softened by a Gaussian, instead of over a Gaussian.

The disc's radius is 2.5 times the standard deviation of the Gaussian of the same strength, that of its rim 0.62 times.
A sharp disc lets through some of each fine pattern (its transfer function falls as f^-1.5 and changes its sign); with
that rim no pattern of lines keeps more of its contrast than under the Gaussian, or than a hundredth.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rvm_live.finishing.light import decoded, encoded

__all__ = ["LEVELS", "LEVEL_STEPS", "LIGHT", "STRETCH", "disc"]

STRETCH = 0.9
"""b: white counts as ten times as bright as it is stored."""
RADIUS, RIM = 2.5, 0.62
LEVEL_STEPS = 65535
_SAMPLES = 8

_LINEAR = decoded(np.arange(256.0))
LIGHT: NDArray[np.float32] = (_LINEAR / (1 - STRETCH * _LINEAR)).astype(np.float32)
"""Stretched light of each level, float32 (256,)."""
LEVELS = encoded((np.arange(LEVEL_STEPS + 1) / LEVEL_STEPS).astype(np.float32))
"""Level of linear light, in ``LEVEL_STEPS`` steps from 0 to 1, uint8; off by a twentieth of a level at most."""


@lru_cache(maxsize=8)
def disc(sigma: float) -> NDArray[np.float32]:
    """A disc with a soft rim, float32 (2 r + 1, 2 r + 1); sums to 1, symmetric in both axes.

    Args:
        sigma: standard deviation of the Gaussian that it replaces, pixels.
    """
    radius, rim = RADIUS * sigma, RIM * sigma
    reach = max(round(radius + 2.5 * rim), 1)
    # Each pixel is the mean of finer samples. The rim is the profile of a softened straight edge, close to that of a
    # disc.
    offsets = (np.arange((2 * reach + 1) * _SAMPLES) + 0.5) / _SAMPLES - reach - 0.5
    distance = np.hypot(offsets[:, None], offsets[None, :])
    inside = 0.5 - 0.5 * np.tanh((distance - radius) / max(rim, 1e-3) * np.sqrt(2 / np.pi))
    size = 2 * reach + 1
    kernel = inside.reshape(size, _SAMPLES, size, _SAMPLES).mean(axis=(1, 3))
    kernel = np.where(np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= reach + 0.5, kernel, 0)
    made: NDArray[np.float32] = (kernel / kernel.sum()).astype(np.float32)
    return made
