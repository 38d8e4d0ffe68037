"""A viewer of every kind of picture that the page serves, who looks for the room in it."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress

import aiohttp
import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.sinks.web.viewers import HEAD

__all__ = ["Onlookers"]


class Onlookers:
    """Watches all kinds at once, on its own thread, from :meth:`start` to :meth:`stop`.

    Args:
        room: a picture -> the share of it that shows the room.
        person: a picture -> whether somebody is in it.

    Attributes:
        room: the largest share of the room in any picture, by kind.
        frozen_s: the longest that a person stood still, by kind.
        seen: number of pictures, by kind.
    """

    def __init__(self, room, person) -> None:
        self._room_in, self._person_in = room, person
        self.room = dict.fromkeys(("result", "matte", "cutout"), 0.0)
        self.frozen_s = dict.fromkeys(self.room, 0.0)
        self.seen = dict.fromkeys(self.room, 0)
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, source: str) -> None:
        """Watch the server that has this address for OBS."""
        base, _, token = source.partition("/obs#")
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all(base, token)), name="onlookers")
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    async def _all(self, base: str, token: str) -> None:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
            await asyncio.gather(*(self._look(session, base, kind) for kind in self.room))

    async def _look(self, session: aiohttp.ClientSession, base: str, kind: str) -> None:
        since: float | None = None
        with suppress(aiohttp.ClientError):
            async with session.ws_connect(f"{base}/api/v1/watch?kind={kind}") as talking:
                while not self._over.is_set():
                    try:
                        message = await talking.receive(0.5)
                    except asyncio.TimeoutError:
                        continue
                    if message.type is not aiohttp.WSMsgType.BINARY:
                        return
                    is_picture, number, _, masked = HEAD.unpack_from(message.data)
                    if not is_picture:
                        continue
                    picture = _decoded(message.data[HEAD.size + masked :])
                    self.seen[kind] += 1
                    self.room[kind] = max(self.room[kind], self._room_in(picture))
                    now = time.monotonic()
                    if since is not None:
                        self.frozen_s[kind] = max(self.frozen_s[kind], now - since)
                    shown = picture if not masked else _decoded(message.data[HEAD.size : HEAD.size + masked])[..., 3:]
                    there = self._person_in(picture) if kind == "result" else bool((shown > 128).mean() > 0.01)
                    since = now if there else None
                    await talking.send_bytes(number.to_bytes(4, "little"))


def _decoded(data: bytes) -> NDArray[np.uint8]:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
