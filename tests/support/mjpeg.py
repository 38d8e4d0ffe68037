"""A network camera: a real MJPEG-over-HTTP server on the loopback that a test can slow down, stall and cut off."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2

from tests.support.sources import numbered

__all__ = ["MjpegServer"]

_BOUNDARY = "frame"


class MjpegServer:
    """Serves numbered pictures to every client, each from 0.

    Attributes:
        fps: pictures per second; may be changed while serving.
        url: address of the stream.
        clients: connections so far.
        answered: connections that were served.
        sent: pictures so far, over all connections.
        garbled: send data that is not a picture.
        frozen: send the same picture again and again.
        delay_s: seconds until a client is answered.
        silent: answer, but send no picture.
        shown: send this picture, uint8 (H, W, 3) BGR, instead of numbered ones.
        room: colour of the right half, B, G, R; None: the numbered picture has none.
    """

    def __init__(self, width: int = 320, height: int = 240, fps: float = 30.0, port: int = 0) -> None:
        self.width = width
        self.height = height
        self.fps = fps
        self.clients = 0
        self.garbled = False
        self.frozen = False
        self.delay_s = 0.0
        self.silent = False
        self.answered = 0
        self.sent = 0
        self.shown: Any = None
        self.room: tuple[int, int, int] | None = None
        self._stalled = threading.Event()
        self._cut = threading.Event()
        self._stopping = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server._serve(self)

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, name="mjpeg")
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/video"

    def __enter__(self) -> MjpegServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._cut.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def stall(self) -> None:
        """Stop sending, but keep connections open."""
        self._stalled.set()

    def resume(self) -> None:
        """Send again."""
        self._stalled.clear()

    def cut(self) -> None:
        """Close every connection in the middle of the stream; new ones are served."""
        self._cut.set()
        time.sleep(0.1)
        self._cut.clear()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        self.clients += 1
        if self._stopping.wait(self.delay_s):
            return
        self.answered += 1
        request.send_response(200)
        request.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        request.end_headers()
        number, due = 0, time.monotonic()
        try:
            while not (self._cut.is_set() or self._stopping.is_set()):
                if self._stalled.is_set() or self.silent:
                    time.sleep(0.01)
                    due = time.monotonic()
                    continue
                data = self._picture(0 if self.frozen else number)
                head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                request.wfile.write(head.encode() + data.tobytes() + b"\r\n")
                number += 1
                self.sent += 1
                due += 1 / self.fps
                time.sleep(max(0.0, due - time.monotonic()))
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _picture(self, number: int) -> Any:
        picture = numbered(self.width, self.height, number) if self.shown is None else self.shown
        if self.room is not None:
            picture[:, self.width // 2 :] = self.room
        done, data = cv2.imencode(".jpg", picture)
        assert done
        if self.garbled:
            data[len(data) // 4 :: 7] ^= 0x5A
            return data[: len(data) // (2 + number % 3)]
        return data
