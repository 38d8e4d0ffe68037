"""A real HLS server on the loopback (RFC 8216): segments made by FFmpeg, and a playlist that advances in real time."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av

from tests.support.sources import numbered

__all__ = ["FPS", "HlsServer"]

FPS = 25
_WINDOW = 5


class HlsServer:
    """Serves numbered pictures at 25 a second.

    Args:
        folder: an empty folder for the segments.
        kind: ``live`` (the playlist is a window of five segments), ``event`` (it grows) or ``finished``.
        segment_s: length of a segment, seconds.
        fragmented: MP4 fragments instead of MPEG-TS.
        count: number of segments.
        begun: segments that are listed at the start.

    Attributes:
        url: of the playlist.
        asked: requested paths, in order.
        most: how many segments may be listed, at most ``count``; set it to stop the encoder.
        listed: segments in the playlist that was served last.
    """

    def __init__(
        self,
        folder: Path,
        *,
        kind: str = "live",
        segment_s: int = 2,
        fragmented: bool = False,
        count: int = 12,
        begun: int = 3,
    ) -> None:
        self.asked: list[str] = []
        self.most = count
        self.listed = 0
        self._folder, self._kind, self._segment_s = folder, kind, segment_s
        self._fragmented, self._begun = fragmented, begun
        self._began_s = time.monotonic()
        _write(folder, segment_s, count, fragmented=fragmented)
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server._answer(self)

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a reader may leave at any time

        self._http = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, name="hls")
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/list.m3u8?token=1"

    def __enter__(self) -> HlsServer:
        self._began_s = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        self.asked.append(path)
        body = self._playlist().encode() if path == "/list.m3u8" else (self._folder / path.strip("/")).read_bytes()
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _playlist(self) -> str:
        there = self.most
        if self._kind != "finished":
            there = min(there, self._begun + int((time.monotonic() - self._began_s) / self._segment_s))
        first = max(0, there - _WINDOW) if self._kind == "live" else 0
        self.listed = there
        lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{self._segment_s}"]
        lines.append(f"#EXT-X-MEDIA-SEQUENCE:{first}")
        if self._kind == "event":
            lines.append("#EXT-X-PLAYLIST-TYPE:EVENT")
        if self._fragmented:
            lines.append('#EXT-X-MAP:URI="init.mp4"')
        for number in range(first, there):
            lines += [f"#EXTINF:{self._segment_s}.0,", f"{number:03d}.{'m4s' if self._fragmented else 'ts'}"]
        if self._kind == "finished":
            lines.append("#EXT-X-ENDLIST")
        return "\n".join(lines) + "\n"


def _write(folder: Path, segment_s: int, count: int, *, fragmented: bool) -> None:
    options = {"hls_time": str(segment_s), "hls_list_size": "0"}
    options["hls_segment_filename"] = str(folder / ("%03d.m4s" if fragmented else "%03d.ts"))
    if fragmented:
        options |= {"hls_segment_type": "fmp4", "hls_fmp4_init_filename": "init.mp4"}
    with av.open(str(folder / "made.m3u8"), "w", format="hls", options=options) as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        every = str(FPS * segment_s)
        stream.options = {"preset": "ultrafast", "crf": "4", "g": every, "keyint_min": every, "sc_threshold": "0"}
        for number in range(FPS * segment_s * count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(96, 64, number), "bgr24")))
        container.mux(stream.encode())
