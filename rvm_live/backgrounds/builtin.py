"""The backgrounds that come with the program, and the cycle that the ``b`` key goes through."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from rvm_live.backgrounds.base import Background
from rvm_live.backgrounds.blur import BlurBackground
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.backgrounds.image import IMAGE_SUFFIXES, ImageBackground
from rvm_live.backgrounds.parse import parse
from rvm_live.backgrounds.transparent import TransparentBackground
from rvm_live.backgrounds.video import VIDEO_SUFFIXES, VideoBackground

__all__ = ["assets", "builtin", "default_cycle"]

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
    """The shipped backgrounds: the default image, then one of every other kind, then the other images."""
    folder = assets()
    shipped = sorted(folder.iterdir()) if folder is not None else []
    images: list[Background] = [ImageBackground(path) for path in shipped if path.suffix in IMAGE_SUFFIXES]
    images.sort(key=lambda background: background.label != f"image {FIRST}")
    videos: list[Background] = [VideoBackground(path) for path in shipped if path.suffix in VIDEO_SUFFIXES]
    plain = [BlurBackground(), *videos, TransparentBackground(), ColorBackground(SCREEN_GREEN)]
    return [*images[:1], *plain, *images[1:]]


def default_cycle(specs: Sequence[str]) -> list[Background]:
    """The user's backgrounds, first shown first, then the built-in ones.

    A blur or transparency of the user's own takes the place of the built-in one.

    Args:
        specs: as :func:`~rvm_live.backgrounds.parse.parse` reads them.

    Raises:
        SettingsError, BackgroundError: one of them cannot be used.
    """
    chosen = [background for spec in specs for background in parse(spec)]
    single = (BlurBackground, TransparentBackground)
    kinds = {type(background) for background in chosen if isinstance(background, single)}
    return [*chosen, *(background for background in builtin() if type(background) not in kinds)]
