"""A viewer of the page's pictures, in a process of its own: ``python -m benchmarks.viewer URL KIND``.

The first line on its standard input ends it. It then prints for each picture its number and the time of its arrival, in
seconds of ``time.perf_counter``, which on Linux is the same clock in every process.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import aiohttp
import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.sinks.web.viewers import HEAD

BITS, SIDE = 16, 16
"""A picture's number stands in its first rows: so many squares of so many pixels, white or black."""


def number_in(row: NDArray[np.uint8]) -> int:
    """Read a picture's number from a row of grey levels through the middle of the squares."""
    return sum(int(row[SIDE // 2 + bit * SIDE] > 127) << bit for bit in range(BITS))


async def look(source: str, kind: str, over: threading.Event) -> list[tuple[int, float]]:
    """Receive pictures and acknowledge each, as the page does."""
    base, _, token = source.partition("/obs#")
    found: list[tuple[int, float]] = []
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.ws_connect(f"{base}/api/v1/watch?kind={kind}") as talking,
    ):
        print("here", flush=True)
        while not over.is_set():
            message = await talking.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                break
            is_picture, number, _, masked = HEAD.unpack_from(message.data)
            if not is_picture:
                continue
            data = np.frombuffer(message.data, np.uint8)[HEAD.size + masked :]
            image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
            await talking.send_bytes(number.to_bytes(4, "little"))
            now = time.perf_counter()
            found.append((number_in(image[SIDE // 2]), now))
    return found


def main() -> None:
    over = threading.Event()

    def ended() -> None:
        sys.stdin.readline()
        over.set()

    threading.Thread(target=ended, daemon=True).start()
    for number, when in asyncio.run(look(sys.argv[1], sys.argv[2], over)):
        print(number, when)


if __name__ == "__main__":
    main()
