"""Which of OpenVINO's devices the network runs on: the CPU, an Intel GPU or an NPU, by measurement, where it agrees."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import EngineError, UnavailableError, words_of

__all__ = ["CPU", "Chosen", "Trial", "choose", "devices_for", "name_of", "pictures"]

_log = logging.getLogger("rvm_live")

CPU = "CPU"
APART = 0.05
"""How far the recurrent states may be from the CPU's in single precision, over their own size: bfloat16, the coarsest
precision that is taken anywhere, moves them by 0.033; one layer whose input is 1.3 times too large, by 0.14."""
_KINDS = {"intel-gpu": "GPU", "npu": "NPU", "cpu": CPU}


@dataclass(frozen=True)
class Trial:
    """What a device made of the same pictures.

    Attributes:
        states: the recurrent states after the last of them.
        taken_ms: a frame, milliseconds.
    """

    states: Sequence[NDArray[np.float32]]
    taken_ms: float


@dataclass(frozen=True)
class Chosen:
    """What to run on.

    Attributes:
        device: in OpenVINO's words.
        notes: why it is not what was asked for.
    """

    device: str
    notes: tuple[str, ...] = ()


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
        found = [each for each in available if each == wanted]  # the only one has no number
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


def choose(asked: str, others: Sequence[str], attempt: Callable[[str], Trial]) -> Chosen:
    """The quickest that agrees with the CPU; what was asked for by name however quick it is.

    Args:
        asked: ``--device``.
        others: what :func:`devices_for` gave.
        attempt: OpenVINO's device -> what it made of the :func:`pictures`.
    """
    if not others:
        return Chosen(CPU)
    own = attempt(CPU)
    best, least_ms = CPU, own.taken_ms if asked == "auto" else float("inf")
    notes = []
    for device in others:
        reason = ""
        try:
            trial = attempt(device)
        except (RuntimeError, EngineError) as error:  # OpenVINO's own are RuntimeError
            reason = words_of(error)
        else:
            apart = _apart(own.states, trial.states)
            if not apart <= APART:  # nor what is no number
                reason = f"it gives other results than the CPU (by {apart:.2f})"
            elif trial.taken_ms < least_ms:
                best, least_ms = device, trial.taken_ms
            told = f"{trial.taken_ms:.1f} ms a frame, the CPU {own.taken_ms:.1f} ms, {apart:.4f} apart"
            _log.info("OpenVINO's %s: %s", device, told)
        if reason:
            notes.append(f"OpenVINO's {device} is not used: {reason}")
    return Chosen(best, tuple(notes))


def _apart(own: Sequence[NDArray[np.float32]], other: Sequence[NDArray[np.float32]]) -> float:
    if len(own) != len(other) or any(a.shape != b.shape for a, b in zip(own, other, strict=True)):
        return float("inf")
    pairs = zip(own, other, strict=True)
    return max((float(np.abs(a - b).mean() / max(np.abs(a).mean(), 1e-6)) for a, b in pairs), default=0.0)
