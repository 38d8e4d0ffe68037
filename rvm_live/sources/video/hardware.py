"""Opens video files with a hardware decoder where one works."""

from __future__ import annotations

import sys
from typing import Any

from rvm_live.core.errors import words_of
from rvm_live.media.facts import picture_track
from rvm_live.media.ffmpeg import open_any

__all__ = ["open_decoding"]

_TYPES = {
    "win32": ("cuda", "d3d11va", "qsv"),
    "darwin": ("videotoolbox",),
    "linux": ("cuda", "vaapi", "qsv"),
}


def open_decoding(target: str) -> tuple[Any, str, str]:
    """Open a file with the first kind of hardware that decodes its first picture.

    Args:
        target: path or URL.

    Returns:
        The container, read from its beginning; the kind, ``software`` where none works; why the others do not.

    Raises:
        OSError: the file cannot be opened at all; PyAV's own errors are among them.
    """
    reasons = []
    for kind in _TYPES.get(sys.platform, ()):
        try:
            _try(target, kind)
            return _opened(target, kind), kind, ""
        except Exception as error:  # missing drivers fail in many ways; the file itself is tried below
            reasons.append(f"{kind}: {words_of(error)}")
    return open_any(target), "software", "; ".join(reasons)


def _try(target: str, kind: str) -> None:
    """Decode a picture; a device may open and then refuse the stream."""
    with _opened(target, kind) as container:
        next(container.decode(picture_track(container)))


def _opened(target: str, kind: str) -> Any:
    from av.codec.hwaccel import HWAccel

    # Without a fallback to software it fails when hardware decoding does not work, so that we know.
    accelerated = HWAccel(device_type=kind, allow_software_fallback=False)
    return open_any(target, hwaccel=accelerated)
