"""Chooses the engine when it is opened, on the matting thread, so that nothing heavy is imported before."""

from __future__ import annotations

import logging
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from rvm_live import weights
from rvm_live.core.errors import EngineError, RvmLiveError, UnavailableError, WeightsError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.registry import ENGINES
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.adapt import adapted
from rvm_live.engines.base import Engine, EngineInfo, States, close_failed
from rvm_live.engines.choice import EMBEDDED, FOR_CPUS, Choice, choose, embedded_settings
from rvm_live.engines.common.ladder import SLOW_MS
from rvm_live.engines.common.micro_benchmark import rvm_ms
from rvm_live.engines.delegating import DelegatingEngine
from rvm_live.engines.licences import check_licences
from rvm_live.engines.resort import ResortEngine
from rvm_live.system.folders import at_home
from rvm_live.weights import consent

if TYPE_CHECKING:
    from rvm_live.engines.chroma.screen import Key

__all__ = ["AutoEngine", "engine_for"]

_log = logging.getLogger("rvm_live")

_NEED_RVM = ("openvino", "rvm")


class AutoEngine(DelegatingEngine):
    """The engine that ``settings.engine`` names: ``auto``, a registered name, or ``package.module:Class``.

    A class of the user's own need not derive from :class:`~rvm_live.engines.base.Engine`; it needs its methods
    (``prepare`` and ``close`` may be left out).

    Args:
        settings: what was asked for.
        choice: what ``auto`` tries, if that was decided before; None: decided when it is opened.

    Attributes:
        refusals: engines that ``auto`` skipped -> why.
    """

    def __init__(self, settings: EngineSettings, choice: Choice | None = None) -> None:
        super().__init__(_NotOpen(settings))
        self.refusals: dict[str, str] = {}
        self._choice = choice
        self._warning = ""
        self._known = False
        self._asked_auto = self._look = settings.engine == "auto"
        self._screen: Key | None = None

    def again(self, settings: EngineSettings) -> AutoEngine:
        """A new engine for the same or other settings; the earlier choice stays."""
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
            if self._may_change(choice):
                self._look = self._asked_auto = False  # the inner engine does this instead
                above, below = replace(self.settings, fallback_lite=False), embedded_settings(self.settings)
                first = self._below(choice)
                if first is None:
                    first = AutoEngine(above, replace(choice, settings=above))
                    first.open()
                self._inner = ResortEngine(first, AutoEngine, above, below)
                return self.info
            try:
                name, inner, self.refusals = ENGINES.first(choice.names, self._opened)
            except UnavailableError as error:
                if not choice.reason:
                    raise
                raise UnavailableError(f"{error}; {choice.reason}", error.reasons) from error
            inner = self._with_rival(name, inner)
        else:
            inner = self._opened(self.settings.engine)
        self._inner = inner
        if "openvino" in self.refusals and find_spec("openvino") is None:
            self._known = not consent.first_time(consent.NO_OPENVINO, of="told")
        self._steady(inner)
        return self.info

    def _with_rival(self, name: str, inner: Engine) -> Engine:
        """Add the same network in another runtime, if that may be faster."""
        from rvm_live.engines.onnx import rival  # imported only now: it needs OpenCV

        if not rival.possible(self.settings, inner.info):
            return inner
        make = ENGINES.fitting(name, self.settings)
        return rival.RivalEngine(inner, make, weights.resolve(self.settings), self.settings)

    def use_steady(self, wanted: bool | None) -> None:
        """Average alpha over time from the next frame on, or stop; None: only with ``lite``."""
        self.settings = replace(self.settings, steady=wanted)
        if isinstance(self._inner, ResortEngine):
            self._inner.use_steady(wanted)
        else:
            self._steady(getattr(self._inner, "smoothed", self._inner))

    def _steady(self, inner: Engine) -> None:
        wanted = self.settings.steady
        if inner.info.engine == EMBEDDED if wanted is None else wanted:
            from rvm_live.engines.smoothing import SmoothedEngine  # imported only now: it needs OpenCV

            inner = SmoothedEngine(inner)
        self._inner = inner

    def _may_change(self, choice: Choice) -> bool:
        """Whether ``lite`` may replace RVM, and RVM return later."""
        asked = self.settings
        free = asked.downsample_ratio is None and not asked.device.startswith(("cuda", "mps"))
        return free and asked.keep_up and asked.fallback_lite and EMBEDDED not in choice.names

    def _below(self, choice: Choice) -> AutoEngine | None:
        """``lite``, open, if RVM is not expected to keep up; None if it is, or if that is unknown."""
        expected = rvm_ms() if choice.names[0] in FOR_CPUS else None
        if expected is None:
            return None
        _log.info("RVM's smallest size is expected to take %.0f ms", expected)
        if expected <= SLOW_MS:
            return None
        below = AutoEngine(embedded_settings(self.settings))
        try:
            below.open()
        except RvmLiveError as error:  # it does not work here, or was refused
            _log.info("%s was skipped: %s", EMBEDDED, error)
            close_failed(below)
            return None
        self._warning = (
            f"RVM would take {expected:.0f} ms a frame now: {EMBEDDED} runs until there is enough time for it"
        )
        return below

    def _opened(self, name: str) -> Engine:
        check_licences(name, self.settings.require_licence)
        self._warning = _whose_code(name, self.settings)
        engine = adapted(ENGINES.fitting(name, self.settings)(self.settings), name, self.settings)
        try:
            engine.open()
        except BaseException:
            close_failed(engine)
            raise
        return engine

    @property
    def info(self) -> EngineInfo:
        """What runs now; before ``open``, what was asked for."""
        info = self._inner.info
        remarks: list[str] = []
        told: list[str] = []
        for name, reason in self.refusals.items():
            where = remarks if self._known and name == "openvino" else told
            where.append(f"engine {name} was skipped: {reason}")
        if self._warning:
            told.append(self._warning)
        if self.settings.steady and info.mattes_on != "cpu":
            told.append(f"--steady only works on the CPU: on {info.device} it has no effect")
        if self._choice is not None and self._choice.reason:
            why = told if self._choice.agreed else remarks
            why.append(f"the embedded engine {EMBEDDED} runs: {self._choice.reason}")
        hints = info.hints
        if self._screen is not None:
            hints += (f"a {self._screen.name} screen was found: `--engine chroma` cuts out better and faster here",)
        return replace(info, notes=(*info.notes, *told), remarks=(*info.remarks, *remarks), hints=hints)

    def reset(self) -> None:
        self._look = self._asked_auto and self._screen is None
        super().reset()

    def matte(self, frame: Frame) -> Matte:
        if self._look:
            from rvm_live.engines.chroma.screen import find_key

            self._look, self._screen = False, find_key(frame.image)
        return super().matte(frame)

    def close(self) -> None:
        inner, self._inner = self._inner, _NotOpen(self.settings)
        inner.close()


