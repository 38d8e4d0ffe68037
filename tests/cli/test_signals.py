"""Signals, alone and together, at any point of the program: an orderly end or an end at once, and never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import indent

import pytest

from rvm_live.system.signals import TOGETHER_S, stopping_on_signals
from tests.conftest import ROOT
from tests.support.program import Outcome, finish, start
from tests.support.videos import make_video

INT, TERM = signal.SIGINT, signal.SIGTERM
HUP = getattr(signal, "SIGHUP", TERM)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX")

CHILD = """
import ctypes, os, signal, sys, threading, time
from rvm_live.system.signals import stopping_on_signals
stopped, reasons = threading.Event(), []
def stop(reason):
    reasons.append(reason)
    stopped.set()
with stopping_on_signals(stop):
    print("up", flush=True)
    {body}
print("left", *reasons, flush=True)
"""
WAITING = "stopped.wait(20)"
BUSY = "while not reasons: stopped.set(); stopped.clear()"  # holds the event's lock half of the time
# A lock that is taken twice: unlike C's sleep, a signal does not wake it.
IN_C = "lock = ctypes.create_string_buffer(64); take = ctypes.CDLL(None).pthread_mutex_lock; take(lock); take(lock)"


def child(body: str, **options: object) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(body=indent(body, "    ").strip())],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        **options,  # type: ignore[call-overload]
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def send(process: subprocess.Popen[str], numbers: Sequence[int]) -> None:
    for number in numbers:
        os.kill(process.pid, number)


@pytest.mark.parametrize(
    "numbers",
    [(INT,), (TERM,), (HUP,), (HUP, TERM), (TERM, HUP), (INT, TERM), (HUP, INT), (HUP, HUP), (INT, TERM, HUP)],
    ids=lambda numbers: "+".join(signal.Signals(each).name for each in numbers),
)
@pytest.mark.parametrize("body", [WAITING, BUSY], ids=["waiting", "busy"])
@pytest.mark.few(1)
def test_signals_that_come_together_are_one_wish_for_a_good_end(body: str, numbers: Sequence[int]) -> None:
    words = {INT: "interrupted", TERM: "terminated", HUP: "hung up"}
    children = [child(body) for _ in range(4)]
    for process in children:
        send(process, numbers)
    try:
        for process in children:
            out, err = process.communicate(timeout=60)
            assert (process.returncode, err) == (0, "")
            assert out in {f"left {words[each]}\n" for each in numbers}
    finally:
        for process in children:
            process.kill()


SMALL_STACK = """
import mmap
class Stack(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]
c, page = ctypes.CDLL(None), mmap.PAGESIZE
memory = mmap.mmap(-1, 8 * page)
at = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + 4 * page
assert c.mprotect(ctypes.c_void_p(at - page), ctypes.c_size_t(page), 0) == 0  # whoever goes over its end is seen
size = c.getauxval(51) + 1024  # AT_MINSIGSTKSZ: the registers of one signal
assert c.sigaltstack(ctypes.byref(Stack(at, 0, size)), None) == 0
numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
for number in numbers:
    os.kill(os.getpid(), number)
signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)  # all of them at once, one on top of the other
assert stopped.wait(30)
"""
"""An alternate stack, as OpenVINO gives the main thread one, in which three signals have no room."""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's way to ask how much a signal takes")
def test_signals_at_once_need_no_more_stack_than_there_is() -> None:
    process = child(SMALL_STACK)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out in {"left interrupted\n", "left terminated\n", "left hung up\n"}


@pytest.mark.slow
@pytest.mark.parametrize("body", ["time.sleep(60)", IN_C], ids=["in Python", "hanging in C"])
def test_one_that_comes_later_ends_it_at_once(body: str) -> None:
    process = child(body)
    send(process, (TERM, HUP))
    time.sleep(TOGETHER_S + 1.5)
    assert process.poll() is None
    began = time.monotonic()
    send(process, (TERM,))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (-TERM, "", "")
    assert time.monotonic() - began < 10


@pytest.mark.slow
def test_what_nohup_ignores_stays_ignored() -> None:
    process = child("stopped.wait(1.5)", preexec_fn=lambda: signal.signal(HUP, signal.SIG_IGN))
    send(process, (HUP,))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "left\n", "")


def test_afterwards_everything_is_as_before() -> None:
    numbers = (INT, TERM, HUP)
    before = [signal.getsignal(number) for number in numbers]
    with stopping_on_signals(lambda reason: None):
        assert all(signal.getsignal(now) != then for now, then in zip(numbers, before, strict=True))
    assert [signal.getsignal(number) for number in numbers] == before
    descriptor = signal.set_wakeup_fd(-1)
    assert descriptor == -1


# The program


LIVE = ("--source", "demo", "--width", "320", "--height", "240", "--headless", "--engine", "lite")
PROGRAMS: dict[str, tuple[str, ...]] = {
    "live": (*LIVE, "--duration", "4"),
    "batch": ("batch", "{clip}", "-o", "{out}", "--engine", "lite"),
    "stress": ("stress", "--minutes", "0.02", "-o", "{out}"),
    "monitor": ("monitor", "-o", "{out}", "--interval", "0.1", "--seconds", "4"),
    "monitor around a command": ("monitor", "-o", "{out}", "--", "sleep", "4"),
}
TOGETHER = ((HUP, TERM), (INT, TERM), (INT, TERM, HUP), (INT, INT))


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_no_signal_at_any_time_prints_a_traceback(program: str, tmp_path: Path) -> None:
    """While it starts, works and ends: the moments are spread over the run's own length."""
    clip = tmp_path / "clip.mp4"
    if program == "batch":
        make_video(clip, frames=60)

    def at(step: int) -> Outcome:
        words = [word.format(clip=clip, out=tmp_path / f"out{step}") for word in PROGRAMS[program]]
        with start(*words, env={**os.environ, "PYTHONFAULTHANDLER": "1"}) as process:  # shows where it crashed
            time.sleep(0.05 + 0.6 * step)
            send(process, TOGETHER[step % len(TOGETHER)])
            return finish(process)

    with ThreadPoolExecutor(2) as both:  # most of the time is waiting
        ended = list(both.map(at, range(8)))
    for step, done in enumerate(ended):
        assert "Traceback" not in done.err and "Exception ignored" not in done.err, (step, done.err)
        assert "unexpected" not in done.err, (step, done.err)
        assert done.code in (0, 1, 130, 143, 129, -INT, -TERM, -HUP), (step, done)


CRASHING = """
import atexit, ctypes, pathlib, threading, time, torch
from tests.support.engines import LeftHalfEngine as Engine
libc = ctypes.CDLL(None)
getattr(libc, "__cxa_atexit")(ctypes.cast(libc.abort, ctypes.c_void_p), None, None)
atexit.register(pathlib.Path("atexit").touch)
threading.Thread(target=lambda: [time.sleep(1), pathlib.Path("thread").touch()], name="slow").start()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a destructor as glibc runs it")
def test_what_crashes_while_a_process_is_taken_down_is_not_met(tmp_path: Path) -> None:
    """Runtimes of networks leave threads and destructors behind; apart from those, Python's own shutdown runs."""
    (tmp_path / "crashing.py").write_text(CRASHING)
    make_video(tmp_path / "clip.mp4", frames=4)
    with start("batch", "clip.mp4", "-o", "out", "--engine", "crashing:Engine", cwd=tmp_path) as process:
        done = finish(process, 60)
    assert (done.code, done.out.splitlines()[-1]) == (0, "1 done"), done
    assert (tmp_path / "atexit").exists() and (tmp_path / "thread").exists()
