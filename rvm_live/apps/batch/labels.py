"""Labels of a file: title and date, chapters, time code, and its tracks' languages and flags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rvm_live.media.timecode import Timecode, true_rate

__all__ = ["Part", "label_file", "label_track", "lost", "timecode_of"]

_FILE = (
    "title", "artist", "album", "album_artist", "composer", "genre", "track", "disc", "comment", "description",
    "synopsis", "show", "episode_id", "network", "copyright", "date", "creation_time",
)  # fmt: skip
"""Tags of a file that are copied. Place, device and program of a recording are private, and stay in the input."""
_TRACK = ("language", "title")
_QUICKTIME = {
    "cym": "wel", "deu": "ger", "ell": "gre", "eus": "baq", "hye": "arm", "isl": "ice", "kat": "geo", "mkd": "mac",
    "mya": "bur", "nld": "dut", "sqi": "alb", "swe": "sve", "zho": "chi", "bod": "tib", "msa": "may", "fre": "fra",
    "cze": "ces", "rum": "ron", "slo": "slk",
}  # fmt: skip
"""Languages that QuickTime stores as numbers, for which FFmpeg's table has only this name."""
_TOLD = {"title": "title", "date": "date", "creation_time": "date of recording", "language": "language"}


@dataclass(frozen=True)
class Part:
    """The part of a file that is used, seconds on its clock.

    Attributes:
        start: of the first picture.
        end: of the last picture's time; None: the end of the file's longest track.
    """

    start: Fraction = Fraction(0)
    end: Fraction | None = None


def label_file(source: Any, out: Any, made: Any, shift: Fraction, part: Part = Part()) -> None:
    """Copy tags, chapters and the picture's time code from one file to another.

    Args:
        source: container they come from.
        out: container being written, before its header.
        made: its picture's stream.
        shift: seconds by which times on the clock of ``source`` are later than its stamps.
        part: what of the file is taken.
    """
    out.metadata.update(_kept(source.metadata, _FILE))
    if code := timecode_of(source):
        made.metadata["timecode"] = _later(code, part.start, source)
    if hasattr(out, "set_chapters"):
        out.set_chapters(_chapters(source, shift, part))


def label_track(stream: Any, made: Any, container: str) -> None:
    """Copy a track's language, title and flags to the new track."""
    kept = _named(stream, container)
    if "title" in kept and container in ("mp4", "mov"):
        kept["handler_name"] = kept["title"]  # where players look for the title in these containers
    made.metadata.update(kept)
    made.disposition = stream.disposition


def lost(
    source: Any, out: Any, container: str, shift: Fraction, tracks: Sequence[tuple[str, int, int]], part: Part = Part()
) -> list[str]:
    """The labels that are missing, one line each.

    Args:
        source: container it comes from.
        out: the finished file, opened again.
        container: its kind, for the words.
        shift: as :func:`label_file` had it.
        tracks: name, number in ``source`` and number in ``out`` of each.
        part: likewise.
    """
    wanted, there = _kept(source.metadata, _FILE), _kept(out.metadata, _FILE)
    gone = [_TOLD[name] for name in wanted if name in _TOLD and name not in there]
    if timecode_of(source) and not timecode_of(out):
        gone.append("time code")
    if len(_chapters(source, shift, part)) > len(_chapters(out)):
        gone.append("chapters")
    for told, before, after in tracks:
        if after >= len(out.streams):
            gone.append(told)
            continue
        one, other = source.streams[before], out.streams[after]
        there = {"title": other.metadata.get("handler_name"), **_named(other, container)}
        missing = [name for name, text in _named(one, container).items() if there.get(name) != text]
        gone += [f"{_TOLD[name]} of {told}" for name in missing]
    return [f"{container} cannot store the {each}, left out" for each in gone]


def _kept(metadata: dict[str, str], names: Sequence[str]) -> dict[str, str]:
    """The entries that are kept, their names in small letters: Matroska has them in large ones."""
    small = {name.lower(): text for name, text in metadata.items()}
    return {name: small[name] for name in names if small.get(name, "") not in ("", "und")}


def _named(stream: Any, container: str) -> dict[str, str]:
    """A track's language and title, as the container has them."""
    kept = _kept(stream.metadata, _TRACK)
    if container == "mov" and "language" in kept:
        kept["language"] = _QUICKTIME.get(kept["language"], kept["language"])
    return kept


def timecode_of(container: Any) -> str:
    """The time code of an open file's first picture, wherever its container stores it; empty if there is none."""
    places = [*container.streams.video, *container.streams.data, container]
    codes = (_kept(each.metadata, ("timecode",)) for each in places)
    return next((code["timecode"] for code in codes if code), "")


def _later(code: str, seconds: Fraction, source: Any) -> str:
    """A file's time code a number of seconds after its beginning."""
    first, pictures = Timecode.parse(code), source.streams.video
    rate = pictures[0].average_rate or pictures[0].guessed_rate if pictures else None
    if first is None or not rate or not seconds:
        return code
    nominal, true = true_rate(Fraction(rate))
    try:
        return str(Timecode.of(first.count(nominal) + round(seconds * true), nominal, drop=first.drop))
    except ValueError:  # this rate has no time code: keep the text as it is
        return code


def _chapters(container: Any, shift: Fraction = Fraction(0), part: Part = Part()) -> list[dict[str, Any]]:
    """Those that reach into a part of a file, on that part's own clock."""
    moved = shift - part.start
    kept = []
    for each in container.chapters() if hasattr(container, "chapters") else []:
        base = each["time_base"]
        ticks = round(moved / base)
        start, end = max(0, each["start"] + ticks), each["end"] + ticks
        if part.end is not None:
            end = min(end, round((part.end - part.start) / base))
        if end > start or (part.end is None and end > 0):
            kept.append({**each, "start": start, "end": end})
    return kept
