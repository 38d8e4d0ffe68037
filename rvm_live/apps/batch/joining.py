"""Joins segments, sound and everything else into one file, without encoding pictures again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from rvm_live.apps.batch.companions import Companions, Plan
from rvm_live.apps.batch.media import Facts
from rvm_live.core.errors import SinkError, words_of
from rvm_live.media.encoder import Recipe
from rvm_live.media.ffmpeg import address, is_damage, open_file

__all__ = ["join"]


def join(
    segments: Sequence[Path],
    pts: Sequence[Sequence[int]],
    out: Path,
    recipe: Recipe,
    facts: Facts,
    companions: Plan,
    stopped: Callable[[], bool] = lambda: False,
    end: int | None = None,
) -> list[str]:
    """Write one file.

    Args:
        segments: files with one picture track each, in order.
        pts: time stamps of each segment's frames, in units of ``facts.time_base``, increasing.
        out: the file.
        recipe: what the segments were made by.
        facts: of the input.
        companions: the plan for the input's sound and subtitles.
        stopped: called often; true ends it, and the result is discarded.
        end: when the last picture ends, in the same units; None: after the usual time.

    Returns:
        What could not be kept unchanged.

    Raises:
        SinkError: a segment does not contain what it should.
    """
    refused = ""
    plans = companions.plans()
    for plan in plans:
        try:
            told = _write(segments, pts, out, recipe, facts, plan, stopped, end)
        except Exception as error:
            if plan is plans[-1] or not is_damage(error):
                raise
            # All frames are matted by now: rather fewer streams beside the picture than no picture.
            refused = words_of(error)
        else:
            return [*told, *([f"the container refuses other streams of the file ({refused})"] if refused else [])]
    raise AssertionError("the last plan is the picture alone")


def _write(
    segments: Sequence[Path],
    pts: Sequence[Sequence[int]],
    out: Path,
    recipe: Recipe,
    facts: Facts,
    plan: Plan,
    stopped: Callable[[], bool],
    end: int | None,
) -> list[str]:
    stamps = [stamp for each in pts for stamp in each]
    late = _reordering(segments) if recipe.seekable else 0
    # Reproducible to the bit: without names and numbers that change from run to run.
    options = {**recipe.container_options, "fflags": "+bitexact", "avoid_negative_ts": "disabled"}
    with ExitStack() as opened:
        with av.open(address(out), "w", format=recipe.muxer, options=options) as file:
            stream = _picture(segments[0], file, facts)
            length = stamps[-1] + _duration(stamps, len(stamps) - 1, facts, end)
            beside = Companions(plan, file, stream, length * facts.time_base)
            opened.callback(beside.close)
            file.start_encoding()
            for place, (packet, rank) in enumerate(_packets(segments, pts)):
                if stopped():
                    return []
                packet.pts = stamps[rank]
                packet.dts = _decoding_time(stamps, place, late, facts)
                packet.duration = _duration(stamps, rank, facts, end)
                if place + 1 == len(stamps) and recipe.muxer in ("mp4", "mov"):
                    # These containers store the duration of decoding: where decoding began before the first picture, it
                    # also ends earlier.
                    earlier = late * _nominal(facts)
                    if rank == place > 0:  # lost pictures before the last one are no reason to decode it earlier
                        packet.dts = max(packet.dts, stamps[place] - earlier)
                    packet.duration = max(1, length - packet.dts - earlier)
                packet.time_base = facts.time_base
                packet.stream = stream
                beside.pump(float(packet.dts * facts.time_base))
                file.mux(packet)
            beside.finish()
        return [*beside.notes, *beside.lost(out)]


def _picture(segment: Path, out: Any, facts: Facts) -> Any:
    """A stream like a segment's, with its name for the codec: with a template alone the container chooses the name, and
    knows only one for each codec where QuickTime has several; it also omits the shape of pixels."""
    with open_file(segment) as first:
        like = first.streams.video[0]
        stream = out.add_stream_from_template(like, opaque=True)
        stream.codec_context.codec_tag = like.codec_tag
        stream.codec_context.framerate = facts.rate
        stream.codec_context.sample_aspect_ratio = facts.pixel
        if "alpha_mode" in like.metadata:
            stream.metadata["alpha_mode"] = like.metadata["alpha_mode"]
    stream.time_base = facts.time_base
    return stream


def _packets(segments: Sequence[Path], pts: Sequence[Sequence[int]]) -> Iterator[tuple[Any, int]]:
    """Every packet in decoding order, with the number of its frame in display order."""
    before = 0
    for path, stamps in zip(segments, pts, strict=True):
        ranks = _ranks(path)
        if len(ranks) != len(stamps):
            raise SinkError(f"{path.name} contains {len(ranks)} pictures, but {len(stamps)} were written")
        with open_file(path) as file:
            shown = iter(ranks)
            for packet in file.demux(video=0):
                if packet.size:
                    yield packet, before + next(shown)
        before += len(stamps)


def _ranks(path: Path) -> list[int]:
    """For each packet the number of its frame in display order: a container may round time stamps, but it does not
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
    """Decoding times: the display times shifted by so many frames, increasing, and never after the picture's own
    time."""
    if place >= late:
        return stamps[place - late]
    return stamps[0] - (late - place) * _nominal(facts)


def _duration(stamps: Sequence[int], rank: int, facts: Facts, end: int | None) -> int:
    if rank + 1 < len(stamps):
        return stamps[rank + 1] - stamps[rank]
    return _nominal(facts) if end is None else max(1, end - stamps[rank])


def _nominal(facts: Facts) -> int:
    return max(1, round(1 / (Fraction(facts.rate) * facts.time_base)))
