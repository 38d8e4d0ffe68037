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

_NAMES = {
    "apps.calls": "cut_out read_picture stream",
    "apps.convert": "Conversion Progress convert",
    "backgrounds.base": "Background Blur Clear Layer Plate",
    "backgrounds.parse": "parse_background",
    "compositing.base": "Compositor",
    "compositing.composer": "Composer",
    "compositing.output": "Output",
    "core.controls": "Control Controls",
    "core.errors": "BackgroundError CompositorError DisplayError EndOfSource EngineError KeptError MatteError "
    "NoMemoryError NoNetworkError RvmLiveError SettingsError SinkError SourceError SourceLostError "
    "SourceUnavailableError UnavailableError WeightsError",
    "core.frames": "Composite Frame HostMatte Matte Stamps",
    "core.framing": "Framing",
    "core.look": "Look",
    "core.notices": "Notices",
    "core.queues": "Overflow",
    "core.settings": "DeviceName EngineName EngineOptions EngineSettings Foreground LiveSettings Model Precision "
    "SourceSettings",
    "engines.base": "Engine EngineInfo Rung States",
    "engines.select": "AutoEngine",
    "engines.session": "EngineSession open_engine",
    "pipeline.metrics": "Snapshot",
    "pipeline.pipeline": "Pipeline",
    "sinks.base": "PictureSink Shot Sink",
    "sources.base": "Grab Source SourceInfo",
    "sources.factory": "open_source",
}
"""Of each module those that are named here."""
_HOMES = {name: f"rvm_live.{module}" for module, names in _NAMES.items() for name in names.split()}
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
