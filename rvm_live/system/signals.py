"""The first SIGINT, SIGTERM or SIGHUP ends a run in order, a second one at once.

Python handles a signal in the main thread, between two instructions: in the middle of anything, a
second one inside the first, and not at all while C code hangs there. So nothing is done there. The numbers go
through :func:`signal.set_wakeup_fd` to a thread that may wait, take locks and look at the time.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

__all__ = ["TOGETHER_S", "stopping_on_signals"]

TOGETHER_S = 0.3
"""Signals that come this soon after the first are one with it: SIGHUP and SIGTERM when a session ends, say."""

_IGNORE = 1  # SIG_IGN
_REASONS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
if sys.platform != "win32":
    _REASONS[signal.SIGHUP] = "hung up"  # the terminal was closed
else:
    _REASONS[signal.SIGBREAK] = "interrupted"


@contextmanager
def stopping_on_signals(stop: Callable[[str], None]) -> Iterator[None]:
    """Call ``stop`` with the reason at the first signal, on a thread of its own.

    Outside the main thread signals are not handled, nor is a SIGHUP that the program was started to ignore (nohup).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _REASONS}
    before = {number: what for number, what in before.items() if number == signal.SIGINT or what != signal.SIG_IGN}
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    first_s: list[float] = []
    watch = partial(_watch, ours, tuple(before), stop, first_s)
    watching = threading.Thread(target=watch, name="rvm-signals", daemon=True)
    watching.start()
    wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    for number in before:
        signal.signal(number, _noted)
        _off_the_alternate_stack(number)
    try:
        yield
    finally:
        if first_s:
            time.sleep(max(0.0, first_s[0] + TOGETHER_S - time.monotonic()))
        signal.set_wakeup_fd(wakeup)
        theirs.close()
        watching.join()
        ours.close()
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _off_the_alternate_stack(number: signal.Signals) -> None:
    """Let Python's own handler of a signal run on the stack of whatever it interrupts.

    Python asks for the alternate stack (SA_ONSTACK), and while OpenVINO is loaded the main thread has one, of 8 KiB and
    the registers of one signal. With AVX-512 three signals that come at once do not fit: the third ended the program.
    """
    if sys.platform == "win32":
        return
    handler = _c_signal()(number, _IGNORE)
    _c_signal()(number, handler)
    signal.siginterrupt(number, True)  # as Python sets it


def _c_signal() -> Any:
    """``signal`` of the C library: sets no flag but SA_RESTART, and tells the handler before."""
    function = ctypes.CDLL(None).signal
    function.argtypes, function.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    return function


def _noted(number: int, frame: FrameType | None) -> None:
    """Does nothing: the thread has the number already."""


def _watch(
    signals: socket.socket, numbers: tuple[signal.Signals, ...], stop: Callable[[str], None], first_s: list[float]
) -> None:
    number = _next(signals, numbers)
    if number is None:
        return
    first_s.append(time.monotonic())
    stop(_REASONS[number])
    while (left := first_s[0] + TOGETHER_S - time.monotonic()) > 0:
        signals.settimeout(left)
        try:
            if _next(signals, numbers) is None:
                return
        except TimeoutError:
            break
    signals.settimeout(None)
    if sys.platform == "win32":
        number = _next(signals, numbers)
        if number is not None:
            os._exit(128 + number)
        return
    # Set in C, not through Python: Python can act only in the main thread, and only while that does not hang in C.
    for number in numbers:
        _c_signal()(number, None)  # SIG_DFL


def _next(signals: socket.socket, numbers: tuple[signal.Signals, ...]) -> signal.Signals | None:
    """The next of ``numbers``; None when the run is over."""
    while came := signals.recv(1):
        if came[0] in numbers:
            return signal.Signals(came[0])
    return None
