"""``python -m benchmarks gpu``, and the floor that its times are compared to."""

from __future__ import annotations

from benchmarks.gpu.benchmark import run

__all__ = ["run"]
