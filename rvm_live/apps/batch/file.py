"""Processes one file: check, matte, write, log."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from rvm_live.apps.batch.inputs import Job, names_of
from rvm_live.apps.batch.log import log_of, tells_of_what_is_there, write_log
from rvm_live.apps.batch.made import Made, made_of
from rvm_live.apps.batch.matting import Shared, Worked, matted, segments_of
from rvm_live.apps.batch.media import Facts, facts_of, facts_of_row
from rvm_live.apps.batch.report import Done
from rvm_live.apps.monitor import Monitor, draw
from rvm_live.core.errors import (
    KeptError,
    RvmLiveError,
    SettingsError,
    SinkError,
    SourceError,
    UnavailableError,
)
from rvm_live.core.notices import Notices
from rvm_live.engines.common.device_errors import lost_device
from rvm_live.media.suffixes import PICTURE_FORMATS
from rvm_live.system import gpu
from rvm_live.system.file_locks import Lock

__all__ = ["work_off"]

_PICTURE = re.compile(rf"(?P<of>.*\.)?[0-9]{{6,}}({'|'.join(map(re.escape, PICTURE_FORMATS.values()))})")


def work_off(shared: Shared, job: Job, number: int) -> Done:
    """Process one file, from the first check to its log; never raises for a fault of the file."""
    what = str(job.folder / f"{job.stem}{job.suffix}")
    lock = Lock(job.folder / f".{job.stem}.lock", what, "wait until it ends, or choose another --output")
    try:
        with nullcontext() if job.logged else lock:  # an output folder with a log has one lock for the whole run
            return _worked_off(shared, job, number)
    except SinkError as failure:
        return Done(job, "failed", error=str(failure), kind="SinkError")


def _worked_off(shared: Shared, job: Job, number: int) -> Done:
    settings = shared.settings
    began, start = time.monotonic(), datetime.now(timezone.utc)
    before = gpu.read(gpu.card(shared.engine.device))
    notices = Notices()
    state, error, kind, trace, elsewhere, lost = "failed", "", "", "", False, False
    outputs: tuple[Path, ...] = ()
    facts: Facts | None = None
    worked: Worked | None = None
    try:
        if job.pictures:
            facts = facts_of_row(job.pictures, settings.fps, square=job.square)
        else:
            facts = facts_of(job.source, square=job.square)
        outputs = _outputs(shared, job)
        made = Made(job, made_of(settings, shared.engine, shared.choice, job))
        segments = segments_of(shared, job, facts, made)
        if not settings.force and made.there(outputs, unfinished=segments.ours):
            told = "it exists already, made from the same file with the same settings"
            return Done(job, "kept", outputs, notes=(told,))
        if shared.stopped.is_set():  # nothing is loaded for a file that will not be processed
            return Done(job, "interrupted")
        work = partial(matted, shared, job, facts, outputs, notices, number, segments, made)
        worked = _watched(shared, job, notices, work)
        if worked.resumed:
            notices.fallback(f"continued at frame {worked.resumed}, where an earlier run was stopped")
        for note in worked.notes:
            notices.fallback(note)
        if worked.low_light > 1:
            notices.remark(f"dark pictures made brighter: shadows by up to {worked.low_light:.1f} times")
        state = "done" if worked.whole else "interrupted"
    except KeptError as failure:  # keep the log: it belongs to the output that is there
        return Done(job, "failed", error=str(failure), seconds=time.monotonic() - began)
    except RvmLiveError as failure:
        error, trace = " ".join(str(failure).split()), traceback.format_exc()
        elsewhere, lost = not isinstance(failure, (SourceError, SettingsError)), lost_device(failure)
        kind = type(failure).__name__
    except Exception as failure:  # a bug of ours or of a library: reported, and the other files go on
        error, trace = f"unexpected {type(failure).__name__}: {' '.join(str(failure).split())}", traceback.format_exc()
        elsewhere, lost = True, lost_device(failure)
    kept = tuple(path for path in outputs if path.exists()) if state == "done" else ()
    done = Done(
        job,
        state,
        kept,
        frames=worked.frames if worked else 0,
        resumed=worked.resumed if worked else 0,
        seconds=time.monotonic() - began,
        error=error,
        notes=(*notices.remarks, *notices.fallbacks),
        elsewhere=elsewhere,
        lost=lost,
        ran=worked.ran if worked else None,
        kind=kind,
        low_light=worked.low_light if worked else 1.0,
    )
    if job.logged:
        with suppress(OSError, SinkError):
            readings = before, gpu.read(gpu.card(shared.engine.device))
            write_log(settings, done, facts, worked, start, readings, trace)
    return done


def _watched(shared: Shared, job: Job, notices: Notices, work: Callable[[], Worked]) -> Worked:
    """Process the file, and record GPU and CPU load if that is wanted."""
    if not shared.settings.monitor:
        return work()
    path = job.folder / f"gpu_{job.stem}.csv"
    with Monitor(path, which=lambda: gpu.card(shared.engine.device)) as watching:
        watching.wanted = not tells_of_what_is_there(log_of(job))
        worked = work()
        watching.wanted |= worked.whole
    try:
        if watching.wanted:
            draw(watching.samples, path.with_suffix(".png"), job.stem)
    except UnavailableError as error:
        notices.fallback(str(error))
    return worked


def _outputs(shared: Shared, job: Job) -> tuple[Path, ...]:
    """Path of each output; the composite has the plain name.

    Raises:
        SinkError: an output would replace its own input or something that this program did not make, or is a link to
            another place.
    """
    folder, pictures = job.folder, not job.suffix
    made = tuple(folder / name for name in names_of(shared.settings, job))
    for path in made:
        if path.exists() and any(path.samefile(each) for each in (job.source, job.source.parent)):
            raise SinkError(f"{path} is the input itself: choose another --output")
        if not pictures and path.is_dir():
            raise SinkError(f"{path} is a folder, but a file is to be written: choose another --output")
        if not pictures and path.exists() and not path.is_file():
            raise SinkError(f"{path} is a device, a pipe or a socket, and is not overwritten: choose another --output")
        if pictures and (path.is_symlink() or (path.exists() and not _of_pictures(path))):
            raise SinkError(
                f"{path} contains other files than numbered pictures, and is not overwritten: choose another --output"
            )
    parts = folder / f".{job.stem}.parts"
    if parts.is_symlink():
        raise SinkError(f"{parts} is a link to another place: delete it")
    return made


def _of_pictures(path: Path) -> bool:
    """Whether a folder only contains what this program writes."""
    try:
        return path.is_dir() and all(_is_ours(each) for each in path.iterdir())
    except OSError:
        return False


def _is_ours(path: Path) -> bool:
    found = _PICTURE.fullmatch(path.name)
    return found is not None and found["of"] in (None, f"{path.parent.name}.") and path.is_file()
