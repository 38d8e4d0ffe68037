"""Reads the pictures of a video file, one after the other, with their times."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av.error

from rvm_live.core.errors import words_of
from rvm_live.media.deinterlace import Deinterlacer
from rvm_live.media.facts import UnreadableVideo, picture_track
from rvm_live.media.image_files import MOST_PIXELS, UnfitPicture, size_of
from rvm_live.media.timeline import Stamps, Timed, packets, timed

__all__ = ["Reading"]

_log = logging.getLogger("rvm_live.sources")

_USUAL = Fraction(1, 30)
_ENCRYPTED = "is encrypted: make a copy without encryption"
_LOOK = 1 << 20  # bytes


class Reading:
    """One pass over a file. Interlaced pictures are deinterlaced, damaged packets skipped.

    Args:
        opened: gives the file as an open PyAV container, at its beginning.
        name: its name in the log.
        threads: of a decoder in software; 0: it chooses.
        thorough: a decoder with several threads loses the frames in progress when a packet near the end is damaged;
            with this the file is then opened again, and its end decoded by one thread.

    Attributes:
        container: the open file.
        stream: its picture track.
        rate: nominal pictures per second; None where it does not say.

    Raises:
        UnreadableVideo: it has no picture.
        Exception: whatever ``opened`` raises.
    """

    def __init__(self, opened: Callable[[], Any], name: str, *, threads: int = 0, thorough: bool = False) -> None:
        self._opened, self._name = opened, name
        self._thorough = thorough
        self.container: Any = None
        self._begin(threads)
        rate = self.stream.average_rate or self.stream.guessed_rate
        self.rate = Fraction(rate) if rate else None

    def pictures(self) -> Iterator[Timed]:
        """Every picture that can be decoded, in order; a truncated file ends there.

        Raises:
            UnreadableVideo: none can be decoded; the message says why.
        """
        came = False
        for picture in timed(self._whole(), self._period):
            came = True
            yield picture
        if not came and self.container.format.name == "mpegts" and _is_scrambled(self.container.name):
            raise UnreadableVideo(_ENCRYPTED)
        if not came:
            raise UnreadableVideo("contains no picture that can be decoded: it is damaged or cut short")

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    @property
    def _period(self) -> Fraction:
        return 1 / self.rate if self.rate else _USUAL

    def _stamps(self) -> Stamps:
        return Stamps(self._period, reorders=bool(self.stream.codec_context.has_b_frames))

    def _begin(self, threads: int) -> None:
        self.container = self._opened()
        try:
            self.stream = picture_track(self.container)
        except BaseException:
            self.container.close()
            raise
        if not self.stream.codec_context.is_hwaccel:
            self.stream.thread_type = "AUTO"
            self.stream.codec_context.thread_count = threads

    def _whole(self) -> Iterator[Any]:
        whole = Deinterlacer()
        for frame in self._decoded():
            yield from self._made_whole(whole.push(frame))
        yield from self._made_whole(whole.flush())

    def _made_whole(self, frames: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from frames
        except av.error.FFmpegError as error:
            _log.warning("%s: an interlaced picture cannot be deinterlaced: %s", self._name, words_of(error))

    def _decoded(self) -> Iterator[Any]:
        stamps = self._stamps()
        last = None
        for frame in self._pass(stamps):
            last = frame.pts
            yield frame
        if stamps.lost and self._thorough:
            self.container.close()
            self._begin(threads=1)
            for frame in self._pass(self._stamps()):
                if last is None or frame.pts > last:
                    yield frame

    def _pass(self, stamps: Stamps) -> Iterator[Any]:
        damaged = False
        coming = packets(self.container, self.stream, [self.stream])
        packet: Any = None
        while True:
            first = packet is None
            try:
                packet = next(coming, None)
            except (av.error.FFmpegError, OSError) as error:
                _log.warning("%s ends too early: %s", self._name, words_of(error))
                packet = None
            if packet is not None:
                if first:
                    self._check(packet)
                stamps.sent(packet)
            try:
                for frame in self.stream.codec_context.decode(packet):
                    frame.time_base = frame.time_base or self.stream.time_base or self._period
                    yield from stamps.push(frame)
            except EOFError:  # the decoder has been given the end already
                pass
            except av.error.FFmpegError as error:
                if not damaged:
                    _log.warning("%s has damaged packets, which are skipped: %s", self._name, words_of(error))
                damaged = True
            if packet is None:
                break
        yield from stamps.flush()

    def _check(self, packet: Any) -> None:
        """Refuse a file that cannot be decoded, or only to noise, by its first packet."""
        encrypted = packet.has_sidedata("encryption_info") or packet.has_sidedata("encryption_init_info")
        if encrypted or "enc_key_id" in self.stream.metadata:
            raise UnreadableVideo(_ENCRYPTED)
        context = self.stream.codec_context
        sizes = [(context.width, context.height)]
        with suppress(UnfitPicture):
            sizes.append(size_of(bytes(packet)))  # for a still too large to be inspected before
        width, height = max(sizes, key=lambda size: size[0] * size[1])
        if width * height > MOST_PIXELS:
            most = MOST_PIXELS // 1_000_000
            raise UnreadableVideo(
                f"has {width} x {height} pixels: more than {most} megapixels are not decoded: scale it down"
            )


def _is_scrambled(name: str) -> bool:
    """Whether a transport stream's packets say so, most of them (ISO/IEC 13818-1, transport_scrambling_control)."""
    try:
        with open(name.removeprefix("file:"), "rb") as file:
            data = file.read(_LOOK)
    except OSError:  # it is an address
        return False
    for size in (188, 192, 204):
        for start in range(size):
            heads = data[start::size], data[start + 3 :: size]
            if len(heads[0]) > 4 and heads[0][:-1].count(0x47) == len(heads[0]) - 1:
                return sum(each >= 0x80 for each in heads[1]) > len(heads[1]) / 4
    return False
