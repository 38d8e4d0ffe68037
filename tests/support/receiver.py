"""A server for streams, in a process of its own: libav listens and saves what arrives in a file.

python -m tests.support.receiver ADDRESS OPTIONS_AS_JSON FILE
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from tests.conftest import ROOT

__all__ = ["free_port", "receiving"]


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of this machine that nobody uses."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def receiving(address: str, path: Path, *, listen: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Receive until the stream ends, or the block."""
    options = {"listen": "1"} if listen else {}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.receiver", address, json.dumps(options), str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
        process.stdout.close()


def main(address: str, options: str, path: str) -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    source: Any = None
    end = time.monotonic() + 60
    while source is None:
        try:
            source = av.open(address, options=json.loads(options), timeout=(60, 4))
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
    with av.open(path, "w") as kept, contextlib.suppress(OSError):
        tracks = {stream.index: kept.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = tracks[packet.stream.index]
                kept.mux(packet)


if __name__ == "__main__":
    main(*sys.argv[1:])
