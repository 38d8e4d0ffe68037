"""``python -m benchmarks quality``: its clips, its subjects, its metrics and its page."""

from __future__ import annotations

from benchmarks.quality.benchmark import run

__all__ = ["run"]
