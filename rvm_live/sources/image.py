"""A still picture as a source."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import EndOfSource, SourceUnavailableError
from rvm_live.core.settings import SourceSettings
from rvm_live.media.image_files import UnfitPicture, read_encoded
from rvm_live.media.scaling import fit_inside
from rvm_live.media.stills import decode
from rvm_live.sources.base import Grab, Source, SourceInfo
from rvm_live.sources.release_guard import ReleaseGuard

__all__ = ["ImageSource"]


class ImageSource(Source):
    """One picture, repeated at the wanted rate; only once if frames are read as fast as possible.

    Args:
        settings: ``source`` is the path; a given width or height scales the picture.
        clock: monotonic time.
    """

    on_demand = True

    def __init__(self, settings: SourceSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        self._path = Path(settings.source)
        self._settings = settings
        self._clock = clock
        self._guard = ReleaseGuard(lambda: None)
        self._count = 0
        self._began_ns = 0

    def open(self) -> SourceInfo:
        try:
            still = decode(read_encoded(self._path))
        except OSError as error:
            raise SourceUnavailableError(f"cannot read {self._path}: {error.strerror or error}") from error
        except UnfitPicture as error:
            raise SourceUnavailableError(f"{self._path} {error}") from error
        self._image = np.ascontiguousarray(fit_inside(still.image, (self._settings.width, self._settings.height)))
        height, width = self._image.shape[:2]
        realtime = self._settings.realtime
        return SourceInfo(
            label=f"image {self._path.name}",
            kind="image",
            width=width,
            height=height,
            fps=self._settings.fps if realtime else 0.0,
            live=False,
            frame_count=None if realtime else 1,
            notes=(f"{self._path.name} {still.told}",) if still.told else (),
        )

    def read(self) -> Grab:
        with self._guard:
            if self._settings.realtime:
                if self._count == 0:
                    self._began_ns = self._clock.now_ns()
                self._guard.wait_until(self._began_ns + round(self._count * 1e9 / self._settings.fps), self._clock)
            elif self._count:
                raise EndOfSource
            self._count += 1
            return Grab(self._image, self._clock.now_ns())

    def release(self) -> None:
        self._guard.release()
