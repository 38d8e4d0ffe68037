"""Controls of the matting during a run: the engine, its device, ratio, smoothing, box and gate."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from platform import machine
from typing import Any

from rvm_live import weights
from rvm_live.core.controls import Control, number, one_of, switch, truth
from rvm_live.core.errors import SettingsError
from rvm_live.core.registry import ENGINES
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.choice import EMBEDDED, embedded_settings
from rvm_live.engines.failover import FailoverEngine
from rvm_live.sources.switched import SwitchedSource
from rvm_live.system import gpu

__all__ = ["LiveEngines"]

_AUTO = "auto"
_RVM = "rvm"
_FAMILY = {EMBEDDED: EMBEDDED, "openvino": _RVM, "rvm": _RVM}
_SIDES = {_AUTO: None, "quick": 256, "standard": 384, "high": 512}
_LEAST_RATIO = 0.05


class LiveEngines:
    """``lite``, RVM and the others, and how they work.

    Values are those in use or being opened: another engine is opened beside the present one, which continues if
    that fails.

    Args:
        engine: makes the mattes.
        source: tells the size of the frames.
    """

    def __init__(self, engine: FailoverEngine, source: SwitchedSource) -> None:
        self._engine, self._source = engine, source
        self._first = self._beside_lite = engine.settings
        self._named: tuple[str, float | None] = (_AUTO, None)

    def controls(self) -> list[Control]:
        """``engine``, ``quality``, ``ratio``, ``device``, ``steady``, ``box``, ``gate`` and ``learned``."""
        return [
            Control(
                "engine",
                self.name,
                self.use,
                check=self.check,
                choices=self.names,
                alone=lambda: "RVM is not here yet: press w to fetch it",
                text="the engine that makes the matte",
            ),
            Control(
                "quality",
                self.quality,
                self.use_quality,
                check=self.check_quality,
                choices=self.qualities,
                alone=self.one_quality,
                text="size of the picture that RVM's network sees",
            ),
            Control(
                "ratio",
                lambda: self._engine.asked.downsample_ratio or _AUTO,
                lambda ratio: self._use(downsample_ratio=None if ratio == _AUTO else ratio),
                check=self.check_ratio,
                kind="number",
                limits=(_LEAST_RATIO, 1.0),
                text="the same as a number; auto: the largest that keeps up",
            ),
            Control(
                "device",
                self.device,
                lambda device: self._use(device=device),
                check=self.check_device,
                choices=_devices,
                text="the device that the network runs on",
            ),
            self._switch("steady", self.steady, "average alpha over time where nothing moves"),
            self._switch("box", lambda: self._engine.asked.box_wanted, "process only a box around the person"),
            self._switch(
                "gate", lambda: self._engine.asked.gate_wanted, "run the network only when something has moved"
            ),
            self._switch("steady", self.steady, "average alpha over time where nothing moves"),
            self._switch("box", lambda: self._engine.asked.box_wanted, "process only a box around the person"),
            self._switch(
                "gate", lambda: self._engine.asked.gate_wanted, "run the network only when something has moved"
            ),
            switch(
                "learned",
                lambda: self._engine.asked.camera is not None,
                lambda wish: self._use(camera=self._source.in_use if wish else None),
                "lite uses what it has learnt with this camera",
            ),
        ]

    def _switch(self, name: str, get: Callable[[], bool], text: str) -> Control:
        """Of a setting that is also ``auto``."""
        or_auto = {"check": lambda wish: None if wish in (None, _AUTO) else truth(name)(wish)}
        return switch(name, get, lambda wish: self._use(**{name: wish}), text, **or_auto)

    # The engine ---------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """What can be chosen here, without fetching anything."""
        return [EMBEDDED, *([_RVM] if weights.locate(self._first) is not None else [])]

    def name(self) -> str:
        """The one in use or about to be."""
        asked = self._engine.asked.engine
        if asked != _AUTO:
            return asked
        if self._engine.changing:
            return self.names()[-1]
        return _RVM if self._running == "onnx" else _FAMILY.get(self._running, self._running)

    def check(self, wish: Any) -> str:
        if wish == _RVM and _RVM not in self.names():
            raise SettingsError("RVM's weights are not here: fetch them with `rvm-live weights pull`")
        # No package.module:Class except the one named at the start: controls may be changed over the network.
        return one_of("engine", lambda: list(dict.fromkeys([_AUTO, *ENGINES.names(), self._first.engine])))(wish)

    def use(self, name: str) -> None:
        now = self._engine.asked
        if now.engine != EMBEDDED:
            self._beside_lite = now
        if name == EMBEDDED:
            self._engine.use(embedded_settings(now))
        else:
            before = replace(self._beside_lite, steady=now.steady)
            if name == _RVM and now.engine == _AUTO and self._running == EMBEDDED and self._engine.rungs:
                # Choosing RVM while lite stands in for it means: RVM, even if slow.
                before = replace(before, fallback_lite=False)
            self._engine.use(replace(before, engine=_AUTO if name == _RVM else name))

    def _use(self, **changes: Any) -> None:
        self._engine.use(replace(self._engine.asked, **changes))

    @property
    def _running(self) -> str:
        try:
            return self._engine.info.engine
        except Exception:  # no engine is open yet
            return ""

    # Its ratio ----------------------------------------------------------------------------------------------

    def qualities(self) -> list[str]:
        """None to choose from with an engine that sees one size."""
        return list(_SIDES) if self._sees_many_sizes else []

    @property
    def _sees_many_sizes(self) -> bool:
        return _FAMILY.get(self.name()) == _RVM

    def quality(self) -> str:
        """A name of :meth:`qualities`, or a ratio that has none."""
        ratio = self._engine.asked.downsample_ratio
        name, of = self._named
        if ratio is None or self.name() == EMBEDDED:
            return _AUTO
        return name if of == ratio else f"ratio {ratio:g}"

    def one_quality(self) -> str:
        """Why there is nothing to choose from, for people."""
        return (
            f"{self.name() or 'this engine'} has only one quality: press {'e' if _RVM in self.names() else 'w'} for RVM"
        )

    def check_quality(self, wish: Any) -> str:
        if not self.qualities():
            raise SettingsError(self.one_quality())
        return one_of("quality", self.qualities)(wish)

    def use_quality(self, quality: str) -> None:
        side, info = _SIDES[quality], self._source.info
        ratio = None if side is None or info is None else min(side / max(info.width, info.height, 1), 1.0)
        self._named = quality, ratio
        self._use(downsample_ratio=ratio)

    def check_ratio(self, wish: Any) -> float | str:
        if self.name() == EMBEDDED and wish != _AUTO:
            raise SettingsError(self.one_quality())
        ratio: float | str = number("ratio", _LEAST_RATIO, 1.0, auto=True)(wish)
        return ratio

    # Where, and how steadily --------------------------------------------------------------------------------

    def device(self) -> str:
        """Where it works, or is about to."""
        if self._engine.changing:
            return self._engine.asked.device
        try:
            return self._engine.info.device
        except Exception:  # no engine is open yet
            return self._engine.asked.device

    def check_device(self, wish: Any) -> str:
        if not isinstance(wish, str):
            raise SettingsError(f"unknown device {wish!r}: choose one of {', '.join(_devices())}")
        EngineSettings(device=wish)
        if self.name() == EMBEDDED and wish not in (_AUTO, "cpu"):
            raise SettingsError(f"{EMBEDDED} runs only on the cpu: choose engine rvm for {wish}")
        return wish

    def steady(self) -> bool:
        """Whether alpha is averaged; of itself it is with ``lite``."""
        asked = self._engine.asked.steady
        return self.name() == EMBEDDED if asked is None else asked


@lru_cache(maxsize=1)
def _devices() -> tuple[str, ...]:
    """The choices of ``device`` here, found without torch, which takes seconds to load."""
    cards = 0
    while gpu.read(cards) is not None:
        cards += 1
    apple = sys.platform == "darwin" and machine() == "arm64"
    return (_AUTO, "cpu", *(f"cuda:{number}" for number in range(cards)), *(["mps"] if apple else []))
