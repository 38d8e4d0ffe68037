"""What is written on a file: title and date, chapters, time code, and its tracks' languages and marks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

__all__ = ["label_file", "label_track", "lost"]

_FILE = (
    "title", "artist", "album", "album_artist", "composer", "genre", "track", "disc", "comment", "description",
    "synopsis", "show", "episode_id", "network", "copyright", "date", "creation_time",
)  # fmt: skip
"""Of a file. Where it was taken, with what and by which program is nobody's business but the input's."""
_TRACK = ("language", "title")
_QUICKTIME = {
    "cym": "wel", "deu": "ger", "ell": "gre", "eus": "baq", "hye": "arm", "isl": "ice", "kat": "geo", "mkd": "mac",
    "mya": "bur", "nld": "dut", "sqi": "alb", "swe": "sve", "zho": "chi", "bod": "tib", "msa": "may", "fre": "fra",
    "cze": "ces", "rum": "ron", "slo": "slk",
}  # fmt: skip
"""Languages that QuickTime numbers, and that FFmpeg's table of its numbers knows by this name alone."""
_TOLD = {"title": "title", "date": "date", "creation_time": "date of recording", "language": "language"}


def label_file(source: Any, out: Any, made: Any, shift: Fraction) -> None:
    """Put on a file what another has: tags, chapters and the time code of its picture.

    Args:
        source: container they come from.
        out: container being written, before its header.
        made: its picture's stream.
        shift: seconds by which times in ``out`` are later than in ``source``.
    """
    out.metadata.update(_kept(source.metadata, _FILE))
    if code := _timecode(source):
        made.metadata["timecode"] = code
    if hasattr(out, "set_chapters"):
        out.set_chapters([_moved(each, shift) for each in _chapters(source, shift)])


def label_track(stream: Any, made: Any, container: str) -> None:
    """Put a track's language and title, and what it is for, on the track it becomes."""
    kept = _named(stream, container)
    if "title" in kept and container in ("mp4", "mov"):
        kept["handler_name"] = kept["title"]  # where players look for it in these
    made.metadata.update(kept)
    made.disposition = stream.disposition


def lost(source: Any, out: Any, container: str, shift: Fraction, tracks: Sequence[tuple[str, int, int]]) -> list[str]:
    """What did not arrive, a line each.

    Args:
        source: container it comes from.
        out: the finished file, opened again.
        container: its kind, for the words.
        shift: as :func:`label_file` had it.
        tracks: name, number in ``source`` and number in ``out`` of each.
    """
    wanted, there = _kept(source.metadata, _FILE), _kept(out.metadata, _FILE)
    gone = [_TOLD[name] for name in wanted if name in _TOLD and name not in there]
    if _timecode(source) and not _timecode(out):
        gone.append("time code")
    if len(_chapters(source, shift)) > len(_chapters(out, Fraction(0))):
        gone.append("chapters")
    for told, before, after in tracks:
        if after >= len(out.streams):
            gone.append(told)
            continue
        one, other = source.streams[before], out.streams[after]
        there = {"title": other.metadata.get("handler_name"), **_named(other, container)}
        missing = [name for name, text in _named(one, container).items() if there.get(name) != text]
        gone += [f"{_TOLD[name]} of {told}" for name in missing]
    return [f"{container} does not take the {each}, left out" for each in gone]


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


def _timecode(container: Any) -> str:
    """The time code of the first picture, wherever this container keeps it."""
    places = [*container.streams.video, *container.streams.data, container]
    codes = (_kept(each.metadata, ("timecode",)) for each in places)
    return next((code["timecode"] for code in codes if code), "")


def _chapters(container: Any, shift: Fraction) -> list[dict[str, Any]]:
    """Those that end after the beginning."""
    found = container.chapters() if hasattr(container, "chapters") else []
    return [each for each in found if each["end"] * each["time_base"] + shift > 0]


def _moved(chapter: dict[str, Any], shift: Fraction) -> dict[str, Any]:
    ticks = round(shift / chapter["time_base"])
    return {**chapter, "start": max(0, chapter["start"] + ticks), "end": chapter["end"] + ticks}
