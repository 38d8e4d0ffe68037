"""Backgrounds as the page shows them: by an id, of a kind, with a small picture. Never by a path."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from rvm_live.backgrounds.base import Background
from rvm_live.backgrounds.blur import BlurBackground
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.backgrounds.image import ImageBackground
from rvm_live.backgrounds.slides import SlideShow
from rvm_live.backgrounds.transparent import TransparentBackground
from rvm_live.backgrounds.video import VideoBackground
from rvm_live.sinks.web.encoding import jpeg
from rvm_live.sinks.web.program import WebProgram

__all__ = ["Gallery", "drawn"]

SIZE = (288, 162)
_MOST_KEPT = 400


class Gallery:
    """The backgrounds to choose from; used by one thread at a time.

    Args:
        program: whose backgrounds they are.
    """

    def __init__(self, program: WebProgram) -> None:
        self._program = program
        self._pictures: OrderedDict[str, bytes] = OrderedDict()

    def listed(self, names: Sequence[str]) -> list[Mapping[str, Any]]:
        """Each with its id, name and kind: image, video, blur, colour, transparent or other."""
        return [{"id": _id(name), "name": name, **_facts(self._program.background(name))} for name in names]

    def thumbnail(self, id: str) -> bytes | None:
        """A JPEG; None where there is no such background, or nothing to draw.

        Raises:
            BackgroundError: it cannot be read.
        """
        if id not in self._pictures:
            name = next((each for each in self._program.controls.choices("background") if _id(str(each)) == id), None)
            picture = None if name is None else drawn(self._program.background(name))
            if picture is None:
                return None
            self._pictures[id] = picture
            if len(self._pictures) > _MOST_KEPT:
                self._pictures.popitem(last=False)
        return self._pictures[id]


def drawn(background: Background | None) -> bytes | None:
    """The first picture of a still or film, small, as JPEG; None of what has none.

    Raises:
        BackgroundError: it cannot be read.
    """
    if not isinstance(background, ImageBackground | SlideShow | VideoBackground):
        return None
    # An object of its own: the other belongs to the compositing thread.
    own = type(background)(background.path, background.fit)
    own.exact = True
    try:
        own.open()
        return jpeg(own.layer(*SIZE, 0).image, 80)
    finally:
        own.close()


def _id(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _facts(background: Background | None) -> Mapping[str, Any]:
    if isinstance(background, BlurBackground):
        layer = background.layer(1, 1, 0)
        return {"kind": "blur", "strength": layer.strength, **({"lens": True} if layer.lens else {})}
    if isinstance(background, ColorBackground):
        blue, green, red = background.bgr
        return {"kind": "colour", "colour": f"#{red:02x}{green:02x}{blue:02x}"}
    kinds: dict[type[Background] | type[None], str] = {
        TransparentBackground: "transparent",
        ImageBackground: "image",
        SlideShow: "video",
        VideoBackground: "video",
    }
    return {"kind": kinds.get(type(background), "other")}
