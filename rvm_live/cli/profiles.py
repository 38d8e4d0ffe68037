"""The built-in profiles. A profile of the same name in the user's file overrides single keys of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["BUILT_IN"]

BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    # For a meeting: a camera mode that all programs accept, and a room that nobody can see.
    "call": {"size": "1280x720", "fps": 30.0, "background": ["blur"], "virtual-camera": "auto"},
    # For OBS and the like: as many pictures as possible, nothing drawn over them, no mirror.
    "stream": {"size": "1280x720", "fps": 60.0, "mirror": False, "stats": "off", "scene-reset": False},
    # For files: the same quality for every frame, so it does not change while recording.
    "record": {"size": "1920x1080", "fps": 30.0, "adaptive": False, "steady": True, "mirror": False},
    # The best edges, whatever time they take: RVM's recommended ratio for 720p.
    "quality": {"size": "1280x720", "fps": 30.0, "adaptive": False, "downsample-ratio": "0.4", "steady": True},
    # For a laptop on battery, or beside heavy work.
    "saver": {"size": "640x360", "fps": 15.0, "engine": "lite", "device": "cpu", "stats": "off"},
}
"""Name -> keys as in ``rvm-live.toml``."""
