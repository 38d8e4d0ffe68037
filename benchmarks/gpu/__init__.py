"""``python -m benchmarks gpu``, and the lower bound (floor) that its times are compared with."""

from __future__ import annotations

from benchmarks.gpu.benchmark import run

__all__ = ["run"]
