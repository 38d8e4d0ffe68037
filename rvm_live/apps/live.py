"""The live application: settings in, a window or a headless run, a report out. Prints nothing."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rvm_live.apps.aside import Aside
from rvm_live.apps.assembly import Assembly, failover, reconnecting
from rvm_live.apps.live_camera import OnDemand, camera_for
from rvm_live.apps.live_controls import CHANGING, live_controls, profile_control
from rvm_live.apps.live_page import LivePage
from rvm_live.apps.live_people import People
from rvm_live.apps.live_recording import hearing, recording_for
from rvm_live.apps.live_streams import streams_for
from rvm_live.apps.live_weights import WeightsFetch
from rvm_live.apps.preflight import DEFAULT_FOLDER, at_home, backgrounds_of, check_outputs, overflow_of, without_display
from rvm_live.apps.remembered import remembering
from rvm_live.apps.report import LiveReport, Ran
from rvm_live.apps.steering.server import steered
from rvm_live.apps.steering.summary import summary
from rvm_live.backgrounds.own import OwnBackgrounds
from rvm_live.core.camera_in_use import CameraInUse
from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.frames import Composite
from rvm_live.core.framing import Framing
from rvm_live.core.notices import Notices
from rvm_live.core.queues import Overflow
from rvm_live.core.settings import LiveSettings
from rvm_live.engines.choice import told_once
from rvm_live.engines.failover import FailoverEngine
from rvm_live.sinks.base import Sink, Surroundings
from rvm_live.sinks.factory import open_sink
from rvm_live.sinks.recording.snapshot import save_png
from rvm_live.sinks.recording.sudden_exit import on_sudden_exit
from rvm_live.sinks.window.chooser import Chooser
from rvm_live.sinks.window.status import Status
from rvm_live.sinks.window.toolkits.base import Drop
from rvm_live.sinks.window.window import ViewState, WindowActions, WindowSink
from rvm_live.sources.base import SourceInfo
from rvm_live.sources.camera.opencv_logging import silence_backends
from rvm_live.sources.factory import open_source
from rvm_live.sources.low_light import LowLight, LowLightSource
from rvm_live.sources.switched import SwitchedSource
from rvm_live.system import atomic_write, gpu
from rvm_live.system.atomic_write import write_whole
from rvm_live.system.signals import stopping_on_signals

__all__ = ["run"]


def run(
    settings: LiveSettings,
    *,
    tell: Callable[[str], None] = lambda line: None,
    progress: Any = None,
    clock: Clock = SYSTEM_CLOCK,
    profiles: Mapping[str, Mapping[str, Any]] | None = None,
    profile: str = "",
) -> LiveReport:
    """Run the live application until the user, the source or a limit ends it.

    Args:
        settings: what the user asked for.
        tell: called with one-line messages that are worth the user's attention at once.
        progress: passed on to :func:`rvm_live.weights.resolve` for a download.
        clock: monotonic time.
        profiles: profiles to choose from during the run: name -> control -> value.
        profile: of these the one that the settings come from; empty: none.

    Returns:
        The report.

    Raises:
        RvmLiveError: bad input, or an expected failure; nothing half-written is left behind.
    """
    silence_backends()
    settings = at_home(settings)
    check_outputs(settings)
    first = open_source(settings.source, clock)  # an invalid source is reported before anything begins
    overflow = overflow_of(settings, first)
    sinks = [open_sink(each) for each in settings.sinks]
    notices = Notices()
    in_use = CameraInUse()
    asked = replace(settings.engine, camera=in_use if settings.learned else None)
    engine = failover(asked, notices, live=overflow is Overflow.DROP_OLDEST, progress=progress)
    with atomic_write.no_empty_folders(DEFAULT_FOLDER):
        app = _App(settings, engine, notices, overflow, clock, tell, sinks, in_use)
        if profiles:
            app.controls.add(profile_control(profiles, profile, app.controls))
        settings = app.settings
        with _sampling(app.gpu), stopping_on_signals(app.pipeline.stop), on_sudden_exit(lambda: app.display_gone(tell)):
            try:
                with (
                    steered(app.controls, lambda: summary(app.status(), app.controls)),
                    remembering(settings, app.controls, app.composer, app.window),
                ):
                    snapshot = app.pipeline.run(frames=settings.frames, duration=settings.duration)
            finally:
                app.chooser.close()
                if app.page is not None:
                    app.page.close()
    report = app.report(snapshot)
    if settings.stats_json is not None:
        write_whole(settings.stats_json, (json.dumps(report.as_json(), indent=2, sort_keys=True) + "\n").encode())
    return report


class _App:
    """Wires settings to a pipeline, and the window's keys to it."""

    def __init__(
        self,
        settings: LiveSettings,
        engine: FailoverEngine,
        notices: Notices,
        overflow: Overflow,
        clock: Clock,
        tell: Callable[[str], None] = lambda line: None,
        sinks: Sequence[Sink] = (),
        in_use: CameraInUse | None = None,
    ) -> None:
        self._own_sinks = sinks
        self.notices = notices
        self.gpu = gpu.GpuSampler(self._card)
        self.began_ns = SYSTEM_CLOCK.now_ns()
        self.source = SwitchedSource(
            settings.source,
            lambda each: reconnecting(each, notices, clock),
            notices.fallback,
            self._opened,
            in_use,
        )
        self.page = None if settings.web is None else LivePage(settings, tell, clock)
        people = People(settings, lambda: "" if self.source.info is None else self.source.info.label)
        self.low_light = LowLight(on=settings.low_light == "auto")
        backgrounds, away = backgrounds_of(settings)
        parts = Assembly(
            LowLightSource(self.source, self.low_light),
            people.engine(engine, notices),
            backgrounds,
            overflow=overflow,
            notices=notices,
            clock=clock,
            compositor=settings.compositor,
            away=away,
            framing=Framing(settings.follow, settings.zoom, settings.shift),
            look=settings.look,
            outputs=None if self.page is None else self.page.outputs(),
        )
        self.composer = parts.composer
        self.settings, self._no_window = without_display(settings)
        self.window: WindowSink | None = None
        self.chooser = Chooser(self._chosen)
        self.fetch = WeightsFetch(engine.settings, self._fetched, self.notices.news)
        self.view = ViewState(
            settings.display,
            settings.statistics,
            fullscreen=settings.fullscreen,
            mirror=bool(settings.mirror),
        )
        listener = hearing(self.composer, self.source, notices)
        self.recording = recording_for(
            self.settings,
            self.composer,
            listener,
            notices,
            overflow,
            clock,
            # Without window and page the run is for the recording; otherwise the picture matters more.
            needed=self.settings.headless and self.page is None,
        )
        self.camera = camera_for(settings, clock)
        self.streams = streams_for(settings, listener, clock)
        self.own = OwnBackgrounds(self.composer.add_background)
        self.controls = live_controls(
            self.view,
            self.composer,
            self.source,
            engine,
            self.recording,
            self._reset,
            lambda: self.pipeline.stop("stopped"),
            self.own,
            self.camera if settings.source.realtime else None,
            [*people.controls(), self.low_light.control()],
        )
        self.pipeline = parts.pipeline(
            self._sinks(tell, clock),
            max_fps=settings.source.fps,
            adaptive_fps=settings.source.fps if settings.adaptive else None,
            mirror=settings.source.mirror,
            scene_reset=settings.scene_reset,
        )
        engine.renew = self.pipeline.reset

    def _sinks(self, tell: Callable[[str], None], clock: Clock) -> list[Sink]:
        sinks: list[Sink] = [self.recording, *self.streams, *self._own_sinks]
        if self.settings.source.realtime:
            sinks.append(self.camera)
        around = Surroundings(
            self.composer.background_only, lambda: self.composer.private, self.notices.again, self.notices.news
        )
        for sink in sinks:
            if hasattr(sink, "meet"):  # a user's own sink may not have this method
                sink.meet(around)
        if not self.settings.headless:
            self.window = WindowSink(
                self.view,
                size=(self.settings.source.width or 1280, self.settings.source.height or 720),
                status=self.status,
                controls=self.controls,
                actions=WindowActions(
                    reset=self._reset,
                    save=self._save,
                    ask_background=self.chooser.ask,
                    fetch_weights=self.fetch.start,
                    quit=self._quit,
                ),
                placeholder=self.composer.background_only,
                clock=clock,
            )
            sinks.append(self.window)
        if self.page is not None:
            sinks.append(
                self.page.sink(
                    controls=self.controls,
                    status=self.status,
                    snapshot=lambda: self.pipeline.snapshot(),
                    composer=self.composer,
                    own=self.own,
                    recording=self.recording,
                    actions={"fetch": self.fetch.start},
                )
            )
        if self.window is None and self.camera.on and not self.settings.always:
            sinks.append(OnDemand(tuple(sinks), self._rest, clock))
        return [*sinks, Aside(self._first_words, tell, lambda: self.controls.look(*CHANGING), clock)]

    def _rest(self, resting: bool) -> None:
        """Release the camera, or take it again."""
        self.source.rest(resting)
        self.pipeline.reset()

    def _first_words(self) -> list[str]:
        """The messages shown with the first picture."""
        words = [self._no_window] if self._no_window else []
        engine = self.pipeline.engine_info
        shown, offline = self.window is not None, self.settings.engine.offline
        if engine is not None and (simple := told_once(engine, window=shown, offline=offline)):
            if self.window is None:
                words.append(simple)
            else:
                self.window.tell(simple)
        return words

    def display_gone(self, tell: Callable[[str], None]) -> None:
        """The window system ends the process: finish what is being written, say so, and go."""
        if self.window is None:
            return
        self.pipeline.abandon("display gone", self.window)
        kept = ""
        if self.recording.saved:
            kept = f"; {self.recording.failure or f'the recording {self.recording.saved[-1]} is complete'}"
        tell(f"rvm-live: error: the display was closed, and with it the window{kept}")
        os._exit(2)

    # Keys ---------------------------------------------------------------------------------------------------

    def _opened(self, source: SourceInfo) -> None:
        """Mirror a camera's picture in the window, unless the user chose otherwise."""
        if self.settings.mirror is None:
            self.view.mirror = source.kind == "camera" and not self.settings.source.mirror

    def _reset(self) -> None:
        self.pipeline.reset()

    def _save(self, composite: Composite) -> Path:
        path = Path(f"rvm-live-{time.strftime('%Y%m%d-%H%M%S')}-{composite.seq:06d}.png")
        save_png(composite, path)
        return path

    def _fetched(self) -> None:
        self.controls.engine = "rvm"
        if self.window is not None and self.fetch.state:
            self.window.tell("RVM is ready: better edges from now on")

    def _chosen(self, path: Path) -> None:
        if self.window is not None:
            self.window.post(Drop((path,)))

    def _quit(self, reason: str) -> None:
        self.pipeline.stop("quit" if reason == "key" else reason)

    # What runs ----------------------------------------------------------------------------------------------

    def dropped(self) -> dict[str, int]:
        """What could not be recorded in time; the pipeline counts its own queues."""
        lost = {"stream": sum(each.dropped for each in self.streams)} if self.streams else {}
        return {**self.recording.dropped, **lost}

    def status(self) -> Status:
        """What the overlay shows, from what runs now."""
        snapshot = self.pipeline.snapshot()
        engine, source = self.pipeline.engine_info, self.source.info
        recent = snapshot.recent_ms
        return Status(
            unique_fps=snapshot.recent_fps,
            matting_ms=recent["matting"].p50,
            compositing_ms=recent["compositing"].p50,
            total_ms=recent["total"].p50,
            total_p95_ms=recent["total"].p95,
            device=engine.device if engine else "",
            device_name=engine.device_name if engine else "",
            backend=self.composer.backend,
            engine=engine.engine if engine else "",
            model=engine.model if engine else "",
            precision=engine.precision if engine else "",
            ratio=engine.downsample_ratio if engine else 0.0,
            focus=engine.focus if engine else "",
            source=source.label if source else "",
            size=(source.width, source.height) if source else (0, 0),
            drops={**snapshot.dropped, **self.dropped()},
            repeats=snapshot.repeated,
            background=self.composer.background_label,
            framing=self.composer.framing.words,
            low_light=self.low_light.gain,
            look=self.composer.look.words,
            recording=self.recording.path,
            sound=self.recording.sound,
            recorded_s=self.recording.seconds,
            recorded_bytes=self.recording.bytes,
            camera=self.camera.label,
            camera_ms=self.camera.delay_ms,
            camera_watched=self.camera.watched,
            streams=tuple(each.status for each in self.streams),
            gpu=self.gpu.latest,
            fetching=self.fetch.state,
            paused=self.source.paused,
            phase=self._phase(source is not None, engine is not None),
            messages=self.notices.messages,
        )

    def _card(self) -> gpu.Card:
        """The card that the engine works on; None while there is no engine, or where it works on none."""
        engine = self.pipeline.engine_info
        return None if engine is None else gpu.card(engine.device)

    def _phase(self, opened: bool, ready: bool) -> str:
        """The step that the run waits for, and since when."""
        if opened and ready:
            return self.source.trouble or self.pipeline.stuck
        doing = "opening the source" if not opened else "loading the model"
        waited = (SYSTEM_CLOCK.now_ns() - self.began_ns) / 1e9
        return (self.source.trouble or doing) + (f" ({waited:.0f} s)" if waited >= 2 else "")

    def report(self, snapshot: Any) -> LiveReport:
        """The final report of a finished run."""
        engine, source = self.pipeline.engine_info, self.source.info
        ran = Ran(
            engine=engine.engine if engine else "",
            model=engine.model if engine else "",
            device=engine.device if engine else "",
            precision=engine.precision if engine else "",
            compositor=self.composer.backend,
            downsample_ratio=engine.downsample_ratio if engine else 0.0,
            focus=engine.focus if engine else "",
            source=source.label if source else "",
            width=source.width if source else 0,
            height=source.height if source else 0,
        )
        saved = self.recording.saved[-1] if self.recording.saved else None
        return LiveReport(
            ran,
            replace(snapshot, dropped={**snapshot.dropped, **self.dropped()}),
            self.notices.fallbacks,
            self.pipeline.exit_reason,
            None if saved is None else str(saved),
            tuple(each.story for each in self.streams),
            engine.device_name if engine else "",
            self.recording.failure,
            self.camera.delay_ms,
            self.low_light.most,
        )


@contextmanager
def _sampling(sampler: gpu.GpuSampler) -> Iterator[None]:
    sampler.start()
    try:
        yield
    finally:
        sampler.stop()
