"""Writes the tables and the plot of docs/quality.md from ``benchmarks/results/quality.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks.quality.clips import AGREEMENT, KEYED
from benchmarks.report import RESULTS, cell, machine, results
from rvm_live.core.errors import UnavailableError

__all__ = ["PAGE", "PLOT", "block", "scatter", "write"]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "quality.md"
PLOT = ROOT / "docs" / "images" / "quality.png"
BEGIN = "<!-- Between these marks: written by `python -m benchmarks quality --page`. -->"
END = "<!-- quality: end -->"
SHOWN = ("what", "MAD e-3", "MSE e-3", "Grad", "Conn", "dtSSD e-2", "median ms")
AFTER = "with something after"
TITLES = {
    KEYED: "Against the truth by chroma key",
    AGREEMENT: "Agreement with the plain network, on clips without truth",
}
_INKS = ("#2f6db3", "#d9a441", "#4c9a5b", "#8e5ba6", "#b03030", "#6b7785", "#46a5b8", "#222222")


def write(folder: Path = RESULTS, page: Path = PAGE, plot: Path = PLOT) -> dict[str, Any]:
    """Bring the page up to date with the result, and return the result.

    Raises:
        UnavailableError: nothing has been measured.
    """
    result = results(folder).get("quality")
    if result is None:
        raise UnavailableError("there is no result yet: run python -m benchmarks quality --data FOLDER first")
    text = page.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    page.write_text(f"{head}{BEGIN}\n\n{block(result)}\n\n{END}{tail}", encoding="utf-8")
    scatter(plot, result)
    return result


def block(result: Mapping[str, Any]) -> str:
    """The Markdown between the marks."""
    rows = result["rows"]
    parts = [f"*`{result['command']}`; {machine(dict(result))}; {result['date']}{_busy(result)}.*"]
    for name, made in result.get("measured_later", {}).items():
        parts.append(f"*Rows of `{name}`: `{made['command']}`, {made['date']}.*")
    for truth in dict.fromkeys(row["truth"] for row in rows):
        own = [row for row in rows if row["truth"] == truth and row["family"] != AFTER]
        clips = max(row["clips"] for row in own)
        parts.append(f"### {TITLES.get(truth, truth)}\n\n{clips} clips.\n\n{_table(own)}")
        if truth == KEYED and (each := _clip_by_clip(result)):
            parts.append(f"### Clip by clip\n\nMAD in thousandths, against the truth by chroma key.\n\n{each}")
    after = [row for row in rows if row["truth"] == KEYED and row["family"] == AFTER]
    if after:
        parts.append(f"### What may be done to alpha afterwards\n\n{_table(_beside(rows, after))}")
    told = [f"* {name}: {why}" for name, why in {**result["refusals"], **result["left_out"]}.items()]
    if told:
        parts.append("### Not measured\n\n" + "\n".join(told))
    return "\n\n".join(parts)


def _busy(result: Mapping[str, Any]) -> str:
    load = result.get("load_at_start")
    cores = result["host"]["cores"]
    if load is None or load < 0.5 * cores:
        return ""
    return f"; the machine was busy ({load:g} processes for {cores} cores), so milliseconds are too long"


def _beside(rows: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Each row whose alpha was also post-processed, and below it the rows with that processing."""
    found: list[Mapping[str, Any]] = []
    for name in dict.fromkeys(row["what"].partition(" + ")[0].partition(", no refiner")[0] for row in after):
        found += [row for row in rows if row["truth"] == KEYED and row["what"] == name]
        found += [row for row in after if row["what"].startswith((f"{name} + ", f"{name}, no refiner"))]
    return found


