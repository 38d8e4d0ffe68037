"""One file: look, matte, write, log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rvm_live import gpu
from rvm_live.backgrounds.parse import default_cycle
from rvm_live.batch.inputs import Job
from rvm_live.batch.log import write_log
from rvm_live.batch.media import Facts, count_frames, facts_of
from rvm_live.batch.movie import MovieWriter, PngFolder
from rvm_live.batch.report import Done
from rvm_live.batch.settings import PRESETS, BatchSettings, ratio_for
from rvm_live.batch.tracks import BatchSink, Track
from rvm_live.composer import Composer
from rvm_live.engines.auto import AutoEngine
from rvm_live.engines.choice import EMBEDDED, Choice
from rvm_live.errors import RvmLiveError, SinkError, UnavailableError
from rvm_live.metrics import Snapshot
from rvm_live.monitor import Monitor, draw
from rvm_live.notices import Notices
from rvm_live.pipeline import Pipeline
from rvm_live.queues import Overflow
from rvm_live.report import Ran
from rvm_live.settings import EngineSettings, SourceSettings
from rvm_live.sinks.writers import Writer
from rvm_live.sources.video import VideoFileSource

__all__ = ["Shared", "Tell", "work_off"]

Tell = Callable[[dict[str, Any]], None]


@dataclass
class Shared:
    """What the files of one run share."""

    settings: BatchSettings
    engine: EngineSettings
    choice: Choice | None
    container: str
    tell: Tell
    stopped: threading.Event
    pipeline: Pipeline | None = None

    def stop(self, reason: str) -> None:
        """End the file at hand, and begin no other."""
        self.stopped.set()
        if self.pipeline is not None:
            self.pipeline.stop(reason)


def work_off(shared: Shared, job: Job, number: int) -> Done:
    """One file, from its first look to its log."""
    began, start = time.monotonic(), datetime.now(timezone.utc)
    before = gpu.read()
    notices = Notices()
    state, error = "failed", ""
    outputs: tuple[Path, ...] = ()
    facts: Facts | None = None
    snapshot: Snapshot | None = None
    ran, frames = Ran(), 0
    try:
        facts = facts_of(job.source)
        outputs = _outputs(shared, job)
        if shared.settings.resume and _whole(outputs, facts):
            return Done(job, "skipped", outputs)
        with _watched(shared.settings, job, notices):
            snapshot, ran, frames, notes = _matted(shared, job, facts, outputs, notices, number)
        for note in notes:
            notices.fallback(note)
        state = "interrupted" if shared.stopped.is_set() else "done"
    except RvmLiveError as failure:
        error = " ".join(str(failure).split())
    except Exception as failure:  # a bug, or a library's: told, and the rest goes on
        error = f"unexpected {type(failure).__name__}: {' '.join(str(failure).split())}"
    kept = tuple(path for path in outputs if path.exists()) if state == "done" else ()
    done = Done(job, state, kept, frames, time.monotonic() - began, error, notices.fallbacks)
    with suppress(OSError):
        write_log(shared.settings, done, facts, ran, snapshot, start, (before, gpu.read()))
    return done


@contextmanager
def _watched(settings: BatchSettings, job: Job, notices: Notices) -> Iterator[None]:
    """GPU and processor over time, where that is wanted."""
    if not settings.monitor:
        yield
        return
    path = settings.output / f"gpu_{job.stem}.csv"
    with Monitor(path) as watching:
        yield
    try:
        draw(watching.samples, path.with_suffix(".png"), job.stem)
    except UnavailableError as error:
        notices.fallback(str(error))


def _outputs(shared: Shared, job: Job) -> tuple[Path, ...]:
    """Where each thing goes; the composite has the plain name.

    Raises:
        SinkError: an output would take the place of its own input.
    """
    folder, several = shared.settings.output, shared.settings.write
    suffix = "" if shared.container == "png" else f".{shared.container}"
    made = tuple(folder / f"{job.stem}{'' if what == 'composite' else f'_{what}'}{suffix}" for what in several)
    for path in made:
        if path.exists() and path.samefile(job.source):
            raise SinkError(f"{path} is the input itself: choose another --output")
    return made


def _whole(outputs: tuple[Path, ...], facts: Facts) -> bool:
    """Whether every output is there with as many pictures as the input has."""
    for path in outputs:
        if path.is_dir():
            count = sum(1 for each in path.iterdir() if each.suffix == ".png")
        elif path.is_file():
            try:
                count = count_frames(path)
            except RvmLiveError:
                return False
        else:
            return False
        if count == 0 or (facts.frames is not None and count < facts.frames):
            return False
    return True


def _matted(
    shared: Shared, job: Job, facts: Facts, outputs: tuple[Path, ...], notices: Notices, number: int
) -> tuple[Snapshot, Ran, int, list[str]]:
    settings = shared.settings
    choice = shared.choice
    engine = shared.engine if choice is None else choice.settings
    embedded = engine.engine == EMBEDDED or (choice is not None and EMBEDDED in choice.names)
    if engine.downsample_ratio is None and not embedded:
        engine = replace(engine, downsample_ratio=ratio_for(PRESETS[settings.quality], facts.width, facts.height))
    writers: list[Writer] = []
    for path in outputs:
        made: Writer = PngFolder(path) if shared.container == "png" else _movie(shared, path, facts, job)
        writers.append(made)
    tracks = [Track(what, writer) for what, writer in zip(settings.write, writers, strict=True)]
    composer = Composer(
        default_cycle([settings.background] if settings.background else [])[:1],
        foreground=settings.foreground,
        notices=notices,
    )
    last_told = [0.0]

    def seen(count: int) -> None:
        now = time.monotonic()
        if now - last_told[0] >= 0.25:
            last_told[0] = now
            told = {"event": "progress", "number": number, "input": str(job.source), "frames": count}
            shared.tell({**told, "of": facts.frames})

    pipeline: Pipeline
    sink = BatchSink(tracks, lambda: pipeline.exit_reason == "end of source", seen)
    pipeline = Pipeline(
        VideoFileSource(SourceSettings(str(job.source), realtime=False)),
        AutoEngine(engine, None if choice is None else replace(choice, settings=engine)),
        composer,
        [sink],
        overflow=Overflow.BLOCK,
        notices=notices,
    )
    shared.pipeline = pipeline
    try:
        snapshot = pipeline.run()
    finally:
        shared.pipeline = None
    info = pipeline.engine_info
    ran = Ran(
        engine=info.engine if info else "",
        model=info.model if info else "",
        device=info.device if info else "",
        precision=info.precision if info else "",
        compositor=composer.backend,
        downsample_ratio=info.downsample_ratio if info else 0.0,
        source=str(job.source),
        width=facts.width,
        height=facts.height,
    )
    notes = [note for writer in writers for note in getattr(writer, "notes", ())]
    return snapshot, ran, sink.frames, notes


def _movie(shared: Shared, path: Path, facts: Facts, job: Job) -> MovieWriter:
    return MovieWriter(path, shared.container, facts, job.source)
