"""The built-in backgrounds."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from rvm_live.backgrounds.base import Background
from rvm_live.backgrounds.blur import BlurBackground
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.backgrounds.image import ImageBackground
from rvm_live.backgrounds.transparent import TransparentBackground
from rvm_live.backgrounds.video import VideoBackground
from rvm_live.media.suffixes import FILMS, PICTURES

__all__ = ["assets", "builtin"]

FIRST = "studio"
SCREEN_GREEN = "#00b140"


def assets() -> Path | None:
    """The folder of shipped backgrounds: inside the installed package, else in the source checkout."""
    package = Path(str(files("rvm_live")))
    for folder in (package / "_assets" / "backgrounds", package.parent / "assets" / "backgrounds"):
        if folder.is_dir():
            return folder
    return None


def builtin() -> list[Background]:
    """The shipped backgrounds: the default image, then one of each other kind, then the other images."""
    folder = assets()
    shipped = sorted(folder.iterdir()) if folder is not None else []
    images: list[Background] = [ImageBackground(path) for path in shipped if path.suffix in PICTURES]
    images.sort(key=lambda background: background.label != f"image {FIRST}")
    videos: list[Background] = [VideoBackground(path) for path in shipped if path.suffix in FILMS]
    plain = [BlurBackground(), *videos, TransparentBackground(), ColorBackground(SCREEN_GREEN)]
    return [*images[:1], *plain, *images[1:]]
