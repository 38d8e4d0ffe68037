"""The virtual camera of a live run, and pausing while nobody watches: then nothing is captured
nor matted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.frames import Composite
from rvm_live.core.settings import CAMERA_SIZES, LiveSettings
from rvm_live.sinks.base import Sink
from rvm_live.sinks.camera.sink import VirtualCamera

__all__ = ["OnDemand", "camera_for", "camera_size"]

_PATIENT_NS = 3_000_000_000
"""How long nobody must watch before it pauses: programs often open a camera, close it and open it again."""


def camera_for(settings: LiveSettings, clock: Clock) -> VirtualCamera:
    """The virtual camera that the settings ask for; off where they ask for none."""
    return VirtualCamera(
        settings.virtual_camera or "",
        size=camera_size(settings),
        fps=settings.source.fps,
        on=settings.virtual_camera is not None,
        clock=clock,
    )


def camera_size(settings: LiveSettings) -> tuple[int, int]:
    """The smallest size that holds the picture, or the largest."""
    width, height = settings.source.width or 1280, settings.source.height or 720
    holding = (size for size in CAMERA_SIZES if size[0] >= width and size[1] >= height)
    return settings.virtual_camera_size or next(holding, CAMERA_SIZES[-1])


class OnDemand(Sink):
    """Watches the sinks, from the thread of the run, and pauses the source while none of them has a viewer.

    Args:
        sinks: told apart by :attr:`~rvm_live.sinks.base.Sink.watched`; one that does not know counts as watched.
        rest: told True when the last watcher has been gone for three seconds, and False at once when there is one.
        clock: monotonic time.
    """

    runs_on = "run"
    aside = True

    def __init__(self, sinks: Sequence[Sink], rest: Callable[[bool], None], clock: Clock = SYSTEM_CLOCK) -> None:
        self._sinks, self._rest, self._clock = sinks, rest, clock
        self._seen_ns: int | None = None
        self._resting = False

    def open(self) -> None:
        """Nothing to get ready."""

    def write(self, composite: Composite) -> None:
        self.idle()

    def idle(self) -> None:
        now_ns = self._clock.now_ns()
        watched = any(getattr(sink, "watched", None) is not False for sink in self._sinks)
        if watched or self._seen_ns is None:
            self._seen_ns = now_ns
        resting = not watched and now_ns - self._seen_ns >= _PATIENT_NS
        if resting != self._resting:
            self._resting = resting
            self._rest(resting)

    def close(self, *, failed: bool) -> None:
        """Nothing to finish."""