class _NotOpen(Engine):
    """Placeholder for an engine that is not open."""

    @property
    def info(self) -> EngineInfo:
        asked = self.settings
        return EngineInfo(asked.engine, asked.model or "", asked.device, "", asked.precision)

    def open(self) -> EngineInfo:
        raise EngineError("the engine is not open")

    def prepare(self, width: int, height: int) -> None:
        self.open()

    def reset(self) -> None:
        self.open()

    def matte(self, frame: Frame) -> Matte:
        raise EngineError("the engine is not open")

    def restore(self, states: States) -> None:
        self.open()


def engine_for(settings: EngineSettings, progress: Any = None) -> AutoEngine:
    """The engine, not open yet, with its weights: they are fetched now if necessary, before any window opens.

    Args:
        settings: what was asked for.
        progress: handed on to :func:`rvm_live.weights.resolve`.

    Raises:
        WeightsError: the weights that were asked for are not available.
        SettingsError: its licence is none of those that are allowed.
    """
    if settings.engine == "auto":
        return AutoEngine(settings, choose(settings, progress))
    check_licences(settings.engine, settings.require_licence)
    if settings.engine in _NEED_RVM and weights.locate(settings) is None:
        settings = replace(settings, weights=weights.resolve(settings, progress=progress))
    return AutoEngine(settings)


def _whose_code(name: str, settings: EngineSettings) -> str:
    """The warning, shown once, before code of other authors runs; empty if there is none."""
    if name in ENGINES.builtin:
        if name != "torchscript" or settings.weights is None:
            return ""
        try:
            identity = weights.sha256_of(weights.file_bytes(at_home(settings.weights)))
        except WeightsError:
            return ""  # opening the engine will report it
        name = f"the model {settings.weights.name}"
    else:
        identity, name = name, f"the engine {name}"
    return consent.whose_code(name, identity)
