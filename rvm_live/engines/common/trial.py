"""Chooses among several ways to run the same network: the fastest whose result agrees, by measurement."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import RvmLiveError, words_of

__all__ = ["ALPHA_APART", "APART", "Chosen", "Trial", "choose"]

_log = logging.getLogger("rvm_live")

APART = 0.05
"""Limit of the difference of the recurrent states from the CPU's in single precision, relative to their size: bfloat16,
the coarsest precision that is taken anywhere, moves them by 0.033; one layer whose input is 1.3 times too large, by
0.14."""
ALPHA_APART = 4e-3
"""Limit of the mean difference of a picture's alpha, 0-1: bfloat16 moves it by 0.3e-3, half precision by up to 2e-3."""


@dataclass(frozen=True)
class Trial:
    """The results of one way for the same pictures.

    Attributes:
        states: the recurrent states after the last of them; none where the way does not tell them.
        taken_ms: a frame, milliseconds.
        alphas: of the pictures, uint8 (H, W), where they were made.
    """

    states: Sequence[NDArray[np.float32]]
    taken_ms: float
    alphas: Sequence[NDArray[np.uint8]] = ()


@dataclass(frozen=True)
class Chosen:
    """The chosen way.

    Attributes:
        device: the way, as it was given.
        notes: why it is not what was asked for.
        remarks: what else was measured, a line for each way.
    """

    device: str
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def choose(
    asked: str,
    others: Sequence[str],
    attempt: Callable[[str], Trial],
    *,
    own: str = "CPU",
    runtime: str = "OpenVINO",
) -> Chosen:
    """The fastest way whose results agree with those of ``own``; a way asked for by name is taken however fast it is.

    Args:
        asked: ``--device``.
        others: ways to run the network.
        attempt: way -> what it made of the same pictures.
        own: the way that needs no choice.
        runtime: whose ways the others are.
    """
    if not others:
        return Chosen(own)
    mine = attempt(own)
    best, least_ms = own, mine.taken_ms if asked == "auto" else float("inf")
    called = "the CPU" if own == "CPU" else own
    notes, remarks = [], []
    for device in others:
        reason = ""
        try:
            trial = attempt(device)
        except (RuntimeError, RvmLiveError) as error:  # OpenVINO raises RuntimeError
            reason = words_of(error)
        else:
            apart, alpha = _apart(mine.states, trial.states), _alpha_apart(mine.alphas, trial.alphas)
            if not apart <= APART:  # NaN fails this test too
                reason = f"its results differ from {called} (by {apart:.2f})"
            elif not alpha <= ALPHA_APART:
                reason = f"its alpha differs from {called} (by {alpha:.3f})"
            elif trial.taken_ms < least_ms:
                best, least_ms = device, trial.taken_ms
            told = f"{trial.taken_ms:.1f} ms a frame, {called} {mine.taken_ms:.1f} ms"
            remarks.append(f"{runtime}'s {device}: {told}")
            _log.info("%s, %.4f apart", remarks[-1], max(apart, alpha))
        if reason:
            notes.append(f"{runtime}'s {device} is not used: {reason}")
    return Chosen(best, tuple(notes), tuple(remarks))


def _apart(own: Sequence[NDArray[np.float32]], other: Sequence[NDArray[np.float32]]) -> float:
    if len(own) != len(other) or any(a.shape != b.shape for a, b in zip(own, other, strict=True)):
        return float("inf")
    pairs = zip(own, other, strict=True)
    return max((float(np.abs(a - b).mean() / max(np.abs(a).mean(), 1e-6)) for a, b in pairs), default=0.0)


def _alpha_apart(own: Sequence[NDArray[np.uint8]], other: Sequence[NDArray[np.uint8]]) -> float:
    if len(own) != len(other) or any(a.shape != b.shape for a, b in zip(own, other, strict=True)):
        return float("inf")
    pairs = zip(own, other, strict=True)
    return max((float(np.abs(a.astype(np.int16) - b).mean() / 255) for a, b in pairs), default=0.0)
