"""Checks that a program's arguments have the right types; one sentence says what is wrong."""

from __future__ import annotations

import dataclasses
import os
import types
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from rvm_live.core.errors import SettingsError

__all__ = ["check_choice", "check_fields", "check_has", "require"]

_KINDS: dict[Any, tuple[type | tuple[type, ...], str]] = {
    str: (str, "text"),
    bool: (bool, "True or False"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    Path: (os.PathLike, "a pathlib.Path"),
}


def check_fields(settings: Any) -> None:
    """Refuse fields of a dataclass whose values do not have the declared type; the content of text is checked
    elsewhere.

    Raises:
        SettingsError: one is not.
    """
    hints = get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        value, hint = getattr(settings, field.name), hints[field.name]
        if not _fits(value, hint):
            words = " or ".join(dict.fromkeys(_words(hint)))
            raise SettingsError(f"{field.name.replace('_', ' ')} must be {words}, not {_shown(value)}")


def require(condition: bool, message: str) -> None:
    """Refuse settings that do not meet a condition.

    Raises:
        SettingsError: they do not; with the message.
    """
    if not condition:
        raise SettingsError(message)


def check_choice(what: str, value: object, choices: Iterable[str]) -> None:
    """Refuse a name that is not one of the choices.

    Raises:
        SettingsError: it is not one.
    """
    known = tuple(choices)
    require(value in known, f"unknown {what} {value!r}: choose one of {', '.join(known)}")


def check_has(value: object, what: str, kind: str, names: Iterable[str]) -> None:
    """Refuse a value that cannot be used as ``kind``.

    Args:
        value: the argument.
        what: its name in words, such as ``the source``.
        kind: the class that it should be one of.
        names: of the methods and attributes that are used.

    Raises:
        SettingsError: it is a class, or one of them is missing.
    """
    if isinstance(value, type):
        raise SettingsError(f"{what} is the class {value.__name__}: give an instance, {value.__name__}(...)")
    lacking = [name for name in names if not (hasattr(type(value), name) or hasattr(value, name))]
    if lacking:
        raise SettingsError(f"{what} must be {kind}, not {_shown(value)}: it does not have {', '.join(lacking)}")


def _fits(value: Any, hint: Any) -> bool:
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in inside)
    if origin is Literal:
        return isinstance(value, str)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(each, inside[0]) for each in value)
    kind = _KINDS[hint][0] if hint in _KINDS else hint
    return isinstance(value, kind) and not (isinstance(value, bool) and hint is not bool)


def _words(hint: Any) -> list[str]:
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return [word for each in inside for word in _words(each)]
    if origin is Literal:
        return ["text"]
    if origin is tuple:
        return [f"a tuple of {_words(inside[0])[0]}"]
    if hint is type(None):
        return ["None"]
    return [_KINDS[hint][1] if hint in _KINDS else f"{hint.__name__}(...)"]


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"
