"""``rvm-live ctl``: control a running program from outside."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from rvm_live.cli.params import absolute_place, printable
from rvm_live.core.errors import SettingsError

if TYPE_CHECKING:
    from rvm_live.apps.steering.client import Program

__all__ = ["ctl"]

_WORDS = {"record": "recording", "pause": "paused", "camera-out": "virtual_camera", "mirrored": "mirror"}
_PLACES = ("image:", "video:", "slides:")


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.option("--pid", type=int, help="Process ID of the program, if several run.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def ctl(words: tuple[str, ...], pid: int | None, as_json: bool) -> None:
    """Control a running rvm-live, for example: rvm-live ctl background beach.

    \b
    status                what runs now
    list                  every control, its value and its choices
    NAME                  show the value of a control
    NAME VALUE            change it: background beach, zoom 1.5, engine rvm
    set NAME VALUE ...    change several at once: all of them, or none
    next NAME, back NAME  the next of its choices, or the one before
    record [PATH|off]     start or stop recording; likewise privacy, pause, follow [on|off]
    reset, stop           start the matting state anew; end the run
    programs              list the running programs with their process IDs

    Exit code 2 if no program runs, or if it refuses.
    """
    from rvm_live.apps.steering.client import program, programs

    said, rest = words[0] if words else "status", list(words[1:])
    if said == "programs":
        running = programs()
        _tell(
            {each.pid: _status_line(each.ask("status")) for each in running} if not as_json else _all(running), as_json
        )
        return
    there = program(pid)
    command = _COMMANDS.get(said)
    _tell(_control(there, said, rest) if command is None else command(there, rest), as_json)


def _all(running: list[Program]) -> list[Any]:
    return [each.ask("status") for each in running]


def _status(there: Program, rest: list[str]) -> Any:
    _nothing_more(rest)
    return there.ask("status")


def _list(there: Program, rest: list[str]) -> Any:
    _nothing_more(rest)
    return there.ask("list")


def _set(there: Program, rest: list[str]) -> Any:
    if not rest or len(rest) % 2:
        raise SettingsError("set needs a value after each name: set background beach zoom 1.5")
    names = [_name(each) for each in rest[::2]]
    wishes = {name: _wish(name, value) for name, value in zip(names, rest[1::2], strict=True)}
    now = there.ask("set", values=wishes)
    return {name: now[name] for name in names}


def _next(steps: int) -> Callable[[Program, list[str]], Any]:
    def step(there: Program, rest: list[str]) -> Any:
        if len(rest) != 1:
            raise SettingsError("name a control, such as: next background")
        return {_name(rest[0]): there.ask("step", name=_name(rest[0]), steps=steps)}

    return step


def _control(there: Program, said: str, rest: list[str]) -> Any:
    """Show a control's value or change it; a switch without a value is switched on."""
    name = _name(said)
    if not rest:
        known = {each["name"]: each for each in there.ask("list")}
        turned_on = said in _WORDS or known.get(name, {}).get("kind") in ("switch", "trigger")
        if name in known and not turned_on:
            return {name: known[name]["value"]}
        return {name: there.ask("set", values={name: True})[name]}
    return {name: there.ask("set", values={name: _wish(name, " ".join(rest))})[name]}


_COMMANDS: Mapping[str, Callable[[Program, list[str]], Any]] = {
    "status": _status,
    "list": _list,
    "set": _set,
    "next": _next(1),
    "back": _next(-1),
}


def _name(said: str) -> str:
    return _WORDS.get(said, said).replace("-", "_")


def _wish(name: str, value: str) -> Any:
    """Make a path absolute: it is meant from here, not from where the program was started."""
    if name == "recording" and value not in ("on", "off"):
        path = os.path.abspath(os.path.expanduser(value))
        return path + os.sep if value.endswith(("/", os.sep)) else path
    if name == "background":
        kind = next((each for each in _PLACES if value.startswith(each)), "")
        return absolute_place(kind + os.path.expanduser(value.removeprefix(kind)))
    return value


def _nothing_more(rest: list[str]) -> None:
    if rest:
        raise SettingsError(f"{' '.join(rest)!r} is not expected here: leave it out")


def _tell(answer: Any, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(answer))
    elif isinstance(answer, list):
        for each in answer:
            click.echo(printable(_control_line(each)))
    else:
        width = max((len(str(name)) for name in answer), default=0)
        for name, value in answer.items():
            click.echo(printable(f"{name!s:<{width}}  {_shown(value)}" if len(answer) > 1 else _shown(value)))


def _control_line(control: Mapping[str, Any]) -> str:
    choices = ", ".join(_shown(each) for each in control["choices"])
    limits = "{:g} to {:g}".format(*control["limits"]) if control["limits"] else ""
    more = choices or limits or ("on, off" if control["kind"] in ("switch", "trigger") else "")
    return f"{control['name']:<14}  {_shown(control['value']):<20}  {control['text']}{f' ({more})' if more else ''}"


def _status_line(status: Mapping[str, Any]) -> str:
    return " · ".join(str(status[each]) for each in ("source", "engine", "background") if status.get(each))


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ",".join(_shown(each) for each in value)
    if isinstance(value, float):
        return f"{value:g}"
    return "off" if value is None else str(value)
