"""Controls: what can be changed while the program runs, by keys, the mouse, the page or another program.

Every control has a name and one present value. Changes are absolute (``controls.background = "beach"``, never
"the next one"), checked before anything happens, and sent to every subscriber.
"""

from __future__ import annotations

import difflib
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

from rvm_live.core.errors import SettingsError

__all__ = ["Control", "Controls", "amount", "attribute", "choice", "number", "one_of", "switch", "trigger", "truth"]

_log = logging.getLogger("rvm_live")

_ON, _OFF = ("on", "true", "yes", "1"), ("off", "false", "no", "0")


@dataclass(frozen=True)
class Control:
    """One thing that can be changed.

    Attributes:
        name: a Python identifier.
        read: returns the present value; called on any thread.
        apply: sets the value that ``check`` returned; called on the caller's thread, one change at a time.
            Returns at once: slow work happens on the thread that owns the thing.
        check: what was asked for -> the value meant; raises :class:`~rvm_live.core.errors.SettingsError` if there is
            none.
        choices: the values to choose from now, in order; empty if they cannot be listed.
        alone: why there is no other value to choose now, in words.
        kind: ``switch`` (on or off), ``choice``, ``number``, ``text`` or ``trigger`` (an action, done when it is set to
            True).
        limits: least and greatest value of a number, or of each number of several.
        text: what it changes, in words.
    """

    name: str
    read: Callable[[], Any]
    apply: Callable[[Any], None]
    check: Callable[[Any], Any] = field(default=lambda wish: wish)
    choices: Callable[[], Sequence[Any]] = field(default=tuple)
    alone: Callable[[], str] = field(default=str)
    kind: str = "choice"
    limits: tuple[float, float] | None = None
    text: str = ""


class Controls:
    """All controls of one running program; may be used from any thread.

    ``controls.mirror`` reads, ``controls.mirror = True`` changes, ``controls.set(mirror=True, background="beach")``
    changes several, or none if one value is refused.

    Args:
        controls: the controls of this run.
    """

    _known: dict[str, Control]
    _lock: threading.RLock
    _subscribers: list[Callable[[Mapping[str, Any]], None]]
    _told: dict[str, Any]

    def __init__(self, controls: Iterable[Control] = ()) -> None:
        object.__setattr__(self, "_known", {control.name: control for control in controls})
        object.__setattr__(self, "_lock", threading.RLock())
        object.__setattr__(self, "_subscribers", [])
        object.__setattr__(self, "_told", {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._control(name).read()
        except SettingsError as error:
            raise AttributeError(str(error)) from error

    def __setattr__(self, name: str, value: Any) -> None:
        self.set(**{name: value})

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._known]

    def set(self, **wishes: Any) -> Mapping[str, Any]:
        """Change the named controls; all values are checked before anything is changed.

        Returns:
            The present values of all controls.

        Raises:
            SettingsError: there is no such control, or it cannot have that value; nothing was changed.
        """
        with self._lock:
            asked = [(self._control(name), wish) for name, wish in wishes.items()]
            meant = [(control, control.check(wish)) for control, wish in asked]
            before = self.state()
            for control, value in meant:
                control.apply(value)
            after = self.state()
            self._tell({name: value for name, value in after.items() if before.get(name) != value})
            return after

    def add(self, control: Control) -> None:
        """Add a control."""
        with self._lock:
            object.__setattr__(self, "_known", {**self._known, control.name: control})

    def check(self, name: str, wish: Any) -> Any:
        """The value that ``wish`` means; nothing is changed.

        Raises:
            SettingsError: there is no such control, or it cannot have that value.
        """
        return self._control(name).check(wish)

    def state(self) -> Mapping[str, Any]:
        """The present values: name -> value."""
        return MappingProxyType({name: control.read() for name, control in self._known.items()})

    def choices(self, name: str) -> Sequence[Any]:
        """The values that ``name`` can have now, in order; empty if they cannot be listed.

        Raises:
            SettingsError: there is no such control.
        """
        return self._control(name).choices()

    def describe(self) -> list[dict[str, Any]]:
        """Every control for a page or another program, as plain JSON: ``name``, ``kind``, ``value``,
        ``choices``, ``limits`` and ``text``, as in :class:`Control`."""
        return [
            {
                "name": control.name,
                "kind": control.kind,
                "value": control.read(),
                "choices": list(control.choices()),
                "limits": None if control.limits is None else list(control.limits),
                "text": control.text,
            }
            for control in self._known.values()
        ]

    def step(self, name: str, steps: int = 1) -> Any:
        """Go ``steps`` choices on from the present value of ``name``; the last is followed by the first.

        Returns:
            The new value.

        Raises:
            SettingsError: there is no such control, or nothing to choose from.
        """
        with self._lock:
            control, choices = self._control(name), list(self.choices(name))
            now = control.read()
            why = control.alone() if choices in ([], [now]) else ""
            if why or not choices:
                raise SettingsError(why or f"{name} has no list of choices: give it a value")
            place = choices.index(now) if now in choices else (-1 if steps > 0 else 0)
            return self.set(**{name: choices[(place + steps) % len(choices)]})[name]

    def subscribe(self, told: Callable[[Mapping[str, Any]], None]) -> Callable[[], None]:
        """Call ``told`` at every change with name -> value, on the thread that made it, which waits meanwhile.

        Returns:
            A function that ends the subscription.
        """
        with self._lock:
            self._subscribers.append(told)

        def leave() -> None:
            with self._lock:
                if told in self._subscribers:
                    self._subscribers.remove(told)

        return leave

    def changed(self, *names: str) -> None:
        """Tell the subscribers that values changed by themselves, such as when a recording ended."""
        with self._lock:
            self._tell({name: self._control(name).read() for name in names})

    def look(self, *names: str) -> None:
        """Tell the subscribers of values that differ from the last ones told, or seen at the first look, such as
        when another engine took over. To be called now and then."""
        with self._lock:
            now = {name: self._control(name).read() for name in names}
            self._tell({name: value for name, value in now.items() if self._told.setdefault(name, value) != value})

    def _control(self, name: str) -> Control:
        control = self._known.get(name)
        if control is None:
            near = difflib.get_close_matches(name, self._known, 1)
            told = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(sorted(self._known))}"
            raise SettingsError(f"there is no control {name!r}: {told}")
        return control

    def _tell(self, changes: Mapping[str, Any]) -> None:
        if not changes:
            return
        self._told.update(changes)
        for told in list(self._subscribers):
            try:
                told(MappingProxyType(dict(changes)))
            except Exception:  # one client's error must affect neither other clients nor the picture
                _log.exception("a subscriber of the controls failed")


