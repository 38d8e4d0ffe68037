"""The options of engines and sources, once for all commands, and the settings that they make.

A command lists its options in the order of its help, with what differs for it::

    @source_options(source={}, fps={"default": 30.0})
    @engine_options(weights={}, device={})
    def command(**options): ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar, get_args

import click

from rvm_live.cli import values
from rvm_live.cli.params import PlacePath
from rvm_live.cli.words import Aliased
from rvm_live.core.settings import MODELS, EngineSettings, Foreground, SourceSettings, parse_ratio

__all__ = [
    "Table",
    "engine_option",
    "engine_options",
    "engine_settings",
    "option_of",
    "options_of",
    "settings_of",
    "source_option",
    "source_options",
    "source_settings",
]

F = TypeVar("F", bound=Callable[..., Any])
S = TypeVar("S")
Table = Mapping[str, Mapping[str, Any]]

_SOURCE: Table = {
    "source": {
        "cls": Aliased,
        "default": "auto",
        "shell_complete": values.sources,
        "help": "auto, demo, a camera's number or name, a video or image file, or a URL.",
    },
    "width": {"type": int, "help": "Width in pixels that the camera is asked for.", "shown": 1280},
    "height": {"type": int, "help": "Height in pixels that the camera is asked for.", "shown": 720},
    "fps": {"type": float, "default": 60.0, "help": "Frames per second that the camera is asked for."},
    "fourcc": {"default": "MJPG", "help": "Pixel format that the camera is asked for."},
    "wait": {"is_flag": True, "help": "Wait if the camera or stream is not there yet."},
    "loop": {"is_flag": True, "help": "Play a file again from its start when it ends."},
    "realtime": {
        "names": ("--realtime/--no-realtime",),
        "default": True,
        "shown": "",
        "help": "Play a file at its own rate, or process every frame as fast as possible.",
    },
}
_ENGINE: Table = {
    "engine": {
        "default": "auto",
        "shell_complete": values.engines,
        "help": "auto, lite, chroma, rvm, openvino, onnx, torchscript, or package.module:Class.",
    },
    "model": {"type": click.Choice(MODELS), "help": "RVM's backbone.", "shown": MODELS[0]},
    "weights": {"type": PlacePath(home=True), "help": "Weights: a file, or a folder that holds them."},
    "device": {"default": "auto", "help": "auto, cpu, cuda, cuda:N, mps, intel-gpu or npu."},
    "precision": {"default": "auto", "help": "auto, fp32, fp16 (GPU), bf16 or int8 (CPU)."},
    "downsample_ratio": {"default": "auto", "help": "auto, or a number above 0, at most 1."},
    "foreground": {
        "type": click.Choice(get_args(Foreground)),
        "default": "model",
        "help": "The person's colours: estimated without the room's spill (model), or the camera's (source).",
    },
    "steady": {
        "names": ("--steady/--no-steady",),
        "default": None,
        "help": "Average alpha over time where nothing moves (CPU).",
        "shown": "with lite",
    },
    "box": {
        "names": ("--box/--no-box",),
        "default": None,
        "help": "Process only a box around the person, not the whole picture (CPU).",
        "shown": "off",
    },
    "gate": {
        "names": ("--gate/--no-gate",),
        "default": None,
        "help": "Run the network only when something has moved.",
        "shown": "live",
    },
    "key": {
        "metavar": "COLOUR",
        "help": "Colour of the screen for --engine chroma, such as #00b140.",
        "shown": "detected",
    },
    "fallback_lite": {
        "names": ("--fallback-lite/--no-fallback-lite",),
        "default": True,
        "help": "If RVM's smallest size is too slow for 24 fps, --engine auto uses lite while that lasts.",
        "shown": "on",
    },
    "offline": {"is_flag": True, "help": "Never download weights."},
    "require_licence": {
        "metavar": "LIST",
        "help": "Allow only engines and weights under these licences, such as apache,mit,bsd.",
    },
}
"""Field of the settings -> what click.option takes; ``names``: of the option, if it differs from the field's;
``shown``: the default in words, if click does not know it; ``hotkey``: of the window, where the command has one."""


def option_of(table: Table, field: str, changes: Mapping[str, Any]) -> Callable[[F], F]:
    """One option of a table, changed for one command."""
    said = {**table[field], **changes}
    if hotkey := said.pop("hotkey", ""):
        said["help"] = f"{said['help'].removesuffix('.')} (key {hotkey})."
    names = said.pop("names", (f"--{field.replace('_', '-')}",))
    shown = said.pop("shown", said.get("default", ""))
    if isinstance(shown, float):
        shown = f"{shown:g}"
    if shown != "":
        said["help"] = f"{said['help']}  [default: {shown}]"
    return click.option(*names, field, **said)


def options_of(table: Table, taken: Table) -> Callable[[F], F]:
    """Several of them, as they stand in the help: field -> changes."""

    def decorate(function: F) -> F:
        for field, changes in reversed([*taken.items()]):
            function = option_of(table, field, changes)(function)
        return function

    return decorate


def engine_option(field: str, **changes: Any) -> Callable[[F], F]:
    """One option of an engine.

    Args:
        field: of :class:`~rvm_live.core.settings.EngineSettings`.
        changes: what differs from the other commands: ``help`` without the default, ``default``,
            ``shown`` (the default in words), ``hotkey`` (of the window), ``names`` (of the option), or what else
            :func:`click.option` takes.
    """
    return option_of(_ENGINE, field, changes)


def engine_options(**taken: Mapping[str, Any]) -> Callable[[F], F]:
    """Several of :func:`engine_option`, in the order of the help: field -> changes."""
    return options_of(_ENGINE, taken)


def engine_settings(options: Mapping[str, Any]) -> EngineSettings:
    """Make engine settings from a command's parsed options.

    Raises:
        SettingsError: a value is out of range.
    """
    given = {field: options[field] for field in _ENGINE if field in options}
    if "downsample_ratio" in given:
        given["downsample_ratio"] = parse_ratio(given["downsample_ratio"])
    if "require_licence" in given:
        words = (given["require_licence"] or "").lower().split(",")
        given["require_licence"] = tuple(dict.fromkeys(word.strip() for word in words if word.strip()))
    return EngineSettings(**given)


def source_option(field: str, **changes: Any) -> Callable[[F], F]:
    """As :func:`engine_option`, of :class:`~rvm_live.core.settings.SourceSettings`."""
    return option_of(_SOURCE, field, changes)


def source_options(**taken: Mapping[str, Any]) -> Callable[[F], F]:
    """As :func:`engine_options`, of a source."""
    return options_of(_SOURCE, taken)


def source_settings(options: Mapping[str, Any], **more: Any) -> SourceSettings:
    """As :func:`engine_settings`, of a source.

    Args:
        options: what was parsed.
        more: values for fields without an option; they override what was parsed.
    """
    return SourceSettings(**{**{field: options[field] for field in _SOURCE if field in options}, **more})


def settings_of(kind: Callable[..., S], options: Mapping[str, Any], **more: Any) -> S:
    """Of what a command has parsed the settings, a dataclass, whose fields are called as its options are.

    Args:
        kind: the dataclass.
        options: what was parsed.
        more: fields that are called otherwise, or are made of several options.

    Raises:
        SettingsError: a value is out of range.
    """
    same = {field.name: options[field.name] for field in fields(kind) if field.name in options}  # type: ignore[arg-type]
    return kind(**{**same, **more})
