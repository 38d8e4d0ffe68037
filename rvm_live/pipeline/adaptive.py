"""Keeps matting within the time a frame has, by moving the network's size and precision up and down a ladder.

Down quickly, up slowly: a frame that comes too late is lost, a size that is too small only costs some detail. A step up
that had to be taken back makes the next one wait twice as long, so that a load that comes and goes does not make the
picture change with it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import MatteError
from rvm_live.core.frames import Frame, Matte
from rvm_live.engines.base import Engine, Rung

__all__ = ["Controller", "Governor"]

WINDOW = 90
"""Frames whose 95th percentile is looked at."""
SETTLE_S = 1.0
"""After a step nothing is decided for so long: caches and clocks settle."""
PATIENCE_S = 3.0
"""A larger size must have had room for so long before it is tried."""
LONGEST_PATIENCE_S = 120.0
HEADROOM = 0.85
"""A larger size is tried only if it is expected to take no more than this part of the budget."""
SLOW_MS = 1000 / 24
"""Fewer frames a second than this, and motion is seen to stutter."""
_PROVEN_S = 30.0


class Controller:
    """Decides which rung of a ladder to stand on. Knows nothing of engines; time comes from a clock.

    Args:
        costs: what a frame costs on each rung relative to the others, best and dearest first.
        rung: where to start, an index into ``costs``.
        clock: monotonic time.
    """

    def __init__(self, costs: Sequence[float], rung: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self._costs = list(costs)
        self._clock = clock
        self._times: deque[float] = deque(maxlen=WINDOW)
        self._moved_ns = clock.now_ns()
        self._room_since_ns: int | None = None
        self._patience_s = PATIENCE_S
        self._went_up = False
        self.rung = rung
        self.p95_ms = 0.0

    def observe(self, milliseconds: float, budget_ms: float) -> int | None:
        """Take in the time of one frame; returns the rung to move to, or None to stay.

        Call :meth:`moved` once the move is made; until then the wish is repeated.
        """
        now_ns = self._clock.now_ns()
        self._times.append(milliseconds)
        stood_s = (now_ns - self._moved_ns) / 1e9
        if self._went_up and stood_s >= _PROVEN_S:
            self._went_up, self._patience_s = False, PATIENCE_S
        if len(self._times) < WINDOW or stood_s < SETTLE_S:
            return None
        p95 = self.p95_ms = sorted(self._times)[math.ceil(0.95 * WINDOW) - 1]
        if p95 > budget_ms:
            self._room_since_ns = None
            return self._lower(p95, budget_ms)
        if self.rung == 0 or p95 * self._costs[self.rung - 1] / self._costs[self.rung] > HEADROOM * budget_ms:
            self._room_since_ns = None
            return None
        if self._room_since_ns is None:
            self._room_since_ns = now_ns
        return self.rung - 1 if (now_ns - self._room_since_ns) / 1e9 >= self._patience_s else None

    def _lower(self, p95: float, budget_ms: float) -> int | None:
        """The best lower rung that is expected to keep the budget, else the lowest."""
        last = len(self._costs) - 1
        for rung in range(self.rung + 1, last + 1):
            if rung == last or p95 * self._costs[rung] / self._costs[self.rung] <= budget_ms:
                return rung
        return None

    def moved(self, rung: int) -> None:
        """The move to ``rung`` was made."""
        if rung > self.rung and self._went_up:
            self._patience_s = min(2 * self._patience_s, LONGEST_PATIENCE_S)
        self._went_up = rung < self.rung
        self.rung = rung
        self._times.clear()
        self.p95_ms = 0.0
        self._room_since_ns = None
        self._moved_ns = self._clock.now_ns()


class Governor:
    """Moves an engine along its ladder as the :class:`Controller` says. Used by the matting thread alone.

    The budget is the time between two frames: of ``max_fps``, or of the source where that is slower.

    Args:
        engine: one with :attr:`~rvm_live.engines.base.Engine.rungs`.
        max_fps: frames shown per second at most.
        clock: monotonic time.
    """

    def __init__(self, engine: Engine, max_fps: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._engine = engine
        self._clock = clock
        self._least_ms = 1000 / max_fps
        self._interval_ms = 0.0
        self._previous: Frame | None = None
        self._unfinished: Matte | None = None
        self._done_ns = 0
        self._moving = False
        self._follow(engine.rungs)

    def _follow(self, rungs: tuple[Rung, ...]) -> None:
        """Stand on the rung where the engine is; frames of another size have another ladder."""
        info = self._engine.info

        def apart(number: int) -> tuple[float, bool]:
            return abs(rungs[number].ratio - info.downsample_ratio), rungs[number].precision != info.precision

        self._rungs = rungs
        at = min(range(len(rungs)), key=apart, default=0)
        self._controller = Controller([rung.cost for rung in rungs], at, self._clock)

    @property
    def budget_ms(self) -> float:
        """What the matting of one frame may take now, milliseconds."""
        return max(self._least_ms, self._interval_ms)

    @property
    def too_slow_ms(self) -> float | None:
        """What matting takes (p95) where the lowest rung is too much for 24 frames a second; None where it is not."""
        p95 = self._controller.p95_ms
        lowest = len(self._rungs) > 1 and self._controller.rung == len(self._rungs) - 1
        return p95 if lowest and p95 > max(self.budget_ms, SLOW_MS) else None

    def observe(self, matte: Matte) -> None:
        """Take in one matte, and move the engine if it is time to."""
        rungs = self._engine.rungs
        if rungs != self._rungs:
            self._follow(rungs)
        if len(rungs) < 2:
            return
        self._learn_interval(matte.frame)
        spent_ms = self._work_ms(matte)
        if self._moving or spent_ms is None:
            self._moving = False  # what a GPU had at hand when the engine moved was still made on the rung before
            return
        wanted = self._controller.observe(spent_ms, self.budget_ms)
        if wanted is not None and self._engine.use_rung(rungs[wanted]):
            self._controller.moved(wanted)
            self._moving = self._unfinished is not None

    def _work_ms(self, matte: Matte) -> float | None:
        """The work on the newest matte whose time is known, milliseconds; None if there is none.

        A GPU that is still at work on this one has done the one before. It works off one after the other: as long as
        that one took, this one has waited, which a smaller network would not make any shorter.
        """
        known: Matte | None = matte
        if matte.elapsed_ns is not None:
            known, self._unfinished = self._unfinished, matte
        if known is None:
            return None
        try:
            done_ns = known.done_ns
        except MatteError:
            return None  # whoever puts it over the background tells
        began_ns, self._done_ns = max(known.started_ns, self._done_ns), done_ns
        return (done_ns - began_ns) / 1e6

    def _learn_interval(self, frame: Frame) -> None:
        previous, self._previous = self._previous, frame
        if previous is None or previous.epoch != frame.epoch or frame.seq <= previous.seq:
            return
        interval_ms = (frame.captured_ns - previous.captured_ns) / 1e6 / (frame.seq - previous.seq)
        self._interval_ms += (interval_ms - self._interval_ms) * (0.05 if self._interval_ms else 1.0)
