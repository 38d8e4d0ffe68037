"""From settings to a report: windows of the clip are matted, judged and forgotten again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rvm_live.apps.check.advice import Sample, advise
from rvm_live.apps.check.judging import Judged, judged, score, summed
from rvm_live.apps.check.report import Report, Worst
from rvm_live.apps.check.subject import Subject, other_ratio
from rvm_live.apps.check.windows import Window, spread, thinned
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import SettingsError
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.core.validation import check_fields
from rvm_live.sources.base import Source, SourceInfo
from rvm_live.sources.factory import open_source

__all__ = ["ENDLESS_SECONDS", "CheckSettings", "check"]

ENDLESS_SECONDS = 10.0
"""Default duration for a camera, a stream or the demo, seconds."""
MOST_SECONDS = 86400.0
_PAGES = (".html", ".htm")
_WORST = 8
_THUMBNAIL = 480
_SAMPLES = 3
_SAMPLE_BYTES = 400 << 20
"""Windows that are kept to try settings, and the memory that their pictures may take; one is always kept."""
_NEAR = 1.0
"""Seconds: of frames nearer to each other than this only one is shown."""


@dataclass(frozen=True)
class CheckSettings:
    """What is to be judged.

    Attributes:
        source: a file, a camera, a stream or the demo.
        engine: whose mattes.
        seconds: of the source that are looked at, from its beginning; None: a film to its end, what has none for
            :data:`ENDLESS_SECONDS`.
        output: the page, an HTML file.
    """

    source: SourceSettings = field(default_factory=lambda: SourceSettings(source="demo", realtime=False))
    engine: EngineSettings = field(default_factory=EngineSettings)
    seconds: float | None = None
    output: Path = Path("check.html")

    def __post_init__(self) -> None:
        check_fields(self)
        if self.output.suffix.lower() not in _PAGES:
            raise SettingsError(f"{self.output} is not a name for a page: name a file that ends in .html")
        if self.seconds is not None and not 0 < self.seconds <= MOST_SECONDS:
            raise SettingsError(
                f"seconds {self.seconds:g} is out of range: it must be above 0 and at most {MOST_SECONDS:g}"
            )


@dataclass(repr=False)
class _Stretch:
    """What is kept of a window."""

    frames: list[Judged]
    worst: Worst


def check(settings: CheckSettings, tell: Callable[[str], None] = lambda line: None, progress: Any = None) -> Report:
    """Judge what an engine makes of a clip.

    Args:
        settings: what is to be judged.
        tell: called with one line about what is done now.
        progress: passed on to :func:`rvm_live.weights.resolve` for a download.

    Raises:
        RvmLiveError: the source or the engine failed, or there is no frame.
    """
    tell("opening the source")
    kept: list[_Stretch] = []
    samples: list[Sample] = []
    with ExitStack() as stack:
        source, info = _opened(settings, stack)
        endless = not source.on_demand or info.kind == "demo"
        limit = ENDLESS_SECONDS if settings.seconds is None and endless else settings.seconds
        tell("opening the engine")
        subject = Subject(settings.engine, progress)
        stack.callback(subject.close)
        other: Subject | None = None
        for number, window in enumerate(spread(source, info, limit)):
            tell(f"measuring at {window.seconds[0]:.0f} s")
            alphas = subject.alphas(window)
            if number == 0 and (other := subject.other()) is not None:
                stack.callback(other.close)
            found = list(judged(window, alphas, None if other is None else other.alphas(window)))
            kept = thinned([*kept, _stretch(window, alphas, found)])
            samples = _worst_samples([*samples, Sample(window, tuple(alphas), tuple(each for _, each in found))])
        engine, asked = subject.info, subject.again()
    if not kept:
        raise SettingsError(f"{settings.source.source} gave no frame, so nothing can be measured: name another source")
    frames = tuple(frame for stretch in kept for frame in stretch.frames)
    summary = summed(frames)
    return Report(
        source=info,
        engine=engine,
        other_ratio=None if other is None else other_ratio(engine.downsample_ratio),
        windows=len(kept),
        frames=frames,
        summary=summary,
        worst=_apart([stretch.worst for stretch in kept]),
        advice=advise(asked, engine, summary, samples, tell),
        notes=(*info.notes, *engine.notes),
    )


def _worst_samples(samples: list[Sample]) -> list[Sample]:
    """As many windows as may be kept with their pictures, those that look worst."""
    samples = sorted(samples, key=lambda each: -max(score(frame.figures)[0] for frame in each.frames))
    most = max(1, min(_SAMPLES, _SAMPLE_BYTES // samples[0].window.bytes))
    return samples[:most]


def _opened(settings: CheckSettings, stack: ExitStack) -> tuple[Source, SourceInfo]:
    source = open_source(settings.source)
    source.prepare()
    stack.callback(source.release)
    return source, source.open()


def _stretch(window: Window, alphas: list[Bytes], found: list[tuple[int, Judged]]) -> _Stretch:
    place, worst = max(found, key=lambda each: score(each[1].figures)[0])
    image, alpha = (_small(each) for each in (window.images[place], alphas[place]))
    return _Stretch([each for _, each in found], Worst(worst, image, alpha, score(worst.figures)[1]))


def _small(picture: Bytes) -> Bytes:
    height, width = picture.shape[:2]
    scale = min(1.0, _THUMBNAIL / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _apart(several: list[Worst]) -> tuple[Worst, ...]:
    """The worst of them, worst first, none near another."""
    chosen: list[Worst] = []
    for each in sorted(several, key=lambda one: -score(one.judged.figures)[0]):
        if all(abs(each.judged.seconds - one.judged.seconds) >= _NEAR for one in chosen):
            chosen.append(each)
    return tuple(chosen[:_WORST])
