"""Video from a URL: a live stream (MJPEG over HTTP, RTSP, HLS), or a film with an end."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies

import av
import av.error

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import EndOfSource, SourceLostError, SourceUnavailableError, words_of
from rvm_live.core.settings import SourceSettings
from rvm_live.media.colour import bgr_of
from rvm_live.media.deinterlace import Deinterlacer
from rvm_live.media.facts import brought_to, facts_of_frame
from rvm_live.media.ffmpeg import code_of, open_any
from rvm_live.media.scaling import fit_inside
from rvm_live.media.tone_mapping import kind_of
from rvm_live.sources.base import Grab, Source, SourceInfo, without_credentials
from rvm_live.sources.driver_thread import DriverThread
from rvm_live.sources.release_guard import ReleaseGuard
from rvm_live.sources.rhythm import FRESH_NS, Playout, Rhythm
from rvm_live.sources.video.video import VideoFileSource

__all__ = ["UrlSource"]

T = TypeVar("T")

OPEN_TIMEOUT_MS = 30_000
SILENT_S = 1.5
"""A shorter silence is never the loss of a stream."""
SEGMENT_SILENT_S = 20.0
"""The same for a stream in segments, which usually last ten seconds at most."""
MOST_SILENT_S = 30.0
_MEANWHILE_S = 1.0
_KNOCK_S = 3.5
_IDLE_NS = 100_000_000
_SKIP_NS = 1_000_000_000
_PORTS = {"http": 80, "https": 443, "rtmp": 1935, "rtsp": 554, "rtsps": 322, "tcp": None}
_MOST_LISTED_NS = 60_000_000_000
"""The longest that a live playlist lists; earlier time stamps belong to another count."""
_SEGMENTED = frozenset({"dash", "hls"})
_ENDLESS = frozenset({"mpjpeg"})
"""Formats of cameras; some report a length that is made up."""


class UrlSource(Source):
    """Video from a URL. If the demuxer knows its end, it plays like a file, once.

    Else it is live, and one that ends or falls silent is lost: a stream has no last frame. How long a silence is a
    loss follows the rhythm in which its pictures came. Segments, which come in bursts, play at their own pace, every
    other stream as it comes; after a pause, pictures that piled up on the way are skipped: they would be stamped as
    fresh, but are old. FFmpeg decodes inside the grab, so the stamp of a stream's frame is taken right after its
    decoding; the time that the network took cannot be known here. FFmpeg's ``nobuffer`` is left alone: it throws away
    the data read while probing the stream, including the first key frame (docs/reliability.md has the times).

    Args:
        settings: ``source`` is the URL; a given width or height scales the pictures.
        clock: monotonic time.

    Attributes:
        codec: what a stream's pictures are encoded in, once open: a code of four letters, else a name.
    """

    def __init__(self, settings: SourceSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        self.codec = ""
        self._settings, self._url = settings, settings.source
        self._clock = clock
        self._driver = DriverThread("stream")
        self._guard = ReleaseGuard(self._free)
        self._container: Any = None
        self._stream: Any = None
        self._frames: Iterator[Any] = iter(())
        self._film: VideoFileSource | None = None
        self._first: Any = None
        self._first_ns = 0
        self._returned_ns = 0
        self._rhythm = Rhythm(0, SILENT_S, MOST_SILENT_S)
        self._playout: Playout | None = None
        self._shown_ns: int | None = None
        # A film gives every picture on demand; whether the address is a film shows only once it is open.
        self.on_demand = not settings.realtime
        self.label = f"stream {without_credentials(self._url)}"

    def open(self) -> SourceInfo:
        began_ns, asked = self._clock.now_ns(), False

        def check() -> None:
            nonlocal asked
            self._guard.check()
            if not asked and (self._clock.now_ns() - began_ns) / 1e9 > _MEANWHILE_S:
                asked = True
                self._knock()

        try:
            opened = self._driver.call(self._opened, check, OPEN_TIMEOUT_MS / 1000)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceUnavailableError(self._unopened(error)) from error
        if isinstance(opened, SourceInfo):
            return opened
        if not self._settings.realtime:
            raise SourceUnavailableError(f"--no-realtime is for files, but {self.label} is live: leave it out")
        self._first, fps = opened
        self._first_ns = self._returned_ns = self._clock.now_ns()
        least_s = SILENT_S if self._playout is None else SEGMENT_SILENT_S
        self._rhythm = Rhythm(self._first_ns - began_ns, least_s, MOST_SILENT_S)
        height, width = self._picture(self._first).shape[:2]
        wide = kind_of(self._first)
        notes = () if wide is None else (f"{self.label} is {wide}",)
        return SourceInfo(label=self.label, kind="url", width=width, height=height, fps=fps, live=True, notes=notes)

    def _opened(self) -> SourceInfo | tuple[Any, float]:
        """On the other thread: a film's facts, or a stream's first frame and its rate."""
        with self._guard:
            options = {"rtsp_flags": "prefer_tcp"} if self._url[:4].lower() == "rtsp" else {}
            self._container = open_any(
                self._url,
                options=options,
                timeout=(OPEN_TIMEOUT_MS / 1000, MOST_SILENT_S),
            )
            if _has_end(self._container):
                self._free()
                self._film = VideoFileSource(self._settings, self._clock, square=True)
                info = self._film.open()
                try:
                    self._guard.check()
                except EndOfSource:  # it was released while it was being opened
                    self._film.release()
                    raise
                return info
            stream = self._stream = self._container.streams.best("video")
            if stream is None or stream.codec_context is None:
                raise SourceUnavailableError(f"{self.label} contains no picture that can be decoded")
            segmented = self._container.format.name in _SEGMENTED
            self._playout = Playout() if segmented else None
            stream.thread_type = "AUTO" if segmented else "SLICE"  # frame threads would hold some frames back
            self.codec = code_of(stream)
            self._frames = self._decode(stream)
            first = next(self._frames, None)
            while first is not None and segmented and self._was_shown(first):
                self._guard.check()
                first = next(self._frames, None)
            if first is None:
                raise SourceUnavailableError(f"{self.label} opened, but delivered no picture")
            rate = stream.average_rate or stream.guessed_rate
            fps = float(rate) if rate and 0.5 <= rate <= 1000 else 0.0
            return first, fps

    def go_on(self, before: Source) -> None:
        # A playlist that does not change starts with its last segments again each time it is opened.
        self._shown_ns = before._shown_ns if isinstance(before, UrlSource) else None

    def _was_shown(self, frame: Any) -> bool:
        return self._shown_ns is not None and 0 <= self._shown_ns - _media_ns(frame) < _MOST_LISTED_NS

    def _decode(self, stream: Any) -> Iterator[Any]:
        whole = Deinterlacer()
        for other in self._container.streams:
            if other.index != stream.index:
                other.discard = "all"  # the other sizes of a segmented stream are not even fetched
        for packet in self._container.demux(stream):
            try:
                for frame in packet.decode():
                    yield from whole.push(frame)
            except av.error.FFmpegError:
                continue  # damaged in transit

    def _unopened(self, error: Exception) -> str:
        no_video = isinstance(error, av.error.InvalidDataError)
        why = "what answers is not a video that can be read" if no_video else words_of(error)
        return f"{self.label} cannot be opened ({why}): check the address, and that a server runs there"

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
            raise SourceUnavailableError(self._unopened(error)) from error

    def read(self) -> Grab:
        if self._film is not None:
            # A film waits for its own time or for the network: libav's time-out ends the latter.
            return self._waited(self._film.read, OPEN_TIMEOUT_MS / 1000 + MOST_SILENT_S)
        frame, self._first = self._first, None
        if frame is not None and (self._playout or self._clock.now_ns() - self._first_ns < _IDLE_NS):
            wait_ns = 0
        else:
            frame, wait_ns = self._fresh()
        while self._playout is not None:
            media_ns = _media_ns(frame)
            due_ns = self._playout.due_ns(self._clock.now_ns(), media_ns, wait_ns)
            if due_ns is not None:
                self._guard.wait_until(due_ns, self._clock)
                self._shown_ns = media_ns
                break
            frame, wait_ns = self._next()
        captured_ns = self._clock.now_ns()
        with self._guard:  # reads the pixel aspect ratio from the container, which must still be open
            image = self._picture(frame)
        self._returned_ns = self._clock.now_ns()
        return Grab(image, captured_ns)

    def _fresh(self) -> tuple[Any, int]:
        """The next frame; after a pause the first that was not there already, and in segments none is passed over."""
        began_ns = self._clock.now_ns()
        paused = self._playout is None and began_ns - self._returned_ns >= _IDLE_NS
        while True:
            frame, wait_ns = self._next()
            if not paused or wait_ns >= FRESH_NS or self._clock.now_ns() - began_ns >= _SKIP_NS:
                return frame, wait_ns

    def _next(self) -> tuple[Any, int]:
        """The next frame, and how long it was waited for."""
        began_ns = self._clock.now_ns()
        frame = self._waited(self._decoded, self._rhythm.limit_s)
        now_ns = self._clock.now_ns()
        if frame is None:
            raise SourceLostError(f"{self.label} ended")
        self._rhythm.waited(now_ns, now_ns - began_ns)
        return frame, now_ns - began_ns

    def _decoded(self) -> Any:
        with self._guard:
            try:
                return next(self._frames, None)
            except (av.error.FFmpegError, OSError):
                return None

    def _waited(self, function: Callable[[], T], limit_s: float) -> T:
        began_ns = self._clock.now_ns()

        def check() -> None:
            self._guard.check()
            waited_s = (self._clock.now_ns() - began_ns) / 1e9
            if waited_s > _MEANWHILE_S:  # not necessarily a loss of the stream
                self.trouble = f"{self.label}: no picture for {waited_s:.0f} s"

        try:
            return self._driver.call(function, check, limit_s)
        except TimeoutError as error:
            self._guard.check()
            raise SourceLostError(f"{self.label} stalled: no picture for {limit_s:.1f} s") from error
        finally:
            self.trouble = ""

    def _picture(self, frame: Any) -> Any:
        try:
            image = brought_to(bgr_of(frame, exact=False), facts_of_frame(frame, self._stream), Fraction(1))
        except (av.error.FFmpegError, ValueError) as error:  # ValueError: a pixel format that FFmpeg cannot convert
            raise SourceLostError(f"{self.label} delivers pictures that cannot be converted") from error
        return fit_inside(image, (self._settings.width, self._settings.height))

    def release(self) -> None:
        self._first = None
        if self._film is not None:
            self._film.release()
        self._guard.release()
        self._driver.end()

    def _free(self) -> None:
        self._frames = iter(())
        container, self._container = self._container, None
        if container is not None:
            container.close()


def _media_ns(frame: Any) -> int:
    return round((frame.pts or 0) * (frame.time_base or Fraction(0)) * 1_000_000_000)


def _has_end(container: Any) -> bool:
    """Whether what was opened is a film: the demuxer knows how long it is, or at least how many bytes."""
    name = container.format.name
    if name in _ENDLESS:
        return False
    if container.duration is not None and container.duration > 0:
        return True
    return name not in _SEGMENTED and container.size > 0
