"""A real web server on the loopback that serves what a test wants, as a mirror of the official release would."""

from __future__ import annotations

import atexit
import shutil
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.conftest import missing

__all__ = ["Answer", "certificate", "send", "serving"]

Answer = Callable[[BaseHTTPRequestHandler, int], None]
"""Answers the n-th request, counted from 0."""


@lru_cache
def certificate() -> Path:
    """A new certificate for the loopback and its key, in one file. Nobody trusts it except programs told to
    (``REQUESTS_CA_BUNDLE``)."""
    openssl = shutil.which("openssl")
    if openssl is None:
        missing("no openssl, which makes a certificate for the test's server", required="RVM_LIVE_REQUIRE_DATA")
    path = Path(tempfile.mkdtemp(prefix="rvm-live-test-")) / "loopback.pem"
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    subprocess.run(
        [
            *(str(openssl), "req", "-x509", "-nodes", "-days", "2", "-newkey", "rsa:2048"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(path.with_suffix(".key")), "-out", str(path)),
        ],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + path.with_suffix(".key").read_bytes())
    return path


@contextmanager
def serving(answer: Answer, *, secure: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Serve until the block ends (``secure``: over https); gives the base URL and the list of requested paths."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer(self, len(asked) - 1)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate())
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="mirror")
    thread.start()
    try:
        yield f"http{'s' if secure else ''}://127.0.0.1:{server.server_address[1]}/v1", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send(handler: BaseHTTPRequestHandler, body: bytes, *, status: int = 200, length: int | None = None) -> None:
    """Answer with ``body``; ``length`` announces another length than the body's, -1 announces none."""
    handler.send_response(status)
    announced = len(body) if length is None else length
    if announced >= 0:
        handler.send_header("Content-Length", str(announced))
    handler.end_headers()
    handler.wfile.write(body)
