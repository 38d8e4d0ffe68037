"""The summary that a program gives of itself."""

from __future__ import annotations

import os
from typing import Any

from rvm_live import __version__
from rvm_live.core.controls import Controls
from rvm_live.sinks.window.status import Status, joined

__all__ = ["summary"]


def summary(status: Status, controls: Controls) -> dict[str, Any]:
    """What runs, in JSON types only.

    Args:
        status: of this moment.
        controls: of the run.
    """
    state = controls.state()
    width, height = status.size
    return {
        "pid": os.getpid(),
        "version": __version__,
        "source": joined(status.source, f"{width}x{height}" if width else ""),
        "engine": status.engine,
        "device": status.device,
        "fps": round(status.unique_fps, 1),
        "latency_ms": round(status.total_ms, 1),
        "background": state["background"],
        "framing": status.framing,
        "recording": status.recording,
        "virtual_camera": state.get("virtual_camera", False),
        "paused": status.paused,
        "privacy": state["privacy"],
        "waiting": status.phase,
        "told": list(status.messages[-3:]),
    }
