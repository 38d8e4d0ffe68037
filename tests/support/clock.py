"""A clock that moves only when told."""

from __future__ import annotations


class FakeClock:
    """A :class:`rvm_live.core.clock.Clock` whose ``sleep`` moves time on at once."""

    def __init__(self, now_ns: int = 1_000_000_000) -> None:
        self.time_ns = now_ns
        self.slept: list[float] = []

    def now_ns(self) -> int:
        return self.time_ns

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(max(seconds, 0.0))

    def advance(self, seconds: float) -> None:
        self.time_ns += round(seconds * 1e9)
