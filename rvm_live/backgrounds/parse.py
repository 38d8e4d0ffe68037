"""Reads the user's background specifications, and makes the cycle of backgrounds."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit
from urllib.request import url2pathname

from rvm_live.backgrounds.base import Background
from rvm_live.backgrounds.blur import DEFAULT_STRENGTH, BlurBackground
from rvm_live.backgrounds.builtin import builtin
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.backgrounds.fit import check_fit
from rvm_live.backgrounds.image import ImageBackground
from rvm_live.backgrounds.live import LiveBackground
from rvm_live.backgrounds.slides import DEFAULT_S, SlideShow
from rvm_live.backgrounds.transparent import TransparentBackground
from rvm_live.backgrounds.video import VideoBackground
from rvm_live.core.colors import NAMES
from rvm_live.core.errors import BackgroundError, SettingsError, told_as
from rvm_live.core.registry import BACKGROUNDS
from rvm_live.media.image_headers import is_animation
from rvm_live.media.suffixes import FILMS, PICTURES, RAW_PICTURES
from rvm_live.system.folders import at_home
from rvm_live.weights import consent

__all__ = ["SYNTAX", "default_cycle", "from_path", "in_folder", "parse", "parse_one"]

SYNTAX = (
    "transparent, blur, blur:25, blur:lens, red, #00ff88, image:PATH, video:PATH, slides:FOLDER, camera:1, an "
    "address, the path of a file or folder, or a plug-in"
)

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_COLOUR = re.compile(rf"{'|'.join(NAMES)}|#[0-9a-f]*", re.IGNORECASE)
_FIT = re.compile(r"(?P<path>.+)\?fit=(?P<fit>\w*)")
_EVERY = re.compile(r"(?P<path>.+):(?P<number>\d+(?:\.\d+)?)(?P<unit>[smh]?)", re.ASCII)
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse(spec: str) -> list[Background]:
    """Read one background specification.

    ===================================  =====================================================================
    ``transparent``                      keep alpha
    ``blur``, ``blur:25``                the surroundings out of focus; strength 1 to 100
    ``blur:lens``, ``blur:lens:25``      likewise like a camera lens, with lamps as round spots
    ``#0f8``, ``navy``, ``color:navy``   one colour (``colour:`` too); a folder that is called so comes first
    ``image:PATH``, ``video:PATH``       a file; ``?fit=cover``, ``contain`` or ``stretch`` may follow the path
    ``slides:FOLDER``, ``slides:F:5m``   its pictures one after the other, every 5 minutes, ``90``, ``90s``, ``2h``
    ``camera:1``, ``camera:NAME``        another camera
    ``rtsp://…``, ``http://…``           a stream
    ``PATH``                             a file by its suffix; or a folder: all its images and videos, by name
    ``stars``, ``package.module:Class``  a plug-in's, where no file is called so; ``:argument`` may follow
    ===================================  =====================================================================

    Returns:
        One background, or several for a folder; files were looked into, but stay closed.

    Raises:
        SettingsError: unknown kind, colour, strength or fit; a plug-in that cannot be loaded or made.
        BackgroundError: a file is missing, unreadable or not what it should be; a folder holds nothing to show; no
            camera is called so.
    """
    text = spec.strip()
    if "\0" in text:
        raise SettingsError("a background's name contains a zero byte")
    kind, colon, value = text.partition(":")
    kind = kind.lower()
    if kind in ("image", "video") and _ADDRESS.match(value):
        raise SettingsError(f"{kind}: takes a file, not an address: save {value} as a file and name that file")
    if text[:7].lower() == "file://":
        return _path(url2pathname(urlsplit(text).path), spec)
    if _ADDRESS.match(text):
        if not text.partition("://")[2].strip("/"):
            raise SettingsError(f"the address {text!r} has no host: write it like https://example.org/video.mp4")
        if PurePosixPath(re.split(r"[?#]", text)[0]).suffix.lower() in PICTURES:
            raise SettingsError(f"a picture must be a file, not an address: save {text} as a file and name that file")
        return [LiveBackground(*_without_fit(text))]
    if kind == "camera" and colon and not os.path.lexists(text):
        if not value.strip():
            raise SettingsError(f"background {spec!r} does not name a camera: write camera:1 or camera:NAME")
        return [LiveBackground(*_without_fit(value.strip()), camera=True)]
    if kind == "transparent" and not value:
        return [TransparentBackground()]
    if kind == "blur":
        lens, behind, strength = value.partition(":")
        if lens.lower() == "lens":
            return [BlurBackground(_strength(strength) if behind else DEFAULT_STRENGTH, lens=True)]
        return [BlurBackground(_strength(value)) if colon else BlurBackground()]
    if kind in ("color", "colour") and colon:
        return [ColorBackground(value)]
    if kind in ("image", "video") and colon:
        if not value:
            raise SettingsError(f"background {spec!r} does not name a file: write {kind}:PATH")
        return [_file(*_split_fit(value), kind)]
    if kind == "slides" and colon:
        return [_slides(value, spec)]
    if _COLOUR.fullmatch(text) and not os.path.isdir(text):
        return [ColorBackground(text)]
    if not os.path.lexists(text) and (plugged := BACKGROUNDS.plugged(text)) is not None:
        background: Background = BACKGROUNDS.make(*plugged)
        consent.warn_of(f"the background {plugged[0]}")
        return [background]
    return _path(text, spec)


def parse_one(spec: str) -> Background:
    """As :func:`parse`, where it can be one background alone.

    Raises:
        SettingsError: it is a folder, too.
        BackgroundError: as :func:`parse`.
    """
    found = parse(spec)
    if len(found) > 1:
        raise SettingsError(f"the background {spec} is a folder with {len(found)} files: name one of them")
    return found[0]


def from_path(path: Path) -> list[Background]:
    """A file that the user pointed at, whatever its name; or all images and videos of a folder.

    Raises:
        BackgroundError: it contains nothing to show.
    """
    if path.is_dir():
        return _folder(path, "cover")
    if (kind := _kind(path)) or not path.exists():
        return [_file(path, "cover", kind)]
    for kind in ("image", "video"):
        with suppress(BackgroundError):
            return [_file(path, "cover", kind)]
    raise BackgroundError(f"{path} contains no picture and no video")


def default_cycle(specs: Sequence[str]) -> list[Background]:
    """The backgrounds that key ``b`` goes through: the user's own first, then the built-in ones.

    A blur or transparency from the user replaces the built-in one.

    Args:
        specs: as :func:`parse` reads them.

    Raises:
        SettingsError, BackgroundError: one of them cannot be used.
    """
    chosen = [background for spec in specs for background in parse(spec)]
    single = (BlurBackground, TransparentBackground)
    kinds = {type(background) for background in chosen if isinstance(background, single)}
    return [*chosen, *(background for background in builtin() if type(background) not in kinds)]


def _strength(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise SettingsError(f"blur strength {value!r} is not a number: write blur:25, from 1 to 100") from None


def _without_fit(text: str) -> tuple[str, str]:
    match = _FIT.fullmatch(text)
    return (text, "cover") if match is None else (match["path"], check_fit(match["fit"]))


def _split_fit(text: str) -> tuple[Path, str]:
    path, fit = _without_fit(text)
    return at_home(Path(path)), fit


def _slides(value: str, spec: str) -> SlideShow:
    """Read ``slides:``; a folder whose name looks like a time comes first."""
    if not value:
        raise SettingsError(f"background {spec!r} does not name a folder: write slides:FOLDER or slides:FOLDER:5m")
    text, every_s = value, DEFAULT_S
    folder, fit = _split_fit(text)
    timed = _EVERY.fullmatch(value.removesuffix(f"?fit={fit}"))
    if timed is not None and not os.path.isdir(folder):
        folder, every_s = at_home(Path(timed["path"])), float(timed["number"]) * _UNITS[timed["unit"]]
    show = SlideShow(folder, fit, every_s)
    show.check()
    return show


def _path(text: str, spec: str) -> list[Background]:
    path, fit = _split_fit(text)
    with told_as(BackgroundError, f"cannot read the background {path}"):
        is_folder, exists = path.is_dir() and bool(text), path.exists() and bool(text)
    if is_folder:
        return _folder(path, fit)
    kind = _kind(path)
    if exists or kind:
        if not kind:
            raise BackgroundError(f"the suffix of the background {path} is unknown: write image:{path} or video:{path}")
        return [_file(path, fit, kind)]
    if re.search(r"[/\\]", text):
        raise BackgroundError(f"there is no background file or folder {path}")
    names = "".join(f", {name}" for name in BACKGROUNDS.plugins())
    raise SettingsError(f"unknown background {spec!r}: write {SYNTAX}: package.module:Class{names}")


def _kind(path: Path) -> str:
    """``image`` or ``video``, by its suffix, and where pictures that move are called like others, by its contents."""
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        with suppress(OSError):  # reported when it is opened
            return "video" if is_animation(path) else "image"
        return "image"
    return "video" if suffix in FILMS | RAW_PICTURES else ""


def _file(path: Path, fit: str, kind: str) -> Background:
    if path.is_dir():
        raise BackgroundError(f"{path} is a folder: write it without '{kind}:' to use everything in it")
    background = VideoBackground(path, fit) if kind == "video" else ImageBackground(path, fit)
    background.check()
    return background


def _folder(folder: Path, fit: str) -> list[Background]:
    with told_as(BackgroundError, f"cannot read the background folder {folder}"):
        found: list[Background] = [*in_folder(folder, fit)]
    if not found:
        raise BackgroundError(f"the background folder {folder} contains no image and no video")
    return found


def in_folder(folder: Path, fit: str = "cover") -> list[ImageBackground | VideoBackground]:
    """Its images and videos, by name. They are not decoded, because there may be hundreds: a broken one is
    reported and skipped.

    Raises:
        OSError: the folder cannot be read.
    """
    files = sorted((f for f in folder.iterdir() if f.is_file()), key=lambda f: (f.name.casefold(), f.name))
    kinds = [(file, _kind(file)) for file in files if not file.name.startswith(".")]
    return [VideoBackground(f, fit) if kind == "video" else ImageBackground(f, fit) for f, kind in kinds if kind]
