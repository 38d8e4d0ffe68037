"""Draws the training log: ``python -m training.curve [--log training/log.jsonl] [--output training/curve.png]``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

__all__ = ["LOG", "draw", "main", "parts"]

HERE = Path(__file__).parent
LOG = HERE / "log.jsonl"
"""Of the run that made the weights in the package."""
_INKS = {"composed": "#2f6db3", "plain": "#d9a441"}


def parts(log: Path) -> list[list[dict[str, Any]]]:
    """The runs in a log, in order; each begins with its options."""
    found: list[list[dict[str, Any]]] = []
    for text in log.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        if line.get("event") == "start" or not found:
            found.append([])
        found[-1].append(line)
    return found


def draw(log: Path, output: Path) -> None:
    """Draw errors on the development set over samples seen, one line for each run.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    for number, part in enumerate(parts(log)):
        start = part[0]
        panel.axvline(start["frames"] / 1000, color="#dddddd", linewidth=1, zorder=0)
        panel.annotate(
            f"{start.get('minutes', '')} min" if number == 0 else "on",
            (start["frames"] / 1000, 0.98 - 0.05 * (number % 3)),
            xycoords=("data", "axes fraction"),
            fontsize=6,
            color="#666666",
            va="top",
        )
        for name, ink in _INKS.items():
            points = [(line["frames"] / 1000, line[f"{name}_mad"]) for line in part if f"{name}_mad" in line]
            label = f"{name}: MAD, thousandths" if number == 0 else None
            panel.plot(*zip(*points, strict=True), "o-", color=ink, markersize=3, linewidth=1, label=label)
    panel.set_xlabel("thousand frames seen", fontsize=9)
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.25)
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=8, frameon=False)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, metadata={"Software": None})


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, default=LOG)
    parser.add_argument("--output", type=Path, default=HERE / "curve.png")
    chosen = parser.parse_args(arguments)
    draw(chosen.log, chosen.output)


if __name__ == "__main__":
    main()
