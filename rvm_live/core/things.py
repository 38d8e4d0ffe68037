"""Whether things of the room stay in the picture, as the user asked."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CHAIR", "Things"]

CHAIR = ("drop", "keep")
"""What to do with the chair, the microphone and other things that were recorded as part of the picture."""


@dataclass
class Things:
    """The user's request; may be changed from any thread, and takes effect with the next frame.

    Attributes:
        chair: one of :data:`CHAIR`.
        mirrored: frames come mirrored, unlike the pictures of the room.
    """

    chair: str = CHAIR[0]
    mirrored: bool = False
