"""Copies everything but the picture from one file to another: sound, subtitles and tags.

The plan for each track is made before the matting begins, by trying it with the first packets: a container or an
encoder that refuses is found then, and the next way is tried.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import av.error

from rvm_live.apps.batch.labels import Part, label_file, label_track, lost
from rvm_live.apps.batch.lanes import Copied
from rvm_live.apps.batch.sound import Encoded, sound_ways
from rvm_live.apps.batch.subtitles import Rewritten, subtitle_ways
from rvm_live.core.errors import words_of
from rvm_live.media.facts import picture_track
from rvm_live.media.ffmpeg import codec_of, is_damage, open_file
from rvm_live.media.suffixes import MUXERS
from rvm_live.media.timeline import packets, timeline_of

__all__ = ["Companions", "Plan", "plan"]

_TRIED = 24


@dataclass(frozen=True)
class Plan:
    """The plan for the tracks beside the picture.

    Attributes:
        source: the file they come from.
        container: the kind they go into, ``mp4``, ``mov``, ``mkv`` or ``webm``.
        ways: number of a stream in the source -> encoder, empty where it is copied.
        notes: what is changed or left out.
        labels: whether title, chapters and the like are copied.
        start: where the used part of the source begins, seconds on its clock.
        cut: it ends with the picture; otherwise with the longest track of the source.
    """

    source: Path
    container: str
    ways: dict[int, str]
    notes: tuple[str, ...] = ()
    labels: bool = True
    start: Fraction = Fraction(0)
    cut: bool = False

    def plans(self) -> list[Plan]:
        """This plan, and simpler ones that ask less of the container."""
        bare = replace(self, labels=False)
        return [self, bare, *([replace(bare, ways={})] if self.ways else [])]


def plan(source: Path, container: str) -> Plan:
    """Plan each track.

    Args:
        source: the file.
        container: ``mp4``, ``mov``, ``mkv`` or ``webm``.

    Raises:
        ValueError: the file cannot be read.
        OSError: likewise; PyAV's own errors are among them.
    """
    ways: dict[int, str] = {}
    notes: list[str] = []
    with open_file(source) as file:
        for told, stream in _tracks(file):
            if stream.codec_context is None:
                notes.append(f"{told}: {codec_of(stream)}, left out")
                continue
            if stream.type == "audio" and not _begins(source, stream.index):
                notes.append(f"{told}: empty, left out")
                continue
            codec = stream.codec_context.codec.canonical_name
            way, change = _settled(source, stream, container)
            if way is None:
                notes.append(f"{told}: {codec} cannot be stored in {container}, left out")
                continue
            ways[stream.index] = way
            if change:
                notes.append(f"{told}: {codec} cannot be stored in {container}, encoded as {change}")
        if container != "mkv" and file.streams.attachments:
            notes.append(f"{container} cannot store attached files (fonts), left out")
    return Plan(source, container, ways, tuple(notes))


def _tracks(file: Any) -> Iterator[tuple[str, Any]]:
    for kind, streams in (("sound", file.streams.audio), ("subtitle", file.streams.subtitles)):
        for number, stream in enumerate(streams, 1):
            yield f"{kind} track {number}", stream


def _begins(source: Path, index: int) -> bool:
    """Whether there is anything in a track."""
    with open_file(source) as file:
        return any(True for _ in _first(file, file.streams[index]))


def _first(file: Any, stream: Any) -> Iterator[Any]:
    """The first packets of a track, or fewer where the file breaks off."""
    with suppress(av.error.FFmpegError):
        yield from islice((packet for packet in file.demux(stream) if packet.size), _TRIED)


def _settled(source: Path, stream: Any, container: str) -> tuple[str | None, str]:
    """The first way that works, and what it changes; None if none works."""
    for way in sound_ways(stream, container) if stream.type == "audio" else subtitle_ways(stream, container):
        try:
            return way, _tried(source, stream.index, container, way)
        except Exception as error:
            if not is_damage(error) and not isinstance(error, AttributeError):
                # AttributeError: an older PyAV without this encoder.
                raise
    return None, ""


def _tried(source: Path, index: int, container: str, way: str) -> str:
    """Try a way with the first packets of a track; returns what it changes."""
    with open_file(source) as file, av.open(io.BytesIO(), "w", MUXERS[container]) as out:
        stream = file.streams[index]
        lane = _lane(stream, out, way)
        out.start_encoding()
        if stream.type == "audio":  # only sound: subtitles may be hours apart
            order = _Order()
            for packet in _first(file, stream):
                order.put(packet)
                lane.write(packet)
            lane.finish()
            if lane.damaged and not lane.written:
                raise ValueError("no packet of it can be used")
        return lane.change


def _lane(stream: Any, out: Any, way: str) -> Copied:
    if not way:
        return Copied(stream, out)
    return Encoded(stream, out, way) if stream.type == "audio" else Rewritten(stream, out, way)


class _Order:
    """Brings the times of packets in order: those without follow the one before, and none comes before it."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, int]] = {}  # number of a stream -> start and end of its last packet

    def put(self, packet: Any) -> None:
        before, end = self._last.get(packet.stream_index, (None, 0))
        own = packet.pts if packet.pts is not None else packet.dts
        time = end if own is None else own
        packet.pts = packet.dts = time = time if before is None else max(time, before)
        self._last[packet.stream_index] = (time, time + (packet.duration or 0))


