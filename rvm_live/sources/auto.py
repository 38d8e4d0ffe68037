"""The first camera that delivers pictures, else the demo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import EndOfSource, SourceUnavailableError
from rvm_live.core.settings import SourceSettings
from rvm_live.sources.base import Grab, Source, SourceInfo
from rvm_live.sources.camera import permission
from rvm_live.sources.camera.camera import CameraSource, list_cameras, unlisted_cameras
from rvm_live.sources.demo.demo import DemoSource

__all__ = ["AutoSource"]


class AutoSource(Source):
    """Takes the first camera that delivers frames; if none does, uses the demo and says why.

    Args:
        settings: ``source`` is not used.
        clock: monotonic time.
    """

    def __init__(self, settings: SourceSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        self._settings = settings
        self._clock = clock
        self._chosen: Source | None = None
        self._released = False

    def prepare(self, ended: Callable[[], bool] = lambda: False) -> None:
        if list_cameras():
            permission.ask(ended)

    def open(self) -> SourceInfo:
        self.trouble = "looking for cameras"
        try:
            return self._first()
        finally:
            self.trouble = ""

    def _first(self) -> SourceInfo:
        reasons: list[str] = []
        for camera in list_cameras() or unlisted_cameras():
            self.trouble = f"looking for cameras: {camera.name or camera.index}"
            source = CameraSource(replace(self._settings, source=str(camera.index)), self._clock)
            info = self._try(source, reasons)
            if info is not None:
                return replace(info, notes=tuple(reasons))
        why = "; ".join(dict.fromkeys(reasons)) if reasons else "no camera was found"
        demo = DemoSource(replace(self._settings, source="demo"), self._clock)
        try:
            info = self._use(demo)
        except SourceUnavailableError as error:
            raise SourceUnavailableError(
                f"no camera delivers pictures ({why}), and the demo cannot be used: {error}; or name a file "
                "with --source"
            ) from error
        return replace(info, notes=(f"no camera delivers pictures ({why}): showing the demo instead",))

    @property
    def chosen(self) -> Source | None:
        """The source in use; None before ``open``."""
        return self._chosen

    def _try(self, source: Source, reasons: list[str]) -> SourceInfo | None:
        try:
            return self._use(source)
        except SourceUnavailableError as error:
            source.release()
            reasons.append(str(error))
            return None

    def _use(self, source: Source) -> SourceInfo:
        self._chosen = source
        if self._released:  # released while the previous source was being opened
            raise EndOfSource
        return source.open()

    def read(self) -> Grab:
        if self._chosen is None:
            raise EndOfSource
        return self._chosen.read()

    def release(self) -> None:
        self._released = True
        if self._chosen is not None:
            self._chosen.release()
