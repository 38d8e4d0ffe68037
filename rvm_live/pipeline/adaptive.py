"""Keeps matting within the time of a frame, by moving the network's size and precision up and down a ladder.

Down quickly, up slowly: a frame that comes too late is lost, a size that is too small only costs some detail. It
counts time, not frames: at four frames a second as at sixty, a step down takes about a second. A step up that
had to be taken back makes the next one wait twice as long, so that a load that comes and goes does not make the picture
change with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import MatteError
from rvm_live.core.frames import Frame, Matte
from rvm_live.engines.base import Engine, EngineInfo, Rung
from rvm_live.engines.common.ladder import SLOW_MS

__all__ = ["Controller", "Governor", "Move"]

WINDOW_S = 2.0
"""Decisions use the 95th percentile of the times of the last so many seconds."""
SETTLE_S = 0.9
"""Seconds after a step without a decision: caches and clock rates have to settle first."""
SUDDEN_S = 1.0
"""If half of the frames of the last so many seconds were late, earlier frames no longer count."""
PATIENCE_S = 3.0
"""Seconds for which there must have been room for a larger size before it is tried."""
LONGEST_PATIENCE_S = 120.0
RESORT_TIMES = 4
"""Factor on the waiting time before the engine is changed without need: users notice another engine more than another
size."""
PRESSED_S = 2.0
"""While other programs wait for the processor, there is a step down every so many seconds."""
HASTY = 2.0
"""If frames take this many times the budget, the wanted rung is not waited for: any lower rung that is ready is
used."""
HEADROOM = 0.85
"""A larger size is tried only if it is expected to take no more than this share of the budget."""
_PROVEN_S = 30.0


class Controller:
    """Decides which rung of a ladder to use. Knows nothing of engines; time comes from a clock.

    Args:
        costs: relative time of a frame on each rung, the best and slowest rung first.
        rung: where to start, an index into ``costs``.
        clock: monotonic time.
        resort: the last rung is another engine: used if the one above it does not keep 24 frames a second, and left
            again once it is expected to.
    """

    def __init__(self, costs: Sequence[float], rung: int, clock: Clock = SYSTEM_CLOCK, *, resort: bool = False) -> None:
        self._clock = clock
        self._times: deque[tuple[int, float]] = deque()
        self._patience_s = PATIENCE_S
        self._went_up = False
        self._room_since_ns: int | None = None
        self._moved_ns = 0
        self.follow(costs, rung, resort=resort)

    def follow(self, costs: Sequence[float], rung: int, *, resort: bool = False) -> None:
        """Use another ladder; the waiting time before a step up does not change."""
        self._costs = list(costs)
        self._least = len(self._costs) - 1 - resort
        self._stand(rung)

    def observe(self, milliseconds: float, budget_ms: float, *, pressed: bool = False) -> int | None:
        """Add the time of one frame; returns the rung to move to, or None to stay.

        Call :meth:`moved` once the move is made; until then the same rung is returned.

        Args:
            milliseconds: work on the frame.
            budget_ms: time that it may take.
            pressed: other programs wait for the processor: a step down, whatever the frames take.
        """
        now_ns = self._clock.now_ns()
        self._times.append((now_ns, milliseconds))
        while now_ns - self._times[0][0] > WINDOW_S * 1e9:
            self._times.popleft()
        stood_s = (now_ns - self._moved_ns) / 1e9
        if self._went_up and stood_s >= _PROVEN_S:
            self._went_up, self._patience_s = False, PATIENCE_S
        if len(self._times) < 2 or stood_s < SETTLE_S:
            return None
        recent = [taken for when, taken in self._times if now_ns - when <= SUDDEN_S * 1e9]
        p95 = self.p95_ms = max(_quantile([taken for _, taken in self._times], 0.95), _quantile(recent, 0.5))
        down = self._lower(p95, budget_ms)
        if down is None and pressed and self.rung < len(self._costs) - 1:
            patience_s = PRESSED_S * (RESORT_TIMES if self.rung == self._least else 1)
            down = self.rung + 1 if stood_s >= patience_s else None
        if down is not None or pressed or not self._has_room(p95, budget_ms):
            self._room_since_ns = None
            return down
        if self._room_since_ns is None:
            self._room_since_ns = now_ns
        waited_s = (now_ns - self._room_since_ns) / 1e9
        patience_s = self._patience_s * (RESORT_TIMES if self._resorted else 1)
        return self.rung - 1 if waited_s >= patience_s else None

    @property
    def _resorted(self) -> bool:
        return self.rung > self._least

    def _lower(self, p95: float, budget_ms: float) -> int | None:
        """The best lower rung that is expected to keep the budget, else the lowest; None if this one keeps it."""
        if self.rung >= self._least:
            last = len(self._costs) - 1
            return last if self.rung < last and p95 > max(budget_ms, SLOW_MS) else None
        if p95 <= budget_ms:
            return None
        for rung in range(self.rung + 1, self._least):
            if p95 * self._costs[rung] / self._costs[self.rung] <= budget_ms:
                return rung
        return self._least

    def _has_room(self, p95: float, budget_ms: float) -> bool:
        """Whether the next rung up is expected to keep the budget."""
        budget_ms = max(budget_ms, SLOW_MS) if self._resorted else budget_ms
        return self.rung > 0 and p95 * self._costs[self.rung - 1] / self._costs[self.rung] <= HEADROOM * budget_ms

    def moved(self, rung: int) -> None:
        """The move to ``rung`` was made."""
        if rung > self.rung and self._went_up:
            self._patience_s = min(2 * self._patience_s, LONGEST_PATIENCE_S)
        self._went_up = rung < self.rung
        self._stand(rung)

    def _stand(self, rung: int) -> None:
        self.rung = rung
        self._times.clear()
        self.p95_ms = 0.0
        self._room_since_ns = None
        self._moved_ns = self._clock.now_ns()


def _quantile(times: Sequence[float], part: float) -> float:
    """A quantile, rounded down: of two frames the faster one, so that one late frame does not count."""
    return sorted(times)[int(part * (len(times) - 1))] if len(times) > 1 else 0.0


class Move(NamedTuple):
    """A step on the ladder.

    Attributes:
        before: what ran.
        after: what runs.
        taken_ms: time of matting before, p95 in milliseconds.
        pressed: other programs needed the CPU.
        resorted: the move is to the engine of the last resort.
    """

    before: EngineInfo
    after: EngineInfo
    taken_ms: float
    pressed: bool
    resorted: bool


class Governor:
    """Moves an engine along its ladder as the :class:`Controller` says. Used by the matting thread alone.

    The budget is the time between two frames: of ``max_fps``, or of the source if that is slower.

    Args:
        engine: one with :attr:`~rvm_live.engines.base.Engine.rungs`.
        max_fps: frames shown per second at most.
        clock: monotonic time.
        pressure: whether other programs wait for the processor now.
    """

    def __init__(
        self,
        engine: Engine,
        max_fps: float,
        clock: Clock = SYSTEM_CLOCK,
        pressure: Callable[[], bool] = lambda: False,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._least_ms = 1000 / max_fps
        self._interval_ms = 0.0
        self._previous: Frame | None = None
        self._unfinished: Matte | None = None
        self._done_ns = 0
        self._moving = False
        self._pressure = pressure
        self._controller = Controller([], 0, clock)
        self._follow(engine.rungs)

    def _follow(self, rungs: tuple[Rung, ...]) -> None:
        """Take over the engine's rung; frames of another size have another ladder."""
        info = self._engine.info
        others = {rung.engine for rung in rungs if rung.engine}

        def apart(number: int) -> tuple[bool, float, bool]:
            rung = rungs[number]
            other = rung.engine != (info.engine if info.engine in others else "")
            return other, abs(rung.ratio - info.downsample_ratio), rung.precision != info.precision

        self._rungs = rungs
        at = min(range(len(rungs)), key=apart, default=0)
        self._controller.follow([rung.cost for rung in rungs], at, resort=bool(others))

    @property
    def budget_ms(self) -> float:
        """Time that the matting of one frame may take now, milliseconds."""
        return max(self._least_ms, self._interval_ms)

    @property
    def too_slow_ms(self) -> float | None:
        """Time of matting (p95) if the lowest rung is too slow for 24 frames a second; else None."""
        p95 = self._controller.p95_ms
        lowest = len(self._rungs) > 1 and self._controller.rung == len(self._rungs) - 1 and not self._rungs[-1].engine
        return p95 if lowest and p95 > max(self.budget_ms, SLOW_MS) else None

    def observe(self, matte: Matte) -> Move | None:
        """Add the time of one matte, and move the engine if necessary.

        Returns:
            The move; None if the engine continues as before.
        """
        rungs = self._engine.rungs
        if rungs != self._rungs:
            self._follow(rungs)
        if len(rungs) < 2:
            return None
        self._learn_interval(matte.frame)
        if matte.spared:  # the network did not run on this frame: its time tells nothing about a larger network
            return None
        spent_ms = self._work_ms(matte)
        if self._moving or spent_ms is None:
            self._moving = False  # a GPU may still have been at work on mattes of the rung before
            return None
        controller, pressed = self._controller, self._pressure()
        wanted = controller.observe(spent_ms, self.budget_ms, pressed=pressed)
        if wanted is None:
            return None
        before, p95 = self._engine.info, controller.p95_ms
        # Far too slow, and the rung that fits is not ready yet: until it is, the next ready rung below is better.
        hasty = wanted > controller.rung and p95 > HASTY * self.budget_ms
        least = [number for number in range(wanted, len(rungs)) if not rungs[number].engine] if hasty else []
        moved = next((number for number in least or [wanted] if self._engine.use_rung(rungs[number])), None)
        if moved is None:
            return None
        controller.moved(moved)
        self._moving = self._unfinished is not None
        return Move(before, self._engine.info, p95, pressed, bool(rungs[moved].engine))

    def _work_ms(self, matte: Matte) -> float | None:
        """Time of the newest matte whose time is known, milliseconds; None if there is none.

        If a GPU is still at work on this matte, it has finished the previous one, whose time is used. A GPU makes
        mattes one after the other: the time for which a matte has waited for the previous one does not count, because a
        smaller network would not shorten it.
        """
        known: Matte | None = matte
        if matte.elapsed_ns is not None:
            known, self._unfinished = self._unfinished, matte
        if known is None:
            return None
        try:
            done_ns = known.done_ns
        except MatteError:
            return None  # the compositing stage reports this error
        began_ns, self._done_ns = max(known.started_ns, self._done_ns), done_ns
        return (done_ns - began_ns) / 1e6

    def _learn_interval(self, frame: Frame) -> None:
        previous, self._previous = self._previous, frame
        if previous is None or previous.epoch != frame.epoch or frame.seq <= previous.seq:
            return
        interval_ms = (frame.captured_ns - previous.captured_ns) / 1e6 / (frame.seq - previous.seq)
        self._interval_ms += (interval_ms - self._interval_ms) * (0.05 if self._interval_ms else 1.0)
