"""Runs some tests in a process of their own, and knows the first that fails as soon as it does."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["TIMEOUT_S", "Outcome", "run_tests"]

TIMEOUT_S = 120.0
_TEST_S = 40
"""A single test that takes longer hangs, and fails under its name."""
_LEAVE_S = 10.0
_RESULT = re.compile(r"(?P<test>tests/\S+\.py::.+?) (?P<result>PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b")
_BEGUN = re.compile(r"tests/\S+\.py::.+")


@dataclass
class Outcome:
    """What a run of pytest came to.

    Attributes:
        code: its exit status; None where it had to be ended.
        failed: the first test that failed, itself or in its clearing up; empty if none did.
        last: the test that was begun last.
        passed: names of those that passed.
        reason: what pytest says of that failure, its first line; empty if none did.
        tail: the last line it printed.
        seconds: that it took.
    """

    code: int | None = None
    failed: str = ""
    last: str = "no test"
    passed: list[str] = field(default_factory=list)
    reason: str = ""
    tail: str = ""
    seconds: float = 0.0

    def see(self, line: str) -> None:
        """Take in one line of pytest's output."""
        self.tail = line or self.tail
        if (found := _RESULT.match(line)) is not None:
            self.last = found["test"]
            if found["result"] == "PASSED":
                self.passed.append(self.last)
            elif found["result"] in ("FAILED", "ERROR"):
                self.failed = self.failed or self.last
        elif line.startswith("E   ") and not self.reason:
            self.reason = line[1:].strip()
        elif _BEGUN.match(line):
            self.last = line.strip()


def run_tests(tests: Sequence[str], tree: Path, environment: Mapping[str, str], *, timeout_s: float) -> Outcome:
    """Run ``tests`` in ``tree`` until the first fails.

    A process that does not end once a test has failed (a thread it waits for hangs, too) is ended.

    Args:
        tests: as pytest takes them.
        tree: root of the tree, the current folder of the tests.
        environment: of the process.
        timeout_s: for all of them, seconds.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-v", "--tb=short", "-p", "no:cacheprovider"]
    command += [f"--basetemp={tree.parent / 'tmp'}", f"--timeout={_TEST_S}", *tests]
    outcome = Outcome()
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=tree,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(process, lines), name="reader")
    reader.start()
    deadline, leaving = began + timeout_s, False
    try:
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                outcome.code = process.wait(_LEAVE_S)
                break
            outcome.see(line)
            if outcome.failed and not leaving:
                leaving = True
                deadline = min(deadline, time.monotonic() + _LEAVE_S)
    finally:
        _end(process)
        reader.join()
        assert process.stdout is not None
        process.stdout.close()
    while not lines.empty():  # half a line: the test that hung
        outcome.see(lines.get() or "")
    outcome.seconds = time.monotonic() - began
    return outcome


def _read(process: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line.rstrip())
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    """End the process and those it started, if any are left."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # none is left
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
