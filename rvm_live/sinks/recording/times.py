"""Time stamps of the pictures of a film or a stream."""

from __future__ import annotations

from rvm_live.sinks.base import Shot

__all__ = ["TICKS", "Times"]

TICKS = 90_000
"""A second, in the units of time stamps."""


class Times:
    """Ticks: from zero, strictly increasing, and true to the source's clock."""

    def __init__(self, fps: float, *, captured: bool = False) -> None:
        self._frame = max(1, round(TICKS / fps))
        self._captured = captured
        self._offset: int | None = None
        self._media = False
        self._last, self._lasts = -1, self._frame

    def tick(self, shot: Shot) -> tuple[int, int]:
        """Time stamp and duration of a picture."""
        if self._offset is None:
            self._media = shot.media_ns is not None and not self._captured
        time_ns = shot.media_ns if self._media and shot.media_ns is not None else shot.captured_ns
        ticks = time_ns * TICKS // 1_000_000_000
        if self._offset is None:
            self._offset = -ticks
        elif self._media and ticks + self._offset <= self._last:
            self._offset = self._last + self._lasts - ticks  # the file started over
        self._last = max(ticks + self._offset, self._last + 1)
        told = shot.duration_ns if self._media else None
        self._lasts = self._frame if told is None else max(1, told * TICKS // 1_000_000_000)
        return self._last, self._lasts
