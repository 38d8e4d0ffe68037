"""Subtitle tracks: which ways a container has for them, and the way that writes text anew."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from rvm_live.apps.batch.lanes import Copied

__all__ = ["Rewritten", "subtitle_ways"]

_TEXT = {"mp4": "mov_text", "mov": "mov_text", "mkv": "subrip", "webm": "webvtt"}
_MILLISECOND = Fraction(1, 1000)


def subtitle_ways(stream: Any, container: str) -> Iterator[str]:
    """The ways to copy or convert a subtitle track, best first.

    Args:
        stream: of the source; its codec is known.
        container: ``mp4``, ``mov``, ``mkv`` or ``webm``.

    Yields:
        Names of encoders; empty: the track is copied. Pictures of text do not become text.
    """
    codec = stream.codec_context.codec
    if container == "mkv" or codec.canonical_name == _TEXT[container]:
        yield ""
    if codec.text_sub:
        yield _TEXT[container]


class Rewritten(Copied):
    """Subtitle text converted to another container's format, with its emphasis.

    Args:
        stream: of the source.
        out: the container being written, before its header.
        codec: name of the encoder.
    """

    def __init__(self, stream: Any, out: Any, codec: str) -> None:
        self.change = self._codec = codec
        self._decoder = stream.codec_context
        super().__init__(stream, out)

    def _begun(self, stream: Any) -> Any:
        self._decoder.open(strict=False)
        made = self._out.add_stream(self._codec)
        made.codec_context.subtitle_header = self._decoder.subtitle_header
        made.time_base = made.codec_context.time_base = _MILLISECOND
        return made

    def _write(self, packet: Any) -> None:
        text = self._decoder.decode2(packet)
        if text is None or not len(text):  # an empty text ends the previous subtitle
            return
        made = self.made.codec_context.encode_subtitle(text)
        made.pts = made.dts = round(packet.pts * packet.time_base / _MILLISECOND)
        made.duration = round((packet.duration or 0) * packet.time_base / _MILLISECOND)
        made.time_base, made.stream = _MILLISECOND, self.made
        self._mux(made)
