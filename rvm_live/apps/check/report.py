"""The report of a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rvm_live.apps.check.advice import Advice
from rvm_live.apps.check.figures import FIGURES
from rvm_live.apps.check.judging import Judged, Summary
from rvm_live.core.arrays import Bytes
from rvm_live.engines.base import EngineInfo
from rvm_live.sources.base import SourceInfo

__all__ = ["Report", "Worst"]


@dataclass(frozen=True, repr=False)
class Worst:
    """A frame that looks worst, small.

    Attributes:
        judged: its figures.
        image: uint8 (h, w, 3) BGR.
        alpha: uint8 (h, w).
        why: name of the figure that says so most.
    """

    judged: Judged
    image: Bytes
    alpha: Bytes
    why: str


@dataclass(frozen=True, repr=False)
class Report:
    """What was found.

    Attributes:
        source: what was looked at.
        engine: what made the mattes.
        other_ratio: of the other reading; None where there was none.
        windows: how many stretches were judged.
        frames: those that were, in order.
        summary: name of a figure -> what it was.
        worst: the frames that look worst, worst first.
        advice: the setting that helps.
        notes: what ran otherwise than asked.
    """

    source: SourceInfo
    engine: EngineInfo
    other_ratio: float | None
    windows: int
    frames: tuple[Judged, ...]
    summary: dict[str, Summary]
    worst: tuple[Worst, ...]
    advice: Advice
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        info = self.engine
        return {
            "source": self.source.label,
            "width": self.source.width,
            "height": self.source.height,
            "engine": {
                "name": info.engine,
                "model": info.model,
                "device": info.device,
                "precision": info.precision,
                "downsample_ratio": info.downsample_ratio,
            },
            "other_ratio": self.other_ratio,
            "windows": self.windows,
            "figures": {
                each.name: {"unit": each.unit, **vars(self.summary[each.name])}
                for each in FIGURES
                if each.name in self.summary
            },
            "frames": [{"number": each.number, "seconds": each.seconds, **each.figures} for each in self.frames],
            "worst": [{"number": each.judged.number, "why": each.why} for each in self.worst],
            "advice": self.advice.to_dict(),
            "notes": list(self.notes),
        }
