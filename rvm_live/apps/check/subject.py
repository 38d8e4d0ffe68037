"""The engine that is measured: it mattes one window after the other, also at another ratio."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rvm_live.apps.check.windows import Window
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import RvmLiveError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import EngineInfo, close_failed
from rvm_live.engines.select import AutoEngine, engine_for

__all__ = ["OTHER", "Subject", "other_ratio"]

OTHER = 1.5
"""The second reading uses the ratio times this: a larger ratio, which is mostly nearer to the truth; if that exceeds 1,
the ratio divided by this."""


def other_ratio(ratio: float) -> float:
    """The ratio of the other reading."""
    return ratio * OTHER if ratio * OTHER <= 1 else ratio / OTHER


class Subject:
    """An engine, open, for windows of any size. Used by one thread.

    Args:
        settings: whose alpha; its colours are not asked for.
        progress: passed on to :func:`rvm_live.weights.resolve` for a download.

    Raises:
        RvmLiveError: it cannot be opened.
    """

    def __init__(self, settings: EngineSettings, progress: Any = None) -> None:
        self.engine: AutoEngine = engine_for(replace(settings, foreground="source"), progress)
        self._size = (0, 0)
        self._seq = self._epoch = 0
        try:
            self.engine.open()
        except BaseException:
            close_failed(self.engine)
            raise

    @property
    def info(self) -> EngineInfo:
        """What runs."""
        return self.engine.info

    def alphas(self, window: Window) -> list[Bytes]:
        """Alpha of each picture, uint8 (H, W), from an empty memory on.

        Raises:
            EngineError: matting failed.
        """
        height, width = window.images[0].shape[:2]
        self.prepare(width, height)
        self.engine.reset()
        self._epoch += 1
        found = []
        for image in window.images:
            self._seq += 1
            matte = self.engine.matte(Frame(image, self._seq, self._epoch, self._seq))
            found.append(matte.host().alpha.copy())
        return found

    def again(self, **changes: Any) -> EngineSettings:
        """The settings of what runs, engine and precision as they were found, with changes."""
        info, asked = self.info, self.engine.settings
        engine = info.engine if asked.engine == "auto" else asked.engine
        return replace(asked, engine=engine, **changes)

    def other(self) -> Subject | None:
        """The same at :func:`other_ratio`; None where that is refused, or changes nothing. To be asked once it has
        read something."""
        ratio = other_ratio(self.info.downsample_ratio)
        try:
            made = Subject(self.again(downsample_ratio=ratio or None))
        except RvmLiveError:
            return None
        try:
            made.prepare(*self._size)
        except RvmLiveError:
            made.close()
            return None
        if ratio and abs(made.info.downsample_ratio - ratio) < 1e-6:
            return made
        made.close()
        return None

    def prepare(self, width: int, height: int) -> None:
        """Get ready for a size of picture."""
        if self._size != (width, height):
            self.engine.prepare(width, height)
            self._size = (width, height)

    def close(self) -> None:
        """Free the device."""
        self.engine.close()
