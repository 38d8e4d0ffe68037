"""OpenVINO's devices: the CPU, an Intel GPU, an NPU. Which of them the network runs on is
:mod:`rvm_live.engines.common.trial`'s choice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import UnavailableError

__all__ = ["CPU", "devices_for", "name_of", "pictures"]

CPU = "CPU"
_KINDS = {"intel-gpu": "GPU", "npu": "NPU", "cpu": CPU}


def devices_for(asked: str, available: Sequence[str]) -> list[str]:
    """Devices to try beside the CPU, in OpenVINO's words.

    Args:
        asked: ``--device``: ``auto``, ``cpu``, ``intel-gpu``, ``intel-gpu:N`` or ``npu``.
        available: OpenVINO's own list, such as ``CPU``, ``GPU.0``, ``GPU.1``, ``NPU``.

    Raises:
        UnavailableError: what was asked for is not among them.
    """
    kind, _, number = asked.partition(":")
    if kind in ("auto", "cpu"):
        return [] if kind == "cpu" else [each for each in available if each.split(".")[0] in ("GPU", "NPU")]
    wanted = _KINDS[kind]
    found = [each for each in available if each.split(".")[0] == wanted and (not number or each == f"GPU.{number}")]
    if number == "0" and not found:
        found = [each for each in available if each == wanted]  # a single device has no number
    if not found:
        raise UnavailableError(
            f"device {asked} is not available: OpenVINO sees {', '.join(available)}; is its driver installed?"
        )
    return found


def name_of(device: str) -> str:
    """As ``--device`` names it."""
    kind, _, number = device.partition(".")
    name = next((name for name, own in _KINDS.items() if own == kind), device.lower())
    return f"{name}:{number}" if number not in ("", "0") else name


def pictures(low: tuple[int, int], count: int = 4) -> list[NDArray[np.uint8]]:
    """Pictures (h, w, 3) of no person at all, with all brightnesses and edges: every kernel has something to do."""
    width, height = low
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.linspace(0, 120, height), np.linspace(0, 120, width))[..., None]
    noise = rng.integers(0, 16, (height, width, 3))
    made = []
    for number in range(count):
        picture = (ramp + noise).astype(np.uint8)
        picture[height // 4 : height // 2, (number + 1) * width // 8 : (number + 3) * width // 8] = (200, 90, 40)
        made.append(picture)
    return made
