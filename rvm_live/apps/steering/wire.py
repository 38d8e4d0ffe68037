"""JSON lines over a socket, with limits of length and time."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any

__all__ = ["LONGEST_ANSWER", "LONGEST_WISH", "Lines", "WireError"]

LONGEST_WISH = 64 * 1024
LONGEST_ANSWER = 1024 * 1024


class WireError(Exception):
    """The received data is not a line of JSON, or is too long or too late."""


class Lines:
    """One side of a connection.

    Args:
        connection: a connected socket.
        longest: bytes of a line that is read, at most.
        seconds: how long nothing may come, and how long an answer may take to be taken.
    """

    def __init__(self, connection: socket.socket, longest: int, seconds: float) -> None:
        connection.settimeout(seconds)
        self._connection, self._longest = connection, longest
        self._waiting = b""

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; raises OSError if it is not received."""
        self._connection.sendall(json.dumps(message, default=str).encode() + b"\n")

    def receive(self) -> dict[str, Any] | None:
        """The next message; None at the end of the connection.

        Raises:
            WireError: it cannot be read.
        """
        while b"\n" not in self._waiting:
            if len(self._waiting) > self._longest:
                raise WireError(f"a line is longer than {self._longest} bytes")
            try:
                more = self._connection.recv(16384)
            except TimeoutError:
                raise WireError("nothing arrived in time") from None
            except OSError as error:
                raise WireError(str(error)) from None
            if not more:
                if self._waiting:
                    raise WireError("the line ends too early")
                return None
            self._waiting += more
        line, _, self._waiting = self._waiting.partition(b"\n")
        if len(line) > self._longest:
            raise WireError(f"a line is longer than {self._longest} bytes")
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            raise WireError("a line is not JSON") from None
        if not isinstance(message, dict):
            raise WireError("a line is not a JSON object")
        return message
