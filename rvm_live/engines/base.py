"""The contract of a matting engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import EngineError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings

__all__ = ["Engine", "EngineInfo", "Rung", "States", "close_failed"]

States = list[NDArray[np.float32]]
"""The recurrent state of an engine in main memory: as many arrays as it likes, in an order of its own."""


@dataclass(frozen=True)
class EngineInfo:
    """What really runs, as opposed to what was asked for.

    Attributes:
        engine: name of the engine, e.g. ``rvm``.
        model: network, e.g. ``mobilenetv3``.
        device: that does the work, as ``--device`` names it, e.g. ``cpu`` or ``cuda:0``.
        device_name: the device in words, e.g. ``NVIDIA GeForce RTX 4070``.
        precision: ``fp32``, ``fp16``, ...
        downsample_ratio: ratio the network works at, in (0, 1]; 0.0 while no frame size is known.
        notes: one line for each thing that differs from what was asked for, such as a skipped engine.
        remarks: lines only for the log, such as why ``auto`` took ``lite``.
        hints: lines about what would work better on these pictures; shown once, also in the picture.
        focus: the part of the picture and of the frames that the network sees, such as ``box 60 %, 1 of 2 frames``;
            empty if it sees all.
    """

    engine: str
    model: str
    device: str
    device_name: str
    precision: str
    downsample_ratio: float = 0.0
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    focus: str = ""

    @property
    def mattes_on(self) -> str:
        """Torch device of the mattes: on CUDA the engine's own, else main memory."""
        return self.device if self.device.startswith("cuda") else "cpu"

    def at_ratio(self, ratio: float) -> EngineInfo:
        return replace(self, downsample_ratio=ratio)

    def on(self, rung: Rung) -> EngineInfo:
        return replace(self, downsample_ratio=rung.ratio, precision=rung.precision)


@dataclass(frozen=True)
class Rung:
    """A step of the quality ladder.

    Attributes:
        ratio: downsample ratio, in (0, 1].
        precision: as in :attr:`EngineInfo.precision`.
        cost: time a frame takes, relative to the other rungs.
        engine: another engine, used if no rung above keeps 24 frames a second; empty: the same engine.
    """

    ratio: float
    precision: str
    cost: float
    engine: str = ""


class Engine(ABC):
    """Estimates alpha and foreground, frame after frame, with recurrent state.

    Who calls what: construction is cheap and takes one :class:`~rvm_live.core.settings.EngineSettings`. Everything
    else is called by the matting thread alone, in this order: ``open`` once, ``prepare`` once the frame size is
    known, then ``matte`` for every frame, ``reset`` whenever the epoch changes, and ``close`` exactly once (even
    if ``open`` failed). The recurrent state belongs to the engine; nobody else touches it. If many files of one size
    are processed, one engine serves them all: ``reset`` before each, and each on its own thread, one at a time.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings

    @abstractmethod
    def open(self) -> EngineInfo:
        """Load the weights and move them to the device.

        Raises:
            WeightsError: the weights are missing or unusable.
            UnavailableError: the device that was asked for is not there.
        """

    @property
    def phase(self) -> str:
        """The slow step at the moment, such as compiling a network, for display; empty if there is none."""
        return ""

    @property
    @abstractmethod
    def info(self) -> EngineInfo:
        """What runs now. Valid after ``open``; read from other threads for display."""

    def prepare(self, width: int, height: int) -> None:  # noqa: B027 - optional hook
        """Warm up for a frame size; leaves the recurrent state empty."""

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The rungs that the engine can switch between during the run, best and slowest first; empty if it cannot, or
        if the user fixed the ratio. Valid after ``prepare``."""
        return ()

    def use_rung(self, rung: Rung) -> bool:
        """Work on one of :attr:`rungs` from the next frame on; the recurrent state is carried over.

        Returns:
            False if the rung is not ready yet: it is being prepared, and the engine continues unchanged.
        """
        return False

    @abstractmethod
    def reset(self) -> None:
        """Forget the recurrent state: the next frame starts a new sequence."""

    @abstractmethod
    def matte(self, frame: Frame) -> Matte:
        """Estimate the matte of ``frame`` and advance the state.

        Raises:
            EngineError: the estimate failed.
        """

    def matte_chunk(self, frames: Sequence[Frame]) -> list[Matte]:
        """Estimate the mattes of consecutive frames of one size and epoch, which an engine may do at once.

        Raises:
            NoMemoryError: so many at once are too many; the state is that before the first of them.
            EngineError: the estimate failed.
        """
        return [self.matte(frame) for frame in frames]

    @property
    def chunked(self) -> bool:
        """Whether :meth:`matte_chunk` gains anything over :meth:`matte`."""
        return False

    @property
    def succession(self) -> bool:
        """Whether something better is ready, which takes over at the next :meth:`reset`: a new epoch is wanted."""
        return False

    def states(self) -> States | None:
        """Copies of the recurrent state after the last frame; None if the engine does not support it."""
        return None

    def restore(self, states: States) -> None:
        """Restore the states from :meth:`states` of an engine of the same model; call ``prepare`` before.

        Raises:
            EngineError: they do not fit, or the engine cannot.
        """
        raise EngineError(f"engine {self.info.engine} cannot load a state")

    def close(self) -> None:  # noqa: B027 - optional hook
        """Free the device."""


def close_failed(engine: Any) -> None:
    """Close an engine that has failed or was skipped. Errors of closing are ignored, so that they do not hide the first
    error; what the engine still holds is freed when the process ends."""
    close = getattr(engine, "close", None)
    if close is not None:
        with suppress(Exception):
            close()
