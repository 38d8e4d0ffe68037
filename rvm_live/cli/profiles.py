"""The built-in profiles. A profile of the same name in the user's file overrides single keys of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["BUILT_IN"]

BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    # For a meeting: a camera of the size and rate that all of them take, and a room that is nobody's business.
    "call": {"size": "1280x720", "fps": 30.0, "background": ["blur"], "virtual-camera": "auto"},
    # For OBS and the like: as many pictures as there are, nothing written over them, no mirror.
    "stream": {"size": "1280x720", "fps": 60.0, "mirror": False, "stats": "off", "scene-reset": False},
    # For files: every frame alike, so quality does not move while it is recorded.
    "record": {"size": "1920x1080", "fps": 30.0, "adaptive": False, "steady": True, "mirror": False},
    # The best edges, whatever they take: RVM's own ratio for 720p.
    "quality": {"size": "1280x720", "fps": 30.0, "adaptive": False, "downsample-ratio": "0.4", "steady": True},
    # For a battery, or beside heavy work.
    "saver": {"size": "640x360", "fps": 15.0, "engine": "lite", "device": "cpu", "stats": "off"},
}
"""Name -> keys as in ``rvm-live.toml``."""
