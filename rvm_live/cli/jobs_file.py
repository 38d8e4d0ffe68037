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

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from rvm_live.cli.layers import keys_of, meant_by
from rvm_live.cli.settings_file import read
from rvm_live.core.errors import SettingsError

__all__ = ["jobs_of"]

_NOT_IN_A_JOB = frozenset({"jobs", "watch", "as_json"})
_INPUTS = "inputs"


def jobs_of(path: Path, ctx: click.Context) -> list[dict[str, Any]]:
    """The parameters of every job. A job counts for more than [defaults], those for more than the user's settings file;
    what the command line and the environment say counts for more than either, as everywhere.

    Args:
        path: of the TOML file.
        ctx: of the command whose options the keys are.

    Raises:
        SettingsError: the file cannot be read, or a job has an unknown key or a bad value; names the line or the job.
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
    return [_parsed({**defaults, **table}, f"{path}, job {number}", ctx) for number, table in enumerate(tables, 1)]


def _parsed(table: Mapping[str, Any], place: str, ctx: click.Context) -> dict[str, Any]:
    keys = {key: option for key, option in keys_of(ctx.command).items() if option.name not in _NOT_IN_A_JOB}
    values = dict(ctx.default_map or {})
    for key, value in table.items():
        if key != _INPUTS:
            _, option, meant = meant_by(key, value, keys, place, [_INPUTS])
            values[option.name or ""] = meant
    inputs = table.get(_INPUTS, [])
    inputs = inputs if isinstance(inputs, list) else [inputs]
    if not all(isinstance(each, str) for each in inputs):
        raise SettingsError(f"{place}: {_INPUTS} are files and folders, as text")
    arguments = ["--", *map(os.path.expanduser, inputs)]
    said = {
        name: value
        for name, value in ctx.params.items()
        if name != _INPUTS and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    with ctx.command.make_context("batch", arguments, parent=ctx, default_map=values) as job:
        return {**job.params, **said}
