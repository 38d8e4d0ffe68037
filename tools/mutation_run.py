"""Runs tests in a process of their own and notices the first failure as soon as it happens."""

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
    """The result of a run of pytest.

    Attributes:
        code: its exit status; None where it had to be stopped.
        failed: the first test that failed, in itself or in its teardown; empty if none did.
        last: the test that was started last.
        passed: names of the tests that passed.
        reason: the first line of what pytest says about the failure; empty if none failed.
        tail: the last line that pytest printed.
        seconds: how long it took.
    """

    code: int | None = None
    failed: str = ""
    last: str = "no test"
    passed: list[str] = field(default_factory=list)
    reason: str = ""
    tail: str = ""
    seconds: float = 0.0

    def see(self, line: str) -> None:
        """Process one line of pytest's output."""
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
    """Run ``tests`` in ``tree`` until the first one fails.

    If the process does not end after a failure (because a thread that it waits for hangs, too), it is stopped.

    Args:
        tests: as pytest takes them.
        tree: root of the tree; the tests' working directory.
        environment: of the process.
        timeout_s: time limit for all tests together, seconds.
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
    while not lines.empty():  # an unfinished line names the test that hung
        outcome.see(lines.get() or "")
    outcome.seconds = time.monotonic() - began
    return outcome


def _read(process: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line.rstrip())
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    """Stop the process and its children, if any are left."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # all have ended already
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
