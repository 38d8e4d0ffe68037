"""rvm-live: real-time webcam matting with RobustVideoMatting.

Importing this package loads nothing heavy: no click, no OpenCV, no torch. The names below are resolved on
first use (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "Composite",
    "Engine",
    "Frame",
    "Matte",
    "Notices",
    "Pipeline",
    "RvmLiveError",
    "Sink",
    "Source",
    "__version__",
    "open_engine",
]

_HOMES = {
    "Composite": "rvm_live.frames",
    "Engine": "rvm_live.engines.base",
    "Frame": "rvm_live.frames",
    "Matte": "rvm_live.frames",
    "Notices": "rvm_live.notices",
    "Pipeline": "rvm_live.pipeline",
    "RvmLiveError": "rvm_live.errors",
    "Sink": "rvm_live.sinks.base",
    "Source": "rvm_live.sources.base",
    "open_engine": "rvm_live.engines.session",
}

if TYPE_CHECKING:
    from rvm_live.engines.base import Engine
    from rvm_live.engines.session import open_engine
    from rvm_live.errors import RvmLiveError
    from rvm_live.frames import Composite, Frame, Matte
    from rvm_live.notices import Notices
    from rvm_live.pipeline import Pipeline
    from rvm_live.sinks.base import Sink
    from rvm_live.sources.base import Source


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