class Companions:
    """The tracks beside the picture while they are written.

    Args:
        plan: the plan for them.
        out: container being written, before its header.
        picture: its picture's stream.
        seconds: how long the picture is.

    Attributes:
        notes: what is changed or left out.
    """

    def __init__(self, plan: Plan, out: Any, picture: Any, seconds: Fraction) -> None:
        self._plan = plan
        self._part = Part(plan.start, plan.start + seconds if plan.cut else None)
        self._behind: set[int] = set()
        self._broken = ""
        self._held: Any = None
        self._order = _Order()
        with ExitStack() as opened:
            self._in: Any = opened.enter_context(open_file(plan.source))
            self._names = {stream.index: told for told, stream in _tracks(self._in)}
            self._lanes = {index: _lane(self._in.streams[index], out, way) for index, way in plan.ways.items()}
            # Read now: a closed file no longer tells.
            self._made = {index: lane.made.index for index, lane in self._lanes.items()}
            if plan.container == "mkv":
                for attached in self._in.streams.attachments:  # fonts for subtitles
                    out.add_stream_from_template(attached)
            track = picture_track(self._in)
            self._shift = timeline_of(self._in, track).shift
            if plan.labels:
                label_file(self._in, out, picture, self._shift, self._part)
                for index, lane in self._lanes.items():
                    label_track(self._in.streams[index], lane.made, plan.container)
            streams = [self._in.streams[index] for index in self._lanes]
            self._packets = packets(self._in, track, streams) if streams else iter(())
            self._opened = opened.pop_all()

    @property
    def notes(self) -> list[str]:
        notes = list(self._plan.notes)
        for index, lane in self._lanes.items():
            if lane.damaged:
                several = "s" if lane.damaged > 1 else ""
                notes.append(f"{self._names[index]}: {lane.damaged} damaged packet{several}, left out")
        return notes + ([f"the sound ends too early: {self._broken}"] if self._broken else [])

    def pump(self, until: float | None) -> None:
        """Write what belongs before ``until`` seconds of the file being written; None: the rest."""
        while (packet := self._held or self._next()) is not None:
            self._held = packet
            if until is not None and float(packet.dts * packet.time_base) > until:
                return
            self._held = None
            self._lanes[packet.stream_index].write(packet)

    def finish(self) -> None:
        """Write all that is left."""
        self.pump(None)
        for lane in self._lanes.values():
            lane.finish()

    def lost(self, made: Path) -> list[str]:
        """Check the finished file: labels that are missing, one line each."""
        with open_file(made) as out:
            tracks = [(self._names[index], index, at) for index, at in self._made.items()]
            return lost(self._in, out, self._plan.container, self._shift, tracks, self._part)

    def close(self) -> None:
        """Close the source."""
        self._opened.close()

    def _taken(self, packet: Any) -> bool:
        """Whether a packet reaches into the used part; its times are put on that part's clock. Sound is copied in whole
        packets, the first of which may begin a little before the part; a subtitle ends with the part at the latest."""
        base, part = packet.time_base, self._part
        if part == Part():
            return True
        began = packet.pts * base
        ended = began + (packet.duration or 0) * base
        if part.end is not None and began >= part.end:
            self._behind.add(packet.stream_index)
            return False
        if part.start and ended <= part.start:
            return False
        if packet.stream.type == "subtitle":
            last = ended if part.end is None else min(ended, part.end)
            began = max(began, part.start)
            packet.duration = round((last - began) / base)
        packet.pts = packet.dts = round((began - part.start) / base)
        return True

    def _next(self) -> Any:
        """The next packet, its times in order in its track."""
        try:
            while self._behind < self._lanes.keys() and (packet := next(self._packets, None)) is not None:
                if packet.size:
                    self._order.put(packet)
                    if self._taken(packet):
                        return packet
        except av.error.FFmpegError as error:
            self._broken = words_of(error)
            self._packets = iter(())
        return None
