"""Processes files one after another through the same stages as live video, with blocking queues; prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rvm_live.apps.batch.file import work_off
from rvm_live.apps.batch.inputs import Job, jobs, left_out
from rvm_live.apps.batch.matting import Shared, Tell
from rvm_live.apps.batch.report import BatchReport, Done
from rvm_live.apps.batch.settings import PRESETS, BatchSettings
from rvm_live.backgrounds.live import LiveBackground
from rvm_live.backgrounds.parse import parse
from rvm_live.core.errors import SettingsError, SinkError, told_as
from rvm_live.engines.choice import choose
from rvm_live.engines.licences import check_licences
from rvm_live.sources.camera.opencv_logging import silence_backends
from rvm_live.system.file_locks import Lock
from rvm_live.system.signals import stopping_on_signals

__all__ = ["run"]

_NAMED = 4
"""Examples of left-out files in a message, at most."""


def run(
    settings: BatchSettings, *, tell: Tell = lambda event: None, progress: Any = None, signals: bool = True
) -> BatchReport:
    """Process all inputs; a failure is reported and the rest continues.

    Args:
        settings: what to do.
        tell: called with events: ``{"event": "note" | "start" | "preparing" | "progress" | "file", ...}`` from this
            thread, and ``"stopping"`` from that of a signal.
        progress: receives the progress of a download of weights.
        signals: Ctrl-C and other signals end the run in order, with a report; False: the caller handles them.

    Returns:
        The result of each file.

    Raises:
        RvmLiveError: nothing can be done at all: bad settings, inputs or weights.
    """
    silence_backends()
    todo = jobs(settings)
    background = parse(settings.background)[0]  # errors are reported before anything begins
    if isinstance(background, LiveBackground):
        raise SettingsError(
            f"{background.label} is live, but files need a background that can be repeated: name a file"
        )
    if settings.kept:
        from rvm_live.engines.things import rooms

        rooms.find(settings.room)
    engine = replace(
        settings.engine,
        model=settings.engine.model or _asked(settings),
        repeatable=True,
    )
    choice = choose(engine, progress) if engine.engine == "auto" else None
    if choice is None:
        check_licences(engine.engine, engine.require_licence)
    note = _limited(settings)
    if note:
        tell({"event": "note", "text": note})
    for folder in dict.fromkeys(job.folder for job in todo):
        with told_as(SinkError, f"cannot make the folder {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
    shared = Shared(settings, engine, choice, tell)
    found: dict[int, Done] = {}

    def finished(done: Done, number: int) -> None:
        found[number] = done
        tell(_event(done, number))

    def stop(reason: str) -> None:
        shared.stop(reason)
        tell({"event": "stopping", "reason": reason})

    with stopping_on_signals(stop) if signals else nullcontext(), _lock(todo), closing(shared):
        tell({"event": "start", "files": len(todo)})
        if others := left_out(settings, todo):
            tell({"event": "note", "text": _left_out(others)})
        if settings.ray is not None or settings.workers > 1:
            from rvm_live.apps.batch.cluster import work_off_all

            work_off_all(shared, todo, finished)
        else:
            for number, job in enumerate(todo):
                if shared.stopped.is_set():
                    break
                done = work_off(shared, job, number)
                finished(done, number)
                if done.lost:
                    tell({"event": "note", "text": _given_up(job, len(todo) - number - 1)})
                    break
    return BatchReport(tuple(found[number] for number in sorted(found)), len(todo) - len(found), shared.reason)


def _given_up(job: Job, left: int) -> str:
    """The message when the GPU is lost to this process: every other file would fail, too."""
    rest = f"{left} more files were not started: " if left else ""
    return (
        f"the GPU failed at {job.source.name}, and this process cannot use it any more; {rest}run again with --resume "
        "(without this file, if it happens again)"
    )


def _left_out(others: Sequence[Path]) -> str:
    named = ", ".join(path.name for path in others[:_NAMED])
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    return f"{len(others)} other file{'s' * (len(others) > 1)} left out: {named}{more}"


def _lock(todo: list[Job]) -> AbstractContextManager[object]:
    """The lock of an output folder, for the whole run with all its workers. (Outputs elsewhere have locks of their
    own.)"""
    if not todo[0].logged:
        return nullcontext()
    folder = todo[0].folder
    return Lock(folder / ".rvm-live.lock", f"the folder {folder}", "wait until it ends, or choose another --output")


def _limited(settings: BatchSettings) -> str | None:
    if settings.memory_limit is None:
        return None
    from rvm_live.engines.common.device import limit_memory  # imported only now: it needs torch

    return limit_memory(settings.memory_limit, settings.engine.device)


def _asked(settings: BatchSettings) -> str | None:
    """A preset's model that is not the default is asked for by name."""
    model = PRESETS[settings.quality].model
    return None if model == "mobilenetv3" else model


def _event(done: Done, number: int) -> dict[str, Any]:
    return {
        "event": "file",
        "number": number,
        "input": str(done.job.source),
        "state": done.state,
        "outputs": [str(path) for path in done.outputs],
        "frames": done.frames,
        "resumed": done.resumed,
        "seconds": round(done.seconds, 3),
        "error": done.error,
        "notes": list(done.notes),
        "ran": None if done.ran is None else asdict(done.ran),
        **({"low_light_gain": round(done.low_light, 2)} if done.low_light > 1 else {}),
    }
