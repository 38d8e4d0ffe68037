"""Sound tracks: which ways a container has for them, and the way that encodes them anew."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
import av.error

from rvm_live.apps.batch.lanes import Copied
from rvm_live.media.ffmpeg import is_damage

__all__ = ["Encoded", "sound_ways"]

_FITS = {
    "mp4": {"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"},
    "mov": {"aac", "mp3", "ac3", "eac3", "alac"},
    "webm": {"opus", "vorbis"},
}
"""Codecs that a container stores unchanged; Matroska takes all, QuickTime also every PCM."""
_INSTEAD = {"mp4": "aac", "mov": "aac", "webm": "libopus", "mkv": "aac"}
_LOSSLESS = {"s32": "pcm_s24le", "flt": "pcm_f32le", "dbl": "pcm_f64le"}
# Seconds: where sound is out of step by more than this, gaps are filled with silence and overlaps cut. Containers that
# count in milliseconds are off by less.
_OUT_OF_STEP = "0.03"


def sound_ways(stream: Any, container: str) -> Iterator[str]:
    """The ways to copy or convert a sound track, best first.

    Args:
        stream: of the source; its codec is known.
        container: ``mp4``, ``mov``, ``mkv`` or ``webm``.

    Yields:
        Names of encoders; empty: the track is copied.
    """
    codec = stream.codec_context.codec.canonical_name
    pcm = codec.startswith("pcm_")
    if container == "mkv" or codec in _FITS[container] or (container == "mov" and pcm):
        yield ""
    if pcm and container in ("mkv", "mov"):
        whole = _LOSSLESS.get(stream.codec_context.format.name.removesuffix("p"), "pcm_s16le")
        yield "pcm_s32le" if "s32" in codec else whole
    yield _INSTEAD[container]


class Encoded(Copied):
    """A sound track that is decoded, converted to the encoder's format, and encoded.

    Silence takes the place of what is missing or damaged, so that the rest stays in step.

    Args:
        stream: of the source.
        out: the container being written, before its header.
        codec: name of the encoder.

    Raises:
        ValueError: the encoder cannot encode this sound in any format.
    """

    def __init__(self, stream: Any, out: Any, codec: str) -> None:
        self._codec = codec
        self._graph: Any = None
        self._form: Any = None
        self._due = Fraction(0)
        super().__init__(stream, out)

    def _begun(self, stream: Any) -> Any:
        decoder = stream.codec_context
        count = decoder.layout.nb_channels
        if decoder.layout.name == f"{count} channels" and not decoder.is_open:
            decoder.layout = f"{count}c"  # no channel layout is given: take the default for this number of channels
        rates = av.Codec(self._codec, "w").audio_rates or [decoder.sample_rate]
        rate = min((each for each in rates if each >= decoder.sample_rate), default=max(rates))
        layout = self._layout(rate, (decoder.layout.name, f"{count}c", "stereo", "mono"))
        made = self._out.add_stream(self._codec, rate=rate)
        made.codec_context.layout = layout
        changes = [self._codec]
        if rate != decoder.sample_rate:
            changes.append(f"{rate} Hz")
        if made.codec_context.layout.name != decoder.layout.name:
            changes.append(made.codec_context.layout.name)
        self.change = ", ".join(changes)
        self._target = made.codec_context
        return made

    def _layout(self, rate: int, names: tuple[str, ...]) -> str:
        """The first channel layout that the encoder accepts."""
        form = (av.Codec(self._codec, "w").audio_formats or ["s16"])[0]
        for name in names:
            trial = av.CodecContext.create(self._codec, "w")
            try:
                trial.sample_rate, trial.layout, trial.format = rate, name, form
                trial.open()
            except (av.error.FFmpegError, ValueError):
                continue
            return name
        raise ValueError(f"{self._codec} cannot encode any of {', '.join(names)} at {rate} Hz")

    def _write(self, packet: Any) -> None:
        for frame in packet.decode():
            self._push(frame)

    def _push(self, frame: Any) -> None:
        form = (frame.format.name, frame.layout.name, frame.sample_rate, frame.time_base)
        if form != self._form:
            self._flush()
            self._form, self._graph = form, self._converter(*form)
        if frame.pts is None:  # the last frame of a decoder
            frame.pts = round(self._due / frame.time_base)
        self._due = frame.pts * frame.time_base + Fraction(frame.samples, frame.sample_rate)
        self._graph.push(frame)
        self._pull()

    def _converter(self, name: str, layout: str, rate: int, time_base: Any) -> Any:
        graph = av.filter.Graph()
        target = self._target
        nodes = (
            graph.add(
                "abuffer",
                sample_fmt=name, channel_layout=layout, sample_rate=str(rate), time_base=str(time_base),
            ),
            graph.add("aresample", **{"async": "1", "min_hard_comp": _OUT_OF_STEP}),
            graph.add(
                "aformat",
                sample_fmts=target.format.name, channel_layouts=target.layout.name, sample_rates=str(target.rate),
            ),
            graph.add("abuffersink"),
        )  # fmt: skip
        for one, other in pairwise(nodes):
            one.link_to(other)
        graph.configure()
        return graph

    def _pull(self) -> None:
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            for packet in self.made.encode(frame):
                self._mux(packet)

    def _flush(self) -> None:
        if self._graph is not None:
            self._graph.push(None)
            self._pull()
            self._graph = None

    def finish(self) -> None:
        try:
            self._flush()
            for packet in self.made.encode(None) if self._form is not None else ():
                self._mux(packet)
        except Exception as error:
            if not is_damage(error):
                raise
            self.damaged += 1
