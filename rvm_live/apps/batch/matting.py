"""The pipeline of one file: from its frames to its outputs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from rvm_live import __version__
from rvm_live.apps.assembly import Assembly
from rvm_live.apps.batch.animation import AnimationWriter, check_animation
from rvm_live.apps.batch.checkpoints import LEAD_IN, CheckpointEngine
from rvm_live.apps.batch.codecs import recipe_for
from rvm_live.apps.batch.companions import plan
from rvm_live.apps.batch.inputs import Job, numbered
from rvm_live.apps.batch.lending import Lender
from rvm_live.apps.batch.low_light import LIGHT, FilmLight
from rvm_live.apps.batch.made import Made
from rvm_live.apps.batch.mask import MaskEngine, Masks
from rvm_live.apps.batch.media import Facts
from rvm_live.apps.batch.movie import MovieWriter, PictureFile, PictureFolder
from rvm_live.apps.batch.out_of_memory import OutOfMemoryFallback
from rvm_live.apps.batch.part import PartSource, Place, Times, locate
from rvm_live.apps.batch.progress import Progress
from rvm_live.apps.batch.region import RegionEngine
from rvm_live.apps.batch.segments import Segments
from rvm_live.apps.batch.settings import KEYED, PRESETS, BatchSettings, chunk_for, ratio_for
from rvm_live.apps.batch.tracks import CUT_OUT, BatchSink, Track
from rvm_live.apps.report import Ran
from rvm_live.backgrounds.parse import parse
from rvm_live.backgrounds.transparent import TransparentBackground
from rvm_live.compositing.output import Output
from rvm_live.core.notices import Notices
from rvm_live.core.only_me import OnlyMe
from rvm_live.core.queues import Overflow
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.core.things import Things
from rvm_live.engines.base import Engine, EngineInfo
from rvm_live.engines.choice import EMBEDDED, Choice
from rvm_live.engines.only_me.engine import OnlyMeEngine
from rvm_live.engines.select import AutoEngine
from rvm_live.engines.things import rooms
from rvm_live.engines.things.engine import ThingsEngine
from rvm_live.media.suffixes import ANIMATIONS, PICTURE_FORMATS
from rvm_live.pipeline.metrics import Snapshot
from rvm_live.pipeline.pipeline import Pipeline
from rvm_live.sinks.recording.writers import Writer
from rvm_live.sources.low_light import LowLightSource
from rvm_live.sources.video.numbered import NumberedSource
from rvm_live.sources.video.video import VideoFileSource

__all__ = ["Shared", "Tell", "Worked", "matted"]

Tell = Callable[[dict[str, Any]], None]


@dataclass
class Shared:
    """Data that the files of one run share."""

    settings: BatchSettings
    engine: EngineSettings
    choice: Choice | None
    tell: Tell
    stopped: threading.Event = field(default_factory=threading.Event)
    reason: str = ""
    pipeline: Pipeline | None = None
    lender: Lender = field(default_factory=Lender)
    _times: Times | None = None

    def stop(self, reason: str) -> None:
        """End the current file, and start no other."""
        self.reason = self.reason or reason
        self.stopped.set()
        if self.pipeline is not None:
            self.pipeline.stop(reason)

    def place(self, job: Job, facts: Facts) -> Place | None:
        """Where in its file a job's part is; None: the job is the whole file. The times of a film's pictures are kept
        for the film's other parts.

        Raises:
            RvmLiveError: there is no such part.
        """
        if job.span is None:
            return None
        if self._times is None or self._times.source != job.source:
            self.forget()
            self._times = Times(job.source, job.pictures, facts.rate)
        return locate(job.span, self._times, facts)

    def forget(self) -> None:
        """Close the film whose times are kept."""
        times, self._times = self._times, None
        if times is not None:
            times.close()

    def close(self) -> None:
        """Free what is kept from file to file."""
        self.forget()
        self.lender.close()


@dataclass(frozen=True)
class Worked:
    """How a file was processed.

    Attributes:
        ran: what did the work.
        snapshot: counts and latencies.
        whole: the outputs are complete.
        frames: of the file that are done.
        resumed: so many of them by an earlier run.
        chunk: frames that were matted at once.
        decoder: what decoded.
        encoder: what encoded.
        notes: what differs from what was asked for.
        low_light: the largest factor by which shadows were made brighter; 1.0: none.
    """

    ran: Ran
    snapshot: Snapshot
    whole: bool
    frames: int
    resumed: int
    chunk: int
    decoder: str
    encoder: str
    notes: tuple[str, ...]
    low_light: float = 1.0


def segments_of(shared: Shared, job: Job, facts: Facts, made: Made) -> Segments:
    """The segments of a file, and what they depend on: the input and the settings."""
    settings = shared.settings
    chunk = chunk_for(settings.seq_chunk, facts.width, facts.height)
    length = max(1, -(-round(facts.rate * round(settings.segment_seconds)) // chunk)) * chunk
    about = {
        "version": __version__,
        "of": made.of,
        "engines": list(shared.choice.names) if shared.choice is not None else [],
        "write": list(settings.write),
        "hardware": settings.hardware,
        "frames": [length, chunk],
    }
    needs = (LIGHT,) if settings.lit else ()
    return Segments(job.folder / f".{job.stem}.parts", settings.write, length, about, needs)


def matted(
    shared: Shared,
    job: Job,
    facts: Facts,
    outputs: tuple[Path, ...],
    notices: Notices,
    number: int,
    segments: Segments,
    made: Made,
) -> Worked:
    """Run the pipeline to the end of the file, or until the run is stopped.

    Raises:
        RvmLiveError: a stage failed; what was whole already is kept for ``--resume``.
    """
    settings = shared.settings
    chunk = chunk_for(settings.seq_chunk, facts.width, facts.height)
    place = shared.place(job, facts)
    masks = _masks(settings, job, facts)
    if settings.box is not None:
        settings.box.check(facts.width, facts.height, job.source.name)
    size = (facts.width, facts.height)
    if job.container in ANIMATIONS:
        check_animation(job.container, _written_size(settings, facts), _seconds(place, facts))
    # The state of --match is not saved: resumed in mid-file, it would differ.
    followed = settings.look.match > 0 and not settings.transparent
    if followed and settings.resume and segments.ours:
        notices.fallback("started again from the beginning, because --match follows the light of the whole file")
    segments.begin(resume=settings.resume and not followed)
    if segments.note:
        notices.fallback(segments.note)
    start = segments.start
    # Before a part, whole chunks of earlier frames are matted too, so that the network finds the person, as after a
    # break.
    before = 0 if place is None else place.first // chunk * chunk

    def begins(start: int) -> int:
        return start - min(start + before, -(-LEAD_IN // chunk) * chunk)

    first = begins(start)

    source = _source(shared, job, facts, first, place)
    light = FilmLight(segments, begins) if settings.lit else None
    encoder, writers = _writers(shared, job, facts, outputs, segments, lambda: source.end_ns, place)
    tracks = [
        Track(what, writer, size, straight=settings.straight)
        for what, writer in zip(settings.write, writers, strict=True)
    ]
    apart = not settings.transparent and not KEYED.isdisjoint(settings.write)
    engine = OutOfMemoryFallback(_maker(shared), _engine_settings(shared, facts), settings.seq_chunk, notices)
    looking: Engine = engine
    if settings.box is not None:
        looking = RegionEngine(looking, settings.box, size)
    looking = _people(settings, looking, notices)
    if masks is not None:
        looking = MaskEngine(looking, masks, first + (0 if place is None else place.first))
    parts = Assembly(
        source if light is None else LowLightSource(source, light),
        CheckpointEngine(looking, segments, first),
        parse(settings.background)[:1],
        overflow=Overflow.BLOCK,
        notices=notices,
        fitting_alone=True,
        look=settings.look,
        outputs={CUT_OUT: Output(TransparentBackground())} if apart else None,
        pixel=facts.pixel,
    )
    pipeline: Pipeline
    of = None if place is None else place.frames(facts.rate)
    progress = _progress(shared, job, facts, number, lambda: pipeline.engine_info is not None, of)
    sink = BatchSink(
        tracks,
        lambda: pipeline.exit_reason == "end of source",
        progress.seen,
        all_seen=progress.all_seen,
        waiting=progress.idle,
        first=first,
        start=start,
    )
    pipeline = parts.pipeline([sink], chunk=chunk)
    shared.pipeline = pipeline
    whole = False
    try:
        if shared.stopped.is_set():
            pipeline.stop("interrupted")
        snapshot = pipeline.run()
        if not shared.stopped.is_set() or all(track.saved for track in tracks):
            made.remember(outputs)
            whole = True
    finally:
        shared.pipeline = None
        segments.end(keep=not whole)
    info = pipeline.engine_info
    return Worked(
        ran=_ran(info, parts.composer.backend, job, facts),
        snapshot=snapshot,
        whole=whole,
        frames=sink.frames,
        resumed=start,
        chunk=min(chunk, engine.chunk),
        decoder=source.decoder,
        encoder=encoder,
        notes=tuple(note for part in (source, tracks[0], *writers) for note in getattr(part, "notes", ())),
        low_light=1.0 if light is None else light.low_light.most,
    )


def _masks(settings: BatchSettings, job: Job, facts: Facts) -> Masks | None:
    if settings.mask is None:
        return None
    row = numbered(settings.mask) if settings.mask.is_dir() else ()
    return Masks(settings.mask, row, facts, (job.source, job.pictures), square=job.square)


def _people(settings: BatchSettings, engine: Engine, notices: Notices) -> Engine:
    """The engine, with one person of several, and with the room's things, where that is asked for."""
    if settings.only_me:
        engine = OnlyMeEngine(engine, OnlyMe(True, settings.person))
    if settings.kept:
        label = rooms.find(settings.room).label
        engine = ThingsEngine(engine, Things(settings.chair), lambda: label, notices)
    return engine


