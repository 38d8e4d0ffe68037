"""Streams over the network: MJPEG over HTTP, RTSP and whatever else FFmpeg reads."""

from __future__ import annotations

import socket
from dataclasses import replace
from urllib.parse import urlsplit
from urllib.request import getproxies

import cv2

from rvm_live.clock import SYSTEM_CLOCK, Clock
from rvm_live.errors import SourceLostError, SourceUnavailableError
from rvm_live.settings import SourceSettings
from rvm_live.sources.base import Grab, Source, SourceInfo, without_credentials
from rvm_live.sources.capture import Capture
from rvm_live.sources.scaling import fit_inside

__all__ = ["UrlSource"]

OPEN_TIMEOUT_MS = 30_000
READ_TIMEOUT_MS = 1500
_KNOCK_S = 3.5
_PORTS = {"http": 80, "https": 443, "rtmp": 1935, "rtsp": 554, "rtsps": 322, "tcp": None}


class UrlSource(Source):
    """A live stream. One that ends or falls silent is lost: a stream has no last frame.

    FFmpeg decodes inside the grab, so the stamp of a stream's frame is taken right after its decoding; what the
    network took before that nobody here can know.

    Args:
        settings: ``source`` is the URL; a given width or height scales the pictures.
        clock: stamps frames.
    """

    def __init__(self, settings: SourceSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        self._url = settings.source
        self._box = (settings.width, settings.height)
        self._clock = clock
        self._capture = Capture(clock)
        self._first: Grab | None = None
        self.label = f"stream {without_credentials(self._url)}"

    @property
    def capture(self) -> Capture:
        """The stream, for probing its properties."""
        return self._capture

    def open(self) -> SourceInfo:
        timeouts = {
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: float(OPEN_TIMEOUT_MS),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC: float(READ_TIMEOUT_MS),
        }
        try:
            opened = self._capture.open(self._url, cv2.CAP_FFMPEG, timeouts, self._knock)
        except TimeoutError:
            opened = False
        if not opened:
            raise SourceUnavailableError(self._unopened)
        first = self._next()
        if first is None:
            raise SourceUnavailableError(f"{self.label} opened, but delivered no picture")
        self._first = first
        height, width = first.image.shape[:2]
        return SourceInfo(label=self.label, kind="url", width=width, height=height, fps=self._capture.fps(), live=True)

    @property
    def _unopened(self) -> str:
        return f"{self.label} cannot be opened: is the address right, and does something answer there?"

    def _knock(self) -> None:
        """Give up early on a host that does not answer at all; one that is slow is waited for.

        Called when opening takes long, not before it: some servers take one connection and no more.
        """
        try:
            parts = urlsplit(self._url)
            port = parts.port or _PORTS[parts.scheme.lower()]
        except (KeyError, ValueError):
            return
        if parts.hostname is None or port is None or getproxies().get(parts.scheme.lower()):
            return
        try:
            socket.create_connection((parts.hostname, port), timeout=_KNOCK_S).close()
        except OSError as error:
            raise SourceUnavailableError(self._unopened) from error

    def read(self) -> Grab:
        first, self._first = self._first, None
        if first is not None and self._clock.now_ns() - first.captured_ns < 100_000_000:
            return first
        began_ns = self._clock.now_ns()
        grab = self._next()
        if grab is not None:
            return grab
        self._capture.guard.check()
        waited = (self._clock.now_ns() - began_ns) / 1e9
        if waited >= 0.9 * READ_TIMEOUT_MS / 1000:
            raise SourceLostError(f"{self.label} stalled: no picture for {waited:.1f} s")
        raise SourceLostError(f"{self.label} ended")

    def _next(self) -> Grab | None:
        grab = self._capture.grab()
        return None if grab is None else replace(grab, image=fit_inside(grab.image, self._box))

    def release(self) -> None:
        self._first = None
        self._capture.release()
