"""Facts about the computer, and which back ends work on it."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from rvm_live.apps.hwtest.report import Availability, Machine, OpenCvFacts, TorchFacts
from rvm_live.core.errors import words_of
from rvm_live.core.registry import COMPOSITORS, ENGINES
from rvm_live.core.settings import EngineSettings
from rvm_live.system import gpu, threads
from rvm_live.system.cpu_info import cpu_name

__all__ = ["inspect_machine", "try_engines"]


def inspect_machine(settings: EngineSettings, tell: Callable[[str], None] = lambda _: None) -> Machine:
    """Look at everything but the cameras.

    Args:
        settings: weights and device with which the engines are tried; nothing is downloaded.
        tell: is told what is being done.

    Raises:
        UnavailableError: the device that was asked for is not there.
    """
    import psutil  # type: ignore[import-untyped]

    tell("looking at this machine")
    torch_facts, device = _torch(settings.device)
    card = gpu.card(settings.device)
    card = 0 if card is None else card  # the first GPU is reported even if it is not used
    reading = gpu.read(card)
    memory = psutil.virtual_memory()
    usable = threads.usable_cores()
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        cpu=cpu_name(),
        cores=max(threads.all_cores(), usable),
        usable_cores=usable,
        memory_bytes=memory.total,
        memory_free_bytes=memory.available,
        gpu=reading,
        gpu_reason=None if reading is not None else gpu.why_not(card),
        torch=torch_facts,
        opencv=_opencv(),
        compositors=tuple(_try(name, partial(_compositor, name, device)) for name in COMPOSITORS.names()),
        engines=try_engines(settings),
    )


def try_engines(settings: EngineSettings) -> tuple[Availability, ...]:
    """Open every engine once, one after the other; nothing is downloaded."""
    return tuple(_try(name, partial(_engine, name, settings)) for name in ENGINES.names())


def _try(name: str, attempt: Callable[[], str]) -> Availability:
    try:
        return Availability(name, True, attempt())
    except Exception as error:  # a plug-in may raise anything, and one that fails is a finding
        return Availability(name, False, words_of(error))


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
    return ", ".join(filter(None, [info.model, f"{info.precision} on {info.device}"]))


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
