"""WebRTC to a server by WHIP (RFC 9725), for viewers with little delay."""

from __future__ import annotations

import asyncio
import urllib.request
from concurrent.futures import Future
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit, urlunsplit

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.beside import beside
from rvm_live.core.errors import words_of
from rvm_live.microphones.base import RATE
from rvm_live.sinks.base import Shot
from rvm_live.sinks.recording.times import TICKS, Times
from rvm_live.sinks.stream.targets import Target
from rvm_live.sinks.stream.way import Way

if TYPE_CHECKING:
    from rvm_live.sinks.recording.listening import Listener

__all__ = ["WhipWay"]

_HTTP_S = 8.0
_BEGIN_S = 15.0
_PACKET = RATE // 50  # 20 ms, what Opus takes
_MOST_ANSWER = 1 << 20
_WAITING = 3
"""Pictures that may wait for the encoder; the oldest goes."""


class WhipWay(Way):
    """One session. aiortc encodes H.264 where the server takes it, VP8 where not, at a rate of its own: it follows what
    the server believes to be possible, within bounds that cannot be set.

    Args:
        target: the endpoint; a token stands before the host, as in ``whip+https://TOKEN@host/path``.
        fps: nominal frames per second.
        first: the first picture: its time is where the stream begins.
        listener: the microphone, or None.
    """

    def __init__(self, target: Target, *, fps: float, first: Shot, listener: Listener | None) -> None:
        self._target, self._listener = target, listener
        self._times = Times(fps, captured=True)
        self._began_ns = first.captured_ns
        self._live = self._gone = False
        self._reason = "the connection was closed"
        self._session = ""
        self._heard: list[NDArray[np.int16]] = []
        self._samples = 0
        self._loop = asyncio.new_event_loop()
        self._thread: Future[None] = beside("whip", self._run)
        began = asyncio.run_coroutine_threadsafe(self._begin(), self._loop)
        try:
            began.result(_BEGIN_S)
        except BaseException:
            self.close()
            raise

    @property
    def live(self) -> bool:
        return self._live

    @property
    def gone(self) -> bool:
        return self._gone

    @property
    def reason(self) -> str:
        return self._reason

    def add(self, picture: NDArray[np.uint8], shot: Shot) -> None:
        from av import VideoFrame

        height, width = picture.shape[:2]
        even = np.ascontiguousarray(picture[: height - height % 2, : width - width % 2])
        frame = VideoFrame.from_numpy_buffer(even, format="bgr24")
        frame.pts, _ = self._times.tick(shot)
        frame.time_base = Fraction(1, TICKS)
        self._loop.call_soon_threadsafe(self._pictures.put, frame)
        self.hear(shot.captured_ns)

    def hear(self, until_ns: int) -> None:
        from av import AudioFrame

        if self._listener is None or self._sounds is None:
            return
        for sound in self._listener.take(until_ns):
            place = (sound.captured_ns - self._began_ns) * RATE // 1_000_000_000
            missing = place - self._samples - sum(map(len, self._heard))
            if missing > RATE // 25:  # fill a gap with silence, so that the sound after it stays in time
                self._heard.append(np.zeros(missing, np.int16))
            self._heard.append(sound.samples)
        heard = np.concatenate(self._heard) if self._heard else np.empty(0, np.int16)
        whole = len(heard) // _PACKET * _PACKET
        for start in range(0, whole, _PACKET):
            frame = AudioFrame.from_ndarray(heard[None, start : start + _PACKET], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, self._samples, Fraction(1, RATE)
            self._samples += _PACKET
            self._loop.call_soon_threadsafe(self._sounds.put, frame)
        self._heard = [heard[whole:]]

    def close(self) -> None:
        self._gone = True
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(_HTTP_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.result()

    # ------------------------------------------------------------------------------------- on the thread of the loop

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    async def _begin(self) -> None:
        from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription

        self._peer: Any = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._pictures, self._sounds = _track("video"), None if self._listener is None else _track("audio")
        video: Any = self._peer.addTransceiver(self._pictures, direction="sendonly")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        video.setCodecPreferences(sorted(codecs, key=lambda codec: codec.mimeType != "video/H264"))
        if self._sounds is not None:
            self._peer.addTransceiver(self._sounds, direction="sendonly")
        self._peer.on("connectionstatechange", self._changed)
        await self._peer.setLocalDescription(await self._peer.createOffer())
        offer = self._peer.localDescription.sdp
        answer = await asyncio.to_thread(self._posted, offer)
        await self._peer.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))

    def _changed(self) -> None:
        state = self._peer.connectionState
        self._live = state == "connected"
        if state in ("failed", "closed", "disconnected"):
            self._gone, self._reason = True, f"WebRTC says {state}"

    async def _end(self) -> None:
        for track in (self._pictures, self._sounds):
            if track is not None:
                track.stop()
        await self._peer.close()
        if self._session:
            with suppress(Exception):
                await asyncio.to_thread(self._asked, "DELETE", self._session, None)

    # ------------------------------------------------------------------------------------------------------- HTTP

    def _posted(self, offer: str) -> str:
        """The server's answer to an offer."""
        try:
            answer, place = self._asked("POST", self._target.url, offer.encode())
        except HTTPError as error:
            raise ConnectionError(f"the server answers {error.code} {error.reason}") from error
        except URLError as error:
            raise ConnectionError(
                words_of(error.reason) if isinstance(error.reason, Exception) else str(error)
            ) from error
        self._session = urljoin(self._target.url, place) if place else ""
        return answer

    def _asked(self, method: str, url: str, body: bytes | None) -> tuple[str, str]:
        parts = urlsplit(url)
        token = urlsplit(self._target.url).username
        plain = urlunsplit(parts._replace(netloc=parts.netloc.rsplit("@", 1)[-1]))
        headers = {"Content-Type": "application/sdp"} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(plain, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=_HTTP_S) as response:
            return response.read(_MOST_ANSWER).decode("utf-8", "replace"), response.headers.get("Location", "")


def _track(kind: str) -> Any:
    """A track that delivers the pictures or sound put into it, on the loop's thread."""
    from aiortc import MediaStreamTrack
    from aiortc.mediastreams import MediaStreamError

    class Track(MediaStreamTrack):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.kind = kind
            self._waiting: asyncio.Queue[Any] = asyncio.Queue()

        def put(self, frame: Any) -> None:
            while kind == "video" and self._waiting.qsize() >= _WAITING:
                self._waiting.get_nowait()
            self._waiting.put_nowait(frame)

        async def recv(self) -> Any:
            if self.readyState != "live":
                raise MediaStreamError
            return await self._waiting.get()

    return Track()
