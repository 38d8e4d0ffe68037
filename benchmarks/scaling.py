"""``python -m benchmarks scaling``: writes the tables of docs/scaling.md and docs/batch.md from measured results."""

from __future__ import annotations

from pathlib import Path

from benchmarks.performance import replaced
from benchmarks.report import RESULTS, cell, machine, results
from rvm_live.apps.batch.settings import PRESETS

__all__ = ["DOCS", "HOURS", "PRICES", "block", "machine_hours", "overlap", "presets", "write"]

DOCS = Path(__file__).parent.parent / "docs"
BEGIN = "<!-- Between these marks: written by `python -m benchmarks scaling`. -->"
TABLE = "|---|---|---|---|--:|"
AFTER = "Frames a second from file to file"
HOURS = 1000
VIDEO_FPS = 30
PRICES = (0.05, 0.10, 0.50)
"""Of an hour of such a machine, in whatever money: an assumption, to be replaced by one's own."""


def machine_hours(fps: float, hours: float = HOURS, video_fps: float = VIDEO_FPS) -> float:
    """Machine hours for ``hours`` of video: ``hours * video_fps / fps``."""
    return hours * video_fps / fps


def block(folder: Path = RESULTS) -> str:
    """The Markdown between the marks."""
    result = results(folder)["presets"]
    lines = [
        f"Measured on {machine(result)}, {result['size']}, H.264 to H.264, by `{result['command']}`:",
        "",
        "| preset | frames a second | machine hours | "
        + " | ".join(f"at {price:.2f} an hour" for price in PRICES)
        + " | machines for a week |",
        "|---|--:|--:|" + "--:|" * len(PRICES) + "--:|",
    ]
    for row in result["rows"]:
        taken = machine_hours(row["fps"])
        costs = " | ".join(f"{taken * price:,.0f}" for price in PRICES)
        lines.append(f"| `{row['preset']}` | {cell(row['fps'])} | {taken:,.0f} | {costs} | {_machines(taken)} |")
    return "\n".join(lines)


def _machines(taken: float) -> int:
    return max(1, -(-round(taken) // (7 * 24)))


def presets(folder: Path = RESULTS) -> str:
    """The rows of the table of presets in docs/batch.md."""
    rates = {row["preset"]: row["fps"] for row in results(folder)["presets"]["rows"]}
    names = {"mobilenetv3": "MobileNetV3", "resnet50": "ResNet50"}
    rows = [
        (
            f"`{name}`",
            names[each.model],
            f"{each.side} pixels" if each.side else "the clip's own",
            f"`{each.prefix}`",
            cell(rates[name]),
        )
        for name, each in PRESETS.items()
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def overlap(folder: Path = RESULTS) -> str:
    """The table of ``python -m benchmarks batch`` for docs/batch.md."""
    result = results(folder)["batch"]
    lines = ["| " + " | ".join(result["columns"]) + " |", "|---|" + "--:|" * (len(result["columns"]) - 1)]
    lines += ["| " + " | ".join(cell(row[column]) for column in result["columns"]) + " |" for row in result["rows"]]
    return "\n".join([*lines, "", f"*`{result['command']}`; {machine(result)}; {result['date']}.*"])


def write(folder: Path = RESULTS, docs: Path = DOCS) -> None:
    """Bring the tables of the pages up to date."""
    for page, begin, end, made in (
        ("scaling.md", BEGIN, "<!-- scaling: end -->", block(folder)),
        ("batch.md", "<!-- batch: begin -->", "<!-- batch: end -->", overlap(folder)),
    ):
        path = docs / page
        path.write_text(replaced(path.read_text(encoding="utf-8"), made, begin=begin, end=end), encoding="utf-8")
    path = docs / "batch.md"
    head, rest = path.read_text(encoding="utf-8").split(TABLE)
    path.write_text(f"{head}{TABLE}\n{presets(folder)}\n\n{rest[rest.index(AFTER) :]}", encoding="utf-8")
