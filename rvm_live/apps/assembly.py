"""Makes a pipeline from settings, in one way for live video, files and long runs; an app only says what differs.

::

    engine = failover(settings.engine, notices, live=True)
    run = Assembly(reconnecting(settings.source, notices), engine, backgrounds, overflow=overflow, notices=notices)
    run.pipeline([sink]).run()
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from rvm_live.backgrounds.base import Background
from rvm_live.compositing.composer import Composer
from rvm_live.compositing.output import Output
from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.framing import Framing
from rvm_live.core.look import Look
from rvm_live.core.notices import Notices
from rvm_live.core.queues import Overflow
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.engines.base import Engine
from rvm_live.engines.failover import FailoverEngine
from rvm_live.engines.select import engine_for
from rvm_live.pipeline.pipeline import Pipeline
from rvm_live.sinks.base import Sink
from rvm_live.sources.base import Source
from rvm_live.sources.factory import open_source
from rvm_live.sources.reconnecting import Make, ReconnectingSource

__all__ = ["Assembly", "failover", "reconnecting"]


def reconnecting(
    settings: SourceSettings, notices: Notices, clock: Clock = SYSTEM_CLOCK, make: Make | None = None
) -> ReconnectingSource:
    """The source of the settings, or the one that ``make`` makes, opened again when it is lost; this is reported."""
    return ReconnectingSource(settings, make or open_source, notices.again, clock, notices.news)


def failover(
    settings: EngineSettings,
    notices: Notices,
    *,
    live: bool,
    progress: Any = None,
    around: Callable[[Engine], Engine] = lambda engine: engine,
) -> FailoverEngine:
    """The engine of the settings, with its weights, which continues after failures.

    Args:
        settings: what was asked for.
        notices: list for fallbacks.
        live: whether it must keep up with live video.
        progress: passed on to :func:`rvm_live.weights.resolve` for a download.
        around: wraps each engine that is made.

    Raises:
        WeightsError: the weights that were asked for are not available.
    """
    first = engine_for(replace(settings, keep_up=live), progress)
    return FailoverEngine(lambda asked: around(first.again(asked)), first.settings, notices)


class Assembly:
    """The parts of one run, with the same notices, clock and answer to whether frames may be dropped.

    Args:
        source: where frames come from.
        engine: how mattes are made; its settings choose the colours of the composites.
        backgrounds: at least one.
        overflow: live video, or every frame of a file, which then gives the same bytes again.
        notices: list for everything that runs differently from what was asked.
        clock: monotonic time.
        compositor: as for :class:`~rvm_live.compositing.composer.Composer`; so are the rest.

    Attributes:
        live: frames may be dropped.
        composer: how composites are made.
    """

    def __init__(
        self,
        source: Source,
        engine: Engine,
        backgrounds: Sequence[Background],
        *,
        overflow: Overflow,
        notices: Notices,
        clock: Clock = SYSTEM_CLOCK,
        compositor: str = "auto",
        pixel: Fraction = Fraction(1),
        fitting_alone: bool = False,
        away: Background | None = None,
        outputs: Mapping[str, Output] | None = None,
        framing: Framing | None = None,
        look: Look | None = None,
    ) -> None:
        self.live = overflow is Overflow.DROP_OLDEST
        self.composer = Composer(
            backgrounds,
            compositor=compositor,
            foreground=engine.settings.foreground,
            notices=notices,
            from_files=not self.live,
            pixel=pixel,
            fitting_alone=fitting_alone,
            away=away,
            framing=framing,
            look=look,
            outputs=outputs,
            clock=clock,
        )
        self._source, self._engine, self._overflow = source, engine, overflow
        self._notices, self._clock = notices, clock

    def pipeline(
        self,
        sinks: Iterable[Sink] = (),
        *,
        max_fps: float | None = None,
        adaptive_fps: float | None = None,
        mirror: bool = False,
        scene_reset: bool = True,
        chunk: int = 1,
    ) -> Pipeline:
        """The pipeline, not started. The arguments are :class:`~rvm_live.pipeline.pipeline.Pipeline`'s; files, which
        lose nothing, are neither slowed down to a rate nor matted at a smaller size to keep one."""
        return Pipeline(
            self._source,
            self._engine,
            self.composer,
            sinks,
            overflow=self._overflow,
            chunk=chunk,
            max_fps=max_fps if self.live else None,
            adaptive_fps=adaptive_fps if self.live else None,
            mirror=mirror,
            scene_reset=scene_reset,
            notices=self._notices,
            clock=self._clock,
        )
