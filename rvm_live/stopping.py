"""The first SIGINT, SIGTERM or SIGHUP ends a run in good order, the second one at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["stopping_on_signals"]

_REASONS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
if sys.platform != "win32":
    _REASONS[signal.SIGHUP] = "hung up"  # its terminal was closed
else:
    _REASONS[signal.SIGBREAK] = "interrupted"


@contextmanager
def stopping_on_signals(stop: Callable[[str], None]) -> Iterator[None]:
    """Call ``stop`` with the reason at the first signal; outside the main thread signals are left alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _REASONS}

    def handle(number: int, frame: FrameType | None) -> None:
        stop(_REASONS[signal.Signals(number)])
        for each in _REASONS:
            signal.signal(each, signal.SIG_DFL)

    for number in _REASONS:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
