"""Writes the tables of docs/performance.md from the results in ``benchmarks/results``."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS, cell, machine, results

__all__ = ["PAGE", "block", "replaced", "write"]

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN = "<!-- Between these marks: written by `python -m benchmarks performance`. -->"
END = "<!-- benchmarks: end -->"
SHOWN = {
    "quality": "How good alpha is, and how long it takes: people filmed before a plain screen and placed before other "
    "backgrounds; MAD in thousandths of full alpha, dtSSD (flicker) in hundredths, lower is better. All rows, the "
    "method and the conclusions: [quality.md](quality.md).",
    "compare": "Matting compared with others: every frame of a real clip is given to each in turn; milliseconds per "
    "frame (medians). The last column is the difference from the plain network's alpha, in thousandths.",
    "live": "The whole program on its demo at 60 frames a second, at a ratio it chose itself; and with the embedded "
    "engine at 66:",
    "gpu": "The live path on a GPU, from the frame in host memory to the composite in host memory:",
}
HELD = {
    "compare": "**The same processor held to AVX2**, as most laptops have it: without AVX-512 and bfloat16. Matting "
    "compared with others:",
    "live": "And the whole program, held to AVX2:",
}
"""What is shown of the results in the folder ``avx2``."""
LABELS = {
    "1280x720": "at 1280×720",  # noqa: RUF001 - the sign that the pages have everywhere
    "alpha MAD e-3": "alpha differs by",
    "times ours": "speed, rvm-live = 1",
    "times plain": "speed, plain = 1",
    "total p50 / p95 / p99 ms": "capture to display p50 / p95 / p99 ms",
    "what": "",
}
LEFT_OUT = ("dtSSD e-2", "targets met", "MB warm / end", "MB per 1000 frames")
"""Columns for those who want to know everything: they are in the JSON file and on the screen."""


def block(folder: Path = RESULTS) -> str:
    """The Markdown between the marks: a table for each result that the page shows, and one plot."""
    found = results(folder)
    parts: list[str] = []
    for name, words in SHOWN.items():
        if name in found:
            parts.append(f"{textwrap.fill(words, 120)}\n\n{_table(found[name])}\n\n{_made(found[name])}")
        if name in found and name == "compare" and (folder / "compare.png").exists():
            parts.append("![Milliseconds a frame](../benchmarks/results/compare.png)")
    held = results(folder / "avx2")
    for name, words in HELD.items():
        if name in held:
            parts.append(f"{textwrap.fill(words, 120)}\n\n{_table(held[name])}\n\n{_made(held[name])}")
    if "gpu" not in found:
        parts.append("Nothing has been measured on a GPU yet: `python -m benchmarks gpu` is ready for it.")
    return "\n\n".join(parts)


def _headline(result: dict[str, Any]) -> dict[str, Any]:
    """From the quality table, only the rows that the program itself would run, and MediaPipe."""
    best = "bf16" if any(row["what"].startswith("openvino bf16") for row in result["rows"]) else "fp32"
    wanted = {
        next(row["what"] for row in result["rows"] if row["what"].startswith(f"lite {best}")),
        *(f"openvino {best}, ratio {ratio}" for ratio in (0.2, 0.25, 0.4)),
        "MediaPipe",
    }
    rows = [row for row in result["rows"] if row["truth"] == "keyed" and _plainly(row["what"]) in wanted]
    return {**result, "columns": ["what", "MAD e-3", "dtSSD e-2", "median ms"], "rows": rows}


def _plainly(name: str) -> str:
    return "MediaPipe" if name.startswith("MediaPipe") else name


def _table(result: dict[str, Any]) -> str:
    columns = [column for column in result["columns"] if column not in LEFT_OUT]
    if result["benchmark"] == "quality":
        result = _headline(result)
        columns = result["columns"]
    lines = [
        "| " + " | ".join(LABELS.get(column, column) for column in columns) + " |",
        "|" + "---|" + "---:|" * (len(columns) - 1),
    ]
    for row in result["rows"]:
        lines.append("| " + " | ".join(_cell(column, row[column]) for column in columns) + " |")
    return "\n".join(lines)


def _cell(column: str, value: Any) -> str:
    if column.startswith("times ") and isinstance(value, float):
        return f"{value:.2g}"
    if column == "alpha MAD e-3" and isinstance(value, float):
        return f"{value:.2f}"
    return cell(value).replace("|", "\\|")


def _made(result: dict[str, Any]) -> str:
    """The line that says how a table was measured."""
    return f"*`{result['command']}`; {machine(result)}; {result['date']}.*"


def replaced(text: str, new: str, *, begin: str = BEGIN, end: str = END) -> str:
    """A page's text with the block between the marks replaced.

    Raises:
        ValueError: the text does not hold each mark exactly once.
    """
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the page must have {begin} and {end} once each")
    head, rest = text.split(begin)
    _, tail = rest.split(end)
    return f"{head}{begin}\n\n{new}\n\n{end}{tail}"


def write(folder: Path = RESULTS, page: Path = PAGE) -> None:
    """Bring the page up to date with the results."""
    text = page.read_text(encoding="utf-8")
    page.write_text(replaced(text, block(folder)), encoding="utf-8")
