"""Draws a table: one bar for each row and value, on panels that share a unit."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Chart", "chart_of", "draw"]

_INKS = ("#2f6db3", "#a9c6e6", "#d9a441")
_RED = "#b03030"
_DPI = 100
_BAR_INCHES = 0.3
_LABEL_WIDTH, _CAPTION_WIDTH = 44, 120


@dataclass(frozen=True)
class Chart:
    """Which parts of a table are drawn, and how.

    Attributes:
        values: columns of numbers in one unit, the most important first, at most three; drawn as bars side by side.
            Rows without a number are shown as text.
        labels: columns that name a row, joined by a comma. Empty: the first column.
        panels: a column by which rows are split into panels with a scale each, such as the size; "": one panel.
            A table whose rows have different units is split by its first column.
        unit: the unit of the axis. Empty: the last word of the first value's column.
        target: a line to reach or to stay under, in that unit; or the column with each panel's, such as ``>= 200``.
    """

    values: tuple[str, ...]
    labels: tuple[str, ...] = ()
    panels: str = ""
    unit: str = ""
    target: float | str | None = None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def chart_of(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Chart | None:
    """The chart of a table that comes without one: its first column of numbers, and the next ones in the same unit.

    Returns:
        None where no column has a number.
    """
    numeric = [column for column in columns if any(_number(row[column]) is not None for row in rows)]
    if not numeric:
        return None
    first = numeric[0]
    place, unit = columns.index(first), first.split()[-1]
    values = [first]
    for column in columns[place + 1 :]:
        if column not in numeric or column.split()[-1] != unit or len(values) == len(_INKS):
            break
        values.append(column)
    return Chart(tuple(values), labels=tuple(columns[: max(place, 1)]), unit=unit)


def draw(path: Path, chart: Chart, rows: Sequence[Mapping[str, Any]], *, title: str, caption: str) -> None:
    """Write the chart as a picture.

    Args:
        path: a ``.png`` file.
        chart: what is drawn.
        rows: the table; each row is a mapping from column to cell.
        title: in bold at the top: the command.
        caption: small, at the bottom: the machine.

    Raises:
        ImportError: matplotlib is not installed.
    """
    # Figure and canvas by hand: pyplot would choose a window system and keep every figure in memory.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(str(row[chart.panels]) if chart.panels else "", []).append(row)
    bars = max(len(chart.values), 1)
    heights = [_BAR_INCHES * len(group) * (0.6 + 0.4 * bars) + 0.35 for group in groups.values()]
    title = textwrap.fill(title, 88, break_on_hyphens=False)
    caption = textwrap.fill(caption, _CAPTION_WIDTH, break_on_hyphens=False)
    margin = 0.5 + 0.22 * (title.count("\n") + 1) + 0.16 * (caption.count("\n") + 1) + 0.45 * len(groups)
    figure = Figure(figsize=(9, sum(heights) + margin), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    panels = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, (name, group) in zip(panels, groups.items(), strict=True):
        _panel(panel, chart, name, group)
    if len(chart.values) > 1:
        panels[0].legend(fontsize=8, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(chart.values))
    figure.supxlabel(caption, fontsize=7, color="#555555", x=0.01, ha="left")
    # No date and no version in the file, so that equal numbers give an equal picture.
    figure.savefig(path, metadata={"Software": None}, pil_kwargs={"optimize": True})


def _target(chart: Chart, rows: Sequence[Mapping[str, Any]]) -> float | None:
    if not isinstance(chart.target, str):
        return chart.target
    found = [re.search(r"\d+(\.\d+)?", str(row[chart.target])) for row in rows]
    return next((float(each[0]) for each in found if each), None)


def _panel(panel: Any, chart: Chart, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw one set of bars; the first row is on top."""
    labels = chart.labels or (next(iter(rows[0])),)
    thick = 0.8 / len(chart.values)
    longest = max((_number(row[value]) or 0.0 for row in rows for value in chart.values), default=0.0)
    target = _target(chart, rows)
    if target is not None:
        longest = max(longest, target)
        panel.axvline(target, color=_RED, linewidth=1, linestyle="--", zorder=3)
        aside = {"ha": "right"} if target > 0.8 * longest else {}
        panel.text(target, -0.58, f" target {target:g} ", fontsize=7, color=_RED, va="center", **aside)
    longest = longest or 1.0
    for rank, (value, ink) in enumerate(zip(chart.values, _INKS, strict=False)):
        panel.barh([0], [0], color=ink, label=value)
        for place, row in enumerate(rows):
            y, number = place + (rank + 0.5) * thick - 0.4, _number(row[value])
            if number is not None:
                panel.barh(y, number, thick * 0.9, color=ink)
            if number is not None or rank == 0:
                shown = "not measured" if number is None else f"{number:.3g}" if number < 1000 else f"{number:.0f}"
                panel.text((number or 0) + longest * 0.008, y, shown, fontsize=7.5, va="center", color="#333333")
    shown_labels = [label for label in labels if label != chart.panels] or list(labels)
    named = [", ".join(str(row[label]) for label in shown_labels) for row in rows]
    named = [textwrap.fill(label, _LABEL_WIDTH, break_on_hyphens=False) for label in named]
    single = bool(chart.panels) and labels == (chart.panels,)
    panel.set_yticks(range(len(rows)), named, fontsize=8)
    panel.set_ylim(len(rows) - 0.45, -0.8 if target is not None else -0.55)
    panel.set_xlim(0, longest * 1.09)
    panel.tick_params(axis="x", labelsize=7)
    panel.tick_params(axis="y", length=0)
    panel.spines[["top", "right"]].set_visible(False)
    if chart.unit or not chart.panels:
        panel.set_xlabel(chart.unit or chart.values[0].split()[-1], fontsize=8)
    if name and not single:
        panel.set_title(name, fontsize=9, loc="left")
