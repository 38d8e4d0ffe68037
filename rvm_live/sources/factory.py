"""Makes a source from the value of ``--source``."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import SourceUnavailableError
from rvm_live.core.registry import SOURCES
from rvm_live.core.settings import SourceSettings
from rvm_live.media.image_headers import is_animation
from rvm_live.media.suffixes import PICTURES
from rvm_live.sources.base import Source
from rvm_live.system.folders import at_home
from rvm_live.weights import consent

__all__ = ["open_source"]

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_V4L_DEVICE = re.compile(r"/dev/video(\d+)")


def open_source(settings: SourceSettings, clock: Clock = SYSTEM_CLOCK) -> Source:
    """Choose the source that ``settings.source`` names. Opens no device yet, but looks whether a file is there.

    In this order: ``auto``, ``demo``, a URL, a number (a camera), a file that exists, a plug-in's name or
    ``package.module:Class``, either with ``:argument`` behind it, a camera's name. Text that looks like a file that
    does not exist is tried as a camera's name. A tilde in front of a file's path stands for a user's home.

    Raises:
        SourceUnavailableError: there is no such file, or it is a folder.
        SettingsError: a plug-in cannot be loaded or made.
    """
    spec = settings.source
    if spec in SOURCES.builtin:
        return SOURCES.load(spec)(settings, clock)  # type: ignore[no-any-return]
    if _SCHEME.match(spec):
        if spec[:7].lower() != "file://":
            return _from_url(settings, clock)
        spec = url2pathname(urlsplit(spec).path)
        settings = replace(settings, source=spec)
    path = Path(spec)
    try:
        if not os.path.lexists(spec) and (home := at_home(path)) != path:
            path, spec = home, str(home)
            settings = replace(settings, source=spec)
        is_file, exists = path.is_file(), path.exists()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise SourceUnavailableError(f"cannot look for a file called {spec[:80]!r}: {why}") from error
    if spec.isdecimal() and not is_file:
        return _camera(settings, clock)
    if exists:
        return _from_file(path, settings, clock)
    if (plugged := SOURCES.plugged(spec)) is not None:
        name, argument = plugged
        source: Source = SOURCES.make(name, replace(settings, argument=argument))
        consent.warn_of(f"the source {name}")
        return source
    if _looks_like_a_file(path) and not _is_called(spec):
        raise SourceUnavailableError(f"there is no file {spec}")
    return _camera(settings, clock)


def _looks_like_a_file(path: Path) -> bool:
    """A folder before it or a suffix behind it; "USB2.0 HD UVC WebCam" has none, nor has "FHD v1.2"."""
    return len(path.parts) > 1 or (path.suffix[1:].isalnum() and not path.suffix[1:].isdecimal())


def _is_called(spec: str) -> bool:
    """Whether a camera's name is, or contains, what looks like a file: "Cam w/ Mic", "C920.x"."""
    from rvm_live.sources.camera.camera import known_by_name, list_cameras

    return known_by_name(spec, list_cameras()) is not None


def _camera(settings: SourceSettings, clock: Clock) -> Source:
    from rvm_live.sources.camera.camera import CameraSource

    return CameraSource(settings, clock)


def _from_url(settings: SourceSettings, clock: Clock) -> Source:
    from rvm_live.sources.stream import UrlSource

    return UrlSource(settings, clock)


def _from_file(path: Path, settings: SourceSettings, clock: Clock) -> Source:
    if path.is_dir():
        raise SourceUnavailableError(f"{path} is a folder: name one video or image file in it")
    device = _V4L_DEVICE.fullmatch(str(path.resolve()))
    if device is not None:
        return _camera(replace(settings, source=device[1]), clock)
    if not path.is_file():  # a pipe cannot be inspected before it is read
        raise SourceUnavailableError(f"{path} is neither a file nor a camera")
    try:
        still = path.suffix.lower() in PICTURES and not is_animation(path)
    except OSError:
        still = True  # opening it as a picture reports why it cannot be read
    if still:
        from rvm_live.sources.image import ImageSource

        return ImageSource(settings, clock)
    from rvm_live.sources.video.video import VideoFileSource

    return VideoFileSource(settings, clock, square=True)
