"""The plot of a soak test."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rvm_live.errors import SinkError, UnavailableError
from rvm_live.soak.run import Sample

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
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnavailableError("no plot without matplotlib: pip install 'rvm-live[bench]'") from error
    figure = Figure(figsize=(9, 7.6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    frames = [each.frames for each in samples]
    for panel, (label, names) in zip(figure.subplots(len(_PANELS), 1, sharex=True), _PANELS, strict=True):
        for name, ink in zip(names, _INKS, strict=False):
            values = [getattr(each, name) for each in samples]
            if any(value is not None for value in values):
                shown = [float("nan") if value is None else value for value in values]
                panel.plot(frames, shown, color=ink, linewidth=0.8, label=name.removesuffix("_mb").removesuffix("_ms"))
        panel.set_ylim(bottom=0)
        panel.set_ylabel(label, fontsize=8)
        panel.grid(alpha=0.25)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(fontsize=7, frameon=False, loc="lower right")
    panel.set_xlabel("frames", fontsize=8)
    part = path.with_name(f".{path.name}.part")
    try:
        figure.savefig(part, format="png", metadata={"Software": None})
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise SinkError(f"cannot write {path}: {error.strerror or error}") from error
