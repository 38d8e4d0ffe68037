"""Copies one track from a file to another, packet by packet."""

from __future__ import annotations

from typing import Any

from av.format import Flags

from rvm_live.media.ffmpeg import is_damage

__all__ = ["Copied"]


class Copied:
    """A track whose packets are taken as they are.

    Args:
        stream: of the source.
        out: the container being written, before its header.

    Attributes:
        made: the stream in ``out``.
        change: what differs in the new track; empty if it is copied.
        damaged: number of unusable packets.
        written: number of written packets.
    """

    change = ""

    def __init__(self, stream: Any, out: Any) -> None:
        self._out = out
        self.damaged = self.written = 0
        self._last: int | None = None
        # Whether two packets may have the same time.
        self._step = 0 if out.format.flags & Flags.ts_nonstrict.value else 1
        self.made = self._begun(stream)

    def _begun(self, stream: Any) -> Any:
        return self._out.add_stream_from_template(stream, opaque=True)

    def write(self, packet: Any) -> None:
        """Write one packet; its times are on the clock of the file being written.

        Raises:
            OSError: the file cannot be written.
        """
        try:
            self._write(packet)
        except Exception as error:
            if not is_damage(error):
                raise
            self.damaged += 1

    def _write(self, packet: Any) -> None:
        packet.stream = self.made
        if self._last is not None:
            packet.pts = packet.dts = max(packet.pts, self._last + self._step)
        self._last = packet.pts
        self._mux(packet)

    def _mux(self, packet: Any) -> None:
        self._out.mux(packet)
        self.written += 1

    def finish(self) -> None:
        """Write what is held back.

        Raises:
            OSError: the file cannot be written.
        """
