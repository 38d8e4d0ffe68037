"""Places without people that come with the program: to learn before, and to guard with."""

from __future__ import annotations

import cv2

from rvm_live.backgrounds.builtin import assets
from rvm_live.core.arrays import Bytes
from rvm_live.sources.demo.scenery import Scenery

__all__ = ["places"]

_GUARDS = ("leaves",)
_SIDE = 640


def places() -> tuple[list[Bytes], list[Bytes]]:
    """Places to learn before, and others that are never learnt from, uint8 (H, W, 3) BGR."""
    folder = assets()
    found = {path.stem: cv2.imread(str(path)) for path in sorted(folder.glob("*.jpg"))} if folder is not None else {}
    small = {
        name: cv2.resize(each, None, fx=_SIDE / each.shape[1], fy=_SIDE / each.shape[1], interpolation=cv2.INTER_AREA)
        for name, each in found.items()
        if each is not None
    }
    guards = [each for name, each in small.items() if name in _GUARDS]
    return [each for name, each in small.items() if name not in _GUARDS], [*guards, Scenery(640, 360).at(0.0)]
