"""A separate program that holds one connection: it reads an encoded stream from standard input and sends it.

A program of its own, because libav connects while it holds Python's lock: a server that does not answer would stop the
camera, the window and every other output with it.

The first line of its input is JSON, ``{"url": ..., "muxer": ..., "options": {...}}``: an address holds a secret key,
and everybody on a machine can read the arguments of a program. It prints ``connecting``, then ``live`` once the first
packet is sent, and at the end, after a failure, one line with the reason.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

__all__ = ["PIPE", "main"]

PIPE = "nut"
"""The container between the two: it holds every codec and adds no delay."""


def main() -> int:
    """Send until the input ends; returns the exit code."""
    import av

    asked = json.loads(sys.stdin.buffer.readline())
    url, muxer, options = asked["url"], asked["muxer"], asked["options"]
    quick = {"analyzeduration": "0", "probesize": "32"}  # all that the demuxer needs stands at the beginning
    try:
        with av.open(sys.stdin.buffer, format=PIPE, options=quick, buffer_size=2048) as source:
            if muxer == "hls":
                os.makedirs(os.path.dirname(url) or ".", exist_ok=True)
                url = f"file:{url}"
            _tell("connecting")
            with av.open(url, "w", format=muxer, options={"flush_packets": "1", **options}) as sink:
                _pass_on(source, sink)
    except Exception as error:  # libav and the system may raise anything: the last line reports it
        _tell(f"error {getattr(error, 'strerror', None) or error or type(error).__name__}")
        return 1
    return 0


def _pass_on(source: Any, sink: Any) -> None:
    tracks = {stream.index: sink.add_stream_from_template(stream) for stream in source.streams}
    told = False
    for packet in source.demux():
        if packet.size == 0:
            continue  # marks the end
        if packet.dts is None:  # of the first packet; decoding order is display order here
            packet.dts = packet.pts
        packet.stream = tracks[packet.stream.index]
        sink.mux(packet)
        if not told:
            told = True
            _tell("live")


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
