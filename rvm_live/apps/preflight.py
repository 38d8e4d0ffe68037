"""Checks before a live run: where it can show and write, and whether it may drop frames."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from rvm_live.backgrounds.base import Background
from rvm_live.backgrounds.live import LiveBackground
from rvm_live.backgrounds.parse import default_cycle, parse
from rvm_live.core.errors import SettingsError, SinkError, told_as
from rvm_live.core.queues import Overflow
from rvm_live.core.settings import LiveSettings, SourceSettings
from rvm_live.sinks.camera.outputs import devices_for
from rvm_live.sinks.stream.stream import check_stream
from rvm_live.sinks.window.display import display_available
from rvm_live.sources.base import Source
from rvm_live.system import atomic_write, folders

__all__ = [
    "DEFAULT_FOLDER",
    "at_home",
    "backgrounds_of",
    "check_outputs",
    "check_writable",
    "overflow_of",
    "refuse_live",
    "without_display",
]

HEADLESS_SECONDS = 10.0
"""Duration of a run that wanted a window and found no display, if nothing else ends it, seconds."""
DEFAULT_FOLDER = Path("recordings")
"""Where such a run records to, if nothing else was asked for."""


def at_home(settings: LiveSettings) -> LiveSettings:
    """The settings with paths of results in which a tilde in front stands for a user's home."""
    # As text, because a slash at the end means a folder.
    record = settings.record and os.path.expanduser(settings.record)
    return replace(settings, record=record, stats_json=settings.stats_json and folders.at_home(settings.stats_json))


def without_display(settings: LiveSettings) -> tuple[LiveSettings, str]:
    """Settings for a headless run where a window is wanted and there is no display; unchanged otherwise.

    Returns:
        The settings, and what is to be told once nothing else is wrong with them; empty where they are unchanged.

    Raises:
        SinkError: there is no place for a recording.
    """
    if settings.headless or (reason := display_available()) is None:
        return settings, ""
    if settings.web is not None:  # the page shows and controls as a window does
        return replace(settings, headless=True), f"rvm-live: no window: {reason}"
    if settings.virtual_camera is not None:  # other programs show the camera's picture
        return replace(settings, headless=True), f"rvm-live: no window: {reason}; running headless, as a camera"
    limited = settings.frames is not None or settings.duration is not None
    duration = settings.duration if limited else HEADLESS_SECONDS
    record = settings.record or _default_recording()
    for_how_long = "" if limited else f" for {HEADLESS_SECONDS:g} s"
    told = f"rvm-live: no window: {reason}; running headless{for_how_long}, recording to {record}"
    return replace(settings, headless=True, duration=duration, record=record), told


def _default_recording() -> str:
    with told_as(SinkError, f"cannot record in {Path.cwd()}", "; name another place with --record PATH"):
        DEFAULT_FOLDER.mkdir(exist_ok=True)
    return str(DEFAULT_FOLDER / f"rvm-live-{time.strftime('%Y%m%d-%H%M%S')}.mp4")


def check_writable(path: Path) -> None:
    """Find out before the run whether a report can be written after it.

    Raises:
        SinkError: it cannot; says why.
    """
    if path.is_dir():
        raise SinkError(f"cannot write {path}: it is a folder: name a file")
    if not path.parent.is_dir():
        raise SinkError(f"cannot write {path}: there is no folder {path.parent}")
    with told_as(SinkError, f"cannot write {path}"):
        atomic_write.refuse_special(path)


def check_outputs(settings: LiveSettings) -> None:
    """Check before the run whether its outputs can be written or reached.

    Raises:
        SettingsError: an address or a device cannot be meant.
        SinkError: something cannot be reached or written; says why.
    """
    if settings.audio is not None:
        from rvm_live.microphones.factory import check_microphone

        check_microphone()
    if settings.stats_json is not None:
        check_writable(settings.stats_json)
    if settings.virtual_camera is not None:
        devices_for(settings.virtual_camera)
    for address in settings.streams:
        check_stream(address)


def overflow_of(settings: LiveSettings, source: Source) -> Overflow:
    """Live unless every frame of a file is wanted.

    Raises:
        SettingsError: every frame is wanted, but the source does not wait.
    """
    if settings.source.realtime:
        return Overflow.DROP_OLDEST
    if source.on_demand:
        return Overflow.BLOCK
    raise SettingsError(
        f"--no-realtime is for files, but {settings.source.source!r} is live: name a file, or leave it out"
    )


def backgrounds_of(settings: LiveSettings) -> tuple[list[Background], Background | None]:
    """The backgrounds for the key ``b``, and the picture shown while nobody may be seen.

    Raises:
        SettingsError, BackgroundError: one of them cannot be used.
    """
    backgrounds = default_cycle(settings.backgrounds)
    away = parse(settings.away)[0] if settings.away else None
    refuse_live([*backgrounds, *([away] if away else [])], settings.source)
    return backgrounds, away


def refuse_live(backgrounds: Iterable[Background], source: SourceSettings) -> None:
    """Refuse cameras and streams as backgrounds if they cannot be used.

    Raises:
        SettingsError: one of them is what films the person, or every frame of a file is wanted.
    """
    for each in backgrounds:
        if not isinstance(each, LiveBackground):
            continue
        if each.films(source):
            raise SettingsError(f"{each.label} is the camera that films you: name another camera as the background")
        if not source.realtime:
            raise SettingsError(
                f"--no-realtime is for files, but the background {each.label} is live: choose another "
                "background, or leave it out"
            )
