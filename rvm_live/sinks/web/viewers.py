"""Viewers: over a WebSocket with one picture in flight at a time, or as MJPEG for other programs."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from aiohttp import WSMsgType, web

from rvm_live.core.clock import Clock
from rvm_live.sinks.web.feed import KINDS, Coded, Feed
from rvm_live.sinks.web.guard import Refused

__all__ = ["HEAD", "Viewers"]

HEAD = struct.Struct("<BxxxIdI")
"""The header of each picture, little endian: 1 for a picture (0: nothing newer, the last one stays), its number, its
age in milliseconds, and the number of bytes of the mask that come before the JPEG."""

_ALIVE_S = 0.3
_STALLED_S = 20.0
_MOST = 16
_ACK = struct.Struct("<I")
_LONGEST_ACK = 64  # bytes; longer messages are not read
_RECENT = 300
_BOUNDARY = "rvm-live-picture"
_AHEAD = 128 << 10  # bytes in flight to a viewer that does not acknowledge: one or two pictures


class _Viewer:
    """State of one viewer."""

    def __init__(self, kind: str, way: str) -> None:
        self.kind, self.way = kind, way
        self.pictures = 0
        self.ages_ms: deque[float] = deque(maxlen=_RECENT)
        self.times_ns: deque[int] = deque(maxlen=_RECENT)

    def seen(self, coded: Coded, now_ns: int) -> None:
        self.pictures += 1
        self.times_ns.append(now_ns)
        if not coded.picture.stands_in:
            self.ages_ms.append((now_ns - coded.picture.captured_ns) / 1e6)

    def told(self) -> Mapping[str, Any]:
        ages = sorted(self.ages_ms)
        span_ns = self.times_ns[-1] - self.times_ns[0] if len(self.times_ns) > 1 else 0
        return {
            "kind": self.kind,
            "way": self.way,
            "pictures": self.pictures,
            "fps": round((len(self.times_ns) - 1) * 1e9 / span_ns, 1) if span_ns else 0.0,
            "latency_ms": {
                name: round(ages[min(len(ages) - 1, int(share * len(ages)))], 1) if ages else 0.0
                for name, share in (("p50", 0.5), ("p95", 0.95))
            },
        }


class Viewers:
    """Sends pictures to viewers; a slow one gets fewer, never older ones.

    Args:
        feeds: by kind.
        clock: monotonic time.
    """

    def __init__(self, feeds: Mapping[str, Feed], clock: Clock) -> None:
        self._feeds, self._clock = feeds, clock
        self._all: list[_Viewer] = []
        self._sockets: set[Any] = set()

    async def leave(self) -> None:
        """Disconnect all."""
        for talking in list(self._sockets):
            with suppress(Exception):
                await asyncio.wait_for(talking.close(code=1001, message=b"rvm-live ends"), 0.5)

    def told(self) -> list[Mapping[str, Any]]:
        """Statistics of each viewer: pictures per second, and milliseconds from capture until it has drawn them."""
        return [each.told() for each in self._all]

    @contextmanager
    def _joined(self, request: Any, way: str) -> Iterator[tuple[Feed, _Viewer]]:
        kind = request.query.get("kind", "result")
        if kind not in KINDS:
            raise Refused(400, f"there is no kind {kind[:40]!r}: choose one of {', '.join(KINDS)}")
        if len(self._all) >= _MOST:
            raise Refused(503, f"{_MOST} viewers are connected already: close one")
        viewer = _Viewer(kind, way)
        self._all.append(viewer)
        try:
            with self._feeds[kind].looked_at():
                yield self._feeds[kind], viewer
        finally:
            self._all.remove(viewer)

    async def watch(self, request: Any) -> Any:
        """``GET /api/v1/watch?kind=``: a WebSocket. Each picture is answered with its number, four bytes, once it is
        drawn, and only then the next one comes."""
        with self._joined(request, "websocket") as (feed, viewer):
            talking = web.WebSocketResponse(heartbeat=10, max_msg_size=_LONGEST_ACK, compress=False, timeout=1)
            await talking.prepare(request)
            self._sockets.add(talking)
            drawn: asyncio.Queue[int] = asyncio.Queue(maxsize=4)
            listening = asyncio.ensure_future(self._listen(talking, drawn))
            sending = asyncio.ensure_future(self._send(talking, feed, viewer, drawn))
            try:
                await asyncio.wait((listening, sending), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (listening, sending):
                    task.cancel()
                await asyncio.gather(listening, sending, return_exceptions=True)
                self._sockets.discard(talking)
            code = listening.result() if not listening.cancelled() and listening.exception() is None else 1001
            with suppress(ConnectionError, asyncio.TimeoutError):
                await asyncio.wait_for(talking.close(code=code), 1)
            return talking

    async def _listen(self, talking: Any, drawn: asyncio.Queue[int]) -> int:
        """Read acknowledgements; returns the WebSocket's closing code."""
        async for message in talking:
            if message.type is not WSMsgType.BINARY or len(message.data) != _ACK.size or drawn.full():
                return 1008
            drawn.put_nowait(_ACK.unpack(message.data)[0])
        return 1000

    async def _send(self, talking: Any, feed: Feed, viewer: _Viewer, drawn: asyncio.Queue[int]) -> None:
        version = 0
        while True:
            try:
                coded = await asyncio.wait_for(feed.take(version), _ALIVE_S)
            except asyncio.TimeoutError:
                await self._in_time(talking.send_bytes(HEAD.pack(0, version & 0xFFFFFFFF, 0.0, 0)))
                continue
            version = coded.version
            mask, picture = coded.parts
            age_ms = (self._clock.now_ns() - coded.picture.captured_ns) / 1e6
            head = HEAD.pack(1, version & 0xFFFFFFFF, age_ms, len(mask))
            await self._in_time(talking.send_bytes(b"".join((head, mask, picture))))
            await self._in_time(self._acknowledged(drawn, version & 0xFFFFFFFF))
            viewer.seen(coded, self._clock.now_ns())

    @staticmethod
    async def _acknowledged(drawn: asyncio.Queue[int], version: int) -> None:
        while await drawn.get() != version:
            pass

    async def mjpeg(self, request: Any) -> Any:
        """``GET /stream.mjpg?kind=``: for programs that support nothing else. There are no acknowledgements, so no more
        than a picture waits here for a slow one."""
        with self._joined(request, "mjpeg") as (feed, viewer):
            if viewer.kind == "cutout":
                raise Refused(400, "MJPEG has no transparency: use /obs")
            response = web.StreamResponse(
                headers={"Content-Type": f"multipart/x-mixed-replace; boundary={_BOUNDARY}"},
            )
            response.force_close()
            await response.prepare(request)
            request.transport.set_write_buffer_limits(high=0)
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _AHEAD)
            version = 0
            with suppress(ConnectionError, asyncio.TimeoutError):
                while True:
                    with suppress(asyncio.TimeoutError):  # nothing newer: send the last one again
                        coded = await asyncio.wait_for(feed.take(version), 1)
                        version = coded.version
                    if not version:
                        continue
                    picture = coded.parts[1]
                    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                    await self._in_time(response.write(head.encode() + picture + b"\r\n"))
                    viewer.seen(coded, self._clock.now_ns())
            return response

    @staticmethod
    async def _in_time(sending: Any) -> None:
        """Disconnect a viewer that accepts nothing for long."""
        await asyncio.wait_for(sending, _STALLED_S)
