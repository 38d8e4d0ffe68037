"""A constant rate that follows the source where that has nearly the same one."""

from __future__ import annotations

__all__ = ["SteadyRate"]


class SteadyRate:
    """Says when a picture is to be sent, so that in the long run exactly so many are.

    A new picture may come up to half a period early, and goes out at once; one that is missing is waited for half a
    period, then the one before is repeated. So the jitter of a source of the same rate costs neither time nor pictures.

    Args:
        fps: pictures a second.
    """

    def __init__(self, fps: float) -> None:
        self._period_ns = 1e9 / fps
        self._due_ns: float | None = None

    def due(self, now_ns: int, *, new: bool) -> bool:
        """Whether to send one now.

        Args:
            now_ns: monotonic time.
            new: there is a picture that was not sent yet.
        """
        slack_ns = self._period_ns / 2
        return self._due_ns is None or now_ns >= self._due_ns + (-slack_ns if new else slack_ns)

    def sent(self, now_ns: int) -> None:
        """One was sent at ``now_ns``."""
        due_ns = now_ns if self._due_ns is None else self._due_ns
        if now_ns - due_ns > self._period_ns:  # it was held up, or began anew: nothing is caught up with
            due_ns = now_ns
        self._due_ns = due_ns + self._period_ns
