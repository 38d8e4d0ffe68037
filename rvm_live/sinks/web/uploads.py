"""Backgrounds uploaded by the page: limited in size, number and time, and checked before they are accepted."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from rvm_live.media.suffixes import FILMS, PICTURES, RAW_PICTURES
from rvm_live.sinks.web.guard import Refused

__all__ = ["MOST_BYTES", "received"]

MOST_BYTES = 256 << 20
_CHUNK_S, _WHOLE_S = 10.0, 300.0
_LONGEST_NAME = 120


async def received(request: Any, take: Callable[[Path, str], Any], run: Callable[..., Any]) -> Any:
    """Store the body of a request as a file while ``take`` checks it.

    Args:
        request: with ``?name=``, of which only the last part counts, and its suffix among those of pictures and films.
        take: called with the file, and the name; returns what is to be answered.
        run: runs something that takes long beside the event loop.

    Raises:
        Refused: too large, too slow, or called like neither picture nor film.
    """
    name = PureWindowsPath(PurePosixPath(request.query.get("name", "")).name).name[-_LONGEST_NAME:]
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in PICTURES | FILMS | RAW_PICTURES:
        raise Refused(415, f"{name!r} has no suffix of a picture or film")
    if (request.content_length or 0) > MOST_BYTES:
        raise _too_large()
    with tempfile.TemporaryDirectory(prefix="rvm-live-") as folder:
        path = Path(folder) / f"brought{suffix}"
        try:
            await asyncio.wait_for(_written(request.content, path), _WHOLE_S)
        except asyncio.TimeoutError:
            raise Refused(408, "too slow: no data arrived for a while") from None
        return await run(take, path, name)


async def _written(content: Any, path: Path) -> None:
    size = 0
    with path.open("wb") as file:
        while chunk := await asyncio.wait_for(content.readany(), _CHUNK_S):
            size += len(chunk)
            if size > MOST_BYTES:
                raise _too_large()
            file.write(chunk)


def _too_large() -> Refused:
    return Refused(413, f"too large: {MOST_BYTES >> 20} MiB at most")
