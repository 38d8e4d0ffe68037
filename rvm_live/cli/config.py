"""``rvm-live config``: the settings in force, where each comes from, and the file they are kept in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import tomlkit
from click.core import ParameterSource

from rvm_live.apps import remembered
from rvm_live.cli.layers import CONTROL_OF, Given, Layers, choose, key_of, load
from rvm_live.cli.params import absolute_place, printable
from rvm_live.cli.settings_file import TEMPLATE, save_table, write
from rvm_live.sources.base import without_credentials

__all__ = ["config", "in_force"]

_OWN = frozenset({"config", "no_config", "profile", "help_all"})
_PLACES = frozenset({"source", "background", "away", "weights"})


@click.group()
def config() -> None:
    """Show, save and edit your settings.

    They are in rvm-live.toml in your configuration folder. The command line overrides the environment
    (RVM_LIVE_FPS=24), which overrides a --profile, which overrides the file.
    """


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def show(ctx: click.Context, as_json: bool) -> None:
    """Show every setting, and where its value comes from.

    `rvm-live --profile call config show` shows the values that this profile would start with.
    """
    program = _program(ctx)
    layers, rows = Layers.of(program), list(in_force(program))
    if as_json:
        told = [{"key": row.key, "value": row.value, "from": row.origin} for row in rows]
        about = {"file": None if layers.path is None else str(layers.path), "profile": layers.profile or None}
        click.echo(json.dumps({**about, "profiles": layers.profiles, "settings": told}, indent=2, default=str))
        return
    texts = [(row.key, _text(row.value), row.origin) for row in rows]
    keys, values = (max(len(each[column]) for each in texts) for column in (0, 1))
    for key, value, origin in texts:
        click.echo(printable(f"{key:<{keys}}  {value:<{min(values, 40)}}  {origin}"))
    click.echo(printable(f"profiles: {', '.join(layers.profiles)}"))


@config.command()
@click.pass_context
def path(ctx: click.Context) -> None:
    """Print the path of your settings file, whether it exists or not."""
    click.echo(str(_file(_program(ctx))))


@config.command()
@click.argument("name")
@click.pass_context
def save(ctx: click.Context, name: str) -> None:
    """Save the options of this command line as the profile NAME.

    After `rvm-live config save desk --engine lite --blur --fps 24`, use --profile desk. Settings of the environment and
    a --profile are saved, too. Other keys of the profile stay, and so do comments.
    """
    program = _program(ctx)
    if not name.strip() or not name.isprintable():
        raise click.UsageError("a profile needs a name")
    wanted = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    profile = f"profile {Layers.of(program).profile}"
    values = {
        row.key: _lasting(row.key, row.value)
        for row, source in _rows(program)
        if source in wanted or row.origin.partition(":")[0] == profile
    }
    if not values:
        raise click.UsageError(
            f"there is nothing to save: add the options, such as `rvm-live config save {name} --blur`"
        )
    file = _file(program)
    save_table(file, ("profiles", name), values)
    click.echo(printable(f"{file}: [profiles.{name}] {', '.join(values)}"))


@config.command()
@click.pass_context
def edit(ctx: click.Context) -> None:
    """Open your settings file in an editor, and check it afterwards.

    The environment variable VISUAL or EDITOR names the editor; otherwise the system's is used.
    """
    program = _program(ctx)
    file = _file(program)
    if not os.path.lexists(file):
        write(file, TEMPLATE)
    click.edit(filename=str(file))
    load(program, file, True, "", program.command.configured(program))  # type: ignore[attr-defined]
    click.echo(printable(f"{file}: no errors"))


def in_force(program: click.Context) -> Iterator[Given]:
    """Every setting of the program with its value and its origin, then those of commands that a file sets;
    addresses are shown without user names and passwords.

    Args:
        program: the context of the program, its options parsed.
    """
    for row, _ in _rows(program):
        several = isinstance(row.value, (tuple, list))
        shown = (
            [without_credentials(each) if isinstance(each, str) else each for each in row.value] if several else None
        )
        one = without_credentials(row.value) if isinstance(row.value, str) else row.value
        yield Given(row.key, shown if several else one, row.origin)


def _rows(program: click.Context) -> Iterator[tuple[Given, ParameterSource | None]]:
    given = Layers.of(program).given
    kept = remembered.load().controls if program.params.get("remember") else {}
    for option in program.command.params:
        if not isinstance(option, click.Option) or option.hidden or option.name in _OWN or not option.expose_value:
            continue
        name, source = option.name or "", program.get_parameter_source(option.name or "")
        value = program.params.get(name)
        origin = "default"
        if source is ParameterSource.COMMANDLINE:
            origin = "command line"
        elif source is ParameterSource.ENVIRONMENT:
            origin = f"environment ({option.envvar})"
        elif source is ParameterSource.DEFAULT_MAP:
            origin = given[""][name].origin
        elif name == "weights" and os.environ.get("RVM_LIVE_WEIGHTS"):
            value, origin = os.environ["RVM_LIVE_WEIGHTS"], "environment (RVM_LIVE_WEIGHTS)"
        control = CONTROL_OF.get(name, name)
        if control in kept and source not in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
            value, origin = kept[control], f"remembered in {remembered.kept_path()}"
        yield Given(key_of(option), value, origin), source
    for command, values in given.items():
        if command:
            for each in values.values():
                yield Given(f"{command}.{each.key}", each.value, each.origin), None


def _program(ctx: click.Context) -> click.Context:
    return ctx.find_root()


def _file(program: click.Context) -> Path:
    file, _, _ = choose(program, program.params)
    if file is None:
        raise click.UsageError("--no-config turns the settings file off: leave it out, and unset RVM_LIVE_NO_CONFIG")
    return file


def _text(value: Any) -> str:
    if value is None:
        return "-"
    text: str = tomlkit.item(_toml(value)).as_string()
    return text


def _toml(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_toml(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def _lasting(key: str, value: Any) -> Any:
    """A value that means the same when the program is started in another folder: paths become absolute."""
    if key == "size":
        return f"{value[0]}x{value[1]}"
    value = _toml(value)
    if key not in _PLACES:
        return value
    return [absolute_place(each) for each in value] if isinstance(value, list) else absolute_place(value)
