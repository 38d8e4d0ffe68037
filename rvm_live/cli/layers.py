"""From ``rvm-live.toml`` and profiles to click's ``default_map``, each value with where it came from.

Priority, highest first: the command line, the environment (``RVM_LIVE_FPS``), what ``--remember`` stored, the profile,
the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from rvm_live.cli.profiles import BUILT_IN
from rvm_live.cli.settings_file import SettingsFile, default_path, read
from rvm_live.cli.words import Aliased, said_in_full
from rvm_live.core.errors import SettingsError

__all__ = ["CONTROL_OF", "Given", "Layers", "choose", "key_of", "keys_of", "load", "meant_by", "name_in_environment"]

PREFIX = "RVM_LIVE_"
_META = "rvm_live.cli.layers"
_NOT_IN_A_FILE = frozenset({"help", "help_all", "version", "config", "no_config", "profile", "debug"})
_NOT_IN_THE_ENVIRONMENT = frozenset({"help", "help_all", "version", "weights"})
"""``RVM_LIVE_WEIGHTS`` is read by :mod:`rvm_live.weights`, for every command and for programs."""
_EITHER = ({"size"}, {"width", "height"})
"""Pairs of options for the same thing: if one is set, the other's values in lower layers have no effect."""
_PROFILES = "profiles"
CONTROL_OF = {"backgrounds": "background", "display": "view", "downsample_ratio": "ratio"}
"""Parameters whose control has another name."""
Commands = Callable[[str], "click.Command | None"]


@dataclass(frozen=True)
class Given:
    """A value, and its origin in words."""

    key: str
    value: Any
    origin: str


@dataclass
class Layers:
    """The settings of the file and the profile.

    Attributes:
        path: of the file; None where none is to be read.
        profile: name of the one in force; empty without.
        profiles: names of those that there are.
        wishes: profile -> control -> value. Settings of a profile that are not controls are in it too, and only count
            at the start.
        given: command (empty: the program itself) -> parameter -> what counts.
    """

    path: Path | None = None
    profile: str = ""
    profiles: tuple[str, ...] = ()
    wishes: dict[str, dict[str, Any]] = field(default_factory=dict)
    given: dict[str, dict[str, Given]] = field(default_factory=dict)

    def put(self, command: str, parameter: str, given: Given) -> None:
        """Set a value over those of lower layers."""
        values = self.given.setdefault(command, {})
        self.without(command, {parameter})
        values[parameter] = given

    def without(self, command: str, said: Iterable[str]) -> None:
        """Remove values that a higher layer sets in another way."""
        values, said = self.given.get(command, {}), set(said)
        for one, other in (_EITHER, _EITHER[::-1]):
            if said & one:
                for name in other:
                    values.pop(name, None)

    def default_map(self) -> dict[str, Any]:
        """In click's form: the program's own parameters, and for each command a map of its own."""
        plain = {command: {name: each.value for name, each in said.items()} for command, said in self.given.items()}
        return {**{command: said for command, said in plain.items() if command}, **plain.get("", {})}

    def blame(self, ctx: click.Context, message: str) -> str:
        """Origin of the setting that a message names, in words; empty if it is the command line.

        Args:
            ctx: of the program.
            message: of an error, about the program's own settings.
        """
        words = set(re.findall(r"[a-z-]+", message.replace("_", "-")))
        found = [
            f"{each.key}: {each.origin}"
            for name, each in self.given.get("", {}).items()
            if words & {each.key, name.replace("_", "-"), f"--{each.key}"}
            and ctx.get_parameter_source(name) is ParameterSource.DEFAULT_MAP
        ]
        return f" ({', '.join(found)})" if found else ""

    def keep(self, ctx: click.Context) -> None:
        """Store this for the commands of this run, and give click the values."""
        if os.environ.get("RVM_LIVE_WEIGHTS"):
            for values in self.given.values():
                values.pop("weights", None)
        ctx.meta[_META] = self
        ctx.default_map = self.default_map()

    @staticmethod
    def of(ctx: click.Context) -> Layers:
        """The layers of this run; empty if none were read."""
        found = ctx.meta.get(_META)
        return found if isinstance(found, Layers) else Layers()


def name_in_environment(command: click.Command, *words: str) -> None:
    """Let every option of a command be set in the environment, by its own name: ``RVM_LIVE_BATCH_QUALITY``."""
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden and option.name not in _NOT_IN_THE_ENVIRONMENT:
            option.envvar = PREFIX + "_".join([*words, key_of(option)]).upper().replace("-", "_")


