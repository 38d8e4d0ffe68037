"""What the machine has, told without importing torch where that can be helped."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from pathlib import Path

from rvm_live.system import gpu

__all__ = ["accelerator_wanted", "cpu_name"]


def accelerator_wanted(asked: str) -> bool:
    """Whether ``--device`` names a GPU, or leaves the choice and torch can use one here.

    Args:
        asked: ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.
    """
    if asked != "auto":
        return asked != "cpu"
    if sys.platform != "darwin" and gpu.read() is None and "rocm" not in version("torch"):
        return False
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def cpu_name() -> str:
    """The processor in words."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "CPU"
