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
    "Framing",
    "Grab",
    "HostMatte",
    "KeptError",
    "Layer",
    "LiveSettings",
    "Look",
    "Matte",
    "MatteError",
    "Model",
    "NoMemoryError",
    "NoNetworkError",
    "Notices",
    "Output",
    "Overflow",
    "PictureSink",
    "Pipeline",
    "Plate",
    "Precision",
    "Progress",
    "Rung",
    "RvmLiveError",
    "SettingsError",
    "Shot",
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
    "AutoEngine": "rvm_live.engines.select",
    "Background": "rvm_live.backgrounds.base",
    "BackgroundError": "rvm_live.core.errors",
    "Blur": "rvm_live.backgrounds.base",
    "Clear": "rvm_live.backgrounds.base",
    "Composer": "rvm_live.compositing.composer",
    "Composite": "rvm_live.core.frames",
    "Compositor": "rvm_live.compositing.base",
    "CompositorError": "rvm_live.core.errors",
    "Control": "rvm_live.core.controls",
    "Controls": "rvm_live.core.controls",
    "Conversion": "rvm_live.apps.convert",
    "DeviceName": "rvm_live.core.settings",
    "DisplayError": "rvm_live.core.errors",
    "EndOfSource": "rvm_live.core.errors",
    "Engine": "rvm_live.engines.base",
    "EngineError": "rvm_live.core.errors",
    "EngineInfo": "rvm_live.engines.base",
    "EngineName": "rvm_live.core.settings",
    "EngineOptions": "rvm_live.core.settings",
    "EngineSession": "rvm_live.engines.session",
    "EngineSettings": "rvm_live.core.settings",
    "Foreground": "rvm_live.core.settings",
    "Frame": "rvm_live.core.frames",
    "Framing": "rvm_live.core.framing",
    "Grab": "rvm_live.sources.base",
    "HostMatte": "rvm_live.core.frames",
    "KeptError": "rvm_live.core.errors",
    "Layer": "rvm_live.backgrounds.base",
    "LiveSettings": "rvm_live.core.settings",
    "Look": "rvm_live.core.look",
    "Matte": "rvm_live.core.frames",
    "MatteError": "rvm_live.core.errors",
    "Model": "rvm_live.core.settings",
    "NoMemoryError": "rvm_live.core.errors",
    "NoNetworkError": "rvm_live.core.errors",
    "Notices": "rvm_live.core.notices",
    "Output": "rvm_live.compositing.output",
    "Overflow": "rvm_live.core.queues",
    "PictureSink": "rvm_live.sinks.base",
    "Pipeline": "rvm_live.pipeline.pipeline",
    "Plate": "rvm_live.backgrounds.base",
    "Precision": "rvm_live.core.settings",
    "Progress": "rvm_live.apps.convert",
    "Rung": "rvm_live.engines.base",
    "RvmLiveError": "rvm_live.core.errors",
    "SettingsError": "rvm_live.core.errors",
    "Shot": "rvm_live.sinks.base",
    "Sink": "rvm_live.sinks.base",
    "SinkError": "rvm_live.core.errors",
    "Snapshot": "rvm_live.pipeline.metrics",
    "Source": "rvm_live.sources.base",
    "SourceError": "rvm_live.core.errors",
    "SourceInfo": "rvm_live.sources.base",
    "SourceLostError": "rvm_live.core.errors",
    "SourceSettings": "rvm_live.core.settings",
    "SourceUnavailableError": "rvm_live.core.errors",
    "Stamps": "rvm_live.core.frames",
    "States": "rvm_live.engines.base",
    "UnavailableError": "rvm_live.core.errors",
    "WeightsError": "rvm_live.core.errors",
    "convert": "rvm_live.apps.convert",
    "cut_out": "rvm_live.apps.calls",
    "open_engine": "rvm_live.engines.session",
    "open_source": "rvm_live.sources.factory",
    "parse_background": "rvm_live.backgrounds.parse",
    "read_picture": "rvm_live.apps.calls",
    "stream": "rvm_live.apps.calls",
}
_OTHER_NAMES = {"parse_background": "parse"}

if TYPE_CHECKING:
    from rvm_live.apps.calls import cut_out, read_picture, stream
    from rvm_live.apps.convert import Conversion, Progress, convert
    from rvm_live.backgrounds.base import Background, Blur, Clear, Layer, Plate
    from rvm_live.backgrounds.parse import parse as parse_background
    from rvm_live.compositing.base import Compositor
    from rvm_live.compositing.composer import Composer
    from rvm_live.core.controls import Control, Controls
    from rvm_live.core.errors import (
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
    from rvm_live.core.frames import Composite, Frame, HostMatte, Matte, Stamps
    from rvm_live.core.framing import Framing
    from rvm_live.core.look import Look
    from rvm_live.core.notices import Notices
    from rvm_live.core.queues import Overflow
    from rvm_live.core.settings import (
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
    from rvm_live.engines.base import Engine, EngineInfo, Rung, States
    from rvm_live.engines.select import AutoEngine
    from rvm_live.engines.session import EngineSession, open_engine
    from rvm_live.pipeline.metrics import Snapshot
    from rvm_live.pipeline.pipeline import Pipeline
    from rvm_live.sinks.base import PictureSink, Shot, Sink
    from rvm_live.sources.base import Grab, Source, SourceInfo
    from rvm_live.sources.factory import open_source


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), _OTHER_NAMES.get(name, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
