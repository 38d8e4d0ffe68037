"""Plots and tables beside the results of commands; plots need matplotlib; files are always complete."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from rvm_live.core.errors import RvmLiveError, SinkError, UnavailableError
from rvm_live.system import atomic_write
from rvm_live.system.installed import adding

__all__ = ["figure", "save", "tidy_panel", "write_rows"]


def figure(width: float, height: float, title: str) -> Any:
    """An empty matplotlib figure that needs no screen.

    Args:
        width: inches, at 110 points each.
        height: likewise.
        title: at its top left.

    Raises:
        UnavailableError: matplotlib is not installed.
    """
    # It complains at length about a home that cannot be written.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnavailableError(f"no plot without matplotlib: {adding('bench')}") from error
    made = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(made)
    made.suptitle(_plain(title), fontsize=10, x=0.01, ha="left")
    return made


def _plain(title: str) -> str:
    """A title as it is: dollar signs do not start a formula, and characters without a glyph are left out."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in title)
    return text.replace("$", r"\$")


def tidy_panel(panel: Any, label: str) -> None:
    """The looks of a panel whose values begin at zero."""
    panel.set_ylim(bottom=0)
    panel.set_ylabel(label, fontsize=8)
    panel.grid(alpha=0.25)
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)


def save(made: Any, path: Path, failed: type[RvmLiveError] = SinkError) -> None:
    """Write a figure as a PNG, whole.

    Raises:
        RvmLiveError: it cannot be written, as ``failed``.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        made.savefig(part, format="png", metadata={"Software": None})
        atomic_write.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise failed(f"cannot write {path}: {error.strerror or error}") from error


def write_rows(kind: type[Any], rows: Sequence[Any], path: Path) -> None:
    """A table of dataclass instances as a CSV file, whole; None is an empty cell.

    Raises:
        SinkError: it cannot be written.
    """
    from rvm_live.system.atomic_write import write_whole

    names = [each.name for each in fields(kind)]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    for row in rows:
        values = [getattr(row, name) for name in names]
        writer.writerow(["" if v is None else round(v, 3) if isinstance(v, float) else v for v in values])
    write_whole(path, text.getvalue().encode())
