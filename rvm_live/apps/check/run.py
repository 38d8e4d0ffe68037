"""From settings to a report: windows of the clip are matted, judged and forgotten again."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.apps.check.figures import FIGURES, Look, measured, motion
from rvm_live.apps.check.subject import Subject, other_ratio
from rvm_live.apps.check.windows import Window, spread, thinned
from rvm_live.core.errors import SettingsError
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.core.validation import check_fields
from rvm_live.engines.base import EngineInfo
from rvm_live.sources.base import Source, SourceInfo
from rvm_live.sources.factory import open_source

__all__ = ["ENDLESS_SECONDS", "CheckSettings", "Judged", "Report", "Summary", "Worst", "check", "judged", "score"]

Picture = NDArray[np.uint8]

ENDLESS_SECONDS = 10.0
"""How long a camera, a stream or the demo is looked at, where nobody says."""
MOST_SECONDS = 86400.0
_PAGES = (".html", ".htm")
_WORST = 8
_THUMBNAIL = 480
_NEAR = 1.0
"""Seconds: of frames nearer to each other than this one is shown."""


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
            raise SettingsError(f"{self.output} is no name for a page: name a file that ends in .html")
        if self.seconds is not None and not 0 < self.seconds <= MOST_SECONDS:
            raise SettingsError(
                f"seconds {self.seconds:g} is out of range: it must be above 0 and at most {MOST_SECONDS:g}"
            )


@dataclass(frozen=True)
class Judged:
    """One frame's figures.

    Attributes:
        number: of the frame in the clip, from 0.
        seconds: from its beginning.
        figures: name -> value, in its unit; those that can be had of it.
    """

    number: int
    seconds: float
    figures: dict[str, float]


@dataclass(frozen=True)
class Summary:
    """One figure over the clip: mean, 95th percentile (nearest rank) and the largest value, of so many frames."""

    mean: float
    p95: float
    most: float
    count: int


@dataclass(frozen=True, repr=False)
class Worst:
    """A frame that looks worst, small.

    Attributes:
        judged: its figures.
        image: uint8 (h, w, 3) BGR.
        alpha: uint8 (h, w).
        why: name of the figure that says so most.
    """

    judged: Judged
    image: Picture
    alpha: Picture
    why: str


@dataclass(frozen=True, repr=False)
class Report:
    """What was found.

    Attributes:
        source: what was looked at.
        engine: what made the mattes.
        other_ratio: of the other reading; None where there was none.
        windows: how many stretches were judged.
        frames: those that were, in order.
        summary: name of a figure -> what it was.
        worst: the frames that look worst, worst first.
        notes: what ran otherwise than asked.
    """

    source: SourceInfo
    engine: EngineInfo
    other_ratio: float | None
    windows: int
    frames: tuple[Judged, ...]
    summary: dict[str, Summary]
    worst: tuple[Worst, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        info = self.engine
        return {
            "source": self.source.label,
            "width": self.source.width,
            "height": self.source.height,
            "engine": {
                "name": info.engine,
                "model": info.model,
                "device": info.device,
                "precision": info.precision,
                "downsample_ratio": info.downsample_ratio,
            },
            "other_ratio": self.other_ratio,
            "windows": self.windows,
            "figures": {
                each.name: {"unit": each.unit, **vars(self.summary[each.name])}
                for each in FIGURES
                if each.name in self.summary
            },
            "frames": [{"number": each.number, "seconds": each.seconds, **each.figures} for each in self.frames],
            "worst": [{"number": each.judged.number, "why": each.why} for each in self.worst],
            "notes": list(self.notes),
        }


@dataclass(repr=False)
class _Stretch:
    """What is kept of a window."""

    frames: list[Judged]
    worst: Worst
    window: Window | None = field(default=None)


def check(settings: CheckSettings, tell: Callable[[str], None] = lambda line: None, progress: Any = None) -> Report:
    """Judge what an engine makes of a clip.

    Args:
        settings: what is to be judged.
        tell: called with one line about what is done now.
        progress: handed on to :func:`rvm_live.weights.resolve` for a download.

    Raises:
        RvmLiveError: the source or the engine failed, or there is no frame.
    """
    with ExitStack() as stack:
        source, info = _opened(settings, stack)
        endless = not source.on_demand or info.kind == "demo"
        limit = ENDLESS_SECONDS if settings.seconds is None and endless else settings.seconds
        tell("opening the engine")
        subject = Subject(settings.engine, progress)
        stack.callback(subject.close)
        other: Subject | None = None
        looked_for = False
        kept: list[_Stretch] = []
        for window in spread(source, info, limit):
            tell(f"{window.seconds[0]:.0f} s, window {len(kept) + 1}")
            alphas = subject.alphas(window)
            if not looked_for:
                looked_for, other = True, subject.other()
                stack.callback(other.close if other is not None else lambda: None)
            others = None if other is None else other.alphas(window)
            kept = thinned([*kept, _stretch(window, alphas, others)])
        if not kept:
            raise SettingsError(f"{settings.source.source} gave no frame: nothing can be judged")
        frames = tuple(frame for stretch in kept for frame in stretch.frames)
        return Report(
            source=info,
            engine=subject.info,
            other_ratio=None if other is None else other_ratio(subject.info.downsample_ratio),
            windows=len(kept),
            frames=frames,
            summary=summed(frames),
            worst=_apart([stretch.worst for stretch in kept]),
            notes=(*info.notes, *subject.info.notes),
        )


def _opened(settings: CheckSettings, stack: ExitStack) -> tuple[Source, SourceInfo]:
    source = open_source(settings.source)
    source.prepare()
    stack.callback(source.release)
    return source, source.open()


def judged(window: Window, alphas: list[Picture], others: list[Picture] | None) -> Iterator[tuple[int, Judged]]:
    """The figures of the frames of a window that are judged, with their places in it."""
    before: Look | None = None
    for place in range(max(0, window.judged.start - 1), len(window.images)):
        look = Look.of(window.images[place], alphas[place])
        if place in window.judged:
            moved = None if before is None else motion(look.image, before.image)
            figures = measured(look, before, moved, None if others is None else others[place])
            yield place, Judged(window.first + place, round(window.seconds[place], 3), figures)
        before = look


def _stretch(window: Window, alphas: list[Picture], others: list[Picture] | None) -> _Stretch:
    found = list(judged(window, alphas, others))
    place, worst = max(found, key=lambda each: score(each[1].figures)[0])
    image, alpha = (_small(each) for each in (window.images[place], alphas[place]))
    return _Stretch([each for _, each in found], Worst(worst, image, alpha, score(worst.figures)[1]))


def _small(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    scale = min(1.0, _THUMBNAIL / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def score(figures: dict[str, float]) -> tuple[float, str]:
    """How bad a frame looks, and the figure that says so most: the largest of its values against what is usual."""
    shares = {each.name: figures[each.name] / each.usual[1] for each in FIGURES if each.name in figures}
    name = max(shares, key=lambda each: shares[each], default="")
    return shares.get(name, 0.0), name


def _apart(several: list[Worst]) -> tuple[Worst, ...]:
    """The worst of them, worst first, none near another."""
    chosen: list[Worst] = []
    for each in sorted(several, key=lambda one: -score(one.judged.figures)[0]):
        if all(abs(each.judged.seconds - one.judged.seconds) >= _NEAR for one in chosen):
            chosen.append(each)
    return tuple(chosen[:_WORST])


def summed(frames: tuple[Judged, ...]) -> dict[str, Summary]:
    """Each figure over the frames that have it."""
    found = {}
    for figure in FIGURES:
        values = sorted(each.figures[figure.name] for each in frames if figure.name in each.figures)
        if values:
            p95 = values[math.ceil(0.95 * len(values)) - 1]
            found[figure.name] = Summary(statistics.fmean(values), p95, values[-1], len(values))
    return found
