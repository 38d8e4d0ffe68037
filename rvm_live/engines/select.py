"""Chooses the engine at the moment it is opened, on the matting thread, so that nothing heavy is imported before."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from rvm_live import weights
from rvm_live.core.errors import EngineError, SettingsError, UnavailableError, WeightsError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.registry import ENGINES
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo, Rung, States, close_failed
from rvm_live.engines.choice import EMBEDDED, Choice, choose
from rvm_live.system.folders import at_home
from rvm_live.weights import consent

__all__ = ["AutoEngine", "engine_for"]

_NEED_RVM = ("openvino", "rvm")
_REQUIRED = ("open", "info", "reset", "matte")


class AutoEngine(Engine):
    """The engine that ``settings.engine`` names: ``auto``, a registered name, or ``package.module:Class``.

    A class of the user's own need not derive from :class:`~rvm_live.engines.base.Engine`; it needs its methods
    (``prepare`` and ``close`` may be left out).

    Args:
        settings: what was asked for.
        choice: what ``auto`` tries, if that was decided before; None: decided when it is opened.

    Attributes:
        refusals: engines that ``auto`` passed over -> why.
    """

    def __init__(self, settings: EngineSettings, choice: Choice | None = None) -> None:
        super().__init__(settings)
        self.refusals: dict[str, str] = {}
        self._choice = choice
        self._steadier: Any = None
        self._warning = ""
        self._known = False
        self._name = settings.engine
        self._inner: Any = None

    def again(self, settings: EngineSettings) -> AutoEngine:
        """A fresh one for the same or other settings; what was decided for these is decided for it."""
        return AutoEngine(settings, self._choice if settings is self.settings else None)

    def open(self) -> EngineInfo:
        """Choose and open the engine.

        Raises:
            SettingsError: there is no such engine, or the class does not meet the contract.
            UnavailableError: none of those that ``auto`` tries works here.
            WeightsError: the weights are missing or unusable.
        """
        if self.settings.engine == "auto":
            choice = self._choice = self._choice or choose(self.settings)
            self.settings = choice.settings
            try:
                self._name, self._inner, self.refusals = ENGINES.first(choice.names, self._opened)
            except UnavailableError as error:
                if not choice.reason:
                    raise
                raise UnavailableError(f"{error}; {choice.reason}", error.reasons) from error
        else:
            self._inner = self._opened(self.settings.engine)
        if "openvino" in self.refusals and find_spec("openvino") is None:
            self._known = not consent.first_time(consent.NO_OPENVINO, of="told")
        wanted = self.settings.steady
        if self._inner.info.engine == EMBEDDED if wanted is None else wanted:
            from rvm_live.engines.smoothing import TemporalSmoother  # only now: it needs OpenCV

            self._steadier = TemporalSmoother()
        return self.info

    def _opened(self, name: str) -> Any:
        self._name = name
        self._warning = _whose_code(name, self.settings)
        engine = _construct(name, self.settings)
        try:
            engine.open()
        except BaseException:
            close_failed(engine)
            raise
        return engine

    def _require(self) -> Any:
        if self._inner is None:
            raise EngineError("the engine is not open")
        return self._inner

    @property
    def phase(self) -> str:
        return "" if self._inner is None else str(getattr(self._inner, "phase", ""))

    @property
    def info(self) -> EngineInfo:
        """What runs now; before ``open``, what was asked for."""
        if self._inner is None:
            settings = self.settings
            return EngineInfo(settings.engine, settings.model or "", settings.device, "", settings.precision)
        info = self._inner.info
        if not isinstance(info, EngineInfo):
            raise EngineError(f"engine {self._name!r} has an info that is not an EngineInfo but {type(info).__name__}")
        remarks: list[str] = []
        told: list[str] = []
        for name, reason in self.refusals.items():
            where = remarks if self._known and name == "openvino" else told
            where.append(f"engine {name} was skipped: {reason}")
        if self._warning:
            told.append(self._warning)
        if self.settings.steady and info.mattes_on != "cpu":
            told.append(f"--steady works on alpha in main memory alone: on {info.device} it does nothing")
        if self._choice is not None and self._choice.reason:
            why = told if self._choice.agreed else remarks
            why.append(f"the embedded engine {EMBEDDED} runs: {self._choice.reason}")
        return replace(info, notes=(*info.notes, *told), remarks=(*info.remarks, *remarks))

    def prepare(self, width: int, height: int) -> None:
        prepare = getattr(self._require(), "prepare", None)
        if prepare is not None:
            prepare(width, height)

    @property
    def rungs(self) -> tuple[Rung, ...]:
        rungs = getattr(self._require(), "rungs", None)
        return super().rungs if rungs is None else tuple(rungs)

    def use_rung(self, rung: Rung) -> bool:
        use = getattr(self._require(), "use_rung", None)
        return super().use_rung(rung) if use is None else bool(use(rung))

    @property
    def ratios(self) -> tuple[float, ...]:
        return tuple(getattr(self._require(), "ratios", ()))

    def use_ratio(self, ratio: float) -> bool:
        return bool(self._require().use_ratio(ratio))

    def reset(self) -> None:
        self._require().reset()
        if self._steadier is not None:
            self._steadier.reset()

    def matte(self, frame: Frame) -> Matte:
        return self._checked(self._require().matte(frame), frame)

    def matte_chunk(self, frames: Sequence[Frame]) -> list[Matte]:
        chunk = getattr(self._require(), "matte_chunk", None)
        if chunk is None or len(frames) == 1:
            return [self.matte(frame) for frame in frames]
        mattes = chunk(frames)
        return [self._checked(matte, frame) for matte, frame in zip(mattes, frames, strict=True)]

    def _checked(self, matte: Any, frame: Frame) -> Matte:
        if not isinstance(matte, Matte) or matte.frame is not frame:
            what = "the matte of another frame" if isinstance(matte, Matte) else f"a {type(matte).__name__}"
            raise EngineError(f"engine {self._name!r} returned {what} where the matte of {frame!r} was asked for")
        return matte if self._steadier is None else self._steadier(matte)

    @property
    def chunked(self) -> bool:
        return bool(getattr(self._require(), "chunked", False))

    def states(self) -> States | None:
        """Those of the engine, and what the steadying remembers."""
        states = getattr(self._require(), "states", None)
        own = None if states is None else states()
        if own is None or self._steadier is None:
            return own
        return [*own, *self._steadier.memory]

    def restore(self, states: States) -> None:
        if self._steadier is not None:
            states, memory = states[:-2], states[-2:]
            if len(memory) != 2:
                raise EngineError("the state does not fit the engine")
            self._steadier.remember(memory)
        self._require().restore(states)

    def close(self) -> None:
        inner, self._inner = self._inner, None
        close = getattr(inner, "close", None)
        if close is not None:
            close()


def engine_for(settings: EngineSettings, progress: Any = None) -> AutoEngine:
    """The engine, not open yet, its weights at hand: what has to be fetched is fetched now, before any window opens.

    Args:
        settings: what was asked for.
        progress: handed on to :func:`rvm_live.weights.resolve`.

    Raises:
        WeightsError: what was asked for cannot be had.
    """
    if settings.engine == "auto":
        return AutoEngine(settings, choose(settings, progress))
    if settings.engine in _NEED_RVM and weights.locate(settings) is None:
        settings = replace(settings, weights=weights.resolve(settings, progress=progress))
    return AutoEngine(settings)


def _whose_code(name: str, settings: EngineSettings) -> str:
    """What to say, once, before code runs that is not this program's; empty where there is nothing to say."""
    if name in ENGINES.builtin:
        if name != "torchscript" or settings.weights is None:
            return ""
        try:
            identity = weights.sha256_of(weights.file_bytes(at_home(settings.weights)))
        except WeightsError:
            return ""  # opening it will say so
        name = f"the model {settings.weights.name}"
    else:
        identity, name = name, f"the engine {name}"
    return consent.whose_code(name, identity)


def _construct(name: str, settings: EngineSettings) -> Any:
    """Make the engine called ``name`` and check that it has what the contract asks for.

    Raises:
        SettingsError: it has not.
    """
    engine = ENGINES.fitting(name, settings)(settings)
    missing = [method for method in _REQUIRED if inspect.getattr_static(engine, method, None) is None]
    if missing:
        raise SettingsError(f"engine {name!r} lacks {', '.join(missing)}")
    return engine
