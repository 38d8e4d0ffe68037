"""Sends events to every open page (server-sent events)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiohttp import web

from rvm_live.sinks.web.guard import Refused

__all__ = ["Hub"]

_MOST, _WAITING = 16, 64
_QUIET_S, _STALLED_S = 10.0, 10.0


class Hub:
    """Sends events to all listeners; a slow one is disconnected, and gets the whole state when it returns.

    All of it belongs to the server's event loop.
    """

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[bytes | None]] = set()

    @property
    def wanted(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def tell(self, event: str, data: Any) -> None:
        """Send an event to all."""
        words = _event(event, data)
        for listener in self._listeners:
            if listener.full():
                while not listener.empty():
                    listener.get_nowait()
                listener.put_nowait(None)
            else:
                listener.put_nowait(words)

    def leave(self) -> None:
        """Disconnect all."""
        for listener in self._listeners:
            with suppress(asyncio.QueueFull):
                listener.put_nowait(None)

    async def listen(self, request: Any, first: Mapping[str, Any]) -> Any:
        """Answer with events for as long as the page is open, the first ones at once."""
        if len(self._listeners) >= _MOST:
            raise Refused(503, f"{_MOST} pages are open already: close one")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        response.force_close()
        await response.prepare(request)
        mine: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
        for event, data in first.items():
            mine.put_nowait(_event(event, data))
        self._listeners.add(mine)
        try:
            with suppress(ConnectionError, asyncio.TimeoutError):
                while (words := await self._next(mine)) is not None:
                    await asyncio.wait_for(response.write(words), _STALLED_S)
        finally:
            self._listeners.discard(mine)
        return response

    @staticmethod
    async def _next(mine: asyncio.Queue[bytes | None]) -> bytes | None:
        try:
            return await asyncio.wait_for(mine.get(), _QUIET_S)
        except asyncio.TimeoutError:
            return b": still here\n\n"


def _event(event: str, data: Any) -> bytes:
    return f"event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
