"""Makes the int8 networks from the user's own pictures: settings in, one result per size out. Prints nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import EndOfSource, SettingsError
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.engines.common.ladder import low_size, ratios_for
from rvm_live.engines.rvm.openvino.engine import INT8_TAKEN, OpenVinoEngine
from rvm_live.engines.rvm.openvino.int8 import require
from rvm_live.sources.factory import open_source

__all__ = ["LEAST_FRAMES", "Calibrated", "run"]

LEAST_FRAMES = 12


@dataclass(frozen=True)
class Calibrated:
    """One size that is ready.

    Attributes:
        low: width and height the network works at.
        ratio: downsample ratio.
        worst: mean absolute difference of alpha from single precision, 0-1, for the worst of the frames that were kept
            from the calibration.
        share: its time relative to that of ``auto`` without it, measured here.
        taken: ``auto`` takes it from now on.
    """

    low: tuple[int, int]
    ratio: float
    worst: float
    share: float
    taken: bool


def run(
    source: SourceSettings,
    engine: EngineSettings,
    frames: int,
    *,
    done: Callable[[Calibrated], None] = lambda each: None,
) -> list[Calibrated]:
    """Calibrate on the first frames of a source, for every size of the ladder or the ratio the user fixed.

    Args:
        source: a camera, clip or stream with the user in it.
        engine: weights and ratio; its engine and precision are ignored.
        frames: to take, at least :data:`LEAST_FRAMES`.
        done: called with each size once it is ready.

    Raises:
        SettingsError: too few frames were asked for or delivered, or they change size.
        RvmLiveError: the source, the weights or NNCF failed.
    """
    if frames < LEAST_FRAMES:
        raise SettingsError(f"frames {frames} is out of range: calibration needs at least {LEAST_FRAMES}")
    require()
    made = OpenVinoEngine(replace(engine, engine="openvino", precision="fp32"))
    made.open()
    try:
        pictures = _grabbed(source, frames)
        height, width = pictures[0].shape[:2]
        fixed = engine.downsample_ratio
        results = []
        for ratio in ratios_for(width, height) if fixed is None else (fixed,):
            worst, share = made.calibrate(pictures, ratio)
            low = low_size(width, height, ratio)
            results.append(Calibrated(low, ratio, worst, share, taken=share <= INT8_TAKEN))
            done(results[-1])
        return results
    finally:
        made.close()


def _grabbed(settings: SourceSettings, count: int) -> list[NDArray[np.uint8]]:
    source = open_source(settings)
    pictures: list[NDArray[np.uint8]] = []
    try:
        source.prepare()
        source.open()
        while len(pictures) < count:
            pictures.append(source.read().image)
    except EndOfSource:
        pass
    finally:
        source.release()
    if len(pictures) < LEAST_FRAMES:
        raise SettingsError(
            f"{settings.source} has only {len(pictures)} frames: calibration needs at least {LEAST_FRAMES}"
        )
    if len({picture.shape for picture in pictures}) > 1:
        raise SettingsError(f"the frames of {settings.source} change their size: calibrate with another clip")
    return pictures
