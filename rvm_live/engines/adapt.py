"""Adapts engine classes of other authors, and checks that they keep the contract."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from rvm_live.core.errors import EngineError, SettingsError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo, Rung
from rvm_live.engines.delegating import DelegatingEngine

__all__ = ["adapted"]

_REQUIRED = ("open", "info", "reset", "matte")
_OPTIONAL = ("prepare", "use_rung", "matte_chunk", "states", "restore", "close")


def adapted(engine: Any, name: str, settings: EngineSettings) -> Engine:
    """Wrap an engine of any class so that it keeps the contract.

    Args:
        engine: not open yet; need not be an :class:`Engine`.
        name: the name that the user gave.
        settings: what it was made with.

    Raises:
        SettingsError: a required method is missing.
    """
    missing = [method for method in _REQUIRED if inspect.getattr_static(engine, method, None) is None]
    if missing:
        raise SettingsError(f"engine {name!r} does not define {', '.join(missing)}")
    return _Checked(engine if isinstance(engine, Engine) else _Adapted(engine, settings), name, settings)


class _Adapted(Engine):
    """An engine that does not derive from :class:`Engine` but has its methods; the optional ones may be left out."""

    def __init__(self, engine: Any, settings: EngineSettings) -> None:
        super().__init__(settings)
        self._engine = engine
        for name in _OPTIONAL:
            method = getattr(engine, name, None)
            if method is not None:
                setattr(self, name, method)

    def open(self) -> EngineInfo:
        self._engine.open()
        return self.info

    @property
    def info(self) -> EngineInfo:
        info: EngineInfo = self._engine.info
        return info

    @property
    def rungs(self) -> tuple[Rung, ...]:
        return tuple(getattr(self._engine, "rungs", ()))

    @property
    def chunked(self) -> bool:
        return bool(getattr(self._engine, "chunked", False))

    @property
    def phase(self) -> str:
        return str(getattr(self._engine, "phase", ""))

    def reset(self) -> None:
        self._engine.reset()

    def matte(self, frame: Frame) -> Matte:
        matte: Matte = self._engine.matte(frame)
        return matte


class _Checked(DelegatingEngine):
    """Refuses what the contract does not allow: a matte of another frame, an info of another type."""

    def __init__(self, inner: Engine, name: str, settings: EngineSettings) -> None:
        super().__init__(inner, settings)
        self._name = name

    @property
    def info(self) -> EngineInfo:
        info: object = self._inner.info
        if not isinstance(info, EngineInfo):
            raise EngineError(f"engine {self._name!r} has an info of type {type(info).__name__} instead of EngineInfo")
        return info

    def matte(self, frame: Frame) -> Matte:
        return self._checked(self._inner.matte(frame), frame)

    def matte_chunk(self, frames: Sequence[Frame]) -> list[Matte]:
        mattes = self._inner.matte_chunk(frames)
        return [self._checked(matte, frame) for matte, frame in zip(mattes, frames, strict=True)]

    def _checked(self, matte: object, frame: Frame) -> Matte:
        if not isinstance(matte, Matte) or matte.frame is not frame:
            what = "the matte of another frame" if isinstance(matte, Matte) else f"a {type(matte).__name__}"
            raise EngineError(f"engine {self._name!r} returned {what} instead of the matte of {frame!r}")
        return matte
