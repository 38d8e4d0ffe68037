"""Watched folders: new files in them are processed once they are complete."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from rvm_live.apps.batch.inputs import find
from rvm_live.apps.batch.matting import Tell
from rvm_live.apps.batch.report import BatchReport, Done
from rvm_live.apps.batch.run import run
from rvm_live.apps.batch.settings import BatchSettings
from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import SettingsError
from rvm_live.system.signals import stopping_on_signals

__all__ = ["SETTLED_S", "watch"]

SETTLED_S = 3.0
"""A file that has not changed for this long is complete: cameras and copying programs write more often."""
_LOOK_S = 1.0
_Mark = tuple[int, int]


def watch(
    settings: BatchSettings,
    *,
    tell: Tell = lambda event: None,
    progress: Any = None,
    clock: Clock = SYSTEM_CLOCK,
    signals: bool = True,
    stopped: threading.Event | None = None,
    work: Callable[..., BatchReport] = run,
) -> BatchReport:
    """Process the files in the folders, and all that come, until a signal ends it.

    A file that failed is tried again when it has changed. Files that are done already stay as they are.

    Args:
        settings: as for :func:`rvm_live.apps.batch.run.run`; ``inputs`` are folders, ``output`` is another one.
        tell: of events, as there; and ``{"event": "watching", "folders": [...]}`` when there is nothing to do.
        progress: receives the progress of a download of weights.
        clock: monotonic time.
        signals: Ctrl-C and other signals end it; False: the caller handles them.
        stopped: set to end it.
        work: processes one file.

    Raises:
        SettingsError: an input is no folder, or the output lies in one of them.
        RvmLiveError: nothing can be started.
    """
    folders = [_folder(each) for each in settings.inputs]
    if settings.output is None or (settings.output.suffix and not settings.output.is_dir()):
        raise SettingsError("--watch needs a folder for its results: name it with --output FOLDER/")
    if any(settings.output.resolve().is_relative_to(each.resolve()) for each in folders):
        raise SettingsError(f"--output {settings.output} is inside a watched folder: choose another place")
    ended, reasons = stopped or threading.Event(), [""]
    files: list[Done] = []
    settled: dict[Path, tuple[_Mark, int]] = {}
    worked: dict[Path, _Mark] = {}

    def stop(reason: str) -> None:
        reasons[0] = reason
        ended.set()

    idle = False
    while not ended.is_set():
        whole = [path for path, mark in _whole(folders, settled, clock) if worked.get(path) != mark]
        if whole:
            idle = False
            worked.update({path: settled[path][0] for path in whole})
            report = work(
                replace(settings, inputs=tuple(map(str, whole))), tell=tell, progress=progress, signals=signals
            )
            files += report.files
            if report.stopped:
                return BatchReport(tuple(files), report.untouched, report.stopped)
            continue
        if not idle:
            tell({"event": "watching", "folders": [str(each) for each in folders]})
            idle = True
        with stopping_on_signals(stop) if signals else nullcontext():
            ended.wait(_LOOK_S)
    return BatchReport(tuple(files), 0, reasons[0])


def _folder(text: str) -> Path:
    path = Path(text).expanduser()
    if not os.path.isdir(path):  # unlike Path.is_dir() it does not raise for a name that is too long
        raise SettingsError(f"--watch takes folders: {text!r} is not a folder")
    return path


def _whole(folders: list[Path], settled: dict[Path, tuple[_Mark, int]], clock: Clock) -> list[tuple[Path, _Mark]]:
    """Files that have not changed for a while, each with its size and time."""
    found: list[Path] = []
    for folder in folders:
        try:
            found += find([str(folder)])
        except SettingsError:  # the folder is still empty
            continue
    whole = []
    for path in found:
        try:
            about = path.stat()
        except OSError:  # the file is gone again
            continue
        mark, now_ns = (about.st_size, about.st_mtime_ns), clock.now_ns()
        before, since_ns = settled.get(path, (None, now_ns))
        if before != mark:
            settled[path] = (mark, now_ns)
        elif about.st_size and now_ns - since_ns >= SETTLED_S * 1e9:
            whole.append((path, mark))
    return whole
