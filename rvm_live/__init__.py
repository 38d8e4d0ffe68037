"""rvm-live: real-time webcam matting with RobustVideoMatting.

Importing this package loads nothing heavy: no click, no OpenCV, no torch. The names below are resolved on
first use (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "AutoEngine",
    "Background",
    "BackgroundError",
    "Blur",
    "Clear",
    "Composer",
    "Composite",
    "Compositor",
    "CompositorError",
    "Control",
    "Controls",
    "Conversion",
    "DeviceName",
    "DisplayError",
    "EndOfSource",
    "Engine",
    "EngineError",
    "EngineInfo",
    "EngineName",
    "EngineOptions",
    "EngineSession",
    "EngineSettings",
    "Foreground",
    "Frame",
    "Grab",
    "HostMatte",
    "KeptError",
    "LiveSettings",
    "Matte",
    "MatteError",
    "Model",
    "NoMemoryError",
    "NoNetworkError",
    "Notices",
    "Overflow",
    "Pipeline",
    "Plate",
    "Precision",
    "Progress",
    "Rung",
    "RvmLiveError",
    "SettingsError",
    "Sink",
    "SinkError",
    "Snapshot",
    "Source",
    "SourceError",
    "SourceInfo",
    "SourceLostError",
    "SourceSettings",
    "SourceUnavailableError",
    "Stamps",
    "States",
    "UnavailableError",
    "WeightsError",
    "__version__",
    "convert",
    "cut_out",
    "open_engine",
    "open_source",
    "parse_background",
    "read_picture",
    "stream",
]

_HOMES = {
    "AutoEngine": "rvm_live.engines.auto",
    "Background": "rvm_live.backgrounds.base",
    "BackgroundError": "rvm_live.errors",
    "Blur": "rvm_live.backgrounds.base",
    "Clear": "rvm_live.backgrounds.base",
    "Composer": "rvm_live.composer",
    "Composite": "rvm_live.frames",
    "Compositor": "rvm_live.compositors.base",
    "CompositorError": "rvm_live.errors",
    "Control": "rvm_live.controls",
    "Controls": "rvm_live.controls",
    "Conversion": "rvm_live.conversion",
    "DeviceName": "rvm_live.settings",
    "DisplayError": "rvm_live.errors",
    "EndOfSource": "rvm_live.errors",
    "Engine": "rvm_live.engines.base",
    "EngineError": "rvm_live.errors",
    "EngineInfo": "rvm_live.engines.base",
    "EngineName": "rvm_live.settings",
    "EngineOptions": "rvm_live.settings",
    "EngineSession": "rvm_live.engines.session",
    "EngineSettings": "rvm_live.settings",
    "Foreground": "rvm_live.settings",
    "Frame": "rvm_live.frames",
    "Grab": "rvm_live.sources.base",
    "HostMatte": "rvm_live.frames",
    "KeptError": "rvm_live.errors",
    "LiveSettings": "rvm_live.settings",
    "Matte": "rvm_live.frames",
    "MatteError": "rvm_live.errors",
    "Model": "rvm_live.settings",
    "NoMemoryError": "rvm_live.errors",
    "NoNetworkError": "rvm_live.errors",
    "Notices": "rvm_live.notices",
    "Overflow": "rvm_live.queues",
    "Pipeline": "rvm_live.pipeline",
    "Plate": "rvm_live.backgrounds.base",
    "Precision": "rvm_live.settings",
    "Progress": "rvm_live.conversion",
    "Rung": "rvm_live.engines.base",
    "RvmLiveError": "rvm_live.errors",
    "SettingsError": "rvm_live.errors",
    "Sink": "rvm_live.sinks.base",
    "SinkError": "rvm_live.errors",
    "Snapshot": "rvm_live.metrics",
    "Source": "rvm_live.sources.base",
    "SourceError": "rvm_live.errors",
    "SourceInfo": "rvm_live.sources.base",
    "SourceLostError": "rvm_live.errors",
    "SourceSettings": "rvm_live.settings",
    "SourceUnavailableError": "rvm_live.errors",
    "Stamps": "rvm_live.frames",
    "States": "rvm_live.engines.base",
    "UnavailableError": "rvm_live.errors",
    "WeightsError": "rvm_live.errors",
    "convert": "rvm_live.conversion",
    "cut_out": "rvm_live.calls",
    "open_engine": "rvm_live.engines.session",
    "open_source": "rvm_live.sources.factory",
    "parse_background": "rvm_live.backgrounds.parse",
    "read_picture": "rvm_live.calls",
    "stream": "rvm_live.calls",
}
_OTHER_NAMES = {"parse_background": "parse"}

if TYPE_CHECKING:
    from rvm_live.backgrounds.base import Background, Blur, Clear, Plate
    from rvm_live.backgrounds.parse import parse as parse_background
    from rvm_live.calls import cut_out, read_picture, stream
    from rvm_live.composer import Composer
    from rvm_live.compositors.base import Compositor
    from rvm_live.controls import Control, Controls
    from rvm_live.conversion import Conversion, Progress, convert
    from rvm_live.engines.auto import AutoEngine
    from rvm_live.engines.base import Engine, EngineInfo, Rung, States
    from rvm_live.engines.session import EngineSession, open_engine
    from rvm_live.errors import (
        BackgroundError,
        CompositorError,
        DisplayError,
        EndOfSource,
        EngineError,
        KeptError,
        MatteError,
        NoMemoryError,
        NoNetworkError,
        RvmLiveError,
        SettingsError,
        SinkError,
        SourceError,
        SourceLostError,
        SourceUnavailableError,
        UnavailableError,
        WeightsError,
    )
    from rvm_live.frames import Composite, Frame, HostMatte, Matte, Stamps
    from rvm_live.metrics import Snapshot
    from rvm_live.notices import Notices
    from rvm_live.pipeline import Pipeline
    from rvm_live.queues import Overflow
    from rvm_live.settings import (
        DeviceName,
        EngineName,
        EngineOptions,
        EngineSettings,
        Foreground,
        LiveSettings,
        Model,
        Precision,
        SourceSettings,
    )
    from rvm_live.sinks.base import Sink
    from rvm_live.sources.base import Grab, Source, SourceInfo
    from rvm_live.sources.factory import open_source


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), _OTHER_NAMES.get(name, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
