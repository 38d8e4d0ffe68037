"""The true rate of a camera's common modes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from rvm_live.apps.hwtest.probe import Probe
from rvm_live.apps.hwtest.report import Mode, ModeResult
from rvm_live.apps.hwtest.rhythm import Rhythm
from rvm_live.core.errors import SourceError
from rvm_live.core.settings import SourceSettings
from rvm_live.sources.base import Source

__all__ = ["COMMON_MODES", "measure_modes"]

COMMON_MODES = tuple(
    Mode(width, height, fps, fourcc)
    for width, height in ((640, 480), (1280, 720), (1920, 1080), (3840, 2160))
    for fps in (30.0, 60.0)
    for fourcc in ("MJPG", "YUYV")
)


def measure_modes(
    settings: SourceSettings,
    make: Callable[[SourceSettings], Source],
    seconds: float,
    *,
    modes: Iterable[Mode] = COMMON_MODES,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[ModeResult, ...]:
    """Ask a camera for each mode and measure what really comes.

    A camera that answers two requests with the same mode is measured in it once.

    Args:
        settings: which camera.
        make: makes the source.
        seconds: to measure each.
        modes: to ask for.
        tell: is told what is being done.
    """
    known: dict[Mode, Rhythm] = {}
    results = []
    for mode in modes:
        tell(f"measuring {mode}")
        asked = replace(settings, width=mode.width, height=mode.height, fps=mode.fps, fourcc=mode.fourcc)
        try:
            report = Probe(make(asked), asked, seconds, known=known).run()
        except SourceError as error:
            results.append(ModeResult(mode, None, None, str(error)))
            continue
        known.setdefault(report.actual, report.rhythm)
        results.append(ModeResult(mode, report.actual, report.rhythm, report.ended))
    return tuple(results)
