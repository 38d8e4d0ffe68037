"""The plot of a soak test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rvm_live.apps.soak.run import Sample
from rvm_live.media import plots

__all__ = ["draw"]

_PANELS = (
    ("memory, MB", ("rss_mb", "gpu_mb")),
    ("threads, descriptors", ("threads", "descriptors")),
    ("frames a second", ("fps",)),
    ("latency, ms", ("p50_ms", "p99_ms")),
)
_INKS = ("#2f6db3", "#d9a441")


def draw(samples: Sequence[Sample], path: Path, title: str) -> None:
    """Memory, threads, rate and latency over frames, as a PNG.

    Raises:
        UnavailableError: matplotlib is not installed.
        SinkError: the file cannot be written.
    """
    figure = plots.figure(9, 7.6, title)
    frames = [each.frames for each in samples]
    for panel, (label, names) in zip(figure.subplots(len(_PANELS), 1, sharex=True), _PANELS, strict=True):
        for name, ink in zip(names, _INKS, strict=False):
            values = [getattr(each, name) for each in samples]
            if any(value is not None for value in values):
                shown = [float("nan") if value is None else value for value in values]
                panel.plot(frames, shown, color=ink, linewidth=0.8, label=name.removesuffix("_mb").removesuffix("_ms"))
        plots.tidy_panel(panel, label)
        if panel.lines:
            panel.legend(fontsize=7, frameon=False, loc="lower right")
    panel.set_xlabel("frames", fontsize=8)
    plots.save(figure, path)
