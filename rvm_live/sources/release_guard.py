"""A resource that one thread uses and any thread may release."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from rvm_live.core.clock import Clock
from rvm_live.core.errors import EndOfSource

__all__ = ["ReleaseGuard"]

_SLICE_S = 0.05


class ReleaseGuard:
    """Keeps a resource from being freed while it is in use.

    Capture libraries crash when a device is freed during a read, so the guard frees it at once if nobody is using it,
    and otherwise leaves that to the user, who does it on the way out. ``release`` never waits.

    Use it as a context manager around every use; entering raises :class:`EndOfSource` once it is released.

    Args:
        free: frees the resource; called exactly once, on whichever thread comes last.
    """

    def __init__(self, free: Callable[[], None]) -> None:
        self._free = free
        self._lock = threading.Lock()
        self._busy = False
        self._released = threading.Event()

    def __enter__(self) -> None:
        with self._lock:
            if self._released.is_set():
                raise EndOfSource
            self._busy = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._busy = False
            free = self._released.is_set()
        if free:
            self._free()

    def release(self) -> None:
        """Free the resource now, or as soon as its user is done."""
        with self._lock:
            first = not self._released.is_set()
            self._released.set()
            free = first and not self._busy
        if free:
            self._free()

    @property
    def released(self) -> bool:
        """Whether it was released."""
        return self._released.is_set()

    def check(self) -> None:
        """Raise :class:`EndOfSource` if it was released."""
        if self._released.is_set():
            raise EndOfSource

    def wait_until(self, due_ns: int, clock: Clock) -> None:
        """Sleep until ``due_ns``, in slices, so that a release is noticed.

        Raises:
            EndOfSource: released meanwhile.
        """
        while not self._released.is_set():
            left = (due_ns - clock.now_ns()) / 1e9
            if left <= 0:
                return
            clock.sleep(min(left, _SLICE_S))
        raise EndOfSource
