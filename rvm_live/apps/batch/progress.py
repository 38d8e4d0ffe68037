"""Progress of a file: sent from the thread that runs its pipeline, at most four times a second."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.system import atomic_write, folders

__all__ = ["Preparations", "Progress"]

_EVERY_S = 0.25
_WORTH_TELLING_S = 1.0
"""Shorter preparations are not recorded: nothing was prepared, or nobody had to wait."""
_KEPT = "preparing.json"
_MOST = 100
"""Preparations that are remembered."""


class Progress:
    """Events ``preparing`` until the engine is ready, then ``progress``.

    Args:
        tell: called with the events.
        about: what stands in each of them.
        of: frames that the file has by what it says of itself, or None.
        ready: whether the engine is.
        network: the prepared network, in words that stay the same from run to run.
        clock: monotonic time.
    """

    def __init__(
        self,
        tell: Callable[[dict[str, Any]], None],
        about: dict[str, Any],
        of: int | None,
        ready: Callable[[], bool],
        network: str,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._tell, self._about, self._of = tell, about, of
        self._ready, self._network, self._clock = ready, network, clock
        self._began = self._last = self._now()
        self._preparations = Preparations()
        self._before = self._preparations.seconds(network)
        self._prepared = False

    def idle(self) -> None:
        """Nothing has come out since the last call."""
        now = self._now()
        if self._prepared:
            return
        if self._ready():
            self._prepared = True
            if now - self._began >= _WORTH_TELLING_S:
                self._preparations.remember(self._network, now - self._began)
        elif now - self._began >= _WORTH_TELLING_S and now - self._last >= _EVERY_S:
            self._last = now
            seconds = round(now - self._began, 1)
            self._tell({"event": "preparing", **self._about, "seconds": seconds, "last_time": self._before})

    def seen(self, frames: int) -> None:
        """So many frames of the file are done."""
        self.idle()
        now = self._now()
        if now - self._last >= _EVERY_S:
            self._last = now
            self._tell({"event": "progress", **self._about, "frames": frames, "of": self._of})

    def all_seen(self, frames: int) -> None:
        """All frames are done; only joining the outputs is left."""
        self._tell({"event": "progress", **self._about, "frames": frames, "of": frames})

    def _now(self) -> float:
        return self._clock.now_ns() / 1e9


class Preparations:
    """How long networks took to prepare last time, stored in the cache. A problem with that is not an error."""

    def __init__(self) -> None:
        self._path = folders.cache_folder() / _KEPT

    def seconds(self, network: str) -> float | None:
        """The last time; None where it is not known."""
        return self._known().get(network)

    def remember(self, network: str, seconds: float) -> None:
        known = {name: each for name, each in self._known().items() if name != network}
        known[network] = round(seconds, 1)
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write.write(self._path, json.dumps(dict(list(known.items())[-_MOST:]), indent=1).encode())

    def _known(self) -> dict[str, float]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {name: float(each) for name, each in found.items() if _is_time(each)}


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