def _clip_by_clip(result: Mapping[str, Any]) -> str:
    """MAD of each keyed clip, with mean, median, worst and wins: RVM at 0.25, ``lite`` at its own ratio, MediaPipe's
    model for landscape. Empty if one of them was not measured."""
    names = [row["what"] for row in result["rows"] if row["truth"] == KEYED]
    chosen = [
        next((name for name in names if name.startswith(start) and name.endswith(end)), "")
        for start, end in (("openvino", "ratio 0.25"), ("lite", ""), ("MediaPipe", "landscape 256x144)"))
    ]
    if not all(chosen):
        return ""
    each = [{clip: value["mad"] for clip, value in result["each_clip"][f"{KEYED}: {name}"].items()} for name in chosen]
    lines = ["| clip | " + " | ".join(chosen) + " |", "|---|" + "---:|" * len(chosen)]
    lines += [
        f"| {clip.partition(' (')[0]} | " + " | ".join(f"{mads[clip]:.1f}" for mads in each) + " |"
        for clip in sorted(each[0])
    ]
    for word, figure in (("mean", fmean), ("median", median), ("worst", max)):
        lines.append(f"| **{word}** | " + " | ".join(f"{figure(mads.values()):.1f}" for mads in each) + " |")
    wins = [sum(mads[clip] < each[-1][clip] for clip in mads) for mads in each[:-1]]
    lines.append("| lower than MediaPipe's | " + " | ".join(f"{won} of {len(each[-1])}" for won in wins) + " | |")
    return "\n".join(lines)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| " + " | ".join(SHOWN) + " |", "|---|" + "---:|" * (len(SHOWN) - 1)]
    lines += ["| " + " | ".join(cell(row[column]) for column in SHOWN) + " |" for row in rows]
    return "\n".join(lines)


def scatter(path: Path, result: Mapping[str, Any]) -> None:
    """Speed against quality on the keyed truth: milliseconds on the x axis, MAD and dtSSD on the y axes, one colour per
    engine.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [row for row in result["rows"] if row["truth"] == KEYED and row["family"] != AFTER]
    figure = Figure(figsize=(9, 8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle("Speed and quality at 1280x720; down and left is better", fontsize=11, x=0.01, ha="left")
    series: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        series.setdefault(row["what"].partition(", ")[0].partition(" (")[0], []).append(row)
    for panel, column in zip(figure.subplots(2, 1, sharex=True), ("MAD e-3", "dtSSD e-2"), strict=True):
        for ink, (name, own) in zip(_INKS * 3, series.items(), strict=False):
            shown = sorted((row["median ms"], row[column], _short(row)) for row in own if row[column] is not None)
            line = "-" if all(", ratio " in row["what"] for row in own) else "none"
            times, values = [each[0] for each in shown], [each[1] for each in shown]
            panel.plot(times, values, linestyle=line, marker="o", markersize=4.5, linewidth=1, color=ink, label=name)
            for time, value, words in shown:
                at = {"fontsize": 7, "color": ink, "xytext": (4, 4), "textcoords": "offset points"}
                panel.annotate(words, (time, value), **at)
        panel.set_xscale("log")
        panel.set_ylabel(column.replace("e-3", "(thousandths)").replace("e-2", "(hundredths)"), fontsize=9)
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.25, which="both")
        panel.spines[["top", "right"]].set_visible(False)
    marks = [value for value in (2, 3, 5, 7, 10, 15, 20, 30, 50, 100) if _within(rows, "MAD e-3", value)]
    figure.axes[0].set_yscale("log")
    figure.axes[0].set_yticks(marks, [str(value) for value in marks])
    figure.axes[0].minorticks_off()
    figure.axes[1].set_ylim(bottom=0)
    panel.set_xlabel("milliseconds a frame (median)", fontsize=9)
    ticks = [value for value in (2, 5, 10, 20, 50, 100, 200, 500, 1000) if _within(rows, "median ms", value)]
    panel.set_xticks(ticks, [str(value) for value in ticks])
    figure.axes[0].legend(fontsize=8, frameon=False)
    figure.supxlabel(f"{machine(dict(result))}, {result['date']}", fontsize=7, color="#555555", x=0.01, ha="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def _short(row: Mapping[str, Any]) -> str:
    """What tells a row from the others of its series: its ratio or its model."""
    name: str = row["what"]
    words = name.partition("(")[2].rstrip(")") or name.partition(", ")[2]
    for long, short in (("ratio ", ""), ("moving down and up its rungs", "moving"), ("selfie segmentation, ", "")):
        words = words.replace(long, short)
    return words


def _within(rows: Sequence[Mapping[str, Any]], column: str, value: float) -> bool:
    """Whether a value lies among the others, or only just outside of them."""
    found = [row[column] for row in rows if row[column] is not None and row[column] > 0]
    return bool(found) and min(found) / 1.5 <= value <= 1.5 * max(found)
