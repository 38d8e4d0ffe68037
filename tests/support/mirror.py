"""A real web server on the loopback that serves what a test wants, as a mirror of the official release."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Answer", "serving"]

Answer = Callable[[BaseHTTPRequestHandler, int], None]
"""Answers the n-th request, counted from 0."""


@contextmanager
def serving(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """Serve until the block ends; gives the base URL and the list of paths asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer(self, len(asked) - 1)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="mirror")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send(handler: BaseHTTPRequestHandler, body: bytes, *, status: int = 200, length: int | None = None) -> None:
    """Answer with ``body``; ``length`` announces another length than its own, -1 none."""
    handler.send_response(status)
    announced = len(body) if length is None else length
    if announced >= 0:
        handler.send_header("Content-Length", str(announced))
    handler.end_headers()
    handler.wfile.write(body)
