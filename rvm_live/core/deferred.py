"""Fields of mattes that are computed when they are first read."""

from __future__ import annotations

from typing import Any

__all__ = ["MadeWhenRead", "OfTheEstimate"]


class MadeWhenRead:
    """A field that holds a value, or a function that makes it when it is first read."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        if owner is None:
            raise AttributeError(self._name)  # so that it has no default
        value = owner.__dict__[self._name]
        if callable(value):
            value = owner.__dict__[self._name] = value()
        return value

    def __set__(self, owner: Any, value: Any) -> None:
        owner.__dict__[self._name] = value


class OfTheEstimate:
    """Alpha or foreground of a matte: as the engine gave it, or computed from its estimate."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, matte: Any, kind: type | None = None) -> Any:
        if matte is None:
            if self._name == "alpha":
                raise AttributeError(self._name)  # so that it has no default
            return None
        estimate = matte.deferred
        if estimate is None:
            return matte.__dict__[self._name]
        return estimate.alpha if self._name == "alpha" else estimate.colour

    def __set__(self, matte: Any, value: Any) -> None:
        matte.__dict__[self._name] = value
