"""``python -m benchmarks quality``: its clips, subjects, metrics and page."""

from __future__ import annotations

from benchmarks.quality.benchmark import run

__all__ = ["run"]
