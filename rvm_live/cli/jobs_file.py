"""``rvm-live batch --jobs FILE``: several batch runs with settings of their own, one after the other.

::

    [defaults]                     # for every job, where it does not say otherwise
    output = "cut/"

    [[job]]
    inputs = ["interview.mov", "takes/"]
    quality = "high"

    [[job]]
    inputs = ["portrait.jpg"]
    background = "#ffffff"
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from rvm_live.cli.settings_file import read
from rvm_live.core.errors import SettingsError

__all__ = ["jobs_of"]

_NOT_IN_A_JOB = frozenset({"help", "jobs", "watch", "as_json"})


def jobs_of(path: Path, command: click.Command, parent: click.Context) -> list[dict[str, Any]]:
    """The parameters of every job, as the command line would give them.

    Args:
        path: of the TOML file.
        command: whose options the keys are.
        parent: of the command's context.

    Raises:
        SettingsError: the file cannot be read, or a job says what there is not; names the line or the job.
    """
    file = read(path, needed=True)
    unknown = set(file.values) - {"defaults", "job"}
    if unknown:
        raise SettingsError(
            f"{file.place(sorted(unknown)[0])}: there is no {sorted(unknown)[0]!r}: only [defaults] and [[job]]"
        )
    tables = file.values.get("job", [])
    defaults = file.values.get("defaults", {})
    if not isinstance(tables, list) or not tables or not all(isinstance(each, Mapping) for each in tables):
        raise SettingsError(f"{path} holds no job: begin one with [[job]]")
    if not isinstance(defaults, Mapping):
        raise SettingsError(f"{path}: defaults must be a table, [defaults]")
    return [
        _parsed({**defaults, **table}, f"{path}, job {number}", command, parent)
        for number, table in enumerate(tables, 1)
    ]


def _parsed(table: Mapping[str, Any], place: str, command: click.Command, parent: click.Context) -> dict[str, Any]:
    known = {
        name.lstrip("-"): option
        for option in command.params
        if isinstance(option, click.Option) and option.name not in _NOT_IN_A_JOB
        for name in option.opts
        if name.startswith("--")
    }
    arguments: list[str] = []
    for key, value in table.items():
        if key == "inputs":
            arguments += ["--", *([value] if isinstance(value, str) else map(str, value))]
            continue
        option = known.get(key.replace("_", "-"))
        if option is None:
            near = get_close_matches(key.replace("_", "-"), ["inputs", *known], 1)
            hint = f": did you mean {near[0]}?" if near else ""
            raise SettingsError(f"{place}: there is no setting {key!r}{hint}")
        arguments = [*_as_words(key, value, option, place), *arguments]
    try:
        with command.make_context("batch", arguments, parent=parent) as context:
            return dict(context.params)
    except click.UsageError as error:
        raise SettingsError(f"{place}: {error.format_message()}") from error


def _as_words(key: str, value: Any, option: click.Option, place: str) -> list[str]:
    name = f"--{key.replace('_', '-')}"
    if option.is_flag:
        if not isinstance(value, bool):
            raise SettingsError(f"{place}: {key} is true or false")
        return [name] if value else [f"--no-{name[2:]}"] if f"--no-{name[2:]}" in option.secondary_opts else []
    values = value if isinstance(value, list) else [value]
    if len(values) != 1 and not option.multiple:
        raise SettingsError(f"{place}: {key} takes one value")
    return [f"{name}={str(each).lower() if isinstance(each, bool) else each}" for each in values]
