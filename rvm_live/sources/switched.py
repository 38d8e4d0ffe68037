"""A source that can pause, and be replaced by another, during the run."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rvm_live.core.camera_in_use import CameraInUse, Known
from rvm_live.core.errors import SourceError, SourceLostError
from rvm_live.core.settings import SourceSettings
from rvm_live.sources.base import Grab, Source, SourceInfo

__all__ = ["SwitchedSource"]

_PAUSED, _RESTING = "paused", "nobody watches"


class SwitchedSource(Source):
    """Delivers the pictures of its present source.

    :meth:`use`, :meth:`pause` and :meth:`rest` may be called on any thread; sources are opened, read and changed
    on the capture thread.

    Args:
        settings: of the first source.
        make: opens nothing yet: settings -> source.
        told: called with the message if another source cannot be opened.
        opened: called with each source that was opened, on the capture thread.
        in_use: told before that what it is known by; None: one of its own.

    Attributes:
        settings: of the source that is used or being opened.
        info: what it delivers; None before it is open.
        in_use: what it is known by.
        paused: the user paused it; the device is free for others.
        resting: likewise, since nobody would see it. What holds no device, as a file, stays open.
    """

    def __init__(
        self,
        settings: SourceSettings,
        make: Callable[[SourceSettings], Source],
        told: Callable[[str], None] = lambda text: None,
        opened: Callable[[SourceInfo], None] = lambda info: None,
        in_use: CameraInUse | None = None,
    ) -> None:
        self.settings = settings
        self.in_use = in_use or CameraInUse()
        self.info: SourceInfo | None = None
        self.paused = self.resting = False
        self._make, self._told, self._tell = make, told, opened
        self._asked = threading.Condition()
        self._released = False
        self._used = settings
        self._inner: Source | None = make(settings)
        self.on_demand = self._inner.on_demand

    @property
    def trouble(self) -> str:  # type: ignore[override]
        """Why no frames come at the moment; empty while they come."""
        if self._idle:
            return _PAUSED if self.paused else _RESTING
        return str(getattr(self._inner, "trouble", ""))

    @property
    def changing(self) -> bool:
        """Whether another source was asked for and is not open yet."""
        return self.settings is not self._used

    @property
    def inner(self) -> Source | None:
        """The source that is read now; None while it rests."""
        return self._inner

    def prepare(self, ended: Callable[[], bool] = lambda: False) -> None:
        if self._inner is not None:
            self._inner.prepare(ended)

    def open(self) -> SourceInfo:
        if self._inner is None:
            raise SourceLostError("the source was released")
        info = self._inner.open()
        self._opened(info)
        return info

    def read(self) -> Grab:
        with self._asked:
            while self._idle and not self._released:
                if self.paused or self.info is None or self.info.live:
                    self._drop()
                self._asked.wait()
            if self._released:
                raise SourceLostError("the source was released")
            wanted = self.settings
        if self._inner is None or self.changing:
            self._change(wanted)
        inner = self._inner
        if inner is None:
            raise SourceLostError("the source was released")
        try:
            return inner.read()
        except SourceError:
            if self._inner is not inner or self._idle or self.changing:  # the source was replaced during the read
                return self.read()
            raise

    def release(self) -> None:
        with self._asked:
            self._released = True
            self._asked.notify_all()
            inner = self._inner
        if inner is not None:
            inner.release()

    def use(self, settings: SourceSettings) -> None:
        """Read another source from now on; if it cannot be opened, this is reported and the present one continues."""
        with self._asked:
            self.settings = settings
            self._interrupt()

    def pause(self, paused: bool) -> None:
        """Release the device, or continue."""
        with self._asked:
            self.paused = paused
            self._interrupt()

    def rest(self, resting: bool) -> None:
        """As :meth:`pause`, independent of it."""
        with self._asked:
            self.resting = resting
            self._interrupt()

    @property
    def _idle(self) -> bool:
        return self.paused or self.resting

    def _interrupt(self) -> None:
        """End a read that waits for a picture which is no longer wanted."""
        self._asked.notify_all()

    def _drop(self) -> None:
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.release()

    def _change(self, wanted: SourceSettings) -> None:
        before = self._used
        self._drop()
        try:
            self._take(wanted)
        except SourceError as error:
            if before is wanted:
                raise
            self._told(f"{error}: continuing with the previous source")
            with self._asked:
                if self.settings is wanted:
                    self.settings = before
            self._take(before)

    def _opened(self, info: SourceInfo) -> None:
        self.info = info
        self.in_use.now = Known(info.identity or info.label, info.label)
        self._tell(info)

    def _take(self, settings: SourceSettings) -> None:
        inner = self._make(settings)
        self._inner = inner
        try:
            info = inner.open()
        except SourceError:
            self._drop()
            raise
        self._used = settings
        self._opened(info)
        with self._asked:
            released = self._released
        if released:
            inner.release()
