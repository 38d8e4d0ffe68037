"""Measured cost of each engine and quality on this machine; kept from run to run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.system.atomic_write import write_whole
from rvm_live.system.folders import cache_folder

__all__ = ["Costs"]

_STEADY_NS = 4_000_000_000
_KEEP_NS = 30_000_000_000
_MOST = 200


class Costs:
    """Milliseconds of matting, by engine and quality, of frames of this size.

    Used by one thread at a time.

    Args:
        clock: a choice counts once it has run for four seconds.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._path = cache_folder() / "costs.json"
        self._known: dict[str, float] = self._read()
        self._now = ""
        self._since_ns = self._kept_ns = clock.now_ns()

    def seen(self, status: Mapping[str, Any], controls: Mapping[str, Any]) -> dict[str, dict[str, float]]:
        """Record what runs now; returns all measurements: control -> choice -> milliseconds."""
        size = "x".join(map(str, status["size"]))
        engine, quality = str(controls.get("engine", "")), str(controls.get("quality", "auto"))
        now = f"{size} {status['device']} {engine} {quality}"
        now_ns = self._clock.now_ns()
        if now != self._now:
            self._now, self._since_ns = now, now_ns
        elif status["matting_ms"] and not status["phase"] and now_ns - self._since_ns > _STEADY_NS:
            self._known[now] = round(status["matting_ms"], 1)
            if now_ns - self._kept_ns > _KEEP_NS:
                self._kept_ns = now_ns
                self._write()
        found: dict[str, dict[str, float]] = {"engine": {}, "quality": {}}
        for key, cost in self._known.items():
            of_size, _, of_engine, of_quality = key.split(" ", 3)
            if of_size == size:
                engines = found["engine"]
                engines[of_engine] = min(cost, engines.get(of_engine, cost))
                if of_engine == engine:
                    found["quality"][of_quality] = cost
        return found

    def _read(self) -> dict[str, float]:
        with suppress(OSError, ValueError, AttributeError):
            read = json.loads(self._path.read_text(encoding="utf-8"))
            return {
                key: float(value)
                for key, value in list(read.items())[-_MOST:]
                if key.count(" ") >= 3 and isinstance(value, int | float)
            }
        return {}

    def _write(self) -> None:
        with suppress(Exception):  # only a convenience: it may fail
            write_whole(self._path, json.dumps(self._known).encode())
