"""Facts about the machine, without importing torch if possible."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from rvm_live.system import gpu

__all__ = ["accelerator_wanted", "cpu_name", "cpu_words", "held_to"]

_PROCESSOR = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"


def accelerator_wanted(asked: str) -> bool:
    """Whether ``--device`` names a GPU of torch, or is ``auto`` and torch can use a GPU here.

    Args:
        asked: ``auto``, ``cpu``, ``mps``, ``cuda``, ``cuda:N``, or one of OpenVINO's.
    """
    if asked != "auto":
        return asked.startswith(("mps", "cuda"))
    if sys.platform != "darwin" and gpu.read() is None and "rocm" not in version("torch"):
        return False
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def held_to() -> str:
    """The newest instructions that oneDNN, and so OpenVINO and torch, may use, in its own words, such as AVX2; empty
    where nothing limits them. Source: oneDNN's CPU dispatcher control; its variable's older name holds, too."""
    named = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
    return "" if named.lower() in ("all", "default") else named.upper()


def cpu_words() -> str:
    """:func:`cpu_name`, and what it is held to."""
    held = held_to()
    return f"{cpu_name()}, held to {held}" if held else cpu_name()


def cpu_name() -> str:
    """The CPU's name, as its maker calls it if the system knows."""
    try:
        if sys.platform == "win32":
            import winreg

            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _PROCESSOR) as key:
                name = str(winreg.QueryValueEx(key, "ProcessorNameString")[0])
        elif sys.platform == "darwin":
            asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
            name = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=5).stdout
        else:
            lines = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
            name = next((value for key, _, value in lines if key.strip() == "model name"), "")
    except (OSError, subprocess.SubprocessError):
        name = ""
    return name.strip() or platform.processor() or platform.machine() or "CPU"
