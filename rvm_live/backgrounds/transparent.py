"""No background at all: the result keeps its alpha."""

from __future__ import annotations

from rvm_live.backgrounds.base import Background, Clear

__all__ = ["TransparentBackground"]


class TransparentBackground(Background):
    """The result keeps its alpha; a window shows a checkerboard behind it."""

    label = "transparent"

    def layer(self, width: int, height: int, now_ns: int) -> Clear:
        return Clear()
