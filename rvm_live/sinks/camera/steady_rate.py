"""A constant rate that follows the source if its rate is nearly the same."""

from __future__ import annotations

__all__ = ["SteadyRate"]

_LOCKED = 4
_NEARER = 8


class SteadyRate:
    """Says when to send a picture, so that the long-run rate is constant.

    A new picture may come up to half a period early, and goes out at once; one that is missing is waited for half a
    period, then the one before is repeated. So the jitter of a source of the same rate costs neither time nor pictures.
    Where such a source comes earlier than that, the rate moves towards it, a little with every picture, as a
    phase-locked loop does: else all would wait, for ever equally long.

    Args:
        fps: pictures a second.
    """

    def __init__(self, fps: float) -> None:
        self._period_ns = 1e9 / fps
        self._due_ns: float | None = None
        self._came_ns: int | None = None
        self._in_step = 0

    @property
    def new(self) -> bool:
        """Whether there is a picture that was not sent yet."""
        return self._came_ns is not None

    def came(self, now_ns: int) -> None:
        """A new picture came; it replaces one that is still waiting."""
        if self.new:
            self._in_step = 0
        self._came_ns = now_ns

    def forget(self) -> None:
        """Forget the waiting picture."""
        self._came_ns = None

    def due(self, now_ns: int) -> bool:
        """Whether to send one now."""
        slack_ns = self._period_ns / 2
        return self._due_ns is None or now_ns >= self._due_ns + (-slack_ns if self.new else slack_ns)

    def sent(self, now_ns: int) -> None:
        """A picture was sent at ``now_ns``."""
        due_ns = now_ns if self._due_ns is None else self._due_ns
        if now_ns - due_ns > self._period_ns:  # sending was held up: pictures missed meanwhile are not sent later
            due_ns = now_ns
        self._in_step = self._in_step + 1 if self.new else 0
        if self._came_ns is not None and self._in_step >= _LOCKED:
            due_ns -= min(now_ns - self._came_ns, self._period_ns) / _NEARER
        self._came_ns = None
        self._due_ns = due_ns + self._period_ns
