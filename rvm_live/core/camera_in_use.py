"""Which source's pictures are matted now: told by the app that opens it, asked by an engine that begins anew."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CameraInUse", "Known"]


class Known(NamedTuple):
    """What a source is known by: what tells it from others, and its name in words; both empty before it is open."""

    identity: str = ""
    name: str = ""


class CameraInUse:
    """Set on the capture thread when a source opens, before its first picture; read on the matting thread.

    Attributes:
        now: what is in use.
    """

    def __init__(self) -> None:
        self.now = Known()
