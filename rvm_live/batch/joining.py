"""Segments and sound into one file, without encoding anything again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from rvm_live.batch.media import Facts
from rvm_live.batch.sound import Sound
from rvm_live.errors import SinkError
from rvm_live.libav import address, open_file
from rvm_live.sinks.encoder import Recipe

__all__ = ["join"]


def join(
    segments: Sequence[Path],
    pts: Sequence[Sequence[int]],
    out: Path,
    recipe: Recipe,
    container: str,
    facts: Facts,
    source: Path,
    stopped: Callable[[], bool] = lambda: False,
    end: int | None = None,
) -> list[str]:
    """Write one file.

    Args:
        segments: files with one picture track each, in order.
        pts: time stamps of each segment's frames, in units of ``facts.time_base``, increasing.
        out: the file.
        recipe: what the segments were made by.
        container: ``mp4``, ``mov``, ``mkv`` or ``webm``.
        facts: of the input.
        source: the input, whose sound is taken.
        stopped: asked often; if it says so, what is written is of no use.
        end: when the last picture ends, in the same units; None: after the usual time.

    Returns:
        What could not be copied as it was.

    Raises:
        SinkError: a segment does not hold what it should.
    """
    stamps = [stamp for each in pts for stamp in each]
    late = _reordering(segments) if recipe.seekable else 0
    sound: Sound | None = None
    # Exact to the bit: without names and numbers that change from run to run.
    options = {**recipe.container_options, "fflags": "+bitexact", "avoid_negative_ts": "disabled"}
    with av.open(address(out), "w", format=recipe.muxer, options=options) as file:
        with open_file(segments[0]) as first:
            stream: Any = file.add_stream_from_template(first.streams.video[0], opaque=True)
            if "alpha_mode" in first.streams.video[0].metadata:
                stream.metadata["alpha_mode"] = first.streams.video[0].metadata["alpha_mode"]
        stream.time_base = facts.time_base
        try:
            if facts.sound:
                sound = Sound(source, file, container)
            for place, (packet, rank) in enumerate(_packets(segments, pts)):
                if stopped():
                    break
                packet.pts = stamps[rank]
                packet.dts = _decoding_time(stamps, place, late, facts)
                packet.duration = _duration(stamps, rank, facts, end)
                packet.time_base = facts.time_base
                packet.stream = stream
                if sound is not None:
                    sound.pump(float(packet.dts * facts.time_base))
                file.mux(packet)
            if sound is not None and not stopped():
                sound.finish()
                return sound.notes
        finally:
            if sound is not None:
                sound.close()
    return []


def _packets(segments: Sequence[Path], pts: Sequence[Sequence[int]]) -> Iterator[tuple[Any, int]]:
    """Every packet as it is to be decoded, with the number of its frame as it is to be shown."""
    before = 0
    for path, stamps in zip(segments, pts, strict=True):
        ranks = _ranks(path)
        if len(ranks) != len(stamps):
            raise SinkError(f"{path.name} holds {len(ranks)} pictures where {len(stamps)} were written")
        with open_file(path) as file:
            shown = iter(ranks)
            for packet in file.demux(video=0):
                if packet.size:
                    yield packet, before + next(shown)
        before += len(stamps)


def _ranks(path: Path) -> list[int]:
    """For each packet the number of its frame as it is to be shown: a container may round time stamps, but it does not
    change their order."""
    with open_file(path) as file:
        times = [packet.pts or 0 for packet in file.demux(video=0) if packet.size]
    ranks = [0] * len(times)
    for rank, place in enumerate(sorted(range(len(times)), key=lambda place: (times[place], place))):
        ranks[place] = rank
    return ranks


def _reordering(segments: Sequence[Path]) -> int:
    """By how many frames a picture is decoded before it is shown, at most."""
    most = 0
    for path in segments:
        most = max([most, *(place - rank for place, rank in enumerate(_ranks(path)))])
    return most


def _decoding_time(stamps: Sequence[int], place: int, late: int, facts: Facts) -> int:
    """Time stamps as they come, so many frames late: increasing, and never after the picture's own."""
    if place >= late:
        return stamps[place - late]
    return stamps[0] - (late - place) * _nominal(facts)


def _duration(stamps: Sequence[int], rank: int, facts: Facts, end: int | None) -> int:
    if rank + 1 < len(stamps):
        return stamps[rank + 1] - stamps[rank]
    return _nominal(facts) if end is None else max(1, end - stamps[rank])


def _nominal(facts: Facts) -> int:
    return max(1, round(1 / (Fraction(facts.rate) * facts.time_base)))
