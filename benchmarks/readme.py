"""README.md's block on speed, from the results that lie in ``benchmarks/results``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS, cell, machine, results

__all__ = ["README", "block", "replaced", "write"]

README = Path(__file__).parent.parent / "README.md"
BEGIN = "<!-- Between these marks: written by `python -m benchmarks readme`. -->"
END = "<!-- benchmarks: end -->"
SHOWN = {
    "compare": "Matting beside others, each frame to each in turn, in milliseconds a frame (median); "
    "the differences are those from the plain network's alpha:",
    "live": "The whole program:",
    "gpu": "The live path on a GPU, from the frame in host memory to the composite in host memory:",
}
LABELS = {"1280x720": "at 1280×720", "what": ""}  # noqa: RUF001 - the sign that README has everywhere


def block(folder: Path = RESULTS) -> str:
    """The Markdown between the marks: a table for each of the results that README shows, and one plot."""
    found = results(folder)
    parts: list[str] = []
    for name, words in SHOWN.items():
        if name in found:
            parts.append(f"{words}\n\n{_table(found[name])}\n\n{_made(found[name])}")
        if name in found and name == "compare" and (folder / "compare.png").exists():
            parts.append("![Milliseconds a frame](benchmarks/results/compare.png)")
    if "gpu" not in found:
        parts.append("Nothing has been measured on a GPU yet: `python -m benchmarks gpu` is ready for it.")
    return "\n\n".join(parts)


def _table(result: dict[str, Any]) -> str:
    columns = result["columns"]
    lines = [
        "| " + " | ".join(LABELS.get(column, column) for column in columns) + " |",
        "|" + "---|" + "---:|" * (len(columns) - 1),
    ]
    for row in result["rows"]:
        lines.append("| " + " | ".join(cell(row[column]).replace("|", "\\|") for column in columns) + " |")
    return "\n".join(lines)


def _made(result: dict[str, Any]) -> str:
    """Where a table comes from."""
    return f"*`{result['command']}`; {machine(result)}; {result['date']}.*"


def replaced(text: str, new: str) -> str:
    """README's text with another block between the marks.

    Raises:
        ValueError: it does not have both marks once.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"README.md must have {BEGIN} and {END} once each")
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n\n{new}\n\n{END}{tail}"


def write(folder: Path = RESULTS, readme: Path = README) -> None:
    """Bring README.md up to date with the results."""
    text = readme.read_text(encoding="utf-8")
    readme.write_text(replaced(text, block(folder)), encoding="utf-8")
