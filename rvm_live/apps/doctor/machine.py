"""Processor, memory, power and GPU; RVM's weights; the engine that a live run takes here."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import psutil  # type: ignore[import-untyped]

from rvm_live import weights
from rvm_live.apps.doctor.finding import Finding
from rvm_live.core.errors import RvmLiveError, words_of
from rvm_live.core.settings import MODELS, EngineSettings
from rvm_live.engines.choice import EMBEDDED
from rvm_live.engines.lite.engine import EMBEDDED as EMBEDDED_WEIGHTS
from rvm_live.engines.lite.learned import listed
from rvm_live.system import gpu, threads
from rvm_live.system.cpu_info import cpu_name
from rvm_live.system.installed import adding
from rvm_live.weights.files import file_bytes

__all__ = ["checkpoints", "engine", "graphics", "learned", "processor"]

_LEAST_CORES = 2
_BUSY = 0.7
"""Load of others for each core from which on matting has too little left."""


def processor() -> list[Finding]:
    """What does the work, and how much of it is free."""
    cores, memory = threads.usable_cores(), psutil.virtual_memory()
    found = [
        Finding(
            "machine",
            "processor",
            "good" if cores >= _LEAST_CORES else "note",
            f"{cpu_name()}, {cores} core{'s' * (cores != 1)} for this program, "
            f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free",
            "" if cores >= _LEAST_CORES else "one core alone is slow: try `--profile saver`",
        )
    ]
    load = psutil.getloadavg()[0]
    if load > _BUSY * cores:
        found.append(
            Finding(
                "machine",
                "load",
                "note",
                f"other programs keep it busy (load {load:.1f})",
                "close what you do not need",
            )
        )
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    if battery is not None and not battery.power_plugged:
        found.append(Finding("machine", "power", "note", f"on battery, {battery.percent:.0f} %", "`--profile saver`"))
    return found


def graphics() -> list[Finding]:
    """The GPU that matting can use."""
    import torch

    reading = gpu.read()
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name(0)
        return [Finding("machine", "GPU", "good", f"{name}, CUDA {torch.version.cuda or torch.version.hip}")]
    if torch.backends.mps.is_available():
        return [Finding("machine", "GPU", "good", "Apple's, through Metal (mps)")]
    if reading is not None:
        why = f"{reading.name} is installed, but torch {torch.__version__} cannot use it"
        return [Finding("machine", "GPU", "note", why, "install torch for CUDA: docs/install.md, NVIDIA cards")]
    return [Finding("machine", "GPU", "absent", f"the CPU does the work ({gpu.why_not()})")]


def checkpoints() -> list[Finding]:
    """RVM's weights, as runs find them."""
    found = []
    for status in weights.in_force():
        name = f"RVM {status.weights.model}"
        if status.problem:
            found.append(Finding("engine", name, "bad", status.problem, "`rvm-live weights verify` tells more"))
        elif status.path is not None and status.path.is_file():
            found.append(Finding("engine", name, "good", f"weights: {status.path}"))
        else:
            found.append(Finding("engine", name, "absent", f"weights: {status.state}"))
    return found


def learned() -> list[Finding]:
    """What ``lite`` has learnt of its user, camera by camera."""
    base = sha256(file_bytes(EMBEDDED_WEIGHTS)).hexdigest()
    found = []
    for each in listed():
        told = f"learnt with {each.camera} on {each.made}: error {each.before:.1f} before, {each.after:.1f} after"
        if each.base == base:
            found.append(Finding("engine", "lite (learned)", "good", told))
        else:
            found.append(
                Finding(
                    "engine",
                    "lite (learned)",
                    "note",
                    f"{told}; made by another version of lite, so it is not used",
                    "`rvm-live learn`",
                )
            )
    return found


def engine(settings: EngineSettings) -> list[Finding]:
    """Open the one that these settings choose; nothing is fetched."""
    from rvm_live.engines.select import AutoEngine

    chosen = AutoEngine(replace(settings, offline=True))
    try:
        info = chosen.open()
    except RvmLiveError as error:
        return [Finding("engine", settings.engine, "bad", str(error), "leave out --engine, or choose another one")]
    except Exception as error:  # a plug-in may raise anything; that is a finding, too
        return [Finding("engine", settings.engine, "bad", words_of(error), "leave out --engine, or choose another one")]
    finally:
        chosen.close()
    told = ", ".join(dict.fromkeys(filter(None, [info.model, info.precision, f"on {info.device}", info.device_name])))
    name = f"{info.engine} runs"
    notes = "; ".join((*info.notes, *info.remarks))
    if info.engine == EMBEDDED and settings.engine == "auto" and not settings.require_licence:
        better = f"for better edges: `rvm-live weights pull` ({weights.KNOWN[MODELS[0]].terms})"
        return [Finding("engine", name, "note", f"{told}; RVM's weights are not here", better)]
    if chosen.refusals.get("openvino") and info.device == "cpu":
        return [Finding("engine", name, "note", f"{told}; {notes}", f"faster on CPUs:  {adding('openvino')}")]
    return [Finding("engine", name, "note" if info.notes else "good", f"{told}; {notes}" if notes else told)]