def _source(
    shared: Shared, job: Job, facts: Facts, first: int, place: Place | None
) -> VideoFileSource | NumberedSource | PartSource:
    skip = first + (0 if place is None else place.first)
    source: VideoFileSource | NumberedSource
    if job.pictures:
        source = NumberedSource(job.pictures, facts.rate, skip=skip, square=job.square)
    else:
        wanted = SourceSettings(str(job.source), realtime=False)
        source = VideoFileSource(wanted, skip=skip, hardware=shared.settings.hardware, square=job.square)
    return source if place is None else PartSource(source, place, skip)


def _writers(
    shared: Shared,
    job: Job,
    facts: Facts,
    outputs: tuple[Path, ...],
    segments: Segments,
    end_ns: Callable[[], int],
    place: Place | None,
) -> tuple[str, list[Writer]]:
    """The encoders, and a writer for each output."""
    settings, container = shared.settings, job.container
    tracks = tuple(zip(settings.write, outputs, strict=True))
    if container in PICTURE_FORMATS:
        writer = PictureFile if job.suffix else PictureFolder
        return container, [writer(path, what, container, segments, straight=settings.straight) for what, path in tracks]
    stopped = shared.stopped.is_set
    if container in ANIMATIONS:
        return container, [
            AnimationWriter(path, what, container, facts, segments, stopped, end_ns) for what, path in tracks
        ]
    size = _written_size(settings, facts)
    recipes = [
        recipe_for(
            container,
            settings.codec,
            hardware=settings.hardware,
            size=size,
            clear=what == "composite" and settings.transparent,
        )
        for what in settings.write
    ]
    companions = plan(job.source, container)
    if place is not None:
        companions = replace(companions, start=Fraction(place.start_ns, 10**9), cut=not place.open_end)
    writers: list[Writer] = [
        MovieWriter(path, what, recipe, facts, companions, segments, stopped, end_ns)
        for (what, path), (recipe, _) in zip(tracks, recipes, strict=True)
    ]
    used = [recipe.codec for recipe, _ in recipes] + [note for _, told in recipes for note in told]
    return "; ".join(dict.fromkeys(used)), writers


