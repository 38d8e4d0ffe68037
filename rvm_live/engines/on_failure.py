"""What to try when an engine fails: one decision, for live video and for files."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from rvm_live.core.errors import NoMemoryError
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine
from rvm_live.engines.choice import EMBEDDED, embedded_settings

__all__ = ["Fallback", "on_failure"]


class Fallback(NamedTuple):
    """Settings to continue with, and the words to put after "continuing"."""

    settings: EngineSettings
    words: str


def on_failure(
    error: Exception,
    asked: EngineSettings,
    failed: Engine,
    size: tuple[int, int] | None,
    *,
    least_side: int,
    anew: EngineSettings | None = None,
    embedded: bool = False,
) -> list[Fallback]:
    """Decide what to try, best first; empty if nothing is left.

    Half the downsample ratio where memory ran out, else the same engine anew; the CPU instead of another device, at
    the ratio that was asked for; the embedded ``lite`` for what ``--engine auto`` took.

    Args:
        error: what failed.
        asked: what the user asked for.
        failed: the engine, perhaps not open.
        size: width and height of the frames, None while it is not known.
        least_side: the ratio is not halved where the longer side of the network's picture would be shorter.
        anew: settings of the same engine; None: it is not to be opened once more.
        embedded: ``lite`` may stand in.
    """
    here = failed.info
    found = []
    ratio = (here.downsample_ratio or failed.settings.downsample_ratio or 0.0) / 2
    if isinstance(error, NoMemoryError) and size is not None and max(size) * ratio >= least_side:
        found.append(Fallback(replace(failed.settings, downsample_ratio=ratio), f"at ratio {ratio:g}"))
    elif anew is not None:
        found.append(Fallback(anew, "with the same engine, opened again"))
    if here.device != "cpu":
        precision = "auto" if asked.precision == "fp16" else asked.precision
        found.append(Fallback(replace(asked, device="cpu", precision=precision), "on the CPU"))
    if embedded and asked.engine == "auto" and here.engine != EMBEDDED:
        found.append(Fallback(embedded_settings(asked), f"with the embedded engine {EMBEDDED}"))
    return found
