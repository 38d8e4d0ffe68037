"""Opens local files with libav safely, as plain files.

libav reads ``http:a.mp4`` as an address, ``%03d.png`` as a pattern, and follows a file that lists other files and
addresses, whatever it is called. Here a name is a name, and a file is the one file that is read.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from rvm_live.media.image_headers import MOST_PIXELS

__all__ = ["address", "code_of", "codec_of", "is_damage", "open_any", "open_file", "opened"]

_LISTS = frozenset(
    ("concat", "dash", "hls", "imf", "rtp", "rtsp", "sap", "sdp", "vobsub", "webm_dash_manifest")
)  # fmt: skip
"""Formats that name other files, or addresses."""
_PATIENCE_S = 30.0
_LIMIT = {"max_pixels": str(MOST_PIXELS)}
"""Larger pictures are not decoded, not even to inspect them: a header alone could make FFmpeg allocate gigabytes."""


def address(path: Path | str) -> str:
    """The address with which libav opens this file, whatever its name."""
    return f"file:{os.fspath(path)}"


def opened(file: Any, **options: Any) -> Any:
    """Open for reading; text that is not UTF-8 is ignored.

    Args:
        file: what ``av.open`` takes.
        options: of ``av.open``.

    Returns:
        The PyAV container.
    """
    import av

    if int(av.__version__.split(".")[0]) < 19:  # from version 19 on such bytes are kept, and the option is gone
        options["metadata_errors"] = "ignore"
    return av.open(file, **options)


def open_file(path: Path | str, **options: Any) -> Any:
    """Open only this file for reading. A picture is a film of one frame.

    Args:
        path: a local file.
        options: of ``av.open``.

    Returns:
        The PyAV container.

    Raises:
        ValueError: it lists other files, or cannot be read.
        OSError: likewise; PyAV's own errors are among them.
    """
    import av.error

    from rvm_live.media.stills import as_film

    if (film := as_film(Path(path))) is not None:
        return _limited(opened(film, format="mov", **options))
    only = {"protocol_whitelist": "file", "format_whitelist": _formats(), "pattern_type": "none"}
    try:
        return _limited(opened(address(path), options={**only, **_LIMIT}, **options))
    except av.error.ArgumentError as error:
        raise ValueError("it is damaged, or a list of other files (a playlist), which is not opened") from error


def open_any(target: str, **options: Any) -> Any:
    """Open a file likewise, or an address (``scheme://...``) as libav does, which may lead to others.

    Args:
        target: path or address.
        options: of ``av.open``. What waits for an address gives up after half a minute, if no ``timeout`` is given.
    """
    if "://" not in target:
        return open_file(target, **options)
    mine = {"timeout": _PATIENCE_S, **options, "options": {**options.get("options", {}), **_LIMIT}}
    return _limited(opened(target, **mine))


def _limited(container: Any) -> Any:
    """Apply the limits for probing a file to decoding, too."""
    for stream in container.streams.video:
        if stream.codec_context is not None:
            stream.codec_context.options = {**stream.codec_context.options, **_LIMIT}
    return container


@lru_cache
def _formats() -> str:
    import av

    return ",".join(sorted(each for each in av.formats_available if _LISTS.isdisjoint(each.split(","))))


def codec_of(stream: Any) -> str:
    """The name of a stream's codec."""
    return str(stream.codec_context.name) if stream.codec_context is not None else "unknown codec"


def code_of(stream: Any) -> str:
    """The code of a stream's format, such as ``avc1``; the name of its codec where the container has none for it."""
    tag = "".join(c for c in str(stream.codec_context.codec_tag) if c.isprintable()).strip()
    return tag if len(tag) == 4 else codec_of(stream)


def is_damage(error: BaseException) -> bool:
    """Whether the data is damaged, as opposed to an error of the system."""
    import av.error

    return isinstance(error, av.error.FFmpegError | ValueError) and not isinstance(error, OSError | MemoryError)
