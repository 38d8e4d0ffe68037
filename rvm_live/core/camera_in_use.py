"""Which source's pictures are matted now: set by the app that opens it, read by an engine that starts anew."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CameraInUse", "Known"]


class Known(NamedTuple):
    """A source's identity and its name in words; both empty before it is open."""

    identity: str = ""
    name: str = ""


class CameraInUse:
    """Set on the capture thread when a source opens, before its first picture; read on the matting thread.

    Attributes:
        now: the source in use.
    """

    def __init__(self) -> None:
        self.now = Known()
