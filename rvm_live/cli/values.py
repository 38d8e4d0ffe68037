"""Values of options that the Tab key offers; imported only when it is pressed."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

__all__ = ["backgrounds", "compositors", "engines", "profiles", "sources"]


def engines(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Engines, including plug-ins."""
    from rvm_live.core.registry import ENGINES

    return _beginning(["auto", *ENGINES.names()], incomplete)


def compositors(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Compositing back ends."""
    from rvm_live.core.registry import COMPOSITORS

    return _beginning(["auto", *COMPOSITORS.names()], incomplete)


def profiles(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Built-in profiles, and the user's own if the settings file can be read."""
    from rvm_live.cli.profiles import BUILT_IN
    from rvm_live.cli.settings_file import default_path, read
    from rvm_live.core.errors import SettingsError

    try:
        own = read(default_path(), needed=False).values.get("profiles", {})
    except SettingsError:
        own = {}
    return _beginning([*BUILT_IN, *(own if isinstance(own, dict) else {})], incomplete)


def sources(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Cameras by name, and files."""
    from rvm_live.sources.camera.camera import list_cameras
    from rvm_live.sources.camera.opencv_logging import silence_backends

    silence_backends()
    known = ["auto", "demo", *(camera.name or str(camera.index) for camera in list_cameras())]
    return _beginning(known, incomplete) or [CompletionItem(incomplete, type="file")]


def backgrounds(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Backgrounds that need no file, and files."""
    from rvm_live.core.colors import NAMES

    return _beginning(["blur", "transparent", *NAMES], incomplete) or [CompletionItem(incomplete, type="file")]


def _beginning(words: list[str], incomplete: str) -> list[Any]:
    return [word for word in dict.fromkeys(words) if word.casefold().startswith(incomplete.casefold())]