def truth(name: str) -> Callable[[Any], bool]:
    """A check for a switch: on or off."""

    def check(wish: Any) -> bool:
        word = wish.strip().lower() if isinstance(wish, str) else ""
        if isinstance(wish, bool) or word in _ON + _OFF:
            return wish is True or word in _ON
        raise SettingsError(f"{name} must be on or off, not {wish!r}")

    return check


def one_of(name: str, choices: Callable[[], Sequence[str]]) -> Callable[[Any], str]:
    """A check for one of several names."""

    def check(wish: Any) -> str:
        known = list(choices())
        if isinstance(wish, str) and wish in known:
            return wish
        near = difflib.get_close_matches(str(wish), known, 1)
        told = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(known)}"
        raise SettingsError(f"there is no {name} {wish!r}: {told}")

    return check


def number(name: str, least: float, greatest: float, *, auto: bool = False) -> Callable[[Any], Any]:
    """A check for a number from ``least`` to ``greatest``, or for the word ``auto`` if that is allowed."""

    def check(wish: Any) -> Any:
        if auto and wish in ("auto", None):
            return "auto"
        try:
            value = float("nan") if isinstance(wish, bool) else float(wish)
        except (TypeError, ValueError):
            value = float("nan")
        if not least <= value <= greatest:
            also = " or auto" if auto else ""
            raise SettingsError(f"{name} must be a number from {least:g} to {greatest:g}{also}, not {wish!r}")
        return value

    return check


def attribute(owner: object, name: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """The ``read`` and ``apply`` of a control whose value is an attribute of an object."""
    return partial(getattr, owner, name), partial(setattr, owner, name)


def switch(name: str, read: Callable[[], bool], apply: Callable[[bool], None], text: str, **more: Any) -> Control:
    """A control that is on or off; ``more``: other attributes of :class:`Control`."""
    return Control(name, read, apply, text=text, kind="switch", **{"check": truth(name), **more})


def choice(
    name: str, read: Callable[[], str], apply: Callable[[str], None], choices: Sequence[str], text: str
) -> Control:
    """A control of one out of several names, which are always the same."""
    return Control(name, read, apply, check=one_of(name, lambda: choices), choices=lambda: choices, text=text)


def amount(
    name: str,
    read: Callable[[], Any],
    apply: Callable[[Any], None],
    limits: tuple[float, float],
    text: str,
    **more: Any,
) -> Control:
    """A control of a number, or of several; ``more`` as in :func:`switch`."""
    check = number(name, *limits)
    return Control(name, read, apply, text=text, kind="number", limits=limits, **{"check": check, **more})


def trigger(name: str, do: Callable[[], None], text: str = "") -> Control:
    """A control that does something when it is set to True, and always reads False."""

    def apply(wanted: bool) -> None:
        if wanted:
            do()

    return Control(name, lambda: False, apply, check=truth(name), kind="trigger", text=text)
