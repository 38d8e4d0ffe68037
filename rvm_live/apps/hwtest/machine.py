"""Facts about the computer, and which back ends work on it."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rvm_live.apps.hwtest.report import Availability, Machine, OpenCvFacts, TorchFacts
from rvm_live.core.errors import RvmLiveError
from rvm_live.core.registry import COMPOSITORS, ENGINES
from rvm_live.core.settings import EngineSettings
from rvm_live.system import gpu, threads

__all__ = ["inspect_machine"]


def inspect_machine(settings: EngineSettings, tell: Callable[[str], None] = lambda _: None) -> Machine:
    """Look at everything but the cameras.

    Args:
        settings: weights and device with which the engines are tried; nothing is downloaded.
        tell: is told what is being done.

    Raises:
        UnavailableError: the device that was asked for is not there.
    """
    tell("looking at this machine")
    torch_facts, device = _torch(settings.device)
    card = gpu.card(settings.device)
    card = 0 if card is None else card  # told of also where it is not used
    reading = gpu.read(card)
    total, free = _memory()
    usable = threads.usable_cores()
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        cpu=_cpu_name(),
        cores=max(threads.all_cores(), usable),
        usable_cores=usable,
        memory_bytes=total,
        memory_free_bytes=free,
        gpu=reading,
        gpu_reason=None if reading is not None else gpu.why_not(card),
        torch=torch_facts,
        opencv=_opencv(),
        compositors=tuple(_try(name, partial(_compositor, name, device)) for name in COMPOSITORS.names()),
        engines=tuple(_try(name, partial(_engine, name, settings)) for name in ENGINES.names()),
    )


def _try(name: str, attempt: Callable[[], str]) -> Availability:
    try:
        return Availability(name, True, attempt())
    except RvmLiveError as error:
        return Availability(name, False, " ".join(str(error).split()))
    except Exception as error:  # a plug-in may raise anything, and one that fails is a finding
        return Availability(name, False, f"{type(error).__name__}: {' '.join(str(error).split())}")


def _compositor(name: str, device: str) -> str:
    compositor = COMPOSITORS.load(name)(device)
    try:
        compositor.open()
    finally:
        compositor.close()
    return f"on {device}" if name == "torch" else ""


def _engine(name: str, settings: EngineSettings) -> str:
    from rvm_live.engines.select import AutoEngine

    engine = AutoEngine(replace(settings, engine=name, offline=True))
    try:
        info = engine.open()
    finally:
        engine.close()
    return f"{info.model}, {info.precision} on {info.device}"


def _torch(asked: str) -> tuple[TorchFacts, str]:
    import torch

    from rvm_live.engines.common.device import choose_device

    devices = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    facts = TorchFacts(str(torch.__version__), torch.version.cuda, (*devices, "cpu"), torch.get_num_threads())
    return facts, str(choose_device(asked))


def _opencv() -> OpenCvFacts:
    import cv2

    build = cv2.getBuildInformation()
    cuda = any("CUDA" in line and "YES" in line for line in build.splitlines())
    gui = next((line.partition(":")[2].strip() for line in build.splitlines() if line.strip().startswith("GUI:")), "")
    registry = cv2.videoio_registry
    backends = tuple(str(registry.getBackendName(backend)) for backend in registry.getCameraBackends())
    return OpenCvFacts(str(cv2.__version__), cuda, "" if gui == "NONE" else gui, backends)


def _cpu_name() -> str:
    try:
        if sys.platform == "win32":
            import winreg

            with winreg.OpenKey(
                winreg.HKEY_LOCAL_MACHINE, r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
            ) as processor:
                return str(winreg.QueryValueEx(processor, "ProcessorNameString")[0]).strip()
        if sys.platform == "darwin":
            asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return platform.processor() or platform.machine() or "unknown"


def _memory() -> tuple[int | None, int | None]:
    """Main memory in bytes: all, and what programs can still have; None where that is not known."""
    if sys.platform == "win32":
        return _windows_memory()
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None, None
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return total, int(line.split()[1]) * 1024
    except OSError:
        pass
    return total, None


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("free", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 5),
    )


def _windows_memory() -> tuple[int | None, int | None]:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    windows: Any = getattr(ctypes, "windll", None)
    if windows is None or not windows.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None, None
    return int(status.total), int(status.free)
