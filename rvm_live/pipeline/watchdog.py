"""Finds a stage that makes no progress, and limits the wait for it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.notices import Notices
from rvm_live.pipeline.stage import Stage

__all__ = ["GRACE_S", "PATIENT_NS", "STUCK_NS", "Watchdog"]

STUCK_NS = 2_000_000_000
"""A stage of a live run that works on one item for longer than this is reported."""
PATIENT_NS = 300_000_000_000
"""The same for files: there an item may be many frames, or a network to be compiled."""
GRACE_S = 2.0
"""How long the end of a live run waits for its stages."""


class Watchdog:
    """Looks after the stages of a pipeline, from the thread that runs it.

    Args:
        stages: to look after.
        notices: told of what hangs.
        after_ns: how long a stage may be at one item.

    Attributes:
        stuck: which stage makes no progress, and for how long; empty if all do.
    """

    def __init__(self, stages: Sequence[Stage], notices: Notices, after_ns: int = STUCK_NS) -> None:
        self.stuck = ""
        self._stages = stages
        self._notices = notices
        self._after_ns = after_ns
        self._excused_ns: dict[str, int] = {}

    def look(self) -> None:
        """Name the stage that has been at one item for too long."""
        now_ns = SYSTEM_CLOCK.now_ns()
        for stage in self._stages:
            since_ns = stage.busy_since_ns
            if since_ns is None:
                continue
            if stage.excused:
                self._excused_ns[stage.name] = now_ns
            since_ns = max(
                since_ns, self._excused_ns.get(stage.name, 0)
            )  # what is excused is not held against it later
            if now_ns - since_ns > self._after_ns:
                if not self.stuck:
                    self._notices.fallback(f"{stage.name} has made no progress for {self._after_ns / 1e9:g} s")
                self.stuck = f"{stage.name} has made no progress for {(now_ns - since_ns) / 1e9:.0f} s"
                return

    def progress(self) -> None:
        """A picture came out at the end: nothing is stuck."""
        self.stuck = ""

    def joined(self, *, patient: bool) -> tuple[str, ...]:
        """Wait until every stage has ended, and report those that hang.

        Args:
            patient: wait without limit; otherwise :data:`GRACE_S` for all of them together.

        Returns:
            Names of the stages that still run.
        """
        until = time.monotonic() + GRACE_S
        ended = [stage.join(None if patient else max(0.0, until - time.monotonic())) for stage in self._stages]
        left = [stage for stage, has in zip(self._stages, ended, strict=True) if not has]
        for stage in left:
            if stage.loaded:
                # A stage that is still loading does not hang: it ends once loaded, and its user has been told why.
                self._notices.fallback(f"{stage.name} did not end within {GRACE_S:g} s; its thread was left running")
        return tuple(stage.name for stage in left)