def _written_size(settings: BatchSettings, facts: Facts) -> tuple[int, int]:
    """Size of the largest picture that is written."""
    return facts.width * (1 + ("fill-key" in settings.write)), facts.height


def _seconds(place: Place | None, facts: Facts) -> float | None:
    """About how long the used part of a film is, seconds; None if unknown."""
    frames = None if place is None else place.frames(facts.rate)
    if frames is not None:
        return float(frames / facts.rate)
    return None if facts.seconds is None else facts.seconds - (0 if place is None else place.start_ns / 1e9)


def _maker(shared: Shared) -> Callable[[EngineSettings], Engine]:
    choice = shared.choice

    def make(settings: EngineSettings) -> Engine:
        return AutoEngine(settings, None if choice is None else replace(choice, settings=settings))

    return partial(shared.lender.engine, make)


def _engine_settings(shared: Shared, facts: Facts) -> EngineSettings:
    choice = shared.choice
    engine = shared.engine if choice is None else choice.settings
    embedded = engine.engine == EMBEDDED or (choice is not None and EMBEDDED in choice.names)
    if engine.downsample_ratio is None and not embedded and not shared.settings.published:
        box = shared.settings.box
        size = (facts.width, facts.height) if box is None else (box.width, box.height)
        ratio = ratio_for(PRESETS[shared.settings.quality], *size)
        return replace(engine, downsample_ratio=ratio)
    return engine


def _progress(
    shared: Shared, job: Job, facts: Facts, number: int, ready: Callable[[], bool], of: int | None
) -> Progress:
    engine = _engine_settings(shared, facts)
    names = engine.engine if shared.choice is None else "/".join(shared.choice.names)
    asked = (names, engine.model, engine.device, engine.precision, engine.downsample_ratio, engine.foreground)
    network = " ".join(map(str, (*asked, f"{facts.width}x{facts.height}")))
    of = of or facts.frames or (round(facts.seconds * facts.rate) if facts.seconds else None)
    return Progress(shared.tell, {"number": number, "input": str(job.source)}, of, ready, network)


def _ran(info: EngineInfo | None, compositor: str, job: Job, facts: Facts) -> Ran:
    return Ran(
        engine=info.engine if info else "",
        model=info.model if info else "",
        device=info.device if info else "",
        precision=info.precision if info else "",
        compositor=compositor,
        downsample_ratio=info.downsample_ratio if info else 0.0,
        source=str(job.source),
        width=facts.width,
        height=facts.height,
    )