def key_of(option: click.Option) -> str:
    """Name of an option in the file."""
    return next(name for name in option.opts if name.startswith("--"))[2:]


def keys_of(command: click.Command) -> dict[str, click.Option]:
    """Every key of a command, its option's other names included."""
    keys: dict[str, click.Option] = {}
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden and option.name not in _NOT_IN_A_FILE:
            more = option.aliases if isinstance(option, Aliased) else []
            keys.update({name[2:]: option for name in (*option.opts, *more) if name.startswith("--")})
    return keys


def choose(ctx: click.Context, given: Mapping[str, Any]) -> tuple[Path | None, bool, str]:
    """Choose the settings file and the profile.

    Args:
        ctx: of the program.
        given: what the command line says: parameter -> value.

    Returns:
        The file, whether it was named, and the profile's name; None and empty without.

    Raises:
        click.UsageError: both --config and --no-config are given.
    """
    options = {option.name: option for option in ctx.command.params if isinstance(option, click.Option)}

    def environment(name: str) -> Any:
        text = options[name].resolve_envvar_value(ctx)
        return None if text is None else options[name].type_cast_value(ctx, text)

    named = given.get("config")
    if named is not None and given.get("no_config"):
        raise click.UsageError("use --config FILE or --no-config, not both")
    profile = given.get("profile") or environment("profile") or ""
    if named is not None:
        return Path(options["config"].type_cast_value(ctx, named)).expanduser(), True, profile
    if given.get("no_config") or environment("no_config"):
        return None, False, profile
    named = environment("config")
    return (default_path(), False, profile) if named is None else (Path(named).expanduser(), True, profile)


def load(ctx: click.Context, path: Path | None, named: bool, profile: str, commands: Commands) -> Layers:
    """Read a file and apply the profile over it.

    Args:
        ctx: of the program.
        path: of the file; None: none.
        named: the file has to be there.
        profile: its name; empty: what the file says, or none.
        commands: name -> command, None where there is none.

    Raises:
        SettingsError: the file cannot be read, a key is unknown or cannot have its value, there is no such profile.
    """
    file = SettingsFile(Path()) if path is None else read(path, needed=named)
    own = file.values.get(_PROFILES, {})
    if not isinstance(own, dict):
        raise SettingsError(f"{file.place(_PROFILES)}: {_PROFILES} is a table: write [profiles.NAME]")
    layers = Layers(path, profiles=tuple(dict.fromkeys([*BUILT_IN, *own])))
    reader = _Reader(ctx, commands, layers)
    base = {key: value for key, value in file.values.items() if key not in (_PROFILES, "profile")}
    reader.lay(base, lambda *keys: file.place(*keys), use=True)
    if not profile and "profile" in file.values:
        profile = file.values["profile"]
        if not isinstance(profile, str):
            raise SettingsError(f"{file.place('profile')}: profile must be a profile's name, as text")
    for name, values in BUILT_IN.items():
        layers.wishes[name] = reader.lay(values, lambda *keys: "", use=False)
    for name, values in own.items():  # all profiles are checked: errors are reported before a profile is needed
        if not isinstance(values, dict):
            raise SettingsError(f"{file.place(_PROFILES, name)}: {name!r} is not a profile: write [profiles.{name}]")
        wishes = reader.lay(values, lambda *keys, name=name: file.place(_PROFILES, name, *keys), use=False)
        layers.wishes[name] = {**layers.wishes.get(name, {}), **wishes}
    if profile:
        layers.profile = profile
        if profile not in layers.profiles:
            near = get_close_matches(profile, layers.profiles, 1)
            told = f"did you mean {near[0]!r}? " if near else ""
            raise SettingsError(f"there is no profile {profile!r}: {told}there are {', '.join(layers.profiles)}")
        reader.lay(BUILT_IN.get(profile, {}), lambda *keys: f"profile {profile}", use=True)
        reader.lay(
            own.get(profile, {}), lambda *keys: f"profile {profile}: {file.place(_PROFILES, profile, *keys)}", use=True
        )
    return layers


