"""The local end of a connection: data written here goes through a separate program to the server."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import wait
from typing import Any

from rvm_live.core.beside import beside
from rvm_live.sinks.stream.targets import Target

__all__ = ["Connection"]

_END_S, _SILENT_END_S = 15.0, 3.0
"""Seconds that closing may take: while the server accepts data or the program is still starting; and otherwise."""
_LOOK_S = 0.25


class Connection:
    """A file that libav writes to; writing blocks while the server accepts nothing.

    Args:
        target: where it goes.
        stuck_s: seconds that one write may take before the connection is given up.

    Attributes:
        live: the server has accepted the first packet.
        sent: bytes written.
    """

    def __init__(self, target: Target, *, stuck_s: float) -> None:
        self.live = False
        self.sent = 0
        self._stuck_s = stuck_s
        self._last = ""
        self._connecting = False
        self._stuck = False
        flags: dict[str, Any] = {"start_new_session": True}  # Ctrl-C must reach the parent process only
        if sys.platform == "win32":
            flags = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rvm_live.sinks.stream.sender"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            **flags,
        )
        self._writing_since: float | None = None
        self._ended = threading.Event()
        self._threads = [beside("stream-told", self._listen), beside("stream-watch", self._watch)]
        asked = {"url": target.url, "muxer": target.muxer, "options": target.options}
        with contextlib.suppress(OSError):  # if the process could not even start, the next write reports it
            self.write(json.dumps(asked).encode() + b"\n")

    def write(self, data: bytes) -> int:
        """Called by libav.

        Raises:
            OSError: the connection is lost; :attr:`reason` says why.
        """
        assert self._process.stdin is not None
        self._writing_since = time.monotonic()
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except OSError:  # the process is about to end, or hangs
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_SILENT_END_S)
            raise
        self._writing_since = None
        self.sent += len(data)
        return len(data)

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    @property
    def reason(self) -> str:
        """Why it ended, in a few words."""
        if self._stuck:
            return f"the server has accepted nothing for {self._stuck_s:g} s"
        wait(self._threads[:1], _SILENT_END_S)
        return self._last or "the connection was closed"

    def close(self) -> None:
        """Send the waiting data, for at most some seconds, and close."""
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        try:
            self._process.wait(_SILENT_END_S if self._connecting and not self.live else _END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._ended.set()
        wait(self._threads)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _watch(self) -> None:
        """End a write that the server does not accept, which would block for ever."""
        while not self._ended.wait(_LOOK_S):
            since = self._writing_since
            if since is not None and time.monotonic() - since > self._stuck_s:
                self._stuck = True
                self._process.kill()
                return

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            text = line.decode("utf-8", "replace").strip()
            if text == "connecting":
                self._connecting = True
            elif text == "live":
                self.live = True
            elif text.startswith("error "):
                self._last = text.removeprefix("error ")
