"""The plot of a stress test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rvm_live.apps.stress.run import Row
from rvm_live.media import plots

__all__ = ["draw"]

_PANELS = (
    ("fps", "frames a second", "#2f6db3"),
    ("megapixels_s", "megapixels a second", "#2f8f83"),
    ("gpu_percent", "GPU, percent", "#7a5ea8"),
    ("cpu_percent", "CPU, percent", "#d9a441"),
    ("power_w", "watts", "#b03030"),
    ("temperature_c", "hottest, degrees C", "#c05f2b"),
)


def draw(rows: Sequence[Row], path: Path, title: str) -> None:
    """A bar for each configuration in each panel that has numbers, as a PNG.

    Raises:
        UnavailableError: matplotlib is not installed.
        SinkError: the file cannot be written.
    """
    ran = [row for row in rows if row.fps is not None]
    shown = [panel for panel in _PANELS if any(getattr(row, panel[0]) is not None for row in ran)]
    if not shown:
        return
    figure = plots.figure(3.6 + 2.7 * len(shown), 1.4 + 0.3 * len(ran), title)
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for panel, (name, label, ink) in zip(panels, shown, strict=True):
        values = [getattr(row, name) or 0.0 for row in ran]
        bars = panel.barh([row.config for row in ran], values, color=ink, height=0.7)
        panel.bar_label(bars, [f"{value:.3g}" for value in values], fontsize=7, padding=2)
        panel.set_xlabel(label, fontsize=8)
        panel.margins(x=0.18)
        panel.tick_params(labelsize=7)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].invert_yaxis()
    plots.save(figure, path)