class _Reader:
    """Reads tables of keys as the parameters of commands."""

    def __init__(self, ctx: click.Context, commands: Commands, layers: Layers) -> None:
        self._ctx, self._commands, self._layers = ctx, commands, layers

    def lay(self, values: Mapping[str, Any], place: Callable[..., str], *, use: bool) -> dict[str, Any]:
        """Check a table, and apply it if it is to be used.

        Returns:
            What of it could be changed while the program runs: control -> value.
        """
        keys, wishes = keys_of(self._ctx.command), {}
        for key, value in values.items():
            command = None if key.replace("_", "-") in keys else self._commands(key)
            if command is None:
                option, meant = self._one("", keys, key, value, place, use=use)
                wishes[CONTROL_OF.get(option, option)] = _wish(option, meant)
            elif not isinstance(value, dict):
                raise SettingsError(f"{place(key)}: {key!r} is a command: write its options under [{key}]")
            else:
                own = keys_of(command)
                for inner, each in value.items():
                    self._one(key, own, inner, each, lambda name, key=key: place(key, name), use=use)
        return wishes

    def _one(
        self, command: str, keys: Mapping[str, click.Option], key: str, value: Any, place: Any, *, use: bool
    ) -> tuple[str, Any]:
        others = [] if command else ["profile", _PROFILES, *self._ctx.command.list_commands(self._ctx)]  # type: ignore[attr-defined]
        name, option, value = meant_by(key, value, keys, place(key), others)
        parameter = option.name or ""
        if use:
            self._layers.put(command, parameter, Given(name, value, place(key)))
        return parameter, value


def _wish(parameter: str, value: Any) -> Any:
    """A value of an option as a control takes it."""
    if parameter == "virtual_camera":
        return bool(value)  # which camera it is, is set at the start
    return value[0] if isinstance(value, list) and value else value


def meant_by(
    key: str, value: Any, keys: Mapping[str, click.Option], place: str, others: Iterable[str] = ()
) -> tuple[str, click.Option, Any]:
    """The option and value that a key of a file means.

    Args:
        key: as it stands there.
        value: likewise.
        keys: of the command (:func:`keys_of`).
        place: where it stands, for people.
        others: keys that are no options.

    Returns:
        The option's key, the option, and the value as click's ``default_map`` takes it.

    Raises:
        SettingsError: there is no such key, or it cannot have that value.
    """
    name = key.replace("_", "-")
    if name not in keys and not isinstance(value, (dict, list)):
        name, value = _left_out(name, value)
    option = keys.get(name)
    if option is None:
        raise SettingsError(f"{place}: unknown key {key!r}{_near(name, keys, others)}")
    if value is True and not option.is_flag:
        value = _left_out(name, value)[1]
    try:
        value = _plain(option, value)
        with click.Context(click.Command(None)) as ctx:
            option.process_value(ctx, value)
    except click.BadParameter as error:
        raise SettingsError(f"{place}: {key}: {error.message}".rstrip(".")) from error
    return name, option, value


def _near(name: str, keys: Mapping[str, click.Option], others: Iterable[str]) -> str:
    positive = name.removeprefix("no-")
    if positive in keys:
        return f": write {positive} = false"
    near = get_close_matches(name, [*keys, *others], 1)
    return f": did you mean {near[0]!r}?" if near else " (`rvm-live --help-all` lists the options)"


def _left_out(name: str, value: Any) -> tuple[str, Any]:
    """Options that may have no value, or stand for another option: ``blur = 25``, ``audio = true``."""
    (full,) = said_in_full([f"--{name}" if value is True else f"--{name}={value}"])
    option, _, text = full.removeprefix("--").partition("=")
    return (option, text) if full != f"--{name}={value}" and text else (name, value)


def _plain(option: click.Option, value: Any) -> Any:
    """A TOML value in the form that click takes.

    Raises:
        click.BadParameter: the option cannot have such a value.
    """
    if option.is_flag:
        if not isinstance(value, bool):
            raise click.BadParameter(f"it must be true or false, not {value!r}")
        return value
    if isinstance(value, list) and not option.multiple:
        raise click.BadParameter("it must be one value, not a list")
    several = value if isinstance(value, list) else [value]
    for each in several:
        if not isinstance(each, (str, int, float)) or isinstance(each, bool):
            said = str(each).lower() if isinstance(each, bool) else repr(each)
            raise click.BadParameter(f"it must be text or a number, not {said}")
    if isinstance(option.type, click.types.IntParamType) and any(isinstance(each, float) for each in several):
        raise click.BadParameter(f"it must be a whole number, not {value!r}")
    # Expands ~ as a shell does.
    home = [os.path.expanduser(each) if isinstance(each, str) else each for each in several]
    return home if option.multiple else home[0]
